"""Functions of one value against Python's math library in float64; normalizations against loops; what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.sites import emulate, site, tensor
from workbench.errors import InputError, ModelError, UnsupportedError
from workbench.ops import OPS
from workbench.ops.base import NoAttrs
from workbench.ops.curves import CeluAttrs, HardSigmoidAttrs, SeluAttrs, ThresholdedReluAttrs
from workbench.ops.l2_normalization import L2NormalizationAttrs
from workbench.ops.local_response_normalization import LocalResponseNormalizationAttrs

X = np.concatenate([np.linspace(-9, 9, 181), [1e-8, -1e-8, 88.0, -88.0, 0.5, -0.5, 2.5]]).astype(np.float32)[None]
LIKE_F32 = float(np.float32(0.3))
FUNCTIONS: list[tuple[str, Any, Callable[[float], float]]] = [
    ("erf", NoAttrs(), math.erf), ("sin", NoAttrs(), math.sin), ("cos", NoAttrs(), math.cos),
    ("softplus", NoAttrs(), lambda v: max(v, 0.0) + math.log1p(math.exp(-abs(v)))), ("softsign", NoAttrs(), lambda v: v / (1 + abs(v))),
    ("mish", NoAttrs(), lambda v: v * math.tanh(max(v, 0.0) + math.log1p(math.exp(-abs(v))))),
    ("celu", CeluAttrs(0.3), lambda v: max(v, 0.0) + min(LIKE_F32 * math.expm1(v / LIKE_F32), 0.0) if v < 0 else v),
    ("selu", SeluAttrs(2.0, 0.5), lambda v: 0.5 * (v if v > 0 else 2.0 * math.expm1(v))),
    ("hard_sigmoid", HardSigmoidAttrs(0.25, 0.5), lambda v: min(max(0.25 * v + 0.5, 0.0), 1.0)),
    ("thresholded_relu", ThresholdedReluAttrs(0.5), lambda v: v if v > 0.5 else 0.0), ("floor", NoAttrs(), math.floor),
    ("ceil", NoAttrs(), math.ceil), ("round", NoAttrs(), round), ("sign", NoAttrs(), lambda v: float((v > 0) - (v < 0))),
    ("neg", NoAttrs(), lambda v: -v), ("square", NoAttrs(), lambda v: v * v),
    ("reciprocal", NoAttrs(), lambda v: 1 / v if v else math.inf),
]  # fmt: skip


@pytest.mark.parametrize(("op", "attrs", "function"), FUNCTIONS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_function_is_the_one_of_python_rounded_once(op: str, attrs: Any, function: Callable[[float], float]) -> None:
    """One unit of the last place is left for Python's own last bit where it differs from NumPy's."""
    found = emulate(site(op, attrs, [tensor("x", X.shape, "float32")], tensor("y", X.shape, "float32")), X)[0]
    want = np.array([function(float(v)) for v in X[0].tolist()], np.float32)
    assert found.dtype == np.float32
    np.testing.assert_array_max_ulp(found, want, maxulp=1)


TABLES = [f for f in FUNCTIONS if f[0] in ("erf", "sin", "softplus", "softsign", "mish", "celu", "selu", "hard_sigmoid")]


@pytest.mark.parametrize(("op", "attrs", "function"), TABLES, ids=lambda v: v if isinstance(v, str) else "")
def test_int8_tables_are_the_rounded_function(op: str, attrs: Any, function: Callable[[float], float]) -> None:
    q = np.arange(-128, 128).astype(np.int8)[None]
    place = site(op, attrs, [tensor("x", q.shape, "int8", (0.05, -20))], tensor("y", q.shape, "int8", (0.02, 3)))
    want = np.array([function(0.05 * (v + 20)) / 0.02 + 3 for v in range(-128, 128)])
    assert np.abs(emulate(place, q)[0] - np.clip(want, -128, 127)).max() <= 0.5001


@pytest.mark.parametrize("op", ["floor", "reciprocal", "square"])
def test_functions_without_a_table_refuse_scales(op: str) -> None:
    with pytest.raises(UnsupportedError, match="no rule for integers with scales"):
        OPS[op].prepare(site(op, NoAttrs(), [tensor("x", (1, 4), "int8", (0.1, 0))], tensor("y", (1, 4), "int8", (0.1, 0))))


def test_sqrt_of_a_negative_integer_names_the_node() -> None:
    place = site("sqrt", NoAttrs(), [tensor("x", (1, 2), "int8", (0.1, 5))], tensor("y", (1, 2), "int8", (0.1, 0)))
    assert emulate(place, np.array([[5, 105]], np.int8))[0].tolist() == [0, 31]  # sqrt(10) / 0.1 = 31.6, cut off
    with pytest.raises(InputError, match="node 'node': the square root of a negative number"):
        emulate(place, np.array([[4, 9]], np.int8))


@pytest.mark.parametrize("attrs", [CeluAttrs(0.0), CeluAttrs(math.nan)])
def test_celu_refuses_what_cannot_divide(attrs: CeluAttrs) -> None:
    with pytest.raises(ModelError, match="celu"):
        OPS["celu"].reference(attrs, [X])


def test_l2_normalization_divides_by_the_norm_or_epsilon() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0], [1e-9, 0.0]], np.float32)
    (found,) = OPS["l2_normalization"].reference(L2NormalizationAttrs(), [x])
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0], [1e-3, 0.0]], rtol=1e-6)


@pytest.mark.parametrize(("radius", "before"), [(0, None), (2, None), (3, 1), (9, None)])
def test_local_response_normalization_sums_its_neighbours(radius: int, before: int | None) -> None:
    x = np.random.default_rng(3).normal(size=(2, 1, 2, 6)).astype(np.float32)
    attrs = LocalResponseNormalizationAttrs(radius, 0.3, 0.75, 1.1, before)
    (found,) = OPS["local_response_normalization"].reference(attrs, [x])
    for c in range(6):
        window = x[..., max(0, c - (radius if before is None else before)) : c + radius + 1].astype(np.float64)
        np.testing.assert_allclose(found[..., c], x[..., c] / (1.1 + 0.3 * (window**2).sum(-1)) ** 0.75, rtol=1e-6)


@pytest.mark.parametrize(
    "attrs", [LocalResponseNormalizationAttrs(-1, 1, 1, 1), LocalResponseNormalizationAttrs(1, math.inf, 1, 1)]
)
def test_local_response_normalization_refuses_absurd_attributes(attrs: LocalResponseNormalizationAttrs) -> None:
    with pytest.raises(ModelError, match="local_response_normalization"):
        OPS["local_response_normalization"].infer_shape(attrs, [(1, 1, 1, 4)])


def test_rows_of_an_integer_l2_normalization_are_bounded() -> None:
    x, y = tensor("x", (1, 2065), "int8", (0.1, 0)), tensor("y", (1, 2065), "int8", (1 / 128, 0))
    place = site("l2_normalization", L2NormalizationAttrs(), [x], y)
    with pytest.raises(UnsupportedError, match="1 to 2064 fit"):
        OPS["l2_normalization"].prepare(place)
