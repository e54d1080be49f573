"""arg_max, arg_min: position of the largest or smallest element along an axis, as a plain integer; the first one of equals.

Integers are compared as they are: one scale keeps their order. NaN: a later element only wins by being larger (smaller), which NaN
never is and nothing is to a NaN in front.
Source: TFLite arg_min_max.h, ONNX ArgMax. Constraints: (C1) the output is int32 or int64, (C2) the axis is not the batch's only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.numerics.float16 import widen
from workbench.ops._elementwise import normal_axis
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, checked, register
from workbench.precision import is_float


@dataclass(frozen=True)
class ArgAttrs:
    """axis: searched. keep_dims: as one element. to: type of the output. last: of equals the last one (ONNX select_last_index)."""

    axis: int
    keep_dims: bool = False
    to: str = "int64"
    last: bool = False


def _infer(attrs: ArgAttrs, shapes: list[Shape]) -> list[Shape]:
    x = shapes[0]
    axis = normal_axis(attrs.axis, len(x), "arg_max")
    if attrs.to not in ("int32", "int64"):
        raise ModelError(f"arg_max: positions as {attrs.to}; expected int32 or int64.")
    return [(*x[:axis], *((1,) if attrs.keep_dims else ()), *x[axis + 1 :])]


def _positions(attrs: ArgAttrs, x: Array, largest: bool) -> Array:
    """Return the positions along the axis, the dimension kept or not."""
    axis = attrs.axis % x.ndim
    values = np.flip(x, axis) if attrs.last else x
    if values.dtype.kind == "f":
        values = _without_nan(values, axis, largest)
    found = (np.argmax if largest else np.argmin)(values, axis, keepdims=attrs.keep_dims)
    return np.asarray(x.shape[axis] - 1 - found if attrs.last else found, attrs.to)


def _without_nan(x: Array, axis: int, largest: bool) -> Array:
    """Return x such that NumPy's search ends where a loop of comparisons does: NaN in front wins, any other loses."""
    bad = np.isnan(x)
    if not bad.any():
        return x
    worst = -np.inf if largest else np.inf
    made = np.where(bad, worst, x)
    front = [slice(None)] * x.ndim
    front[axis] = slice(0, 1)
    made[tuple(front)] = np.where(bad[tuple(front)], -worst, made[tuple(front)])
    return made


def _spec(name: str, largest: bool, summary: str) -> OpSpec:
    def reference(attrs: ArgAttrs, args: list[Array]) -> list[Array]:
        return [_positions(attrs, args[0], largest)]

    def prepare(site: Site) -> Run:
        attrs: ArgAttrs = site.attrs
        _infer(attrs, [site.x.shape])
        if site.y.dtype != attrs.to or not site.y.is_plain:
            raise site.unsupported(f"the output must be {attrs.to} without a scale.")

        def run(args: Sequence[Array]) -> list[Array]:
            x = checked(site, args[0], site.x)
            return [_positions(attrs, widen(x) if is_float(site.x.dtype) else x, largest)]

        return run

    return register(
        OpSpec(
            name=name, attrs=ArgAttrs, infer_shape=_infer, reference=reference, prepare=prepare, count=_count,
            output_quant="none", plain=True, summary=summary,
        )
    )  # fmt: skip


def _count(attrs: Any, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    return Counts(elements=int(np.prod(inputs[0][1:], dtype=np.int64)))


ARG_MAX = _spec("arg_max", True, "position of the largest element along an axis")
ARG_MIN = _spec("arg_min", False, "position of the smallest element along an axis")
