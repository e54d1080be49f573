"""Small ONNX files that ask for much: constants of a few bytes that become gigabytes, or minutes of work."""

from __future__ import annotations

import numpy as np
import onnx

from tests.loaders.onnx_cases import ints, model, node

N = 2**14


def filled(name: str, *shape: int, value: float = 1.0) -> list[onnx.NodeProto]:
    """Return nodes that make a constant of one value; whole numbers give int64."""
    like = np.array([value], np.float32 if isinstance(value, float) else np.int64)
    return [
        node("Constant", "", f"{name}_shape", value=onnx.numpy_helper.from_array(ints(*shape))),
        node("ConstantOfShape", f"{name}_shape", name, value=onnx.numpy_helper.from_array(like)),
    ]


def _many(count: int) -> list[onnx.NodeProto]:
    nodes = [made for i in range(count) for made in filled(f"c{i}", 2**24, value=float(i))]
    nodes += [node("Max", f"{'c0' if i == 1 else f'm{i - 1}'} c{i}", f"m{i}") for i in range(1, count)]
    return [*nodes, node("Identity", f"m{count - 1}", "big")]


def _chain(op: str, count: int) -> list[onnx.NodeProto]:
    steps = [node(op, f"e{i}", f"e{i + 1}") for i in range(count)]
    return [*filled("e0", 2**22), *steps, node("Identity", f"e{count}", "big")]


def _copies(count: int) -> list[onnx.NodeProto]:
    """Views of one element that cost nothing until the graph holds them, each for itself."""
    nodes = [made for i in range(count) for made in (*filled(f"o{i}", 1, value=float(i)), *_wide(i))]
    sums = [node("Add", f"{'x' if i == 0 else f's{i - 1}'} w{i}", f"s{i}") for i in range(count)]
    return [*nodes, *sums, node("ReduceMax", f"s{count - 1}", "big")]


def _wide(i: int) -> list[onnx.NodeProto]:
    size = node("Constant", "", f"n{i}", value=onnx.numpy_helper.from_array(ints(2**22, 4)))
    return [size, node("Expand", f"o{i} n{i}", f"w{i}")]


BOMBS: dict[str, list[onnx.NodeProto]] = {
    "product": [*filled("a", N, 1), *filled("b", 1, N), node("MatMul", "a b", "big")],
    "gemm": [*filled("a", N, 1), *filled("b", 1, 1), *filled("c", 1, N), node("Gemm", "a b c", "big")],
    "batch norm": [*filled("a", N, 1, 1), *filled("s", N), node("BatchNormalization", "a s s s s", "big")],
    "layer norm": [*filled("a", N, 1), *filled("s", N), node("LayerNormalization", "a s", "big")],
    "sixty constants": _many(60),
    "twelve copies": _copies(12),
    "gather elements": [*filled("a", 2**20, 1), *filled("i", 2**20, 1, value=0), node("GatherElements", "a i", "big")],
    "scatter": [*filled("a", 2**20), *filled("i", 2**20, 1, value=0), node("ScatterND", "a i a", "big")],
    "gather": [*filled("a", 2**20), *filled("i", 2**20, 1, value=0), node("GatherND", "a i", "big")],
    "sine": _chain("Sin", 40),
    "error function": _chain("Erf", 12),
}  # fmt: skip


def bomb(name: str) -> onnx.ModelProto:
    """Return the file: the input plus the largest element of the constant, so that the constant is needed."""
    largest = [node("ReduceMax", "big", "largest", keepdims=0), node("Add", "x largest", "y")]
    return model([*BOMBS[name], *largest], {"x": ("N", 4)})
