"""lstm: a sequence through one layer. Inputs x, w [4N, I], bias [4N], r [4N, N], and the states h, c [B, N]; gates i, f, c, o.

    g = x w + bias + h r;  c = logistic(g_f) * c + logistic(g_i) * tanh(g_c), clipped;  h = logistic(g_o) * tanh(c)

Integers: int8 activations and weights, int16 gates (scale 2**-12) and cell (a power of two); the scales of weights are one per gate,
repeated for its rows. `table` (TFLM), `table_sum_first` (CMSIS-NN) or `gemmlowp` (LiteRT), see `Arithmetic.lstm`; the first two have
int16 activations too. Sums are int32, int64 with int16 activations, and wrap.
Outputs y, and the states after the last step; without the inputs h and c both are zero before every sample, and y is all.
No peephole, projection, layer normalization or coupled gates. Output and recurrent input have one quantization, that of y.
Source: TFLite lstm_eval.cc (LstmStepInteger8x8_16), unidirectional_sequence_lstm.cc; TFLM lstm_eval.h, lstm_eval_common.cc.
Constraints: (C1) x and y of one integer type, (C2) int16 has zero points 0, (C3) the cell's scale is a power of two, for `gemmlowp`
2**-15 to 2**-9, (C4) constant symmetric weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import ModelError
from workbench.kernels.gemm_f32 import gemm_f32
from workbench.kernels.lookup import logistic_tanh_s16_table
from workbench.kernels.lstm import LstmRule, lstm_sequence
from workbench.numerics import gemmlowp
from workbench.numerics.fixed_point import quantize_multiplier, reduce_multiplier
from workbench.numerics.tables import SIGMOID_UINT16
from workbench.ops._elementwise import float_run, quant_of, symmetric_int16
from workbench.ops._linear import bias_of, check_integer, real_constants
from workbench.ops._tables import grid
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, Weights, checked, register
from workbench.ops.logistic import logistic32, tanh32
from workbench.tensor import RANGES, STORAGE

GATE_SCALE_LOG2 = -12
Table = npt.NDArray[np.int16]
Tables = tuple[Table, Table, Table]
"""logistic of the gates, tanh of the candidate, tanh of the cell."""
ELEMENTWISE = 9
"""Elementary operations of one unit and step: four gates, three products, a sum, tanh."""


@dataclass(frozen=True)
class LstmAttrs:
    """time_major: x is [T, B, I] (else [B, T, I]). cell_clip: limit of the cell, 0 for none.

    Of integers, None or 0 for floats: cell_scale_log2 of the cell's scale; hidden_scale, hidden_zero_point of the hidden state before
    it is stored (LiteRT; others store it in the quantization of y).
    """

    time_major: bool = False
    cell_clip: float = 0.0
    cell_scale_log2: int | None = None
    hidden_scale: float = 0.0
    hidden_zero_point: int = 0


def _infer(attrs: LstmAttrs, shapes: list[Shape]) -> list[Shape]:
    x, w, bias, r, *states = shapes if len(shapes) in (4, 6) else [(), (), (), ()]
    units = r[-1] if r else 0
    if len(x) != 3 or w != (4 * units, x[2]) or bias != (4 * units,) or r != (4 * units, units):
        raise ModelError(f"lstm: shapes {x}, {w}, {bias}, {r} are not [B, T, I], [4N, I], [4N], [4N, N].")
    if not (np.isfinite(attrs.cell_clip) and attrs.cell_clip >= 0):
        raise ModelError(f"lstm: the clip of the cell is {attrs.cell_clip}; it must be finite and >= 0.")
    kept = (x[1] if attrs.time_major else x[0], units)
    if any(state != kept for state in states):
        raise ModelError(f"lstm: states {states[0]} and {states[1]} are not {kept}.")
    return [(x[0], x[1], units), *states]


def _reference(attrs: LstmAttrs, args: list[Array]) -> list[Array]:
    x, w, bias, r, *states = args
    x = np.ascontiguousarray(x.transpose(1, 0, 2) if attrs.time_major else x, np.float32)
    samples, steps, _ = x.shape
    units = r.shape[1]
    entering = (
        gemm_f32(x.reshape(samples * steps, -1), np.ascontiguousarray(w.T, np.float32)).reshape(samples, steps, -1) + bias
    )
    recurrent = np.ascontiguousarray(r.T, np.float32)
    h, c = states or (np.zeros((samples, units), np.float32) for _ in range(2))
    y = np.empty((samples, steps, units), np.float32)
    for t in range(steps):
        gates = entering[:, t] + gemm_f32(h, recurrent)
        i, f, candidate, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
        c = logistic32(f) * c + logistic32(i) * tanh32(candidate)
        if attrs.cell_clip > 0:
            c = np.clip(c, -np.float32(attrs.cell_clip), np.float32(attrs.cell_clip))
        h = logistic32(o) * tanh32(c)
        y[:, t] = h
    return [np.ascontiguousarray(y.transpose(1, 0, 2)) if attrs.time_major else y, *((h, c) if states else ())]


def _prepare(site: Site) -> Run:
    attrs: LstmAttrs = site.attrs
    _infer(attrs, [site.input(i).shape for i in range(len(site.inputs))])
    run = float_run(_reference, site)
    if run is not None:
        return lambda args: run(real_constants(site, args))
    if attrs.cell_scale_log2 is None:
        raise site.unsupported(
            "the scales of its states are not known. They come with a model that the TFLite converter quantized; in float it runs."
        )
    compute = _Integers(site)

    def run_integer(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        x = np.ascontiguousarray(x.transpose(1, 0, 2)) if attrs.time_major else x
        states = [checked(site, args[i], site.input(i)).copy() for i in range(4, len(site.inputs))]
        y = compute(x, *(states or compute.begin(len(x))))
        return [np.ascontiguousarray(y.transpose(1, 0, 2)) if attrs.time_major else y, *states]

    return run_integer


class _Integers:
    """The prepared integer layer: x [B, T, I] -> y [B, T, N]; states move on in place."""

    def __init__(self, site: Site) -> None:
        attrs: LstmAttrs = site.attrs
        w, r = check_integer(site, ("int8",)), site.input(3)
        if r.data is None or r.dtype != "int8" or r.quant is None or (r.quant.zero_point != 0).any():
            raise site.unsupported("the recurrent weights must be a symmetric int8 constant with scales.")
        symmetric_int16(site, site.x, site.y)
        wide = site.x.dtype == "int16"
        _check_rules(site, wide)
        bias = site.input(2)
        if bias.dtype != ("int64" if wide else "int32"):
            raise site.unsupported(f"the bias is {bias.dtype}; {site.x.dtype} activations want {'int64' if wide else 'int32'}.")
        (sx, zx), (sh, zh) = quant_of(site, site.x), quant_of(site, site.y)
        self.units, self.dtype, self.zero_point = r.shape[1], site.x.dtype, zh
        _check_states(site)
        kind = np.int64 if wide else np.int32
        self.w, self.r = (np.ascontiguousarray(v.T, np.int16) for v in (w, r.data))
        self.start_x = (bias_of(site, len(w)) - zx * w.astype(np.int64).sum(axis=1)).astype(kind)
        self.start_h = (-zh * r.data.astype(np.int64).sum(axis=1)).astype(kind)
        self.scale_x = _gate_scale(site, site.input(1).quant, sx, len(w))
        self.scale_h = _gate_scale(site, r.quant, sh, len(w))
        if site.arithmetic.lstm == "gemmlowp":
            self.rule, self.tables = _fixed_point_rule(site), _gemmlowp_tables(attrs)
        else:
            self.rule, self.tables = _table_rule(site, float(sh), zh), _interpolated_tables(attrs)

    def begin(self, samples: int) -> tuple[Array, Array]:
        """Return states of zero."""
        shape = samples, self.units
        return np.full(shape, self.zero_point, STORAGE[self.dtype]), np.zeros(shape, np.int16)

    def __call__(self, x: Array, hidden: Array, cell: Array) -> Array:
        y = np.empty((*x.shape[:2], self.units), x.dtype)
        lstm_sequence(
            x, self.w, self.start_x, self.scale_x, self.r, self.start_h, self.scale_h, self.rule, *self.tables, hidden, cell, y
        )  # fmt: skip
        return y


def _check_states(site: Site) -> None:
    """Refuse states that are stored otherwise than the kernel has them."""
    if len(site.inputs) == 4:
        return
    h, c = site.input(4), site.input(5)
    scale = None if c.quant is None else math.frexp(float(c.quant.scale[0]))
    if h.dtype != site.y.dtype or h.quant != site.y.quant or c.dtype != "int16" or scale != (0.5, _log2(site.attrs) + 1):
        raise site.unsupported(
            f"the hidden state must be {site.y.dtype} with the scale of the output, the cell int16 with scale 2**{_log2(site.attrs)}."
        )


def _check_rules(site: Site, wide: bool) -> None:
    """Refuse a target whose general rules are not those of its LSTM kernels, which have their own."""
    a = site.arithmetic
    stated = {"overflow": a.overflow} | (
        {"accumulator_bits_wide": a.accumulator_bits_wide, "requantize_wide": a.requantize_wide}
        if wide
        else {"accumulator_bits": a.accumulator_bits, "requantize": a.requantize}
    )
    known = {"overflow": "wrap"} | (
        {"accumulator_bits_wide": 64, "requantize_wide": "reduced_multiplier"}
        if wide
        else {"accumulator_bits": 32, "requantize": "double"}
    )
    for field, value in stated.items():
        if value != known[field]:
            raise site.unsupported(
                f"its kernels are known with {field} {known[field]} only, the profile says {value}. "
                f"Say so for this operator: lstm: {{arithmetic: {{{field}: {known[field]}}}}}."
            )


def _gate_scale(site: Site, quant: Any, scale: np.float32, rows: int) -> tuple[Array, Array]:
    """Return (multiplier, shift) of every row of the gates: float32(scale of weights * scale of input) / 2**-12."""
    if len(quant.scale) not in (1, rows):
        raise site.unsupported(f"{len(quant.scale)} weight scales for {rows} rows; 1 or {rows} fit.")
    with np.errstate(over="ignore", under="ignore"):
        effective = (quant.scale * scale / np.float32(2.0**GATE_SCALE_LOG2)).astype(np.float64)
    multiplier, shift = quantize_multiplier(np.broadcast_to(effective, (rows,)))
    wide = site.x.dtype == "int16"
    if not np.isfinite(effective).all() or shift.max() > (14 if wide else 30):
        raise site.unsupported(f"the scale of a gate is {effective.max():g}; it must be below 2**{14 if wide else 30}.")
    return (reduce_multiplier(multiplier) if wide else multiplier), shift


def _multiplier(site: Site, scale: float) -> tuple[int, int]:
    multiplier, shift = (int(v) for v in quantize_multiplier(scale))
    if shift > 30:
        raise site.unsupported(f"the scale of a product of states is {scale:g}; below 2**30 fits.")
    return multiplier, shift


def _clip(attrs: LstmAttrs) -> int:
    """Return the limit of the cell as an integer, toward zero."""
    return int(min(attrs.cell_clip / 2.0 ** _log2(attrs), 32767.0))


def _log2(attrs: LstmAttrs) -> int:
    assert attrs.cell_scale_log2 is not None
    return attrs.cell_scale_log2


def _fixed_point_rule(site: Site) -> LstmRule:
    """LiteRT."""
    attrs: LstmAttrs = site.attrs
    if site.x.dtype != "int8":
        raise site.unsupported("only int8 activations have a rule.")
    if not -15 <= _log2(attrs) <= -9:
        raise site.unsupported(f"the scale of the cell is 2**{attrs.cell_scale_log2}; 2**-15 to 2**-9 fit.")
    if not (np.isfinite(attrs.hidden_scale) and attrs.hidden_scale > 0 and -128 <= attrs.hidden_zero_point <= 127):
        raise site.unsupported(f"the hidden state has scale {attrs.hidden_scale} and zero point {attrs.hidden_zero_point}.")
    multiplier, shift = _multiplier(site, float(np.float32(2.0**-15 / attrs.hidden_scale * 2.0**-15)))
    return LstmRule(
        True, True, False, 0, 15, 0, 30 + _log2(attrs), multiplier, shift, _clip(attrs), attrs.hidden_zero_point,
        *RANGES["int8"],
    )  # fmt: skip


def _table_rule(site: Site, hidden: float, zero_point: int) -> LstmRule:
    """TFLM, CMSIS-NN. hidden, zero_point: quantization of the hidden state, which is that of y."""
    if not -30 <= _log2(site.attrs) <= 0:
        raise site.unsupported(f"the scale of the cell is 2**{_log2(site.attrs)}; 2**-30 to 1 fit.")
    cell = 2.0 ** _log2(site.attrs)
    forget, entering = _multiplier(site, 2.0**-15), _multiplier(site, 2.0**-30 / cell)
    leaving = _multiplier(site, 2.0**-30 / hidden)
    wide = site.x.dtype == "int16"
    sum_first = site.arithmetic.lstm == "table_sum_first"
    return LstmRule(
        sum_first, False, wide, *forget, *entering, *leaving, _clip(site.attrs), zero_point, *RANGES[site.x.dtype]
    )  # fmt: skip


def _interpolated_tables(attrs: LstmAttrs) -> Tables:
    """Return logistic and tanh of the gates and tanh of the cell for every int16 value, by the table of logistic(i / 24)."""
    tables = np.empty(65536, np.int16), np.empty(65536, np.int16), np.empty(65536, np.int16)
    left = _log2(attrs) - GATE_SCALE_LOG2
    cell = (3 << left, 0) if left >= 0 else (3, -left)
    for table, is_tanh, (multiplier, right) in zip(tables, (False, True, True), ((3, 0), (3, 0), cell), strict=True):
        logistic_tanh_s16_table(grid("int16"), is_tanh, multiplier, right, SIGMOID_UINT16, table)
    return tables


def _gemmlowp_tables(attrs: LstmAttrs) -> Tables:
    """Return the same by gemmlowp's functions in 16 bits: Q3.12 for the gates, as many integer bits as the cell has."""
    values = grid("int16").astype(np.int64)
    logistic, tanh = gemmlowp.logistic(values, 3, 16), gemmlowp.tanh(values, 3, 16)
    cell = gemmlowp.tanh(values, 15 + _log2(attrs), 16)
    return np.asarray(logistic, np.int16), np.asarray(tanh, np.int16), np.asarray(cell, np.int16)


def _count(attrs: LstmAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count the products of all gates, and the elementary operations, per entry of dimension 0."""
    repeats, depth = inputs[0][1:]
    units = outputs[0][2]
    return Counts(macs=repeats * 4 * units * (depth + units), elements=repeats * units * ELEMENTWISE)


LSTM = register(
    OpSpec(
        name="lstm", attrs=LstmAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=_count,
        weights=Weights(), summary="sequence LSTM",
    )
)  # fmt: skip
