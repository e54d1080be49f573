"""Small graphs for the cost tests, written out."""

from __future__ import annotations

import numpy as np

from workbench.graph.ir import Graph, Node, Tensor
from workbench.ops import OPS
from workbench.tensor import STORAGE, QuantParams

QUANT = QuantParams.per_tensor(0.125)  # a power of two: every target holds it


def activation(name: str, shape: tuple[int, ...], dtype: str = "int8") -> Tensor:
    return Tensor(name, shape, dtype, QUANT if dtype.startswith("int") else None)


def weight(name: str, shape: tuple[int, ...], dtype: str, channels: int | None = None, axis: int = 0) -> Tensor:
    quant = (
        None if dtype.startswith("float") else QUANT if channels is None else QuantParams.per_channel(np.ones(channels), axis)
    )
    return Tensor(name, shape, dtype, quant, np.ones(shape, STORAGE[dtype]))


def dense(kind: str = "int8", act: str = "int8", per_channel: bool = True, inputs: int = 64, outputs: int = 10) -> Graph:
    """Return one fully connected layer [1, inputs] -> [1, outputs] with an int32 bias."""
    w = weight("w", (outputs, inputs), kind, outputs if per_channel else None)
    bias = Tensor("b", (outputs,), "int32", QUANT, np.full(outputs, 128, np.int32))  # a number that biases of 8 bits can hold
    tensors = [activation("x", (1, inputs), act), w, bias, activation("y", (1, outputs), act)]
    node = Node("dense", "fully_connected", ("x", "w", "b"), ("y",), OPS["fully_connected"].attrs())
    return Graph("dense", (node,), {t.name: t for t in tensors}, ("x",), ("y",))


def residual() -> Graph:
    """Return conv 3x3 (4 -> 8), conv 1x1 (8 -> 8), add of both, reshape: a branch keeps one tensor alive."""
    attrs = OPS["conv2d"].attrs
    tensors = [
        activation("x", (1, 6, 6, 4)), weight("w0", (8, 3, 3, 4), "int8", 8), activation("a", (1, 6, 6, 8)),
        weight("w1", (8, 1, 1, 8), "int8", 8), activation("b", (1, 6, 6, 8)), activation("c", (1, 6, 6, 8)),
        activation("y", (1, 288)),
    ]  # fmt: skip
    nodes = (
        Node("conv0", "conv2d", ("x", "w0", ""), ("a",), attrs(pads=(1, 1, 1, 1))),
        Node("conv1", "conv2d", ("a", "w1", ""), ("b",), attrs()),
        Node("add", "add", ("a", "b"), ("c",), OPS["add"].attrs()),
        Node("flat", "reshape", ("c",), ("y",), OPS["reshape"].attrs(shape=(-1, 288))),
    )
    return Graph("residual", nodes, {t.name: t for t in tensors}, ("x",), ("y",))


def tied(layers: int = 10, kind: str = "int8", size: int = 64) -> Graph:
    """Return fully connected layers one after the other that share one square matrix."""
    act = kind if kind.startswith("float") else "int8"
    maps = [activation(f"t{i}", (1, size), act) for i in range(layers + 1)]
    attrs = OPS["fully_connected"].attrs()
    nodes = tuple(Node(f"fc{i}", "fully_connected", (f"t{i}", "w", ""), (f"t{i + 1}",), attrs) for i in range(layers))
    tensors = {t.name: t for t in (*maps, weight("w", (size, size), kind))}
    return Graph("tied", nodes, tensors, ("t0",), (f"t{layers}",))
