"""What of a change is due to the weights' type, and what to the activations'.

Two answers, each labelled. *emulated*: a format with the one type of the change and the other of the baseline (w4a8 between w8a8 and
w4a16), where the target has it: the target's bits. *fake-quantized*: the weights alone, or what the layer reads and writes alone, on
the grid of the format in the float reference; any format has it, and the baseline's own format as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from workbench.evaluate import Evaluator
from workbench.execute import Program
from workbench.precision import Format, PrecisionPlan, format_name, parse_format
from workbench.progress import Tick
from workbench.quantize import Lowering
from workbench.sweep.effects import effect, program_effects
from workbench.sweep.groups import Group
from workbench.sweep.legality import legal_formats
from workbench.sweep.records import Part
from workbench.sweep.reference_steps import LayerChange, ReferenceSteps, grids_in, weights_in

Changes = Sequence[tuple[Group, str]]
Side = Literal["weights", "activations", "both"]


def emulated_parts(evaluator: Evaluator, changes: Changes, baseline: PrecisionPlan, progress: Tick | None = None) -> list[Part]:
    """Return the parts of the changes that the target can run: against the baseline, in the order of the changes.

    Where a change leaves the activations' type as it is, the weights are all of it and there is one row; likewise the other way.
    """
    lowering = evaluator.lowering
    wanted = [(group, fmt, side, through) for group, fmt in changes for side, through in between(baseline.default, fmt)]
    legal, _ = legal_formats(lowering, [through for *_, through in wanted])
    wanted = [one for one in wanted if legal.get(one[3], frozenset()).issuperset(one[0].layers)]
    plans = [group.plan(baseline, through) for group, _, _, through in wanted]
    records = evaluator.evaluate([baseline, *plans], progress)
    return [
        Part(group, fmt, side, "emulated", through, effect(evaluator, records[plan], records[baseline]))
        for (group, fmt, side, through), plan in zip(wanted, plans, strict=True)
    ]


def between(base: str, fmt: str) -> list[tuple[Side, str]]:
    """Return (part, format with the types of that part alone) of a change from one format to another.

    ('w8a8', 'w4a16') -> weights w4a8, activations w8a16; ('w8a8', 'w4a8') -> weights w4a8.
    """
    a, b = parse_format(base), parse_format(fmt)
    weights = (a.weight, a.granularity, a.coding) != (b.weight, b.granularity, b.coding)
    activations = a.activation != b.activation
    if not (weights and activations):
        return [("weights" if weights else "activations", fmt)] if weights or activations else []
    found: list[tuple[Side, str]] = []
    for side, w, x in (("weights", b, a), ("activations", a, b)):
        name = _mixed(w, x)
        if name is not None:
            found.append((side, name))  # type: ignore[arg-type]
    return found


def _mixed(weights: Format, activations: Format) -> str | None:
    """Return the format with the weights of one and the activations of another; None where no name says so."""
    try:
        name = format_name(weights.weight, activations.activation, weights.granularity, weights.coding)
    except KeyError:  # weights of a float format beside integer activations
        return None
    made = parse_format(name)
    same = (made.weight, made.granularity, made.coding) == (weights.weight, weights.granularity, weights.coding)
    return name if same and made.activation == activations.activation and not made.is_dynamic else None


def fake_quantized_parts(
    evaluator: Evaluator, changes: Changes, baseline: PrecisionPlan, progress: Tick | None = None
) -> list[Part]:
    """Return weights alone, activations alone and both of every group and format, the baseline's included, in the float reference,
    against the float reference: three programs each, of which equal ones run once."""
    steps = ReferenceSteps(evaluator.lowering.graph)
    groups = list(dict.fromkeys(group for group, _ in changes))
    wanted = [(group, fmt) for group in groups for fmt in (baseline.default, *(f for g, f in changes if g == group))]
    sides: tuple[Side, ...] = ("weights", "activations", "both")
    programs = [fake_quantized(steps, evaluator.lowering, group, fmt, side) for group, fmt in wanted for side in sides]
    effects = program_effects(evaluator, steps.program({}), programs, progress)
    rows = [(group, fmt, side) for group, fmt in wanted for side in sides]
    return [Part(g, f, side, "fake-quantized", f, one) for (g, f, side), one in zip(rows, effects, strict=True)]


def fake_quantized(steps: ReferenceSteps, lowering: Lowering, group: Group, fmt: str, side: Side = "both") -> Program:
    """Return the float reference with one group's weights, activations or both on the grid of a format."""
    changes = {}
    for layer in group.layers:
        weights = None if side == "activations" else weights_in(lowering, layer, fmt)
        reads, writes = (None, None) if side == "weights" else grids_in(lowering, layer, fmt)
        changes[layer] = LayerChange(weights, reads, writes)
    return steps.program(changes)
