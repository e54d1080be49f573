"""GGUF block formats with an encoder: Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 TQ1_0 TQ2_0 MXFP4, byte for byte as llama.cpp stores them.

A block is a scale (float16; MXFP4: e8m0) and codes; `m` is the smallest value where a format has one. The scale is rounded to float16
*after* the codes are chosen with the float32 one. Blocks are rows: float32 [n, block] <-> uint8 [n, size].

    Q4_0, Q5_0   d = (value of largest magnitude) / -8 (-16)   code = trunc(x / d + 8.5 (16.5))         value = d * (code - 8 (16))
    Q4_1, Q5_1   d = (max - min) / 15 (31), m = min            code = trunc((x - m) / d + 0.5)          value = d * code + m
    Q8_0         d = max |x| / 127                             code = round_half_away(x / d)            value = d * code
    TQ1_0, TQ2_0 d = max |x|                                   code = round_half_away(x / d) + 1        value = d * (code - 1)
    MXFP4        shared exponent of e2m1                       nearest, ties toward zero, zeros positive

x / d is x * float32(1 / d), and 0 where d is 0 or 1 / d is no float32; every product and sum is rounded to float32 (a compiler that
fuses x * (1 / d) + 8.5 gives other codes at ties).
Source: gguf 0.19.0 (llama.cpp, `ggml-quants.c`); `validate golden`, file gguf_quant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.numerics.bit_pack import join_planes, split_planes
from workbench.numerics.elements import round_integer
from workbench.numerics.mx import Blocks, decode_mx, encode_mx
from workbench.numerics.small_floats import decode_floats, encode_floats

Array = npt.NDArray[Any]


class BlockFormat(NamedTuple):
    """A block format. block: values of a block. size: its bytes. encode: float32 [n, block] -> uint8 [n, size]. decode: back."""

    block: int
    size: int
    encode: Callable[[Array], Array]
    decode: Callable[[Array], Array]


def float16_bytes(values: Array) -> npt.NDArray[np.uint8]:
    """Return float32 [n, 1] as the two bytes of a float16 each, low byte first."""
    return encode_floats(values, "fp16").astype("<u2").view(np.uint8)


def float16_values(packed: Array) -> npt.NDArray[np.float32]:
    """Return uint8 [n, 2 k] as k float16 values of a row."""
    return decode_floats(np.ascontiguousarray(packed).view("<u2"), "fp16")


def _inverse(d: Array) -> Array:
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / d
    return np.where(np.isfinite(inverse), inverse, np.float32(0))


def _largest(x: Array) -> Array:
    """Return the value of largest magnitude of each row, the first of equals: [n, 1]."""
    return np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)


def _symmetric(bits: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    zero = 1 << (bits - 1)

    def encode(x: Array) -> Array:
        d = _largest(x) / np.float32(-zero)
        codes = np.clip(np.trunc(x * _inverse(d) + np.float32(zero + 0.5)), 0, 2 * zero - 1).astype(np.uint8)
        return np.concatenate([float16_bytes(d), _pack_codes(codes, bits)], axis=1)

    def decode(packed: Array) -> Array:
        return float16_values(packed[:, :2]) * (_unpack_codes(packed[:, 2:], bits).astype(np.float32) - np.float32(zero))

    return encode, decode


def _with_minimum(bits: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    top = (1 << bits) - 1

    def encode(x: Array) -> Array:
        low = x.min(axis=1, keepdims=True)
        d = (x.max(axis=1, keepdims=True) - low) / np.float32(top)
        codes = np.clip(np.trunc((x - low) * _inverse(d) + np.float32(0.5)), 0, top).astype(np.uint8)
        return np.concatenate([float16_bytes(d), float16_bytes(low), _pack_codes(codes, bits)], axis=1)

    def decode(packed: Array) -> Array:
        scales = float16_values(packed[:, :4])
        return scales[:, :1] * _unpack_codes(packed[:, 4:], bits).astype(np.float32) + scales[:, 1:]

    return encode, decode


def _pack_codes(codes: Array, bits: int) -> Array:
    """Return 32 codes of 4 or 5 bits: the fifth bits as 4 bytes, then 16 bytes, the first half of the codes in the low nibbles."""
    low = join_planes(codes[:, None] & np.uint8(15), 2, 4)
    return low if bits == 4 else np.concatenate([np.packbits(codes >> 4, axis=1, bitorder="little"), low], axis=1)


def _unpack_codes(packed: Array, bits: int) -> Array:
    low = split_planes(packed[:, -16:], 16, (0, 4), 4)
    return low if bits == 4 else low | np.unpackbits(packed[:, :4], axis=1, bitorder="little") << 4


def _encode_q8_0(x: Array) -> Array:
    d = np.abs(x).max(axis=1, keepdims=True) / np.float32(127)
    codes = round_integer(x * _inverse(d), "half_away").astype(np.int8)
    return np.concatenate([float16_bytes(d), codes.view(np.uint8)], axis=1)


def _decode_q8_0(packed: Array) -> Array:
    return float16_values(packed[:, :2]) * np.ascontiguousarray(packed[:, 2:]).view(np.int8).astype(np.float32)


def _ternary(x: Array) -> tuple[Array, Array]:
    """Return the scale [n, 1] and the codes 0, 1, 2 of -1, 0, 1."""
    d = np.abs(x).max(axis=1, keepdims=True)
    return d, (round_integer(x * _inverse(d), "half_away") + 1).astype(np.uint8)


def _encode_tq2_0(x: Array) -> Array:
    d, codes = _ternary(x)
    return np.concatenate([join_planes(codes.reshape(-1, 2, 128), 4, 2), float16_bytes(d)], axis=1)


def _decode_tq2_0(packed: Array) -> Array:
    return float16_values(packed[:, 64:]) * (
        split_planes(packed[:, :64], 32, (0, 2, 4, 6), 2).astype(np.float32) - np.float32(1)
    )


_TERNARY_PARTS = ((0, 160, 32, 5), (160, 240, 16, 5), (240, 256, 4, 4))
"""TQ1_0: codes from .. to, bytes that hold them, codes in a byte (the last 16 codes leave a fifth place empty)."""


def _encode_tq1_0(x: Array) -> Array:
    """Code i of a byte counts 3**(4 - i); the sum is stored as ceil(sum * 256 / 243), from which products give the digits back."""
    d, codes = _ternary(x)
    packed = []
    for first, last, width, digits in _TERNARY_PARTS:
        places = np.uint16(3) ** np.arange(4, 4 - digits, -1, dtype=np.uint16)
        sums = (codes[:, first:last].reshape(-1, digits, width) * places[:, None]).sum(axis=1, dtype=np.uint16)
        packed.append(((sums.astype(np.uint32) * 256 + 242) // 243).astype(np.uint8))
    return np.concatenate([*packed, float16_bytes(d)], axis=1)


def _decode_tq1_0(packed: Array) -> Array:
    codes, at = [], 0
    for _, _, width, digits in _TERNARY_PARTS:
        shifted = packed[:, None, at : at + width] * (np.uint8(3) ** np.arange(digits, dtype=np.uint8))[:, None]  # modulo 256
        codes.append(((shifted.astype(np.uint16) * 3) >> 8).reshape(len(packed), -1))
        at += width
    return float16_values(packed[:, 52:]) * (np.concatenate(codes, axis=1).astype(np.float32) - np.float32(1))


def _encode_mxfp4(x: Array) -> Array:
    codes, scales = encode_mx(x, "e2m1", 32, "half_toward_zero")
    codes = np.where(codes == 8, np.uint8(0), codes)  # -0 is stored as +0
    return np.concatenate([scales, join_planes(codes[:, None], 2, 4)], axis=1)


def _decode_mxfp4(packed: Array) -> Array:
    values = decode_mx(Blocks(split_planes(packed[:, 1:], 16, (0, 4), 4), packed[:, :1]), "e2m1")
    return values + np.float32(0)  # both zeros are +0


GGUF_BLOCKS: dict[str, BlockFormat] = {
    "Q4_0": BlockFormat(32, 18, *_symmetric(4)),
    "Q4_1": BlockFormat(32, 20, *_with_minimum(4)),
    "Q5_0": BlockFormat(32, 22, *_symmetric(5)),
    "Q5_1": BlockFormat(32, 24, *_with_minimum(5)),
    "Q8_0": BlockFormat(32, 34, _encode_q8_0, _decode_q8_0),
    "TQ1_0": BlockFormat(256, 54, _encode_tq1_0, _decode_tq1_0),
    "TQ2_0": BlockFormat(256, 66, _encode_tq2_0, _decode_tq2_0),
    "MXFP4": BlockFormat(32, 17, _encode_mxfp4, _decode_mxfp4),
}
"""llama.cpp's name -> block format."""
