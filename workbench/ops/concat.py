"""concat: inputs one after another along an axis, no arithmetic.

int8: TFLite, TFLM and CMSIS-NN demand the output's quantization on every input; int16: they demand zero point 0 and copy the
integers whatever the scales are. Both are reproduced. Unsigned bytes of other scales are rescaled by LiteRT (`Arithmetic.concat`). A
fused activation on integers has no rule (TFLM refuses it).
Source: TFLite concatenation.cc, TFLM concatenation.cc. Constraints: (C1) one type, (C2) the quantization rules above,
(C3) all sizes but the axis equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.graph.ir import Tensor
from workbench.numerics.activation import fused_limits
from workbench.ops._elementwise import (
    float_run,
    normal_axis,
    plain_type,
    quant_of,
    same_quantization,
    same_types,
    symmetric_int16,
)
from workbench.ops.add import activate
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, checked, count_outputs, register


@dataclass(frozen=True)
class ConcatAttrs:
    """axis: along which to join (negative: from the end). activation: fused."""

    axis: int
    activation: str = "none"


def _infer(attrs: ConcatAttrs, shapes: list[Shape]) -> list[Shape]:
    fused_limits(attrs.activation)
    first = shapes[0]
    axis = normal_axis(attrs.axis, len(first), "concat")
    for shape in shapes:
        if len(shape) != len(first) or any(d != e for i, (d, e) in enumerate(zip(shape, first, strict=True)) if i != axis):
            raise ModelError(f"concat: shapes {', '.join(map(str, shapes))} differ in more than axis {axis}.")
    return [(*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])]


def _reference(attrs: ConcatAttrs, args: list[Array]) -> list[Array]:
    parts = args
    if normal_axis(attrs.axis, args[0].ndim, "concat") > 0:
        batch = max(a.shape[0] for a in args)  # every sample gets the one row of a constant
        parts = [np.broadcast_to(a, (batch, *a.shape[1:])) if a.shape[0] == 1 else a for a in args]
    return [activate(attrs, np.concatenate(parts, axis=attrs.axis))]


def _prepare(site: Site) -> Run:
    tensors = [site.input(i) for i in range(len(site.inputs))]
    _infer(site.attrs, [t.shape for t in tensors])
    axis = normal_axis(site.attrs.axis, len(site.x.shape), f"node '{site.name}'")
    run = float_run(_reference, site)
    if run is None:
        plain = all(t.is_plain for t in (*tensors, site.y))
        dtype = plain_type(site) if plain else same_types(site)
        if site.attrs.activation != "none":
            raise site.unsupported(f"a fused {site.attrs.activation} has no integer rule.")
        if not plain:
            symmetric_int16(site, *tensors, site.y)
        tables: list[Array | None] = [None] * len(tensors)
        if not plain and dtype == "int8" and site.arithmetic.concat == "float32":
            tables = [None if t.quant == site.y.quant else _rescaled(site, t) for t in tensors]
        elif not plain and dtype != "int16":
            for tensor in tensors:
                same_quantization(site, tensor, site.y)

        def run(args: Sequence[Array]) -> list[Array]:
            parts = [a if table is None else table[a.view(np.uint8)] for a, table in zip(args, tables, strict=True)]
            return [np.concatenate(parts, axis=axis)]

    chosen = run

    def run_aligned(args: Sequence[Array]) -> list[Array]:
        parts = [checked(site, a, t) for a, t in zip(args, tensors, strict=True)]
        batch = max((a.shape[0] for a, t in zip(parts, tensors, strict=True) if not t.is_constant), default=1)
        for i, tensor in enumerate(tensors):
            if tensor.is_constant and axis > 0 and parts[i].shape[0] == 1:  # every sample gets the file's one row
                parts[i] = np.broadcast_to(parts[i], (batch, *parts[i].shape[1:]))
        if axis > 0 and len({a.shape[0] for a in parts}) > 1:
            raise InputError(f"node '{site.name}': inputs have different numbers of samples.")
        return chosen(parts)

    return run_aligned


def _rescaled(site: Site, x: Tensor) -> Array:
    """Return the output of every byte (as its bits, 0 first) of an input with another scale: `Arithmetic.concat` float32."""
    (sx, zx), (sy, zy) = quant_of(site, x), quant_of(site, site.y)
    stored = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float32) + np.float32(site.lift)
    scale = np.float32(sx * np.float32(np.float32(1.0) / sy))
    real = (stored * scale + np.float32(np.float32(-zx - site.lift) * scale)).astype(np.float64)
    return np.asarray(np.clip(np.copysign(np.floor(np.abs(real) + 0.5), real) + zy, -128, 127), np.int8)


CONCAT = register(
    OpSpec(
        name="concat", attrs=ConcatAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=count_outputs,
        output_quant="shared", plain=True, summary="join along an axis",
    )
)  # fmt: skip
