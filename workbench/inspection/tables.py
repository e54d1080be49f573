"""Tables of an inspection for the terminal, and of the operators there are."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import chain

from rich.table import Table

from workbench.cost import CostEstimate
from workbench.graph.ir import Graph
from workbench.hardware import HardwareProfile
from workbench.inspection.inspect import Inspection, LayerView, TargetLayer, TargetView
from workbench.ops import OPS

MOST_PROBLEMS = 12


def inspection_tables(inspection: Inspection) -> list[Table | str]:
    """Return the table of layers, and what each target says."""
    found: list[Table | str] = [layer_table(inspection)]
    for target in inspection.targets:
        found += _target_tables(target)
    return found


def layer_table(inspection: Inspection) -> Table:
    """Return one row per operator: shapes, format, MACs, parameters, and per target the formats that it may have there."""
    graph = inspection.graph
    title = f"{inspection.title}: {len(graph.nodes)} operators, inputs {_io(graph, graph.inputs)}, outputs {_io(graph, graph.outputs)}"
    table = Table(title=title)
    for name in ("layer", "operator", "output", "format"):
        table.add_column(name)
    for name in ("MACs", "parameters"):
        table.add_column(name, justify="right")
    for target in inspection.targets:
        table.add_column(f"formats on {target.profile.name}", overflow="fold")
    for layer in inspection.layers:
        row = [
            layer.name,
            layer.op,
            "x".join(map(str, layer.shape)),
            layer.format,
            _number(layer.macs),
            _number(layer.parameters),
        ]
        table.add_row(*row, *(formats_text(target, layer) for target in inspection.targets))
    table.add_section()
    macs, parameters = sum(v.macs for v in inspection.layers), sum(v.parameters for v in inspection.layers)
    table.add_row("total", "", "", "", f"{macs:,}", f"{parameters:,}", *(target_verdict(t) for t in inspection.targets))
    return table


def formats_text(target: TargetView, layer: LayerView) -> str:
    """Return the formats of a layer on a target, with where it runs when not on the target itself."""
    found = target.layers.get(layer.name)
    if found is None:
        return ""
    if found.runs == "nowhere":
        return f"none as it stands: {found.reason}" if not found.formats else f"not as it stands; {' '.join(found.formats)}"
    return f"host: {' '.join(found.formats)}" if found.runs == "host" else " ".join(found.formats)


def target_verdict(target: TargetView) -> str:
    """Return whether a target takes the model, in a word or two."""
    if target.problems:
        return f"{len(target.problems)} unsupported"
    return "supported" if target.fit is None else "fits" if target.fit.ok else "does not fit"


def _number(value: int) -> str:
    return f"{value:,}" if value else ""


def _io(graph: Graph, names: Sequence[str]) -> str:
    return ", ".join(f"{n} {graph.tensors[n].dtype}[N{''.join(f', {d}' for d in graph.tensors[n].shape[1:])}]" for n in names)


def _target_tables(target: TargetView) -> list[Table | str]:
    profile, label = target.profile, target.tried
    if target.problems:
        more = len(target.problems) - MOST_PROBLEMS
        listed = "\n".join(f"  {p}" for p in target.problems[:MOST_PROBLEMS]) + (f"\n  and {more} more" if more > 0 else "")
        return [f"\n{profile.name}: in {label}, {len(target.problems)} operators are not supported:\n{listed}"]
    elsewhere = [f"  {line}" for line in target.elsewhere]
    if target.cost is None or target.fit is None:
        return [f"\n{profile.name}: supported in {label}; the profile has no cost constants.", *elsewhere]
    lines = [_memory_line(m.kind, m.need_bytes, m.have_bytes, m.levers) for m in target.fit.memories]
    return [cost_table(profile, target.cost, label), *lines, *elsewhere]


def _memory_line(kind: str, need: int, have: int, levers: Sequence[str]) -> str:
    verdict = (
        "fits" if need <= have else f"does not fit: {need - have:,} bytes too much. Levers: {'; '.join(levers) or 'none known'}"
    )
    return f"  {kind}: {need / 1024:,.1f} KiB of {have / 1024:,.0f} KiB, {verdict}"


def cost_table(profile: HardwareProfile, cost: CostEstimate, label: str) -> Table:
    """Return the estimated cost per layer, and in total with 80 % intervals."""
    table = Table(title=f"{profile.name} ({label}): estimate, 80 % interval, basis {cost.basis}")
    numbers = ("flash B", "RAM B", "latency ms", "energy uJ")
    for name in ("layer", "format", *numbers, "basis"):
        table.add_column(name, justify="right" if name in numbers else "left")
    for row in cost.layers:
        how = f" ({row.emulation})" if row.emulation else ""
        table.add_row(
            row.layer, row.format + how, f"{row.flash_bytes:,}", f"{row.ram_bytes:,}", f"{row.latency_s * 1e3:,.3g}",
            f"{row.energy_j * 1e6:,.3g}", row.basis,
        )  # fmt: skip
    table.add_section()
    table.add_row(
        "total", "", f"{cost.flash_bytes:,}", f"{cost.ram_peak_bytes:,}",
        _interval(1e3, cost.latency_s, cost.latency_low_s, cost.latency_high_s),
        _interval(1e6, cost.energy_j, cost.energy_low_j, cost.energy_high_j), cost.energy_basis,
    )  # fmt: skip
    return table


def _interval(factor: float, value: float, low: float, high: float) -> str:
    return f"{value * factor:,.3g} [{low * factor:,.3g}, {high * factor:,.3g}]"


def layers_csv(inspection: Inspection) -> str:
    """Return the layers as CSV: one row each, per target its formats, where it runs, the reason, and its cost.

    Conversions that a target needs between layers follow, so that the columns add up to its totals.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["layer", "operator", "source", "output_shape", "format", "macs", "parameters"]
    for target in inspection.targets:
        name = target.profile.name
        columns += [f"{name}:{c}" for c in ("formats", "runs", "reason", "flash_bytes", "ram_bytes", "latency_s", "energy_j")]
    writer.writerow(columns)
    for layer in inspection.layers:
        row: list[object] = [
            layer.name,
            layer.op,
            layer.source,
            "x".join(map(str, layer.shape)),
            layer.format,
            layer.macs,
            layer.parameters,
        ]
        for target in inspection.targets:
            row += _target_cells(target.layers.get(layer.name))
        writer.writerow(row)
    own = {layer.name for layer in inspection.layers}
    for i, target in enumerate(inspection.targets):
        for name, found in target.layers.items():
            if name not in own:  # a conversion that lowering inserted for this target
                blank = ["", "", "", "", "", "", ""]
                cells = [blank] * i + [_target_cells(found)] + [blank] * (len(inspection.targets) - i - 1)
                writer.writerow([name, "conversion", "", "", "", "", "", *chain.from_iterable(cells)])
    return text.getvalue()


def _target_cells(found: TargetLayer | None) -> list[object]:
    """Return the cells of one layer on one target."""
    if found is None:
        return [""] * 7
    cost = found.cost
    figures = [""] * 4 if cost is None else [cost.flash_bytes, cost.ram_bytes, cost.latency_s, cost.energy_j]
    return [" ".join(found.formats), found.runs, found.reason, *figures]


def op_table() -> Table:
    """Return the operators of the graph."""
    table = Table(title="Operators")
    for name in ("operator", "scale of the output", "what it does"):
        table.add_column(name)
    meaning = {
        "own": "calibrated",
        "input": "its input's",
        "shared": "shared with its inputs",
        "fixed": "fixed by the TFLite specification",
        "none": "none: floats",
    }
    for name in sorted(OPS):
        table.add_row(name, meaning[OPS[name].output_quant], OPS[name].summary)
    return table
