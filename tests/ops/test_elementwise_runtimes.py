"""The real runtimes on one-operator models: integers equal bit for bit, floats within the tolerance stated per operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.runtime_models import Port, build, run
from workbench.execute import prepare
from workbench.graph.ir import Tensor
from workbench.hardware import load_profile
from workbench.ops import OPS
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.leaky_relu import LeakyReluAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.tensor import QuantParams
from workbench.validate.golden_base import PRODUCERS, single_op

RUNTIMES = ("litert_ref", "litert_opt", "litert_xnn", "tflm")
ACTIVATIONS = ("none", "relu", "relu_n1_to_1", "relu6")
Case = tuple[str, tuple[str, dict[str, Any]] | None, str, Any, list[Port], Port, int]
Rng = np.random.Generator


def _scale(rng: Rng, low: float = -8, high: float = 0) -> float:
    return float(np.float32(2.0 ** rng.uniform(low, high)))


def _quant(rng: Rng, dtype: str, scale: float) -> tuple[float, int]:
    return float(np.float32(scale)), 0 if dtype == "int16" else int(rng.integers(-128, 128))


def _binary(op: str) -> Callable[[Rng, str], Case]:
    def make(rng: Rng, dtype: str) -> Case:
        shape = [1, *(int(v) for v in rng.integers(1, 9, 3))]
        a, b = list(shape), list(shape)
        for i in (1, 2, 3):
            pick = rng.random()
            a[i], b[i] = (1 if pick < 0.2 else a[i]), (1 if 0.2 <= pick < 0.4 else b[i])
        sa, sb = _scale(rng), _scale(rng)
        sy = sa * sb * 2 ** rng.uniform(-2, 9) if op == "mul" else max(sa, sb) * 2 ** rng.uniform(-2, 3)
        k = int(rng.integers(0, 4 if dtype == "int8" else 2))
        flag = {} if op == "mul" else {"potScaleInt16": False}
        inputs = [Port(tuple(a), dtype, _quant(rng, dtype, sa)), Port(tuple(b), dtype, _quant(rng, dtype, sb))]
        out = Port(tuple(np.broadcast_shapes(a, b)), dtype, _quant(rng, dtype, sy))
        options = (f"{op.capitalize()}Options", {"fusedActivationFunction": k, **flag})
        return op.upper(), options, op, BinaryAttrs(ACTIVATIONS[k]), inputs, out, 2

    return make


def _mean(rng: Rng, dtype: str) -> Case:
    shape = (1, *(int(v) for v in rng.integers(1, 8, 2)), int(rng.integers(1, 40)))
    axes = ((1, 2), (1,), (3,), (1, 2, 3))[int(rng.integers(4))]
    keep = bool(rng.random() < 0.7)
    s = _scale(rng)
    out = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)
    inputs = [Port(shape, dtype, _quant(rng, dtype, s)), Port((len(axes),), "int32", None, np.array(axes, np.int32))]
    y = Port(out, dtype, _quant(rng, dtype, s * 2 ** rng.uniform(-2, 2)))
    return "MEAN", ("ReducerOptions", {"keepDims": keep}), "mean", MeanAttrs(axes, keep), inputs, y, 2


def _unary(
    name: str, op: str, attrs: Any, options: Any = None, fixed: Any = None, version: int = 2
) -> Callable[[Rng, str], Case]:
    def make(rng: Rng, dtype: str) -> Case:
        shape = (1, int(rng.integers(1, 4)), int(rng.integers(1, 90)))
        s = _scale(rng, -8 if dtype == "int8" else -12)
        y = fixed[dtype] if fixed else _quant(rng, dtype, s * 2 ** rng.uniform(-3, 3))
        return name, options, op, attrs, [Port(shape, dtype, _quant(rng, dtype, s))], Port(shape, dtype, y), version

    return make


SIGMOID = {"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}
OPERATORS: dict[str, Callable[[Rng, str], Case]] = {
    "add": _binary("add"), "sub": _binary("sub"), "mul": _binary("mul"), "mean": _mean,
    "softmax": _unary("SOFTMAX", "softmax", SoftmaxAttrs(), ("SoftmaxOptions", {"beta": 1.0}), SIGMOID),
    "logistic": _unary("LOGISTIC", "logistic", NoAttrs(), None, SIGMOID),
    "tanh": _unary("TANH", "tanh", NoAttrs(), None, {"int8": (1 / 128, 0), "int16": (1 / 32768, 0)}),
    "relu": _unary("RELU", "relu", ReluAttrs()), "relu6": _unary("RELU6", "relu", ReluAttrs(0.0, 6.0)),
    "leaky_relu": _unary("LEAKY_RELU", "leaky_relu", LeakyReluAttrs(0.3), ("LeakyReluOptions", {"alpha": 0.3})),
    "hard_swish": _unary("HARD_SWISH", "hard_swish", NoAttrs(), ("HardSwishOptions", {}), None, 1),
    "quantize": _unary("QUANTIZE", "quantize", NoAttrs(), ("QuantizeOptions", {})),
}  # fmt: skip


def _tensor(name: str, port: Port) -> Tensor:
    quant = None if port.quant is None else QuantParams.per_tensor(*port.quant)
    return Tensor(name, port.shape, port.dtype, quant, port.data)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("producer", RUNTIMES)
def test_integers_equal_the_runtime(producer: str, name: str, dtype: str) -> None:
    if name == "hard_swish" and dtype == "int16":
        pytest.skip("no runtime has an int16 hard swish")
    rng = np.random.default_rng([len(name), ord(name[0]), len(dtype), len(producer)])
    limits = np.iinfo(dtype)
    for _ in range(6):
        builtin, options, op, attrs, inputs, out, version = OPERATORS[name](rng, dtype)
        feeds = [rng.integers(limits.min, limits.max + 1, p.shape).astype(dtype) for p in inputs if p.data is None]
        want = run(producer, build(builtin, inputs, out, options, version), feeds)
        activations = [_tensor(f"x{i}", p) for i, p in enumerate(inputs) if p.data is None]
        graph = single_op(op, attrs, [*activations], _tensor("y", out))
        got = prepare(graph, load_profile(PRODUCERS[producer])).run(dict(zip(graph.inputs, feeds, strict=True)))["y"]
        np.testing.assert_array_equal(got, want.reshape(got.shape), err_msg=f"{inputs} -> {out}, {attrs}")


F = [Port((1, 6, 5, 4), "float32")]
SAME = Port((1, 6, 5, 4), "float32")
POOL = {"padding": 0, "strideW": 2, "strideH": 1, "filterWidth": 3, "filterHeight": 2, "fusedActivationFunction": 1}
POOL_ATTRS = PoolAttrs((2, 3), (1, 2), (0, 1, 1, 1), "relu")
MEAN = Port((1, 1, 1, 4), "float32")
AXES = Port((2,), "int32", None, np.array([1, 2], np.int32))
FLOATS: list[tuple[str, Any, str, Any, list[Port], Port, float]] = [
    ("ADD", ("AddOptions", {"fusedActivationFunction": 3}), "add", BinaryAttrs("relu6"), F * 2, SAME, 0.0),
    ("SUB", ("SubOptions", {}), "sub", BinaryAttrs(), F * 2, SAME, 0.0),
    ("MUL", ("MulOptions", {}), "mul", BinaryAttrs(), F * 2, SAME, 0.0),
    ("MEAN", ("ReducerOptions", {"keepDims": True}), "mean", MeanAttrs((1, 2), True), [*F, AXES], MEAN, 1e-6),  # order of sum
    ("SOFTMAX", ("SoftmaxOptions", {"beta": 1.0}), "softmax", SoftmaxAttrs(), F, SAME, 1e-6),  # exp and the sum's order differ
    ("LOGISTIC", None, "logistic", NoAttrs(), F, SAME, 1e-6),  # another exp
    ("TANH", None, "tanh", NoAttrs(), F, SAME, 1e-6),  # another tanh
    ("RELU", None, "relu", ReluAttrs(), F, SAME, 0.0),
    ("RELU6", None, "relu", ReluAttrs(0.0, 6.0), F, SAME, 0.0),
    ("LEAKY_RELU", ("LeakyReluOptions", {"alpha": 0.3}), "leaky_relu", LeakyReluAttrs(0.3), F, SAME, 0.0),
    ("HARD_SWISH", ("HardSwishOptions", {}), "hard_swish", NoAttrs(), F, SAME, 1e-6),  # x / 6 or x * (1 / 6)
    ("AVERAGE_POOL_2D", ("Pool2DOptions", POOL), "avg_pool2d", POOL_ATTRS, F, Port((1, 6, 3, 4), "float32"), 1e-6),
    ("MAX_POOL_2D", ("Pool2DOptions", POOL), "max_pool2d", POOL_ATTRS, F, Port((1, 6, 3, 4), "float32"), 0.0),
]  # fmt: skip


@pytest.mark.parametrize("producer", ["litert_ref", "litert_xnn"])
@pytest.mark.parametrize("case", FLOATS, ids=lambda c: c[0])
def test_float_references_equal_the_runtime(case: tuple[Any, ...], producer: str) -> None:
    builtin, options, op, attrs, inputs, out, tolerance = case
    rng = np.random.default_rng(3)
    feeds = [(4 * rng.standard_normal(p.shape)).astype(np.float32) for p in inputs if p.data is None]
    want = run(producer, build(builtin, inputs, out, options, 1), feeds)
    (got,) = OPS[op].reference(attrs, feeds)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
