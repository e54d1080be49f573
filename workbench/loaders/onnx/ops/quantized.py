"""Translators of QuantizeLinear and DequantizeLinear, and their values on constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import Call, Operand, onnx_op
from workbench.loaders.onnx.file import CONTRIB
from workbench.loaders.onnx.fold import FOLDS, axis, numpy_type
from workbench.loaders.onnx.fold_budget import CannotFold
from workbench.loaders.onnx.integers import TWINS, params_of, scaled, scales_of
from workbench.loaders.onnx.values import Value
from workbench.tensor import QuantParams


@onnx_op("QuantizeLinear", f"{CONTRIB}.QuantizeLinear")
def translate_quantize(call: Call) -> list[Operand]:
    """QuantizeLinear of a float tensor by one scale -> quantize."""
    x = call.value(0)
    if call.b.dtype(x.key) != "float32":
        raise call.b.error(f"quantizes {call.b.dtype(x.key)} values; expected floats.")
    if call.integer("precision", 0) not in (0, 1) or call.integer("block_size", 0):
        raise call.b.error("quantizes activations in blocks or in another precision than float32, which is not supported.")
    dtype, quant, _ = params_of(call, 1, 2, _output_type(call))
    return [replace(x, key=call.b.emit("quantize", [x.key], dtype=dtype, quant=quant))]


def _output_type(call: Call) -> str:
    code = call.integer("output_dtype", 0)
    name = numpy_type(code).name if code else "uint8"
    if name not in TWINS:
        raise call.b.error(f"quantizes to {name}; expected {', '.join(TWINS)}.")
    return name


@onnx_op("DequantizeLinear", f"{CONTRIB}.DequantizeLinear")
def translate_dequantize(call: Call) -> list[Operand]:
    """DequantizeLinear of an activation with one scale -> dequantize; of int32 sums -> cast and product."""
    x = call.value(0)
    tensor = call.b.tensors[x.key]
    if tensor.dtype == "int32" and tensor.quant is None:
        zero = call.const(2)
        if zero is not None and zero.array.any():
            raise call.b.error("dequantizes int32 with a zero point other than 0.")
        return [
            call.make(
                "Mul",
                call.make("Cast", x, to=1),
                call.number(scales_of(call, 1).reshape(()) if scales_of(call, 1).size == 1 else _per_axis(call, x)),
            )
        ]
    if call.optional(2) is None and tensor.quant is not None and tensor.dtype != "uint8":
        quant = QuantParams(scales_of(call, 1), tensor.quant.zero_point)  # zero point 0 of the file's own type
        if int(quant.zero_point[0]) not in (0, *(-offset for kind, offset in TWINS.values() if kind == tensor.dtype)):
            raise call.b.error("has no zero point; its input was quantized with one.")
        x = scaled(call.b, x, tensor.dtype, quant, tensor.dtype)
    else:
        dtype, quant, kind = params_of(call, 1, 2, tensor.dtype if tensor.dtype in TWINS else "uint8")
        x = scaled(call.b, x, dtype, quant, kind)
    return [replace(x, key=call.b.emit("dequantize", [x.key], dtype="float32", quant=None))]


def _per_axis(call: Call, x: Value) -> Array:
    scales = scales_of(call, 1)
    at = call.axis("axis", 1, x.rank)
    if len(scales) != x.shape[at]:
        raise call.b.error(f"has {len(scales)} scales for axis {at} of {list(x.shape)}.")
    return scales.reshape([-1 if a == at else 1 for a in range(x.rank)])


# -- constants -----------------------------------------------------------------------------------------------------------------


def _fold_dequantize(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    """scale * (q - zero point), one float32 product of the exact difference."""
    q, scale, zero = _parts(args)
    kind = q.dtype.name
    if kind not in TWINS and kind != "int32":
        raise CannotFold(f"dequantizes {kind}")
    scales, zeros = _spread(q.shape, scale, attrs), 0 if zero is None else _spread(q.shape, zero.astype(np.int64), attrs)
    return [(q.astype(np.int64) - zeros).astype(np.float32) * scales.astype(np.float32)]


def _fold_quantize(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    """rint(x / scale) + zero point, clipped."""
    x, scale, zero = _parts(args)
    dtype = zero.dtype if zero is not None else numpy_type(int(attrs.get("output_dtype", 0) or 2))
    if dtype.name not in TWINS or x.dtype.kind != "f":
        raise CannotFold(f"quantizes {x.dtype.name} to {dtype.name}")
    bits, signed = int(dtype.name.lstrip("uint")), not dtype.name.startswith("u")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    zeros = 0 if zero is None else _spread(x.shape, zero.astype(np.int64), attrs)
    levels = np.rint(x.astype(np.float32) / _spread(x.shape, scale, attrs).astype(np.float32))
    if not np.isfinite(levels).all():
        raise CannotFold("quantizes numbers that are not finite")
    return [np.clip(levels.astype(np.float64) + zeros, low, high).astype(np.int32).astype(dtype)]


def _parts(args: Sequence[Array | None]) -> tuple[Array, Array, Array | None]:
    x, scale = args[0], args[1] if len(args) > 1 else None
    if x is None or scale is None or scale.dtype.kind != "f":
        raise CannotFold("misses its input or scale")
    return x, scale, args[2] if len(args) > 2 else None


def _spread(shape: tuple[int, ...], numbers: Array, attrs: Mapping[str, Any]) -> Array:
    """Return scales or zero points for every element: one, one per entry of an axis, or one per block along it."""
    block = int(attrs.get("block_size", 0))
    if numbers.size == 1 and not block:
        return numbers.reshape(())
    at = axis(attrs.get("axis", 1), len(shape))
    if not block:
        if numbers.shape != (shape[at],):
            raise CannotFold(f"has scales or zero points {list(numbers.shape)} for axis {at} of {list(shape)}")
        return numbers.reshape([-1 if a == at else 1 for a in range(len(shape))])
    blocks = tuple(-(-d // block) if a == at else d for a, d in enumerate(shape)) if block > 0 else ()
    if numbers.shape != blocks:
        raise CannotFold(
            f"has scales or zero points {list(numbers.shape)} for blocks of {block} along axis {at} of {list(shape)}"
        )
    return np.take(numbers, np.arange(shape[at]) // block, axis=at)


for _name, _fold in (("DequantizeLinear", _fold_dequantize), ("QuantizeLinear", _fold_quantize)):
    FOLDS[_name] = FOLDS[f"{CONTRIB}.{_name}"] = _fold
