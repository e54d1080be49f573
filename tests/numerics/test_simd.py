"""The dot products and copies of the micro-kernels == plain integers, on every path whose instructions this machine has."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.micro_kernels import Tile, extreme_bytes, runnable, shapes
from tests.oracles.requantize import wrap
from workbench.numerics.cpu import Path
from workbench.numerics.jit import kernel
from workbench.numerics.simd import (
    LANES,
    address,
    copy4,
    copy_bytes,
    copy_widened,
    copy_words,
    interleave,
    interleave_words,
)

Array = np.ndarray[Any, Any]
KINDS = [(kind, spread) for spread in (True, False) for kind in ("bytes", "words", "pairs", "saturate")]
KINDS.remove(("pairs", False))  # depthwise has none
INT32 = (-(2**31), 2**31 - 1)


@st.composite
def tiles(draw: st.DrawFn, kind: str, spread: bool, shape: tuple[int, int]) -> Tile:
    quads, panels = shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps, stride = draw(st.integers(1, 9)), draw(st.sampled_from([0, 1, 3, 4, 37, 64, 191]))
    bits = draw(st.sampled_from([8, 17, 30, 31]))
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind == "saturate" else INT32
    init = rng.integers(low, high, LANES * panels, endpoint=True)
    init = np.where(rng.random(init.shape) < 0.4, rng.choice([low, high], init.shape), init)
    return Tile(
        kind, spread, quads, panels,
        x=extreme_bytes(rng, (2048,)),
        starts=rng.integers(300, 700, 4),
        stride=stride,
        offsets=rng.integers(-300, 400, steps),
        w=extreme_bytes(rng, (steps, LANES * panels, 4)),
        init=init.astype(np.int32),
        bits=bits,
    )  # fmt: skip


CASES = [(path, kind, spread) for path in runnable() for kind, spread in KINDS if kind != "bytes" or path.byte_dot]


@pytest.mark.parametrize(("path", "kind", "spread"), CASES, ids=lambda value: getattr(value, "name", str(value)))
@settings(max_examples=10)
@given(data=st.data())
def test_tiles(path: Path, kind: str, spread: bool, data: st.DataObject) -> None:
    for shape in shapes(path, spread):
        tile = data.draw(tiles(kind, spread, shape))
        assert tile.run(path) == tile.expected(path.signed)


@pytest.mark.parametrize(("path", "kind", "spread"), CASES, ids=lambda value: getattr(value, "name", str(value)))
def test_the_ends_of_every_range(path: Path, kind: str, spread: bool) -> None:
    """-128 and 255, 2 * 32768**2 = 2**31, pairs beyond int16, from both ends of int32 (`saturate`: of its own range)."""
    ends: list[Array] = [np.full(2, v, np.int16) for v in (-32768, 32767)]
    if kind in ("bytes", "pairs"):
        ends = [np.full(4, v, np.uint8) for v in (0x7F, 0x80, 0xFF)]
    for x, w in itertools.product(ends, ends):
        for start in (-(2**30), 2**30 - 1) if kind == "saturate" else INT32:
            tile = Tile(
                kind, spread, 1, 1, np.tile(x.view(np.uint8), 64), np.zeros(4, np.int64), 4, np.arange(0, 12, 4),
                np.tile(w.view(np.uint8), (3, LANES, 1)), np.full(LANES, start, np.int32),
            )  # fmt: skip
            assert tile.run(path) == tile.expected(path.signed)


@kernel
def copies(which: int, out: Array, at: int, x: Array, begin: int, count: int, shift: int) -> None:
    target, source = address(out) + at * out.itemsize, address(x) + begin * x.itemsize
    if which == 0:
        copy_bytes(target, source, count, shift)
    elif which == 1:
        copy_widened(target, source, count, shift)
    elif which == 2:
        copy_words(target, source, count, shift)
    elif which == 3:
        copy4(target, source)
    elif which == 4:
        interleave(target, source, count)
    else:
        interleave_words(target, source, count)


COPIES = [(0, np.int8, np.uint8), (0, np.int8, np.int8), (1, np.int8, np.int16), (2, np.int16, np.int16)]


@pytest.mark.parametrize(("which", "source", "target"), COPIES)
def test_copies_subtract_and_write_nothing_else(which: int, source: Any, target: Any) -> None:
    rng, limits = np.random.default_rng(which), np.iinfo(source)
    x = rng.integers(limits.min, limits.max, 200, source, endpoint=True)
    x[::3] = rng.choice([limits.min, limits.max], x[::3].shape)
    for count, shift in itertools.product(range(71), (-128, 0, 1, 127)):
        at, begin = int(rng.integers(0, 40)), int(rng.integers(0, 100))
        out = np.full(150, 77, target)
        copies(which, out, at, x, begin, count, shift)
        moved = [v - shift for v in x[begin : begin + count].tolist()]
        bits = 8 * np.dtype(target).itemsize
        whole = [v % 2**bits if target is np.uint8 else wrap(v, bits) for v in moved]
        assert out.tolist() == [77] * at + whole + [77] * (150 - at - count)


def test_copy4_of_any_alignment() -> None:
    x = np.arange(50, dtype=np.uint8)
    for at, begin in itertools.product(range(9), range(9)):
        out = np.full(20, 77, np.uint8)
        copies(3, out, at, x, begin, 0, 0)
        assert out.tolist() == [77] * at + list(range(begin, begin + 4)) + [77] * (16 - at)


@pytest.mark.parametrize(("which", "parts", "dtype"), [(4, 4, np.int8), (5, 2, np.int16)])
def test_interleave_takes_one_element_of_every_row(which: int, parts: int, dtype: Any) -> None:
    rng, size = np.random.default_rng(which), np.dtype(dtype).itemsize
    x = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, 400, dtype)
    for stride in (0, 1, 16, 23, 61):
        out = np.full(LANES * parts + 6, 77, dtype)
        copies(which, out, 3, x, 5, stride * size, 0)
        want = [int(x[5 + i * stride + c]) for c in range(LANES) for i in range(parts)]
        assert out.tolist() == [77] * 3 + want + [77] * 3
