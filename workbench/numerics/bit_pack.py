"""Codes of less than a byte and the bytes that hold them. The last axis is the one that is packed or unpacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def pack(codes: Array, bits: int) -> npt.NDArray[np.uint8]:
    """Return codes [..., n] (uint8, below 2**bits) as bytes [..., n * bits / 8], the first code in the lowest bits.

    n * bits must be a multiple of 8.
    """
    if bits == 8:
        return codes.astype(np.uint8, copy=False)
    single = np.unpackbits(np.ascontiguousarray(codes, np.uint8)[..., None], axis=-1, count=bits, bitorder="little")
    return np.packbits(single.reshape(*codes.shape[:-1], -1), axis=-1, bitorder="little")


def unpack(packed: Array, bits: int) -> npt.NDArray[np.uint8]:
    """Return the codes [..., n] of bytes [..., n * bits / 8]: the inverse of `pack`."""
    if bits == 8:
        return packed
    single = np.unpackbits(np.ascontiguousarray(packed), axis=-1, bitorder="little")
    groups = single.reshape(*packed.shape[:-1], -1, bits)
    return np.packbits(groups, axis=-1, bitorder="little")[..., 0]


def join_planes(codes: Array, planes: int, bits: int) -> npt.NDArray[np.uint8]:
    """Return codes [n, g, planes * w] as bytes [n, g * w]: byte i of a group holds its codes i, i + w, i + 2 w, ..., upwards."""
    n, groups = codes.shape[:2]
    split = codes.reshape(n, groups, planes, -1).astype(np.uint8) << (np.arange(planes, dtype=np.uint8) * bits)[:, None]
    joined: Array = np.bitwise_or.reduce(split, axis=2)
    return joined.reshape(n, -1)


def split_planes(packed: Array, width: int, shifts: Sequence[int], bits: int) -> npt.NDArray[np.uint8]:
    """Return the codes of bytes [n, g * width] as [n, g * len(shifts) * width]: group by group, one plane after the other."""
    n = len(packed)
    moved = packed.reshape(n, -1, 1, width) >> np.array(shifts, np.uint8)[:, None]
    return (moved & np.uint8((1 << bits) - 1)).reshape(n, -1)
