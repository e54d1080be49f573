"""Estimates: flash, RAM, latency and energy of a graph on a target, with intervals. Method and checks: docs/cost.md."""

from workbench.cost.estimate import CostEstimate, LayerCost, arena_of, estimate
from workbench.cost.fits import Fit, MemoryFit, fits
from workbench.cost.nearest import nearest_format
from workbench.cost.support import OnHost, Unsupported, check_operators, on_host, support, unprepared, unsupported

__all__ = [
    "CostEstimate", "Fit", "LayerCost", "MemoryFit", "OnHost", "Unsupported", "arena_of", "check_operators", "estimate", "fits",
    "nearest_format", "on_host", "support", "unprepared", "unsupported",
]  # fmt: skip
