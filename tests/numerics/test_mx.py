"""MX blocks against Fractions; their bytes; blocks that hold no number."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.oracles import formats as oracle
from workbench.numerics.elements import element_bits, largest_element
from workbench.numerics.mx import decode_mx, encode_mx, pack_mx, unpack_mx

ELEMENTS = ["e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "int8", "int4"]


def magnitudes(name: str) -> list[Fraction]:
    if not name.startswith("int"):
        return oracle.magnitudes(name)
    bits = int(name[3:])
    return [Fraction(i, 1 << (bits - 2)) for i in range(1 << (bits - 1))]


@pytest.mark.parametrize(("rounding", "tie"), [("half_even", "even"), ("half_away", "up"), ("toward_zero", "floor")])
@pytest.mark.parametrize("name", ELEMENTS)
def test_blocks_equal_the_fractions(name: str, rounding: str, tie: str) -> None:
    rng = np.random.default_rng(7)
    x = (rng.standard_normal((6, 32)) * np.array([[1e-39], [1e-20], [1.0], [3.0], [1e6], [1e38]])).astype(np.float32)
    x[2] = np.round(x[2] * 8) / 8  # ties
    x[3, :8] = np.float32(2.0) ** np.arange(8)
    x[4, ::2] = 0
    got = decode_mx(encode_mx(x, name, 16, rounding), name)  # type: ignore[arg-type]
    for block, values in zip(x.reshape(-1, 16).tolist(), got.reshape(-1, 16).tolist(), strict=True):
        want = oracle.mx_block([Fraction(v) for v in block], magnitudes(name), tie)
        assert [Fraction(v) for v in values] == want


@pytest.mark.parametrize("name", ELEMENTS)
def test_bytes_come_back_and_take_what_they_should(name: str) -> None:
    blocks = encode_mx(np.random.default_rng(1).standard_normal((3, 96)).astype(np.float32), name)
    packed = pack_mx(blocks, name)
    assert packed.shape == (3, 3 * (1 + 32 * element_bits(name) // 8))
    again = unpack_mx(packed, name)
    np.testing.assert_array_equal(again.codes, blocks.codes)
    np.testing.assert_array_equal(again.scales, blocks.scales)


def test_a_block_just_below_a_power_of_two_keeps_the_lower_exponent() -> None:
    x = np.zeros((1, 32), np.float32)
    x[0, 0] = np.nextafter(np.float32(1024), np.float32(0))
    assert encode_mx(x, "e2m1").scales.tolist() == [[127 + 9 - 2]]
    assert decode_mx(encode_mx(x, "e2m1"), "e2m1")[0, 0] == 6 * 2**7  # saturated


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_block_with_no_number_is_nan_as_a_whole_and_its_neighbour_is_not(bad: float) -> None:
    x = np.ones((1, 64), np.float32)
    x[0, 5] = bad
    values = decode_mx(encode_mx(x, "e4m3"), "e4m3")
    assert np.isnan(values[0, :32]).all() and (values[0, 32:] == 1).all()


def test_zeros_are_zeros() -> None:
    blocks = encode_mx(np.zeros((1, 32), np.float32), "int8")
    assert blocks.scales.tolist() == [[0]] and not decode_mx(blocks, "int8").any()


@pytest.mark.parametrize(
    ("name", "largest"), [("e4m3", 448.0), ("e5m2", 57344.0), ("e2m3", 7.5), ("int8", 127.0), ("int4", 7.0)]
)
def test_largest_elements(name: str, largest: float) -> None:
    assert largest_element(name) == largest
