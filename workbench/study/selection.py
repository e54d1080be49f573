"""What is said of the plan that was chosen, although it was chosen, and of changes that the samples cannot tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from workbench.evaluate import Record
from workbench.metrics import Metric
from workbench.metrics.paired import unit_reach
from workbench.search import Candidate, axis_value
from workbench.statistics import Difference, separable, winner_interval
from workbench.study.setting import Setting
from workbench.sweep import Sensitivity

F64 = npt.NDArray[np.float64]

RANKS = 4
"""Groups at the top of the ranking whose order is looked at."""


def after_choice(
    setting: Setting, base: Record, candidates: Sequence[Candidate], chosen: Candidate | None
) -> tuple[Difference | None, str]:
    """Return what the chosen plan changes of the metric, and where its interval comes from.

    With samples that did not choose: theirs. Without: where samples are right or wrong, a bootstrap that repeats the whole choice among
    the candidates (`winner_interval`); for other metrics the interval of the plan as if nobody had chosen it, and that is said.
    """
    if chosen is None:
        return None, ""
    if chosen.confirm_change is not None and chosen.confirm_record is not None:
        return chosen.confirm_change, f"from {chosen.confirm_record.samples:,} samples that did not choose it"
    evidence = [c.record.correct for c in candidates]
    right = [e for e in evidence if e is not None]
    if base.correct is None or len(right) < len(candidates):
        return chosen.change, "from the samples that chose it, not corrected for the choice"
    order = np.argsort([axis_value(c.cost, setting.objective) for c in candidates], kind="stable")
    usable = np.array([_affordable(setting, c) for c in candidates])
    drop = setting.limits.drop

    def choose(change: F64) -> int:
        kept = order[usable[order] & ((change[order] >= -drop) if drop is not None else True)]
        return int(kept[0]) if len(kept) else int(np.argmax(change))

    found = winner_interval(base.correct, np.stack(right), choose)
    if candidates[found.index].plan != chosen.plan:  # of equally cheap ones another: no choice to be corrected for is known
        return chosen.change, "from the samples that chose it, not corrected for the choice"
    how = f"from the samples that chose it, corrected for the choice among {len(candidates)} (bootstrap of the whole choice)"
    return found.change, how


def _affordable(setting: Setting, candidate: Candidate) -> bool:
    costs = setting.limits.costs().items()
    least = setting.limits.sqnr_db
    return all(axis_value(candidate.cost, a) <= v for a, v in costs) and (
        least is None or candidate.record.metrics["sqnr_db"] >= least
    )


def cannot_tell(metric: Metric, sensitivities: Sequence[Sensitivity]) -> tuple[str, ...]:
    """Return which neighbours among the most sensitive groups, each in its worst format, the samples cannot tell apart, and how many
    samples would."""
    if metric.interval not in ("binary", "mean"):
        return ()
    worst: dict[str, Sensitivity] = {}
    for s in sorted(sensitivities, key=lambda s: -metric.worsening(s.change.estimate)):
        worst.setdefault(s.group.name, s)
    found = []
    for a, b in pairwise(list(worst.values())[:RANKS]):
        both = a.record.evidence, b.record.evidence
        if any(np.isnan(e).any() for e in both):
            continue
        binary = metric.interval == "binary"
        told = separable(*both) if binary else separable(both[0][:, 0], both[1][:, 0], unit_reach(metric, *both))
        if not told.separable:
            found.append(told.sentence(f"`{a.group.name}` in {a.format}", f"`{b.group.name}` in {b.format}"))
    return tuple(found)
