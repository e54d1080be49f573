"""Translators of what goes along axes: sums, norms, extremes, positions, running sums, the largest ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from workbench.loaders.onnx.call import Call, Operand, onnx_op
from workbench.loaders.onnx.values import HIDDEN, Const, Value, identity

_REDUCE = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "reduce_max", "ReduceMin": "reduce_min", "ReduceProd": "reduce_prod",
}  # fmt: skip


@onnx_op(*_REDUCE)
def translate_reduce(call: Call) -> list[Value]:
    """ReduceMean and its kin over constant axes (attribute before operator set 18 or 13, input since)."""
    x = call.value(0)
    axes = _axes(call, x)
    return [x] if axes is None else [reduced(call, _REDUCE[call.node.op], x, axes, bool(call.integer("keepdims", 1)))]


def _axes(call: Call, x: Value) -> list[int] | None:
    """Return the axes, all of them when none is named; None when naming none means that nothing is reduced."""
    axes = call.axes(1, x.rank)
    if axes:
        return sorted(axes)
    return None if call.integer("noop_with_empty_axes", 0) else list(range(x.rank))


@onnx_op("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
def translate_composed(call: Call) -> list[Operand]:
    """Sums of absolute values and squares, roots and logarithms of sums."""
    x, kind = call.value(0), call.node.op
    axes = _axes(call, x)
    if axes is None:
        axes = []
    keep = {"keepdims": call.integer("keepdims", 1)}
    over = call.whole(axes)

    def total(value: Operand) -> Operand:
        return call.make("ReduceSum", value, over, **keep) if axes else value

    if kind == "ReduceL1":
        return [total(call.make("Abs", x))]
    if kind == "ReduceLogSum":
        return [call.make("Log", total(x))]
    if kind == "ReduceLogSumExp":  # less the largest, so that no exponential overflows
        if not axes:
            return [x]
        top = call.make("ReduceMax", x, over, keepdims=1)
        inner = call.make("Log", total(call.make("Exp", call.make("Sub", x, top))))
        return [call.make("Add", inner, call.make("ReduceMax", x, over, **keep))]
    squares = total(call.make("Mul", x, x))
    return [call.make("Sqrt", squares) if kind == "ReduceL2" else squares]


def reduced(call: Call, op: str, x: Value, axes: list[int], keep_dims: bool) -> Value:
    """Return the reduction over ONNX axes, in whatever layout the value is stored."""
    if not axes:
        return x
    if x.batch in axes and x.samples == 1:
        rest = [a for a in axes if a != x.batch]  # one declared sample: its sum over the batch is itself
        x = reduced(call, op, x, rest, True) if rest else x
        return call.b.reshape(x, tuple(1 if a in axes else d for a, d in enumerate(x.shape) if keep_dims or a not in axes))
    if x.batch in axes:
        call.b.mix_batch()
    stored = tuple(sorted(x.stored(a) for a in axes))
    scalar = not keep_dims and len(axes) == x.rank
    out = call.b.emit(op, [x.key], axes=stored, keep_dims=keep_dims or scalar)
    batch = None if x.batch in axes else x.batch
    if keep_dims or scalar:
        made = call.b.value(out, x.layout, batch)
        return call.b.reshape(made, ()) if scalar else made
    kept = {axis: i for i, axis in enumerate(a for a in identity(x.rank) if a not in axes)} | {HIDDEN: HIDDEN}
    layout = tuple(None if a is None else kept[a] for j, a in enumerate(x.layout) if j not in stored)
    return call.b.value(out, layout, None if batch is None else kept[batch])


@onnx_op("GlobalAveragePool")
def translate_global_average_pool(call: Call) -> list[Value]:
    """GlobalAveragePool: mean over all spatial axes."""
    x = call.value(0)
    if x.rank < 3:
        raise call.b.error(f"works on a tensor with {x.rank} axes; expected at least 3.")
    return [reduced(call, "mean", x, list(range(2, x.rank)), keep_dims=True)]


@onnx_op("ArgMax", "ArgMin")
def translate_arg(call: Call) -> list[Value]:
    """ArgMax, ArgMin: positions along one axis."""
    x = call.value(0)
    axis, keep = call.axis("axis", 0, x.rank), bool(call.integer("keepdims", 1))
    if axis == x.batch:
        call.b.mix_batch()
    op = "arg_max" if call.node.op == "ArgMax" else "arg_min"
    last = bool(call.integer("select_last_index", 0))
    out = call.b.emit(op, [x.key], dtype="int64", axis=x.stored(axis), keep_dims=True, to="int64", last=last)
    made = call.b.value(out, x.layout, None if axis == x.batch else x.batch)
    return [made if keep else call.b.reshape(made, (*made.shape[:axis], *made.shape[axis + 1 :]))]


@onnx_op("TopK")
def translate_top_k(call: Call) -> list[Value]:
    """TopK with a constant k (attribute before operator set 10, input since); unsorted is allowed to be sorted."""
    x, given = call.value(0), call.const(1)
    k = call.integer("k", 0) if given is None else int(given.array.reshape(-1)[0])
    axis = call.axis("axis", -1, x.rank)
    if axis == x.batch:
        call.b.mix_batch()
    outputs = [(call.b.dtype(x.key), None), ("int64", None)]
    largest = bool(call.integer("largest", 1))
    keys = call.b.emit_all("top_k", [x.key], outputs, k=k, axis=x.stored(axis), largest=largest, to="int64")
    return [call.b.value(key, x.layout, None if axis == x.batch else x.batch) for key in keys]


@onnx_op("CumSum")
def translate_cumulative_sum(call: Call) -> list[Value]:
    """CumSum along a constant axis."""
    x, given = call.value(0), call.const(1)
    if given is None or given.array.size != 1 or given.array.dtype.kind not in "iu":
        raise call.b.error("needs one constant axis.")
    at = int(given.array.reshape(()))
    if not -x.rank <= at < x.rank:
        raise call.b.error(f"goes along axis {at} of a tensor with {x.rank} axes.")
    if at % x.rank == x.batch:
        call.b.mix_batch()
    fields: dict[str, Any] = {"exclusive": bool(call.integer("exclusive", 0)), "reverse": bool(call.integer("reverse", 0))}
    return [replace(x, key=call.b.emit("cumsum", [x.key], axis=x.stored(at % x.rank), **fields))]


@onnx_op("OneHot")
def translate_one_hot(call: Call) -> list[Value]:
    """OneHot of computed indices, with constant depth and values."""
    x, depth, values = call.value(0), call.const(1), call.const(2)
    if depth is None or depth.array.size != 1 or values is None or values.array.shape != (2,):
        raise call.b.error("needs a constant depth and two constant values.")
    axis = call.axis("axis", -1, x.rank + 1)
    if call.b.dtype(x.key) == "float32":
        x = replace(x, key=call.b.emit("cast", [x.key], dtype="int64", to="int64"))
    if x.batch is not None and axis <= x.batch:
        call.b.mix_batch()
    off, on = (call.b.constant(values, values.array[i : i + 1], f"one hot {i}") for i in range(2))
    kind = "float32" if values.array.dtype.kind == "f" else values.array.dtype.name
    key = call.b.store(x, identity(x.rank))
    out = call.b.emit("one_hot", [key, on, off], dtype=kind, depth=int(depth.array.reshape(-1)[0]), axis=axis)
    return [call.b.value(out, identity(x.rank + 1), 0 if x.batch == 0 < axis else None)]


def flattened_bias(bias: Const, channels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None:
    """Return a constant as one number per output channel, or None when it is not of that kind."""
    shape = bias.array.shape
    if len(shape) > 2 or (len(shape) == 2 and shape[0] != 1) or (shape and shape[-1] not in (1, channels)):
        return None
    return np.broadcast_to(bias.array.reshape(-1), (channels,)).astype(np.float32)
