"""`tosa_reference`: outputs of the TOSA reference model, operator by operator.

RESCALE runs the requantization kernels that layers use, AVG_POOL2D and CLAMP the operators; the rest is `numerics/tosa.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from workbench.execute import prepare
from workbench.graph.ir import Array, Tensor
from workbench.hardware import load_profile
from workbench.kernels.gemm import gemm_s64
from workbench.numerics import tosa
from workbench.numerics.requantize import REQUANTIZE
from workbench.ops.pool import PoolAttrs
from workbench.tensor import RANGES, QuantParams
from workbench.validate.cases import CaseFile
from workbench.validate.golden_base import CHECKS, Row, count, make_row, single_op

Case = Mapping[str, Any]
Arrays = Mapping[str, Array]
PRODUCER = "tosa_reference_model"
POOLS = "stm32l4r5-cortex-m4-tflm"
"""A profile whose averages are TFLite's: TOSA's reciprocal gives the same integers."""
FLOATS = {"FP32": np.float32, "FP16": np.float16, "BF16": ml_dtypes.bfloat16}
UNSIGNED = {"int8": (0, 255), "int16": (0, 65535)}


def _stored(case: Case, arrays: Arrays, name: str) -> Array:
    """Return an array of a case; unsigned numbers are stored in signed arrays."""
    array = arrays[name]
    return array.view(f"uint{8 * array.itemsize}") if case["tensors"][name].get("unsigned") else array


def _attributes(case: Case) -> Mapping[str, Any]:
    return case["operator"].get("attribute", {})  # type: ignore[no-any-return]


def _rescale(case: Case, arrays: Arrays) -> Array:
    attributes, y = _attributes(case), arrays["y"]
    x = _stored(case, arrays, "input-0").astype(np.int64)
    zero_in, zero_out = (int(_stored(case, arrays, f"const-{i}")[0]) for i in (2, 3))
    channels = x.shape[-1]
    multiplier, shift = (np.broadcast_to(arrays[f"const-{i}"], (channels,)).astype(np.int32) for i in (0, 1))
    rule = tosa.ROUNDING[attributes["rounding_mode"]]
    first, second = multiplier, np.int32(31) - shift
    if rule == "float32_half_even":
        first = second = (multiplier / 2.0**shift).astype(np.float32)
    limits = UNSIGNED[y.dtype.name] if attributes.get("output_unsigned") else RANGES[y.dtype.name]
    acc = np.ascontiguousarray((x - zero_in).reshape(-1, channels).astype(np.int32))
    out = np.empty(acc.shape, np.int32)
    REQUANTIZE[rule](acc, np.zeros(channels, np.int64), first, second, zero_out, *limits, out, 0)
    return out.reshape(y.shape).astype(y.dtype)


def _average_pool(case: Case, arrays: Arrays) -> Array:
    attributes, x = _attributes(case), arrays["input-0"]
    zero_in, zero_out = (int(arrays[f"const-{i}"][0]) for i in (0, 1))
    top, bottom, left, right = attributes["pad"]
    attrs = PoolAttrs(tuple(attributes["kernel"]), tuple(attributes["stride"]), (top, left, bottom, right))
    if zero_in == zero_out == 0:
        tensors = [Tensor(name, x.shape, x.dtype.name, QuantParams.per_tensor(1.0)) for name in "xy"]
        return prepare(single_op("avg_pool2d", attrs, [tensors[0]], tensors[1]), load_profile(POOLS)).run({"x": x})["y"]
    padded = np.pad(x.astype(np.int64) - zero_in, ((0, 0), (top, bottom), (left, right), (0, 0)))
    inside = np.pad(np.ones(x.shape[1:3], np.int64), ((top, bottom), (left, right)))
    strides = tuple(slice(None, None, s) for s in attrs.stride)
    views = [
        np.lib.stride_tricks.sliding_window_view(a, attrs.filter, axis=axes) for a, axes in ((padded, (1, 2)), (inside, (0, 1)))
    ]
    total, valid = views[0][:, *strides].sum(axis=(-2, -1)), views[1][strides].sum(axis=(-2, -1))
    y = tosa.average(total, np.broadcast_to(valid[None, :, :, None], total.shape)) + zero_out
    return np.asarray(np.clip(y, *RANGES[x.dtype.name]), x.dtype)


def _matmul(case: Case, arrays: Arrays) -> Array:
    a, b = ((arrays[f"input-{i}"].astype(np.int32) - int(arrays[f"const-{i}"][0])).astype(np.int16) for i in (0, 1))
    acc = np.empty(arrays["y"].shape, np.int64)
    for i in range(len(acc)):
        gemm_s64(np.ascontiguousarray(a[i]), np.ascontiguousarray(b[i].T), 1, acc[i])
    return acc.astype(arrays["y"].dtype)


def _cast(case: Case, arrays: Arrays) -> Array:
    x, kind = arrays["input-0"], case["output_types"][0]
    if kind in FLOATS:
        with np.errstate(over="ignore"):
            return x.astype(FLOATS[kind])
    return x != 0 if kind == "BOOL" else x.astype(arrays["y"].dtype)


def _clamp(case: Case, arrays: Arrays) -> Array:
    """Limits are the bytes of two numbers of the input's type, padded."""
    x = arrays["input-0"]
    low, high = (np.array(_attributes(case)[name], np.uint8).view(x.dtype)[0] for name in ("min_val", "max_val"))
    return np.clip(x, low, high)


def _resize(case: Case, arrays: Arrays) -> Array:
    bilinear = _attributes(case)["mode"] == "BILINEAR"
    made = tosa.resize(arrays["input-0"], arrays["const-0"], arrays["const-1"], arrays["const-2"], bilinear)
    return made.astype(arrays["y"].dtype)


OPERATORS: dict[str, Callable[[Case, Arrays], Array]] = {
    "rescale": _rescale,
    "avg_pool2d": _average_pool,
    "matmul": _matmul,
    "cast": _cast,
    "clamp": _clamp,
    "resize": _resize,
    "arithmetic_right_shift": lambda case, a: tosa.arithmetic_right_shift(
        a["input-0"], a["input-1"], bool(_attributes(case).get("round"))
    ).astype(a["y"].dtype),
    "table": lambda case, a: tosa.table_lookup(a["input-0"], a["const-0"]),
    "mul": lambda case, a: tosa.multiply(a["input-0"], a["input-1"], int(a["const-0"][0])),
    "intdiv": lambda case, a: tosa.divide(a["input-0"], a["input-1"]),
    "reduce_sum": lambda case, a: a["input-0"].sum(axis=_attributes(case).get("axis", 0), keepdims=True, dtype=a["y"].dtype),
}
"""Operator as the file names it -> the function of a case."""


def check_tosa_reference(path: Path) -> list[Row]:
    """Return one row per operator of the file; operators that are not known fail."""
    totals: dict[str, list[int]] = {}
    file = CaseFile(path)
    for case, arrays in file.cases:
        operator = OPERATORS.get(case["op"])
        if operator is None:
            file.add(f"no rule for {case['op']}", case["id"])
            continue
        with file.attempt(case["id"]):
            for name in (*case["tensors"], "y"):
                arrays[name]
            _compare(totals.setdefault(_label(case), [0, 0, 0, 0]), operator(case, arrays), arrays["y"])
    return [make_row(path.stem, PRODUCER, label, total) for label, total in sorted(totals.items())] + file.rows()


def _label(case: Case) -> str:
    if case["op"] != "rescale":
        return str(case["op"])
    mode = _attributes(case)["rounding_mode"]
    return f"rescale {mode} ({tosa.ROUNDING[mode]})"


def _compare(total: list[int], got: Array, want: Array) -> None:
    """Count one comparison; numbers that are not integers by their bits (a case stores bfloat16 as bytes)."""
    if want.dtype.kind in "iu":
        count(total, got, want)
        return
    if want.dtype.kind == "b":
        count(total, got.astype(np.int8), want.astype(np.int8))
        return
    bits = f"uint{8 * want.itemsize}"
    count(total, np.ascontiguousarray(got).view(bits), np.ascontiguousarray(want).view(bits))


CHECKS.add("tosa_reference", check_tosa_reference)
