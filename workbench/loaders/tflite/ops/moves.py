"""Translators of operators that move values: reshape, transpose, concat, pad."""

from __future__ import annotations

import math

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.tensor import MAX_RANK
from workbench.ops.concat import ConcatAttrs
from workbench.ops.pad import PadAttrs
from workbench.ops.reshape import ReshapeAttrs
from workbench.ops.transpose import TransposeAttrs


def check_move(call: Call, x: Tensor) -> None:
    """Check that an operator which only moves values keeps their type: with a scale on both sides or on neither."""
    if x.dtype == call.output.dtype and (x.is_constant or (x.is_plain and call.output.is_plain)):
        return
    if x.is_plain:
        raise call.error(f"moves {x.dtype} values without a scale into {call.output.dtype}; expected the same without a scale.")
    call.same_type(x)


def _reshape_to(call: Call, target: list[int]) -> None:
    x = call.input(0)
    check_move(call, x)
    total = math.prod(x.shape)
    free = [i for i, d in enumerate(target) if d == -1]
    if len(target) > MAX_RANK or len(free) > 1 or any(d == 0 or d < -1 for d in target):
        raise call.error(
            f"target shape {target[:MAX_RANK]} is not usable; expected up to {MAX_RANK} sizes >= 1, at most one -1."
        )
    known = math.prod(d for d in target if d != -1)
    if free and not total % known:
        target = [total // known if d == -1 else d for d in target]
    if math.prod(target) != total or -1 in target:
        raise call.error(f"{list(x.shape)} has {total} elements and cannot become {target}.")
    keeps = not x.is_constant and x.shape[:1] == tuple(target[:1]) == (call.batch,)
    call.emit("reshape", [x], ReshapeAttrs((-1, *target[1:]) if keeps else tuple(target)), mixes=not keeps)


@translates("RESHAPE", (1, 2), "ReshapeOptions")
def _reshape(call: Call) -> None:
    if call.optional(1) is not None:
        _reshape_to(call, call.numbers(1, "the target shape", MAX_RANK))
        return
    target = call.option("NewShape")
    if target is None:
        raise call.error(f"the target shape has more than {MAX_RANK} dimensions.")
    _reshape_to(call, list(target))


@translates("SQUEEZE", (1, 1), "SqueezeOptions")
def _squeeze(call: Call) -> None:
    x, dims = call.input(0), call.options.get("SqueezeDims", ())
    if dims is None:
        raise call.error(f"names more than {MAX_RANK} dimensions.")
    axes = set(normal_axes(call, list(dims), len(x.shape))) if dims else {i for i, d in enumerate(x.shape) if d == 1}
    if any(x.shape[a] != 1 for a in axes):
        raise call.error(f"dimensions {sorted(axes)} of {list(x.shape)} are not all 1.")
    _reshape_to(call, [d for i, d in enumerate(x.shape) if i not in axes])


@translates("EXPAND_DIMS", (2, 2), "ExpandDimsOptions")
def _expand_dims(call: Call) -> None:
    x, numbers = call.input(0), call.numbers(1, "the axis", 1)
    axis = normal_axes(call, numbers, len(x.shape) + 1)[0]
    _reshape_to(call, [*x.shape[:axis], 1, *x.shape[axis:]])


def normal_axes(call: Call, axes: list[int], rank: int) -> list[int]:
    """Return axes as non-negative numbers."""
    for axis in axes:
        if not -rank <= axis < rank:
            raise call.error(f"axis {axis} is outside of {rank} dimensions.")
    return [axis % rank for axis in axes]


@translates("TRANSPOSE", (2, 2), "TransposeOptions")
def _transpose(call: Call) -> None:
    x = call.input(0)
    check_move(call, x)
    perm = normal_axes(call, call.numbers(1, "the permutation", MAX_RANK), len(x.shape))
    if sorted(perm) != list(range(len(x.shape))):
        raise call.error(f"{perm} is not a permutation of the {len(x.shape)} dimensions of {list(x.shape)}.")
    call.emit("transpose", [x], TransposeAttrs(tuple(perm)), mixes=perm[:1] != [0])


@translates("CONCATENATION", (1, 1_000_000), "ConcatenationOptions")
def _concat(call: Call) -> None:
    join(call, [call.input(i) for i in range(len(call.operator.inputs))], call.option("Axis"), call.activation)


def join(call: Call, parts: list[Tensor], axis: int, activation: str = "none") -> None:
    """Emit the concatenation of tensors that lie in one type."""
    if all(t.is_constant for t in parts):
        if any(t.dtype != call.output.dtype or t.quant != call.output.quant for t in parts):
            raise call.error("joins constants of different types or scales.")
    else:
        for part in parts:
            if part.dtype != call.output.dtype or part.is_plain != call.output.is_plain:
                raise call.error(
                    f"types {part.dtype} -> {call.output.dtype}; expected one type, with a scale everywhere or nowhere."
                )
        if not call.output.is_plain:
            call.same_type(*parts)
    at = normal_axes(call, [axis], len(parts[0].shape))[0]
    mixes = at == 0 or any(t.is_constant and t.shape[:1] != (1,) for t in parts)
    call.emit("concat", list(parts), ConcatAttrs(at, activation), mixes)


def _pad(call: Call, value: float) -> None:
    x = call.input(0)
    check_move(call, x)
    flat = call.numbers(1, "the paddings", 2 * MAX_RANK)
    if call.input(1).shape != (len(x.shape), 2):
        raise call.error(f"paddings are {list(call.input(1).shape)}; expected [{len(x.shape)}, 2].")
    if not all(0 <= v < 2**28 for v in flat):
        raise call.error(f"paddings {flat} must be 0 to {2**28 - 1}.")
    if any(flat[:2]):
        raise call.error(f"pads the batch (dimension 0) by {flat[:2]}, which is not supported.")
    pairs = tuple((flat[i], flat[i + 1]) for i in range(0, len(flat), 2))
    call.emit("pad", [x], PadAttrs(pairs, value))


@translates("PAD", (2, 2), "PadOptions")
def _pad_zero(call: Call) -> None:
    _pad(call, 0.0)


@translates("PADV2", (3, 3), "PadV2Options")
def _pad_value(call: Call) -> None:
    fill, y = call.input(2), call.output
    if fill.data is None or fill.data.size != 1 or fill.dtype != y.dtype:
        raise call.error(f"the padding value is {fill.dtype} {list(fill.shape)}; expected one constant {y.dtype}.")
    stored = fill.data.reshape(-1)[0]
    if y.quant is None:
        _pad(call, stored.item())
        return
    if fill.quant is not None and fill.quant != y.quant:
        raise call.error("the padding value must have the scale and zero point of the output.")
    scale, zero_point = y.quant.scalar
    _pad(call, float(scale) * (int(stored) - zero_point))
