"""What a study found: plain records that the report reads and never recomputes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from workbench.cost import CostEstimate
from workbench.cost.arena import Arena
from workbench.evaluate import Record
from workbench.hardware.profile import HardwareProfile
from workbench.metrics import Metric
from workbench.precision import PrecisionPlan
from workbench.search import Candidate, Limits
from workbench.search.certificates import Certificate as Certificate
from workbench.statistics import Difference
from workbench.sweep import Group, LayerError, Sensitivity
from workbench.sweep.distributions import Distribution
from workbench.sweep.neighbours import Neighbours
from workbench.sweep.records import Views

Status = Literal["chosen", "nothing_fits", "not_supported", "nothing_to_choose"]


@dataclass(frozen=True, eq=False)
class TableSummary:
    """All P plans of a target that were evaluated exactly, as columns; in the order of their numbers where these are all.

    quality: the deciding metric's figure, float32 [P]. costs: axis -> estimates, float32 [P]: bytes ('flash', 'ram'), seconds, joules.
    weight_bits: mean bits of a weight, float32 [P]. frontier: rows that no other one beats in the metric and the objective.
    uniform: format -> row of the plan with it everywhere. baseline, chosen: rows. size: how many plans there are in all.
    """

    quality: npt.NDArray[np.float32]
    costs: Mapping[str, npt.NDArray[np.float32]]
    weight_bits: npt.NDArray[np.float32]
    frontier: tuple[int, ...]
    size: int
    uniform: Mapping[str, int] = field(default_factory=dict)
    baseline: int | None = None
    chosen: int | None = None


@dataclass(frozen=True)
class SearchTrace:
    """How a search went: after so many evaluations (whole plans; a part of the samples counts as that share), the frontier was so good.

    measure: what `quality` is ('hypervolume', 'regret'), larger_is_better: its sense. best: of the exact frontier where that is known.
    """

    evaluations: tuple[float, ...]
    quality: tuple[float, ...]
    measure: str = "hypervolume"
    larger_is_better: bool = True
    best: float | None = None


@dataclass(frozen=True)
class JointRow:
    """One target of several. own: its own choice; common: the plan for all targets, evaluated exactly here (None: there is none).

    within: whether the common plan keeps this target's limits.
    """

    target: str
    own: Candidate | None
    common: Candidate | None
    within: bool = False


@dataclass(frozen=True)
class Joint:
    """Several targets: their own choices, and one plan for all. plan: None when no plan keeps every target's limits; text: why, or what
    the common plan gives away.
    """

    rows: tuple[JointRow, ...]
    plan: PrecisionPlan | None
    text: str


@dataclass(frozen=True)
class TargetResult:
    """One target of a study.

    status: 'chosen' (a plan within the limits), 'nothing_to_choose' (one format is legal; it is within the limits),
        'nothing_fits' (message: the gap and the levers), 'not_supported' (message: which operators and why).
    metric: what decides. reference_figure: the metric of the float reference, None where it is what the metric compares with.
    formats: the searched formats that are legal here; left_out: format -> why not.
    baseline, baseline_confirm: records of the baseline plan on the selection and the confirmation samples.
    layer_errors: format -> errors per layer, every layer in that format.
    candidates: every evaluated proposal; frontier: those no other one beats; chosen: the recommendation.
    arena: where the buffers of the chosen plan (of the baseline when nothing was chosen) lie in RAM, None where that is not known.
    plan_yaml: the chosen plan as a file that `workbench emulate --plan` runs ('' when nothing was chosen).
    verdict: one sentence. notes: what a reader must know (assumed constants, conversions, fallbacks).
    views, certificate, table, search: further sensitivities, what is proven of the plans found, all evaluated plans, and how the search
        went, where a study asked. chosen_change: what the chosen plan changes of the metric, with a 95 % interval that holds
        although the plan was chosen; chosen_how: where that comes from. ties: what the samples cannot tell apart, and how many would.
    neighbours: groups that follow each other in rank. distributions: of weights and activations, with what formats represent.
    """

    profile: HardwareProfile
    status: Status
    verdict: str
    message: str
    objective: str
    limits: Limits
    metric: Metric
    groups: tuple[Group, ...] = ()
    formats: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    baseline_plan: PrecisionPlan | None = None
    baseline: Record | None = None
    baseline_confirm: Record | None = None
    baseline_cost: CostEstimate | None = None
    reference_figure: float | None = None
    sensitivities: tuple[Sensitivity, ...] = ()
    layer_errors: Mapping[str, tuple[LayerError, ...]] | None = None
    candidates: tuple[Candidate, ...] = ()
    frontier: tuple[Candidate, ...] = ()
    chosen: Candidate | None = None
    arena: Arena | None = None
    plan_yaml: str = ""
    notes: tuple[str, ...] = ()
    views: Views | None = None
    certificate: Certificate | None = None
    table: TableSummary | None = None
    search: SearchTrace | None = None
    chosen_change: Difference | None = None
    chosen_how: str = ""
    ties: tuple[str, ...] = ()
    neighbours: tuple[Neighbours, ...] = ()
    distributions: tuple[Distribution, ...] = ()

    @property
    def tested(self) -> bool:
        """False when the recommendation rests on the samples that proposed it alone (a limit on the drop, and no other samples)."""
        if self.chosen is None or self.limits.drop is None:
            return True
        return self.chosen.proven is True or self.chosen.plan == self.baseline_plan


@dataclass(frozen=True)
class TextTable:
    """A table in words. columns: headings; the first is a name, the others are numbers, but for those after `numbers`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int
    hint: str = ""


@dataclass(frozen=True)
class ComparisonResult:
    """Two targets of a study at their baseline plans on the same samples: what `compare` found.

    verdict: one sentence. tables: for the page. data: the whole comparison as plain data, as `workbench compare --out` writes it.
    """

    a: str
    b: str
    verdict: str
    tables: tuple[TextTable, ...] = ()
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class StudyResult:
    """A whole study: the resolved spec (plain data), the manifest (versions, hashes, seeds, commit), one result per target, one per
    comparison, and one plan for all targets where several have a choice.
    """

    name: str
    title: str
    model: str
    layers: tuple[str, ...]
    selection_samples: int
    confirmation_samples: int
    data_names: Mapping[str, str]
    spec: Mapping[str, Any]
    manifest: Mapping[str, Any]
    targets: tuple[TargetResult, ...]
    comparisons: tuple[ComparisonResult, ...] = ()
    joint: Joint | None = None

    @property
    def verdict(self) -> str:
        """One sentence per target, one for all targets, and one per comparison."""
        joint = [] if self.joint is None else [self.joint.text]
        return " ".join([*(t.verdict for t in self.targets), *joint, *(c.verdict for c in self.comparisons)])

    @property
    def fits(self) -> bool:
        """True when at least one target has a plan within its limits."""
        return any(t.status in ("chosen", "nothing_to_choose") for t in self.targets)
