"""float16 and bfloat16 conversions: every code, every midpoint between two codes and its neighbours."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from workbench.numerics.float16 import bf16_to_f32_array, f16_to_f32_array, f32_to_bf16_array, f32_to_f16_array

CODES = np.arange(65536).astype(np.uint16)


def _hard_values() -> np.ndarray:
    rng = np.random.default_rng(0)
    values = CODES.view(np.float16).astype(np.float32)
    finite = np.unique(values[np.isfinite(values)])
    middles = ((finite[1:].astype(np.float64) + finite[:-1]) / 2).astype(np.float32)
    above, below = np.nextafter(middles, np.float32(np.inf)), np.nextafter(middles, np.float32(-np.inf))
    bits = rng.integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32)
    edges = np.array([65519.996, 65520.0, 65536.0, np.inf, -np.inf, 0.0, -0.0, 2.0**-25, -(2.0**-24), 1e-45], np.float32)
    return np.concatenate([values, middles, above, below, bits, edges])


def test_f16_to_f32_equals_numpy_on_all_codes() -> None:
    got = f16_to_f32_array(CODES)
    assert np.array_equal(got.view(np.uint32), CODES.view(np.float16).astype(np.float32).view(np.uint32))


def test_f16_round_trip_on_all_codes_that_are_numbers() -> None:
    numbers = CODES[~np.isnan(CODES.view(np.float16))]
    assert np.array_equal(f32_to_f16_array(f16_to_f32_array(numbers)), numbers)


def test_f32_to_f16_ties_overflow_and_subnormals_equal_numpy() -> None:
    values = _hard_values()
    values = values[~np.isnan(values)]
    with np.errstate(over="ignore"):
        want = values.astype(np.float16).view(np.uint16)
    assert np.array_equal(f32_to_f16_array(values), want)


def test_f32_to_f16_nan_stays_a_quiet_nan_with_its_sign() -> None:
    signalling = np.array([0x7F800001, 0xFF800001, 0x7FFFFFFF, 0x7FC00000], np.uint32).view(np.float32)
    assert f32_to_f16_array(signalling).tolist() == [0x7E00, 0xFE00, 0x7FFF, 0x7E00]


def test_bfloat16_equals_ml_dtypes() -> None:
    values = _hard_values()
    values = values[~np.isnan(values)]
    assert np.array_equal(f32_to_bf16_array(values), values.astype(ml_dtypes.bfloat16).view(np.uint16))
    assert np.array_equal(bf16_to_f32_array(CODES).view(np.uint32), CODES.astype(np.uint32) << 16)


@pytest.mark.parametrize("shape", [(0,), (3, 4), (2, 0, 5)])
def test_arrays_keep_their_shape(shape: tuple[int, ...]) -> None:
    values = np.ones(shape, np.float32)
    assert f32_to_f16_array(values).shape == shape
    assert f16_to_f32_array(f32_to_f16_array(values)).shape == shape
