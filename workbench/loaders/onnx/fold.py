"""Constant folding on ONNX's own axes: what exporters compute around Reshape, Slice and Pad (Shape -> Gather -> Concat ...).

Plain NumPy for a closed list of operators. Sizes are bounded before anything is allocated: a small file must not ask for
gigabytes. Source: the operator definitions of the ONNX specification.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from workbench.graph.ir import Array
from workbench.loaders.onnx.fold_budget import Budget, CannotFold
from workbench.loaders.onnx.fold_reference import MAX_FOLDED, REFERENCE, bounded, run_reference

Fold = Callable[[Sequence[Array | None], Mapping[str, Any], int], list[Array]]


def can_fold(op: str) -> bool:
    """True for operators that are computed on constants."""
    return op in FOLDS or op in REFERENCE


def fold(
    budget: Budget, op: str, args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int, outputs: int = 1
) -> list[Array]:
    """Return the outputs of an operator on constants; CannotFold when it is not in the list, operands do not fit, or cost too much."""
    if not can_fold(op):
        raise CannotFold("has only constant inputs and cannot be computed ahead")
    try:
        with np.errstate(all="ignore"):
            budget.work(op, args, calls=op not in FOLDS)
            found = FOLDS[op](args, attrs, opset) if op in FOLDS else run_reference(budget, op, args, attrs, opset, outputs)
            made = [_held(np.asarray(out)) for out in found]
        budget.held(made, args)
        return made
    except CannotFold:
        raise
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, MemoryError, AttributeError) as problem:
        raise CannotFold(f"has constants that do not fit together ({problem})") from None


def _held(array: Array) -> Array:
    """Return a constant as it is kept: float16 and bfloat16 as float32, which holds their values."""
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def shape_of(shape: Sequence[int], attrs: Mapping[str, Any]) -> Array:
    """Return what Shape gives for a tensor of this shape (with start and end of operator set 15)."""
    return np.array(shape, np.int64)[int(attrs.get("start", 0)) : attrs.get("end")]


def axes_of(args: Sequence[Array | None], attrs: Mapping[str, Any], position: int, rank: int) -> list[int] | None:
    """Return non-negative axes from the input at `position` (newer sets) or the attribute `axes` (older), or None."""
    given = args[position] if len(args) > position else None
    axes = given.reshape(-1).tolist() if given is not None else attrs.get("axes")
    return None if axes is None else [axis(a, rank) for a in axes]


def axis(value: Any, rank: int) -> int:
    """Return a non-negative axis of a tensor with `rank` axes."""
    if not -rank <= int(value) < rank:
        raise CannotFold(f"names axis {int(value)} of a tensor with {rank} axes")
    return int(value) % rank


def reshaped(shape: Sequence[int], target: Sequence[int], allow_zero: bool) -> tuple[int, ...]:
    """Return the shape that Reshape gives: 0 copies (unless allowzero), -1 is inferred."""
    dims = [int(d) for d in target]
    if any(d < -1 for d in dims) or dims.count(-1) > 1 or len(dims) > 16:
        raise CannotFold(f"reshapes to {dims[:8]}, which is not a shape")
    if not allow_zero:
        if any(d == 0 and i >= len(shape) for i, d in enumerate(dims)):
            raise CannotFold(f"reshapes to {dims}, which copies an axis that {list(shape)} does not have")
        dims = [shape[i] if d == 0 else d for i, d in enumerate(dims)]
    count, known = math.prod(shape), math.prod(d for d in dims if d != -1)
    if -1 in dims:
        dims[dims.index(-1)] = count // known if known else 0
    if math.prod(dims) != count:
        raise CannotFold(f"reshapes {list(shape)} to {[int(d) for d in target]}, which has another number of elements")
    return tuple(dims)


def unsqueezed(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape with unit axes inserted at `axes` of the result."""
    rank = len(shape) + len(axes)
    where = {axis(a, rank) for a in axes}
    if len(where) != len(axes) or rank > 16:
        raise CannotFold(f"inserts axes {list(axes)}, which repeat or are too many")
    rest = iter(shape)
    return tuple(1 if i in where else next(rest) for i in range(rank))


def unsqueeze_axes(args: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[int]:
    """Return the axes of Unsqueeze: input 1 (operator set 13 on) or the attribute; negative ones count in the result."""
    given = args[1] if len(args) > 1 else None
    return [int(a) for a in (given.reshape(-1).tolist() if given is not None else attrs.get("axes", []))]


def squeezed(shape: Sequence[int], axes: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape without the unit axes `axes` (all of them when None)."""
    drop = [i for i, d in enumerate(shape) if d == 1] if axes is None else list(axes)
    if any(shape[a] != 1 for a in drop):
        raise CannotFold(f"squeezes axes {drop} of {list(shape)}, which are not all 1")
    return tuple(d for i, d in enumerate(shape) if i not in drop)


def slices_of(shape: Sequence[int], args: Sequence[Array | None], attrs: Mapping[str, Any]) -> list[slice]:
    """Return one resolved slice per axis of Slice; 0 <= start <= stop <= size for positive steps."""

    def get(i: int, name: str) -> list[int] | None:
        given = args[i] if len(args) > i else None
        return given.reshape(-1).tolist() if given is not None else attrs.get(name)

    starts, ends = get(1, "starts"), get(2, "ends")
    if starts is None or ends is None:
        raise CannotFold("has no starts or ends")
    axes = get(3, "axes") or list(range(len(starts)))
    steps = get(4, "steps") or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise CannotFold("has starts, ends, axes and steps that do not match, or a step of 0")
    found = [slice(0, d, 1) for d in shape]
    for start, end, where, step in zip(starts, ends, axes, steps, strict=True):
        a = axis(where, len(shape))
        found[a] = slice(*slice(start, end, step).indices(shape[a]))
        if step < 0 and found[a].stop < 0:
            found[a] = slice(found[a].start, None, step)
    return found


def numpy_type(code: int) -> np.dtype[Any]:
    """Return the NumPy type of an ONNX element type."""
    if code not in onnx.TensorProto.DataType.values() or code in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        raise CannotFold(f"casts to element type {code}, which is not numeric")
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))


def constant_value(attrs: Mapping[str, Any]) -> Array:
    """Return the value of a Constant node."""
    for name, value in attrs.items():
        if name in ("value_float", "value_floats", "value_int", "value_ints"):
            return np.array(value, np.float32 if "float" in name else np.int64)
    if isinstance(attrs.get("value"), np.ndarray):
        return np.asarray(attrs["value"])
    raise CannotFold("holds a text, sparse or missing value; expected numbers")


def _need(args: Sequence[Array | None], i: int) -> Array:
    found = args[i] if i < len(args) else None
    if found is None:
        raise CannotFold(f"misses input {i}")
    return found


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if (b == 0).any():
        raise CannotFold("divides by zero")
    made = np.asarray(a // b)
    made += (a % b != 0) & ((a < 0) != (b < 0))  # ONNX truncates, // floors
    return made.astype(a.dtype, copy=False)


def _range(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    start, limit, delta = (_need(args, i).item() for i in range(3))
    if not delta or not all(math.isfinite(v) for v in (start, limit, delta)):
        raise CannotFold("has a step of 0 or bounds that are not finite")
    bounded([max(0, math.ceil((limit - start) / delta))])
    return [np.arange(start, limit, delta, dtype=_need(args, 0).dtype)]


def _gather(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    data, index = _need(args, 0), _need(args, 1)
    a = axis(attrs.get("axis", 0), data.ndim)
    bounded([*data.shape[:a], *index.shape, *data.shape[a + 1 :]])
    return [np.take(data, index, axis=a)]


def _concat(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    parts = [_need(args, i) for i in range(len(args))]
    if sum(p.size for p in parts) > MAX_FOLDED:
        raise CannotFold("makes a constant that is too large")
    return [np.concatenate(parts, axis(attrs["axis"], parts[0].ndim))]


def _binary(function: Callable[[Array, Array], Array]) -> Fold:
    def run(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
        a, b = _need(args, 0), _need(args, 1)
        bounded(np.broadcast_shapes(a.shape, b.shape))
        return [function(a, b)]

    return run


def _unary(function: Callable[[Array], Array]) -> Fold:
    return lambda args, attrs, opset: [function(_need(args, 0))]


def _where(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    parts = [_need(args, i) for i in range(3)]
    bounded(np.broadcast_shapes(*(p.shape for p in parts)))
    return [np.where(*parts)]


def _expand(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    data, shape = _need(args, 0), bounded(_need(args, 1).reshape(-1).tolist())
    return [np.broadcast_to(data, bounded(np.broadcast_shapes(data.shape, shape)))]


def _filled(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    value = np.asarray(attrs.get("value", np.zeros(1, np.float32))).reshape(-1)
    return [np.full(bounded(_need(args, 0).reshape(-1).tolist()), value[0], value.dtype)]


def _pad(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    data, value = _need(args, 0), args[2] if len(args) > 2 else None
    given = args[1] if len(args) > 1 else None
    pads = given.reshape(-1).tolist() if given is not None else attrs.get("pads", [])
    axes = axes_of(args, {}, 3, data.ndim) or list(range(data.ndim))
    if len(pads) != 2 * len(axes) or min(pads, default=0) < 0 or attrs.get("mode", "constant") != "constant":
        raise CannotFold(f"pads a constant of {data.ndim} axes by {pads!r:.60}, or not with a constant")
    both = [(0, 0)] * data.ndim
    for i, a in enumerate(axes):
        both[a] = (pads[i], pads[i + len(axes)])
    bounded([d + a + b for d, (a, b) in zip(data.shape, both, strict=True)])
    return [np.pad(data, both, constant_values=attrs.get("value", 0.0) if value is None else value.reshape(-1)[0])]


def _tile(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    data, repeats = _need(args, 0), [int(r) for r in _need(args, 1).reshape(-1)]
    if len(repeats) != data.ndim:
        raise CannotFold(f"repeats {data.ndim} axes {repeats} times")
    bounded([d * r for d, r in zip(data.shape, repeats, strict=True)])
    return [np.tile(data, repeats)]


def _reduce(function: Callable[..., Array]) -> Fold:
    def run(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
        data = _need(args, 0)
        axes = axes_of(args, attrs, 1, data.ndim)
        return [function(data, axis=None if axes is None else tuple(axes), keepdims=bool(attrs.get("keepdims", 1)))]

    return run


def _reshape(args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int) -> list[Array]:
    data, target = _need(args, 0), _need(args, 1).reshape(-1).tolist()
    return [data.reshape(reshaped(data.shape, target, bool(attrs.get("allowzero", 0))))]


FOLDS: dict[str, Fold] = {  # operator type -> its value on constants
    "Abs": _unary(np.abs),
    "Add": _binary(np.add),
    "And": _binary(np.logical_and),
    "Cast": lambda args, attrs, opset: [_need(args, 0).astype(numpy_type(attrs["to"]))],
    "Ceil": _unary(np.ceil),
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Div": _binary(_divide),
    "Equal": _binary(np.equal),
    "Expand": _expand,
    "Floor": _unary(np.floor),
    "Gather": _gather,
    "Greater": _binary(np.greater),
    "GreaterOrEqual": _binary(np.greater_equal),
    "Identity": _unary(lambda x: x),
    "Less": _binary(np.less),
    "LessOrEqual": _binary(np.less_equal),
    "Max": _binary(np.maximum),
    "Min": _binary(np.minimum),
    "Mul": _binary(np.multiply),
    "Neg": _unary(np.negative),
    "Not": _unary(np.logical_not),
    "Or": _binary(np.logical_or),
    "Pad": _pad,
    "Pow": _binary(lambda a, b: np.power(a, b).astype(a.dtype)),
    "Range": _range,
    "ReduceProd": _reduce(np.prod),
    "Reshape": _reshape,
    "Round": _unary(np.rint),
    "Shape": lambda args, attrs, opset: [shape_of(_need(args, 0).shape, attrs)],
    "Sign": _unary(np.sign),
    "Size": lambda args, attrs, opset: [np.array(_need(args, 0).size, np.int64)],
    "Slice": lambda args, attrs, opset: [_need(args, 0)[tuple(slices_of(_need(args, 0).shape, args, attrs))]],
    "Sqrt": _unary(np.sqrt),
    "Squeeze": lambda args, attrs, opset: [
        _need(args, 0).reshape(squeezed(_need(args, 0).shape, axes_of(args, attrs, 1, _need(args, 0).ndim)))
    ],
    "Sub": _binary(np.subtract),
    "Tile": _tile,
    "Transpose": lambda args, attrs, opset: [_need(args, 0).transpose(attrs.get("perm"))],
    "Unsqueeze": lambda args, attrs, opset: [
        _need(args, 0).reshape(unsqueezed(_need(args, 0).shape, unsqueeze_axes(args, attrs)))
    ],
    "Where": _where,
    "Xor": _binary(np.logical_xor),
}
