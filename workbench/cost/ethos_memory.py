"""Which feature maps of an Ethos-U are in its SRAM, and how much of it is in use while each operation runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workbench.cost.ethos_engine import round_up
from workbench.cost.ethos_ops import LINEAR_ALIGN, Map, NpuOp
from workbench.cost.ethos_schedule import Step
from workbench.cost.ethos_traffic import maps_bytes
from workbench.hardware.costs_ethos import EthosUCosts


@dataclass
class Range:
    """A piece of memory: the times from which to which it is held. Two times an operation: before it and while it runs."""

    start: int
    end: int
    size: int
    names: tuple[str, ...] = ()

    def holds(self, time: int) -> bool:
        """True while it is held."""
        return self.start <= time <= self.end


def map_ranges(ops: list[NpuOp], inside: frozenset[str] | None = None) -> list[Range]:
    """Return the ranges of the feature maps (those named, else all), outputs in the place of inputs where that is possible."""
    maps: dict[str, Map] = {}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    readers: dict[str, int] = {}
    for i, op in enumerate(ops):
        for view in (*op.reads(), op.out):
            if not view.map.constant:
                maps[view.map.name] = view.map
                first.setdefault(view.map.name, 2 * i)
                last[view.map.name] = 2 * i + 1
        for name in {view.map.name for view in op.reads()}:
            readers[name] = readers.get(name, 0) + 1
    made = {op.out.map.name for op in ops}
    for name, found in maps.items():
        if found.external:
            first[name] = first[name] if name in made else 0
            last[name] = 2 * len(ops) + 1 if name in made else last[name]
    chosen = {name for name in maps if inside is None or name in inside}
    owner = _reused(ops, maps, readers, chosen)
    ranges: dict[str, Range] = {}
    for name in (n for n in maps if n in chosen):
        key = owner.get(name, name)
        held = ranges.setdefault(key, Range(first[name], last[name], 0))
        held.start, held.end = min(held.start, first[name]), max(held.end, last[name])
        held.size, held.names = max(held.size, maps[name].stored), (*held.names, name)
    return list(ranges.values())


def _reused(ops: list[NpuOp], maps: Mapping[str, Map], readers: Mapping[str, int], chosen: set[str]) -> dict[str, str]:
    """Return output -> the input whose place it takes: elementwise, of the same size and type, read by nobody else."""
    owner: dict[str, str] = {}
    for op in ops:
        out = op.out.map
        if not op.in_place or out.name not in chosen or out.name in owner:
            continue
        for view in op.inputs:
            ifm = maps.get(view.map.name)
            if ifm is None or ifm.name not in chosen or readers[ifm.name] != 1:
                continue
            if (ifm.size, ifm.bits, ifm.linear) == (out.size, out.bits, out.linear):
                owner[out.name] = owner.get(ifm.name, ifm.name)
                break
    return owner


def buffer_ranges(steps: list[Step]) -> list[Range]:
    """Return the ranges of the weight buffers."""
    ranges = []
    for i, step in enumerate(steps):
        final = (len(step.slices) - 2) % max(len(step.buffers), 1)
        for part, size in enumerate(step.buffers):
            early = 1 if part == 0 and step.ahead else 0
            ranges.append(Range(2 * i - early, 2 * i + (1 if part == final else 0), round_up(size, LINEAR_ALIGN)))
    return ranges


def usage(ranges: Iterable[Range], times: int) -> list[int]:
    """Return the bytes in use at each time."""
    used = [0] * times
    for held in ranges:
        for time in range(max(held.start, 0), min(held.end, times - 1) + 1):
            used[time] += held.size
    return used


def fast_maps(steps: list[Step], costs: EthosUCosts) -> frozenset[str]:
    """Return the maps that are in the SRAM: all, or where it is the NPU's own those that fit, the most used first.

    What the host reads or writes is not moved there.
    """
    ops = [step.op for step in steps]
    every = {view.map.name: view.map for op in ops for view in (*op.reads(), op.out) if not view.map.constant}
    if costs.staging_bytes is None:
        return frozenset(every)
    inside = frozenset(name for name, found in every.items() if not found.external)
    ranges, times = map_ranges(ops, inside), 2 * len(ops) + 2
    used = usage([*ranges, *buffer_ranges(steps)], times)
    if max(used, default=0) <= costs.staging_bytes:
        return inside
    used, kept = usage(buffer_ranges(steps), times), set[str]()
    worth = maps_bytes(ops)
    for held in sorted(ranges, key=lambda r: -sum(worth.get(n, 0) for n in r.names) / max(r.size * (r.end - r.start), 1)):
        if max(used[held.start : held.end + 1]) + held.size <= costs.staging_bytes:
            kept.update(held.names)
            for time in range(held.start, held.end + 1):
                used[time] += held.size
    return frozenset(kept)


def peaks(steps: list[Step], inside: frozenset[str]) -> tuple[list[int], int]:
    """Return the bytes of SRAM in use while each step runs, and the peak of the maps elsewhere."""
    ops = [step.op for step in steps]
    times = 2 * len(ops) + 2
    used = usage([*map_ranges(ops, inside), *buffer_ranges(steps)], times)
    outside = frozenset(v.map.name for op in ops for v in (*op.reads(), op.out) if v.map.name not in inside)
    return [max(used[2 * i : 2 * i + 2]) for i in range(len(ops))], max(usage(map_ranges(ops, outside), times), default=0)
