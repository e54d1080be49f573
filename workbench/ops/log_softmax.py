"""log_softmax over one axis: y = x - max - log(sum(exp(x - max))). int8 with output scale 1/16 and zero point 127.

`fixed_point`: exp and log of TFLite's fixed point, Q5.26 (TFLM, LiteRT reference). `float_table`: a table of exp, sum and log in
float32, rint(x * (sx / sy) - (max * sx + log(sum)) / sy) (LiteRT optimised). Which: `Arithmetic.softmax`.
Source: TFLite reference/integer_ops/log_softmax.h, reference/log_softmax.h, optimized_ops.h; activations.cc (preparation).
Constraints: (C1) int8, (C2) output scale 1/16, zero point 127, (C3) `fixed_point`: at most 4095 classes, as
exponentials are added in Q12.19 in an int32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.kernels.softmax import exp_table_s8
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.numerics.gemmlowp import divide_by_pot, high_mul
from workbench.numerics.tflite_fixed_point import log_q12
from workbench.ops._elementwise import fixed_output, float_run, normal_axis, quant_of, same_types
from workbench.ops._lut import in_float64
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, checked, count_outputs, register

FIXED_QUANT: tuple[tuple[str, tuple[float, int]], ...] = (("int8", (1 / 16, 127)),)
MAX_CLASSES = 4095
OUT_FRACTION = 22
"""Bits between Q5.26 and Q.4, the output."""
exp, log = in_float64(np.exp), in_float64(np.log)
Rows = Callable[[Array], Array]
"""x int8 [rows, classes] -> y int8 of the same shape."""


@dataclass(frozen=True)
class LogSoftmaxAttrs:
    """axis: along which exp(y) sums to 1."""

    axis: int = -1


def _infer(attrs: LogSoftmaxAttrs, shapes: list[Shape]) -> list[Shape]:
    normal_axis(attrs.axis, len(shapes[0]), "log_softmax")
    return [shapes[0]]


def _reference(attrs: LogSoftmaxAttrs, args: list[Array]) -> list[Array]:
    x = args[0].astype(np.float32)
    if not x.size:
        return [x]
    with np.errstate(invalid="ignore"):
        shifted = x - x.max(axis=attrs.axis, keepdims=True)
        return [shifted - log(exp(shifted).sum(axis=attrs.axis, keepdims=True, dtype=np.float32))]


def _prepare(site: Site) -> Run:
    axis = normal_axis(site.attrs.axis, len(site.x.shape), f"node '{site.name}'")
    run = float_run(_reference, site)
    if run is not None:
        return run
    if same_types(site) != "int8":
        raise site.unsupported("only int8 has a rule.")
    fixed_output(site, dict(FIXED_QUANT)["int8"])
    classes = site.x.shape[axis]
    if classes < 1:
        raise site.unsupported("there are no classes.")
    rows = _float_rows(site) if site.arithmetic.softmax == "float_table" else _fixed_rows(site, classes)

    def run_integer(args: Sequence[Array]) -> list[Array]:
        x = np.ascontiguousarray(np.moveaxis(checked(site, args[0], site.x), axis, -1))
        y = rows(x.reshape(-1, classes)).reshape(x.shape)
        return [np.ascontiguousarray(np.moveaxis(y, -1, axis))]

    return run_integer


def _fixed_rows(site: Site, classes: int) -> Rows:
    if classes > MAX_CLASSES:
        raise site.unsupported(f"{classes} classes; the int32 sum of exponentials holds {MAX_CLASSES}.")
    sx = float(quant_of(site, site.x)[0])
    multiplier, shift = (int(v) for v in quantize_multiplier(min(sx * 2.0**26, 2.0**31 - 1)))
    if shift < 0:
        raise site.unsupported(f"the input scale is {sx:g}; at least 2**-27 fits.")
    reverse, reverse_shift = (int(v) for v in quantize_multiplier((1 << (31 - shift)) / multiplier))
    lowest = -((31 << 26) >> shift)
    terms = divide_by_pot(exp_table_s8(multiplier, shift).astype(np.int64), 12)
    used = np.arange(min(-lowest + 1, 256), dtype=np.int64)
    scaled = np.zeros(256, np.int64)
    scaled[: used.size] = high_mul(-used << shift, multiplier, 32)

    def threshold(log_sum: int) -> int:
        """Return the difference from which on, downwards, the output is the lowest."""
        least = high_mul(log_sum - 2**31, reverse, 32)
        return max(lowest - 1, int(divide_by_pot(least << 1, 1 - reverse_shift)))

    def rows(x: Array) -> Array:
        below = x.max(axis=1, keepdims=True).astype(np.int64) - x
        logs = [log_q12(v) for v in terms[below].sum(axis=1).tolist()]
        edges = np.array([threshold(v) for v in logs], np.int64)[:, None]
        q = divide_by_pot(scaled[below] - np.array(logs, np.int64)[:, None], OUT_FRACTION) + 127
        return np.where(-below > edges, np.clip(q, -128, 127), -128).astype(np.int8)

    return rows


def _float_rows(site: Site) -> Rows:
    (sx, _), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    terms = exp(-sx * np.arange(256, dtype=np.float32))

    def rows(x: Array) -> Array:
        largest = x.max(axis=1, keepdims=True).astype(np.int64)
        total = np.add.accumulate(terms[largest - x], axis=1)[:, -1:]  # from left to right
        subtracted = (sx * largest.astype(np.float32) + log(total)) / sy
        q = np.rint((sx / sy) * x.astype(np.float32) - subtracted) + zy
        return np.asarray(np.clip(q, -128, 127), np.int8)

    return rows


LOG_SOFTMAX = register(
    OpSpec(
        name="log_softmax", attrs=LogSoftmaxAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=count_outputs,
        output_quant="fixed", fixed_quant=FIXED_QUANT, summary="log of softmax over one axis",
    )
)  # fmt: skip
