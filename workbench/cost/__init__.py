"""Estimates: flash, RAM, latency and energy of a graph on a target, with intervals. Method and checks: docs/cost.md."""

from workbench.cost.estimate import CostEstimate, LayerCost, estimate
from workbench.cost.fits import Fit, MemoryFit, fits
from workbench.cost.support import Unsupported, check_operators, support

__all__ = ["CostEstimate", "Fit", "LayerCost", "MemoryFit", "Unsupported", "check_operators", "estimate", "fits", "support"]
