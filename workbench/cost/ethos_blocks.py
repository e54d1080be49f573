"""The blocks in which a U55 or U65 works through an operation: those that make it fetch least.

A search over height, width and depth of the output block: inputs (twice) and accumulators (twice) must fit the shared buffer; the
cheapest is the one with the fewest input and weight fetches per output. The rule is that of Vela 5.2.0 (`ArchEthosU55`), whose
ties are broken the same way, computed in float32 as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from workbench.cost.ethos_engine import Engine, Shram, Size, round_up
from workbench.cost.ethos_ops import Kernel, Kind

Traversal = Literal["depth_first", "part_kernel", "depthwise"]
SUBKERNEL = 8
"""Side of the largest window that is done at once."""
LIMIT = Size(32, 64, 128)
SPLIT = 16
"""Channels in which an output is split."""

Grid = npt.NDArray[np.int64]
Costs = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Blocks:
    """How an operation is cut up.

    wide: accumulators of 40 or 48 bits instead of 32. sparse: two of four weights along the inputs are 0 and skipped (U85).
    """

    out: Size
    ifm: Size
    ublock: Size
    traversal: Traversal
    wide: bool = False
    sparse: bool = False


def part_kernel(depth: int, bits: int, kernel: Kernel) -> bool:
    """Return whether a convolution goes over its window first and over the input channels second (few channels)."""
    if depth <= 8:
        return True
    step, window = (32, 4) if bits == 8 else (16, 2)
    by_depth = depth / round_up(depth, step)
    by_window = depth / round_up(depth, 8) * (kernel.area / round_up(kernel.area, window))
    return by_window >= by_depth


def needed(n: Grid, stride: int, reach: int, upscale: int) -> Grid:
    """Return the input positions that n output positions need along one side."""
    return np.ceil(((n - 1) * stride + reach) / upscale).astype(np.int64)


@lru_cache(maxsize=8192)
def find_blocks(
    engine: Engine, kind: Kind, out: Size, ifm: Size, scalar: bool, bits: int, kernel: Kernel, table: bool
) -> Blocks:
    """Return the blocks of one operation. ifm: the larger input. scalar: one of them is one number."""
    assert engine.shram is not None
    shram, ublock = engine.shram, engine.ublock
    same_depth = kind in ("elementwise", "pool", "depthwise")
    window_first = kind == "conv" and part_kernel(ifm.c, bits, kernel)
    wide = bits == 16 and kind != "pool"
    traversal: Traversal = "depthwise" if kind == "depthwise" else "part_kernel" if window_first else "depth_first"
    block_depth = round_up(min(ifm.c, 16), 4) if bits == 16 else round_up(min(ifm.c, 16 if window_first else 32), 8)
    h, w, c = _search_space(engine, out)
    reach_h, reach_w = (min(n, SUBKERNEL) for n in kernel.reach)
    ifm_h = -(-needed(h, kernel.stride_h, reach_h, kernel.upscale) // ublock.h) * ublock.h
    ifm_w = -(-needed(w, kernel.stride_w, reach_w, kernel.upscale) // ublock.w) * ublock.w
    ifm_c = c if same_depth else np.full_like(c, block_depth)
    flat = out.h == 1 and kernel.h == 1 and ublock.h == 2  # one row: half the block is not made
    used_h = np.minimum(h, out.h) if flat else h
    full = kind == "elementwise" and not (scalar and bits <= 16)
    fits = _fits(shram, kind, full, (used_h, w, c), (ifm_h, ifm_w, ifm_c), bits, 40 if wide else 32, table)
    if not fits.any():
        return Blocks(Size(ublock.h, ublock.w, 8), Size(ublock.h, ublock.w, 8), ublock, traversal, wide)
    cost = _cost(kind, out, ifm, kernel, (used_h, w, c), (h, w, c), ifm_h * ifm_w)
    whole = ifm.volume < ifm_h * ifm_w * ifm_c * 2  # everything is in the two buffers
    cost = np.where(fits, np.where(whole, cost / np.float32(2), cost), np.float32(np.inf))
    ic, ih, iw = cheapest(cost, h, w, ifm, ifm_h, ifm_w)
    block = Size(int(h[0, ih, 0]), int(w[0, 0, iw]), int(c[ic, 0, 0]))
    depth = block.c if same_depth else block_depth
    return Blocks(block, Size(int(ifm_h[0, ih, 0]), int(ifm_w[0, 0, iw]), depth), ublock, traversal, wide)


def _search_space(engine: Engine, out: Size) -> tuple[Grid, Grid, Grid]:
    """Return all heights, widths and depths, laid out as [depth, height, width]."""
    ublock = engine.ublock
    end = out.clip(LIMIT).aligned(ublock)
    depths = []
    depth = max(ublock.c, min(end.c, SPLIT))
    depth = round_up(depth, SPLIT) if depth < out.c else depth
    while depth <= end.c:
        depths.append(depth)
        depth += ublock.c
        depth = round_up(depth, SPLIT) if depth < out.c else depth
    return (
        np.arange(ublock.h, end.h + 1, ublock.h)[None, :, None],
        np.arange(ublock.w, end.w + 1, ublock.w)[None, None, :],
        np.array(depths or [end.c])[:, None, None],
    )


def _fits(
    shram: Shram, kind: Kind, full: bool, out: tuple[Grid, Grid, Grid], ifm: tuple[Grid, Grid, Grid], bits: int, acc: int,
    table: bool,
) -> npt.NDArray[np.bool_]:  # fmt: skip
    bank, element = Shram.BANK_BYTES, kind == "elementwise"
    depth = ifm[2] * (bits // 8)
    ifm_banks = -(-(ifm[0] * ifm[1] * (-(-depth // 8) * 8)) // bank) * 2
    step = (shram.elementwise if element else shram.ifm)[bits]
    ifm_banks = -(-ifm_banks // step) * step
    room = shram.banks - max(2 if table else 0, shram.table_banks) - Shram.OUTPUT_BANKS
    if element:
        return np.asarray(ifm_banks * (2 if full else 1) <= room)
    acc_banks = -(-(out[0] * out[1] * (-(-out[2] // 8) * 8) * acc // 8) // bank) * 2
    acc_banks = -(-acc_banks // shram.acc[acc]) * shram.acc[acc]
    return np.asarray(ifm_banks + acc_banks <= room)


def _cost(
    kind: Kind, out: Size, ifm: Size, kernel: Kernel, used: tuple[Grid, Grid, Grid], block: tuple[Grid, Grid, Grid], area: Grid
) -> Costs:
    """Return fetches per output element; `used` is the block without the rows that are not made."""
    f32 = np.float32
    if kind == "elementwise":
        return (f32(out.volume) / (block[0] * block[1] * block[2]).astype(f32)).astype(f32)
    parts = [f32(n) / size.astype(f32) for n, size in zip(out, used, strict=True)]
    full = [-(-n // size) for n, size in zip(out, used, strict=True)]
    repeats = -(-kernel.reach[0] // SUBKERNEL) * -(-kernel.reach[1] // SUBKERNEL)
    window = kernel.area if kind in ("conv", "depthwise") else 0
    weights = (window * ifm.c * full[0] * full[1]).astype(f32)
    if kind != "depthwise":
        weights = weights * (parts[2] * used[2].astype(f32))
    fetch = (area * ifm.c * repeats).astype(f32) * parts[0] * parts[1]
    if kind in ("conv", "vector", "reduce_sum"):
        fetch = fetch * full[2].astype(f32)
    cost: Costs = ((fetch + weights) / f32(out.volume)).astype(f32)
    return cost


def cheapest(cost: Costs, h: Grid, w: Grid, ifm: Size, ifm_h: Grid, ifm_w: Grid) -> tuple[int, int, int]:
    """Return the indices (depth, height, width) of the cheapest block.

    The first one; among equals that are at most 4 x 4, the last of those that leave least of the input uncovered.
    """
    flat = cost.ravel()
    best = int(flat.argmin())
    small = np.broadcast_to((h <= 4) & (w <= 4), cost.shape).ravel()
    equal = np.flatnonzero((flat == flat[best]) & small)
    equal = equal[equal > best]
    if equal.size:
        covered = np.broadcast_to(np.minimum(ifm.h, ifm_h) * np.minimum(ifm.w, ifm_w), cost.shape).ravel()[equal]
        best = int(equal[np.flatnonzero(covered == covered.max())[-1]])
    depth, height, width = np.unravel_index(best, cost.shape)
    return int(depth), int(height), int(width)
