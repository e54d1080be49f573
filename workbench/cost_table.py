"""`estimate_costs`: what a model costs in several formats on several targets, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
from rich.table import Table

from workbench.cost import CostEstimate, estimate, fits, unsupported
from workbench.cost.counts import LayerWork, layer_work
from workbench.errors import InputError
from workbench.graph.ir import Graph, Tensor
from workbench.hardware import HardwareProfile, load_profile
from workbench.inspection.stand_in import stand_in_ranges
from workbench.loaders import load_model
from workbench.placement import host_of, place
from workbench.precision import PrecisionPlan
from workbench.quantize import Calibration, Lowering
from workbench.quantize.rules import rewriting_rules
from workbench.report.text import interval, quantity, size_range

OWN = "as in the file"
SIZES = {"flash": ("flash_bytes", "runtime_flash_bytes"), "ram": ("ram_peak_bytes", "runtime_ram_bytes")}
PARTS_OF = {"latency": ("s", "low_s", "high_s"), "energy": ("j", "low_j", "high_j")}
LOWERED_BY = {"quantization", "operators", "fallback", "arithmetic_base", "arithmetic_by_type"}
"""Keys of a profile that decide what the graph of a plan looks like."""
TOTALS = tuple(f.name for f in fields(CostEstimate) if f.name not in ("graph", "profile", "layers", "macs"))


def estimate_costs(
    model: Graph | str | Path,
    profiles: Sequence[HardwareProfile | str | Path],
    formats: Sequence[str] = (),
    *,
    dims: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Return flash, RAM, latency and energy of a model on targets, one row per target and format.

    model: a graph, or a .tflite or .onnx file. profiles: names, paths or profiles. formats: uniform plans to estimate; none = the
    file's own. Weights are quantized as they are; activations need no calibration, since costs depend on their types alone.

    Columns: profile, format, supported (False: `reason` says which layer and why; the numbers are then missing), reason, fits (all
    memories), and the totals of `workbench.cost.CostEstimate`: bytes, seconds, joules per inference, each with its 80 % interval
    (`_low`, `_high`) and its basis.
    Errors: InputError for no profile, an unknown format or file, ProfileError for a profile without costs.
    """
    if not profiles:
        raise InputError("no target is given. Name at least one profile (see `workbench profiles`).")
    graph = model if isinstance(model, Graph) else load_model(Path(model), None, dims)
    names = list(formats) or [OWN]
    plans: list[PrecisionPlan | None] = [PrecisionPlan.of(name) for name in formats]
    ready = _Ready(graph)
    return pd.DataFrame([
        {"profile": target.name, "format": name, **_row(lowered, target)}
        for target in map(load_profile, profiles)
        for name, lowered in zip(names, ready.of(target, plans or [None]), strict=True)
    ])  # fmt: skip


@dataclass(frozen=True)
class _Lowered:
    """A plan's graph with its counts and which nodes the host runs, or why the target does not run it."""

    graph: Graph
    works: tuple[LayerWork, ...] = ()
    on_host: tuple[bool, ...] = ()
    problem: str = ""


class _Ready:
    """Plans of one graph, each rewritten once for all targets with the same rules, placed once for those with the same operators."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.calibration = Calibration(stand_in_ranges(graph), 0)
        self.shared: dict[tuple[object, ...], Tensor] = {}
        self.lowerings: dict[tuple[object, ...], Lowering] = {}
        self.graphs: dict[tuple[object, ...], Graph] = {}
        self.works: dict[tuple[object, ...], tuple[LayerWork, ...]] = {}
        self.done: dict[tuple[object, ...], _Lowered] = {}

    def of(self, target: HardwareProfile, plans: Sequence[PrecisionPlan | None]) -> list[_Lowered]:
        """Return plans as a target runs them."""
        rules = rewriting_rules(self.graph, target)
        operators = (*rules, target.model_dump_json(include=LOWERED_BY))
        found = []
        for plan in plans:
            key = (operators, plan)
            made = self.done.get(key) or self._placed(rules, plan, target)
            if not made.problem:  # names its target
                self.done[key] = made
            found.append(made)
        return found

    def _rewritten(self, rules: tuple[object, ...], plan: PrecisionPlan | None, target: HardwareProfile) -> Graph:
        """Return the graph of a plan."""
        if plan is None:
            return self.graph
        if (rules, plan) not in self.graphs:
            if rules not in self.lowerings:
                self.lowerings[rules] = Lowering(self.graph, target, self.calibration, shared=self.shared)
            self.graphs[rules, plan] = self.lowerings[rules].quantized(plan)
        return self.graphs[rules, plan]

    def _placed(self, rules: tuple[object, ...], plan: PrecisionPlan | None, target: HardwareProfile) -> _Lowered:
        """Return a plan with its counts and places, or why a target does not run it."""
        graph = self._rewritten(rules, plan, target)
        places = [place(node, graph.tensors, target) for node in graph.nodes]
        problem = next(unsupported(graph, target, places), None)
        if problem is not None:
            return _Lowered(graph, problem=str(problem))
        host = host_of(target)
        if (rules, plan) not in self.works:
            self.works[rules, plan] = tuple(layer_work(graph, node) for node in graph.nodes)
        return _Lowered(graph, self.works[rules, plan], tuple(host is not None and where.runner is host for where in places))


def _row(lowered: _Lowered, target: HardwareProfile) -> dict[str, object]:
    if lowered.problem:
        return {"supported": False, "reason": lowered.problem}
    host = host_of(target)
    cost = estimate(lowered.graph, target, lowered.works, [host if there else target for there in lowered.on_host])
    totals = {name: value for name, value in vars(cost).items() if name in TOTALS}
    return {"supported": True, "reason": "", "fits": fits(cost, target).ok, **totals}


def cost_lines(table: pd.DataFrame) -> Table:
    """Return the table of `estimate_costs` for the terminal: intervals in brackets, what is not supported with the reason."""
    lines = Table(title="Estimates for one inference; 80 % intervals in brackets")
    for name in ("target", "format", "fits"):
        lines.add_column(name)
    for name in ("flash", "RAM", "latency", "energy", "latency rests on"):
        lines.add_column(name)
    for row in table.to_dict("records"):
        if not row["supported"]:
            lines.add_row(row["profile"], row["format"], "no", "", "", "", "", str(row["reason"]))
            continue
        figures = []
        for axis, (model, runtime) in SIZES.items():
            value, own = row[model] + row[runtime], row[runtime]
            figures.append(
                f"{quantity(axis, value)} [{size_range(axis, value, row[f'{axis}_low_bytes'], row[f'{axis}_high_bytes'], own)}]"
            )
        for axis, columns in PARTS_OF.items():
            value, low, high = (row[f"{axis}_{part}"] for part in columns)
            figures.append(f"{quantity(axis, value)} [{interval(axis, value, low, high)}]")
        lines.add_row(row["profile"], row["format"], "yes" if row["fits"] else "NO", *figures, row["basis"])
    return lines
