"""Which formats a target has for which layers of a graph."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.cost import Unsupported, support
from workbench.errors import UnsupportedError
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering


def legal_formats(lowering: Lowering, formats: Sequence[str]) -> tuple[dict[str, frozenset[str]], list[tuple[str, str]]]:
    """Return format -> the layers that may use it on this target, and (format, reason) for what may not be used.

    Layers that a format is refused for get the nearest one that they may have; the format is legal where the rest then runs.
    """
    legal: dict[str, frozenset[str]] = {}
    left_out: list[tuple[str, str]] = []
    for fmt in dict.fromkeys(formats):
        refused = _refused(lowering, PrecisionPlan.of(fmt))
        layers = frozenset(lowering.layers) - refused.keys()
        plan = PrecisionPlan.of(fmt, {name: p.nearest or fmt for name, p in refused.items()})
        try:
            problems = support(lowering.quantized(plan), lowering.profile) if layers else list(refused.values())
            if not problems:
                lowering.program(plan)
        except UnsupportedError as problem:
            left_out.append((fmt, str(problem)))
            continue
        if problems:
            left_out.append((fmt, str(problems[0])))
            continue
        if refused:
            left_out.append((fmt, f"not on {', '.join(refused)}: {next(iter(refused.values()))}"))
        legal[fmt] = layers
    return legal, left_out


def _refused(lowering: Lowering, plan: PrecisionPlan) -> dict[str, Unsupported]:
    """Return layer -> why it cannot have its format in a plan, in network order."""
    problems = support(lowering.quantized(plan), lowering.profile)
    return {p.node: p for p in problems if p.node in lowering.layer_set}
