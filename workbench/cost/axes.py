"""The cost axes of a choice: what of an estimate is limited or minimized, by name."""

from __future__ import annotations

from collections.abc import Callable

from workbench.cost.estimate import CostEstimate

COST_AXES: dict[str, Callable[[CostEstimate], float]] = {
    "flash": lambda cost: float(cost.flash_bytes + cost.runtime_flash_bytes),
    "ram": lambda cost: float(cost.ram_peak_bytes + cost.runtime_ram_bytes),
    "latency": lambda cost: cost.latency_s,
    "energy": lambda cost: cost.energy_j,
}
"""Name of a cost in a study -> its value: bytes (the runtime included: that is what must fit), seconds, joules."""


def axis_value(cost: CostEstimate, axis: str) -> float:
    """Return one cost of an estimate."""
    return COST_AXES[axis](cost)
