"""Constant folding by ONNX's own reference evaluator, for a closed list of operators.

Work and results are bounded before they are begun: operands of at most `MAX_WORK` elements together, products of matrices by their
multiplications; results that are larger than the operands (products, broadcast operands) by their shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from workbench.graph.ir import Array
from workbench.loaders.onnx.fold_budget import Budget, CannotFold

MAX_FOLDED = 2**24
"""Largest folded constant, in elements."""
MAX_WORK = 2**22
"""Most elements of the operands of one operator of `REFERENCE` (multiplications: 64 times as many)."""

REFERENCE = frozenset({
    "Acos", "Acosh", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "BitShift", "BitwiseAnd",
    "BitwiseNot", "BitwiseOr", "BitwiseXor", "CastLike", "Celu", "Cos", "Cosh", "CumSum", "DepthToSpace", "Elu", "Erf", "Exp",
    "EyeLike", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "HardSigmoid", "HardSwish", "IsInf", "IsNaN",
    "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "MatMul", "Mean", "Mod", "Mish", "NonZero", "PRelu", "Reciprocal",
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
    "ReduceSumSquare", "Relu", "ReverseSequence", "ScatterElements", "ScatterND", "Selu", "Sigmoid", "Sin", "Sinh", "Softmax",
    "Softplus", "Softsign", "SpaceToDepth", "Split", "Sum", "Tan", "Tanh", "ThresholdedRelu", "TopK", "Trilu",
})  # fmt: skip
"""Standard operators that are computed so; those of `fold.FOLDS` come first."""
_BROADCAST = ("BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Mean", "Mod", "PRelu", "Sum")


def bounded(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape as a tuple of ints, refusing negative and huge ones."""
    dims = tuple(int(d) for d in shape)
    if len(dims) > 16 or any(d < 0 for d in dims) or math.prod(dims) > MAX_FOLDED:
        raise CannotFold(f"makes a constant of shape {list(dims)[:8]}, which is negative or too large")
    return dims


def run_reference(
    budget: Budget, op: str, args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int, outputs: int
) -> list[Array]:
    """Return the outputs of an operator on constants."""
    given = [a for a in args if a is not None]
    if sum(a.size for a in given) > MAX_WORK or sum(a.ndim for a in given) > 64:
        raise CannotFold("has constants that are too large to be computed ahead")
    _check_result(budget, op, given, attrs)
    if op in ("Softmax", "LogSoftmax") and opset < 13:
        return _flat_softmax(op, given[0], int(attrs.get("axis", 1)))
    if op == "BatchNormalization":  # the evaluator takes inference of sets 7 to 13 for training; its numbers are those of 15
        opset, attrs = max(opset, 15), {k: v for k, v in attrs.items() if (k, v) != ("spatial", 1)}
    return _evaluated(op, args, attrs, opset, outputs)


def _flat_softmax(op: str, x: Array, axis: int) -> list[Array]:
    """Return the softmax of operator sets before 13: over all axes from `axis` on together; the evaluator knows only later ones."""
    if not -x.ndim <= axis <= x.ndim:
        raise CannotFold(f"names axis {axis} of a tensor with {x.ndim} axes")
    rows = math.prod(x.shape[: axis % x.ndim if axis < 0 else axis])
    flat = x.reshape(rows, x.size // max(rows, 1))
    return [found.reshape(x.shape) for found in _evaluated(op, [flat], {"axis": 1}, 13, 1)]


def _evaluated(op: str, args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int, outputs: int) -> list[Array]:
    plain = {k: onnx.numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in attrs.items()}
    names = ["" if a is None else f"i{k}" for k, a in enumerate(args)]
    node = onnx.helper.make_node(op, names, [f"o{k}" for k in range(outputs)], **plain)
    feeds = {name: a for name, a in zip(names, args, strict=True) if name and a is not None}
    infos = [
        onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()
    ]
    results = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.UNDEFINED, None) for n in node.output]
    graph = onnx.helper.make_graph([node], "constant", infos, results)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        found = ReferenceEvaluator(model).run(None, feeds)
    except Exception as problem:  # the evaluator raises errors of many kinds for operands that do not fit
        raise CannotFold(f"has constants that do not fit together ({str(problem)[:200]})") from None
    return [np.asarray(x) for x in found]


def _check_result(budget: Budget, op: str, given: Sequence[Array], attrs: Mapping[str, Any]) -> None:
    """Refuse results that are larger than the operands and do not fit, and products of matrices that take too long."""
    if op in ("MatMul", "Gemm"):
        _check_product(budget, op, given, attrs)
    elif op in _BROADCAST:
        bounded(np.broadcast_shapes(*(a.shape for a in given)))
    elif op in ("BatchNormalization", "LayerNormalization"):
        _check_normalization(op, given[0].shape, [a.shape for a in given[1:]])
    elif op == "GatherND":
        data, index, lead = given[0].shape, given[1].shape, int(attrs.get("batch_dims", 0))
        bounded([*index[:-1], *data[lead + index[-1] :]])


def _check_product(budget: Budget, op: str, given: Sequence[Array], attrs: Mapping[str, Any]) -> None:
    """Check a product [.., M, K] x [.., K, N] (one axis: a row, a column) by its multiplications and its result, with Gemm's C."""
    a, b = given[0].shape, given[1].shape
    if not a or not b:
        raise CannotFold("multiplies a constant without axes")
    a, b = (1, *a) if len(a) == 1 else a, (*b, 1) if len(b) == 1 else b
    left = a[:-3:-1] if op == "Gemm" and attrs.get("transA") else a[-2:]
    right = b[:-3:-1] if op == "Gemm" and attrs.get("transB") else b[-2:]
    lead = np.broadcast_shapes(a[:-2], b[:-2])
    result = bounded([*lead, left[0], right[1]])
    work = math.prod(result) * max(left[1], right[0])
    if work > 64 * MAX_WORK:
        raise CannotFold("multiplies constants that are too large to be computed ahead")
    budget.steps(4 * work if given[0].dtype.kind == "f" else 16 * work)
    if op == "Gemm" and len(given) > 2 and np.broadcast_shapes(result, given[2].shape) != result:
        raise CannotFold(f"adds a constant of shape {list(given[2].shape)} to a product of shape {list(result)}")


def _check_normalization(op: str, x: tuple[int, ...], others: Sequence[tuple[int, ...]]) -> None:
    """Refuse scales, offsets and statistics that do not fit the tensor, or would make it larger."""
    if op == "LayerNormalization":
        fits = all(len(s) <= len(x) and np.broadcast_shapes(x, s) == x for s in others)
    else:
        fits = bool(x) and all(s == (x[1] if len(x) > 1 else 1,) for s in others)
    if not fits:
        raise CannotFold(
            f"normalizes a constant of shape {list(x)[:8]} with numbers of shapes {[list(s) for s in others]!r:.100}"
        )
