"""rnn_with_states, gru, lstm_with_states: a sequence through one recurrent layer, one direction; states come from and go outside.

Inputs x [B, T, I], w [G N, I], r [G N, N], bias [2 G N] (of w, then of r; optional), h [B, N] (optional: zeros); lstm_with_states also
c [B, N] and peepholes [3 N] (i, o, f), optional. Outputs y [B, T, N], h [B, N] after the last step, lstm_with_states also c [B, N].

    rnn:  h = f(x w + h r + b)
    gru:  z, r = f(x w + h r + b);  n = g(x w + (r h) r + b), or g(x w + b + r (h r + b)) with linear_before_reset;  h = (1 - z) n + z h
    lstm: i, f = f(x w + h r + p c + b);  n = g(x w + h r + b);  c = f c + i n;  o = f(x w + h r + p c + b);  h = o h(c)

Gates stand in ONNX's order: z r h; i o f c. What enters a function is clipped to +-clip. Floats: float32, sums in a fixed order.
Integers have no rule: in a plan for integers these run in float between conversions, where the target has them so.
Source: ONNX RNN, GRU, LSTM. Constraints: (C1) shapes as above, (C2) functions of FUNCTIONS, (C3) clip >= 0, 0: none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError, ModelError
from workbench.kernels.gemm_f32 import gemm_f32
from workbench.ops._elementwise import float_run
from workbench.ops._linear import real_constants
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, checked, register
from workbench.ops.logistic import logistic32, tanh32

Floats = npt.NDArray[np.float32]
Function = Callable[[Floats], Floats]


def _relu(x: Floats) -> Floats:
    return np.asarray(np.maximum(x, np.float32(0)))


def _softsign(x: Floats) -> Floats:
    return np.asarray(x / (np.float32(1) + np.abs(x)), np.float32)


def _softplus(x: Floats) -> Floats:
    return np.asarray(np.logaddexp(x, np.float32(0)), np.float32)


def _hard_sigmoid(x: Floats) -> Floats:
    return np.asarray(np.clip(np.float32(0.2) * x + np.float32(0.5), np.float32(0), np.float32(1)))


FUNCTIONS: dict[str, Function] = {
    "sigmoid": logistic32, "tanh": tanh32, "relu": _relu, "softsign": _softsign, "softplus": _softplus, "hardsigmoid": _hard_sigmoid,
}  # fmt: skip
"""Functions of gates and states, by ONNX's names in lower case; hardsigmoid with its default slope and offset."""
GATES = {"rnn_with_states": 1, "gru": 3, "lstm_with_states": 4}
DEFAULTS = {"rnn_with_states": ("tanh",), "gru": ("sigmoid", "tanh"), "lstm_with_states": ("sigmoid", "tanh", "tanh")}
"""Functions f, g, h of each cell."""


@dataclass(frozen=True)
class RecurrentAttrs:
    """cell: a key of GATES. functions: f, g, h. reverse: from the last step to the first; y stays in the order of x."""

    cell: str
    functions: tuple[str, ...]
    reverse: bool = False
    clip: float = 0.0
    linear_before_reset: bool = False
    input_forget: bool = False


def _check(attrs: RecurrentAttrs, shapes: Sequence[Shape]) -> int:
    """Return the number of units; ModelError when shapes or functions do not fit. () stands for an absent input."""
    x, w, r = shapes[:3]
    rows = GATES[attrs.cell] * (r[-1] if r else 0)
    units = r[-1] if r else 0
    given = list(shapes[3:]) + [()] * 4
    state = ((), (x[0], units), (1, units)) if x else ((),)
    fits = len(x) == 3 and units > 0 and w == (rows, x[2]) and r == (rows, units) and given[0] in ((), (2 * rows,))
    fits = fits and given[1] in state and given[2] in state and given[3] in ((), (3 * units,))
    if not fits:
        raise ModelError(
            f"{attrs.cell}: shapes {', '.join(map(str, shapes))} are not [B, T, I], [G N, I], [G N, N], [2 G N], [B, N], ..."
        )
    if len(attrs.functions) != len(DEFAULTS[attrs.cell]) or any(f not in FUNCTIONS for f in attrs.functions):
        raise ModelError(
            f"{attrs.cell}: functions {attrs.functions}; expected {len(DEFAULTS[attrs.cell])} of {', '.join(FUNCTIONS)}."
        )
    if not (math.isfinite(attrs.clip) and attrs.clip >= 0):
        raise ModelError(f"{attrs.cell}: the clip is {attrs.clip}; it must be finite and >= 0.")
    return units


def _infer(attrs: RecurrentAttrs, shapes: list[Shape]) -> list[Shape]:
    units = _check(attrs, shapes)
    batch, steps, _ = shapes[0]
    last = (batch, units)
    return [(batch, steps, units), last, last][: 3 if attrs.cell == "lstm_with_states" else 2]


class _Layer:
    """One layer on one batch: what enters from x is computed for all steps at once."""

    def __init__(self, attrs: RecurrentAttrs, args: Sequence[Array | None]) -> None:
        self.attrs = attrs
        x, w, r, bias, h, c, peepholes = (
            None if a is None else np.ascontiguousarray(a, np.float32) for a in [*args, *[None] * 7][:7]
        )
        assert x is not None and w is not None and r is not None
        self.samples, self.steps, depth = x.shape
        self.units = r.shape[1]
        rows = len(w)
        both = np.zeros(2 * rows, np.float32) if bias is None else bias
        self.f, self.g, self.h = (*(FUNCTIONS[name] for name in attrs.functions), tanh32, tanh32)[:3]
        self.r = np.ascontiguousarray(r.T)
        separate = attrs.cell == "gru" and attrs.linear_before_reset
        self.candidate_bias = both[rows + 2 * self.units :] if separate else np.zeros(self.units, np.float32)
        entering_bias = both[:rows] + both[rows:]
        if separate:
            entering_bias[2 * self.units :] = both[2 * self.units : rows]
        entering = gemm_f32(x.reshape(-1, depth), np.ascontiguousarray(w.T))
        self.entering = entering.reshape(self.samples, self.steps, rows) + entering_bias
        self.start = tuple(self._state(s) for s in (h, c))
        self.peepholes = np.zeros((3, self.units), np.float32) if peepholes is None else peepholes.reshape(3, self.units)

    def _state(self, given: Floats | None) -> Floats:
        shape = (self.samples, self.units)
        if given is None:
            return np.zeros(shape, np.float32)
        if given.shape[0] not in (1, self.samples):
            raise InputError(f"{self.attrs.cell}: {len(given)} states for {self.samples} samples.")
        return np.broadcast_to(given, shape)

    def _clip(self, x: Floats) -> Floats:
        limit = np.float32(self.attrs.clip)
        return np.clip(x, -limit, limit) if limit > 0 else x

    def run(self) -> list[Array]:
        """Return y, the last h, and the last c of an LSTM."""
        y = np.empty((self.samples, self.steps, self.units), np.float32)
        h, c = self.start
        order = range(self.steps)
        step = {"rnn_with_states": self._rnn, "gru": self._gru, "lstm_with_states": self._lstm}[self.attrs.cell]
        for t in reversed(order) if self.attrs.reverse else order:
            h, c = step(self.entering[:, t], h, c)
            y[:, t] = h
        last = [np.array(h, np.float32), np.array(c, np.float32)]
        return [y, *last][: 3 if self.attrs.cell == "lstm_with_states" else 2]

    def _rnn(self, entering: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats]:
        return self.f(self._clip(entering + gemm_f32(np.ascontiguousarray(h), self.r))), c

    def _gru(self, entering: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats]:
        n = self.units
        h = np.ascontiguousarray(h)
        gates = self.f(self._clip(entering[:, : 2 * n] + gemm_f32(h, np.ascontiguousarray(self.r[:, : 2 * n]))))
        z, reset = gates[:, :n], gates[:, n:]
        inner = np.ascontiguousarray(self.r[:, 2 * n :])
        if self.attrs.linear_before_reset:
            recurrent = reset * (gemm_f32(h, inner) + self.candidate_bias)
        else:
            recurrent = gemm_f32(np.ascontiguousarray(reset * h), inner)
        candidate = self.g(self._clip(entering[:, 2 * n :] + recurrent))
        return (np.float32(1) - z) * candidate + z * h, c

    def _lstm(self, entering: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats]:
        gates = entering + gemm_f32(np.ascontiguousarray(h), self.r)
        i, o, f, candidate = (gates[:, k * self.units : (k + 1) * self.units] for k in range(4))
        p_i, p_o, p_f = self.peepholes
        i = self.f(self._clip(i + p_i * c))
        f = np.float32(1) - i if self.attrs.input_forget else self.f(self._clip(f + p_f * c))
        c = f * c + i * self.g(self._clip(candidate))
        return self.f(self._clip(o + p_o * c)) * self.h(c), c


def _reference(attrs: RecurrentAttrs, args: list[Array]) -> list[Array]:
    _check(attrs, [() if a is None else a.shape for a in args])
    return _Layer(attrs, args).run()


def _prepare(site: Site) -> Run:
    _check(site.attrs, [() if t is None else t.shape for t in site.inputs])
    run = float_run(_reference, site)
    if run is None:
        raise site.unsupported("integers have no rule; where the target has it in fp32, it runs so between conversions.")

    def run_checked(args: Sequence[Array]) -> list[Array]:
        tensors = [*site.inputs]
        given = [a if t is None or t.is_constant else checked(site, a, t) for a, t in zip(args, tensors, strict=True)]
        return run(real_constants(site, given))

    return run_checked


def _count(attrs: RecurrentAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count the products of all gates and about three elementary operations per gate."""
    _, steps, units = outputs[0]
    gates = GATES[attrs.cell]
    return Counts(macs=steps * gates * units * (inputs[0][2] + units), elements=steps * units * gates * 3)


for _name, _summary in (
    ("rnn_with_states", "simple recurrent layer"),
    ("gru", "gated recurrent layer"),
    ("lstm_with_states", "LSTM with outer states"),
):
    register(
        OpSpec(
            name=_name, attrs=RecurrentAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=_count,
            summary=f"{_summary}, one direction, float",
        )
    )  # fmt: skip
