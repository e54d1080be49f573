"""By how much a plan changes a cost, as a share of the baseline's, with an interval.

Both costs come from one model of one device: a clock that is off, or a runtime that is slower than the model says, scales both and
leaves the ratio alone. So the error that both estimates have is taken to be common, and only what one has beyond the other (constants
of a format that nothing measured, say) to be its own, independent of the rest. With relative errors a before and b after, as
logarithms of high / value of the 80 % intervals:

    r = after / before,   d = sqrt(|a**2 - b**2|),   interval r * exp(-d) - 1 .. r * exp(d) - 1

It is an 80 % interval like those of the estimates, and the narrowest that they allow: errors of equal size in two formats that are not
common would widen it. Of equal errors the ratio is as exact as the model's form.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite, log, sqrt
from typing import Literal

from workbench.cost import CostEstimate

Timed = Literal["latency", "energy"]


@dataclass(frozen=True)
class Relative:
    """A relative change (-0.12: 12 % less) with its 80 % interval."""

    estimate: float
    low: float
    high: float


def relative_change(base: CostEstimate, other: CostEstimate, axis: Timed) -> Relative | None:
    """Return by how much `other` is above `base`; None where the baseline costs nothing or a cost is not known."""
    (before, high_before), (after, high_after) = _interval(base, axis), _interval(other, axis)
    if not all(isfinite(v) and v > 0 for v in (before, high_before, after, high_after)):
        return None
    ratio = after / before
    own = sqrt(abs(log(high_before / before) ** 2 - log(high_after / after) ** 2))
    return Relative(ratio - 1.0, ratio * exp(-own) - 1.0, ratio * exp(own) - 1.0)


def _interval(cost: CostEstimate, axis: Timed) -> tuple[float, float]:
    return (cost.latency_s, cost.latency_high_s) if axis == "latency" else (cost.energy_j, cost.energy_high_j)
