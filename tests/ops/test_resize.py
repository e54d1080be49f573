"""resize_nearest and resize_bilinear against loops over pixels in Python numbers, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.errors import ModelError, UnsupportedError
from workbench.execute import prepare, run_reference
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite

SCALE = {"scale": [0.5], "zero": [0]}


def picture(
    kind: str, shape: tuple[int, ...], size: Any, out: tuple[int, ...], dtype: Any = np.float32, **flags: bool
) -> bytes:
    """Return a network of one resize."""
    quant: dict[str, Any] = {} if dtype == np.float32 else SCALE
    tensors = [T(shape, dtype, "x", **quant), const(size, np.int32), T(out, dtype, "y", **quant)]
    return Net(tensors, [Op(f"RESIZE_{kind}", [0, 1], [2], (f"Resize{kind.title().replace('_', '')}Options", flags))]).bytes()


@pytest.mark.parametrize("flags", [{}, {"AlignCorners": True}, {"HalfPixelCenters": True}])
def test_bilinear_is_the_interpolation(flags: dict[str, bool]) -> None:
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 2)).astype(np.float32)
    graph = load_tflite("m.tflite", picture("BILINEAR", (1, 4, 3, 2), (7, 5), (1, 7, 5, 2), **flags))
    (got,) = run_reference(graph, {"x": x}).values()
    for i in range(7):
        for j in range(5):
            rows, columns = spot(i, 4, 7, flags), spot(j, 3, 5, flags)
            want = sum(float(a * b) * x[:, p, q].astype(np.float64) for p, a in rows for q, b in columns)
            np.testing.assert_allclose(got[:, i, j], want, atol=2e-6)


def spot(i: int, size: int, outputs: int, flags: dict[str, bool]) -> list[tuple[int, Fraction]]:
    """Return the two inputs of an output with their exact weights."""
    at = Fraction(i * size, outputs)
    if flags.get("AlignCorners"):
        at = Fraction(i * (size - 1), outputs - 1)
    if flags.get("HalfPixelCenters"):
        at = Fraction((2 * i + 1) * size, 2 * outputs) - Fraction(1, 2)
    at = min(max(at, Fraction(0)), Fraction(size - 1))
    low = floor(at)
    return [(low, 1 - (at - low)), (min(low + 1, size - 1), at - low)]


def test_fixed_point_outside_of_the_picture_is_refused() -> None:
    """1 input, 65 outputs: 64 steps of 1024 / 65, rounded up to 16, are a whole pixel."""
    graph = load_tflite("m.tflite", picture("BILINEAR", (1, 2, 1, 1), (2, 65), (1, 2, 65, 1), np.int8))
    with pytest.raises(UnsupportedError, match="reads other memory there"):
        prepare(graph, load_profile("stm32l4r5-cortex-m4-tflm"))


@pytest.mark.parametrize(
    ("shape", "size", "out", "flags", "why"),
    [
        ((1, 4, 4, 1), (0, 3), (1, 0, 3, 1), {}, "is empty|sizes of 1 to"),
        ((1, 4, 4, 1), (2**17, 1), (1, 2**17, 1, 1), {}, "sizes of 1 to"),
        ((1, 4, 4, 1), (60000, 60000), (1, 1, 1, 1), {}, "elements"),
        ((1, 4, 4, 1), (3,), (1, 3, 3, 1), {}, r"expected \[N, H, W, C\] and two sizes"),
        ((1, 4, 4), (3, 3), (1, 3, 3), {}, r"expected \[N, H, W, C\] and two sizes"),
        ((1, 4, 4, 1), (3, 3), (1, 3, 3, 1), {"AlignCorners": True, "HalfPixelCenters": True}, "at once"),
        ((1, 4, 4, 1), (3, 3), (1, 3, 4, 1), {}, "is declared"),
    ],
)
@pytest.mark.parametrize("kind", ["BILINEAR", "NEAREST_NEIGHBOR"])
def test_hostile_sizes_are_refused(kind: str, shape: Any, size: Any, out: Any, flags: dict[str, bool], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        load_tflite("m.tflite", picture(kind, shape, size, out, **flags))
