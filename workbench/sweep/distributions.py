"""Distributions of weights and activations, and what the formats make of them: range, step, share clipped, share rounded to nothing.

The histograms are of the float reference's values. What a format represents is read from the lowered network, so that it is what the
target has: `distributions(lowering, data, {"w8a8": plan, ...})` with one plan per format, as `layer_errors` takes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np
import numpy.typing as npt

from workbench.data import Dataset
from workbench.execute import Values, check_inputs, real_values, reference_passes
from workbench.graph.ir import Array, Graph, Tensor
from workbench.ops import OPS
from workbench.precision import PrecisionPlan, parse_format
from workbench.quantize import Lowering
from workbench.quantize.ranges import real_constant
from workbench.tensor import FLOAT8_MAX, RANGES, STORAGE, dequantize, quantize

BINS = 48
"""Bins of a histogram: enough to see tails, few enough to draw sixty layers."""
CHUNK = 32
F64 = npt.NDArray[np.float64]
Kind = Literal["weights", "activations"]


@dataclass(frozen=True)
class FormatRange:
    """What one format represents of a tensor.

    type: of the stored numbers ('int4', 'float16'). low, high: ends of the representable range; with a scale per channel, of the
    channel with the widest. narrow_low, narrow_high: of the channel with the narrowest (the same for one scale). step: distance of
    neighbouring numbers, the median over channels; of floats at the root mean square of the values. levels: how many numbers there
    are, None for floats. clipped: share of the values that lie beyond the range by more than half a step; vanished: share that is not
    0 and becomes 0; both of the reference's values, each in the range of its channel.
    """

    type: str
    low: float
    high: float
    narrow_low: float
    narrow_high: float
    step: float
    levels: int | None
    clipped: float
    vanished: float


@dataclass(frozen=True, eq=False)
class Distribution:
    """One tensor of a layer: its weights, or the activations that it writes.

    edges: float64 [B + 1]. counts: int64 [B]. ranges: format -> what it represents of the tensor; activations without a fixed scale
    (of dynamic formats, which find it as they run) have none.
    """

    layer: str
    kind: Kind
    edges: F64
    counts: npt.NDArray[np.int64]
    ranges: Mapping[str, FormatRange]


def distributions(lowering: Lowering, data: Dataset, plans: Mapping[str, PrecisionPlan]) -> list[Distribution]:
    """Return two distributions per layer, weights and activations, in network order.

    Args:
        data: samples on which the reference is run for the activations, twice. plans: format -> the plan whose layers are shown with
        it; a layer that a plan has in another format has no range there.
    """
    graphs = {fmt: lowering.quantized(plan) for fmt, plan in plans.items()}
    has = {layer: [f for f, plan in plans.items() if plan.format_of(layer).name == f] for layer in lowering.layers}
    activations = _activations(lowering, data, graphs, has)
    found: list[Distribution] = []
    for layer in lowering.layers:
        found += [_weights(lowering, layer, graphs, has[layer]), activations[layer]]
    return found


def _weights(lowering: Lowering, layer: str, graphs: Mapping[str, Graph], formats: Sequence[str]) -> Distribution:
    node = lowering.graph.node(layer)
    spec = OPS[node.op].weights
    assert spec is not None
    real = real_constant(lowering.graph.tensors[node.inputs[spec.index]])
    ranges = {}
    for fmt in formats:
        stored = graphs[fmt].tensors[graphs[fmt].node(layer).inputs[spec.index]]
        assert stored.data is not None
        grid = _Grid.of(stored, _rms(real), narrow=lowering.scheme.weights == "narrow")
        ranges[fmt] = grid.summary(grid.tally(real, real_values(stored, stored.data)))
    edges = np.linspace(*_span(float(real.min()), float(real.max())), BINS + 1)
    return Distribution(layer, "weights", edges, np.histogram(real, edges)[0].astype(np.int64), ranges)


def _activations(
    lowering: Lowering, data: Dataset, graphs: Mapping[str, Graph], has: Mapping[str, Sequence[str]]
) -> dict[str, Distribution]:
    """Return the distribution of what every layer writes: one pass for extremes and magnitudes, one for histograms and tallies."""
    written = {layer: lowering.graph.node(layer).outputs[0] for layer in lowering.layers}
    low, high = dict.fromkeys(written, np.inf), dict.fromkeys(written, -np.inf)
    power = {layer: np.zeros(2) for layer in written}  # sum of squares, values
    for values in _passes(lowering, data):
        for layer, name in written.items():
            x = values[name].astype(np.float64)
            low[layer], high[layer] = min(low[layer], float(x.min())), max(high[layer], float(x.max()))
            power[layer] += [(x * x).sum(), x.size]
    grids = {
        (layer, fmt): _Grid.of(tensor, float(np.sqrt(power[layer][0] / power[layer][1])))
        for layer, formats in has.items()
        for fmt in formats
        if (tensor := graphs[fmt].tensors[graphs[fmt].node(layer).outputs[0]]) is not None and not parse_format(fmt).is_dynamic
    }
    edges = {layer: np.linspace(*_span(low[layer], high[layer]), BINS + 1) for layer in written}
    counts = {layer: np.zeros(BINS, np.int64) for layer in written}
    tallies = {key: np.zeros(3, np.int64) for key in grids}
    for values in _passes(lowering, data):
        for layer, name in written.items():
            counts[layer] += np.histogram(values[name], edges[layer])[0]
        for (layer, fmt), grid in grids.items():
            x = values[written[layer]]
            tallies[layer, fmt] += grid.tally(x, grid.nearest(x))
    return {
        layer: Distribution(
            layer, "activations", edges[layer], counts[layer],
            {fmt: grids[layer, fmt].summary(tallies[layer, fmt]) for fmt in has[layer] if (layer, fmt) in grids},
        )
        for layer in written
    }  # fmt: skip


def _passes(lowering: Lowering, data: Dataset) -> Iterator[Values]:
    """Yield every activation of the reference, some samples at a time."""
    graph = lowering.graph
    feed = check_inputs(graph, data.inputs)
    real = {name: real_values(graph.tensors[name], x) for name, x in feed.items()}
    for _, values in reference_passes(graph, real, graph.fixed_batch or CHUNK):
        yield values


def _span(low: float, high: float) -> tuple[float, float]:
    """Return the ends of a histogram; a tensor that is constant gets bins around its value."""
    return (low, high) if low < high else (low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0))


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x.astype(np.float64)))))


@dataclass(frozen=True, eq=False)
class _Grid:
    """What a stored tensor can represent. low, high, step: float64, of one scale or per channel, shaped to broadcast over it."""

    tensor: Tensor
    low: F64
    high: F64
    step: F64
    levels: int | None

    @staticmethod
    def of(tensor: Tensor, rms: float, narrow: bool = False) -> _Grid:
        """Return the grid of a lowered tensor. rms: root mean square of its real values. narrow: weights leave out the lowest integer
        (int2 and int1 have all their levels even then)."""
        if (
            tensor.quant is None and tensor.coding and tensor.data is not None
        ):  # blocks with scales of their own: what they hold
            held = np.unique(tensor.data.astype(np.float64))
            gap = float(np.median(np.diff(held))) if len(held) > 1 else 0.0
            return _Grid(tensor, held[:1], held[-1:], np.array([gap]), None)
        if tensor.quant is None:
            most, step = _float_grid(tensor.dtype, rms)
            return _Grid(tensor, np.array([-most]), np.array([most]), np.array([step]), None)
        scale, zero = (a.astype(np.float64) for a in tensor.quant.shaped(len(tensor.shape)))
        if tensor.dtype in FLOAT8_MAX:
            most = FLOAT8_MAX[tensor.dtype]
            steps = [_float_grid(tensor.dtype, rms / s)[1] * s for s in scale.reshape(-1)]
            return _Grid(tensor, -most * scale, most * scale, np.array(steps).reshape(scale.shape), None)
        low, high = RANGES[tensor.dtype]
        low = -high if narrow and tensor.dtype not in ("int2", "int1") else low
        gap, levels = (2, 2) if tensor.dtype == "binary" else (1, high - low + 1)
        return _Grid(tensor, scale * (low - zero), scale * (high - zero), gap * scale, levels)

    def nearest(self, x: Array) -> Array:
        """Return activations as this tensor holds them."""
        if self.tensor.quant is not None:
            return dequantize(quantize(x, self.tensor.quant, self.tensor.dtype), self.tensor.quant)
        with np.errstate(over="ignore"):
            return x.astype(STORAGE[self.tensor.dtype]).astype(np.float32)

    def tally(self, real: Array, held: Array) -> npt.NDArray[np.int64]:
        """Return how many values are beyond the range, how many become 0, and how many there are."""
        half = 0.5 * self.step if self.levels else 0.0
        beyond = (real < self.low - half) | (real > self.high + half)
        return np.array([beyond.sum(), ((held == 0) & (real != 0)).sum(), real.size], np.int64)

    def summary(self, tally: npt.NDArray[np.int64]) -> FormatRange:
        """Return the record. tally: sums of what `tally` returns."""
        width = (self.high - self.low).reshape(-1)
        wide, narrow = int(np.argmax(width)), int(np.argmin(width))
        low, high = self.low.reshape(-1), self.high.reshape(-1)
        clipped, vanished, count = (int(v) for v in tally)
        return FormatRange(
            self.tensor.dtype, float(low[wide]), float(high[wide]), float(low[narrow]), float(high[narrow]),
            float(np.median(self.step)), self.levels, clipped / count, vanished / count,
        )  # fmt: skip


def _float_grid(dtype: str, rms: float) -> tuple[float, float]:
    """Return the largest number of a float type, and the distance of its neighbours at a magnitude."""
    info = ml_dtypes.finfo(STORAGE[dtype])  # type: ignore[no-untyped-call]
    eps = 2.0**-10 if dtype == "tfloat32" else float(info.eps)  # stored as float32, with 10 bits of mantissa
    least = float(info.smallest_subnormal)
    return float(info.max), max(eps * 2.0 ** math.floor(math.log2(rms)), least) if rms > 0 else least
