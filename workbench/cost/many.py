"""`Estimator`: what thousands of plans of one network cost on a target, each figure equal to that of `estimate`.

A plan's graph is handed over in parts (what each node of the float graph becomes). Plans share parts, so the counts, cycles and bytes
of a part are found once; a plan then adds them up, in the order in which `estimate` does, which makes the sums equal to the last
bit. What depends on all parts together (code, arena) is remembered by what it depends on: plans that differ in the width of weights
alone have one arena, unless a kernel unpacks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Protocol

import numpy as np
import numpy.typing as npt

from workbench.cost import memory as mem
from workbench.cost.accelerator import outside_terms, streamed_share
from workbench.cost.arena import aligned
from workbench.cost.axes import COST_AXES
from workbench.cost.counts import LayerWork, layer_work
from workbench.cost.estimate import estimate, time_of
from workbench.cost.flash import code_bytes, stored_bytes, table_bytes, tables_of
from workbench.cost.lifetimes import live_bytes
from workbench.errors import ProfileError
from workbench.graph.ir import Graph, Node, State, Tensor
from workbench.hardware.profile import HardwareProfile
from workbench.placement import place

F64 = npt.NDArray[np.float64]


HALF = 0.5 + 1e-6
"""Bytes that rounding to the nearest takes off at most; the small part: a half in another sum of floats never rounds up here alone."""


class Part(Protocol):
    """What one node of a network becomes in a plan; the last part of a plan holds the outputs' conversions.

    nodes: in order. tensors: all that they touch. outputs, states: of the graph, in the last part.
    """

    @property
    def nodes(self) -> tuple[Node, ...]: ...
    @property
    def tensors(self) -> Mapping[str, Tensor]: ...
    @property
    def outputs(self) -> tuple[Tensor, ...]: ...
    @property
    def states(self) -> tuple[State, ...]: ...


@dataclass(frozen=True, eq=False)
class _Layer:
    """A node with its counts, where it runs, the bytes of its weights and of its parameters, and whether they lie on the target."""

    node: Node
    work: LayerWork
    runner: HardwareProfile | None
    stored: tuple[int, int]
    here: bool


@dataclass(frozen=True, eq=False)
class _Facts:
    """What one part adds to a plan. flash: bytes on the target. own: those of layers that the target itself runs.

    amounts: cycles, term by term; none where they depend on other layers. code, ram: numbers that parts with the same operators and
    tables, or the same buffers, share.
    """

    part: Part
    layers: tuple[_Layer, ...]
    flash: int
    own: int
    amounts: tuple[float, ...]
    code: int
    ram: int


@dataclass(frozen=True)
class Share:
    """What one part adds to the sums. flash_bytes: without code and tables that layers share. records_bytes: of RAM, all along.

    code: bytes of the kernels and tables that are there once, however many layers need them, by name.
    """

    flash_bytes: int
    cycles: float
    records_bytes: float
    code: Mapping[str, float]


class Estimator:
    """Prices plans of one network on one target. graph: the network that the plans are of.

    An Ethos-U's compiler schedules a network as a whole: there, and where layers share constants, every plan is estimated by itself,
    and only once. ProfileError for a target without costs.
    """

    def __init__(self, graph: Graph, profile: HardwareProfile) -> None:
        if profile.costs is None:
            raise ProfileError(
                f"profile '{profile.name}' has no section 'costs'; its bits can be emulated, its costs not estimated."
            )
        self.graph, self.profile, self.costs = graph, profile, profile.costs
        self._apart = profile.fallback is not None and profile.fallback.flash_bytes is not None
        self._streams, self._whole = profile.costs.latency.on_chip is not None, profile.costs.ethos_u is not None
        self._facts: dict[tuple[int, tuple[str, ...]], _Facts] = {}
        self._numbers: dict[object, int] = {}
        self._homes: dict[str, tuple[int, str]] = {}
        self._times: dict[tuple[int, int], tuple[float, ...]] = {}
        self._runtimes: dict[tuple[int, ...], int] = {}
        self._shares: dict[int, Share] = {}
        self._lives: dict[tuple[int, ...], list[tuple[float, ...]]] = {}
        self._peaks: dict[tuple[int, ...], tuple[int, int]] = {}
        self._wholes: dict[tuple[int, ...], tuple[float, ...]] = {}

    def prices(self, plans: Iterable[Sequence[Part]]) -> F64:
        """Return the costs of plans, [P, 4] in the order of `COST_AXES`; NaN seconds and joules where a layer is not supported."""
        return np.array([self.price(parts) for parts in plans]).reshape(-1, len(COST_AXES))

    def price(self, parts: Sequence[Part]) -> tuple[float, ...]:
        """Return the costs of one plan, in the order of `COST_AXES`."""
        facts = self._found(parts)
        if self._whole:
            return self._estimated(facts)
        peak, live = self._peak(facts)
        cycles = self.costs.latency.inference.value
        for fact in facts:
            for amount in fact.amounts:  # one after the other, as `interval.combine` adds them
                cycles += amount
        if self._streams:
            for amount in self._streamed(facts, live):
                cycles += amount
        seconds = cycles / self.profile.clock_hz
        flash = sum([fact.flash for fact in facts]) + self._runtime(facts)
        ram = peak + round(self.costs.memory.runtime_ram_bytes.value)
        return float(flash), float(ram), seconds, seconds * self.costs.energy.active_power_w.value

    @property
    def adds_up(self) -> bool:
        """Whether a plan costs the sum of its parts: not where a compiler schedules, or a chip keeps, the network as a whole."""
        return not self._whole and not self._streams

    def shares(self, parts: Sequence[Part]) -> list[Share]:
        """Return what each part of a plan adds; with `fixed` they make up its costs where those add up."""
        return [self._shares.get(id(fact)) or self._share(fact) for fact in self._found(parts)]

    @property
    def fixed(self) -> Share:
        """What is there whatever the plan: the runtime, and the time of starting an inference."""
        memory, latency = self.costs.memory, self.costs.latency
        runtime = round(memory.runtime_flash_bytes.value)
        return Share(runtime, latency.inference.value, round(memory.runtime_ram_bytes.value), {})

    def live(self, parts: Sequence[Part]) -> list[tuple[float, ...]]:
        """Return the bytes that the arena must hold at least while each node of each part runs, rounded as `estimate` rounds."""
        facts, memory = self._found(parts), self.costs.memory
        key = tuple([fact.ram for fact in facts])
        if key not in self._lives:
            works = [layer.work for fact in facts for layer in fact.layers]
            buffers = mem.arena_buffers(self._graph(facts), works, self.profile, memory)
            factor = 1.0 if memory.arena_factor is None else memory.arena_factor.value
            sizes = live_bytes(aligned(buffers, memory.alignment), len(works))
            bytes_ = iter([float(ceil(factor * size - HALF)) for size in sizes])
            self._lives[key] = [tuple(next(bytes_) for _ in fact.layers) for fact in facts]
        return self._lives[key]

    def _share(self, fact: _Facts) -> Share:
        memory = self.costs.memory
        code: dict[str, float] = {}
        tables = 0
        for layer in (x for x in fact.layers if x.here):
            kernel = memory.kernel_flash_bytes.get(layer.node.op, memory.kernel_flash_bytes.get("any"))
            if kernel is not None:
                code[layer.node.op] = kernel.value
            own, shared = tables_of(layer.node.op, fact.part.tensors[layer.node.outputs[0]].dtype)
            tables += own
            code |= {f"table of {name}": float(size) for name, size in shared.items()}
        channels = mem.records_bytes([layer.work for layer in fact.layers], memory)
        self._shares[id(fact)] = made = Share(fact.flash + tables, sum(fact.amounts), channels, code)
        return made

    def _found(self, parts: Sequence[Part]) -> list[_Facts]:
        states = parts[-1].states
        written = tuple([state.write for state in states])
        return [self._facts.get((id(part), written)) or self._make(i, part, states) for i, part in enumerate(parts)]

    def _make(self, position: int, part: Part, states: tuple[State, ...]) -> _Facts:
        """Return what a part adds."""
        layers = tuple(self._layers(replace(self.graph, nodes=part.nodes, tensors=part.tensors, states=states)))
        for layer in layers:
            for name in layer.node.inputs:
                home = (position, layer.node.name)
                if name and part.tensors[name].is_constant and self._homes.setdefault(name, home) != home:
                    self._whole = True  # it lies in flash once
        alone = not self._streams and not self._whole
        made = _Facts(
            part,
            layers,
            sum(sum(layer.stored) for layer in layers if layer.here),
            sum(sum(layer.stored) for layer in layers if layer.runner is self.profile),
            tuple(a for layer in layers for a in self._time(layer, sum(layer.stored))) if alone else (),
            self._number("code", *((x.node.op, part.tensors[x.node.outputs[0]].dtype) for x in layers if x.here)),
            self._number("ram", *self._buffers(part, layers)),
        )
        self._facts[id(part), tuple(state.write for state in states)] = made
        return made

    def _layers(self, graph: Graph) -> Iterator[_Layer]:
        for node in graph.nodes:
            work, runner = layer_work(graph, node), place(node, graph.tensors, self.profile).runner
            stored = stored_bytes(graph, node, work, runner, self.profile)
            yield _Layer(node, work, runner, stored, not self._apart or runner in (self.profile, None))

    def _time(self, layer: _Layer, flash: int) -> tuple[float, ...]:
        key = (id(layer), flash)
        if key not in self._times:
            time = time_of(self.profile, layer.runner, self.costs, layer.work, flash)
            self._times[key] = tuple(term.amount for term in time.terms)
        return self._times[key]

    def _streamed(self, facts: Sequence[_Facts], live: int) -> Iterator[float]:
        """Yield the cycles where the memory on the chip keeps a share of the weights, and of the activations, of the whole network."""
        streamed = streamed_share(self.costs.latency.on_chip, sum([fact.own for fact in facts]))
        layers = [layer for fact in facts for layer in fact.layers]
        for layer in layers:
            size = sum(layer.stored)
            yield from self._time(layer, round(size * streamed) if layer.runner is self.profile else size)
        for term in outside_terms(self.costs.latency, [layer.work for layer in layers], live):
            yield term.amount

    def _number(self, *content: object) -> int:
        return self._numbers.setdefault(content, len(self._numbers))

    def _buffers(self, part: Part, layers: Sequence[_Layer]) -> Iterator[object]:
        """Yield all that the arena depends on in a part: who reads and writes what in which type, scratch, records, ends."""
        graph = replace(self.graph, nodes=part.nodes, tensors=part.tensors)
        for layer in layers:
            node, work = layer.node, layer.work
            tensors = [graph.tensors[name] for name in (*node.inputs, *node.outputs) if name]
            seen = tuple((t.name, t.dtype) for t in tensors if not t.is_constant)
            scratch = mem.scratch_bytes(graph, node, work, self.profile, self.costs.memory)
            yield node.name, seen, scratch, work.channels, work.out_channels
        yield tuple(t.name for t in part.outputs), tuple((s.read, s.write) for s in part.states)

    def _runtime(self, facts: Sequence[_Facts]) -> int:
        """Return the bytes of code and tables."""
        key = tuple([fact.code for fact in facts])
        if key not in self._runtimes:
            nodes = [layer.node for fact in facts for layer in fact.layers if layer.here]
            code = code_bytes(self.costs.memory, {node.op for node in nodes})
            self._runtimes[key] = round(code.value + table_bytes(self._graph(facts), nodes))
        return self._runtimes[key]

    def _peak(self, facts: Sequence[_Facts]) -> tuple[int, int]:
        """Return the peak of the arena with the runtime's records, and the most bytes that are live at a time."""
        key = tuple([fact.ram for fact in facts])
        if key not in self._peaks:
            graph, memory = self._graph(facts), self.costs.memory
            works = [layer.work for fact in facts for layer in fact.layers]
            buffers = mem.arena_buffers(graph, works, self.profile, memory)
            ram = mem.ram_peak(buffers, works, memory)
            self._peaks[key] = round(ram.value), max(live_bytes(buffers, len(works)), default=0)
        return self._peaks[key]

    def _estimated(self, facts: Sequence[_Facts]) -> tuple[float, ...]:
        key = tuple([id(fact) for fact in facts])
        if key not in self._wholes:
            layers = [layer for fact in facts for layer in fact.layers]
            cost = estimate(self._graph(facts), self.profile, [x.work for x in layers], [x.runner for x in layers])
            self._wholes[key] = tuple(value(cost) for value in COST_AXES.values())
        return self._wholes[key]

    def _graph(self, facts: Sequence[_Facts]) -> Graph:
        """Return the graph of a plan."""
        tensors = {name: self.graph.tensors[name] for name in self.graph.inputs}
        for fact in facts:
            tensors.update(fact.part.tensors)
        nodes = tuple(node for fact in facts for node in fact.part.nodes)
        end = facts[-1].part
        return replace(self.graph, nodes=nodes, tensors=tensors, outputs=tuple(t.name for t in end.outputs), states=end.states)
