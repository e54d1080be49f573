"""Accelerators and application processors: constants of a profile's formula fitted to the totals of networks, and their cost sheets.

seconds = inference + layers x layer + elements x element + (macs + depthwise macs x depthwise) x mac(format) + weight bytes x weight

One device at a time: maximum a posteriori in logs, priors from data sheets (`accelerator_targets`), errors with heavy tails. What the
rows narrow, they say; the rest stays assumed. Rows of convolutional networks that `network_facts` counts; transformers and networks
over time do other work than these terms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, isfinite

import numpy as np
from scipy.optimize import least_squares

from workbench.calibrate.accelerator_targets import KINDS, MACHINES, Machine
from workbench.calibrate.network_facts import facts, resolution
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.structures import of_row
from workbench.hardware.costs import Basis

NOISE = 0.25
"""Log standard deviation of a network about the formula."""
INFORMED = 0.6
"""A constant whose log standard deviation fell below this share of its prior's is fitted, not assumed."""
Z80 = 1.2816
MACS_PER_ELEMENT = 150.0
"""Of picture networks, where a table of facts does not say: ResNet-50 350, MobileNetV2 45."""
MOST_ATTENTION = 0.02
"""Share of the multiply-accumulates between activations above which a network is a transformer."""
OVER_TIME = re.compile(r"3d|2plus1d|^mc3|video")
MOST_FOLDS = 10


@dataclass(frozen=True)
class Point:
    """A measured network. format: index of the machine's formats. streamed: weight bytes that do not stay on the chip."""

    network: str
    format: int
    macs: float
    depthwise: float
    elements: float
    layers: float
    streamed: float
    seconds: float


@dataclass(frozen=True)
class Constant:
    """A fitted constant in seconds. sd: log standard deviation."""

    value: float
    sd: float
    basis: Basis


@dataclass(frozen=True)
class Fit:
    """Constants of a machine: KINDS and `mac 0`, `mac 1`, ... by format. unseen: 80 % factor - 1 of networks left out."""

    constants: dict[str, Constant]
    rows: int
    networks: int
    unseen: float


def points(machine: Machine, tables: Tables) -> list[Point]:
    """Return the rows of a machine whose multiply-accumulates are known."""
    found = []
    for row in tables.rows(machine.table):
        number = machine.format_of(row)
        if machine.owns(row) and number is not None and row.latency_s > 0:
            point = _point(machine, row, number, tables)
            if point is not None:
                found.append(point)
    return found


def _point(machine: Machine, row: Row, number: int, tables: Tables) -> Point | None:
    if row.table == "mlperf_tiny.csv":
        work = of_row(row, tables)
        if work is None:
            return None
        depthwise, elements = work.counts["depthwise"], work.counts["output"] + work.counts["element"]
        return Point(row.network, number, work.macs - depthwise, depthwise, elements, work.counts["layer"], 0.0, row.latency_s)
    known = facts(row.network, *resolution(row.text("input_resolution") or row.notes.partition("input")[2]))
    if known is None or known.attention > MOST_ATTENTION or OVER_TIME.search(known.name) or not known.layers > 0:
        return None
    macs = row.macs if row.macs > 0 else known.macs
    if not macs > 0 or row.number("npu_layers") < row.number("layers"):  # the rest runs on the processor beside the accelerator
        return None
    share = known.depthwise if isfinite(known.depthwise) else 0.0
    elements = known.activations if known.activations > 0 else macs / MACS_PER_ELEMENT
    weights = known.params * (1 if machine.formats[number].formats[0].startswith("w8") else 2)
    streamed = max(0.0, weights - machine.weight_bytes) if machine.streams and weights > 0 else 0.0
    return Point(row.network, number, macs * (1 - share), macs * share, elements, known.layers, streamed, row.latency_s)


def fit(machine: Machine, measured: Sequence[Point]) -> Fit:
    """Fit the constants of a machine, and its error on networks left out."""
    values, deviations = _solve(machine, measured)
    priors = _priors(machine)
    constants = {}
    for i, name in enumerate(priors):
        basis: Basis = "same device and runtime" if deviations[i] < INFORMED * priors[name][1] else "assumed"
        constants[name] = Constant(float(np.exp(values[i])), float(deviations[i]), basis)
    names = sorted({p.network for p in measured})
    errors = []
    for fold in range(min(MOST_FOLDS, len(names))):
        out = set(names[fold::MOST_FOLDS])
        kept = [p for p in measured if p.network not in out]
        rest = [p for p in measured if p.network in out]
        if kept:
            errors += list(np.log(_seconds(_solve(machine, kept)[0], machine, rest) / np.array([p.seconds for p in rest])))
    unseen = expm1(float(np.quantile(np.abs(errors), 0.8))) if errors else 1.0
    return Fit(constants, len(measured), len(names), unseen)


def _priors(machine: Machine) -> dict[str, tuple[float, float]]:
    return {**{k: machine.priors[k] for k in KINDS}, **{f"mac {i}": f.mac for i, f in enumerate(machine.formats)}}


def _solve(machine: Machine, measured: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Return the logs of the constants and their standard deviations."""
    priors = list(_priors(machine).values())
    middle, spread = np.log([p[0] for p in priors]), np.array([p[1] for p in priors])
    target = np.log([p.seconds for p in measured])

    def errors(logs: np.ndarray) -> np.ndarray:
        return np.concatenate([_tamed((np.log(_seconds(logs, machine, measured)) - target) / NOISE), (logs - middle) / spread])

    found = least_squares(errors, middle)
    scale = max(1.0, float(np.sqrt(np.mean(found.fun[: len(measured)] ** 2))))
    slopes = np.asarray(found.jac)
    return np.asarray(found.x), np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes))) * scale


def _tamed(errors: np.ndarray) -> np.ndarray:
    """Return numbers whose squares grow like the errors far from zero and like their squares near it (pseudo-Huber)."""
    return np.asarray(np.sign(errors) * np.sqrt(2 * (np.sqrt(1 + errors**2) - 1)))


def _seconds(logs: np.ndarray, machine: Machine, measured: Sequence[Point]) -> np.ndarray:
    inference, layer, element, weight, depthwise = np.exp(logs[: len(KINDS)])
    macs = np.exp(logs[len(KINDS) :])
    return np.array([
        inference + p.layers * layer + p.elements * element + (p.macs + p.depthwise * depthwise) * macs[p.format] + p.streamed * weight
        for p in measured
    ])  # fmt: skip


def fits(tables: Tables) -> dict[str, Fit]:
    """Return the fits of all machines that the tables have rows of."""
    found = {}
    for name, machine in MACHINES.items():
        measured = points(machine, tables)
        if measured:
            found[name] = fit(machine, measured)
    return found
