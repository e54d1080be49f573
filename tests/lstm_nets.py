"""One-layer LSTM networks as `.tflite` files, float32, int8 or int16, for the loader and the runtimes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const

STATES = 18, 19


@dataclass(frozen=True)
class LstmNet:
    """shape: of x. dtype: of x. scales of w and r: one per gate. hidden: (scale, zero point) inside (LiteRT)."""

    shape: tuple[int, int, int]
    units: int
    dtype: str = "int8"
    time_major: bool = False
    clip: float = 0.0
    cell_log2: int = -11
    seed: int = 0
    x: tuple[float, int] = (0.02, 3)
    y: tuple[float, int] = (0.007, -4)
    hidden: tuple[float, int] = (0.0065, 5)
    spread: float = 1.0
    changes: dict[int, Any] = field(default_factory=dict)
    """Input -> another tensor in its place (None: absent)."""

    def net(self) -> Net:
        """Return the file's content."""
        rng = np.random.default_rng([self.seed, *self.shape, self.units])
        floats, kind = self.dtype == "float32", np.dtype(self.dtype)
        depth, units = self.shape[2], self.units

        def weights(rows: int, columns: int) -> T:
            if floats:
                return const(rng.normal(0, self.spread / np.sqrt(columns), (rows, columns)), np.float32)
            scale = float(np.float32(self.spread * rng.uniform(0.002, 0.02)))
            return const(rng.integers(-127, 128, (rows, columns)), np.int8, scale=[scale], zero=[0])

        inputs: dict[int, T] = {0: T(self.shape, kind, "x", scale=[self.x[0]], zero=[self.x[1]])}
        inputs |= {i: weights(units, depth) for i in (1, 2, 3, 4)} | {i: weights(units, units) for i in (5, 6, 7, 8)}
        for i in (12, 13, 14, 15):
            bias = np.float32 if floats else np.int64 if kind == np.int16 else np.int32
            values = rng.normal(0, 0.3, units) if floats else rng.integers(-8000, 8000, units)
            step = 1.0 if floats else float(np.float32(self.x[0]) * np.float32(inputs[i - 11].scale[0]))
            inputs[i] = const(values, bias, scale=[step], zero=[0])
        batch = self.shape[1] if self.time_major else self.shape[0]
        cell = np.float32 if floats else np.int16
        inputs[STATES[0]] = T((batch, units), kind, "h", scale=[self.y[0]], zero=[self.y[1]], variable=True)
        inputs[STATES[1]] = T((batch, units), cell, "c", scale=[2.0**self.cell_log2], zero=[0], variable=True)
        inputs |= self.changes
        tensors, numbers = [], []
        for i in range(24):
            found = inputs.get(i)
            numbers.append(-1 if found is None else len(tensors))
            if found is not None:
                tensors.append(found)
        scales = [(2.0**-12, 0)] * 4 + [self.hidden]
        inside = [T((0,), kind if k == 4 else np.int16, f"inside{k}", scale=[s], zero=[z]) for k, (s, z) in enumerate(scales)]
        first = len(tensors)
        tensors += [] if floats else inside
        tensors.append(T((*self.shape[:2], units), kind, "y", scale=[self.y[0]], zero=[self.y[1]]))
        if floats:
            for t in tensors:
                t.scale, t.zero = (), ()
        options = {"FusedActivationFunction": 4, "CellClip": self.clip, "TimeMajor": self.time_major}
        op = Op(
            "UNIDIRECTIONAL_SEQUENCE_LSTM", numbers, [len(tensors) - 1], ("UnidirectionalSequenceLSTMOptions", options),
            mutating=[i in STATES for i in range(24)], intermediates=[] if floats else range(first, first + 5),
        )  # fmt: skip
        return Net(tensors, [op])
