"""Constant folding by ONNX's own reference evaluator, for a closed list of operators whose results are no larger than their operands.

Work is bounded before it begins: operands of at most `MAX_WORK` elements together, products of matrices by their multiplications.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from workbench.graph.ir import Array

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


class CannotFold(ValueError):
    """The operator, or these operands, cannot be folded; the text says why."""


def bounded(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape as a tuple of ints, refusing negative and huge ones."""
    dims = tuple(int(d) for d in shape)
    if len(dims) > 16 or any(d < 0 for d in dims) or math.prod(dims) > MAX_FOLDED:
        raise CannotFold(f"makes a constant of shape {list(dims)[:8]}, which is negative or too large")
    return dims


def run_reference(op: str, args: Sequence[Array | None], attrs: Mapping[str, Any], opset: int, outputs: int) -> list[Array]:
    """Return the outputs of an operator on constants."""
    given = [a for a in args if a is not None]
    if sum(a.size for a in given) > MAX_WORK or sum(a.ndim for a in given) > 64:
        raise CannotFold("has constants that are too large to be computed ahead")
    if op in ("MatMul", "Gemm"):
        a, b = (np.atleast_2d(x) for x in given[:2])
        lead = math.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]))
        if lead * max(a.shape[-2:]) * min(a.shape[-2:]) * max(b.shape[-2:]) > 64 * MAX_WORK:
            raise CannotFold("multiplies constants that are too large to be computed ahead")
    if op in _BROADCAST:
        bounded(np.broadcast_shapes(*(a.shape for a in given)))
    if op == "GatherND":
        data, index, lead = given[0].shape, given[1].shape, int(attrs.get("batch_dims", 0))
        bounded([*index[:-1], *data[lead + index[-1] :]])
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
