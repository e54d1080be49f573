"""Cycles of one operation on the array, and the bytes that it moves, as Vela's performance model counts them.

The array works on one output block while the one before is scaled and written: the slower of both sets the pace, or the issuing of
commands does. Each memory has its own time; the operation takes the longest of all.
Source: `ethos_u55_performance`, `ethos_u85_performance`, `network_performance` of Vela 5.2.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf

from workbench.cost.ethos_blocks import SUBKERNEL, Blocks
from workbench.cost.ethos_engine import Engine, Size
from workbench.cost.ethos_ops import ACTIVATION, BRICK, Kernel, Link, NpuOp, View
from workbench.hardware.costs_ethos import EthosMemory

BINARY = ("add", "sub", "mul", "asr", "shl", "minimum", "maximum")
WIDTH_WORD = 16
"""Bytes of a word of the bus of a U85."""
EFFICIENCY = 0.8
"""Share of the requests under way, and of their time, that a U85 is taken to use."""


@dataclass(frozen=True)
class Places:
    """Which memory holds what. in_sram: names of the maps there; the rest, and everything constant, is in the storage.

    home: where a map belongs that was given no place, because the next operation takes it on the way.
    """

    sram: EthosMemory
    storage: EthosMemory
    in_sram: frozenset[str]
    home: EthosMemory

    def of(self, view: View) -> EthosMemory:
        """Return the memory of a map."""
        return self.sram if view.map.name in self.in_sram else self.storage


def copy_cycles(engine: Engine, source: EthosMemory, target: EthosMemory, size: int) -> int:
    """Return the cycles of a copy between two memories."""
    read = int(size / channel_rate(engine, source, "copy")) + source.read_latency
    return max(read, int(size / channel_rate(engine, target, "write")) + target.write_latency)


def channel_rate(engine: Engine, memory: EthosMemory, channel: str) -> float:
    """Return the bytes per cycle that one kind of request gets: the memory's, on a U85 bounded by the requests under way."""
    if engine.rams is None:
        return memory.bytes_per_cycle
    words = max(memory.burst_bytes // WIDTH_WORD, 1)
    write = channel == "write"
    latency = memory.write_latency if write else memory.read_latency
    limit = inf if write else engine.rams.channels[channel] / words
    requests = min(limit, (memory.max_writes if write else memory.max_reads) * memory.ports * EFFICIENCY)
    return min(memory.bytes_per_cycle, memory.burst_bytes * requests / max(latency, 1) * EFFICIENCY)


def moved(engine: Engine, memory: EthosMemory, view: View, block: Size, elements: int, read: bool) -> int:
    """Return the bytes that elements of a map cost: short rows waste part of every burst."""
    bits, size = view.map.bits, view.size
    cores = 1 if engine.rams is not None else engine.cores
    if not view.map.linear:
        burst = bits * block.w * (block.c if size.w * bits * BRICK // 8 == block.c else BRICK * (1 if read else cores))
    elif size.c * bits // 8 == block.c and (read or block.c <= BRICK):
        burst = bits * block.w * block.c
    elif read:
        burst = bits * block.c
    else:
        burst = min(64 * 8, BRICK * bits * cores, block.c * bits)
    length = max(min(memory.burst_bytes, burst // 8), 1)
    return (elements * bits // 8) * memory.burst_bytes // length


def op_cycles(
    engine: Engine, op: NpuOp, blocks: Blocks, places: Places, weights_latency: int, out: Size | None = None,
    first: bool = True, last: bool = True,
) -> int:  # fmt: skip
    """Return the cycles of an operation or of one slice of it, without waiting for its weights.

    out: of the slice. weights_latency: of the memory that the weights are read from. first, last: the slice begins, ends the
    operation.
    """
    made = out or op.out.size
    if op.kind == "elementwise":
        return _elementwise(engine, op, blocks, places)
    block = made.clip(blocks.out)
    ublock = _ublock(engine, op, blocks, made)
    in_block = block.per(ublock).volume
    count = made.per(ublock).volume / in_block
    ao = float(ceil(output_rate(engine, op, blocks) * block.volume))
    if op.weights is not None:
        ao = max(ao, SCALE_BYTES * block.c * weights_latency / 256)
    mac = float(_mac_cycles(engine, op, blocks, block, ublock))
    read, write = _first_read(engine, op, blocks, places), _last_write(engine, op, blocks, places, made)
    issue = ((abs(write - read) if count > 1 else 0) + mac + ao) / 4
    mac, ao = max(mac, issue), max(ao, issue)
    total = int(mac * count) + (int(ao) if last else 0) if mac > ao else int(ao * count + mac)
    total += (write if last else 0) + (read if first else 0)
    return total * op.repeats


SCALE_BYTES = 10


def _ublock(engine: Engine, op: NpuOp, blocks: Blocks, out: Size) -> Size:
    """Return the micro-block: one row of four instead of 2 x 2 where the output has one row."""
    if (
        engine.rams is None and blocks.ublock.h == 2 and op.kind in ("conv", "vector")
        and out.h == 1 and out.w % 2 == 0 and op.kernel.h == 1
    ):  # fmt: skip
        return Size(1, 4, blocks.ublock.c)
    return blocks.ublock


def _mac_cycles(engine: Engine, op: NpuOp, blocks: Blocks, block: Size, ublock: Size) -> int:
    """Return the cycles of the array for one output block."""
    ifm, bits = op.inputs[0].size, op.bits
    read = ifm.clip(blocks.ifm)
    n = block.per(ublock)
    decode = 32 * ublock.c // 8 // (engine.cores if engine.rams is not None else 1)
    depths = -(-read.c // 8)
    total = 0
    for window in windows(op.kernel, op.kind == "vector"):
        cycles, steps = _step(engine, op, blocks, n, window, decode, depths, bits)
        delay = _delay(engine, blocks, n, steps)
        if blocks.traversal == "part_kernel":
            delay *= depths
        total += cycles + delay
    if op.kind in ("conv", "vector", "reduce_sum"):
        total *= -(-ifm.c // read.c)
    return total // engine.cores if engine.rams is None else total


def windows(kernel: Kernel, whole: bool) -> list[int]:
    """Return the positions of the pieces into which a window is cut, 8 x 8 at most. whole: there is no window."""
    if whole:
        return [1]
    tall = [min(SUBKERNEL, kernel.h - y) for y in range(0, kernel.h, SUBKERNEL)]
    return [y * min(SUBKERNEL, kernel.w - x) for x in range(0, kernel.w, SUBKERNEL) for y in tall]


def _step(
    engine: Engine, op: NpuOp, blocks: Blocks, n: Size, window: int, decode: int, depths: int, bits: int
) -> tuple[int, int]:
    """Return (cycles, steps) of one piece of the window. 16-bit inputs take twice the cycles."""
    u85 = engine.rams is not None
    if op.kind == "pool":
        halves = bits // 2 if u85 or engine.macs > 32 else 1
        return max(4, window) * n.volume * halves, 1
    if op.kind == "depthwise":
        steps = -(-window // 4)
        return max(decode, 4 * n.area * (bits // 8)) * steps * n.c, steps
    if blocks.traversal == "part_kernel":
        steps = -(-window // (2 if bits == 16 else 4))
        return max(decode, 4 * n.area) * steps * n.c * depths // (2 if blocks.sparse else 1), steps
    if u85:
        depth = min(op.inputs[0].size.c, blocks.ifm.c)
        return max(decode, depth // 8 * n.area) * window * n.c * max(bits // 8, 1) // (2 if blocks.sparse else 1), window
    return max(decode, 4 * n.area) * window * n.c, window


def _delay(engine: Engine, blocks: Blocks, n: Size, steps: int) -> int:
    """Return the cycles in which a result waits for the pipeline, where there is only one micro-block to work on."""
    smallest = engine.rams is None and engine.macs == 32
    delay = (7 if blocks.wide else 3) if smallest else 3 if blocks.wide and engine.macs <= 128 else 2
    cycles = 0
    if n.area == 1:
        cycles = delay * steps if n.c == 1 else delay * (steps - 1) * n.c
    if smallest and blocks.wide and n.c > 1 and 1 in (n.h, n.w):
        cycles += delay * n.c
    return cycles


def output_rate(engine: Engine, op: NpuOp, blocks: Blocks) -> float:
    """Return the cycles per element of scaling and writing the output."""
    if engine.rams is None:
        activation = 2 if op.type == ACTIVATION else 0 if op.table else 1 if op.relu else 2
        return max(engine.output_cycles[_output_kind(op, blocks)], engine.activation_cycles[activation])
    bits = op.first_bits or op.out.map.bits
    parts = [Link(op.type, bits, None, op.table), *op.links]
    total, before = 0.0, op.bits
    for i, part in enumerate(parts):
        cost = engine.output_cycles[_u85_kind(part, before, i < len(parts) - 1)]
        total += max(cost, engine.activation_cycles[0]) if part.table or op.relu else cost
        before = part.bits
    return total


def _output_kind(op: NpuOp, blocks: Blocks) -> int:
    if op.kind == "elementwise" and op.bits == 32:
        return 1 if len(op.inputs) == 2 else 0
    if op.type == "mul" and op.out.map.bits == 32:
        return 2
    if op.type == "mul" or (op.kind != "elementwise" and blocks.wide):
        return 3
    if op.type in ("add", "sub"):
        return 5
    return 6 if op.type == "maxpool" else 7


def _u85_kind(part: Link, in_bits: int, goes_on: bool) -> int:
    if goes_on and 32 in (part.bits, in_bits):
        return 4
    if part.type in BINARY and in_bits == 32:
        return 5 if part.bits == 32 else 4
    return {32: 2, 16: 1}.get(part.bits, 0)


def _elementwise(engine: Engine, op: NpuOp, blocks: Blocks, places: Places) -> int:
    elements, rate = op.out.rounded.volume, output_rate(engine, op, blocks)
    block = max(_last_write(engine, op, blocks, places, op.out.size), _first_read(engine, op, blocks, places))
    issue = ceil((block / blocks.out.volume + rate) / 4 * elements)
    return max(issue, ceil(rate * elements))


def _first_read(engine: Engine, op: NpuOp, blocks: Blocks, places: Places) -> int:
    """Return the cycles until the first input block is there."""
    longest = 0
    for view in op.inputs:
        memory = places.of(view)
        size = moved(engine, memory, view, blocks.ifm, view.size.clip(blocks.ifm).volume, True)
        longest = max(longest, memory.read_latency + int(size / memory.bytes_per_cycle))
    return longest


def _last_write(engine: Engine, op: NpuOp, blocks: Blocks, places: Places, out: Size) -> int:
    memory = places.home if op.links else places.of(op.out)
    view = View(op.out.map, out)
    size = moved(engine, memory, view, blocks.out, out.clip(blocks.out).volume, False)
    return memory.write_latency + int(size / memory.bytes_per_cycle)
