"""reduce_max, reduce_min, reduce_prod over axes; reduce_any, reduce_all of bools.

Maximum and minimum of integers with a scale: of the integers as they are stored, in one scale. Without a scale: exact, products wrap.
Products of n integers with a scale: multiplied one by one; after every factor but the first, and at the end, times sx / sy**(1 / n) in
fixed point with a 16-bit multiplier. Source: TFLite reduce.cc, reference/reduce.h (QuantizedReduceProd).
Constraints: (C1) axes unique and in range, (C2) nothing that is reduced is empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from workbench.errors import ModelError
from workbench.numerics.fixed_point import quantize_multiplier, reduce_multiplier
from workbench.ops._elementwise import float_run, quant_of, same_quantization, same_types, symmetric_int16
from workbench.ops._plain import NUMBERS, are_plain, is_plain, plain_type
from workbench.ops._sums import checked_rows, run_sums
from workbench.ops.base import DTYPES, Array, OpSpec, Run, Shape, Site, register
from workbench.ops.mean import MEAN, MeanAttrs
from workbench.tensor import RANGES

MOST_LEFT = 7
"""Largest left shift of the multiplication of 64-bit values."""
Reduce = Callable[..., Any]
"""A NumPy reduction: (array, axis=, keepdims=) -> array."""


def _infer(attrs: MeanAttrs, shapes: list[Shape]) -> list[Shape]:
    made = MEAN.infer_shape(attrs, shapes)
    if math.prod(shapes[0][a] for a in attrs.axes) < 1:
        raise ModelError(f"axes {attrs.axes} of {shapes[0]} are empty.")
    return made


def _register(
    name: str, function: Reduce, summary: str, types: Sequence[str], output_quant: Literal["input", "own", "none"],
    quantized: Callable[[Site], Run] | None = None,
) -> OpSpec:  # fmt: skip
    """Register a reduction. types: without a scale. quantized: prepares the run on integers with a scale."""

    def reference(attrs: MeanAttrs, args: list[Array]) -> list[Array]:
        x = args[0]
        _infer(attrs, [x.shape])
        if types == ("bool",) and x.dtype != np.bool_:
            raise ModelError(f"{name}: the input must be bools.")
        kind = x.dtype if are_plain(x) else np.float32
        with np.errstate(all="ignore"):
            return [np.asarray(function(x, axis=attrs.axes, keepdims=attrs.keep_dims, **_width(function, kind)), kind)]

    def prepare(site: Site) -> Run:
        _infer(site.attrs, [site.x.shape])
        run = float_run(reference, site)
        if run is not None:
            return run
        if is_plain(site):
            plain_type(site, types)
            return lambda args: [np.ascontiguousarray(reference(site.attrs, [checked_rows(site, args[0])])[0])]
        if quantized is None:
            raise site.unsupported("there is no rule for integers with scales.")
        return quantized(site)

    return register(
        OpSpec(
            name=name, attrs=MeanAttrs, infer_shape=_infer, reference=reference, prepare=prepare, count=MEAN.count,
            output_quant=output_quant, plain=True, summary=summary,
        )
    )  # fmt: skip


def _width(function: Reduce, kind: Any) -> dict[str, Any]:
    """Return the type in which a product is taken; the other reductions have no other than that of their input."""
    return {"dtype": kind} if function is np.prod else {}


def _stored(function: Reduce) -> Callable[[Site], Run]:
    """Return what prepares a reduction of the integers as they are stored."""

    def prepare(site: Site) -> Run:
        same_quantization(site, site.x, site.y)
        axes, keep = site.attrs.axes, site.attrs.keep_dims
        return lambda args: [np.ascontiguousarray(function(checked_rows(site, args[0]), axis=axes, keepdims=keep))]

    return prepare


def _product(site: Site) -> Run:
    dtype = same_types(site)
    symmetric_int16(site, site.x, site.y)
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    count = math.prod(site.x.shape[a] for a in site.attrs.axes)
    multiplier, shift = (int(v) for v in quantize_multiplier(float(sx) / float(sy) ** (1.0 / count)))
    if shift > MOST_LEFT:
        raise site.unsupported(
            f"a factor of {float(sx) / float(sy) ** (1.0 / count):g} for each step; below 2**{MOST_LEFT} fits."
        )
    reduced, right = int(reduce_multiplier(multiplier)), 15 - shift
    shape = _infer(site.attrs, [site.x.shape])[0]

    def scaled(values: Array) -> Array:
        """Return int64 values times the factor, wrapped to int32."""
        return ((values * reduced + (1 << (right - 1))) >> right).astype(np.int32).astype(np.int64)

    def products(parts: Array) -> Array:
        real = parts.astype(np.int64) - zx
        total = real[:, 0]
        for i in range(1, real.shape[1]):
            total = scaled(total * real[:, i])
        return np.asarray(np.clip(scaled(total) + zy, *RANGES[dtype]), DTYPES[dtype])

    return run_sums(site, site.attrs.axes, shape, products, lambda found: found)


REDUCE_MAX = _register("reduce_max", np.max, "largest over axes", (*NUMBERS, "bool"), "input", _stored(np.max))
REDUCE_MIN = _register("reduce_min", np.min, "smallest over axes", (*NUMBERS, "bool"), "input", _stored(np.min))
REDUCE_PROD = _register("reduce_prod", np.prod, "product over axes", NUMBERS, "own", _product)
REDUCE_ANY = _register("reduce_any", np.any, "whether any is true, over axes", ("bool",), "none")
REDUCE_ALL = _register("reduce_all", np.all, "whether all are true, over axes", ("bool",), "none")
