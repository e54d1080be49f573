"""Small float networks for tests, made without any model file."""

from __future__ import annotations

import numpy as np

from workbench.graph.ir import Graph, Node, Tensor
from workbench.ops.add import BinaryAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.ops.mean import MeanAttrs


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
