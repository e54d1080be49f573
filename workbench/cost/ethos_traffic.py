"""Bytes that an operation moves, by memory and kind of request, and the cycles that they take.

Source: `MeasureElementAccess`, `ElementTransferToBytes`, `MeasureAccessCycles` of Vela 5.2.0.
"""

from __future__ import annotations

from collections import defaultdict

from workbench.cost.ethos_blocks import Blocks
from workbench.cost.ethos_cycles import Places, channel_rate, moved, windows
from workbench.cost.ethos_engine import Engine, Size
from workbench.cost.ethos_ops import NpuOp, View
from workbench.hardware.costs_ethos import EthosMemory


def weight_reads(op: NpuOp, blocks: Blocks, out: Size | None = None) -> int:
    """Return how often all weights are read: once per block of the output plane."""
    made = out or op.out.size
    return made.per(made.clip(blocks.out)).area


def reads(op: NpuOp, blocks: Blocks, engine: Engine, out: Size | None = None) -> list[tuple[View, int]]:
    """Return (input, elements) of everything that an operation reads, without its links."""
    made = out or op.out.size
    if op.kind == "elementwise":
        return [(view, n) for view in op.inputs if (n := _elements(op, view, engine))]
    cut = made.per(made.clip(blocks.out))
    count = cut.area * (1 if op.kind in ("depthwise", "pool") else cut.c)
    pieces = len(windows(op.kernel, op.kind == "vector"))
    ifm = op.inputs[0]
    area = ifm.size.clip(blocks.ifm).area
    return [(ifm, area * ifm.rounded.c * pieces * count * op.repeats)]


def _elements(op: NpuOp, view: View, engine: Engine) -> int:
    if view.scalar:
        return view.rounded.volume if engine.rams is None and view.map.bits > 8 and not view.map.constant else 0
    return view.rounded.volume if engine.rams is not None else View(view.map, op.out.size).rounded.volume


class Traffic:
    """Bytes by memory and channel. They become cycles: bytes / rate of the memory, on a U85 at least those of each channel."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.bytes: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def add(self, memory: EthosMemory, channel: str, size: int) -> None:
        """Count a transfer."""
        self.bytes[id(memory)][channel] += size

    def total(self, memory: EthosMemory) -> int:
        """Return the bytes of one memory."""
        return sum(self.bytes[id(memory)].values())

    def cycles(self, memory: EthosMemory) -> int:
        """Return the cycles of one memory."""
        whole = int(self.total(memory) / memory.bytes_per_cycle)
        if self.engine.rams is None:
            return whole
        parts = [int(size / channel_rate(self.engine, memory, channel)) for channel, size in self.bytes[id(memory)].items()]
        return max([whole, *parts])


def maps_traffic(engine: Engine, op: NpuOp, blocks: Blocks, places: Places) -> Traffic:
    """Return the bytes of the feature maps of an operation."""
    traffic = Traffic(engine)
    channel = "ifm_stream" if op.kind == "elementwise" else "ifm"
    for view, elements in reads(op, blocks, engine):
        memory = places.of(view)
        traffic.add(memory, channel, moved(engine, memory, view, blocks.ifm, elements, True))
    for link in op.links:
        if link.other is not None:
            memory = places.of(link.other)
            size = moved(engine, memory, link.other, blocks.ifm, link.other.rounded.volume, True)
            traffic.add(memory, "ifm_stream", size)
    memory = places.of(op.out)
    size = moved(engine, memory, op.out, blocks.out, op.out.rounded.volume * op.repeats, False)
    traffic.add(memory, "write", size)
    return traffic


def maps_bytes(ops: list[NpuOp]) -> dict[str, int]:
    """Return how many bytes of each map are read and written in all, each operation once."""
    found: dict[str, int] = defaultdict(int)
    for op in ops:
        for view in (*op.reads(), op.out):
            found[view.map.name] += view.rounded.volume * view.map.bits // 8
    return found
