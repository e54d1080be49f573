"""Targets between two targets: A's rules with some of B's, as programs of one model.

A hybrid is no profile and has no file: at every node, the fields of `Arithmetic` at the chosen places are B's, the others A's; the
same for the fields of the quantization scheme, the format of each layer and the scales of the plan.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from workbench.comparison.reads import FIELDS, fields_read
from workbench.comparison.switches import (
    FORMATS,
    SCALES,
    SCHEME_SWITCHES,
    By,
    Change,
    Place,
    Switch,
    arithmetic_switches,
    fields_at,
    make_switch,
    merge_by_layer,
)
from workbench.errors import UnsupportedError
from workbench.execute import Program, Step, Values, arithmetic_at, make_program, make_step
from workbench.graph.ir import Graph, Node
from workbench.hardware import HardwareProfile
from workbench.hardware.profile import Scheme
from workbench.numerics.arithmetic import Arithmetic
from workbench.precision import PrecisionPlan
from workbench.quantize import Calibration, Lowering, PlanFile


@dataclass(frozen=True, eq=False)
class Target:
    """One side: a profile and a plan (None: a quantized model as it is), and the program that they make of the model."""

    profile: HardwareProfile
    plan: PlanFile | None
    program: Program


class Hybrids:
    """All programs between two targets of one model. Steps are prepared once for all of them."""

    def __init__(self, graph: Graph, a: Target, b: Target, calibration: Calibration | None) -> None:
        self.graph, self.a, self.b, self.calibration = graph, a, b, calibration
        self._lowerings: dict[tuple[object, ...], Lowering] = {}
        self._graphs: dict[tuple[object, ...], Graph] = {}
        self._rules: dict[tuple[int, str], tuple[Arithmetic, Arithmetic, tuple[str, ...]]] = {}
        self._steps: dict[tuple[int, str, tuple[str, ...]], Step | UnsupportedError] = {}

    def program(self, places: Collection[Place]) -> Program:
        """Return the program with B's fields at some places; UnsupportedError when no kernel follows them together."""
        graph = self._quantized(places)
        return make_program(graph, [self._step(graph, node, places) for node in graph.nodes])

    def _step(self, graph: Graph, node: Node, places: Collection[Place]) -> Step:
        a, b, differing = self.rules(graph, node)
        taken = fields_at(places, node.op, node.name, differing)
        key = (id(graph), node.name, taken)
        if key not in self._steps:
            mixed = replace(a, **{f: getattr(b, f) for f in taken})
            try:
                self._steps[key] = make_step(node, graph.tensors, mixed)
            except UnsupportedError as problem:
                self._steps[key] = problem
        step = self._steps[key]
        if isinstance(step, UnsupportedError):
            raise step
        return step

    def rules(self, graph: Graph, node: Node) -> tuple[Arithmetic, Arithmetic, tuple[str, ...]]:
        """Return A's and B's arithmetic at a node, and the fields in which they differ."""
        key = (id(graph), node.name)
        if key not in self._rules:
            a, b = (arithmetic_at(node, graph.tensors, target.profile) for target in (self.a, self.b))
            self._rules[key] = (a, b, tuple(f for f in FIELDS if getattr(a, f) != getattr(b, f)))
        return self._rules[key]

    def _quantized(self, places: Collection[Place]) -> Graph:
        if self.a.plan is None or self.b.plan is None:
            return self.graph
        scheme = self._scheme(places)
        source = self.b.plan if Place("all", "", SCALES) in places else self.a.plan
        plan = self._plan(self.a.plan.plan, self.b.plan.plan, places)
        key = (scheme, id(source), plan)
        if key not in self._graphs:
            lowering = self._lowerings.get(key[:2])
            if lowering is None:
                profile = self.a.profile.model_copy(update={"quantization": scheme})
                lowering = Lowering(self.graph, profile, self.calibration, source.options, source.scales)
                self._lowerings[key[:2]] = lowering
            self._graphs[key] = lowering.quantized(plan)
        return self._graphs[key]

    def _scheme(self, places: Collection[Place]) -> Scheme:
        other = self.b.profile.quantization
        taken = {f: getattr(other, f) for f in Scheme.model_fields if Place("all", "", f"quantization.{f}") in places}
        return self.a.profile.quantization.model_copy(update=taken)

    def _plan(self, a: PrecisionPlan, b: PrecisionPlan, places: Collection[Place]) -> PrecisionPlan:
        other = [layer for layer in self._layers if Place("layer", layer, "format") in places]
        if Place("layer", "", "format") in places:  # the default, which operators without a layer follow
            a = PrecisionPlan.of(b.default, {layer: a.format_of(layer).name for layer in self._layers})
        return a.replace({layer: b.format_of(layer).name for layer in other})

    @cached_property
    def _layers(self) -> list[str]:
        return Lowering(self.graph, self.a.profile).layers

    # -- what can be thrown ----------------------------------------------------------------------------------------------

    def switches(self, by: By, changes: Sequence[Change]) -> list[Switch]:
        """Return the switches that matter for this model: of plan and scheme, and of the changes in arithmetic."""
        found = [*self._lowering_switches(by), *arithmetic_switches(changes, by)]
        return merge_by_layer(found, [node.name for node in self.graph.nodes]) if by == "layers" else found

    def changes(self, sample: Values) -> list[Change]:
        """Return the fields of `Arithmetic` in which the targets differ and that an operator of the model reads.

        sample: inputs of one sample, or of one fixed batch.
        """
        found: dict[tuple[str, str], Change] = {}
        for places, program in ((frozenset[Place](), self.a.program), (self._all_of_b, self.b.program)):
            graph, values = self._quantized(places), program.run(sample, keep_all=True)
            for step in program.steps:
                a, b, differing = self.rules(graph, step.node)
                read = fields_read(step, a, values) | fields_read(step, b, values) if differing else ()
                for f in differing:
                    if f in read:
                        change = Change(step.node.name, step.node.op, f, getattr(a, f), getattr(b, f))
                        found.setdefault((step.node.name, f), change)
        return list(found.values())

    @cached_property
    def _all_of_b(self) -> frozenset[Place]:
        layers = {Place("layer", layer, "format") for layer in ("", *self._layers)}
        scheme = {Place("all", "", f"quantization.{f}") for f in Scheme.model_fields}
        return frozenset(layers | scheme | {Place("all", "", SCALES)})

    def _lowering_switches(self, by: By) -> list[Switch]:
        """Return the switches of plan and scheme that change the quantized graph, from A's side or from B's."""
        if self.a.plan is None or self.b.plan is None:
            return []
        a, b = self.a.plan, self.b.plan
        found = [make_switch(SCALES, [(Place("all", "", SCALES), "scales and options of the plan")])]
        for name, keys in SCHEME_SWITCHES.items():
            texts = [(k, f"{k} {_scheme_text(self.a, k)} -> {_scheme_text(self.b, k)}") for k in keys if self._differs(k)]
            found.append(make_switch(name, [(Place("all", "", f"quantization.{k}"), text) for k, text in texts]))
        formats = [(x, a.plan.format_of(x).name, b.plan.format_of(x).name) for x in self._layers]
        entries = [
            (Place("layer", x, "format"), f"{old} -> {new}" if by == "layers" else f"{x}: {old} -> {new}")
            for x, old, new in formats
            if old != new
        ]
        default = [(Place("layer", "", "format"), f"default: {a.plan.default} -> {b.plan.default}")]
        default = default if a.plan.default != b.plan.default else []
        if by == "layers":
            found += [make_switch("default format", default), *(make_switch(e[0].name, [e]) for e in entries)]
        else:
            found.append(make_switch(FORMATS, [*default, *entries]))
        return [s for s in found if self._matters(s)]

    def _differs(self, key: str) -> bool:
        return bool(getattr(self.a.profile.quantization, key) != getattr(self.b.profile.quantization, key))

    def _matters(self, switch: Switch) -> bool:
        ends = (frozenset[Place](), self._all_of_b)
        return any(self._quantized(p).digest != self._quantized(p ^ switch.places).digest for p in ends)


def _scheme_text(target: Target, key: str) -> str:
    value = getattr(target.profile.quantization, key)
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
