"""What the operators without weights share: checks of types and scales, shapes, float runs.

Kernels run without bounds checks: everything here is checked once in `prepare`, and shapes again for every array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.graph.ir import Tensor
from workbench.numerics.float16 import NARROW
from workbench.ops.base import Array, Run, Shape, Site, checked, run_float32, run_rounded_once
from workbench.tensor import RANGES

INTEGERS = ("int8", "int4", "int2", "int16")
SMALLEST_SCALE, LARGEST_SCALE = 2.0**-100, 2.0**100
"""Scales beyond these are damage, not quantization; inside, no quotient of two of them leaves float32 by surprise."""
Reference = Callable[[Any, list[Array]], list[Array]]


def normal_axis(axis: int, rank: int, what: str) -> int:
    """Return the axis as a non-negative number; ModelError when it is outside of the rank."""
    if not -rank <= axis < rank:
        raise ModelError(f"{what}: axis {axis} is outside of {rank} dimensions.")
    return axis % rank


def float_run(reference: Reference, site: Site) -> Run | None:
    """Return the float run of a site whose activations are floats of one type, or None for integers.

    tfloat32 is float32 here: only matrix products read fewer bits.
    """
    dtypes = {t.dtype for t in (*site.inputs, *site.outputs) if t is not None and not t.is_constant}
    if dtypes <= {"float32", "tfloat32"}:
        return run_float32(reference, site)
    if len(dtypes) == 1 and dtypes <= NARROW.keys():
        return run_rounded_once(reference, site)
    return None


def quant_of(site: Site, tensor: Tensor, types: Sequence[str] = INTEGERS) -> tuple[np.float32, int]:
    """Return (scale float32, zero point) of a per-tensor quantized int8 or int16 tensor; UnsupportedError when it is not."""
    if tensor.dtype not in types:
        raise site.unsupported(f"'{tensor.name}' must be {' or '.join(types)}.")
    if tensor.quant is None or tensor.quant.axis is not None:
        raise site.unsupported(f"'{tensor.name}' needs one scale and one zero point.")
    scale, zero_point = tensor.quant.scalar
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise site.unsupported(f"the scale {scale:g} of '{tensor.name}' is absurd; 2**-100 to 2**100 fit.")
    low, high = RANGES[tensor.dtype]
    if not low <= zero_point <= high:
        raise site.unsupported(f"the zero point {zero_point} of '{tensor.name}' is outside of [{low}, {high}].")
    return scale, zero_point


def fixed_output(site: Site, fixed: tuple[float, int]) -> None:
    """Refuse an output whose scale and zero point are not those that the TFLite specification fixes."""
    scale, zero_point = fixed
    if quant_of(site, site.y) != (np.float32(scale), zero_point):
        raise site.unsupported(f"the output must have scale {scale} and zero point {zero_point}.")


def symmetric_int16(site: Site, *tensors: Tensor) -> None:
    """Refuse int16 tensors with a zero point: the runtimes do (16x8 specification), and their kernels ignore it."""
    for tensor in tensors:
        if tensor.dtype == "int16" and quant_of(site, tensor)[1] != 0:
            raise site.unsupported(f"int16 '{tensor.name}' must have zero point 0.")


def same_types(site: Site) -> str:
    """Return the one integer type of all inputs and outputs; UnsupportedError when they differ."""
    types = {t.dtype for t in (*site.inputs, *site.outputs) if t is not None}
    if len(types) != 1 or not types <= set(INTEGERS):
        raise site.unsupported("all inputs and outputs must be of one type: int8, int4, int2 or int16.")
    return types.pop()


def plain_type(site: Site) -> str:
    """Return the one type of inputs and outputs that are integers or bools without a scale; UnsupportedError when they differ."""
    types = {t.dtype for t in (*site.inputs, *site.outputs) if t is not None}
    if len(types) != 1:
        raise site.unsupported("all inputs and outputs must be of one type.")
    return types.pop()


def same_quantization(site: Site, x: Tensor, y: Tensor, tolerance: float = 0.0) -> None:
    """Refuse operators that only move values when input and output are scaled differently."""
    (sx, zx), (sy, zy) = quant_of(site, x), quant_of(site, y)
    if abs(float(sx) - float(sy)) > tolerance or zx != zy or x.dtype != y.dtype:
        raise site.unsupported(f"'{x.name}' ({sx:g}, {zx}) and '{y.name}' ({sy:g}, {zy}) must have the same quantization.")


def move_run(site: Site, move: Callable[[list[Array]], Array]) -> Run:
    """Return a run that only moves values of input 0 (any type)."""

    def run(args: Sequence[Array]) -> list[Array]:
        return [np.asarray(move([checked(site, args[0], site.x)]), order="C")]  # a single number stays one

    return run


def broadcast_shape(shapes: list[Shape], what: str) -> Shape:
    """Return the broadcast shape of two inputs; ModelError when they do not fit."""
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        raise ModelError(f"{what}: shapes {' and '.join(map(str, shapes))} cannot be broadcast.") from None
