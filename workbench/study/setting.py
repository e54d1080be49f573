"""`Setting`: one target of a study with everything that its sweep, its choice and their verification ask it for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from workbench.cost import CostEstimate, estimate
from workbench.cost.axes import COST_AXES
from workbench.data import Dataset
from workbench.evaluate import Evaluator, Record
from workbench.hardware import HardwareProfile
from workbench.metrics import Metric
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.quantize import Lowering
from workbench.search import Limits
from workbench.study.prepare import Context
from workbench.study.spec import StudySpec
from workbench.sweep import Codes, Group, Space, decision_groups, legal_formats
from workbench.truth.oracle import Live, turned
from workbench.truth.prices import plan_costs

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Setting:
    """A target on which a baseline runs.

    legal: format -> the layers that may use it; left_out: format -> why not. baseline: what everything is compared with.
    """

    context: Context
    lowering: Lowering
    limits: Limits
    legal: dict[str, frozenset[str]]
    left_out: list[tuple[str, str]]
    baseline: PrecisionPlan
    _costs: dict[PrecisionPlan, CostEstimate] = field(default_factory=dict, repr=False)

    @property
    def spec(self) -> StudySpec:
        """The study."""
        return self.context.spec

    @property
    def name(self) -> str:
        """Of the target."""
        return self.lowering.profile.name

    @property
    def metric(self) -> Metric:
        """What decides."""
        return self.context.judge.metric

    @property
    def objective(self) -> str:
        """The cost that is minimized."""
        return self.spec.choose.minimize

    @property
    def axes(self) -> tuple[str, ...]:
        """Of the frontier: 'metric' or 'loss', then costs."""
        return self.spec.sweep.axes or ("metric", self.objective)

    @cached_property
    def formats(self) -> tuple[str, ...]:
        """The searched formats that are legal here."""
        return tuple(f for f in self.spec.formats.search if f in self.legal)

    @cached_property
    def groups(self) -> list[Group]:
        """What is decided about."""
        return decision_groups(self.context.graph, self.lowering.layers, [*self.formats, self.baseline.default])

    @cached_property
    def space(self) -> Space:
        """Every plan: for each group the formats that the target has for it, the baseline's first."""
        named = dict.fromkeys((self.baseline.default, *self.formats))
        offered = {g.name: [f for f in named if self.legal[f].issuperset(g.layers)] for g in self.groups}
        return Space.of(self.groups, offered, self.baseline.default)

    @cached_property
    def select(self) -> Evaluator:
        """Runs plans on the samples that choose."""
        return self._evaluator(self.context.select)

    @cached_property
    def confirm(self) -> Evaluator | None:
        """Runs plans on the samples that confirm."""
        return None if self.context.confirm is None else self._evaluator(self.context.confirm)

    @property
    def others(self) -> float:
        """How many samples confirm, relative to those that choose."""
        confirm = self.context.confirm
        return 0.0 if confirm is None else len(confirm) / len(self.context.select)

    @cached_property
    def price(self) -> Callable[[Codes], F64]:
        """Costs of plans [P, G]: [P, 4], in the order of `COST_AXES`."""
        return plan_costs(self.lowering, self.space)

    def oracle(self) -> Live:
        """Return what a search asks: exact results on the samples that choose."""
        return Live(self.select, self.space, tuple(COST_AXES), self.price)

    def cost(self, plan: PrecisionPlan) -> CostEstimate:
        """Return the cost estimate of a plan, computed once."""
        if plan not in self._costs:
            self._costs[plan] = estimate(self.lowering.quantized(plan), self.lowering.profile)
        return self._costs[plan]

    def measure(self, codes: Codes, progress: Tick | None = None) -> F64:
        """Return the values of plans on the axes of the frontier, [P, A], smaller is better; what was evaluated is in the journal."""
        plans = self.space.plans(codes)
        records = self.select.evaluate(plans, progress)
        return self.values([records[plan] for plan in plans], self.price(codes))

    def values(self, records: Sequence[Record], costs: F64, axes: Sequence[str] | None = None) -> F64:
        """Return the values of evaluated plans on axes (those of the frontier): [P, A]."""
        columns = []
        for axis in axes or self.axes:
            if axis == "metric":
                columns.append(turned(self.metric, np.array([r.figure for r in records])))
            elif axis == "loss":
                columns.append(np.array([r.metrics.get("cross_entropy", r.metrics["mse"]) for r in records]))
            else:
                columns.append(costs[:, list(COST_AXES).index(axis)])
        return np.stack(columns, axis=1)

    @cached_property
    def content(self) -> str:
        """A hash of what the results of plans rest on: samples, metric, groups and formats, and the programs with each format
        everywhere (weights, scales, arithmetic, kernels)."""
        named = dict.fromkeys(f for names in self.space.formats for f in names)
        plans = self.space.plans(np.stack([self.space.uniform(f) for f in named]))
        keys = [self.select.key(self.lowering.program(plan)) for plan in plans]
        stated = repr(([g.layers for g in self.space.groups], self.space.formats, keys))
        return hashlib.sha256(stated.encode()).hexdigest()[:12]

    def affordable(self, costs: F64) -> npt.NDArray[np.bool_]:
        """Return which plans [P, 4] keep the limits on costs."""
        kept = np.ones(len(costs), np.bool_)
        for axis, limit in self.limits.costs().items():
            kept &= costs[:, list(COST_AXES).index(axis)] <= limit
        return kept

    def _evaluator(self, data: Dataset) -> Evaluator:
        known = self.context.references
        evaluator = Evaluator(
            self.lowering, data, self.context.journal, self.context.threads, reference=known.get(data.digest), judge=self.context.judge
        )  # fmt: skip
        if data.digest not in known:
            with self.context.reporter.phase(f"float reference on {len(data):,} samples"):
                known[data.digest] = evaluator.references
        return evaluator


def make_setting(context: Context, profile: HardwareProfile) -> tuple[Setting | None, Limits, list[tuple[str, str]]]:
    """Return a target's setting (None when no baseline format runs there), its limits, and format -> why it is left out."""
    spec = context.spec
    lowering = Lowering(context.graph, profile, context.calibration, spec.quantization)
    limits = spec.limits(context.judge.metric, profile.size_bytes("flash"), profile.size_bytes("ram"))
    legal, left_out = legal_formats(lowering, (*spec.formats.baseline, *spec.formats.search))
    name = next((f for f in spec.formats.baseline if legal.get(f) == frozenset(lowering.layers)), None)
    if name is None:
        return None, limits, left_out
    return Setting(context, lowering, limits, legal, left_out, PrecisionPlan.of(name)), limits, left_out
