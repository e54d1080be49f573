"""Every float of at most 16 bits: all codes, all ties, against ml_dtypes and against Fractions."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from tests.oracles import formats as oracle
from workbench.numerics.float_formats import FORMATS
from workbench.numerics.small_floats import code_values, decode_floats, encode_floats, largest_code

TYPES = {
    "fp16": np.float16, "bf16": ml_dtypes.bfloat16, "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz, "e5m2fnuz": ml_dtypes.float8_e5m2fnuz, "e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "e3m4": ml_dtypes.float8_e3m4, "e3m2": ml_dtypes.float6_e3m2fn, "e2m3": ml_dtypes.float6_e2m3fn,
    "e2m1": ml_dtypes.float4_e2m1fn, "e8m0": ml_dtypes.float8_e8m0fnu,
}  # fmt: skip
NARROW = sorted(name for name in TYPES if FORMATS[name].bits <= 8)
ROUNDINGS = {"half_even": "even", "half_away": "up", "half_toward_zero": "down", "toward_zero": "floor"}


def hard_values(name: str, random: int = 100_000) -> np.ndarray:
    """Every value of a format, every middle of two, their neighbours, both signs; random bits; edges of float32."""
    values = np.unique(code_values(name)[np.isfinite(code_values(name))])
    middles = ((values[1:].astype(np.float64) + values[:-1]) / 2).astype(np.float32)
    near = np.concatenate([values, middles])
    with np.errstate(over="ignore"):
        around = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf)), near * np.float32(2)]
    bits = np.random.default_rng(0).integers(0, 2**32, random, dtype=np.uint32).view(np.float32)
    edges = np.array([0.0, -0.0, np.inf, 1e-45, 2.0**-126, 2.0**-127, 3.4e38, np.nan], np.float32)
    both = np.concatenate([*around, bits, edges])
    return np.concatenate([both, -both])


@pytest.mark.parametrize("name", sorted(TYPES))
def test_codes_equal_ml_dtypes(name: str) -> None:
    x = hard_values(name)
    x = x[~np.isnan(x)] if name == "fp16" else x  # NumPy keeps payloads in a float16 NaN
    with np.errstate(over="ignore", invalid="ignore"):
        want = x.astype(TYPES[name]).view(FORMATS[name].storage)
    got = encode_floats(x, name)
    assert got.dtype == FORMATS[name].storage
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", sorted(oracle.FORMS))
def test_values_of_all_codes_equal_the_definition(name: str) -> None:
    for code, value in enumerate(code_values(name).tolist()):
        want = oracle.decode(code, name)
        if isinstance(want, str):
            assert np.isnan(value) if want == "nan" else value == float(want)
        else:
            assert Fraction(value) == want
            assert np.signbit(value) == (code >> (FORMATS[name].bits - 1) == 1)


def test_e8m0_is_a_power_of_two_or_nan() -> None:
    values = code_values("e8m0")
    assert np.isnan(values[255]) and all(Fraction(v) == Fraction(2) ** (i - 127) for i, v in enumerate(values[:255].tolist()))


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_number_comes_back(name: str) -> None:
    codes = np.flatnonzero(~np.isnan(code_values(name))).astype(FORMATS[name].storage)
    np.testing.assert_array_equal(encode_floats(decode_floats(codes, name), name), codes)


@pytest.mark.parametrize("rounding", sorted(ROUNDINGS))
@pytest.mark.parametrize("name", ["e4m3", "e3m2", "e2m3", "e2m1"])
def test_roundings_equal_the_fractions(name: str, rounding: str) -> None:
    x = hard_values(name, 300)
    x = x[np.isfinite(x) & (np.abs(x) < 1000)][:: 7 if name == "e4m3" else 1]
    magnitudes = oracle.magnitudes(name)
    got = encode_floats(x, name, rounding, saturate=True)  # type: ignore[arg-type]
    sign = 1 << (FORMATS[name].bits - 1)
    want = [oracle.nearest_code(Fraction(abs(v)), magnitudes, ROUNDINGS[rounding]) | sign * np.signbit(v) for v in x.tolist()]
    assert got.tolist() == want


@pytest.mark.parametrize("name", [n for n in NARROW if n != "e8m0"])
def test_saturation_stops_at_the_largest_number(name: str) -> None:
    largest = decode_floats(np.array([largest_code(name)], np.uint8), name)[0]
    assert largest == float(oracle.magnitudes(name)[-1])
    huge = np.array([largest * 1.01, 1e30, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(
        decode_floats(encode_floats(huge, name, saturate=True), name), np.float32([largest, largest, largest, -largest])
    )
