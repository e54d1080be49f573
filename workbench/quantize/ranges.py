"""From observed values to a clipping range, and from a range to scale and zero point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.graph.ir import Tensor
from workbench.quantize.options import QuantizeOptions
from workbench.tensor import RANGES, QuantParams, dequantize

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


def clip_range(seen: Observed, options: QuantizeOptions, dtype: str) -> tuple[float, float]:
    """Return the real range (low, high) that the integers of `dtype` shall cover; always contains 0."""
    if options.activations == "min_max" or not seen.counts.any():
        low, high = seen.low, seen.high
    elif options.activations == "percentile":
        low, high = _percentile(seen, options.percentile)
    else:
        low, high = _least_squares(seen, dtype)
    return min(low, 0.0), max(high, 0.0)


def _percentile(seen: Observed, percentile: float) -> tuple[float, float]:
    share = np.cumsum(seen.counts) / seen.counts.sum()
    outside = (1.0 - percentile / 100.0) / 2.0
    first = int(np.searchsorted(share, outside, side="right"))
    last = int(np.searchsorted(share, 1.0 - outside, side="left"))
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    return float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1])


def _least_squares(seen: Observed, dtype: str) -> tuple[float, float]:
    """Shrink both ends by the same factor; keep the factor with the least expected squared error."""
    values, weights = seen.centres(), seen.counts.astype(np.float64)
    best, best_error = (seen.low, seen.high), np.inf
    for factor in np.linspace(1.0, 0.2, 81):
        low, high = min(seen.low * factor, 0.0), max(seen.high * factor, 0.0)
        params = params_from_range(low, high, dtype)
        scale, zero_point = float(params.scale[0]), int(params.zero_point[0])
        q_min, q_max = RANGES[dtype]
        q = np.clip(np.rint(values / scale) + zero_point, q_min, q_max)
        error = float((weights * (scale * (q - zero_point) - values) ** 2).sum())
        if error < best_error:
            best, best_error = (low, high), error
    return best


def params_from_range(low: float, high: float, dtype: str) -> QuantParams:
    """Return the per-tensor parameters that cover [low, high].

    int8: asymmetric, the zero point is an integer of the range (TFLite: nudged so that 0.0 is exact).
    int16: symmetric, zero point 0 (TFLite 16x8 specification).
    """
    q_min, q_max = RANGES[dtype]
    if dtype == "int16":
        scale = max(abs(low), abs(high)) / q_max
        return QuantParams.per_tensor(max(scale, _SMALLEST_SCALE) if scale else 1.0)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / (q_max - q_min)))
    if scale < _SMALLEST_SCALE:
        return QuantParams.per_tensor(1.0, 0)
    zero_point = int(np.clip(np.floor(q_min - low / scale + 0.5), q_min, q_max))
    return QuantParams.per_tensor(scale, zero_point)


def range_of(params: QuantParams, dtype: str) -> tuple[float, float]:
    """Return the real range that per-tensor parameters cover."""
    scale, zero_point = params.scalar
    q_min, q_max = RANGES[dtype]
    return float(scale) * (q_min - zero_point), float(scale) * (q_max - zero_point)


def quantize_weights(
    w: npt.NDArray[np.float32], dtype: str, axis: int | None, options: QuantizeOptions
) -> tuple[npt.NDArray[np.int8], QuantParams]:
    """Return symmetric integers of a weight tensor and their scales.

    The range is narrow (-127..127, -7..7) as the TFLite specification wants, except for int2, where the fourth level is a
    quarter of all levels: -2..1 with the scale that fits best.

    Args:
        w: float32 weights. dtype: 'int8', 'int4' or 'int2'. axis: channel axis, or None for one scale.
    """
    q_min, q_max = RANGES[dtype]
    rows = w.reshape(1, -1) if axis is None else np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1)
    rows64 = rows.astype(np.float64)
    low = q_min if dtype == "int2" else -q_max
    peak = np.abs(rows64).max(axis=1)
    if options.weights == "percentile":
        peak = np.maximum(np.percentile(np.abs(rows64), options.percentile, axis=1), peak * 1e-6)
    unit = peak / q_max
    scale = unit if options.weights != "mse" else _best_scale(rows64, unit, low, q_max)
    scale32 = np.where(scale < _SMALLEST_SCALE, 1.0, scale).astype(np.float32)
    q = np.clip(_round_half_away(rows64 / scale32[:, None].astype(np.float64)), low, q_max).astype(np.int8)
    if axis is None:
        return q.reshape(w.shape), QuantParams(scale32, np.zeros(1, np.int64))
    shape = [w.shape[axis], *(n for i, n in enumerate(w.shape) if i != axis)]
    return np.ascontiguousarray(np.moveaxis(q.reshape(shape), 0, axis)), QuantParams.per_channel(scale32, axis)


def _best_scale(rows: npt.NDArray[np.float64], unit: npt.NDArray[np.float64], low: int, high: int) -> npt.NDArray[np.float64]:
    """Per row, the scale with the least squared error among 80 fractions of the min-max scale (down to a fifth)."""
    best, best_error = unit.copy(), np.full(len(rows), np.inf)
    for factor in np.linspace(1.0, 0.2, 80):
        scale = np.where(unit > 0, unit * factor, 1.0)[:, None]
        error = ((np.clip(_round_half_away(rows / scale), low, high) * scale - rows) ** 2).sum(axis=1)
        better = error < best_error
        best[better], best_error[better] = scale[better, 0], error[better]
    return best


def _round_half_away(x: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def real_constant(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return the real values of a constant."""
    assert tensor.data is not None
    return dequantize(tensor.data, tensor.quant) if tensor.quant is not None else tensor.data.astype(np.float32)
