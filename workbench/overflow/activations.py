"""The integers that an activation can hold: those of its type, fewer where what made it is known to leave some out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

import numpy as np

from workbench.execute import Step
from workbench.graph.ir import Tensor
from workbench.numerics.activation import activation_range
from workbench.ops.base import DTYPES
from workbench.tensor import RANGES

Range = tuple[int, int]
"""Smallest and largest stored integer."""

TABLES = ("relu", "leaky_relu", "logistic", "tanh", "hard_swish", "quantize")
"""Operators of one input that look at one element at a time: all its integers are tried."""
COPIES = ("reshape", "transpose", "strided_slice", "max_pool2d", "concat")
"""Operators whose outputs are some of their inputs' integers."""
AVERAGES = ("half_away", "truncate", "float32")
"""Rules of avg_pool2d whose result lies between what it is of (a rounded 1 / n does not see to that)."""
TRIED_ELEMENTS = 1 << 22
"""Most elements of a table's input that are computed to see what comes out."""


def activation_ranges(steps: Iterable[Step], inputs: Iterable[Tensor]) -> dict[str, Range]:
    """Return the range of every integer activation of a program. inputs: of the program; they may hold all integers of their type."""
    found = {t.name: RANGES[t.dtype] for t in inputs if t.dtype in RANGES}
    for step in steps:
        for tensor in step.site.outputs:
            if tensor.dtype in RANGES:
                low, high = _made_by(step, tensor, found)
                found[tensor.name] = (max(low, RANGES[tensor.dtype][0]), min(high, RANGES[tensor.dtype][1]))
    return found


def range_of(tensor: Tensor, found: Mapping[str, Range]) -> Range:
    """Return the range of an input of an operator, constant or not."""
    if tensor.data is not None:
        return int(tensor.data.min()), int(tensor.data.max())
    return found[tensor.name]


def _made_by(step: Step, y: Tensor, found: Mapping[str, Range]) -> Range:
    site, whole = step.site, RANGES[y.dtype]
    if site.op in TABLES and site.x.dtype == "int8":
        return _tried(step, found[site.x.name])
    if site.op == "softmax" and y.quant is not None:
        return max(whole[0], y.quant.scalar[1]), whole[1]
    same_grid = all(t is None or t.quant == y.quant for t in site.inputs)
    averages = site.op == "avg_pool2d" and site.arithmetic.avg_pool in AVERAGES
    if same_grid and (site.op in COPIES or averages):
        ranges = [range_of(t, found) for t in site.inputs if t is not None and t.quant is not None]
        counted = getattr(site.attrs, "count_include_pad", False) and y.quant is not None
        ends = [*chain.from_iterable(ranges), *([y.quant.scalar[1]] if counted and y.quant else [])]
        whole = (min(ends), max(ends)) if ends else whole
    activation = getattr(site.attrs, "activation", "none")
    if activation == "none" or y.quant is None or y.quant.axis is not None:
        return whole
    scale, zero_point = y.quant.scalar
    low, high = activation_range(activation, float(scale), zero_point, *RANGES[y.dtype])
    return min(max(low, whole[0]), high), max(min(high, whole[1]), low)


def _tried(step: Step, inputs: Range) -> Range:
    """Return what comes out of all integers of a range, each at every position: vector bodies and tails may round differently."""
    shape = step.site.x.shape[1:]
    size = int(np.prod(shape, dtype=np.int64))
    values = np.arange(inputs[0], inputs[1] + 1)
    if not 0 < size * len(values) <= TRIED_ELEMENTS:
        return RANGES[step.site.y.dtype]
    x = np.broadcast_to(values.reshape(-1, *[1] * len(shape)), (len(values), *shape)).astype(DTYPES[step.site.x.dtype])
    (y,) = step.run([x])
    return int(y.min()), int(y.max())
