"""svdf: a dense layer of rank-R filters over the last M frames.

Inputs x [B, I], wf [F, I], bias [U] or none, wt [F, M], state [B, F M].

    feature f of a frame = x . wf[f];   y[u] = bias[u] + sum over filters of u, and over the last M frames, of feature * wt

F = U R. Outputs y [B, U], and the state after the frame: the features of the last M frames of every filter, the newest last.
Integers: int8 x, wf and y; wt and state int16 (LiteRT, TFLM) or both int8 (TFLM); bias int32 in the scale of state * wt. Features are
requantized to the state's scale and saturate, sums are int32 and wrap; rule `double` both times. A fused activation is that of the
output's range: the kernels do not apply one.
Source: TFLite reference/svdf.h, svdf.cc; TFLM svdf_common.cc.
Constraints: (C1) constant symmetric weights with one scale, (C2) state and wt of one type, zero point 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.graph.ir import Tensor
from workbench.kernels.gemm_f32 import gemm_f32
from workbench.kernels.svdf import svdf_s8
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.ops._elementwise import float_run, quant_of
from workbench.ops._linear import fuse, real_constants
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, Weights, checked, register


@dataclass(frozen=True)
class SvdfAttrs:
    """rank: filters of one output. activation: fused."""

    rank: int = 1
    activation: str = "none"


def _infer(attrs: SvdfAttrs, shapes: list[Shape]) -> list[Shape]:
    x, wf, *bias, wt, state = shapes
    fits = len(x) == len(wf) == len(wt) == 2 and wf[1] == x[1] and wt[0] == wf[0] and attrs.rank > 0 and wf[0] % attrs.rank == 0
    if not fits or state != (x[0], wt[0] * wt[1]) or (bias and bias[0] != (wf[0] // attrs.rank,)):
        raise ModelError(
            f"svdf: shapes {', '.join(map(str, shapes))} and rank {attrs.rank} do not fit [B, I], [F, I], [U], [F, M], [B, F M]."
        )
    return [(x[0], wf[0] // attrs.rank), state]


def _reference(attrs: SvdfAttrs, args: list[Array]) -> list[Array]:
    x, wf, bias, wt, state = args
    frames = state.reshape(len(x), *wt.shape)
    feature = gemm_f32(np.ascontiguousarray(x, np.float32), np.ascontiguousarray(wf.T, np.float32))
    moved = np.concatenate((frames[..., 1:], feature[..., np.newaxis]), axis=2)
    y = (moved * wt).sum(axis=2).reshape(len(x), -1, attrs.rank).sum(axis=2)
    y = y if bias is None else y + bias
    return [fuse(np.asarray(y, np.float32), attrs.activation), np.ascontiguousarray(moved.reshape(state.shape), np.float32)]


def _prepare(site: Site) -> Run:
    attrs: SvdfAttrs = site.attrs
    _infer(attrs, [t.shape for t in site.inputs if t is not None])
    run = float_run(_reference, site)
    if run is not None:
        return lambda args: run(real_constants(site, args))
    state, wf, wt = site.input(4), _weights(site, 1), _weights(site, 3)
    sums = {"requantize": "double", "overflow": "wrap", "accumulator_bits": 32}
    for field, known in sums.items():
        if getattr(site.arithmetic, field) != known:
            raise site.unsupported(
                f"its kernels are known with {field} {known} only; the profile says {getattr(site.arithmetic, field)}."
            )
    if state.dtype != wt.dtype or state.dtype not in ("int8", "int16") or state.quant is None:
        raise site.unsupported("the state and the time weights must be both int16 or both int8, with scales.")
    (sx, zx), (sy, zy), (ss, zs) = quant_of(site, site.x, ("int8",)), quant_of(site, site.y, ("int8",)), quant_of(site, state)
    if zs:
        raise site.unsupported(f"the zero point of the state is {zs}; 0 fits.")
    assert wf.quant is not None and wt.quant is not None and wf.data is not None and wt.data is not None
    with np.errstate(over="ignore", under="ignore"):
        first = _multiplier(site, float(sx) * float(wf.quant.scale[0]) / float(ss))
        second = _multiplier(site, float(ss) * float(wt.quant.scale[0]) / float(sy))
    bias = _bias(site, wf.shape[0] // attrs.rank)
    features, times, bits = np.ascontiguousarray(wf.data), np.ascontiguousarray(wt.data), 8 * wt.data.itemsize

    def run_integer(args: Sequence[Array]) -> list[Array]:
        x, kept = checked(site, args[0], site.x), checked(site, args[4], state).copy()
        y = np.empty((len(x), len(bias)), np.int8)
        svdf_s8(x, zx, features, times, bias, first, second, zy, bits, kept.reshape(len(x), *times.shape), y)
        return [y, kept]

    return run_integer


def _weights(site: Site, i: int) -> Tensor:
    w = site.input(i)
    if (
        w.data is None
        or w.quant is None
        or len(w.quant.scale) != 1
        or w.quant.zero_point.any()
        or (i == 1 and w.dtype != "int8")
    ):
        raise site.unsupported(f"input {i} must be constant integers with one scale and zero point 0.")
    return w


def _bias(site: Site, units: int) -> Array:
    bias = site.optional(2)
    if bias is None:
        return np.zeros(units, np.int32)
    if bias.data is None or bias.dtype != "int32":
        raise site.unsupported(f"the bias is {bias.dtype}; a constant int32 fits.")
    return np.ascontiguousarray(bias.data)


def _multiplier(site: Site, scale: float) -> tuple[int, int]:
    multiplier, shift = (int(v) for v in quantize_multiplier(scale))
    if not np.isfinite(scale) or shift > 30:
        raise site.unsupported(f"an effective scale is {scale:g}; below 2**30 fits.")
    return multiplier, shift


def _count(attrs: SvdfAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count the products of both matrices; the state moves by one frame."""
    (filters, depth), kept = inputs[1], outputs[1][1]
    return Counts(macs=filters * depth + kept, elements=kept)


SVDF = register(
    OpSpec(
        name="svdf", attrs=SvdfAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=_count,
        weights=Weights(), summary="dense layer over the last frames, factored (SVDF)",
    )
)  # fmt: skip
