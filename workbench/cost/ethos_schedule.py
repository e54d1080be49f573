"""When the weights of each operation come into the SRAM, and which feature maps stay there.

A layer whose weights are read more than once, or faster from the SRAM, gets a buffer there: whole, or two halves that are filled in
turn while the array works on the slice before. The copy hides behind the operation before it. The choice is the one of Vela 5.2.0
(`Scheduler::ProposeSlicedWeightBuffering`), without cascades: every map is written whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import floor

from workbench.cost.ethos_blocks import Blocks, find_blocks
from workbench.cost.ethos_blocks_u85 import find_blocks_u85
from workbench.cost.ethos_cycles import Places, channel_rate, copy_cycles, op_cycles
from workbench.cost.ethos_engine import Engine, Size, round_up
from workbench.cost.ethos_ops import NpuOp
from workbench.cost.ethos_traffic import reads, weight_reads
from workbench.cost.ethos_weights import ALIGN, Encoded, encode, two_of_four
from workbench.hardware.costs_ethos import EthosMemory, EthosUCosts

SPLIT = 16
START_CYCLES = 1000
"""Cycles of waiting at the start of a network that are accepted."""
UNLIMITED = 1 << 30


@dataclass
class Step:
    """One operation as it is run.

    slices: output channels at which its weights are cut. buffers: bytes in the SRAM for them, none, one or two. ahead: the first
    is filled under the operation before. slack: cycles at its end under which the next buffer can be filled.
    """

    op: NpuOp
    blocks: Blocks
    encoded: Encoded | None
    slices: list[int]
    cycles: int = 0
    fast: bool = False
    buffers: list[int] = field(default_factory=list)
    ahead: bool = False
    transfer: int = 0
    slack: int = 0

    @property
    def parts(self) -> list[int]:
        """Bytes of the weights of each slice."""
        return [] if self.encoded is None else _parts(self.encoded, self.slices)

    @property
    def scales(self) -> int:
        """Bytes of these that are scales and biases."""
        pairs = zip(self.slices[1:], self.slices, strict=False)
        return 0 if self.encoded is None else sum(self.encoded.scale_part(end - start) for end, start in pairs)


def blocks_of(engine: Engine, op: NpuOp) -> Blocks:
    """Return the blocks of an operation."""
    sizes = tuple(view.size for view in op.inputs)
    if engine.rams is not None:
        return find_blocks_u85(engine, op.kind, op.out.size, sizes, op.bits, op.kernel)
    ifm = max(sizes, key=lambda size: size.volume)
    scalar = any(view.scalar for view in op.inputs)
    return find_blocks(engine, op.kind, op.out.size, ifm, scalar, op.bits, op.kernel, op.table)


def _best_blocks(engine: Engine, op: NpuOp, places: Places, costs: EthosUCosts) -> Blocks:
    """Return the blocks of an operation, those for sparse weights where it has such and they are no slower."""
    blocks = blocks_of(engine, op)
    if engine.rams is None or op.kind not in ("conv", "vector") or op.weights is None or not two_of_four(op.weights):
        return blocks
    sparse = find_blocks_u85(engine, op.kind, op.out.size, (op.inputs[0].size,), op.bits, op.kernel, True)
    latency = costs.storage.read_latency
    slower = op_cycles(engine, op, sparse, places, latency) > op_cycles(engine, op, blocks, places, latency)
    return blocks if slower else sparse


def schedule(engine: Engine, ops: list[NpuOp], costs: EthosUCosts) -> list[Step]:
    """Return the steps of a network."""
    maps = {view.map.name for op in ops for view in (*op.reads(), op.out) if not view.map.constant}
    shared = costs.staging_bytes is None
    home = costs.sram if shared else costs.storage
    places = Places(costs.sram, costs.storage, frozenset(maps) if shared else frozenset(), home)
    limit = costs.staging_bytes or UNLIMITED
    steps: list[Step] = []
    room = limit  # of the step before
    for op in ops:
        blocks = _best_blocks(engine, op, places, costs)
        encoded = encode(engine, op, blocks) if op.weights is not None else None
        depth = op.channels or op.out.size.c
        dense = replace(blocks, sparse=False)  # the time to fill a buffer under it is reckoned without the zeros skipped
        cycles = op_cycles(engine, op, dense, places, costs.storage.read_latency)
        step = Step(op, blocks, encoded, [0, depth], cycles, slack=cycles)
        before = steps[-1] if steps else None
        mine = limit
        if encoded is not None:
            fast = _fast_bytes(engine, op, encoded, costs)
            if fast:
                step.fast, step.encoded = True, replace(encoded, weights=fast)
            mine -= _Buffering(engine, costs, places, step, before, room, limit).choose()
        steps.append(step)
        room = mine
    return steps


def _fast_bytes(engine: Engine, op: NpuOp, encoded: Encoded, costs: EthosUCosts) -> int:
    """Return the bytes of the weights for the fast decoder of a U85, where that is faster, else 0.

    It reads them uncompressed, or as places in a table of up to 16 values.
    """
    if engine.rams is None or op.kind not in ("conv", "vector"):
        return 0
    few = encoded.distinct <= 16
    size = 32 + encoded.source // (4 if encoded.distinct <= 4 else 2 if few else 1)
    zeros = min(max(encoded.zeros / encoded.source, 0.5), 0.9)
    slow = encoded.source // int((8 + int((zeros - 0.5) * 24 / 0.4)) * engine.cores)
    quick = encoded.source // (64 if encoded.distinct < 16 else 32)
    wait = costs.storage.read_latency
    slow = max(slow, int(encoded.weights / channel_rate(engine, costs.storage, "weights")) + wait)
    quick = max(quick, int(size / channel_rate(engine, costs.storage, "fast_weights")) + wait)
    return round_up(size, ALIGN) if quick < slow else 0


@dataclass
class _Perf:
    run: int
    full: int
    visible: int
    weights: int
    ifm: int
    last: int


class _Buffering:
    """The choice for one step. room: bytes of SRAM free under the step before. limit: bytes free under this one."""

    def __init__(
        self, engine: Engine, costs: EthosUCosts, places: Places, step: Step, before: Step | None, room: int, limit: int
    ) -> None:
        assert step.encoded is not None
        self.engine, self.costs, self.places, self.step = engine, costs, places, step
        self.before, self.room, self.limit = before, room, limit
        self.encoded = step.encoded
        self.depth = step.slices[-1]
        self.slack = before.slack if before is not None else 0
        step.transfer = copy_cycles(engine, costs.storage, costs.sram, self.encoded.total)

    def choose(self) -> int:
        """Decide; return the bytes that are held while the last slice runs."""
        step, op, total = self.step, self.step.op, self.encoded.total
        refetch = weight_reads(op, step.blocks)
        unmoved = self._read(self.costs.storage, total) * refetch
        buffered = self._read(self.costs.sram, total) * refetch
        if buffered >= unmoved:
            return 0
        smallest = int(step.transfer * min(self.depth, SPLIT) / self.depth)
        start = self.before is None and refetch > 1 and (smallest < unmoved // 10 or smallest <= START_CYCLES)
        hidden = max(step.transfer - self.slack, 0)
        ahead = self.before is not None
        if not (
            start or buffered + hidden < unmoved or self.depth // step.blocks.out.c > 2
            or (ahead and smallest < self.slack and refetch > 1)
        ):  # fmt: skip
            return 0
        reference = self._perf([0, self.depth], self.costs.storage, 0, 0)
        dominated = reference.run > unmoved
        slices = self._slices(dominated)
        if slices is None:
            return 0
        buffers = self._buffers(slices)
        if not buffers:
            return 0
        usable = self.slack if ahead and buffers[0] < self.room else START_CYCLES if start else 0
        perf = self._perf(slices, self.costs.sram, usable, len(buffers))
        if not self._better(reference, perf, slices, dominated, start, refetch):
            return 0
        step.slices, step.buffers, step.slack = slices, buffers, perf.last
        step.ahead = ahead and buffers[0] < self.room
        return buffers[(len(slices) - 2) % len(buffers)]

    def _read(self, memory: EthosMemory, size: int) -> int:
        channel = "fast_weights" if self.step.fast else "weights"
        return int(size / channel_rate(self.engine, memory, channel) + memory.read_latency)

    def _buffers(self, slices: list[int]) -> list[int]:
        parts = _parts(self.encoded, slices)
        halves = [max(parts[0::2]), max(parts[1::2], default=0)]
        if sum(halves) <= self.limit and max(halves) < sum(parts):
            return halves
        largest = min(sum(parts), max(halves))
        return [largest] if largest <= self.limit else []

    def _slices(self, dominated: bool) -> list[int] | None:
        """Return the channels at which to cut, None where no cut is worth it."""
        depth, total, half = self.depth, self.encoded.total, self.limit // 2
        block = self.step.blocks.out.c
        smallest = SPLIT if self.engine.rams is None else max(SPLIT, self.step.blocks.ublock.c)
        split = min(SPLIT / depth, 1.0)
        share = min(self.slack / max(self.step.transfer, 1), 1.0)
        aligned = floor(share / split) * split
        ratio = 1.0 if 1 - aligned < split / 2 else share
        if dominated and 0.5 < ratio < 1:
            ratio = min(max(round_up(floor(depth * 0.5), SPLIT) / depth, 0.5), 1.0)
        ratio = min(max(ratio, split), min(half / total, 1.0))
        if ratio >= 1:
            return [0, depth]
        first = max(int(depth * ratio) // smallest * smallest, SPLIT)
        if first >= depth:
            return [0, depth]
        run = op_cycles(
            self.engine, self.step.op, self.step.blocks, self.places, self.costs.sram.read_latency, self._out(first), last=False
        )
        then = round_up(max(int(depth * run / self.step.transfer), SPLIT), block)
        if then / depth * total > half:
            then = int(half / total * depth)
        while True:
            step = block if then > block else smallest
            then = max(then // step * step, smallest)
            slices = [0, *range(first, depth, then), depth]
            if max(_parts(self.encoded, slices)) <= half or (first == SPLIT and then == smallest):
                break
            if then > first:
                then = round_up(then // 2, smallest)
            else:
                first = round_up(first // 2, SPLIT)
        idle = len(slices) > 3 and then / round_up(then, block) < 0.3
        return None if idle and dominated else slices

    def _out(self, depth: int) -> Size:
        size = self.step.op.out.size
        return Size(size.h, size.w, depth)

    def _perf(self, slices: list[int], memory: EthosMemory, slack: int, buffers: int) -> _Perf:
        """Return the cycles of the operation cut at these channels with its weights in a memory."""
        op, blocks, engine = self.step.op, self.step.blocks, self.engine
        parts = _parts(self.encoded, slices)
        run = visible = cycles = fetches = fetched = ifm = 0
        for i, part in enumerate(parts):
            out = self._out(slices[i + 1] - slices[i])
            first, last = i == 0, i == len(parts) - 1
            cycles = op_cycles(engine, op, blocks, self.places, memory.read_latency, out, first, last)
            if memory is not self.costs.storage:
                copied = copy_cycles(engine, self.costs.storage, memory, part)
                visible += max(copied - slack, 0)
            run += cycles
            slack = cycles if buffers == 2 else 0
            often = weight_reads(op, blocks, out)
            fetches += often
            fetched += part * often
            ifm += sum(elements * view.map.bits // 8 for view, elements in reads(op, blocks, engine, out))
        source = self.places.of(op.inputs[0])
        return _Perf(
            run, run + visible, visible, self._read(memory, fetched // fetches) * fetches,
            int(ifm / channel_rate(engine, source, "ifm") + source.read_latency), cycles,
        )  # fmt: skip

    def _better(self, old: _Perf, new: _Perf, slices: list[int], dominated: bool, start: bool, refetch: int) -> bool:
        ifm = new.ifm
        if self.costs.staging_bytes is not None and not self.step.op.inputs[0].map.external:
            ifm = int(ifm * self.costs.storage.bytes_per_cycle / self.costs.sram.bytes_per_cycle)  # it will be in the SRAM too
        before = max(old.run, old.weights, ifm)
        after = max(new.full, new.weights, ifm)
        if dominated:
            count = len(slices) - 1
            if new.visible // count < START_CYCLES:
                after -= new.visible
            if count > 1 and new.full == after and start:
                after -= count * (START_CYCLES // 2)
        return not (before < after or (refetch == 1 and self.step.transfer + new.weights > before))


def _parts(encoded: Encoded, slices: list[int]) -> list[int]:
    return [encoded.part(slices[i + 1] - slices[i]) for i in range(len(slices) - 1)]
