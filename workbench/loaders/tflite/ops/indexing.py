"""Translators of operators that choose elements by index or condition: gather, arg_max, one_hot, top_k, select, and what they need."""

from __future__ import annotations

import math

import numpy as np

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.ops.moves import check_move, normal_axes
from workbench.loaders.tflite.tensor import MAX_RANK
from workbench.ops.arg_max import ArgAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.cast import CastAttrs
from workbench.ops.cumsum import CumsumAttrs
from workbench.ops.gather import GatherAttrs
from workbench.ops.gather_nd import GatherNdAttrs
from workbench.ops.one_hot import OneHotAttrs
from workbench.ops.reverse_sequence import ReverseSequenceAttrs
from workbench.ops.top_k import TopKAttrs

INDEX_TYPES = ("int16", "int32", "int64")


def indices_of(call: Call, i: int) -> Tensor:
    """Return input i, which must hold positions."""
    tensor = call.input(i)
    if tensor.dtype not in INDEX_TYPES or tensor.quant is not None:
        raise call.error(f"indices '{tensor.name[:80]}' are {tensor.dtype}; expected int32 or int64 without a scale.")
    return tensor


def _check_constant(call: Call, indices: Tensor, size: int) -> None:
    """Refuse constant positions that are outside: known before anything runs."""
    if indices.data is not None and indices.data.size and not 0 <= indices.data.min() <= indices.data.max() < size:
        raise call.error(f"indices {indices.data.min()} to {indices.data.max()} are outside of [0, {size - 1}].")


@translates("GATHER", (2, 2), "GatherOptions")
def _gather(call: Call) -> None:
    x, indices = call.input(0), indices_of(call, 1)
    check_move(call, x)
    axis, b = normal_axes(call, [call.options.get("Axis", 0)], len(x.shape))[0], call.options.get("BatchDims", 0)
    b = b + len(indices.shape) if b < 0 else b
    if not 0 <= b <= min(axis, len(indices.shape)):
        raise call.error(f"{b} batch dimensions do not fit axis {axis} and indices {list(indices.shape)}.")
    _check_constant(call, indices, x.shape[axis])
    by_indices = x.is_constant and axis == 0
    by_values = indices.is_constant and axis > 0 and b == 0
    together = b > 0 and not x.is_constant and not indices.is_constant
    mixes = not (by_indices or by_values or together)
    call.emit("gather", [x, indices], GatherAttrs(axis, b, from_end=False), mixes)


@translates("EMBEDDING_LOOKUP", (2, 2))
def _embedding_lookup(call: Call) -> None:
    indices, table = indices_of(call, 0), call.input(1)
    if table.dtype != call.output.dtype:
        raise call.error(f"reads a table of {table.dtype} as {call.output.dtype} (hybrid); expected the same type.")
    check_move(call, table)
    if len(indices.shape) != 1:
        raise call.error(f"indices are {list(indices.shape)}; expected one dimension.")
    _check_constant(call, indices, table.shape[0] if table.shape else 0)
    call.emit("gather", [table, indices], GatherAttrs(0, from_end=False), mixes=not table.is_constant)


@translates("GATHER_ND", (2, 2), "GatherNdOptions")
def _gather_nd(call: Call) -> None:
    x, indices = call.input(0), indices_of(call, 1)
    check_move(call, x)
    call.emit("gather_nd", [x, indices], GatherNdAttrs(from_end=False), mixes=not x.is_constant)


@translates("CAST", (1, 1), "CastOptions")
def _cast(call: Call) -> None:
    x, y = call.input(0), call.output
    if x.is_constant and x.quant is not None:
        raise call.error("casts a constant with a scale, whose stored integers are no numbers. Use DEQUANTIZE.")
    call.emit("cast", [x], CastAttrs(y.dtype))


def _arg(call: Call) -> None:
    x = call.input(0)
    axis = normal_axes(call, call.numbers(1, "the axis", 1), len(x.shape))
    if len(axis) != 1:
        raise call.error("names no axis.")
    if call.output.dtype not in ("int32", "int64"):
        raise call.error(f"makes positions as {call.output.dtype}; expected int32 or int64.")
    op = call.operator.kind.lower()
    call.emit(op, [x], ArgAttrs(axis[0], False, call.output.dtype), mixes=axis[0] == 0)


for _kind, _options in (("ARG_MAX", "ArgMaxOptions"), ("ARG_MIN", "ArgMinOptions")):
    translates(_kind, (2, 2), _options)(_arg)


@translates("ONE_HOT", (4, 4), "OneHotOptions")
def _one_hot(call: Call) -> None:
    indices, on, off = indices_of(call, 0), call.input(2), call.input(3)
    depth = call.numbers(1, "the depth", 1)
    if len(depth) != 1 or depth[0] < 1:
        raise call.error(f"the depth is {depth}; expected one number >= 1.")
    for value in (on, off):
        if value.dtype != call.output.dtype or math.prod(value.shape) != 1 or value.quant not in (None, call.output.quant):
            raise call.error(
                f"a value is {value.dtype} {list(value.shape)}; expected one {call.output.dtype} in the output's scale."
            )
    axis = normal_axes(call, [call.options.get("Axis", -1)], len(indices.shape) + 1)[0]
    mixes = axis == 0 or not (on.is_constant and off.is_constant)
    call.emit("one_hot", [indices, on, off], OneHotAttrs(depth[0], axis, from_end=False), mixes)


@translates("TOPK_V2", (2, 2), "TopKV2Options", (2, 2))
def _top_k(call: Call) -> None:
    x, k = call.input(0), call.numbers(1, "k", 1)
    check_move(call, x)
    if len(k) != 1 or not x.shape or not 1 <= k[0] <= x.shape[-1]:
        raise call.error(f"k is {k} of {list(x.shape)}; expected 1 to the last size.")
    call.emit("top_k", [x], TopKAttrs(k[0], to=call.outputs[1].dtype), mixes=len(x.shape) == 1, outputs=(0, 1))


def _by_rows(call: Call, condition: Tensor, x: Tensor) -> Tensor:
    """Return the condition of SELECT in a shape that broadcasts: one for all, or one per element of dimension 0."""
    if math.prod(condition.shape) == 1:
        return call.reshaped(condition, (1,) * len(x.shape))
    if condition.shape == x.shape[:1]:
        return call.reshaped(condition, (*condition.shape, *(1,) * (len(x.shape) - 1)))
    raise call.error(f"the condition {list(condition.shape)} fits neither {list(x.shape)} nor its first dimension.")


@translates("SELECT", (3, 3), "SelectOptions")
def _select(call: Call) -> None:
    condition, x, y = (call.input(i) for i in range(3))
    if x.shape != y.shape:
        raise call.error(f"chooses from {list(x.shape)} and {list(y.shape)}; expected one shape. SELECT_V2 broadcasts.")
    _emit_select(call, condition if condition.shape == x.shape else _by_rows(call, condition, x), x, y)


@translates("SELECT_V2", (3, 3), "SelectV2Options")
def _select_v2(call: Call) -> None:
    _emit_select(call, call.input(0), call.input(1), call.input(2))


def _emit_select(call: Call, condition: Tensor, x: Tensor, y: Tensor) -> None:
    if condition.dtype != "bool":
        raise call.error(f"the condition is {condition.dtype}; expected bool.")
    for tensor in (x, y):
        check_move(call, tensor)
        if not call.output.is_plain and tensor.quant != call.output.quant:
            raise call.error(
                f"'{tensor.name[:80]}' and the output have different scales; the runtimes copy integers as they are."
            )
    if math.prod(condition.shape) == 1 and condition.is_constant and x.shape == y.shape:
        condition = call.reshaped(condition, (1,) * len(x.shape))
    call.emit("select", [condition, x, y], NoAttrs(), mixes=not _keep_batch([condition, x, y]))


def _keep_batch(tensors: list[Tensor]) -> bool:
    """True when broadcasting keeps samples apart: activations of one rank and batch, constants with one row for all."""
    rank = max(len(t.shape) for t in tensors)
    batches = {t.shape[0] for t in tensors if not t.is_constant and len(t.shape) == rank}
    return len(batches) == 1 and all(
        (len(t.shape) < rank or t.shape[0] == 1) if t.is_constant else len(t.shape) == rank for t in tensors
    )


@translates("WHERE", (1, 1), "WhereOptions")
def _where(call: Call) -> None:
    condition = call.input(0)
    if condition.data is None:
        raise call.error(
            "makes as many rows as its input has elements that hold: a shape that depends on data.\nUse SELECT_V2."
        )
    found = np.argwhere(condition.data).astype(call.output.dtype)
    if not found.size:
        raise call.error("finds nothing in its constant input: an empty tensor.")
    call.constant(found)


@translates("CUMSUM", (2, 2), "CumsumOptions")
def _cumsum(call: Call) -> None:
    x = call.input(0)
    axis = normal_axes(call, call.numbers(1, "the axis", 1), len(x.shape))
    if len(axis) != 1 or x.dtype != call.output.dtype or x.dtype not in ("float32", "int32", "int64", "int8"):
        raise call.error(
            f"axis {axis}, {x.dtype} -> {call.output.dtype}; expected one axis, one type of float32, int32, int64, int8."
        )
    options = bool(call.options.get("Exclusive", False)), bool(call.options.get("Reverse", False))
    call.emit("cumsum", [x], CumsumAttrs(axis[0], *options), mixes=axis[0] == 0)


@translates("REVERSE_SEQUENCE", (2, 2), "ReverseSequenceOptions")
def _reverse_sequence(call: Call) -> None:
    x, lengths = call.input(0), indices_of(call, 1)
    check_move(call, x)
    axis, batch = normal_axes(call, [call.option("SeqDim"), call.options.get("BatchDim", 0)], len(x.shape))
    mixes = axis == 0 or x.is_constant or (batch == 0) == lengths.is_constant
    call.emit("reverse_sequence", [x, lengths], ReverseSequenceAttrs(axis, batch), mixes)


@translates("DYNAMIC_UPDATE_SLICE", (3, 3), "DynamicUpdateSliceOptions")
def _dynamic_update_slice(call: Call) -> None:
    x, update, start = call.input(0), call.input(1), indices_of(call, 2)
    check_move(call, x)
    check_move(call, update)
    if x.shape[:1] != update.shape[:1] or not 0 < len(x.shape) <= MAX_RANK:
        raise call.error(f"an update {list(update.shape)} of {list(x.shape)} writes single samples, which is not supported.")
    mixes = not start.is_constant or x.is_constant or update.is_constant
    call.emit("dynamic_update_slice", [x, update, start], NoAttrs(), mixes)
