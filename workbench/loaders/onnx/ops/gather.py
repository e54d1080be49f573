"""Translators of operators that choose, repeat and spread elements: Gather and its kin, Expand, Tile, Trilu."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from workbench.loaders.onnx.call import Call, Operand, onnx_op
from workbench.loaders.onnx.fold_reference import bounded
from workbench.loaders.onnx.ops.shapes import sliced
from workbench.loaders.onnx.values import HIDDEN, Const, Layout, Value, identity


@onnx_op("Gather")
def translate_gather(call: Call) -> list[Operand]:
    """Gather along one axis: a constant position is a slice; a constant table and computed rows an embedding."""
    data, index = call.operand(0), call.operand(1)
    rank = data.rank if isinstance(data, Value) else data.array.ndim
    axis = call.axis("axis", 0, rank)
    kind = call.b.dtype(index.key) if isinstance(index, Value) else index.array.dtype.name
    if kind not in ("int32", "int64"):
        raise call.b.error(f"has indices of type {kind}; expected int32 or int64.")
    if isinstance(data, Value):
        return [
            _constant_rows(call, data, index.array, axis)
            if isinstance(index, Const)
            else _computed_rows(call, data, index, axis)
        ]
    if isinstance(index, Const):
        raise call.b.error("has constants only.")
    return [_embedding(call, data, index, axis)]


def _constant_rows(call: Call, x: Value, index: np.ndarray, axis: int) -> Value:
    """Return rows of a value at constant places: a slice where one step leads from each to the next."""
    size, flat = x.shape[axis], index.reshape(-1).tolist()
    if not flat or any(not -size <= at < size for at in flat):
        raise call.b.error(f"gathers position {next((at for at in flat if not -size <= at < size), 'none')} of {size}.")
    at = [i % size for i in flat]
    step = at[1] - at[0] if len(at) > 1 else 1
    if step > 0 and at == list(range(at[0], at[-1] + 1, step)):
        slices = [slice(0, d, 1) for d in x.shape]
        slices[axis] = slice(at[0], at[-1] + 1, step)
        made = sliced(call, x, slices)
    else:
        if axis == x.batch:
            call.b.mix_batch()
        rows = call.b.constant(call.whole(at), np.array(at, np.int64), "rows")
        key = call.b.emit("gather", [x.key, rows], dtype=call.b.dtype(x.key), axis=x.stored(axis))
        made = call.b.value(key, x.layout, None if axis == x.batch else x.batch)
    return made if index.ndim == 1 else call.b.reshape(made, (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


def _computed_rows(call: Call, x: Value, index: Value, axis: int) -> Value:
    """Return rows of a value at computed places: every sample's places are looked up in all of x."""
    if x.batch is not None or index.batch is not None:
        call.b.mix_batch()
    key = call.b.emit(
        "gather",
        [call.b.store(x, identity(x.rank)), call.b.store(index, plain_layout(index))],
        dtype=call.b.dtype(x.key),
        axis=axis,
    )
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    return as_shape(call, key, shape, None)


def _embedding(call: Call, table: Const, index: Value, axis: int) -> Value:
    """Return rows of a constant at computed places; the samples stay apart."""
    if table.array.size == 0:
        raise call.b.error("gathers from an empty constant.")
    data = np.moveaxis(table.array, axis, 0)
    rows = call.b.constant(table, data, f"rows along {axis}")
    dtype = call.b.dtype(rows)
    key = call.b.emit("gather", [rows, call.b.store(index, plain_layout(index))], dtype=dtype, axis=0)
    n, rest = max(index.rank, 1), data.ndim - 1  # stored: the index's axes, then the others of the table
    if not index.rank:
        return as_shape(call, key, table.array.shape[:axis] + table.array.shape[axis + 1 :], None)
    onnx_axes = [*range(axis, axis + n), *(i if i < axis else i + n for i in range(rest))]
    batch = None if index.batch in (None, HIDDEN) else index.batch + axis
    return call.b.value(key, tuple(onnx_axes), batch)


def plain_layout(x: Value) -> Layout:
    """Return the layout that stores what ONNX says, a scalar as one element."""
    return identity(x.rank) if x.rank else (None,)


def as_shape(call: Call, key: int, shape: tuple[int, ...], batch: int | None) -> Value:
    """Return the value of a stored tensor that holds a shape in ONNX's order, unit axes aside."""
    stored = call.b.shape(key)
    whole = Value(key, stored, identity(len(stored)), batch)
    return whole if shape == stored else call.b.reshape(whole, shape)


@onnx_op("GatherElements")
def translate_gather_elements(call: Call) -> list[Value]:
    """GatherElements: y[i, j, k] = x[i, index[i, j, k], k] for axis 1, as a gather of places in the flattened tensor."""
    x, index = call.value(0), call.operand(1)
    shape = index.shape if isinstance(index, Value) else index.array.shape
    axis = call.axis("axis", 0, x.rank)
    if len(shape) != x.rank or any(a > b for i, (a, b) in enumerate(zip(shape, x.shape, strict=True)) if i != axis):
        raise call.b.error(f"has indices of shape {list(shape)} for data of shape {list(x.shape)}.")
    bounded(shape)
    call.b.mix_batch()
    size = x.shape[axis]
    strides = [math.prod(x.shape[i + 1 :]) for i in range(x.rank)]
    base = sum(
        np.arange(d).reshape(-1, *(1,) * (x.rank - 1 - i)) * s
        for i, (d, s) in enumerate(zip(shape, strides, strict=True))
        if i != axis
    )
    if isinstance(index, Const):
        at: Operand = call.whole(np.where(index.array < 0, index.array + size, index.array))
        if isinstance(at, Const) and ((at.array < 0) | (at.array >= size)).any():
            raise call.b.error(f"gathers a position outside of {size}.")
    else:
        at = call.make("Cast", index, to=7)
        at = call.make("Where", call.make("Less", at, call.whole(0)), call.make("Add", at, call.whole(size)), at)
    places = call.make("Add", call.make("Mul", at, call.whole(strides[axis])), call.whole(base))
    flat = call.b.reshape(x, (math.prod(x.shape),))
    made = call.make("Gather", flat, places, axis=0)
    assert isinstance(made, Value)
    return [made]


@onnx_op("GatherND")
def translate_gather_nd(call: Call) -> list[Value]:
    """GatherND: slices of x at computed or constant places."""
    x, index = call.operand(0), call.operand(1)
    lead = call.integer("batch_dims", 0)
    keys, batches = [], []
    for i, side in enumerate((x, index)):
        if isinstance(side, Const):
            keys.append(call.b.constant(side, side.array, "as is"))
            continue
        keys.append(call.b.store(side, plain_layout(side)))
        batches.append((i, side.batch))
    dtype = call.b.dtype(keys[0])
    apart = batches == [(1, 0)] or (lead > 0 and batches == [(0, 0), (1, 0)])
    if not apart:
        call.b.mix_batch()
    key = call.b.emit("gather_nd", keys, dtype=dtype, batch_dims=lead)
    return [call.b.value(key, identity(len(call.b.shape(key))), 0 if apart else None)]


@onnx_op("Expand")
def translate_expand(call: Call) -> list[Value]:
    """Expand to a constant shape."""
    x, given = call.value(0), call.const(1)
    if given is None:
        raise call.b.error("needs a constant shape.")
    target = bounded(np.broadcast_shapes(x.shape, bounded(given.array.reshape(-1).tolist())))
    x = call.b.reshape(x, (1,) * (len(target) - x.rank) + x.shape) if x.rank < len(target) else x
    if target == x.shape:
        return [x]
    grown = x.batch is not None and x.batch != HIDDEN and target[x.batch] != x.shape[x.batch]
    if grown:
        call.b.mix_batch()
    shape = x.per_stored(target, 1)
    if x.batch is not None and not x.stored(x.batch) and not grown:
        shape = (-1, *shape[1:])
    return [call.b.value(call.b.emit("broadcast_to", [x.key], dtype=call.b.dtype(x.key), shape=shape), x.layout, x.batch)]


@onnx_op("Tile")
def translate_tile(call: Call) -> list[Value]:
    """Tile: every axis repeated a constant number of times."""
    x, given = call.value(0), call.const(1)
    if given is None or given.array.shape != (x.rank,) or (given.array < 1).any():
        raise call.b.error(f"needs {x.rank} constant repeats of at least 1.")
    repeats = [int(r) for r in given.array]
    bounded([d * r for d, r in zip(x.shape, repeats, strict=True)])
    stored = x.per_stored(repeats, 1)
    if x.batch is not None and stored[x.stored(x.batch)] != 1:
        call.b.mix_batch()
    return [call.b.value(call.b.emit("tile", [x.key], dtype=call.b.dtype(x.key), repeats=stored), x.layout, x.batch)]


@onnx_op("Trilu")
def translate_trilu(call: Call) -> list[Operand]:
    """Trilu: the upper or lower triangle of matrices, zeros elsewhere."""
    x, given = call.value(0), call.const(1)
    if x.rank < 2:
        raise call.b.error(f"works on a tensor with {x.rank} axes; expected at least 2.")
    k = 0 if given is None else int(given.array.reshape(-1)[0])
    keep = (np.triu if call.integer("upper", 1) else np.tril)(
        np.ones(bounded(x.shape[-2:]), bool), max(-(2**20), min(k, 2**20))
    )
    kind = call.b.dtype(x.key)
    if kind == "bool":
        return [call.make("And", x, Const(f"{call.node.label}.triangle", keep))]
    return [
        call.make("Where", Const(f"{call.node.label}.triangle", keep), x, Const(f"{call.node.label}.zero", np.zeros((), kind)))
    ]


@onnx_op("DepthToSpace", "SpaceToDepth")
def translate_depth_space(call: Call) -> list[Value]:
    """DepthToSpace (DCR and CRD), SpaceToDepth."""
    x, block = call.value(0), call.integer("blocksize", 0)
    if x.rank != 4 or block < 1:
        raise call.b.error(f"has block size {block} on {x.rank} axes; expected 4 axes and at least 1.")
    mode = call.text("mode", "DCR")
    if mode not in (("DCR", "CRD") if call.node.op == "DepthToSpace" else ("DCR",)):
        raise call.b.error(f"attribute 'mode' is '{mode:.40}'; expected DCR (or CRD of DepthToSpace).")
    layout = (0, 2, 3, 1)
    key = call.b.store(x, layout)
    dtype = call.b.dtype(key)
    if call.node.op == "DepthToSpace":
        key = call.b.emit("depth_to_space", [key], dtype=dtype, block=block, mode=mode.lower())
    else:
        key = call.b.emit("space_to_depth", [key], dtype=dtype, block=block)
    return [call.b.value(key, layout, 0 if x.batch == 0 else None)]


@onnx_op("ReverseSequence")
def translate_reverse_sequence(call: Call) -> list[Value]:
    """ReverseSequence: the first steps of every sample, as many as its length says, in the opposite order."""
    x, lengths = call.value(0), call.operand(1)
    time, sample = call.axis("time_axis", 0, x.rank), call.axis("batch_axis", 1, x.rank)
    if time == sample:
        raise call.b.error("reverses along the axis of the samples.")
    if isinstance(lengths, Const):
        if lengths.array.shape != (x.shape[sample],) or not ((lengths.array >= 0) & (lengths.array <= x.shape[time])).all():
            raise call.b.error(f"has lengths of shape {list(lengths.array.shape)}, or outside of {x.shape[time]} steps.")
        call.b.mix_batch()
        key = call.b.constant(lengths, lengths.array, "as is")
    else:
        key = call.b.store(lengths, identity(1))
    if x.batch != sample or (isinstance(lengths, Value) and lengths.batch != 0):
        call.b.mix_batch()
    x = call.b.put(x, (sample, *(a for a in x.layout if a != sample)))
    dtype = call.b.dtype(x.key)
    out = call.b.emit("reverse_sequence", [x.key, key], dtype=dtype, axis=x.stored(time), batch_axis=0)
    return [replace(x, key=out)]
