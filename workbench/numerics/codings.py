"""How weights are stored when that is not in the type they are computed in: block formats, narrow floats, 2:4 sparsity.

A layer in such a format is computed with the decoded values; what the coding changes is their bits, and their size. A coding works on
rows, one for each output channel, in the order (kh, kw, input channel); a row is padded with zeros to whole blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.numerics.elements import element_bits
from workbench.numerics.gguf_blocks import GGUF_BLOCKS, BlockFormat
from workbench.numerics.mx import decode_mx, encode_mx, pack_mx, unpack_mx
from workbench.numerics.nf4 import NF4_BLOCK, NF4_SIZE, decode_nf4, encode_nf4
from workbench.numerics.row_scaled import SCALE_BYTES, decode_rows, encode_rows

Array = npt.NDArray[Any]

SPARSE = "2:4"
"""At most two of every four neighbours along the input are not zero; nothing is decoded, half is stored."""

_CHUNK = 1 << 20  # weights coded at a time: bounds the memory of the temporary arrays


@dataclass(frozen=True)
class Coding:
    """One way of storing weights.

    block: weights that are stored together along a row. block_bits: what a block takes, its scale included (2:4: None, it depends on
    the type). row_bytes: what a row takes beside its blocks. encode: float32 [rows, whole blocks] -> uint8 [rows, bytes].
    decode: back. scale, source: for people.
    """

    name: str
    block: int
    block_bits: int | None
    scale: str
    source: str
    encode: Callable[[Array], Array] | None = None
    decode: Callable[[Array], Array] | None = None
    row_bytes: int = 0

    def bits(self, width: int) -> float:
        """Return the bits of one weight in whole blocks, scales of blocks included, that of a row not. width: of the computed type."""
        return self._bits_of_block(width) / self.block

    def stored_bytes(self, rows: int, length: int, width: int) -> int:
        """Return the bytes of `rows` rows of `length` weights: whole blocks, and each row begins at a byte."""
        blocks = -(-length // self.block)
        return rows * (-(-blocks * self._bits_of_block(width) // 8) + self.row_bytes)

    def _bits_of_block(self, width: int) -> int:
        return 2 * width + 4 if self.block_bits is None else self.block_bits

    def round_trip(self, w: Array) -> npt.NDArray[np.float32]:
        """Return float32 [rows, length] as decode(encode(w)) gives it back."""
        if self.encode is None or self.decode is None:
            return w
        length = w.shape[1]
        padded = np.pad(w, ((0, 0), (0, -length % self.block)))
        step = max(1, _CHUNK // max(1, padded.shape[1]))
        out = np.empty(w.shape, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # a scale beyond float16 is infinity, as where the format comes from
            for first in range(0, len(w), step):
                part = slice(first, first + step)
                out[part] = self.decode(self.encode(padded[part]))[:, :length]
        return out


def _blocks(name: str, form: BlockFormat, scale: str, source: str) -> Coding:
    def encode(w: Array) -> Array:
        return form.encode(w.reshape(-1, form.block)).reshape(len(w), -1)

    def decode(packed: Array) -> Array:
        return form.decode(packed.reshape(-1, form.size)).reshape(len(packed), -1)

    return Coding(name, form.block, form.size * 8, scale, source, encode, decode)


def _gguf(name: str, scale: str, gguf_name: str = "") -> Coding:
    return _blocks(name, GGUF_BLOCKS[gguf_name or name.upper()], scale, "llama.cpp (gguf 0.19.0)")


def _mx(name: str, element: str) -> Coding:
    def encode(w: Array) -> Array:
        return pack_mx(encode_mx(w, element), element)

    def decode(packed: Array) -> Array:
        return decode_mx(unpack_mx(packed, element), element)

    bits = 32 * element_bits(element) + 8
    return Coding(name, 32, bits, "power of two (e8m0)", "OCP microscaling 1.0", encode, decode)


def _by_row(name: str, element: str) -> Coding:
    bits = element_bits(element)
    block = {8: 1, 6: 4, 4: 2}[bits]  # whole bytes
    encode, decode = partial(encode_rows, name=element), partial(decode_rows, name=element)
    return Coding(name, block, block * bits, "float32 per output channel", "rule of the workbench", encode, decode, SCALE_BYTES)


_ALL = (
    Coding(SPARSE, 4, None, "as the type", "NVIDIA sparse tensor cores"),
    _gguf("q8_0", "float16"),
    _gguf("q5_1", "float16, and a minimum"),
    _gguf("q5_0", "float16"),
    _gguf("q4_1", "float16, and a minimum"),
    _gguf("q4_0", "float16"),
    _gguf("tq2_0", "float16"),
    _gguf("tq1_0", "float16"),
    _gguf("mxfp4_gguf", "power of two (e8m0)", "MXFP4"),
    _mx("mxfp8_e4m3", "e4m3"),
    _mx("mxfp8_e5m2", "e5m2"),
    _mx("mxint8", "int8"),
    _mx("mxfp6_e3m2", "e3m2"),
    _mx("mxfp6_e2m3", "e2m3"),
    _mx("mxfp4", "e2m1"),
    _blocks("nf4", BlockFormat(NF4_BLOCK, NF4_SIZE, encode_nf4, decode_nf4), "float32", "QLoRA (bitsandbytes 0.50.2)"),
    _by_row("int8", "int8"),
    _by_row("fp8_e4m3", "e4m3"),
    _by_row("fp8_e5m2", "e5m2"),
    _by_row("fp6_e3m2", "e3m2"),
    _by_row("fp6_e2m3", "e2m3"),
    _by_row("int4", "int4"),
    _by_row("fp4", "e2m1"),
)

CODINGS: dict[str, Coding] = {coding.name: coding for coding in _ALL}
"""Name -> coding."""


def two_of_four(w: Array | None) -> bool:
    """True when at most two of every four neighbours along the last axis (input channels of [O, KH, KW, I] and [O, I]) are not 0."""
    if w is None or w.shape[-1] < 4:
        return False
    present = np.zeros((*w.shape[:-1], -(-w.shape[-1] // 4) * 4), bool)
    present[..., : w.shape[-1]] = w != 0
    return bool((present.reshape(*w.shape[:-1], -1, 4).sum(axis=-1) <= 2).all())
