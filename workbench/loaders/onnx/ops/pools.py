"""Translators of pools.

What one pooling node cannot say (dilations, padding that is counted up to where ceil_mode begins) becomes a maximum or a sum of the
window's positions, each a strided slice.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import Call, Operand, onnx_op
from workbench.loaders.onnx.ops.spatial import Geometry, check_rank, geometry
from workbench.loaders.onnx.values import Value, channels_last

MAX_POSITIONS = 64
"""Most positions of a window that is taken apart."""


@onnx_op("MaxPool", "AveragePool")
def translate_pool(call: Call) -> list[Operand]:
    """MaxPool, AveragePool (with and without counting pads), ceil_mode, dilations."""
    x, average = call.value(0), call.node.op == "AveragePool"
    check_rank(call, x)
    kernel = call.integers("kernel_shape", x.rank - 2, 0, 1)
    g = geometry(call, x, kernel, bool(call.integer("ceil_mode", 0)))
    if any(n for n in call.node.outputs[1:]):
        raise call.b.error("gives indices to other nodes, which is not supported.")
    spans = [(k - 1) * d + 1 for k, d in zip(g.kernel, g.dilation, strict=True)]
    if any(g.pads[i] >= spans[i % 2] for i in range(2)):
        raise call.b.error(f"has pads {list(g.pads)} as large as its window {spans}.")
    counted = average and bool(call.integer("count_include_pad", 0)) and any(g.pads)
    if g.dilation != (1, 1) or (counted and any(g.extra)):
        return [_taken_apart(call, x, g, average, counted)]
    fields: dict[str, Any] = {"filter": g.kernel, "stride": g.stride, "pads": g.pads}
    if counted:
        fields["count_include_pad"] = True
    if call.integer("signed_bytes", 0):  # not ONNX's: set where QLinearAveragePool on int8 becomes this operator
        fields["signed_bytes"] = True
    return [_pool(call, x, "avg_pool2d" if average else "max_pool2d", fields)]


@onnx_op("GlobalMaxPool")
def translate_global_max_pool(call: Call) -> list[Value]:
    """GlobalMaxPool: one window over the whole picture."""
    x = call.value(0)
    check_rank(call, x)
    size = x.shape[2:] if x.rank == 4 else (1, x.shape[2])
    return [_pool(call, x, "max_pool2d", {"filter": size, "stride": (1, 1), "pads": (0, 0, 0, 0)})]


def _pool(call: Call, x: Value, op: str, fields: dict[str, Any]) -> Value:
    layout = channels_last(x.rank)
    return call.b.value(call.b.emit(op, [call.b.store(x, layout)], **fields), layout, 0 if x.batch == 0 else None)


def _taken_apart(call: Call, x: Value, g: Geometry, average: bool, counted: bool) -> Operand:
    """Return the pool as the maximum or mean of slices, one per position of the window."""
    n = x.rank - 2
    if math.prod(g.kernel) > MAX_POSITIONS:
        raise call.b.error(
            f"has a window of {math.prod(g.kernel)} positions with dilations or counted pads; at most {MAX_POSITIONS} fit."
        )
    kernel, stride, dilation, extra = (list(pair[-n:]) for pair in (g.kernel, g.stride, g.dilation, g.extra))
    before, after = list(g.pads[:2][-n:]), list(g.pads[2:][-n:])
    fill = 0.0 if average else float(np.finfo(np.float32).min)
    padded: Operand = x
    if any(g.pads):
        padded = call.make("Pad", x, call.whole([0, 0, *before, 0, 0, *after]), call.number(fill))
    sizes = [
        (d + a + b - (k - 1) * e - 1) // s + 1
        for d, a, b, k, e, s in zip(x.shape[2:], before, after, kernel, dilation, stride, strict=True)
    ]
    total: Operand | None = None
    axes, steps = call.whole(list(range(2, x.rank))), call.whole(stride)
    for place in itertools.product(*map(range, kernel)):
        start = [p * e for p, e in zip(place, dilation, strict=True)]
        end = [a + (size - 1) * s + 1 for a, size, s in zip(start, sizes, stride, strict=True)]
        part = call.make("Slice", padded, call.whole(start), call.whole(end), axes, steps)
        total = part if total is None else call.make("Add" if average else "Max", total, part)
    assert total is not None
    if not average:
        return total
    counts = np.ones(1)
    for i, size in enumerate(sizes):
        valid = _counted(x.shape[2 + i], before[i], after[i] - extra[i], kernel[i], dilation[i], stride[i], size, counted)
        counts = np.multiply.outer(counts, valid)
    return call.make("Mul", total, call.number((1.0 / np.maximum(counts, 1.0)).astype(np.float32)[None]))


def _counted(size: int, before: int, after: int, kernel: int, dilation: int, stride: int, outputs: int, pads: bool) -> Array:
    """Return how many positions of each window along one axis are counted: those of the tensor, or those of its padding too."""
    at = np.arange(outputs)[:, None] * stride + np.arange(kernel)[None] * dilation - before
    low, high = (-before, size + after) if pads else (0, size)
    return np.asarray(((at >= low) & (at < high)).sum(axis=1), np.float64)
