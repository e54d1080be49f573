"""What the weights of a layer take after the compressor of the Ethos-U, estimated from the counts of their values.

The coder writes each weight as its place in a table of the most frequent values (up to 32; others follow in order of size), in a
Golomb-Rice code, and the lengths of the runs of zeros between them where zeros are many. The array reads whole micro-blocks, so
zeros are added at the edges. Codes change along the stream; here one code holds for a layer, and zeros fall at random.
4- and 2-bit values have no code of their own: they are 8-bit weights with few values, and shorter only for that.
Source: `mlw_codec` and the weight encoders of Vela 5.2.0. Per output channel 10 bytes of bias and scale are stored beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from workbench.cost.ethos_blocks import SUBKERNEL, Blocks
from workbench.cost.ethos_engine import Engine, round_up
from workbench.cost.ethos_ops import Kernel, NpuOp
from workbench.graph.ir import Tensor

SCALE_BYTES = 10
ALIGN = 16
"""Bytes to which every stream is filled up."""
TABLE = 32
"""Values that the table of frequent ones can hold."""
MANY_ZEROS = 5
"""Runs of zeros are written apart when zeros are so much more frequent than the next value."""
SLICE_BITS = 40
"""Header of a piece of the stream with one code."""
LARGEST_QUOTIENT = 31

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """Weights of one layer as they are stored.

    weights, scales: bytes. source: weights that the array reads, the added zeros among them. zeros: of these. distinct: values.
    depth: output channels, whose scales are filled
    up to a multiple of step. streams: one per core.
    """

    weights: int
    scales: int
    source: int
    zeros: int
    distinct: int
    depth: int
    streams: int
    step: int

    @property
    def total(self) -> int:
        """Bytes of both."""
        return self.weights + self.scales

    def part(self, depth: int) -> int:
        """Return the bytes of so many output channels."""
        if depth >= self.depth:
            return self.total
        return self.scale_part(depth) + round_up(-(-self.weights * depth // self.depth), ALIGN)

    def scale_part(self, depth: int) -> int:
        """Return the bytes of the scales and biases of so many output channels."""
        per_core = -(-depth // self.streams)
        return round_up(round_up(per_core, self.step) * SCALE_BYTES, ALIGN) * min(self.streams, depth)


def encode(engine: Engine, op: NpuOp, blocks: Blocks) -> Encoded:
    """Return what the weights of an operation take."""
    assert op.weights is not None
    depth = op.channels
    counts = _counts(op.weights)
    size = int(counts.sum())
    per_sample = _source(engine, op, blocks, depth)
    source = max(per_sample, size)
    streams = min(engine.cores if engine.rams is None else 1, depth)
    step = 1 if engine.rams is None else round_up(blocks.ublock.c, ALIGN)
    cores = min(engine.cores, depth)
    key = (source - size, _padded_runs(op, blocks, depth))
    known = _CODED.setdefault(op.weights, {})
    if key not in known:
        known[key] = _coded_bits(counts, *key)
    bits = known[key]
    weights = sum(round_up(-(-int(bits) // (8 * cores)), ALIGN) for _ in range(cores))
    scales = streams * round_up(round_up(-(-depth // streams), step) * SCALE_BYTES, ALIGN)
    zeros = int(counts[_ZERO]) + source - size
    return Encoded(weights, scales, source, zeros, int((counts > 0).sum()), depth, streams, step)


_ZERO = 256
_SEEN: WeakKeyDictionary[Tensor, Counts] = WeakKeyDictionary()
_CODED: WeakKeyDictionary[Tensor, dict[tuple[int, int], float]] = WeakKeyDictionary()
"""Weights -> bits by the added zeros and their runs: accelerators share them, and so do estimates."""


def _counts(weights: Tensor) -> Counts:
    """Return how often each value from -256 to 255 occurs, zero points taken away (none: 8 bits, evenly spread)."""
    found = _SEEN.get(weights)
    if found is None:
        data = weights.data
        if data is None or data.dtype.kind not in "iu":
            n = int(np.prod(weights.shape))
            found = np.bincount(np.arange(n) % 255 - 127 + _ZERO, minlength=512)
        else:
            values = data.ravel().astype(np.int64)
            if weights.quant is not None and weights.quant.zero_point.size == 1:
                values = values - int(weights.quant.zero_point[0])
            found = np.bincount(np.clip(values, -255, 255) + _ZERO, minlength=512)
        _SEEN[weights] = found
    return found


_SPARSE: WeakKeyDictionary[Tensor, bool] = WeakKeyDictionary()


def two_of_four(weights: Tensor) -> bool:
    """Return whether of every four weights along the inputs at least two are 0: a U85 then skips half."""
    found = _SPARSE.get(weights)
    if found is None:
        data = weights.data
        if data is None or data.size == 0 or data.dtype.kind not in "iu":
            found = False
        else:
            depth = data.shape[-1]
            used = np.zeros((data.size // depth, round_up(depth, 4)), bool)
            used[:, :depth] = (data != 0).reshape(-1, depth)
            found = bool((used.reshape(-1, 4).sum(1) <= 2).all())
        _SPARSE[weights] = found
    return found


def _source(engine: Engine, op: NpuOp, blocks: Blocks, depth: int) -> int:
    """Return the weights that the array reads: micro-blocks along the outputs, pieces of depth along the inputs."""
    kernel, ublock = op.kernel, blocks.ublock
    outputs = _in_blocks(depth, blocks.out.c, ublock.c)
    windows = _windows(kernel)
    if blocks.traversal == "depthwise":
        step = 4 if engine.rams is None else 10
        extra = 0 if engine.rams is None or engine.macs <= 256 else 2 if engine.macs <= 512 else 6
        return outputs * sum(round_up(n, step) + (-(-n // step)) * extra for n in windows)
    inputs = op.inputs[0].size.c
    wide = op.bits == 16
    if engine.rams is None:
        if blocks.traversal == "part_kernel":
            return outputs * round_up(inputs, 8) * sum(round_up(n, 2 if wide else 4) for n in windows)
        return outputs * round_up(inputs, 16 if wide else 32) * sum(windows)
    if blocks.traversal == "part_kernel":
        step = 10 if wide or blocks.sparse else 5
        return (
            outputs
            * round_up(inputs, 8 if wide and not blocks.sparse else blocks.ifm.c)
            * sum(round_up(n, step) for n in windows)
        )
    return outputs * round_up(inputs, blocks.ifm.c) * sum(windows)


def _padded_runs(op: NpuOp, blocks: Blocks, depth: int) -> int:
    """Return the number of runs in which the added zeros stand: behind each micro-block, or behind each few input channels."""
    windows = _windows(op.kernel)
    per_block = len(windows)
    if blocks.traversal != "depthwise" and op.inputs[0].size.c % 8:
        per_block = blocks.ublock.c * sum(windows)
    return max(-(-depth // blocks.ublock.c) * per_block, 1)


def _in_blocks(depth: int, block: int, ublock: int) -> int:
    full, rest = divmod(depth, block)
    return full * round_up(block, ublock) + round_up(rest, ublock)


def _windows(kernel: Kernel) -> list[int]:
    """Return the positions of the pieces into which a window is cut."""
    high, wide = SUBKERNEL // kernel.dilation_h, SUBKERNEL // kernel.dilation_w
    tall = [min(high, kernel.h - y) for y in range(0, kernel.h, max(high, 1))]
    broad = [min(wide, kernel.w - x) for x in range(0, kernel.w, max(wide, 1))]
    return [y * x for y in tall for x in broad]


def _coded_bits(counts: Counts, padding: int, runs: int) -> float:
    """Return the bits of a stream with these values and so many more zeros, which stand in so many runs."""
    counts = counts.copy()
    zeros = int(counts[_ZERO])
    total = int(counts.sum()) + padding
    share = zeros / max(total - padding, 1)
    in_runs = zeros * (1 - (1 - share) ** 2) + padding  # a zero with a zero beside it
    others = np.delete(counts, _ZERO)
    alternate = in_runs >= (zeros + padding) / 2 and zeros + padding > MANY_ZEROS * others.max(initial=0)
    if not alternate:
        counts[_ZERO] = zeros + padding
        return SLICE_BITS + _values(counts)
    counts[_ZERO] = 0
    nonzero = int(counts.sum())
    return SLICE_BITS + _values(counts) + _runs(nonzero, zeros, padding, runs)


def _runs(nonzero: int, zeros: int, padding: int, runs: int) -> float:
    """Return the bits of the lengths of the runs: zeros among the weights at random, added ones in runs of one length."""
    share = zeros / (zeros + nonzero) if zeros else 0.0
    best = float("inf")
    for shift in range(4):
        tail = share ** (1 << shift)
        quotient = tail / (1 - tail) if tail < 1 else zeros >> shift
        best = min(best, (nonzero + 1) * (1 + shift + quotient) + runs * (padding // runs >> shift))
    return best


def _values(counts: Counts) -> float:
    """Return the bits of the values: the cheapest of the codes for their places in the table."""
    used = np.flatnonzero(counts)
    if used.size == 0:
        return 0.0
    values = used - _ZERO
    folded = np.where(values < 0, -2 * values + 1, 2 * values)
    often = counts[used]
    order = np.lexsort((-folded, -often))
    largest = int(folded.max())
    room = min(TABLE, 511 - largest) if used.size > TABLE else TABLE
    listed = order[:room]
    if often[listed].sum() < often.sum() // 2:
        listed = order[:0]
    offset = int(folded.min()) if folded.min() < LARGEST_QUOTIENT else 0
    place = len(listed) + folded - offset
    place[listed] = np.arange(len(listed))
    width = max(2, int(folded[listed].max() if len(listed) else largest).bit_length())
    bits = _codes(place, often)
    if len(listed) == used.size:
        bits.append(float(often.sum()) * max(1, (max(len(listed), 2) - 1).bit_length()))
    elif len(listed) == 0:
        bits.append(float(often.sum()) * width)
    return min(bits) + len(listed) * width + 13


def _codes(place: Counts, often: Counts) -> list[float]:
    """Return the bits of all values in the codes of 0 to 5 low bits: with quotients up to 31, and with quotients up to 2.

    The last of the short ones needs no end mark. A value outside a code takes a piece of the stream of its own, in a code that
    holds the largest.
    """
    low = np.arange(6)[:, None]
    quotient = place[None, :] >> low
    widest = max(int(place.max(initial=0)) // LARGEST_QUOTIENT, 1).bit_length()
    apart = 2 * SLICE_BITS + (place >> widest) + 1 + widest
    long = np.where(quotient > LARGEST_QUOTIENT, apart, quotient + 1 + low) @ often
    short = np.where(quotient > 2, apart, np.minimum(quotient + 1, 2) + low) @ often
    return [float(n) for n in (*long, *short)]
