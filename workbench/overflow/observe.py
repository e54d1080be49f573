"""What accumulators meet on data: how many sums leave their register, how near the others come, and what it does to the answers.

A sum leaves its register exactly when one of the exact partial sums does, so these are counted without saturating anything, on the
activations that the target itself computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.execute import Program, Step, Values, batches, run_step
from workbench.graph.ir import Array
from workbench.kernels.gemm import NOTHING, TILES, sum_ends
from workbench.metrics import predictions
from workbench.ops._phases import input_part
from workbench.ops._windows import float_windows, padded_size
from workbench.ops.unsigned import prepare_site
from workbench.overflow.analyse import LayerReport
from workbench.overflow.bounds import bits_for, right_zero_point
from workbench.overflow.layer import Layer, Sums, wide_arithmetic
from workbench.progress import Tick

Look = Callable[[Step, Values], None]
"""Called before every step with the live values."""
I64 = npt.NDArray[np.int64]
I16 = npt.NDArray[np.int16]
BATCH = 64
"""Samples that run together."""
ROWS = 1 << 20
"""Elements of the rows that are laid out at a time."""


@dataclass(frozen=True)
class Seen:
    """One layer on data. outputs: sums (the outputs of a transpose_conv2d that are its bias alone are one of them, per channel and
    sample); overflowed: those that left the register somewhere; low, high: smallest and largest of them.

    flips: samples whose class changes when this layer alone has its accumulator and all others a wide one.
    """

    outputs: int
    overflowed: int
    low: int
    high: int
    bits: int
    flips: int = 0

    @property
    def headroom_bits(self) -> int:
        """How many bits narrower the register could have been on these data (negative: how many were missing)."""
        return self.bits - bits_for(self.low, self.high)


@dataclass(frozen=True)
class Observation:
    """layers: by name. samples; flips: samples whose class is another than with wide accumulators; changed: whose output is."""

    layers: Mapping[str, Seen]
    samples: int
    flips: int
    changed: int


def observe(
    program: Program,
    reports: Sequence[LayerReport],
    feed: Values,
    tick: Tick = lambda done, total: None,
    batch: int = BATCH,
) -> Observation:
    """Return what a program's accumulators meet on inputs, a batch at a time.

    reports: of `analyse`. batch: samples that run together. Layers with a proof cannot differ from wide ones, so only the others are
    run both ways.
    """
    layers = {r.name: r.parts for r in reports if r.parts and all(layer.alone for layer in r.parts)}
    suspects = {r.name for r in reports if not r.proven and not r.is_float}
    widened = {step.node.name: _widened(step) for step in program.steps if step.node.name in suspects}
    count, done = len(next(iter(feed.values()))), 0
    seen: dict[str, Seen] = {}
    flips, changed, alone = 0, 0, dict.fromkeys(suspects, 0)

    def look(step: Step, values: Values) -> None:
        name = step.node.name
        for layer in layers.get(name, ()):
            seen[name] = _look(layer, [values.get(n, c) for n, c in step.sources], seen.get(name))

    together = batches(count, batch) if program.streams is None else [slice(0, count)]  # frames of a stream follow one another
    for part in together:
        values = {name: x[part] for name, x in feed.items()}
        own = _run(program.steps, program, values, look)
        if suspects:
            wide = _run([widened.get(s.node.name, s) for s in program.steps], program, values)
            changed += int(
                np.any([(a != b).reshape(len(a), -1).any(axis=1) for a, b in zip(own, wide, strict=True)], axis=0).sum()
            )
            flips += _flipped(own, wide)
            for name in suspects:
                steps = [s if s.node.name == name else widened.get(s.node.name, s) for s in program.steps]
                alone[name] += _flipped(_run(steps, program, values), wide)
        done += len(next(iter(values.values())))
        tick(done, count)
    return Observation({n: replace(s, flips=alone.get(n, 0)) for n, s in seen.items()}, count, flips, changed)


def _widened(step: Step) -> Step:
    """Return the step with the widest accumulators."""
    site = replace(step.site, arithmetic=wide_arithmetic(step.site.arithmetic))
    return replace(step, site=site, run=prepare_site(site))


def _run(steps: Sequence[Step], program: Program, feed: Values, look: Look = lambda step, values: None) -> list[Array]:
    """Return the outputs of one batch; look into the layers on the way. Activations go when nothing reads them any more."""
    if program.streams is not None:
        return _run_streams(steps, program, feed, look)
    values = dict(feed)
    last = {name: i for i, step in enumerate(steps) for name in (*step.node.inputs, *step.node.outputs)}
    kept = {t.name for t in program.outputs}
    for i, step in enumerate(steps):
        look(step, values)
        run_step(step, values)
        for name in (*step.node.inputs, *step.node.outputs):
            if last[name] == i and name not in kept:
                values.pop(name, None)
    return [values[t.name] for t in program.outputs]


def _run_streams(steps: Sequence[Step], program: Program, feed: Values, look: Look) -> list[Array]:
    """Return the same of a network with state: one row per result."""
    streams = program.streams
    assert streams is not None

    def apply(position: int, values: Values) -> None:
        look(steps[position], values)
        run_step(steps[position], values)

    found = streams.run(apply, streams.apart(feed))
    return [found[t.name].reshape(-1, *found[t.name].shape[2:]) for t in program.outputs]


def _flipped(a: Sequence[Array], b: Sequence[Array]) -> int:
    """Count the samples whose class, the first of the largest values of the first output, differs."""
    first, second = (predictions(np.asarray(v[0], np.float64)) for v in (a, b))
    return int((first != second).sum())


def _look(layer: Layer, args: Sequence[Array | None], before: Seen | None) -> Seen:
    """Add what the sums of one batch reach to what was seen before."""
    sums = layer.sums[0]
    ends = np.array([NOTHING, -NOTHING] if before is None else [before.low, before.high])
    outputs, overflowed = (0, 0) if before is None else (before.outputs, before.overflowed)
    for rows, columns, start in _products(layer, sums, args):
        kept = np.zeros_like(start) if sums.kind == TILES else start
        overflowed += sum_ends(rows, columns, kept, sums.tile, sums.kind, sums.limits, ends)
        outputs += len(rows) * columns.shape[1]
    return Seen(outputs, overflowed, int(ends[0]), int(ends[1]), sums.bits)


Products = Iterator[tuple[I16, I16, I64]]
"""(rows [M, K], columns [K, N], start [N]) of some of the sums."""


def _products(layer: Layer, sums: Sums, args: Sequence[Array | None]) -> Products:
    site = layer.site
    x = args[layer.varying]
    assert x is not None
    if layer.w is None:
        yield from _matrices(layer, sums, x, np.asarray(args[1]))
        return
    w, bias = np.ascontiguousarray(layer.w.T.astype(np.int16)), np.array(layer.bias, np.int64)
    if layer.window is None:
        adjoint = site.op == "batch_matmul" and (site.attrs.adj_x if layer.varying == 0 else not site.attrs.adj_y)
        rows = (np.swapaxes(x, -1, -2) if adjoint else x).reshape(-1, layer.depth)
        step = max(1, ROWS // layer.depth)
        for first in range(0, len(rows), step):
            yield _shifted(rows[first : first + step], sums.shift), w, bias
        return
    for columns, windows in _groups(layer, sums, x):
        if site.op != "depthwise_conv2d":
            yield windows, np.ascontiguousarray(w[:, columns]), bias[columns]
        else:
            positions = np.ascontiguousarray(windows.T)  # one input channel, few outputs: the positions fill the vectors
            for c in range(columns.start, columns.stop):
                yield w[:, c : c + 1].T.copy(), positions, np.full(len(windows), bias[c])


def _groups(layer: Layer, sums: Sums, x: Array) -> Iterator[tuple[slice, I16]]:
    """Yield (output channels of a group, windows [M, K]), a few samples at a time."""
    window = layer.window
    assert window is not None
    padded = _shifted(input_part(x, window, padded_size(window), layer.zero_point), sums.shift)
    groups = x.shape[3] if layer.site.op == "depthwise_conv2d" else layer.site.attrs.groups
    per_in, per_out = x.shape[3] // groups, len(layer.bias) // groups
    for g in range(groups):
        for _, views in float_windows(padded[..., g * per_in : (g + 1) * per_in], window._replace(top=0, left=0)):
            yield slice(g * per_out, (g + 1) * per_out), np.ascontiguousarray(views.reshape(-1, layer.depth))


def _matrices(layer: Layer, sums: Sums, x: Array, y: Array) -> Products:
    attrs = layer.site.attrs
    a = np.swapaxes(x, -1, -2) if attrs.adj_x else x
    b = np.swapaxes(y, -1, -2) if attrs.adj_y else y
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left = np.broadcast_to(a, (*lead, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
    right = np.broadcast_to(b, (*lead, *b.shape[-2:])).reshape(-1, *b.shape[-2:])
    for rows, columns in zip(left, right, strict=True):
        yield _shifted(rows, sums.shift), _shifted(columns, right_zero_point(layer)), np.zeros(columns.shape[1], np.int64)


def _shifted(x: Array, shift: int) -> I16:
    return np.ascontiguousarray(x.astype(np.int32) - shift).astype(np.int16)
