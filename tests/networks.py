"""Small float networks for tests, made without any model file."""

from __future__ import annotations

import numpy as np

from workbench.graph.ir import Graph, Node, Tensor
from workbench.ops.add import BinaryAttrs
from workbench.ops.concat import ConcatAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pad import PadAttrs
from workbench.ops.softmax import SoftmaxAttrs


def small_cnn(seed: int = 0, channels: int = 8) -> Graph:
    """Return conv1 -> dw2 -> pw3 -> add(conv1) -> mean -> fc on [N, 8, 8, 1], float32, 3 classes."""
    rng = np.random.default_rng(seed)
    c = channels

    def weights(name: str, *shape: int) -> Tensor:
        fan = np.prod(shape[1:])
        return Tensor(name, shape, "float32", data=(rng.standard_normal(shape) / np.sqrt(fan) * 1.5).astype(np.float32))

    def bias(name: str, n: int) -> Tensor:
        return Tensor(name, (n,), "float32", data=(0.1 * rng.standard_normal(n)).astype(np.float32))

    def act(name: str, *shape: int) -> Tensor:
        return Tensor(name, (1, *shape), "float32")

    same = (1, 1, 1, 1)
    nodes = (
        Node("conv1", "conv2d", ("x", "w1", "b1"), ("t1",), Conv2dAttrs(pads=same, activation="relu")),
        Node("dw2", "depthwise_conv2d", ("t1", "w2", "b2"), ("t2",), DepthwiseConv2dAttrs(pads=same, activation="relu")),
        Node("pw3", "conv2d", ("t2", "w3", "b3"), ("t3",), Conv2dAttrs()),
        Node("add4", "add", ("t1", "t3"), ("t4",), BinaryAttrs(activation="relu")),
        Node("mean5", "mean", ("t4",), ("t5",), MeanAttrs(axes=(1, 2), keep_dims=False)),
        Node("fc6", "fully_connected", ("t5", "w6", "b6"), ("y",), FullyConnectedAttrs()),
    )
    tensors = [
        act("x", 8, 8, 1), act("t1", 8, 8, c), act("t2", 8, 8, c), act("t3", 8, 8, c), act("t4", 8, 8, c), act("t5", c), act("y", 3),
        weights("w1", c, 3, 3, 1), bias("b1", c), weights("w2", 1, 3, 3, c), bias("b2", c), weights("w3", c, 1, 1, c), bias("b3", c),
        weights("w6", 3, c), bias("b6", 3),
    ]  # fmt: skip
    return Graph("small_cnn", nodes, {t.name: t for t in tensors}, ("x",), ("y",))


def two_branches(seed: int = 0) -> Graph:
    """Return pad -> conv1, then conv2 and dw3 side by side on its output, joined by a concat, conv4, mean, fc5, softmax.

    [N, 6, 6, 2] float32, 4 classes. conv2 and conv4 read the same bias; the concat wants one scale for everything it touches.
    """
    rng = np.random.default_rng(seed)

    def constant(name: str, *shape: int) -> Tensor:
        return Tensor(
            name, shape, "float32", data=(rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        )

    def act(name: str, *shape: int) -> Tensor:
        return Tensor(name, (1, *shape), "float32")

    same = (1, 1, 1, 1)
    nodes = (
        Node("pad0", "pad", ("x",), ("p",), PadAttrs(((0, 0), (1, 1), (1, 1), (0, 0)))),
        Node("conv1", "conv2d", ("p", "w1", "b1"), ("t1",), Conv2dAttrs(activation="relu")),
        Node("conv2", "conv2d", ("t1", "w2", "b"), ("t2",), Conv2dAttrs()),
        Node("dw3", "depthwise_conv2d", ("t1", "w3", "b3"), ("t3",), DepthwiseConv2dAttrs(pads=same, activation="relu")),
        Node("join", "concat", ("t2", "t3"), ("t4",), ConcatAttrs(axis=3)),
        Node("conv4", "conv2d", ("t4", "w4", "b"), ("t5",), Conv2dAttrs(pads=same, activation="relu6")),
        Node("mean", "mean", ("t5",), ("t6",), MeanAttrs(axes=(1, 2), keep_dims=False)),
        Node("fc5", "fully_connected", ("t6", "w5", "b5"), ("t7",), FullyConnectedAttrs()),
        Node("softmax", "softmax", ("t7",), ("y",), SoftmaxAttrs()),
    )
    tensors = [
        act("x", 6, 6, 2), act("p", 8, 8, 2), act("t1", 6, 6, 4), act("t2", 6, 6, 4), act("t3", 6, 6, 4), act("t4", 6, 6, 8),
        act("t5", 6, 6, 4), act("t6", 4), act("t7", 4), act("y", 4), constant("w1", 4, 3, 3, 2), constant("b1", 4),
        constant("w2", 4, 1, 1, 4), constant("b", 4), constant("w3", 1, 3, 3, 4), constant("b3", 4), constant("w4", 4, 3, 3, 8),
        constant("w5", 4, 4), constant("b5", 4),
    ]  # fmt: skip
    return Graph("two_branches", nodes, {t.name: t for t in tensors}, ("x",), ("y",))
