"""The sweeps of a study: each proposes plans worth having, and says what is proven about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.cost.axes import COST_AXES
from workbench.errors import StudyError
from workbench.precision import PrecisionPlan
from workbench.report.text import file_names
from workbench.results import SearchTrace, TableSummary
from workbench.search import choice_plan, make_items, propose
from workbench.search.certificates import Certificate, exhaustive_certificate, sampling_certificate
from workbench.search.testing import CHANCES, chances
from workbench.search.verified import verified_frontier
from workbench.study.setting import Setting
from workbench.study.surrogate import program_certificate
from workbench.study.weights import mean_weight_bits
from workbench.sweep import Codes, Sensitivity
from workbench.truth.build import TABLE_FILE, build_table, table_origin
from workbench.truth.frontier import pareto_front
from workbench.truth.oracle import turned
from workbench.truth.table import TruthTable

F64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SEARCH_TIME = 0.75
"""Share of the time that a search takes; the draws of the certificate have the rest."""
LAYERS = 3
"""Frontiers, each of the plans behind the one before, that are candidates: some are likelier to be proven than what looks best."""
MOST_CANDIDATES = 200
"""Plans of a frontier over three or more axes that are tested and shown one by one, evenly spread; the table has all."""


@dataclass(frozen=True, eq=False)
class Swept:
    """plans: worth having, evaluated exactly before they are shown. notes: what a reader must know."""

    plans: list[PrecisionPlan]
    certificate: Certificate | None = None
    table: TableSummary | None = None
    search: SearchTrace | None = None
    notes: tuple[str, ...] = ()


def sweep(setting: Setting, sensitivities: Sequence[Sensitivity]) -> Swept:
    """Return what a study's sweep finds on a target."""
    if not sensitivities:
        return Swept([setting.baseline])
    kind = sweep_kind(setting)
    if kind == "exhaustive":
        return _exhaustive(setting)
    return _verified(setting) if kind == "verified" else proposed(setting, sensitivities)


def sweep_kind(setting: Setting) -> str:
    """Return what a study's sweep is on a target: 'auto' takes what fits."""
    spec = setting.spec.sweep
    if spec.kind != "auto":
        return spec.kind
    return "exhaustive" if setting.space.size <= min(spec.evaluations, spec.limit) else "verified"


def proposed(setting: Setting, sensitivities: Sequence[Sensitivity]) -> Swept:
    """Return what a program over single changes proposes."""
    costs = {plan: setting.cost(plan) for plan in [setting.baseline, *(s.plan for s in sensitivities)]}
    items = make_items(setting.groups, sensitivities, costs, setting.baseline, setting.metric)
    proposed = propose(setting.lowering, setting.space, items, setting.objective, setting.limits, setting.price)
    plans = list(dict.fromkeys([setting.baseline, *(choice_plan(setting.groups, c, setting.baseline) for c in proposed)]))
    if not setting.spec.sweep.certificate:
        return Swept(plans, program_certificate(setting, items))
    with setting.context.reporter.phase(f"{setting.name}: {len(plans)} proposals") as tick:
        values = setting.measure(_codes(setting, plans), tick)
    codes, certificate = _certify(setting, _codes(setting, plans)[pareto_front(values)], None)
    return Swept(list(dict.fromkeys([*plans, *setting.space.plans(codes)])), certificate)


def _exhaustive(setting: Setting) -> Swept:
    """Return the exact frontier of all plans."""
    spec, space = setting.spec.sweep, setting.space
    if space.size > spec.limit:
        raise StudyError(too_many(setting))
    name, root = f"table-{file_names([setting.name])[0]}-{setting.content}", setting.context.root
    # A table is the evidence of a run: what is priced otherwise, or named otherwise, is another file.
    origin = sha256(repr(table_origin(setting.select)).encode()).hexdigest()[:8]
    folder = root / f"{name}-{origin}"
    others = sorted(root.glob(f"{name}-*/{TABLE_FILE}"))
    with setting.context.reporter.phase(f"{setting.name}: all {space.size:,} plans") as tick:
        table = build_table(setting.select, space, setting.price, folder, like=others, progress=tick)
    file = folder / TABLE_FILE
    return from_table(setting, table, {"file": f"{folder.name}/{TABLE_FILE}", "sha256": sha256(file.read_bytes()).hexdigest()})


def from_table(setting: Setting, table: TruthTable, stored: Mapping[str, str]) -> Swept:
    """Return what a table of all plans proposes and proves. stored: its file's name and digest."""
    space = setting.space
    assert table.costs is not None
    front = table.front(setting.axes)
    values = np.stack([table.axis(a)[front] for a in setting.axes], axis=1)
    certificate = exhaustive_certificate(
        space, space.codes(front), values, setting.axes, table.samples, stored, setting.metric.short
    )
    rows, notes = _spread(front, len(setting.axes))
    near = _near(setting, (table.badness(), table.mean_loss), table.costs)
    found = np.concatenate((rows, *near, _provable(setting, table)))
    summary = summarize(setting, space.codes(range(space.size)), table.figures[setting.metric.name], table.costs, front)
    return Swept(_plans(setting, space.codes(found)), certificate, summary, None, notes)


def _verified(setting: Setting) -> Swept:
    """Return the frontier that a search found, with the draws that improved it."""
    spec, context = setting.spec.sweep, setting.context
    oracle = setting.oracle()
    store = context.root / f"search-{file_names([setting.name])[0]}-{setting.content}"
    with context.reporter.phase(f"{setting.name}: search in {setting.space.size:,} plans") as tick:
        found = verified_frontier(
            oracle, against=setting.axes[1:], quality="loss" if setting.axes[0] == "loss" else "metric",
            evaluations=min(spec.evaluations, setting.space.size), seconds=None if spec.time is None else SEARCH_TIME * spec.time,
            seed=spec.seed, store=store, progress=tick,
        )  # fmt: skip
    rows, notes = _spread(found.frontier, len(setting.axes))
    start = found.codes[found.frontier]
    start = start[pareto_front(setting.measure(start))]
    certificate = None
    if spec.share > 0.0:
        start, certificate = _certify(setting, start, None if spec.time is None else (1.0 - SEARCH_TIME) * spec.time)
    costs = setting.price(found.codes)
    figures = turned(setting.metric, found.badness)  # its own inverse
    summary = summarize(setting, found.codes, figures, costs, found.frontier)
    other = np.concatenate((rows, *_near(setting, (found.badness,), costs)))
    return Swept(
        _plans(setting, np.vstack((start if len(start) <= MOST_CANDIDATES else start[:0], found.codes[other]))),
        certificate, summary, _trace(found.trace), notes,
    )  # fmt: skip


def _certify(setting: Setting, frontier: Codes, seconds: float | None) -> tuple[Codes, Certificate]:
    """Return a frontier with the draws that improved it, and what they prove."""
    spec = setting.spec.sweep
    with setting.context.reporter.phase(f"{setting.name}: uniform draws for the certificate") as tick:
        sampled = sampling_certificate(
            setting.space, setting.measure, frontier, setting.axes, len(setting.context.select),
            metric=setting.metric.short,
            share=spec.share, seed=spec.seed, most=spec.evaluations, seconds=seconds,
            progress=tick,
        )  # fmt: skip
    return sampled.frontier, sampled.certificate


def _near(setting: Setting, scores: Sequence[F64], costs: F64) -> list[Indices]:
    """Return rows that few others beat in a score (the metric, the loss) and the objective: of all, and of those within the limits on
    costs, `LAYERS` deep."""
    objective = costs[:, list(COST_AXES).index(setting.objective)]
    kept, found = np.flatnonzero(setting.affordable(costs)), []
    for score in scores:
        values = np.stack((objective, score), axis=1)
        found += [pareto_front(values), kept[pareto_layers(values[kept], LAYERS)]]
    return found


def _provable(setting: Setting, table: TruthTable) -> Indices:
    """Return the rows within the limits that no other one beats in the objective and the chance that samples held back prove its drop.

    Where samples are right or wrong: of two plans with the same drop, the one that differs from the baseline on fewer samples.
    """
    drop, metric, costs = setting.limits.drop, setting.metric, table.costs
    if drop is None or costs is None or table.correct is None or table.bits != metric.name or setting.others <= 0.0:
        return np.zeros(0, np.int64)
    base, n = int(setting.space.numbers(setting.space.code(setting.baseline)[None])[0]), table.samples
    drops = table.badness() - table.badness()[base]
    differ = np.bitwise_count(table.correct ^ table.correct[base]).sum(axis=1)
    errors = np.sqrt(np.maximum((differ + 2) / (n + 2) - drops**2, 0.0) / n)  # Wald, with an imaginary gain and loss
    kept = np.flatnonzero(setting.affordable(costs) & (drops <= drop))
    passing = chances(drops[kept], errors[kept], drop, setting.others)
    front = pareto_front(np.stack((costs[kept, list(COST_AXES).index(setting.objective)], -passing), axis=1))
    worth = passing[front] >= min(CHANCES) / 2  # a little below: the tests' own figures differ in the last places
    return np.asarray(kept[front[worth]])


def pareto_layers(values: F64, count: int) -> Indices:
    """Return the rows of the Pareto frontier of values [P, A], of the frontier of the others, and so on."""
    left, found = np.arange(len(values)), []
    for _ in range(count):
        front = pareto_front(values[left])
        found.append(left[front])
        left = np.delete(left, front)
    return np.concatenate(found)


def _spread(front: Indices, axes: int) -> tuple[Indices, tuple[str, ...]]:
    """Return the rows of a frontier that are tested one by one, and a note when these are not all."""
    if axes == 2 or len(front) <= MOST_CANDIDATES:
        return front, ()
    kept = front[np.linspace(0, len(front) - 1, MOST_CANDIDATES).round().astype(np.int64)]
    return kept, (f"The frontier has {len(front):,} plans; {MOST_CANDIDATES} of them, evenly spread, are shown one by one.",)


def summarize(setting: Setting, codes: Codes, figures: F64, costs: F64, front: Indices) -> TableSummary:
    """Return evaluated plans [P, G] as columns for plots."""
    space, single = setting.space, np.float32
    if len(codes) == space.size:  # a search that evaluated everything has them in its own order
        order = np.argsort(space.numbers(codes))
        codes, figures, costs, front = codes[order], figures[order], costs[order], np.argsort(order)[front]
    place = {code.tobytes(): row for row, code in enumerate(np.ascontiguousarray(codes))}
    uniform = {}
    for fmt in dict.fromkeys((setting.baseline.default, *setting.formats)):
        row = place.get(space.uniform(fmt).tobytes())
        if row is not None and all(fmt in names for names in space.formats):
            uniform[fmt] = row
    return TableSummary(
        quality=figures.astype(single),
        costs={axis: costs[:, a].astype(single) for a, axis in enumerate(COST_AXES)},
        weight_bits=mean_weight_bits(setting.context.graph, space, codes).astype(single),
        frontier=tuple(front.tolist()),
        size=space.size,
        uniform=uniform,
        baseline=place.get(space.code(setting.baseline).tobytes()),
    )


def _trace(rows: Sequence[Any]) -> SearchTrace:
    """Return how a search went on."""
    return SearchTrace(
        tuple(float(r.spent) for r in rows), tuple(float(r.frontier) for r in rows), "plans on the frontier found so far"
    )


def too_many(setting: Setting) -> str:
    """Return that a space is too large to enumerate, and the ways out."""
    spec, space = setting.spec.sweep, setting.space
    return (
        f"study: $.sweep.kind is exhaustive: on '{setting.name}', {len(space.groups)} groups of layers with up to "
        f"{max(space.radices)} formats make {space.size:,} plans; $.sweep.limit is {spec.limit:,}.\n"
        "Ways out: fewer formats in formats.search, a larger limit, or kind: verified (a search with a sampling certificate; auto "
        "takes whichever fits)."
    )


def _codes(setting: Setting, plans: Sequence[PrecisionPlan]) -> Codes:
    return np.stack([setting.space.code(plan) for plan in plans])


def _plans(setting: Setting, codes: Codes) -> list[PrecisionPlan]:
    return list(dict.fromkeys([setting.baseline, *setting.space.plans(codes)]))
