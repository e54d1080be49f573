"""Translators of QONNX: Quant (IntQuant), BipolarQuant and Trunc with constant scale, zero point and width.

An activation becomes integers on the file's own grid (quantize_grid) in the narrowest type that holds it, and real numbers again:
QONNX computes layers in floats between quantizers. Quantized constants become the real numbers of their grid.
Source: QONNX operator definitions (docs/qonnx-custom-ops).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import Call, Operand, Translate, onnx_op
from workbench.loaders.onnx.fold import FOLDS
from workbench.loaders.onnx.fold_budget import CannotFold
from workbench.loaders.onnx.fold_reference import bounded
from workbench.ops.quantize_grid import GridAttrs, levels
from workbench.tensor import RANGES, QuantParams

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
STORES = ("int2", "int4", "int8", "int16")
MAX_BITS = 16
MODES = {
    "ROUND": "half_even", "HALF_EVEN": "half_even", "CEIL": "ceil", "FLOOR": "floor", "UP": "up", "DOWN": "down",
    "ROUND_TO_ZERO": "down", "HALF_UP": "half_up", "HALF_DOWN": "half_down",
}  # fmt: skip
Grid = Callable[[Sequence[Array | None], Mapping[str, Any]], GridAttrs]
"""(constant operands, attributes) -> the grid; the first operand is what is quantized."""


def _number(args: Sequence[Array | None], i: int, name: str) -> float:
    found = args[i] if i < len(args) else None
    if found is None or found.dtype.kind not in "fiu" or found.size != 1 or not np.isfinite(found).all():
        shape = "missing" if found is None else f"{list(found.shape)}"
        raise CannotFold(f"has a {name} that is {shape}; expected one constant number")
    return float(found.reshape(()))


def _range(bits: float, attrs: Mapping[str, Any]) -> tuple[int, int]:
    if bits != int(bits) or not 1 <= bits <= MAX_BITS:
        raise CannotFold(f"quantizes to {bits:g} bits; expected 1 to {MAX_BITS}")
    signed, narrow, width = bool(attrs.get("signed", 1)), bool(attrs.get("narrow", 0)), int(bits)
    if signed:
        return -(2 ** (width - 1)) + narrow, 2 ** (width - 1) - 1
    return 0, 2**width - 1 - narrow


def _mode(attrs: Mapping[str, Any], default: str) -> str:
    mode = str(attrs.get("rounding_mode", default)).upper()
    if mode not in MODES:
        raise CannotFold(f"rounds by '{mode:.20}'; expected {', '.join(MODES)}")
    return MODES[mode]


def _quant(args: Sequence[Array | None], attrs: Mapping[str, Any]) -> GridAttrs:
    scale, zero, bits = (_number(args, i, name) for i, name in ((1, "scale"), (2, "zero point"), (3, "bit width")))
    return _quant_grid(scale, zero, bits, attrs)


def _quant_grid(scale: float, zero: float, bits: float, attrs: Mapping[str, Any]) -> GridAttrs:
    low, high = _range(bits, attrs)
    if bits == 1 and attrs.get("signed", 1):
        return GridAttrs(scale, zero, -1, 1, "bipolar", out_scale=scale, out_zero=zero)
    return GridAttrs(scale, zero, low, high, _mode(attrs, "ROUND"), out_scale=scale, out_zero=zero)


def _bipolar(args: Sequence[Array | None], attrs: Mapping[str, Any]) -> GridAttrs:
    scale = _number(args, 1, "scale")
    return GridAttrs(1.0, 0.0, -1, 1, "bipolar", out_scale=scale)


def _trunc(args: Sequence[Array | None], attrs: Mapping[str, Any]) -> GridAttrs:
    """Five operands: widths of input and output, bits are cut off. Six: output scale and width, and the result is clipped."""
    scale, zero, bits = (_number(args, i, name) for i, name in ((1, "scale"), (2, "zero point"), (3, "bit width")))
    mode = _mode(attrs, "FLOOR")
    if len(args) <= 5:
        cut = bits - _number(args, 4, "output bit width")
        if not 0 <= cut <= MAX_BITS:
            raise CannotFold(f"cuts off {cut:g} bits; expected 0 to {MAX_BITS}")
        low, high = -(2**15), 2**15 - 1  # the definition does not clip
        return GridAttrs(scale, zero, low, high, mode, 2.0**cut, out_scale=scale, out_zero=zero)
    out_scale, out_bits = _number(args, 4, "output scale"), _number(args, 5, "output bit width")
    if not (scale > 0 and out_scale > 0):
        raise CannotFold("has scales that are not > 0")
    divisor = 2.0 ** float(np.round(np.log2(out_scale / scale)))
    low, high = _range(out_bits, attrs)
    return GridAttrs(scale, zero, low, high, mode, divisor, out_scale=out_scale, out_zero=zero / divisor)


GRIDS: dict[str, Grid] = {"Quant": _quant, "IntQuant": _quant, "BipolarQuant": _bipolar, "Trunc": _trunc}


def translate_grid(grid: Grid) -> Translate:
    """Return the translation of an activation on a grid with one scale."""

    def translate(call: Call) -> list[Operand]:
        x = call.value(0)
        for i in range(1, len(call.args)):
            call.const(i)
        try:
            attrs = grid(call.constants(), call.node.attrs)
        except CannotFold as problem:
            raise call.b.error(f"{problem}. Quantize activations per tensor, with constant parameters.") from None
        zero = attrs.out_zero
        if not (attrs.out_scale > 0 and attrs.scale > 0 and zero == int(zero)):
            raise call.b.error(
                f"has scale {attrs.out_scale:g} and zero point {zero:g}; expected a scale > 0 and a whole zero point."
            )
        dtype, offset = _stored(call, attrs)
        quant = QuantParams.per_tensor(attrs.out_scale, int(zero) - offset)
        fields = {**attrs.__dict__, "offset": offset}
        key = call.b.emit("quantize_grid", [x.key], dtype=dtype, quant=quant, **fields)
        return [replace(x, key=call.b.emit("dequantize", [key], dtype="float32", quant=None))]

    return translate


def _stored(call: Call, grid: GridAttrs) -> tuple[str, int]:
    """Return the narrowest type that holds the grid and its zero point, and how much lower its integers are there."""
    low, high = min(grid.low, int(grid.out_zero)), max(grid.high, int(grid.out_zero))
    for dtype in STORES:
        least, most = RANGES[dtype]
        for offset in (0, -least):
            if least <= low - offset and high - offset <= most:
                return dtype, offset
    raise call.b.error(f"has a grid from {low} to {high} with its zero point; expected at most {MAX_BITS} bits.")


def fold_grid(grid: Grid) -> Callable[[Sequence[Array | None], Mapping[str, Any], int], list[Array]]:
    """Return the real numbers of a quantized constant; scales and zero points may be per channel."""

    def fold(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
        x, scale = args[0], args[1] if len(args) > 1 else None
        if x is None or scale is None or x.dtype.kind != "f" or scale.dtype.kind != "f":
            raise CannotFold("misses its input or scale")
        if all(a is None or a.size == 1 for a in args[1:]):
            found = grid(args, attrs)
            return [_real(found, x, np.float32(found.out_scale), np.float32(found.out_zero))]
        return [_per_channel(grid, args, attrs, x)]

    return fold


def _real(grid: GridAttrs, x: Array, scale: Any, zero: Any) -> Array:
    return np.asarray((levels(grid, x) - zero) * scale, np.float32)


def _per_channel(grid: Grid, args: Sequence[Array | None], attrs: Mapping[str, Any], x: Array) -> Array:
    """Return a constant with scales that broadcast over it, one grid for each."""
    bounded(np.broadcast_shapes(x.shape, *(a.shape for a in args[1:] if a is not None)))
    columns = [
        np.broadcast_to(a, np.broadcast_shapes(*(b.shape for b in args[1:] if b is not None)))
        for a in args[1:]
        if a is not None
    ]
    if any(a is None for a in args[1:]) or columns[0].size > 2**16:
        raise CannotFold("has missing operands or too many scales")
    wide = [c.reshape((1,) * (x.ndim - c.ndim) + c.shape) for c in columns]
    y = np.empty(x.shape, np.float32)
    for place in np.ndindex(wide[0].shape):
        part = tuple(slice(None) if n == 1 else slice(i, i + 1) for i, n in zip(place, wide[0].shape, strict=True))
        found = grid([x[part], *(c[place] for c in wide)], attrs)
        y[part] = _real(found, x[part], np.float32(found.out_scale), np.float32(found.out_zero))
    return y


for _op, _grid in GRIDS.items():
    for _domain in DOMAINS:
        onnx_op(f"{_domain}.{_op}")(translate_grid(_grid))
        FOLDS[f"{_domain}.{_op}"] = fold_grid(_grid)
