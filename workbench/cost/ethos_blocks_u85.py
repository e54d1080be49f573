"""The blocks in which a U85 works through an operation.

Convolutions: the search of `ethos_blocks` with the buffers of the U85. Depthwise and pooling: the block with the shape of the output
that the accumulators and the input buffer hold. Elementwise: what the chaining buffer holds. The rules are those of
Vela 5.2.0 (`ArchEthosU85`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import ceil, sqrt

import numpy as np

from workbench.cost.ethos_blocks import SPLIT, SUBKERNEL, Blocks, Costs, Grid, Traversal, cheapest, needed
from workbench.cost.ethos_engine import Engine, Rams, Size, round_up
from workbench.cost.ethos_ops import BRICK, Kernel, Kind

LIMIT = Size(128, 128, 1024)
CHAIN_SLOTS = 6
ACC_DEPTH = 16
"""Channels by which accumulators are given."""


def kernel_first(depth: int, kernel: Kernel, sparse: bool) -> bool:
    """Return whether a convolution goes over its window first: where that leaves fewer multipliers idle."""
    area = kernel.area
    step, least = (10, 4) if sparse else (5, 2)
    padded = area // step * step + max(area % step, least)
    return depth / round_up(depth, 16) * (area / padded) >= depth / round_up(depth, 128 if sparse else 64)


def micro_block(engine: Engine, kind: Kind, out: Size, bits: int, point: bool) -> Size:
    """Return the micro-block that wastes least of those that can run the operation. point: a 1x1 convolution, depth first."""
    best, waste = engine.ublocks[-1], None
    for block in engine.ublocks:
        if _allowed(engine, kind, block, bits, point):
            lost = out.aligned(block).volume - out.volume
            if waste is None or lost < waste:
                best, waste = block, lost
    return best


def _allowed(engine: Engine, kind: Kind, block: Size, bits: int, point: bool) -> bool:
    if kind == "elementwise":
        return True
    spread = kind in ("depthwise", "pool")
    if engine.macs == 512:
        return True
    if engine.macs > 512:  # the deep blocks multiply matrices only
        return block.c == 16 or not (spread or kind == "reduce_sum")
    flat = block.c == 16  # 128 and 256: one block for what works channel by channel on bytes
    if bits == 8:
        return flat if spread else not flat
    if flat:
        return kind == "vector" or (kind == "conv" and point)
    return True


@lru_cache(maxsize=8192)
def find_blocks_u85(
    engine: Engine, kind: Kind, out: Size, inputs: tuple[Size, ...], bits: int, kernel: Kernel, sparse: bool = False
) -> Blocks:
    """Return the blocks of one operation. inputs: sizes of its inputs."""
    assert engine.rams is not None
    ifm = max(inputs, key=lambda size: size.volume)
    window_first = kind in ("conv", "vector") and len(inputs) == 1 and kernel_first(ifm.c, kernel, sparse)
    ublock = micro_block(engine, kind, out, bits, kernel.area == 1 and not window_first)
    wide = bits == 16 and kind in ("conv", "depthwise", "vector")
    granule = Size(ublock.h, ublock.w, ACC_DEPTH)
    if kind == "elementwise":
        block = _elementwise(engine.rams, out, inputs, bits, ublock, granule)
        return Blocks(block, block, ublock, "depth_first")
    depth = _input_depth(engine, ublock, bits, window_first, sparse)
    if kind in ("depthwise", "pool", "reduce_sum"):
        fixed = depth if kind == "reduce_sum" else 0
        block, read = _by_area(engine, ublock, granule, out, ifm, bits, 64 if wide else 32, kernel, fixed)
        return Blocks(block, read, ublock, "depthwise" if kind == "depthwise" else "depth_first", wide)
    traversal: Traversal = "part_kernel" if window_first else "depth_first"
    found = _search(engine, kind, ublock, granule, out, ifm, bits, 64 if wide else 32, kernel, depth, traversal)
    return replace(found, sparse=sparse)


def _input_depth(engine: Engine, ublock: Size, bits: int, window_first: bool, sparse: bool) -> int:
    if window_first:
        return 16
    if bits == 32 or (engine.macs <= 256 and ublock.c == 16 and not sparse):
        return 32
    return 128 if sparse and bits == 8 else 64


def _unit(engine: Engine, depth: int, bits: int, ublock: Size) -> Size:
    """Return the piece by which the input buffer is given out."""
    assert engine.rams is not None
    width = depth * bits
    cut = engine.rams.allocation[engine.ublocks.index(ublock)][2 if width > 256 else 1 if width > 128 else 0]
    return Size(cut.h, cut.w, cut.c * 128 // bits)


def _tile(n: int, granule: int, tile: int) -> int:
    if n % tile == 0:
        return tile
    return max(round_up(n // (n // tile + 1), granule), granule)


def _elementwise(rams: Rams, out: Size, inputs: tuple[Size, ...], bits: int, ublock: Size, granule: Size) -> Size:
    whole = out.aligned(granule)
    limit = whole.clip(LIMIT)
    width_units = rams.chain_bytes * 8 // bits // granule.c
    chain_units = rams.chain_bytes // CHAIN_SLOTS // (BRICK * max(bits // 8, 1)) // ublock.h
    h = _tile(whole.h, granule.h, limit.h)
    needs = max(_tile(whole.w, granule.w, min(max(width_units // granule.w, 1) * granule.w, limit.w)), granule.w)
    c, w = _share(granule.c, limit.c, width_units, needs)
    binary = len(inputs) == 2 and all(size.volume > 1 for size in inputs)
    short = [any(size[i] < out[i] for size in inputs) for i in range(3)] if binary else [False] * 3
    if short[2]:
        c, w = _tile(whole.c, granule.c, limit.c), chain_units
        if not (short[0] or short[1]):
            h, w = _share(ublock.h, limit.h, w, needs)
    elif short[0]:
        c, w = _share(BRICK, limit.c, chain_units, needs)
    return Size(max(h, 1), max(w, 1), max(c, 1)).aligned(granule)


def _share(value: int, most: int, room: int, needs: int) -> tuple[int, int]:
    """Return (value, room) after giving room that is not needed to value."""
    spare = min(room // needs, most // value)
    return (value * spare, room // spare) if spare >= 2 else (value, room)


def _read(block: Size, kernel: Kernel, unit: Size, depth: int) -> Size:
    """Return the input that an output block needs, in whole pieces of the buffer."""
    reach = [min(n, SUBKERNEL) for n in kernel.reach]
    h = ceil(((block.h - 1) * kernel.stride_h + reach[0]) / kernel.upscale)
    w = ceil(((block.w - 1) * kernel.stride_w + reach[1]) / kernel.upscale)
    return Size(h, w, depth or block.c).aligned(unit)


def _by_area(
    engine: Engine, ublock: Size, granule: Size, out: Size, ifm: Size, bits: int, acc: int, kernel: Kernel, fixed: int
) -> tuple[Size, Size]:
    assert engine.rams is not None
    room = engine.rams.ifm_bytes * 8 // bits
    whole = out.aligned(granule)
    h, w, c = _area_fit(engine, ublock, granule, whole, ifm, bits, acc, kernel, fixed)
    forced = 0
    while True:  # room for one more row of the next block, where there is one
        unit = _unit(engine, fixed or c, bits, ublock)
        read = _read(Size(h, w, c), kernel, unit, fixed)
        if (h, w, c) == whole or (h >= whole.h and w >= whole.w and c >= whole.c):
            break
        if room - read.volume >= _read(Size(granule.h, w, c), kernel, unit, fixed).volume:
            break
        if (h != whole.h or forced & 2) and h > granule.h:
            h -= granule.h
        elif (c > w or forced & 1) and c > unit.c:
            c -= unit.c
        elif (w != whole.w or forced & 4) and w > granule.w:
            w -= granule.w
        elif forced != 7:
            forced = forced << 1 | 1
        elif c > granule.c:
            c = max(c // 2, granule.c)
        else:
            break
    return Size(h, w, c), read


def _area_fit(
    engine: Engine, ublock: Size, granule: Size, whole: Size, ifm: Size, bits: int, acc: int, kernel: Kernel, fixed: int
) -> Size:
    """Return the block whose sides are in the proportion of the output and that wastes least."""
    assert engine.rams is not None
    accumulators, inputs = engine.rams.acc_bytes * 8 // acc, engine.rams.ifm_bytes * 8 // bits
    limit, step = whole.clip(LIMIT), ublock.area * ACC_DEPTH
    deep = kernel.reach == (1, 1)
    area = whole.w * whole.c if deep else whole.area
    found, best = Size(granule.h, granule.w, ACC_DEPTH), float("inf")
    for c in range(ACC_DEPTH, min(max(engine.macs, accumulators // step), limit.c) + 1, ACC_DEPTH):
        unit = _unit(engine, fixed or c, bits, ublock)
        sides = _fit_depth(whole, limit, granule, c, unit, ifm, kernel, fixed, accumulators, inputs, step)
        if sides is None:
            break
        h, w = sides
        used = c % unit.c or unit.c
        waste = 1 + (unit.c - used) / unit.c / 10
        fit = 1 + abs(1 - limit.c / c) / 10
        metric = (1 + abs(1 - area / (w * (c if deep else h)))) * fit * waste
        if metric < best:
            found, best = Size(h, w, c), metric
            if c >= whole.c and w >= whole.w and h >= whole.h:
                return whole
    return found


def _fit_depth(
    whole: Size, limit: Size, granule: Size, c: int, unit: Size, ifm: Size, kernel: Kernel, fixed: int, accumulators: int,
    inputs: int, step: int,
) -> tuple[int, int] | None:  # fmt: skip
    fit, before, retry = accumulators, -1, 25
    while True:
        h, w = _proportioned(whole.h / whole.w, fit // c, granule)
        w, h = min(w, limit.w), min(h, limit.h)
        room = h * w
        if w < whole.w:
            w = _best_tile(whole.w, granule.w, w)
        h = max(room // w // granule.h * granule.h, granule.h)
        needs = h * w * c
        read = min(_read(Size(h, w, c), kernel, unit, fixed).volume, ifm.aligned(unit).volume)
        acc_ratio, ifm_ratio = accumulators / needs, inputs / read
        if acc_ratio >= 1 and ifm_ratio >= 1:
            return h, w
        if needs == before:
            retry -= 1
            if retry <= 0:
                ifm_ratio = 0.9
        before = needs
        if ifm_ratio < 1 < acc_ratio:
            fit = min(fit, needs)
        smaller = int(fit // step * min(ifm_ratio, acc_ratio)) * step
        smaller = fit - step if smaller == fit else smaller
        if smaller < step:
            return None
        fit = smaller


def _proportioned(aspect: float, area: int, granule: Size) -> tuple[int, int]:
    w = sqrt(area / aspect)
    h = w * aspect
    if h < 1:
        w, h = w * h, 1.0
    elif w < 1:
        w, h = 1.0, h * w
    return max(int(h), granule.h) // granule.h * granule.h, max(int(w), granule.w) // granule.w * granule.w


def _best_tile(n: int, granule: int, tile: int) -> int:
    """Return the width, at most `tile`, that leaves the largest last piece."""
    if n % tile == 0:
        return tile
    even = max(round_up(n // (n // tile + 1), granule), granule)
    best, rest = tile, n % tile
    for width in range(tile, max(even - 2 * granule, (even + 1) // 2, granule) - 1, -granule):
        left = n % width or width
        if left > rest:
            best, rest = width, left
    return best


def _search(
    engine: Engine, kind: Kind, ublock: Size, granule: Size, out: Size, ifm: Size, bits: int, acc: int, kernel: Kernel, depth: int,
    traversal: Traversal,
) -> Blocks:  # fmt: skip
    assert engine.rams is not None
    end = Size(*(max(min(n, m), g) for n, m, g in zip(out, LIMIT, granule, strict=True))).aligned(ublock)
    first = max(ublock.c, min(end.c, SPLIT))
    depths = sorted({c if c >= out.c else round_up(c, SPLIT) for c in range(first, end.c + 1, ublock.c)})
    c: Grid = np.array([d for d in depths if d <= end.c] or [end.c])[:, None, None]
    h: Grid = np.arange(granule.h, end.h + 1, granule.h)[None, :, None]
    w: Grid = np.arange(granule.w, end.w + 1, granule.w)[None, None, :]
    unit = _unit(engine, depth, bits, ublock)
    reach = [min(n, SUBKERNEL) for n in kernel.reach]
    ifm_h = -(-needed(h, kernel.stride_h, reach[0], kernel.upscale) // unit.h) * unit.h
    ifm_w = -(-needed(w, kernel.stride_w, reach[1], kernel.upscale) // unit.w) * unit.w
    read = round_up(min(round_up(depth, unit.c), ifm.c), unit.c)
    cost = _cost(kind, out, ifm, kernel, (h, w, c), ifm_h * ifm_w)
    cost = np.where(ifm.volume < ifm_h * ifm_w * round_up(depth, unit.c) * 2, cost / np.float32(2), cost)
    for buffers in (2, 1):
        fits = (ifm_h * ifm_w * read * (bits // 8) * buffers <= engine.rams.ifm_bytes) & (
            h * w * (-(-c // ACC_DEPTH) * ACC_DEPTH) * acc // 8 * buffers <= engine.rams.acc_bytes
        )
        if fits.any():
            break
    else:
        return Blocks(granule, granule, ublock, traversal, acc > 32)
    cost = np.where(fits, cost, np.float32(np.inf))
    ic, ih, iw = cheapest(cost, h, w, ifm, ifm_h, ifm_w)
    block = Size(int(h[0, ih, 0]), int(w[0, 0, iw]), int(c[ic, 0, 0]))
    return Blocks(block, Size(int(ifm_h[0, ih, 0]), int(ifm_w[0, 0, iw]), depth), ublock, traversal, acc > 32)


def _cost(kind: Kind, out: Size, ifm: Size, kernel: Kernel, block: tuple[Grid, Grid, Grid], area: Grid) -> Costs:
    f32 = np.float32
    if kind == "vector":
        return np.broadcast_to((f32(1) / (block[0] * block[1]).astype(f32)), np.broadcast_shapes(*(b.shape for b in block)))
    parts = [f32(n) / size.astype(f32) for n, size in zip(out, block, strict=True)]
    full = [-(-n // size) for n, size in zip(out, block, strict=True)]
    repeats = -(-kernel.reach[0] // SUBKERNEL) * -(-kernel.reach[1] // SUBKERNEL)
    weights = f32(kernel.area) * f32(ifm.c) * (full[0] * full[1]).astype(f32) * (parts[2] * block[2].astype(f32))
    fetch = area.astype(f32) * f32(ifm.c) * f32(repeats) * parts[0] * parts[1] * full[2].astype(f32)
    cost: Costs = ((fetch + weights) / f32(out.volume)).astype(f32)
    return cost
