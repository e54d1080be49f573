"""Scale, bias, clamp and rounding of float layers, and float32 multiply-add chains, equal twins in Fractions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracles import tensor_core as oracle
from tests.oracles.float_inputs import KINDS, patterns
from workbench.kernels.depthwise_float import depthwise_float
from workbench.kernels.float_epilogue import finish
from workbench.numerics.fused import fused_multiply_add
from workbench.numerics.jit import kernel

OUTPUTS = {"float16": ("fp16", np.uint16), "bfloat16": ("bf16", np.uint16), "tfloat32": ("fp32", np.uint32)}
Array = np.ndarray[Any, Any]


def _floats(rng: np.random.Generator, count: int, kind: str) -> Array:
    return patterns(rng, (1, count), kind, "fp32")[0].astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("dtype", OUTPUTS)
@pytest.mark.parametrize("scaled", [False, True])
def test_each_operation_rounds_to_float32_and_the_last_to_the_output(dtype: str, scaled: bool) -> None:
    rng = np.random.default_rng(3)
    form, storage = OUTPUTS[dtype]
    for kind in ("bits", "wide", "normal", "subnormal"):
        acc = np.stack([_floats(rng, 12, kind), _floats(rng, 12, "normal")])
        bias = _floats(rng, 12, "normal")
        bias[:3] = -acc[0, 0], -acc[1, 1], -0.0
        scale = np.abs(_floats(rng, 12, "wide" if kind == "wide" else "normal")) if scaled else None
        for added in (bias, None):
            got = finish(acc, dtype, added, scale=scale).view(storage)
            for m, n in np.ndindex(acc.shape):
                a, b, s = (None if v is None else int(v.view(np.uint32)) for v in (acc[m, n], _at(added, n), _at(scale, n)))
                assert got[m, n] == oracle.epilogue(a or 0, b, form, s), (acc[m, n], _at(added, n), _at(scale, n))


def _at(values: Array | None, n: int) -> Any:
    return None if values is None else values[n]


def test_one_rounding_and_clamps() -> None:
    acc = np.array([[2048.0, 1.0]], np.float32)
    bias = np.array([1.0 + 2.0**-10, -1.0 - 2.0**-24], np.float32)
    # 2049.001 rounds up to 2050; rounding the bias to float16 steps first would give a tie and 2048.
    assert finish(acc, "float16", bias)[0, 0] == 2050.0
    assert finish(acc, "float16", bias, (0.0, np.inf)).view(np.uint16)[0].tolist() == [0x6801, 0]
    assert finish(np.array([[-0.0]], np.float32), "bfloat16", clamp=(0.0, 6.0)).view(np.uint16)[0, 0] == 0
    special = finish(np.array([[np.nan, 7.0]], np.float32), "float16", clamp=(0.0, 6.0))
    assert special.view(np.uint16)[0].tolist() == [0x7FFF, 0x4600]
    assert finish(np.array([[np.nan]], np.float32), "tfloat32").view(np.uint32)[0, 0] == 0x7FFFFFFF


@kernel
def _all_fused(a: Any, b: Any, c: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = fused_multiply_add(a[i], b[i], c[i])


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "bits"])
def test_fused_multiply_add_rounds_once(kind: str) -> None:
    rng = np.random.default_rng(7)
    a, b, c = (_floats(rng, 400, k) for k in (kind, kind, "finite"))
    with np.errstate(all="ignore"):
        near = np.float32(-(a.astype(np.float64) * b))  # cancels all but the rounding error
        c = np.where(rng.random(400) < 0.5, np.where(np.isfinite(near), near, c), c).astype(np.float32)
    out = np.empty(400, np.float32)
    _all_fused(a, b, c, out)
    bits = (v.view(np.uint32).tolist() for v in (a, b, c))
    assert out.view(np.uint32).tolist() == [oracle.fma_f32(x, y, z) for x, y, z in zip(*bits, strict=True)]


def test_fused_multiply_add_of_infinities_and_nan() -> None:
    inf, nan = np.inf, np.nan
    cases = np.array(
        [[inf, 1, 1, inf], [inf, 0, 1, nan], [1, inf, -inf, nan], [1, 1, -inf, -inf], [nan, 1, 1, nan]], np.float32
    ).T
    out = np.empty(5, np.float32)
    _all_fused(*cases[:3], out)
    assert np.array_equal(out, cases[3], equal_nan=True)


@pytest.mark.parametrize("fused", [False, True])
def test_depthwise_adds_taps_in_kh_kw_order_and_leaves_padding_out(fused: bool) -> None:
    rng = np.random.default_rng(9)
    x, w = rng.normal(size=(2, 5, 4, 3)).astype(np.float32), rng.normal(size=(3, 2, 3)).astype(np.float32)
    window = (3, 2, 2, 1, 1, 2, 1, 1, 3, 4)  # kernel, stride, dilation, padding before, output
    out = np.zeros((2, 3, 4, 3), np.float32)
    depthwise_float(x, w, window, fused, out)
    for n, i, j, c in np.ndindex(*out.shape):
        acc = 0
        for kh, kw in np.ndindex(3, 2):
            row, column = 2 * i + kh - 1, j + 2 * kw - 1
            if 0 <= row < 5 and 0 <= column < 4:
                a, b = x[n, row, column, c], w[kh, kw, c]
                chained = np.array([acc], np.uint32).view(np.float32)[0] + a * b
                bits = (int(v.view(np.uint32)) for v in (a, b))
                acc = oracle.fma_f32(*bits, acc) if fused else int(chained.view(np.uint32))
        assert out[n, i, j, c].view(np.uint32) == acc
