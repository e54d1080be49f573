"""Translators of operators that move or select elements, and of softmax (whose axis is a question of layout)."""

from __future__ import annotations

import math
from dataclasses import replace

from workbench.loaders.onnx.call import Call, common_layout, joined, onnx_op, transposed
from workbench.loaders.onnx.fold import reshaped, slices_of, squeezed, unsqueeze_axes, unsqueezed
from workbench.loaders.onnx.values import HIDDEN, Const, Layout, Value, identity

PAD_MODES = ("constant", "reflect", "edge", "wrap")


@onnx_op("Flatten")
def translate_flatten(call: Call) -> list[Value]:
    """Flatten to two axes."""
    x = call.value(0)
    axis = call.axis("axis", 1, x.rank, end=True)
    return [call.b.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))]


@onnx_op("Reshape")
def translate_reshape(call: Call) -> list[Value]:
    """Reshape to a constant shape; 0 copies an axis, -1 is inferred."""
    x, shape = call.value(0), call.const(1)
    if shape is None or shape.array.dtype.kind not in "iu":
        raise call.b.error("needs a constant shape of whole numbers.")
    return [call.b.reshape(x, reshaped(x.shape, shape.array.reshape(-1).tolist(), bool(call.integer("allowzero", 0))))]


@onnx_op("Squeeze")
def translate_squeeze(call: Call) -> list[Value]:
    """Squeeze: drop unit axes (all of them when none is named)."""
    x, given = call.value(0), call.const(1)
    axes = given.array.reshape(-1).tolist() if given is not None else call.node.attrs.get("axes")
    if axes is not None and any(not -x.rank <= a < x.rank for a in axes):
        raise call.b.error(f"names axes {axes!r:.60} of a tensor with {x.rank} axes.")
    return [call.b.reshape(x, squeezed(x.shape, None if axes is None else [a % x.rank for a in axes]))]


@onnx_op("Unsqueeze")
def translate_unsqueeze(call: Call) -> list[Value]:
    """Unsqueeze: insert unit axes."""
    x = call.value(0)
    call.const(1)
    return [call.b.reshape(x, unsqueezed(x.shape, unsqueeze_axes(call.constants(), call.node.attrs)))]


@onnx_op("Transpose")
def translate_transpose(call: Call) -> list[Value]:
    """Transpose: only the layout changes."""
    x = call.value(0)
    perm = call.node.attrs.get("perm") or list(range(x.rank))[::-1]
    if sorted(perm) != list(range(x.rank)):
        raise call.b.error(f"perm is {perm!r:.60}; expected an order of {x.rank} axes.")
    return [transposed(x, perm)]


@onnx_op("Concat")
def translate_concat(call: Call) -> list[Value]:
    """Concat along one axis; constant parts are rearranged to the common layout."""
    b, parts = call.b, [call.operand(i) for i in range(len(call.args))]
    values = [p for p in parts if isinstance(p, Value)]
    rank = values[0].rank
    if any((p.rank if isinstance(p, Value) else p.array.ndim) != rank for p in parts):
        raise b.error("concatenates tensors with different numbers of axes.")
    axis = call.axis("axis", 1, rank)
    values, batch = joined(b, values)
    layout, same = common_layout(values), iter(values)
    parts = [next(same) if isinstance(p, Value) else p for p in parts]
    if len(parts) == 1:
        return [values[0]]
    shapes = [p.shape if isinstance(p, Value) else p.array.shape for p in parts]
    one_row = batch is not None and not layout.index(batch) and (batch == HIDDEN or all(s[batch] == 1 for s in shapes))
    if axis == batch or (len(values) < len(parts) and not one_row):
        b.mix_batch()  # a constant part has the declared batch; one of one row serves every sample
    keys = [b.store(p, layout) if isinstance(p, Value) else _stored_constant(call, p, layout) for p in parts]
    dtype = b.dtype(keys[0])
    if any(b.dtype(k) != dtype for k in keys):
        raise b.error("concatenates values of different types.")
    return [b.value(b.emit("concat", keys, dtype=dtype, axis=layout.index(axis)), layout, None if axis == batch else batch)]


def _stored_constant(call: Call, const: Const, layout: Layout) -> int:
    order = [axis for axis in layout if axis is not None and axis != HIDDEN]
    shape = [1 if axis is None or axis == HIDDEN else const.array.shape[axis] for axis in layout]
    return call.b.constant(const, const.array.transpose(order).reshape(shape), f"stored {layout}")


@onnx_op("Pad")
def translate_pad(call: Call) -> list[Value]:
    """Pad (attributes before operator set 11, inputs since; axes since 18); negative pads crop."""
    x = call.value(0)
    mode = call.text("mode", "constant")
    if mode not in PAD_MODES:
        raise call.b.error(f"attribute 'mode' is '{mode:.20}'; expected {', '.join(PAD_MODES)}.")
    both = _pads(call, x)
    if x.batch not in (None, HIDDEN) and any(both[x.batch]):
        raise call.b.error("pads the batch (adds samples), which is not supported.")
    crop = [slice(max(-a, 0), d - max(-b, 0), 1) for (a, b), d in zip(both, x.shape, strict=True)]
    x = sliced(call, x, crop) if any(a < 0 or b < 0 for a, b in both) else x
    both = [(max(a, 0), max(b, 0)) for a, b in both]
    if not any(map(any, both)):
        return [x]
    if mode != "constant":
        return [_mirrored(call, x, both, mode)]
    plain = call.b.dtype(x.key) != "float32"
    value = call.scalar(2, "value", 0.0)
    if not math.isfinite(value):
        raise call.b.error(f"pads with {value}; expected a finite number.")
    if any(x.per_stored(both, (0, 0))[0]):  # the batch is not stored first; the operator pads others
        still = [a for a in range(x.rank) if not any(both[a])]
        if not still:
            wide = call.b.reshape(x, (1, *x.shape))
            key = call.b.emit("pad", [wide.key], dtype=call.b.dtype(x.key), paddings=((0, 0), *both), value=value)
            made = call.b.value(key, identity(wide.rank), None)
            return [call.b.reshape(made, made.shape[1:])]
        x = call.b.put(x, (still[0], *(a for a in x.layout if a != still[0])))
    paddings = x.per_stored(both, (0, 0))
    if plain and value:
        raise call.b.error(f"pads {call.b.dtype(x.key)} values with {value}; only 0 is supported for them.")
    key = call.b.emit("pad", [x.key], dtype=call.b.dtype(x.key), paddings=paddings, value=value)
    return [call.b.value(key, x.layout, x.batch)]


def _pads(call: Call, x: Value) -> list[tuple[int, int]]:
    """Return (before, after) of every ONNX axis."""
    given = call.const(1)
    pads = given.array.reshape(-1).tolist() if given is not None else call.node.attrs.get("pads", [])
    chosen = call.const(3)
    axes = list(range(x.rank)) if chosen is None else chosen.array.reshape(-1).tolist()
    if len(pads) != 2 * len(axes) or any(not isinstance(a, int) or not -x.rank <= a < x.rank for a in axes):
        raise call.b.error(f"has {len(pads)} pads for {len(axes)} axes of {x.rank}.")
    if any(not isinstance(p, int) or not -(2**20) < p < 2**20 for p in pads):
        raise call.b.error(f"pads are {pads!r:.60}; expected whole numbers.")
    found = {a % x.rank: (pads[i], pads[i + len(axes)]) for i, a in enumerate(axes)}
    return [found.get(a, (0, 0)) for a in range(x.rank)]


def _mirrored(call: Call, x: Value, both: list[tuple[int, int]], mode: str) -> Value:
    """Return the value padded by its own elements; wrap: the other end's, as a concatenation per axis."""
    if mode == "wrap":
        for axis, (before, after) in enumerate(both):
            size = x.shape[axis]
            if max(before, after) > size:
                raise call.b.error(f"wraps {max(before, after)} elements around an axis of {size}.")
            parts = [_span(call, x, axis, size - before, size), x, _span(call, x, axis, 0, after)]
            kept = [p for p, n in zip(parts, (before, size, after), strict=True) if n]
            joined = call.make("Concat", *kept, axis=axis) if len(kept) > 1 else x
            assert isinstance(joined, Value)
            x = joined
        return x
    pads = x.per_stored(both, (0, 0))
    key = call.b.emit("mirror_pad", [x.key], dtype=call.b.dtype(x.key), pads=pads, mode=mode)
    return call.b.value(key, x.layout, x.batch)


def _span(call: Call, x: Value, axis: int, start: int, stop: int) -> Value:
    """Return elements start to stop of an axis; the value itself when these are none."""
    if stop <= start:
        return x
    slices = [slice(0, d, 1) for d in x.shape]
    slices[axis] = slice(start, stop, 1)
    return sliced(call, x, slices)


@onnx_op("Slice")
def translate_slice(call: Call) -> list[Value]:
    """Slice with constant bounds and steps."""
    x = call.value(0)
    for i in range(1, len(call.args)):
        call.const(i)
    return [sliced(call, x, slices_of(x.shape, call.constants(), call.node.attrs))]


def sliced(call: Call, x: Value, slices: list[slice]) -> Value:
    """Return the slices of a value, one per ONNX axis, resolved; an axis that goes backwards is reversed first."""
    back = tuple(i for i, s in enumerate(slices) if s.step < 0)
    if any(len(range(*s.indices(d))) == 0 for s, d in zip(slices, x.shape, strict=True)):
        raise call.b.error("selects nothing.")
    if back:
        if x.batch in back:
            call.b.mix_batch()
        x = replace(
            x, key=call.b.emit("reverse", [x.key], dtype=call.b.dtype(x.key), axes=tuple(sorted(x.stored(a) for a in back)))
        )
        slices = [_forward(s, d) if i in back else s for i, (s, d) in enumerate(zip(slices, x.shape, strict=True))]
    if all((s.start, s.stop, s.step) == (0, d, 1) for s, d in zip(slices, x.shape, strict=True)):
        return x
    whole = slice(0, None, 1)
    stored = list(x.per_stored(slices, whole))
    if x.batch is not None and x.batch != HIDDEN:
        at = x.stored(x.batch)
        if (stored[at].start, stored[at].stop, stored[at].step) != (0, x.shape[x.batch], 1):
            call.b.mix_batch()
        elif at == 0:
            stored[0] = whole
    begin, end, strides = (tuple(getattr(s, part) for s in stored) for part in ("start", "stop", "step"))
    end = tuple(call.b.shape(x.key)[j] if e is None and j else e for j, e in enumerate(end))
    key = call.b.emit(
        "strided_slice", [x.key], dtype=call.b.dtype(x.key), begin=begin, end=end, strides=strides, shrink_axes=()
    )
    return call.b.value(key, x.layout, x.batch)


def _forward(part: slice, size: int) -> slice:
    """Return what a slice with a negative step takes, in the coordinates of the reversed axis."""
    places = range(*part.indices(size))
    return slice(size - 1 - places[0], size - places[-1], -part.step)


@onnx_op("Split")
def translate_split(call: Call) -> list[Value]:
    """Split along one axis: one strided slice per part."""
    x, given = call.value(0), call.const(1)
    axis = call.axis("axis", 0, x.rank)
    count = len(call.node.outputs)
    sizes = given.array.reshape(-1).tolist() if given is not None else call.node.attrs.get("split")
    if not sizes:
        each = -(-x.shape[axis] // call.integer("num_outputs", count))
        sizes = [min(each, x.shape[axis] - i * each) for i in range(count)]
    if len(sizes) != count or sum(sizes) != x.shape[axis] or min(sizes) < 1:
        raise call.b.error(f"splits {x.shape[axis]} elements into {sizes!r:.60} for {count} outputs.")
    found, start = [], 0
    for size in sizes:
        slices = [slice(0, d, 1) for d in x.shape]
        slices[axis] = slice(start, start + size, 1)
        found.append(sliced(call, x, slices))
        start += size
    return found


@onnx_op("Softmax", "LogSoftmax")
def translate_softmax(call: Call) -> list[Value]:
    """Softmax, LogSoftmax over one axis; before operator set 13 over `axis` and all that follow, taken together."""
    x = call.value(0)
    axis = call.axis("axis", -1 if call.opset >= 13 else 1, x.rank)
    if call.opset < 13:
        wide = [a for a in range(axis, x.rank) if x.shape[a] != 1]
        if len(wide) > 1:
            flat = call.b.reshape(x, (*(x.shape[:axis] or (1,)), math.prod(x.shape[axis:])))
            return [call.b.reshape(_softmax(call, flat, flat.rank - 1), x.shape)]
        axis = wide[0] if wide else axis
    return [_softmax(call, x, axis)]


def _softmax(call: Call, x: Value, axis: int) -> Value:
    if axis == x.batch:
        call.b.mix_batch()
    if x.layout[-1] != axis:
        x = call.b.put(x, (*(a for a in x.layout if a != axis), axis))
    if call.node.op == "LogSoftmax":
        return replace(x, key=call.b.emit("log_softmax", [x.key], axis=-1))
    return replace(x, key=call.b.emit("softmax", [x.key], beta=1.0, axis=-1))
