"""The dot products and copies of the micro-kernels == plain integers, on every path whose instructions this machine has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.micro_kernels import Tile, extreme_bytes, runnable, shapes
from workbench.numerics.cpu import Path
from workbench.numerics.simd import LANES

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


@pytest.mark.parametrize(("kind", "spread"), KINDS)
@pytest.mark.parametrize("path", runnable(), ids=lambda path: path.name)
@settings(max_examples=10)
@given(data=st.data())
def test_tiles(path: Path, kind: str, spread: bool, data: st.DataObject) -> None:
    for shape in shapes(path, spread):
        tile = data.draw(tiles(kind, spread, shape))
        assert tile.run(path) == tile.expected(path.signed)
