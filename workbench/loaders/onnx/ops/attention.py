"""Translators of attention as one operator: the standard's Attention and RotaryEmbedding, and those of ONNX Runtime's optimizers.

All become matrix products, a scaled softmax and masks. softmax(scale q k + mask) v, q and k each scaled by the root of it.
"""

from __future__ import annotations

import math

import numpy as np

from workbench.loaders.onnx.call import Call, Operand, onnx_op
from workbench.loaders.onnx.fold_reference import bounded
from workbench.loaders.onnx.values import Const, Value


def shape_of(x: Operand) -> tuple[int, ...]:
    """Return the shape of an operand."""
    return x.shape if isinstance(x, Value) else x.array.shape


def heads_of(call: Call, x: Operand, heads: int) -> Operand:
    """Return [B, T, H D] as [B, H, T, D]."""
    batch, steps, width = shape_of(x)
    if heads < 1 or width % heads:
        raise call.b.error(f"divides {width} features into {heads} heads.")
    split = call.make("Reshape", x, call.whole([batch, steps, heads, width // heads]))
    return call.make("Transpose", split, perm=[0, 2, 1, 3])


def joined(call: Call, x: Operand) -> Operand:
    """Return [B, H, T, D] as [B, T, H D]."""
    batch, heads, steps, width = shape_of(x)
    return call.make("Reshape", call.make("Transpose", x, perm=[0, 2, 1, 3]), call.whole([batch, steps, heads * width]))


def attend(call: Call, q: Operand, k: Operand, v: Operand, scale: float, masks: list[Operand], softcap: float = 0.0) -> Operand:
    """Return softmax(scale q k' + masks) v of [B, H, T, D]; q has as many heads as k and v, or a multiple."""
    groups = shape_of(q)[1] // max(shape_of(k)[1], 1)
    if shape_of(k)[1] * groups != shape_of(q)[1] or shape_of(v)[1] != shape_of(k)[1]:
        raise call.b.error(f"has {shape_of(q)[1]} heads of queries, {shape_of(k)[1]} of keys and {shape_of(v)[1]} of values.")
    if groups > 1:
        k, v = _repeated(call, k, groups), _repeated(call, v, groups)
    root = call.number(math.sqrt(scale))
    turned = call.make("Transpose", call.make("Mul", k, root), perm=[0, 1, 3, 2])
    scores = call.make("MatMul", call.make("Mul", q, root), turned)
    if softcap > 0:
        scores = call.make("Mul", call.make("Tanh", call.make("Div", scores, call.number(softcap))), call.number(softcap))
    cut: list[Operand] = []
    for mask in masks:
        kind = call.b.dtype(mask.key) if isinstance(mask, Value) else mask.array.dtype.name
        if kind == "bool":
            scores = call.make("Where", mask, scores, call.number(np.finfo(np.float32).min))
            cut += [mask] if isinstance(mask, Value) or not mask.array.any(axis=-1).all() else []
        else:
            scores = call.make("Add", scores, mask)
    shares = call.make("Softmax", scores, axis=-1)
    for mask in cut:  # a query that sees no key gets zeros
        shares = call.make("Where", mask, shares, call.number(0.0))
    return call.make("MatMul", shares, v)


def _repeated(call: Call, x: Operand, groups: int) -> Operand:
    """Return every head `groups` times in a row."""
    batch, heads, steps, width = shape_of(x)
    wide = call.make("Expand", call.make("Unsqueeze", x, call.whole([2])), call.whole([batch, heads, groups, steps, width]))
    return call.make("Reshape", wide, call.whole([batch, heads * groups, steps, width]))


def causal(call: Call, queries: int, keys: int, past: int = 0) -> Const:
    """Return the mask bool [queries, keys] by which a place sees itself and what is before it."""
    return Const(f"{call.node.label}.causal", np.tril(np.ones(bounded([queries, keys]), bool), past))


@onnx_op("Attention")
def translate_attention(call: Call) -> list[Operand]:
    """Attention (operator set 23): Q, K, V, mask, past key and value; outputs Y, present key and value."""
    q, k, v = call.operand(0), call.operand(1), call.operand(2)
    flat = len(shape_of(q)) == 3
    if call.optional(6) is not None or any(n for n in call.node.outputs[3:]):
        raise call.b.error("has lengths of padded keys, or gives its scores to other nodes, which is not supported.")
    if flat:
        heads, kv_heads = call.integer("q_num_heads", 0), call.integer("kv_num_heads", 0)
        q, k, v = heads_of(call, q, heads), heads_of(call, k, kv_heads), heads_of(call, v, kv_heads)
    past = 0
    past_key, past_value = call.optional(4), call.optional(5)
    if past_key is not None and past_value is not None:
        past = shape_of(past_key)[2]
        k, v = call.make("Concat", past_key, k, axis=2), call.make("Concat", past_value, v, axis=2)
    if any(call.integer(f"{side}_window_size", -1) >= 0 for side in ("left", "right")):
        raise call.b.error("sees a window of the keys only (left_window_size, right_window_size), which is not supported.")
    masks: list[Operand] = []
    mask = call.optional(3)
    queries, keys = shape_of(q)[2], shape_of(k)[2]
    if call.integer("is_causal", 0):
        masks.append(causal(call, queries, keys, past))
    if mask is not None:
        if shape_of(mask)[-1] != keys:
            raise call.b.error(f"has a mask for {shape_of(mask)[-1]} of {keys} keys; expected one for all.")
        masks.append(mask)
    scale = call.real("scale", 1.0 / math.sqrt(shape_of(q)[3]))
    if scale < 0:
        raise call.b.error(f"has the scale {scale}; expected one >= 0.")
    made = attend(call, q, k, v, scale, masks, call.real("softcap", 0.0))
    return [joined(call, made) if flat else made, k, v]


@onnx_op("RotaryEmbedding")
def translate_rotary(call: Call) -> list[Operand]:
    """RotaryEmbedding (operator set 23): the first features of each head turned by position; positions may be computed."""
    x, cos, sin, places = call.operand(0), call.operand(1), call.operand(2), call.optional(3)
    flat = len(shape_of(x)) == 3
    if flat:
        batch, steps, width = shape_of(x)
        heads = call.integer("num_heads", 0)
        if heads < 1 or width % heads:
            raise call.b.error(f"divides {width} features into {heads} heads.")
        x = call.make("Reshape", x, call.whole([batch, steps, heads, width // heads]))
    else:
        x = call.make("Transpose", x, perm=[0, 2, 1, 3])
    size = shape_of(x)[3]
    turned = call.integer("rotary_embedding_dim", 0) or size
    if turned % 2 or turned > size:
        raise call.b.error(f"turns {turned} of {size} features; expected an even number of them.")
    if places is not None:
        cos, sin = call.make("Gather", cos, places, axis=0), call.make("Gather", sin, places, axis=0)
    half = call.whole(turned // 2)
    cos, sin = (call.make("Unsqueeze", _front(call, t, half), call.whole([2])) for t in (cos, sin))
    head = call.make("Slice", x, call.whole([0]), call.whole([turned]), call.whole([3]))
    if call.integer("interleaved", 0):
        a, b = (
            call.make("Slice", head, call.whole([i]), call.whole([turned]), call.whole([3]), call.whole([2])) for i in (0, 1)
        )
    else:
        a, b = call.make_all("Split", head, call.whole([turned // 2] * 2), outputs=2, axis=3)
    real = call.make("Sub", call.make("Mul", cos, a), call.make("Mul", sin, b))
    imaginary = call.make("Add", call.make("Mul", sin, a), call.make("Mul", cos, b))
    if call.integer("interleaved", 0):
        pair = [call.make("Unsqueeze", p, call.whole([-1])) for p in (real, imaginary)]
        made = call.make("Reshape", call.make("Concat", *pair, axis=-1), call.whole(list(shape_of(head))))
    else:
        made = call.make("Concat", real, imaginary, axis=-1)
    if turned < size:
        rest = call.make("Slice", x, call.whole([turned]), call.whole([size]), call.whole([3]))
        made = call.make("Concat", made, rest, axis=-1)
    if flat:
        return [call.make("Reshape", made, call.whole([batch, steps, width]))]
    return [call.make("Transpose", made, perm=[0, 2, 1, 3])]


def _front(call: Call, table: Operand, half: Const) -> Operand:
    """Return the first features of a table of cosines or sines."""
    axis = len(shape_of(table)) - 1
    return call.make("Slice", table, call.whole([0]), call.whole([int(half.array)]), call.whole([axis]))


@onnx_op("com.microsoft.Attention")
def translate_fused_attention(call: Call) -> list[Operand]:
    """ONNX Runtime's Attention: input [B, T, C], weights [C, 3 H D], bias; a mask [B, T] of 0 and 1 may follow."""
    x, w, bias, mask = call.operand(0), call.operand(1), call.optional(2), call.optional(3)
    heads = call.integer("num_heads", 0)
    if (
        any(call.optional(i) is not None for i in (4, 6))
        or call.node.attrs.get("do_rotary")
        or any(n for n in call.node.outputs[1:])
    ):
        raise call.b.error(
            "has past states or rotary positions, which are not supported; export the model without this fusion."
        )
    total = call.make("MatMul", x, w)
    total = total if bias is None else call.make("Add", total, bias)
    sizes = call.node.attrs.get("qkv_hidden_sizes") or [shape_of(total)[2] // 3] * 3
    parts = call.make_all("Split", total, call.whole(list(sizes)), outputs=3, axis=2)
    q, k, v = (heads_of(call, part, heads) for part in parts)
    return [_masked(call, q, k, v, mask)]


@onnx_op("com.microsoft.MultiHeadAttention")
def translate_multi_head_attention(call: Call) -> list[Operand]:
    """ONNX Runtime's MultiHeadAttention: query, key, value [B, T, H D], bias, padding mask [B, T], bias of the scores."""
    heads = call.integer("num_heads", 0)
    sides = [call.operand(i) for i in range(3)]
    if any(len(shape_of(s)) != 3 for s in sides) or any(call.optional(i) is not None for i in (6, 7, 8, 9)):
        raise call.b.error("has packed operands or past states, which are not supported; export the model without this fusion.")
    if any(n for n in call.node.outputs[1:]):
        raise call.b.error("gives its keys and values to other nodes, which is not supported.")
    bias = call.optional(3)
    if bias is not None:
        parts = call.make_all("Split", bias, call.whole([shape_of(s)[2] for s in sides]), outputs=3, axis=0)
        sides = [call.make("Add", s, part) for s, part in zip(sides, parts, strict=True)]
    q, k, v = (heads_of(call, s, heads) for s in sides)
    return [_masked(call, q, k, v, call.optional(4))]


def _masked(call: Call, q: Operand, k: Operand, v: Operand, mask: Operand | None) -> Operand:
    """Return attention under the padding mask, the bias of the scores (input 5) and the causal mask of ONNX Runtime's operators."""
    masks = _padding_masks(call, mask, shape_of(k)[2], call.real("mask_filter_value", -10000.0))
    if call.optional(5) is not None:
        masks.append(call.operand(5))
    if call.integer("unidirectional", 0):
        masks.append(causal(call, shape_of(q)[2], shape_of(k)[2]))
    scale = call.real("scale", 0.0) or 1.0 / math.sqrt(shape_of(q)[3])
    return joined(call, attend(call, q, k, v, scale, masks))


def _padding_masks(call: Call, mask: Operand | None, keys: int, filled: float) -> list[Operand]:
    """Return what is added to the scores for a mask [B, T] of ones where a key counts."""
    if mask is None:
        return []
    if len(shape_of(mask)) != 2 or shape_of(mask)[1] != keys:
        raise call.b.error(f"has a mask of shape {list(shape_of(mask))}; one of [batch, {keys}] is supported.")
    kept = call.make("Cast", call.make("Unsqueeze", mask, call.whole([1, 2])), to=1)
    return [call.make("Mul", call.make("Sub", call.number(1.0), kept), call.number(filled))]
