"""Small float networks for tests, made without any model file."""

from __future__ import annotations

import random

import numpy as np

from workbench.graph.ir import Graph, Node, Tensor
from workbench.ops.add import BinaryAttrs
from workbench.ops.concat import ConcatAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pad import PadAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.ops.strided_slice import StridedSliceAttrs


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


def random_network(seed: int, operators: int = 12) -> Graph:
    """Return a float32 network of random operators on random earlier tensors: branches, joins, dead ends; 5 classes.

    [N, 6, 6, 3]; some operators halve the height, so that only tensors of one shape can be joined.
    """
    chance, rng = random.Random(seed), np.random.default_rng(seed)
    nodes: list[Node] = []
    tensors = {"x": Tensor("x", (1, 6, 6, 3), "float32")}
    maps = ["x"]  # tensors [1, H, W, C]

    def constant(name: str, *shape: int) -> str:
        data = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        tensors[name] = Tensor(name, shape, "float32", data=data)
        return name

    def node(op: str, inputs: tuple[str, ...], shape: tuple[int, ...], attrs: object) -> str:
        name = f"{op}{len(nodes)}"
        nodes.append(Node(name, op, inputs, (f"t{len(nodes)}",), attrs))
        tensors[nodes[-1].outputs[0]] = Tensor(nodes[-1].outputs[0], shape, "float32")
        return nodes[-1].outputs[0]

    def layer(op: str, x: str, kernel: int, outputs: int) -> str:
        """Add a convolution that keeps the height and width."""
        (_, h, w, c), pads, n = tensors[x].shape, (kernel // 2,) * 4, len(nodes)
        shape = (1, kernel, kernel, c) if op == "depthwise_conv2d" else (outputs, kernel, kernel, c)
        attrs = (DepthwiseConv2dAttrs if op == "depthwise_conv2d" else Conv2dAttrs)(
            pads=pads, activation=chance.choice(["none", "relu", "relu6"])
        )
        return node(op, (x, constant(f"w{n}", *shape), constant(f"b{n}", outputs)), (1, h, w, outputs), attrs)

    def add_one(op: str) -> str:
        x = chance.choice(maps[-4:])
        shape = tensors[x].shape
        same = [t for t in maps if tensors[t].shape == shape]
        flat = [t for t in maps if tensors[t].shape[:3] == shape[:3]]
        if op == "conv2d":
            return layer(op, x, chance.choice([1, 3]), chance.choice([3, 4, 8]))
        if op == "depthwise_conv2d":
            return layer(op, x, 3, shape[3])
        if op == "add":
            return node(op, (x, chance.choice(same)), shape, BinaryAttrs(activation=chance.choice(["none", "relu"])))
        if op == "concat":
            other = chance.choice(flat)
            return node(op, (x, other), (*shape[:3], shape[3] + tensors[other].shape[3]), ConcatAttrs(axis=3))
        if op == "max_pool2d":
            return node(op, (x,), shape, PoolAttrs((3, 3), pads=(1, 1, 1, 1)))
        if op == "strided_slice" and shape[1] > 1:
            attrs = StridedSliceAttrs((0,) * 4, (None, shape[1] // 2, *shape[2:]), (1,) * 4)
            return node(op, (x,), (1, shape[1] // 2, *shape[2:]), attrs)
        return node("relu", (x,), shape, ReluAttrs())

    kinds = ("conv2d", "conv2d", "conv2d", "depthwise_conv2d", "add", "add", "concat", "max_pool2d", "strided_slice", "relu")
    maps.append(layer("conv2d", "x", 3, 4))
    maps.extend(add_one(chance.choice(kinds)) for _ in range(operators))
    ends = [node("mean", (t,), (1, tensors[t].shape[3]), MeanAttrs((1, 2), keep_dims=False)) for t in maps[-2:]]
    width = sum(tensors[t].shape[1] for t in ends)
    joined = node("concat", tuple(ends), (1, width), ConcatAttrs(axis=1))
    fc = node("fully_connected", (joined, constant("w", 5, width), constant("b", 5)), (1, 5), FullyConnectedAttrs())
    y = node("softmax", (fc,), (1, 5), SoftmaxAttrs()) if chance.random() < 0.5 else fc
    used = {name for n in nodes for name in n.inputs}
    return Graph(
        f"random{seed}", tuple(nodes), {k: t for k, t in tensors.items() if k in used or not t.is_constant}, ("x",), (y,)
    )
