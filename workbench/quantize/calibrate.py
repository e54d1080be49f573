"""Observe every activation of a float graph on calibration data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.errors import InputError
from workbench.execute import check_inputs, reference_passes
from workbench.graph.ir import Array, Graph
from workbench.quantize.masks import find_masks
from workbench.quantize.ranges import BINS, Observed

CHUNK = 64
"""Samples per pass."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was seen of every activation but plain ones, by tensor name, and how many samples were looked at."""

    observed: Mapping[str, Observed]
    samples: int

    @cached_property
    def digest(self) -> str:
        """Content hash: part of every journal key."""
        h = hashlib.sha256()
        for name in sorted(self.observed):
            seen = self.observed[name]
            h.update(f"{name}{seen.low!r}{seen.high!r}".encode() + seen.counts.tobytes())
        return h.hexdigest()


def calibrate(graph: Graph, inputs: Array | Mapping[str, Array], histograms: bool = True) -> Calibration:
    """Run the reference on calibration data: one pass for the extremes, one for the histograms.

    Args:
        graph: a float graph. inputs: calibration samples, batch first, or streams of frames.
        histograms: needed by `percentile` and `mse` only.
    Raises: InputError when the data do not fit the model or a tensor becomes NaN or infinite.
    """
    feed = check_inputs(graph, inputs)
    names = [t.name for t in graph.activations() if not t.is_plain]
    low = dict.fromkeys(names, np.inf)
    high = dict.fromkeys(names, -np.inf)
    masks = find_masks(graph)
    count = 0
    for _, values in reference_passes(graph, feed, CHUNK):
        count += len(values[graph.inputs[0]])
        for name in names:
            low[name] = min(low[name], masks.lowest(name, values[name]))
            high[name] = max(high[name], float(values[name].max()))
    for name in names:
        if not (np.isfinite(low[name]) and np.isfinite(high[name])):
            raise InputError(
                f"calibration: tensor '{name}' is NaN or infinite on the calibration data; check the input's scale."
            )
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    if histograms:
        for _, values in reference_passes(graph, feed, CHUNK):
            for name in names:
                if low[name] < high[name]:
                    counts[name] += np.histogram(values[name].astype(np.float32, copy=False), BINS, (low[name], high[name]))[0]
    return Calibration({name: Observed(low[name], high[name], counts[name]) for name in names}, count)
