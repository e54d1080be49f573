"""ONNX Runtime's quantized operators (`ort_*`): on a CPU with VNNI, and as AVX2 alone computes them (u8 x s8 pairs saturate at int16).

Unsigned activations are our int8, 128 lower: the same real numbers. What saturates is u8 x s8 only, which the profiles are about (QDQ
models become that); other pairs of types occur in files that hold operators QLinear* themselves, and have exact sums on every CPU.
Weights with a zero point are 9-bit numbers: they run as a sum of int8 weights on an input that is repeated as often.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.execute import prepare
from workbench.graph.ir import Array, Graph, Tensor
from workbench.hardware import HardwareProfile, load_profile
from workbench.ops.base import NoAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import QuantParams
from workbench.validate.cases import CaseFile
from workbench.validate.golden_base import CHECKS, Row, count, make_row, single_op

Case = Mapping[str, Any]
Arrays = Mapping[str, Array]
EXACT = "x86-vnni-onnxruntime"
PROFILES = {"ort_vnni": EXACT, "ort_avx2": "x86-avx2-onnxruntime"}
"""File -> profile that claims the bits of its u8 x s8 products."""
DIGIT = 128
"""Base in which int32 sums are read through int8 outputs: a rest of half a unit still fits."""
DIGITS = 4


def signed(array: Array) -> Array:
    """Return uint8 as int8, 128 lower; anything else as it is."""
    return (array ^ 0x80).view(np.int8) if array.dtype == np.uint8 else array


def _quant(case: Case, name: str, dtype: str) -> QuantParams:
    return QuantParams.per_tensor(case[f"{name}_scale"], case[f"{name}_zp"] - (128 if dtype == "uint8" else 0))


def int8_parts(w: Array, zero_point: int) -> list[Array]:
    """Return int8 arrays whose sum is w - zero_point: one for symmetric weights, up to three."""
    rest = w.astype(np.int16) - zero_point
    parts: list[Array] = []
    while not parts or rest.any():
        parts.append(np.clip(rest, -128, 127).astype(np.int8))
        rest = rest - parts[-1]
    return parts


def _weights(w: Array, scale: Array, axis: int) -> Tensor:
    quant = QuantParams(scale.copy(), np.zeros(len(scale), np.int64), axis if len(scale) > 1 else None)
    return Tensor("w", w.shape, "int8", quant, np.ascontiguousarray(w))


def _layer(case: Case, op: str, attrs: Any, x: Array, w: Tensor, bias: Array | None) -> tuple[Graph, dict[str, Array]]:
    inputs = [
        Tensor("x", x.shape, "int8", _quant(case, "x", case["x_dtype"])),
        w,
        None if bias is None else Tensor("b", bias.shape, "int32", None, bias),
    ]
    return single_op(op, attrs, inputs, Tensor("y", (), "int8", _quant(case, "y", case["x_dtype"]))), {"x": x}


def convolution(case: Case, arrays: Arrays) -> tuple[Graph, dict[str, Array], Array]:
    """Build a QLinearConv case: (graph, inputs, wanted int8), images last channel."""
    x, y = (np.ascontiguousarray(signed(arrays[k]).transpose(0, 2, 3, 1)) for k in "xy")
    groups, channels = case["group"], x.shape[3]
    window: dict[str, Any] = {
        "pads": tuple(case["pads"]),
        "stride": tuple(case.get("strides", (1, 1))),
        "dilation": tuple(case.get("dilations", (1, 1))),
    }
    parts = int8_parts(arrays["w"], case["w_zp"])
    if groups == channels and len(parts) == 1:
        w = _weights(parts[0].transpose(1, 2, 3, 0), arrays["w_scale"], 3)
        return *_layer(case, "depthwise_conv2d", DepthwiseConv2dAttrs(**window), x, w, arrays.get("b")), y
    w = _weights(np.concatenate([p.transpose(0, 2, 3, 1) for p in parts], axis=3), arrays["w_scale"], 0)
    each = x.reshape(*x.shape[:3], groups, channels // groups)
    x = np.concatenate([each] * len(parts), axis=4).reshape(*x.shape[:3], -1)
    return *_layer(case, "conv2d", Conv2dAttrs(**window, groups=groups), x, w, arrays.get("b")), y


def matrix(case: Case, arrays: Arrays) -> tuple[Graph, dict[str, Array], Array]:
    """Build a QLinearMatMul case."""
    parts = int8_parts(arrays["w"], case["w_zp"])
    w = _weights(np.concatenate([p.T for p in parts], axis=1), arrays["w_scale"], 0)
    x = np.concatenate([signed(arrays["x"])] * len(parts), axis=1)
    return *_layer(case, "fully_connected", FullyConnectedAttrs(), x, w, None), signed(arrays["y"])


def _by_layer(build: Callable[[Case, Arrays], tuple[Graph, dict[str, Array], Array]]) -> Any:
    def check(case: Case, arrays: Arrays, profile: HardwareProfile, total: list[int]) -> None:
        graph, feed, want = build(case, arrays)
        count(total, _run(graph, feed, profile), want)

    return check


def _run(graph: Graph, feed: dict[str, Array], profile: HardwareProfile) -> Array:
    return prepare(graph, profile).run(feed)[graph.outputs[0]]


def matrix_sums(case: Case, arrays: Arrays, profile: HardwareProfile, total: list[int]) -> None:
    """Compare MatMulInteger: int32 sums, read digit by digit through the int8 outputs of a fully connected layer.

    The highest digit comes from a large output scale; the bias takes it away, row by row, before the next one is read.
    """
    parts = int8_parts(arrays["w"], case["w_zp"])
    w = np.concatenate([p.T for p in parts], axis=1)
    x = np.concatenate([signed(arrays["x"])] * len(parts), axis=1)
    sums = np.zeros((len(x), len(w)), np.int64)
    unit_case = {
        "x_dtype": case["x_dtype"],
        "x_scale": 1.0,
        "x_zp": case["x_zp"],
        "y_zp": 128 if case["x_dtype"] == "uint8" else 0,
    }
    for digit in reversed(range(DIGITS)):
        unit = DIGIT**digit
        for row in range(len(x)):
            layer = {**unit_case, "y_scale": float(unit)}
            bias = (-sums[row]).astype(np.int32)
            weights = _weights(w, np.ones(1, np.float32), 0)
            graph, feed = _layer(layer, "fully_connected", FullyConnectedAttrs(), x[row : row + 1], weights, bias)
            sums[row] += unit * _run(graph, feed, profile)[0].astype(np.int64)
    count(total, sums.astype(np.int32), arrays["y"])


def quantize_linear(case: Case, arrays: Arrays, profile: HardwareProfile, total: list[int]) -> None:
    """Compare QuantizeLinear."""
    count(total, _quantized(arrays["x"], case["scale"], case["zp"], arrays["y"].dtype, profile), signed(arrays["y"]))


def dynamic_quantize_linear(case: Case, arrays: Arrays, profile: HardwareProfile, total: list[int]) -> None:
    """Compare DynamicQuantizeLinear: the scale and zero point of the data in float32, then as QuantizeLinear."""
    x = arrays["x"]
    low, high = np.minimum(x.min(), np.float32(0)), np.maximum(x.max(), np.float32(0))
    scale = (high - low) / np.float32(255)
    zero = np.clip(np.rint(np.float32(0) - low / scale), 0, 255).astype(np.uint8)
    got = _quantized(x, float(scale), int(zero), np.dtype(np.uint8), profile)
    values = [signed(arrays["y"]), arrays["scale"].view(np.int32), arrays["zp"]]
    made = [got, scale.astype(np.float32).view(np.int32), zero]
    want = np.concatenate([v.reshape(-1).astype(np.int64) for v in values])
    count(total, np.concatenate([np.asarray(v).reshape(-1).astype(np.int64) for v in made]), want)


def _quantized(x: Array, scale: float, zero_point: int, dtype: Any, profile: HardwareProfile) -> Array:
    quant = QuantParams.per_tensor(scale, zero_point - (128 if dtype == np.uint8 else 0))
    inputs = Tensor("x", x.shape, "float32")
    graph = single_op("quantize", NoAttrs(), [inputs], Tensor("y", x.shape, "int8", quant))
    return _run(graph, {"x": x}, profile)


OPERATORS: dict[str, Callable[[Case, Arrays, HardwareProfile, list[int]], None]] = {
    "QLinearConv": _by_layer(convolution),
    "QLinearMatMul": _by_layer(matrix),
    "MatMulInteger": matrix_sums,
    "QuantizeLinear": quantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
}


def check_ort(path: Path) -> list[Row]:
    """Compare every case: one row for each operator and pair of types."""
    profiles = {name: load_profile(name) for name in (EXACT, PROFILES[path.stem])}
    totals: dict[tuple[str, str, str], list[int]] = {}
    file = CaseFile(path)
    for case, arrays in file.cases:
        op, types = case["op"], tuple(case.get(k, "") for k in ("x_dtype", "w_dtype"))
        if op not in OPERATORS:
            file.add(f"no rule for {op}", case["id"])
            continue
        exact = types[0] and types != ("uint8", "int8")
        profile, note = (EXACT, "exact on every CPU") if exact else (PROFILES[path.stem], "")
        pair = f" {types[0]} x {types[1]}" if types[0] else ""
        total = totals.setdefault((op + pair, profile, note), [0, 0, 0, 0])
        with file.attempt(case["id"]):
            OPERATORS[op](case, arrays, profiles[profile], total)
    rows = [make_row(path.stem, op, profile, total, note) for (op, profile, note), total in sorted(totals.items())]
    return rows + file.rows()


for _name in PROFILES:
    CHECKS.add(_name, check_ort)
