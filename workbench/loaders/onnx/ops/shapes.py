"""Translators of operators that move or select elements, and of softmax (whose axis is a question of layout)."""

from __future__ import annotations

import math
from dataclasses import replace

from workbench.loaders.onnx.call import Call, common_layout, joint_batch, onnx_op, transposed
from workbench.loaders.onnx.fold import reshaped, slices_of, squeezed, unsqueeze_axes, unsqueezed
from workbench.loaders.onnx.layout import Const, Layout, Value


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
    layout, batch = common_layout(values), joint_batch(b, values)
    if len(parts) == 1:
        return [values[0]]
    if axis == batch or len(values) < len(parts):
        b.mix_batch()  # a constant part has the declared batch
    keys = [b.store(p, layout) if isinstance(p, Value) else _stored_constant(call, p, layout) for p in parts]
    return [b.value(b.emit("concat", keys, axis=layout.index(axis)), layout, batch)]


def _stored_constant(call: Call, const: Const, layout: Layout) -> int:
    order = [axis for axis in layout if axis is not None]
    shape = [1 if axis is None else const.array.shape[axis] for axis in layout]
    return call.b.constant(const, const.array.transpose(order).reshape(shape), f"stored {layout}")


@onnx_op("Pad")
def translate_pad(call: Call) -> list[Value]:
    """Pad with a constant (attributes before operator set 11, inputs since; axes since 18)."""
    x = call.value(0)
    mode = call.text("mode", "constant")
    if mode != "constant":
        raise call.b.error(f"mode '{mode:.20}' is not supported; only constant padding is.")
    given = call.const(1)
    pads = given.array.reshape(-1).tolist() if given is not None else call.node.attrs.get("pads", [])
    chosen = call.const(3)
    axes = list(range(x.rank)) if chosen is None else chosen.array.reshape(-1).tolist()
    if len(pads) != 2 * len(axes) or any(not isinstance(a, int) or not -x.rank <= a < x.rank for a in axes):
        raise call.b.error(f"has {len(pads)} pads for {len(axes)} axes of {x.rank}.")
    if any(not isinstance(p, int) or not 0 <= p < 2**20 for p in pads):
        raise call.b.error(f"pads are {pads!r:.60}; negative ones (cropping) are not supported: use Slice.")
    both = {a % x.rank: (pads[i], pads[i + len(axes)]) for i, a in enumerate(axes)}
    if x.batch is not None and any(both.get(x.batch, (0, 0))):
        raise call.b.error("pads the batch (adds samples), which is not supported.")
    value = call.scalar(2, "value", 0.0)
    if not math.isfinite(value):
        raise call.b.error(f"pads with {value}; expected a finite number.")
    if not any(map(any, both.values())):
        return [x]
    if x.layout[0] is not None and any(
        both.get(x.layout[0], (0, 0))
    ):  # the batch is not stored first; the operator pads others
        still = [a for a in range(x.rank) if not any(both.get(a, (0, 0)))]
        if not still:
            raise call.b.error("pads every axis, the first one included, which is not supported.")
        x = call.b.put(x, (still[0], *(a for a in x.layout if a != still[0])))
    paddings = tuple((0, 0) if a is None else both.get(a, (0, 0)) for a in x.layout)
    return [call.b.value(call.b.emit("pad", [x.key], paddings=paddings, value=value), x.layout, x.batch)]


@onnx_op("Slice")
def translate_slice(call: Call) -> list[Value]:
    """Slice with constant, positive steps."""
    x = call.value(0)
    for i in range(1, len(call.args)):
        call.const(i)
    return [_sliced(call, x, slices_of(x.shape, call.constants(), call.node.attrs))]


def _sliced(call: Call, x: Value, slices: list[slice]) -> Value:
    if any(s.step < 0 for s in slices):
        raise call.b.error("has a negative step, which is not supported.")
    if all((s.start, s.stop, s.step) == (0, d, 1) for s, d in zip(slices, x.shape, strict=True)):
        return x
    if any(s.stop <= s.start for s in slices):
        raise call.b.error("selects nothing.")
    whole = slice(0, None, 1)
    stored = [whole if a is None else slices[a] for a in x.layout]
    if x.batch is not None:
        at = x.stored(x.batch)
        if (stored[at].start, stored[at].stop, stored[at].step) != (0, x.shape[x.batch], 1):
            call.b.mix_batch()
        elif at == 0:
            stored[0] = whole
    begin, end, strides = (tuple(getattr(s, part) for s in stored) for part in ("start", "stop", "step"))
    end = tuple(call.b.shape(x.key)[j] if e is None and j else e for j, e in enumerate(end))
    key = call.b.emit("strided_slice", [x.key], begin=begin, end=end, strides=strides, shrink_axes=())
    return call.b.value(key, x.layout, x.batch)


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
        found.append(_sliced(call, x, slices))
        start += size
    return found


@onnx_op("Gather")
def translate_gather(call: Call) -> list[Value]:
    """Gather of one constant position: a slice, then the axis is dropped."""
    x, index = call.value(0), call.const(1)
    axis = call.axis("axis", 0, x.rank)
    if index is None or index.array.size != 1 or index.array.ndim > 1 or index.array.dtype.kind not in "iu":
        raise call.b.error("gathers several or computed positions; only one constant position is supported.")
    at, size = int(index.array.reshape(())), x.shape[axis]
    if not -size <= at < size:
        raise call.b.error(f"gathers position {at} of {size}.")
    slices = [slice(0, d, 1) for d in x.shape]
    slices[axis] = slice(at % size, at % size + 1, 1)
    one = _sliced(call, x, slices)
    return [one if index.array.ndim else call.b.reshape(one, (*one.shape[:axis], *one.shape[axis + 1 :]))]


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
