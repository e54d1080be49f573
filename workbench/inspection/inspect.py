"""`inspect_model`: one row per layer with what every given target makes of it: formats, where it runs and why, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from workbench.cost import CostEstimate, arena_of, check_operators, estimate, fits, on_host, support, unprepared
from workbench.cost.arena import Arena
from workbench.cost.estimate import LayerCost
from workbench.cost.fits import Fit
from workbench.graph.ir import Graph, Node
from workbench.graph.node_format import node_format, weight_tensor
from workbench.hardware import HardwareProfile, list_profiles, load_profile
from workbench.inspection.stand_in import lowered
from workbench.loaders import load_model
from workbench.ops import OPS
from workbench.placement import formats_of, place, place_in
from workbench.precision import PrecisionPlan
from workbench.quantize import PlanFile, plan_of

TRIED_FORMATS = ("w8a8", "w8a8-per-tensor", "fp16", "fp32")
"""What a float model is inspected in when no plan is given: the first that the target supports."""


@dataclass(frozen=True)
class LayerView:
    """One operator for one sample. parameters: constants that it reads. source: where it stands in the file. outputs: tensor names."""

    name: str
    op: str
    source: str
    shape: tuple[int, ...]
    format: str
    macs: int
    parameters: int
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class TargetLayer:
    """A layer on a target.

    formats: that it may have there, its host's included. runs: 'target', 'host' or 'nowhere'; reason: why not on the target itself.
    cost: None where it cannot be estimated.
    """

    formats: tuple[str, ...]
    runs: str
    reason: str
    cost: LayerCost | None


@dataclass(frozen=True, eq=False)
class TargetView:
    """A model on a target. tried: the formats it stands in. problems: layers that run nowhere, in words; elsewhere:
    those that its host runs. fit: None without costs. arena: where its runtime puts the buffers, None where that is not known.

    layers: by name of the model's own layers; conversions that lowering inserts appear in `cost` alone.
    """

    profile: HardwareProfile
    tried: str
    layers: Mapping[str, TargetLayer]
    problems: tuple[str, ...]
    elsewhere: tuple[str, ...]
    cost: CostEstimate | None
    fit: Fit | None
    arena: Arena | None = None

    @property
    def ok(self) -> bool:
        """True when the target runs all of it and has the memory."""
        return not self.problems and (self.fit is None or self.fit.ok)


@dataclass(frozen=True, eq=False)
class Inspection:
    """A model and what targets make of it. graph: as shown, in the plan's formats when one was given."""

    title: str
    graph: Graph
    layers: tuple[LayerView, ...]
    targets: tuple[TargetView, ...]

    @property
    def ok(self) -> bool:
        """True when every target runs it and it fits."""
        return all(target.ok for target in self.targets)


def inspect_model(
    path: Path,
    profiles: Sequence[str],
    plan: str | None = None,
    dims: Mapping[str, int] | None = None,
    signature: str | None = None,
) -> Inspection:
    """Return what a model file is and what targets make of it, in a plan or its own formats. dims, signature: see `load_model`."""
    return inspect_graph(load_model(path, signature, dims), path.name, profiles, plan)


def inspect_graph(graph: Graph, title: str, profiles: Sequence[str], plan: str | None = None) -> Inspection:
    """Return what a model is and what targets make of it."""
    targets = [load_profile(name) for name in profiles]
    for name, target in zip(profiles, targets, strict=True):
        check_operators(target, name)
    file = None if plan is None else plan_of(plan)
    shown = graph if file is None else lowered(graph, targets[0] if targets else load_profile(list_profiles()[0]), file)
    layers = tuple(_layer(shown, node) for node in shown.nodes)
    return Inspection(title, shown, layers, tuple(_on_target(graph, target, file) for target in targets))


def _layer(graph: Graph, node: Node) -> LayerView:
    shapes = [[graph.tensors[n].shape if n else () for n in names] for names in (node.inputs, node.outputs)]
    parameters = sum(prod(graph.tensors[n].shape) for n in node.inputs if n and graph.tensors[n].is_constant)
    return LayerView(
        node.name,
        node.op,
        node.source,
        graph.tensors[node.outputs[0]].shape[1:],
        node_format(graph, node),
        OPS[node.op].count(node.attrs, *shapes).macs,
        parameters,
        node.outputs,
    )


def _on_target(graph: Graph, profile: HardwareProfile, file: PlanFile | None) -> TargetView:
    """Return what a target makes of a model in a plan, in its own formats, or in the first of TRIED_FORMATS that works.

    Where none works, the one with the fewest obstacles is shown.
    """
    tried = [file] if file else [None] if graph.has_scales else [PlanFile(PrecisionPlan.of(f)) for f in TRIED_FORMATS]
    found = []
    for attempt in tried:
        ready = graph if attempt is None else lowered(graph, profile, attempt)
        problems = [str(p) for p in support(ready, profile)]
        if not problems and (
            graph.has_scales or (attempt is not None and attempt.scales)
        ):  # stand-in ranges prove nothing here
            problems = unprepared(ready, profile)
        found.append((attempt, ready, problems))
        if not problems:
            break
    attempt, ready, problems = min(found, key=lambda each: len(each[2]))
    label = "its own formats" if attempt is None else attempt.plan.label()
    cost = None if problems or profile.costs is None else estimate(ready, profile)
    rows = {} if cost is None else {row.layer: row for row in cost.layers}
    views = {node.name: _target_layer(ready, node, profile, rows.get(node.name)) for node in ready.nodes}
    return TargetView(
        profile,
        label,
        views,
        tuple(problems),
        tuple(map(str, on_host(ready, profile))),
        cost,
        None if cost is None else fits(cost, profile),
        None if cost is None else arena_of(ready, profile),
    )


def _target_layer(graph: Graph, node: Node, profile: HardwareProfile, cost: LayerCost | None) -> TargetLayer:
    where = place(node, graph.tensors, profile)
    runs = "nowhere" if where.runner is None else "target" if not where.reason else "host"
    return TargetLayer(allowed_formats(graph, node, profile), runs, where.reason, cost)


def allowed_formats(graph: Graph, node: Node, profile: HardwareProfile) -> tuple[str, ...]:
    """Return the formats in which a target or its host runs this very node: its shapes and attributes within their limits.

    Of two granularities the finer one stands for both. Without weights: types of activations.
    """
    allowed = [f for f in formats_of(node.op, profile) if place_in(node, graph.tensors, profile, f).runner is not None]
    if weight_tensor(graph, node) is None:
        return tuple(dict.fromkeys(allowed))
    return tuple(
        dict.fromkeys(f for f in allowed if f.removesuffix("-per-tensor") == f or f.removesuffix("-per-tensor") not in allowed)
    )
