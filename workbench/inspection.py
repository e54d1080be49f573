"""Tables for the terminal: what a model is, what a target supports and costs, which operators there are."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf
from pathlib import Path

import numpy as np
from rich.table import Table

from workbench.cost import CostEstimate, check_operators, estimate, fits, on_host, support, unprepared
from workbench.graph.ir import Graph, Node, Tensor
from workbench.graph.node_format import node_format
from workbench.hardware import HardwareProfile, list_profiles, load_profile
from workbench.loaders import load_model
from workbench.numerics.activation import fused_limits
from workbench.ops import OPS
from workbench.precision import PrecisionPlan
from workbench.quantize import Calibration, Lowering, PlanFile, plan_of
from workbench.quantize.ranges import BINS, Observed

TRIED_FORMATS = ("w8a8", "fp16", "fp32")
"""What a float model is inspected in when no plan is given: the first that the target supports."""


def inspect_model(path: Path, profiles: Sequence[str], plan: str | None = None) -> tuple[list[Table | str], bool]:
    """Return tables about a model, and whether it is supported and fits on every given target."""
    graph = load_model(path)
    targets = [load_profile(name) for name in profiles]
    for name, target in zip(profiles, targets, strict=True):
        check_operators(target, name)
    file = None if plan is None else plan_of(plan)
    shown = graph if file is None else lowered(graph, targets[0] if targets else load_profile(list_profiles()[0]), file)
    tables: list[Table | str] = [model_table(path.name, shown)]
    ok = True
    for target in targets:
        found, good = _target_tables(graph, target, file)
        tables += found
        ok = ok and good
    return tables, ok


def lowered(graph: Graph, profile: HardwareProfile, file: PlanFile) -> Graph:
    """Return the quantized graph of a plan; a float model gets stand-in ranges, of which costs and support need the signs alone."""
    calibration = Calibration(stand_in_ranges(graph), 0)
    return Lowering(graph, profile, calibration, file.options, file.scales).quantized(file.plan)


NEVER_NEGATIVE = ("softmax", "logistic", "exp", "abs")
KEEP_SIGNS = ("add", "mul", "max_pool2d", "avg_pool2d", "mean", "sum", "reshape", "transpose", "pad", "concat", "strided_slice")


def stand_in_ranges(graph: Graph) -> dict[str, Observed]:
    """Return a range for every activation: -1 to 1, from 0 where it cannot be negative, to 6 behind a relu6."""
    lows = dict.fromkeys((t.name for t in graph.activations()), -1.0)
    highs = dict.fromkeys(lows, 1.0)
    for node in graph.nodes:
        low, high = (node.attrs.minimum, node.attrs.maximum) if node.op == "relu" else fused_limits(_fused(node))
        read = [lows.get(n, -1.0 if _negative(graph.tensors[n]) else 0.0) for n in node.inputs if n]
        keeps = node.op in KEEP_SIGNS and min(read, default=-1.0) == 0
        for name in node.outputs:
            lows[name] = 0.0 if low >= 0 or keeps or node.op in NEVER_NEGATIVE else -1.0
            highs[name] = 1.0 if isinf(high) or high <= 0 else high
    return {name: Observed(lows[name], highs[name], np.zeros(BINS, np.int64)) for name in lows}


def _fused(node: Node) -> str:
    return getattr(node.attrs, "activation", "none")


def _negative(constant: Tensor) -> bool:
    return constant.data is not None and bool((constant.data < 0).any())


def model_table(title: str, graph: Graph) -> Table:
    """Return one row per operator: shapes, format, MACs, parameters."""
    table = Table(
        title=f"{title}: {len(graph.nodes)} operators, inputs {_io(graph, graph.inputs)}, outputs {_io(graph, graph.outputs)}"
    )
    for name, right in (
        ("layer", False),
        ("operator", False),
        ("output", False),
        ("format", False),
        ("MACs", True),
        ("parameters", True),
    ):
        table.add_column(name, justify="right" if right else "left")
    total = [0, 0]
    for node in graph.nodes:
        shapes = [[graph.tensors[n].shape if n else () for n in names] for names in (node.inputs, node.outputs)]
        macs = OPS[node.op].count(node.attrs, *shapes).macs
        constants = [graph.tensors[n] for n in node.inputs if n and graph.tensors[n].is_constant]
        parameters = sum(int(np.prod(t.shape)) for t in constants)
        total = [total[0] + macs, total[1] + parameters]
        shape = "x".join(map(str, graph.tensors[node.outputs[0]].shape[1:]))
        table.add_row(
            node.name,
            node.op,
            shape,
            node_format(graph, node),
            f"{macs:,}" if macs else "",
            f"{parameters:,}" if parameters else "",
        )
    table.add_section()
    table.add_row("total", "", "", "", f"{total[0]:,}", f"{total[1]:,}")
    return table


def _io(graph: Graph, names: Sequence[str]) -> str:
    return ", ".join(f"{n} {graph.tensors[n].dtype}[N{''.join(f', {d}' for d in graph.tensors[n].shape[1:])}]" for n in names)


def _target_tables(graph: Graph, profile: HardwareProfile, file: PlanFile | None) -> tuple[list[Table | str], bool]:
    tried = [file] if file else [None] if graph.is_quantized else [PlanFile(PrecisionPlan.of(f)) for f in TRIED_FORMATS]
    for attempt in tried:
        ready = graph if attempt is None else lowered(graph, profile, attempt)
        problems = [str(p) for p in support(ready, profile)]
        if not problems and (
            graph.is_quantized or (attempt is not None and attempt.scales)
        ):  # stand-in ranges prove nothing here
            problems = unprepared(ready, profile)
        if not problems:
            break
    label = "its own formats" if attempt is None else attempt.plan.label()
    if problems:
        listed = "\n".join(f"  {p}" for p in problems[:12]) + (
            f"\n  and {len(problems) - 12} more" if len(problems) > 12 else ""
        )
        return [f"\n{profile.name}: in {label}, {len(problems)} operators are not supported:\n{listed}"], False
    elsewhere = [f"  {layer}" for layer in on_host(ready, profile)]
    if profile.costs is None:
        return [f"\n{profile.name}: supported in {label}; the profile has no cost constants.", *elsewhere], True
    cost = estimate(ready, profile)
    fit = fits(cost, profile)
    lines = [_memory_line(m.kind, m.need_bytes, m.have_bytes, m.levers) for m in fit.memories] + elsewhere
    return [cost_table(profile, cost, label), *lines], fit.ok


def _memory_line(kind: str, need: int, have: int, levers: Sequence[str]) -> str:
    verdict = (
        "fits" if need <= have else f"does not fit: {need - have:,} bytes too much. Levers: {'; '.join(levers) or 'none known'}"
    )
    return f"  {kind}: {need / 1024:,.1f} KiB of {have / 1024:,.0f} KiB, {verdict}"


def cost_table(profile: HardwareProfile, cost: CostEstimate, label: str) -> Table:
    """Return the estimated cost per layer, and in total with 80 % intervals."""
    table = Table(title=f"{profile.name} ({label}): estimate, 80 % interval, basis {cost.basis}")
    for name, right in (
        ("layer", False),
        ("format", False),
        ("flash B", True),
        ("RAM B", True),
        ("latency ms", True),
        ("energy uJ", True),
        ("basis", False),
    ):
        table.add_column(name, justify="right" if right else "left")
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
