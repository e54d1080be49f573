"""Weight-only storage: what it takes, what comes back; block formats at their edges (bits: tests/golden/test_golden_formats.py)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.oracles import formats as oracle
from workbench.numerics.bit_pack import join_planes, pack, split_planes, unpack
from workbench.numerics.codings import CODINGS, SPARSE, two_of_four
from workbench.numerics.elements import decode_elements, encode_elements
from workbench.numerics.gguf_blocks import GGUF_BLOCKS
from workbench.numerics.nf4 import decode_nf4, encode_nf4

DECODED = [name for name in CODINGS if name != SPARSE]
BITS = {
    "q4_0": 4.5, "q4_1": 5, "q5_0": 5.5, "q5_1": 6, "q8_0": 8.5, "tq1_0": 1.6875, "tq2_0": 2.0625, "mxfp4": 4.25, "mxfp4_gguf": 4.25,
    "mxfp6_e3m2": 6.25, "mxfp6_e2m3": 6.25, "mxfp8_e4m3": 8.25, "mxfp8_e5m2": 8.25, "mxint8": 8.25, "nf4": 4.5, "int8": 8, "int4": 4,
    "fp8_e4m3": 8, "fp8_e5m2": 8, "fp6_e3m2": 6, "fp6_e2m3": 6, "fp4": 4,
}  # fmt: skip
"""Published: llama.cpp (block sizes), OCP microscaling 1.0 (table 1), QLoRA (4 bits + 32 / 64)."""
NOISE_DB = {
    "q4_0": 19, "q4_1": 20, "q5_0": 25, "q5_1": 26, "q8_0": 43, "tq1_0": 1, "tq2_0": 1, "mxfp4": 17, "mxfp4_gguf": 17, "nf4": 19,
    "mxfp6_e3m2": 24, "mxfp6_e2m3": 29, "mxfp8_e4m3": 29, "mxfp8_e5m2": 24, "mxint8": 40, "int8": 40, "int4": 14, "fp8_e4m3": 30,
    "fp8_e5m2": 24, "fp6_e3m2": 24, "fp6_e2m3": 28, "fp4": 16,
}  # fmt: skip
"""Signal to noise that normal weights keep at least: about 6 dB a bit, less what outliers of a block or a row cost."""

W = np.random.default_rng(3).standard_normal((12, 512)).astype(np.float32)


@pytest.mark.parametrize("name", DECODED)
def test_bits_a_weight_are_the_published_ones(name: str) -> None:
    assert CODINGS[name].bits(16) == BITS[name]


@pytest.mark.parametrize("length", [1, 9, 32, 100, 257])
@pytest.mark.parametrize("name", DECODED)
def test_stored_bytes_are_the_bytes_of_the_padded_rows(name: str, length: int) -> None:
    coding = CODINGS[name]
    assert coding.encode is not None and coding.decode is not None
    padded = np.pad(W[:3, :length], ((0, 0), (0, -length % coding.block)))
    packed = coding.encode(padded)
    assert packed.dtype == np.uint8 and packed.nbytes == coding.stored_bytes(3, length, 16)
    np.testing.assert_array_equal(coding.round_trip(W[:3, :length]), coding.decode(packed)[:, :length])


@pytest.mark.parametrize("name", DECODED)
def test_normal_weights_keep_their_signal(name: str) -> None:
    back = CODINGS[name].round_trip(W)
    noise_db = -10 * np.log10(((back - W).astype(np.float64) ** 2).sum() / (W.astype(np.float64) ** 2).sum())
    assert NOISE_DB[name] <= noise_db <= NOISE_DB[name] + 6
    assert back.dtype == np.float32


@pytest.mark.parametrize("name", DECODED)
def test_rows_do_not_see_each_other_and_zeros_stay_zeros(name: str) -> None:
    w = W.copy()
    w[1], w[2] = 0, 1e4 * W[2]
    back = CODINGS[name].round_trip(w)
    assert not back[1].any()
    for row in (0, 2, 7):
        np.testing.assert_array_equal(back[row : row + 1], CODINGS[name].round_trip(w[row : row + 1]))


def test_many_weights_are_coded_in_pieces_with_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {name: CODINGS[name].round_trip(W) for name in DECODED}
    monkeypatch.setattr("workbench.numerics.codings._CHUNK", 1000)
    for name in DECODED:
        np.testing.assert_array_equal(CODINGS[name].round_trip(W), whole[name])


def test_two_of_four_stores_half_and_where() -> None:
    assert CODINGS[SPARSE].bits(8) == 5 and CODINGS[SPARSE].bits(16) == 9
    assert CODINGS[SPARSE].stored_bytes(1, 16, 8) == 10
    assert CODINGS[SPARSE].round_trip(W) is W
    assert two_of_four(np.array([[1, 0, 0, 2, 0, 3]])) and not two_of_four(np.array([[1, 1, 1, 0]]))


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_packed_codes_come_back(bits: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 1 << bits, (3, 5, 8)).astype(np.uint8)
    packed = pack(codes, bits)
    assert packed.shape == (3, 5, bits)
    assert int.from_bytes(packed[0, 0].tobytes(), "little") == sum(int(c) << (bits * i) for i, c in enumerate(codes[0, 0]))
    np.testing.assert_array_equal(unpack(packed, bits), codes)


def test_planes_come_back() -> None:
    codes = np.random.default_rng(1).integers(0, 4, (2, 3, 4 * 8)).astype(np.uint8)
    packed = join_planes(codes, 4, 2)
    assert packed[0, 0] == codes[0, 0, 0] | codes[0, 0, 8] << 2 | codes[0, 0, 16] << 4 | codes[0, 0, 24] << 6
    np.testing.assert_array_equal(split_planes(packed, 8, (0, 2, 4, 6), 2), codes.reshape(2, -1))


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_integer_elements_are_twos_complement_without_the_lowest(name: str) -> None:
    most = 127 if name == "int8" else 7
    x = np.array([0, 1, -1, most, -most, most + 9, -most - 9, 2.5, 3.5], np.float32)
    codes = encode_elements(x, name)
    np.testing.assert_array_equal(codes[:5], np.array([0, 1, -1, most, -most]).astype(np.uint8) & (2 * most + 1))
    np.testing.assert_array_equal(decode_elements(codes, name), [0, 1, -1, most, -most, most, -most, 2, 4])


def test_nf4_equals_the_published_table_in_fractions() -> None:
    x = (np.random.default_rng(2).standard_normal((40, 64)) * np.logspace(-20, 8, 40)[:, None]).astype(np.float32)
    x[30] = np.round(x[30])
    packed = encode_nf4(x)
    decided = 0
    for row, stored, values in zip(x, packed, decode_nf4(packed), strict=True):
        peak = np.abs(row).max()
        assert stored[:4].view("<f4")[0] == peak
        for i, v in enumerate(row.tolist()):
            want, distance = oracle.nf4_code(Fraction(v), Fraction(float(peak)))
            code = stored[4 + i // 2] >> 4 if i % 2 == 0 else stored[4 + i // 2] & 15  # the first in the high nibble
            if distance > Fraction(1, 1 << 21):  # nearer to a middle, the float32 quotient decides
                assert code == want
                decided += 1
            assert values[i] == np.float32(float(oracle.NF4[code])) * peak
    assert decided > 0.99 * x.size


@pytest.mark.parametrize("name", sorted(GGUF_BLOCKS))
def test_a_gguf_block_of_zeros_or_of_next_to_nothing_decodes_to_zero(name: str) -> None:
    form = GGUF_BLOCKS[name]
    x = np.zeros((2, form.block), np.float32)
    x[1] = np.float32(1e-44)
    packed = form.encode(x)
    assert packed.shape == (2, form.size)
    np.testing.assert_allclose(form.decode(packed), 0, atol=1e-38)


def test_q4_0_gives_the_first_of_two_largest_the_lowest_code() -> None:
    x = np.zeros((2, 32), np.float32)
    x[0, 3], x[0, 20] = 2.0, -2.0
    x[1, 3], x[1, 20] = -2.0, 2.0
    back = GGUF_BLOCKS["Q4_0"].decode(GGUF_BLOCKS["Q4_0"].encode(x))
    assert (back[0, 3], back[0, 20]) == (2.0, -1.75)  # d = -1/4: codes 0 and 15
    assert (back[1, 3], back[1, 20]) == (-2.0, 1.75)


def test_mxfp4_of_gguf_takes_ties_toward_zero_and_has_one_zero() -> None:
    x = np.zeros((1, 32), np.float32)
    x[0, :8] = [6, 0.25, -0.25, 0.75, 1.75, 3.5, 5, -1.25]
    np.testing.assert_array_equal(CODINGS["mxfp4_gguf"].round_trip(x)[0, :8], [6, 0, 0, 0.5, 1.5, 3, 4, -1])
    np.testing.assert_array_equal(CODINGS["mxfp4"].round_trip(x)[0, :8], [6, 0, 0, 1, 2, 4, 4, -1])
    assert not np.signbit(CODINGS["mxfp4_gguf"].round_trip(x)[0, 2]) and np.signbit(CODINGS["mxfp4"].round_trip(x)[0, 2])


def test_ternary_blocks_keep_ternary_weights_exactly() -> None:
    w = np.random.default_rng(5).integers(-1, 2, (3, 512)).astype(np.float32) * np.float32(0.75)
    for name in ("tq1_0", "tq2_0"):
        np.testing.assert_array_equal(CODINGS[name].round_trip(w), w)
