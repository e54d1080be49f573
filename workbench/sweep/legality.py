"""Which formats a target has for which layers of a graph."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.cost import support
from workbench.errors import UnsupportedError
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering


def legal_formats(lowering: Lowering, formats: Sequence[str]) -> tuple[dict[str, frozenset[str]], list[tuple[str, str]]]:
    """Return format -> the layers that may use it on this target, and (format, reason) for what may not be used."""
    legal: dict[str, frozenset[str]] = {}
    left_out: list[tuple[str, str]] = []
    for fmt in dict.fromkeys(formats):
        plan = PrecisionPlan.of(fmt)
        problems = support(lowering.quantized(plan), lowering.profile)
        other = [p for p in problems if p.node not in lowering.layers]
        layers = frozenset(lowering.layers) - {p.node for p in problems}
        try:
            if not problems:
                lowering.program(plan)
        except UnsupportedError as problem:
            left_out.append((fmt, str(problem)))
            continue
        if other or not layers:
            p = (other or problems)[0]
            has = ", ".join(p.has) or "none"
            left_out.append((fmt, f"{p.op} in {p.format} is not supported (node '{p.node}'; the target has {has})"))
            continue
        if problems:
            left_out.append(
                (fmt, f"not on {', '.join(p.node for p in problems)}: {problems[0].op} has {', '.join(problems[0].has)}")
            )
        legal[fmt] = layers
    return legal, left_out
