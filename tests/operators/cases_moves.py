"""Operators that move values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.operators.case import TFLITE, Case, rng


def cases() -> Iterator[Case]:
    for k, (shape, perm) in enumerate([((1, 3, 5, 2), (0, 2, 1, 3)), ((1, 7, 3), (0, 2, 1))]):

        def model(shape: tuple[int, ...] = shape, perm: tuple[int, ...] = perm) -> bytes:
            out = tuple(shape[i] for i in perm)
            x, y = (T(s, np.int8, n, scale=[0.5], zero=[3]) for s, n in ((shape, "x"), (out, "y")))
            return Net([x, const(perm, np.int32), y], [Op("TRANSPOSE", [0, 1], [2], ("TransposeOptions", {}))]).bytes()

        def feeds(shape: tuple[int, ...] = shape, k: int = k) -> list[np.ndarray]:
            return [rng("transpose", k).integers(-128, 128, (3 * shape[0], *shape[1:])).astype(np.int8)]

        yield Case("TRANSPOSE", "tflite", "int8", f"perm {perm}", model, feeds, TFLITE)
