"""Constants that are stored sparse: the values that are there, and where they are, dimension by dimension.

Dimensions are walked in `traversal order`; with blocks, each blocked dimension is there twice: its blocks, and what is inside of one.
A dense dimension says how many entries it has; a compressed one (CSR) lists, for every entry of those before it, a segment of indices.
Source: TFLite schema.fbs `SparsityParameters`; kernels/internal/utils/sparsity_format_converter.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tflite

from workbench.errors import ModelError
from workbench.graph.ir import Array

SPARSE_TYPES = ("float32", "float16", "int8")
"""Types of constants that a runtime can densify."""
_VECTORS = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}

Refuse = Callable[[str], ModelError]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """One dimension as it is walked. size: of the dimension. segments, indices: of a compressed one, else None."""

    size: int
    segments: Indices | None = None
    indices: Indices | None = None


@dataclass(frozen=True)
class Layout:
    """order: dimension of every level; from the rank on, the inside of block 0, 1, ... blocks: the dimension of each block."""

    order: tuple[int, ...]
    blocks: tuple[int, ...]
    levels: tuple[Level, ...]


def read_layout(raw: Any, shape: tuple[int, ...], refuse: Refuse) -> Layout:
    """Return the checked layout of a constant. raw: verified `SparsityParameters`. refuse: makes the error of a reason."""
    order = tuple(_numbers(raw.TraversalOrderAsNumpy()).tolist())
    blocks = tuple(_numbers(raw.BlockMapAsNumpy()).tolist())
    rank, count = len(shape), raw.DimMetadataLength()
    if not rank or sorted(order) != list(range(rank + len(blocks))) or count != len(order) or len(blocks) > rank:
        raise refuse(
            f"its sparsity walks dimensions {list(order)[:16]} of {count}, which are not those of shape {list(shape)}."
        )
    if list(blocks) != sorted({*blocks}) or not all(0 <= b < rank for b in blocks) or sorted(order[:rank]) != list(range(rank)):
        raise refuse(
            f"its sparsity has blocks in dimensions {list(blocks)[:16]}; expected ascending ones, inside of all others."
        )
    sizes = _sizes(raw, shape, order, blocks, refuse)
    levels = tuple(_level(raw.DimMetadata(i), sizes[order[i]], refuse) for i in range(count))
    return Layout(order, blocks, levels)


def _sizes(raw: Any, shape: tuple[int, ...], order: Sequence[int], blocks: Sequence[int], refuse: Refuse) -> list[int]:
    """Return the size of every dimension, blocked ones in blocks, and of every block."""
    rank = len(shape)
    inside = [int(raw.DimMetadata(order.index(rank + b)).DenseSize()) for b in range(len(blocks))]
    sizes = list(shape)
    for dimension, size in zip(blocks, inside, strict=True):
        if size < 1 or shape[dimension] % size:
            raise refuse(f"its sparsity has blocks of {size} in dimension {dimension} of shape {list(shape)}.")
        sizes[dimension] //= size
    if list(order[rank:]) != list(range(rank, rank + len(blocks))) and len({*inside}) > 1:
        raise refuse("its sparsity has blocks of several sizes out of order, which runtimes read differently.")
    return sizes + inside


def _level(raw: Any, size: int, refuse: Refuse) -> Level:
    if raw.Format() == tflite.DimensionType.DENSE:
        if raw.DenseSize() != size:
            raise refuse(f"its sparsity has a dense dimension of {raw.DenseSize()}; expected {size}.")
        return Level(size)
    if raw.Format() != tflite.DimensionType.SPARSE_CSR:
        raise refuse(f"its sparsity has a dimension of format {raw.Format()}; expected dense (0) or CSR (1).")
    segments = _vector(raw.ArraySegmentsType(), raw.ArraySegments())
    indices = _vector(raw.ArrayIndicesType(), raw.ArrayIndices())
    return Level(size, segments, indices)


def _vector(kind: int, table: Any) -> Indices:
    if table is None or kind not in _VECTORS:
        return np.zeros(0, np.int64)
    vector = _VECTORS[kind]()
    vector.Init(table.Bytes, table.Pos)
    return _numbers(vector.ValuesAsNumpy())


def _numbers(raw: Any) -> Indices:
    return np.zeros(0, np.int64) if isinstance(raw, int) else np.asarray(raw, np.int64)


def positions(layout: Layout, shape: tuple[int, ...], stored: int, refuse: Refuse) -> Indices:
    """Return the flat index in the dense constant of every stored value, in order. stored: how many the buffer has."""
    walked: list[Indices] = []
    count = 1
    for i, level in enumerate(layout.levels):
        if level.segments is None or level.indices is None:
            most = next((len(v.segments) - 1 for v in layout.levels[i:] if v.segments is not None), stored)
            if count * level.size > most:  # before anything of that size is made
                raise refuse(f"its sparsity walks {count * level.size} entries, but states {most}.")
            parents, found = np.repeat(np.arange(count), level.size), np.tile(np.arange(level.size), count)
        else:
            parents, found = _compressed(level, count, refuse)
        walked = [w[parents] for w in walked] + [found]
        count = len(found)
    return _flat(layout, shape, walked)


def _compressed(level: Level, count: int, refuse: Refuse) -> tuple[Indices, Indices]:
    """Return (entry before, index) of every entry of a compressed dimension."""
    segments, indices = level.segments, level.indices
    assert segments is not None and indices is not None
    if len(segments) != count + 1 or segments[0] != 0 or segments[-1] != len(indices) or (np.diff(segments) < 0).any():
        raise refuse(f"its sparsity has {len(segments)} segments of {len(indices)} indices for {count} entries.")
    parents = np.repeat(np.arange(count), np.diff(segments))
    outside = ((indices < 0) | (indices >= level.size)).any()
    if outside or ((np.diff(parents) == 0) & (np.diff(indices) <= 0)).any():
        raise refuse(f"its sparsity has indices that do not ascend within 0 to {level.size - 1}.")
    return parents, indices


def _flat(layout: Layout, shape: tuple[int, ...], walked: Sequence[Indices]) -> Indices:
    rank = len(shape)
    index = [walked[layout.order.index(d)] for d in range(rank)]
    for block, dimension in enumerate(layout.blocks):
        level = layout.order.index(rank + block)
        index[dimension] = index[dimension] * layout.levels[level].size + walked[level]
    return np.ravel_multi_index(index, shape).astype(np.int64)


def dense(values: Array, where: Indices, shape: tuple[int, ...]) -> Array:
    """Return the dense constant."""
    made = np.zeros(math.prod(shape), values.dtype)
    made[where] = values
    return made.reshape(shape)
