"""From observed values to a clipping range, and from a range to scale and zero point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.graph.ir import Tensor
from workbench.hardware.profile import Scheme
from workbench.numerics.codings import CODINGS
from workbench.quantize.options import QuantizeOptions
from workbench.tensor import FLOAT8_MAX, RANGES, STORAGE, QuantParams, dequantize, quantize

BINS = 2048
"""Histogram resolution, as TensorRT's entropy calibrator and ONNX Runtime's (both 2048 bins)."""

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny) * 2.0**20


@dataclass(frozen=True, eq=False)
class Observed:
    """What calibration saw of one tensor: extremes, and a histogram of BINS equal bins between them."""

    low: float
    high: float
    counts: npt.NDArray[np.int64]

    def centres(self) -> npt.NDArray[np.float64]:
        """Return the middle of every bin."""
        edges = np.linspace(self.low, self.high, BINS + 1)
        return (edges[:-1] + edges[1:]) / 2

    def above(self, low: float) -> Observed:
        """Return this with all numbers below `low` moved to it."""
        if not self.low < low < self.high:
            return self
        counts = np.histogram(np.maximum(self.centres(), low), BINS, (low, self.high), weights=self.counts)[0]
        return Observed(low, self.high, counts.astype(np.int64))


def clip_range(seen: Observed, options: QuantizeOptions, dtype: str, scheme: Scheme) -> tuple[float, float]:
    """Return the real range (low, high) that the integers of `dtype` shall cover; always contains 0."""
    if options.activations == "min_max" or not seen.counts.any():
        low, high = seen.low, seen.high
    elif options.activations == "percentile":
        low, high = _percentile(seen, options.percentile)
    else:
        low, high = _least_squares(seen, dtype, scheme)
    return min(low, 0.0), max(high, 0.0)


def _percentile(seen: Observed, percentile: float) -> tuple[float, float]:
    share = np.cumsum(seen.counts) / seen.counts.sum()
    outside = (1.0 - percentile / 100.0) / 2.0
    first = int(np.searchsorted(share, outside, side="right"))
    last = int(np.searchsorted(share, 1.0 - outside, side="left"))
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    return float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1])


def _least_squares(seen: Observed, dtype: str, scheme: Scheme) -> tuple[float, float]:
    """Shrink both ends by the same factor; keep the factor with the least expected squared error."""
    values, weights = seen.centres(), seen.counts.astype(np.float64)
    best, best_error = (seen.low, seen.high), np.inf
    for factor in np.linspace(1.0, 0.2, 81):
        low, high = min(seen.low * factor, 0.0), max(seen.high * factor, 0.0)
        params = params_from_range(low, high, dtype, scheme)
        error = float((weights * (dequantize(quantize(values, params, dtype), params) - values) ** 2).sum())
        if error < best_error:
            best, best_error = (low, high), error
    return best


def params_from_range(low: float, high: float, dtype: str, scheme: Scheme) -> QuantParams:
    """Return the per-tensor parameters that cover [low, high] under a target's scheme.

    Asymmetric: the zero point is an integer of the range (TFLite: nudged so that 0.0 is exact). int16 and float8: zero point 0 (TFLite
    16x8 specification; OCP float8 has no zero point).
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if dtype in FLOAT8_MAX:
        return QuantParams.per_tensor(_usable(max(-low, high) / FLOAT8_MAX[dtype], scheme))
    q_min, q_max = RANGES[dtype]
    if scheme.activations == "unsigned" and low >= 0 and dtype != "int16":
        return QuantParams.per_tensor(_usable(high / (q_max - q_min), scheme), q_min)
    if scheme.activations != "asymmetric" or dtype == "int16":
        return QuantParams.per_tensor(_usable(max(-low, high) / q_max, scheme))
    scale = float(np.float32((high - low) / (q_max - q_min)))
    if scale < _SMALLEST_SCALE:
        return QuantParams.per_tensor(1.0, 0)
    scale = _usable(scale, scheme)
    zero_point = int(np.clip(np.floor(q_min - low / scale + 0.5), q_min, q_max))
    return QuantParams.per_tensor(scale, zero_point)


def _usable(scale: float, scheme: Scheme) -> float:
    """Return a scale that the scheme has: at least as large, so that the range stays covered; 1 for an empty range."""
    scale = max(scale, _SMALLEST_SCALE) if scale else 1.0
    return float(_power_of_two(np.float64(scale))) if scheme.scales == "power_of_two" else scale


def _power_of_two(x: Any) -> Any:
    """Return the smallest power of two that is not below x > 0, exactly."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(1.0, exponent - (mantissa == 0.5))


def range_of(params: QuantParams, dtype: str) -> tuple[float, float]:
    """Return the real range that per-tensor parameters cover."""
    scale, zero_point = params.scalar
    q_min, q_max = (-FLOAT8_MAX[dtype], FLOAT8_MAX[dtype]) if dtype in FLOAT8_MAX else RANGES[dtype]
    return float(scale) * (q_min - zero_point), float(scale) * (q_max - zero_point)


def quantize_weights(
    w: npt.NDArray[np.float32], dtype: str, axis: int | None, options: QuantizeOptions, scheme: Scheme
) -> tuple[npt.NDArray[Any], QuantParams]:
    """Return symmetric integers (or float8 numbers) of a weight tensor and their scales.

    The range is narrow (-127..127, -7..7) where the scheme says so, as the TFLite specification wants; int2 always has all four
    levels, int1 both (-1, 0). int1, binary and ternary take the scale with the least squared error, as every type does under
    `weights: mse`: a range that covers the largest weight would round nearly all of them to 0. Binary: the mean magnitude (Rastegari et
    al., XNOR-Net, 2016), and next to nothing, 2**-20 of the largest scale, for a row of zeros, which it cannot write.

    Args:
        w: float32 weights. dtype: 'int8', 'int7', 'int4', 'int2', 'int1', 'binary', 'ternary' or a float8. axis: channel axis, or None
        for one scale.
    """
    rows = w.reshape(1, -1) if axis is None else np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1)
    rows64 = rows.astype(np.float64)
    grid = _Grid.of(dtype, scheme)
    peak = np.abs(rows64).max(axis=1)
    if options.weights == "percentile":
        peak = np.maximum(np.percentile(np.abs(rows64), options.percentile, axis=1), peak * 1e-6)
    unit = peak / grid.high
    scale = _best_scale(rows64, unit, grid, scheme) if options.weights == "mse" or dtype in _FEW else unit
    nothing = _usable((float(scale.max()) or 1.0) * 2.0**-20, scheme) if dtype == "binary" else 1.0
    scale32 = np.array([_usable(s, scheme) if s >= _SMALLEST_SCALE else nothing for s in scale], np.float32)
    q = grid.round(rows64 / scale32[:, None].astype(np.float64)).astype(STORAGE[dtype])
    if axis is None:
        return q.reshape(w.shape), QuantParams(scale32, np.zeros(1, np.int64))
    shape = [w.shape[axis], *(n for i, n in enumerate(w.shape) if i != axis)]
    return np.ascontiguousarray(np.moveaxis(q.reshape(shape), 0, axis)), QuantParams.per_channel(scale32, axis)


@dataclass(frozen=True)
class _Grid:
    """The numbers that weights of a type take, in units of the scale: low .. high, and how a real number becomes one."""

    dtype: str
    low: float
    high: float

    @staticmethod
    def of(dtype: str, scheme: Scheme) -> _Grid:
        if dtype in FLOAT8_MAX:
            return _Grid(dtype, -FLOAT8_MAX[dtype], FLOAT8_MAX[dtype])
        low, high = RANGES[dtype]
        narrow = scheme.weights == "narrow" and dtype not in ("int2", "int1")
        return _Grid(dtype, -high if narrow else low, max(high, 1))

    def round(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the nearest number of the grid (binary: the sign)."""
        if self.dtype == "binary":
            return np.where(x < 0, -1.0, 1.0)
        if self.dtype in FLOAT8_MAX:
            return np.asarray(np.clip(x, self.low, self.high).astype(STORAGE[self.dtype]), np.float64)
        return np.asarray(np.clip(_round_half_away(x), self.low, RANGES[self.dtype][1]), np.float64)


_FEW = ("int1", "binary", "ternary")
"""Types with no level beyond 1: their scale lies far below the largest weight."""


def _best_scale(
    rows: npt.NDArray[np.float64], unit: npt.NDArray[np.float64], grid: _Grid, scheme: Scheme
) -> npt.NDArray[np.float64]:
    """Per row, the scale with the least squared error among 80 fractions of the min-max scale (down to a fifth; a hundredth for types
    with no level beyond 1, and then the best one for the codes found), or among the powers of two there."""
    few, power_of_two = grid.dtype in _FEW, scheme.scales == "power_of_two"
    best, best_error = unit.copy(), np.full(len(rows), np.inf)
    for factor in np.linspace(1.0, 0.01 if few else 0.2, 80):
        scale = np.where(unit > 0, unit * factor, 1.0)[:, None]
        if power_of_two:
            scale = _power_of_two(scale)
        error = ((grid.round(rows / scale) * scale - rows) ** 2).sum(axis=1)
        better = (error < best_error) & (unit > 0)
        best[better], best_error[better] = scale[better, 0], error[better]
    if not few or power_of_two:
        return best
    codes = grid.round(rows / np.where(best > 0, best, 1.0)[:, None])
    weight = (codes * codes).sum(axis=1)
    np.divide((codes * rows).sum(axis=1), weight, out=best, where=weight > 0)
    return best


def coded(w: npt.NDArray[np.float32], coding: str, axis: int) -> npt.NDArray[np.float32]:
    """Return weights as a coding gives them back. axis: of the output channels, each of which is a row of its own."""
    first = np.moveaxis(w, axis, 0)
    rows = np.ascontiguousarray(first.reshape(len(first), -1), np.float32)
    return np.ascontiguousarray(np.moveaxis(CODINGS[coding].round_trip(rows).reshape(first.shape), 0, axis))


def _round_half_away(x: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def real_constant(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return the real values of a constant."""
    assert tensor.data is not None
    return dequantize(tensor.data, tensor.quant) if tensor.quant is not None else tensor.data.astype(np.float32)
