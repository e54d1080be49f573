"""Reshape of a value that knows where its axes are stored: as few moves as possible, and samples stay apart where they can.

ONNX's element order counts, and the batch is an axis like any other there. Where the axes before the batch and those after it are
reshaped on their own, every sample is reshaped alone, wherever the batch stands.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.loaders.onnx.values import HIDDEN, Layout, Shape, Value, channels_last, first, identity

if TYPE_CHECKING:
    from workbench.loaders.onnx.layout import Builder


def reshape(b: Builder, value: Value, target: Shape) -> Value:
    """Return the value with another ONNX shape.

    When every group of axes that is merged or split is stored side by side, the stored tensor is reshaped as it is; otherwise it is
    first brought into ONNX's order, the batch first.
    """
    if target == value.shape:
        return value
    if not target:  # a scalar is stored as one element, with an axis that ONNX does not have
        if value.batch is not None and value.samples == 1:
            return Value(b.reshaped(b.store(value, first(value.batch, value.rank)), (1,)), (), (HIDDEN,), HIDDEN)
        b.mix_batch()
        return Value(b.reshaped(b.store(value, identity(value.rank)), (1,)), (), (None,), None)
    at = _batch_after(value, target)
    if at is None or value.batch is None:
        b.mix_batch()
        return Value(b.reshaped(b.store(value, identity(value.rank)), target), target, identity(len(target)), None)
    if value.batch or at:
        key = b.store(value, first(value.batch, value.rank))
        made = Value(key, target, first(at, len(target)), at)
        return replace(made, key=b.reshaped(key, made.per_stored(target, 1)))
    order = _kept_order(value, target) if value.layout[0] == 0 else None
    if order is None:
        return Value(b.reshaped(b.store(value, identity(value.rank)), target), target, identity(len(target)), 0)
    layout = _layout_with_order(target, order)
    shape = tuple(1 if axis is None else target[axis] for axis in layout)
    return Value(b.reshaped(value.key, shape), target, layout, 0)


def hide(b: Builder, value: Value) -> Value:
    """Return the value of one declared sample with its batch as an axis that ONNX does not have."""
    if value.batch is None or value.batch == HIDDEN:
        return value
    key = b.store(value, first(value.batch, value.rank))
    return Value(b.reshaped(key, (1, *value.shape)), value.shape, first(HIDDEN, value.rank), HIDDEN)


def leading(b: Builder, value: Value) -> Value:
    """Return the value of one declared sample with its batch as axis 0, where that has one element."""
    if value.batch in (None, 0) or value.samples != 1 or value.shape[:1] != (1,):
        return value
    assert value.batch is not None
    key = b.store(value, first(value.batch, value.rank))
    return Value(b.reshaped(key, value.shape), value.shape, identity(value.rank), 0)


def _batch_after(value: Value, target: Shape) -> int | None:
    """Return the axis that counts samples after the reshape, None when samples would mix.

    It has as many elements as before, and as many stand before it. One declared sample is reshaped as if it were alone: any axis of
    one element will do then, and when there is none the batch is hidden.
    """
    if value.batch is None:
        return None
    if value.batch == HIDDEN:
        return 0 if target[0] == 1 else HIDDEN
    size, before = value.shape[value.batch], math.prod(value.shape[: value.batch])
    for at, d in enumerate(target):
        if d == size and math.prod(target[:at]) == before:
            return at
    return next((at for at, d in enumerate(target) if d == 1), HIDDEN) if size == 1 else None


def _kept_order(value: Value, target: Shape) -> list[int] | None:
    """Return the target's non-unit axes in stored order when no element has to move, else None."""
    stored = [axis for axis in value.layout[1:] if axis is not None and value.shape[axis] != 1]
    made: dict[int, list[int]] = {}
    for sources, results in reshape_groups(value.shape, target):
        start = stored.index(sources[0])
        if stored[start : start + len(sources)] != sources:
            return None
        made[start] = results
    return [axis for start in sorted(made) for axis in made[start]]


def reshape_groups(source: Shape, target: Shape) -> list[tuple[list[int], list[int]]]:
    """Split a reshape that keeps axis 0 into the smallest groups of non-unit axes with equal products.

    (2, 3, 4, 5) -> (2, 12, 5): [([1, 2], [1]), ([3], [2])].
    """
    ins = [i for i in range(1, len(source)) if source[i] != 1]
    outs = [j for j in range(1, len(target)) if target[j] != 1]
    groups: list[tuple[list[int], list[int]]] = []
    while ins or outs:
        taken_in, taken_out = [ins.pop(0)], [outs.pop(0)]
        left, right = source[taken_in[0]], target[taken_out[0]]
        while left != right:
            if left < right:
                taken_in.append(ins.pop(0))
                left *= source[taken_in[-1]]
            else:
                taken_out.append(outs.pop(0))
                right *= target[taken_out[-1]]
        groups.append((taken_in, taken_out))
    return groups


def _layout_with_order(shape: Shape, order: list[int]) -> Layout:
    """Return a layout that stores the non-unit axes (after the batch) in `order`: channels last or ONNX's own when one fits."""
    candidates = [channels_last(4)] if len(shape) == 4 else []
    for layout in (*candidates, identity(len(shape))):
        if [axis for axis in layout[1:] if axis is not None and shape[axis] != 1] == order:
            return layout
    units = [axis for axis in range(1, len(shape)) if shape[axis] == 1]
    return (0, *units, *order)
