"""Translators of matrix products: constant operands become fully_connected weights, others batch_matmul."""

from __future__ import annotations

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import Call, Operand, binary, joined, onnx_op, transposed, with_rank
from workbench.loaders.onnx.ops.reduce import flattened_bias
from workbench.loaders.onnx.values import HIDDEN, Const, Layout, Value


def contract(call: Call, x: Value, axis: int, weights: Const, w: Array, use: str, bias: int | None = None) -> Value:
    """Return x with ONNX axis `axis` (I long) replaced by O sums with w [O, I]: the axis is stored last, the others stay."""
    if x.rank < 2 or w.shape[1] != x.shape[axis]:
        raise call.b.error(f"multiplies axis {axis} of {list(x.shape)} by weights for {w.shape[1]} inputs.")
    layout: Layout = x.layout if x.layout[-1] == axis else (*(a for a in x.layout if a != axis), axis)
    key = call.b.store(x, layout)
    out = call.b.emit("fully_connected", [key, call.b.constant(weights, w, use), bias])
    if axis == x.batch:
        call.b.mix_batch()
    return call.b.value(out, layout, None if axis == x.batch else x.batch)


@onnx_op("MatMul")
def translate_matmul(call: Call) -> list[Operand]:
    """MatMul: a constant side with one matrix -> fully_connected; otherwise batch_matmul."""
    left, right = call.operand(0), call.operand(1)
    flat = _with_vectors(call, left, right)
    if flat is not None:
        return [flat]
    if isinstance(left, Value) and isinstance(right, Const):
        matrix = _one_matrix(right, left.rank)
        if right.array.ndim == 1 and left.rank > 1:
            out = contract(call, left, left.rank - 1, right, right.array[None, :], "row")
            return [call.b.reshape(out, out.shape[:-1])]
        if matrix is not None and left.rank > 1:
            return [contract(call, left, left.rank - 1, right, matrix.T, "transposed")]
    if isinstance(left, Const) and isinstance(right, Value) and right.rank > 1:
        matrix = _one_matrix(left, right.rank)
        if matrix is not None:
            return [contract(call, right, right.rank - 2, left, matrix, "as is")]
    return [_batch_matmul(call, left, right)]


def _with_vectors(call: Call, left: Operand, right: Operand) -> Operand | None:
    """Return the product with operands of one axis, as matrices of one row or column; None when there is none to change."""
    one_left, one_right = (len(x.shape if isinstance(x, Value) else x.array.shape) == 1 for x in (left, right))
    if not one_left and (not one_right or (isinstance(right, Const) and isinstance(left, Value))):
        return None
    a = call.make("Unsqueeze", left, call.whole([0])) if one_left else left
    b = call.make("Unsqueeze", right, call.whole([1])) if one_right else right
    made = call.make("MatMul", a, b)
    made = call.make("Squeeze", made, call.whole([-1])) if one_right else made
    return call.make("Squeeze", made, call.whole([-1 if one_right else -2])) if one_left else made


@onnx_op("com.microsoft.FusedMatMul")
def translate_fused_matmul(call: Call) -> list[Operand]:
    """FusedMatMul: alpha * A' B', the last two axes of each turned on demand."""
    if call.integer("transBatchA", 0) or call.integer("transBatchB", 0):
        raise call.b.error(
            "turns the batch axes of its operands, which is not supported; export the model without this fusion."
        )
    sides = []
    for i, name in enumerate(("transA", "transB")):
        side = call.operand(i)
        rank = side.rank if isinstance(side, Value) else side.array.ndim
        turn = bool(call.integer(name, 0)) and rank > 1
        sides.append(call.make("Transpose", side, perm=[*range(rank - 2), rank - 1, rank - 2]) if turn else side)
    alpha = call.real("alpha", 1.0)
    made = call.make("MatMul", *sides)
    return [made if alpha == 1.0 else call.make("Mul", made, call.number(alpha))]


def _one_matrix(const: Const, rank: int) -> Array | None:
    """Return the matrix of a constant that has only one, for a value of `rank` axes; else None."""
    shape = const.array.shape
    fits = 2 <= len(shape) <= max(rank, 2) and all(d == 1 for d in shape[:-2])
    return const.array.reshape(shape[-2:]) if fits else None


def _batch_matmul(call: Call, left: Operand, right: Operand) -> Value:
    """Return the product of two operands of two axes or more; the batch is stored first where it is an axis that counts matrices."""
    b = call.b
    ranks = [x.rank if isinstance(x, Value) else x.array.ndim for x in (left, right)]
    rank = max(3, *ranks)
    sides = [_of_rank(call, side, own, rank) for side, own in zip((left, right), ranks, strict=True)]
    values, batch = joined(b, [s for s in sides if isinstance(s, Value)])
    if batch is not None and batch > rank - 3:
        b.mix_batch()  # the batch is an axis of the matrix
        batch = None
    lead = [a for a in range(rank - 2) if a != batch]
    order = (*(() if batch is None else (batch,)), *lead, rank - 2, rank - 1)
    keys, swapped, same = [], [], iter(values)
    for side in sides:
        if isinstance(side, Const):
            if batch is not None and batch != HIDDEN and side.array.shape[batch] != 1:
                b.mix_batch()
            moved = side.array.transpose([a for a in order if a != HIDDEN])
            keys.append(b.constant(side, moved[None] if batch == HIDDEN else moved, f"matrix {order}"))
            swapped.append(False)
            continue
        value = next(same)
        swapped.append(value.layout == (*order[:-2], rank - 1, rank - 2))
        keys.append(value.key if swapped[-1] else b.store(value, order))
    out = b.value(b.emit("batch_matmul", keys, adj_x=swapped[0], adj_y=swapped[1]), order, batch)
    return out if rank == max(ranks) else b.reshape(out, out.shape[1:])


def _of_rank(call: Call, side: Operand, own: int, rank: int) -> Operand:
    """Return the operand with unit axes in front."""
    if isinstance(side, Value):
        return with_rank(call.b, side, rank)
    return Const(f"{side.name}.{rank}", side.array.reshape((1,) * (rank - own) + side.array.shape)) if own < rank else side


@onnx_op("Gemm")
def translate_gemm(call: Call) -> list[Value]:
    """Gemm: alpha * A' B' + beta * C. A constant matrix becomes weights [O, I], a constant C per column the bias."""
    a, w, c = call.operand(0), call.operand(1), call.optional(2)
    for side in (a, w):
        if (side.rank if isinstance(side, Value) else side.array.ndim) != 2:
            raise call.b.error("needs matrices with two axes.")
    alpha, beta = call.real("alpha", 1.0), call.real("beta", 1.0)
    flip_a, flip_b = bool(call.integer("transA", 0)), bool(call.integer("transB", 0))
    if isinstance(a, Value) and isinstance(w, Const):
        x = transposed(a, (1, 0)) if flip_a else a
        matrix = w.array if flip_b else w.array.T
        bias = flattened_bias(c, matrix.shape[0]) if isinstance(c, Const) else None
        key = None
        if bias is not None and isinstance(c, Const):
            key = call.b.constant(c, bias * np.float32(beta), f"bias {beta} {len(bias)}")
            c = None
        out = contract(call, x, 1, w, matrix * np.float32(alpha), f"gemm {flip_b} {alpha}", key)
    elif isinstance(a, Const) and isinstance(w, Value):
        x = transposed(w, (1, 0)) if flip_b else w
        out = contract(call, x, 0, a, (a.array.T if flip_a else a.array) * np.float32(alpha), f"gemm {flip_a} {alpha}")
    else:
        sides = [transposed(s, (1, 0)) if f and isinstance(s, Value) else s for s, f in ((a, flip_a), (w, flip_b))]
        out = _scaled(call, _batch_matmul(call, *sides), alpha, "alpha")
    if c is None or beta == 0.0:
        return [out]
    if isinstance(c, Const):
        return [binary(call, "add", out, Const(f"{c.name}.beta", c.array * np.float32(beta)))]
    return [binary(call, "add", out, _scaled(call, c, beta, "beta"))]


def _scaled(call: Call, x: Value, factor: float, name: str) -> Value:
    if factor == 1.0:
        return x
    return binary(call, "mul", x, Const(f"{call.node.label}.{name}", np.array([factor], np.float32)))
