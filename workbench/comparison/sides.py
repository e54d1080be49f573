"""The two sides of a comparison: targets that compute, or recordings of what something computed elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.api import PlanLike, check_supported, plan_file_of
from workbench.comparison.hybrid import Hybrids, Target
from workbench.comparison.recording import Recording, is_recording, read_recording
from workbench.comparison.tensors import Pair
from workbench.errors import InputError, ProfileError
from workbench.execute import Program, Values, prepare
from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.graph.node_format import node_format
from workbench.hardware import HardwareProfile, load_profile
from workbench.precision import PrecisionPlan
from workbench.quantize import Calibration, Lowering, PlanFile, calibrate
from workbench.quantize.lower import weighted_layers
from workbench.quantize.plan_file import plan_of

Given = HardwareProfile | str | Path | Mapping[str, Array]
"""A side as the user names it."""


@dataclass(frozen=True, eq=False)
class Samples:
    """The raw inputs that are compared, how many they are, and of how many."""

    feed: Values
    count: int
    given: int


@dataclass(frozen=True, eq=False)
class Sides:
    """Both sides, ready to run or to be read.

    names: as they are printed. targets: None for a recording. nodes: by the tensor that they make, in execution order. pairs:
    the tensors that both sides have, in this order. output: the only output of the graph, if there is one and both have it.
    """

    a: Program | Recording
    b: Program | Recording
    names: tuple[str, str]
    targets: tuple[Target | None, Target | None]
    calibration: Calibration | None
    nodes: Mapping[str, Node]
    pairs: tuple[Pair, ...]
    output: Pair | None

    def hybrids(self, graph: Graph) -> Hybrids | None:
        """Return what lies between the sides; None when one of them is a recording."""
        one, two = self.targets
        return None if one is None or two is None else Hybrids(graph, one, two, self.calibration)


def make_sides(
    graph: Graph,
    samples: Samples,
    given: tuple[Given, Given],
    plans: tuple[PlanLike, PlanLike],
    calibration: Array | Mapping[str, Array] | None,
) -> Sides:
    """Return both sides of a comparison. plans, calibration: see `compare`."""
    profiles = [None if is_recording(side) else _profile(side) for side in given]  # type: ignore[arg-type]
    files = [None if p is None else _plan_file(graph, p, plans, i) for i, p in enumerate(profiles)]
    histograms = any(f is not None and f.options.activations != "min_max" for f in files)
    seen = None if calibration is None else calibrate(graph, calibration, histograms)
    targets = tuple(None if p is None else _target(graph, p, f, seen) for p, f in zip(profiles, files, strict=True))
    program = next((t.program for t in targets if t is not None), None)
    if program is None:
        layout = {out: (node, graph.tensors[out]) for node in graph.nodes for out in node.outputs}
        own = [graph.tensors[name] for name in graph.outputs]
    else:
        layout = {tensor.name: (step.node, tensor) for step in program.steps for tensor in step.site.outputs}
        own = list(program.outputs)
    outputs = dict(zip(graph.outputs, own, strict=True))
    known = {name: tensor for name, (_, tensor) in layout.items()}
    a, b = (
        _recording(graph, samples, side, known, outputs) if target is None else target.program  # type: ignore[arg-type]
        for side, target in zip(given, targets, strict=True)
    )
    tables = [_tensors(a, known), _tensors(b, known)]
    pairs = tuple(Pair(n, tables[0][n], tables[1][n]) for n in layout if n in tables[0] and n in tables[1])
    output = next((p for p in pairs if len(own) == 1 and p.name == own[0].name), None)
    different = plans[0] is not plans[1]
    names = tuple(_name(side, target, different) for side, target in zip(given, targets, strict=True))
    return Sides(a, b, names, targets, seen, {n: node for n, (node, _) in layout.items()}, pairs, output)  # type: ignore[arg-type]


def _profile(side: HardwareProfile | str | Path) -> HardwareProfile:
    """Return the profile of a side; where a plan is named instead, InputError says where that belongs."""
    try:
        return load_profile(side)
    except ProfileError as problem:
        if _is_plan(side):
            raise InputError(
                f"compare: '{side}' is a plan, not a target. Name the target of each side (one may be given twice), and the plans with "
                "--plan (of A, or of both) and --plan-b (of B); in Python plan=, plan_b=."
            ) from problem
        raise


def _is_plan(side: object) -> bool:
    """True for the name of a format, and for a file that is a plan."""
    try:
        plan_of(str(side))
    except InputError:
        return False
    return True


def _plan_file(graph: Graph, profile: HardwareProfile, plans: tuple[PlanLike, PlanLike], side: int) -> PlanFile | None:
    """Return the plan of a side; None when both sides take a quantized model as it is."""
    plan = plans[side]
    if plan is not None or not graph.has_scales:
        return plan_file_of(graph, profile, plan)
    if plans == (None, None):
        return None
    own = {layer: node_format(graph, graph.node(layer)) for layer in weighted_layers(graph)}
    return PlanFile(PrecisionPlan.of(next(iter(own.values()), "w8a8"), own))


def _target(graph: Graph, profile: HardwareProfile, plan: PlanFile | None, calibration: Calibration | None) -> Target:
    if plan is None:
        check_supported(graph, profile)
        return Target(profile, None, prepare(graph, profile))
    lowering = Lowering(graph, profile, calibration, plan.options, plan.scales)
    check_supported(lowering.quantized(plan.plan), profile)
    return Target(profile, plan, lowering.program(plan.plan))


def _recording(
    graph: Graph,
    samples: Samples,
    side: str | Path | Mapping[str, Array],
    known: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
) -> Recording:
    """Return the tensors of a recording, as many samples as are compared; InputError when they belong to other samples."""
    found = read_recording(side, [*(graph.tensors[name] for name in graph.inputs), *known.values()], outputs)
    arrays = {}
    for name, array in found.arrays.items():
        if len(array) not in (samples.count, samples.given):
            raise InputError(f"{found.name}: '{name}' has {len(array)} samples; the data have {samples.given}.")
        if name not in samples.feed:
            arrays[name] = array[: samples.count]
        elif not np.array_equal(array[: samples.count], samples.feed[name]):
            raise InputError(
                f"{found.name}: the input '{name}' in it is not that of the data: it was recorded on other samples."
            )
    return Recording(found.name, arrays, found.notes)


def _tensors(side: Program | Recording, known: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if isinstance(side, Program):
        return {tensor.name: tensor for step in side.steps for tensor in step.site.outputs}
    return {name: known[name] for name in side.arrays}


def _name(side: Given, target: Target | None, plans: bool) -> str:
    if target is None:
        return "recording" if isinstance(side, Mapping) else str(side)
    return f"{target.profile.name} ({target.plan.plan.label()})" if plans and target.plan is not None else target.profile.name
