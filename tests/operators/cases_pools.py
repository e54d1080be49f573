"""Pools of numbers and integers; and operators on sizes, which are constants by the time a network runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.operators.case import LITERT, TFLITE, Case, rng

SHAPES = [
    ((1, 7, 5, 3), (2, 2), (2, 2), 0, 0),
    ((1, 6, 6, 8), (3, 3), (1, 2), 1, 0),
    ((2, 5, 9, 4), (5, 9), (1, 1), 0, 3),
    ((1, 8, 4, 1), (3, 2), (2, 1), 1, 1),
]
"""Input, window, stride, padding (0 SAME, 1 VALID), fused activation."""


def _array(case: str, shape: tuple[int, ...], kind: Any) -> np.ndarray:
    r = rng(case, *shape)
    if np.dtype(kind).kind == "f":
        return r.normal(0, 3, shape).astype(kind)
    return r.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, shape).astype(kind)


def _pool(op: str, kind: Any, k: int) -> Case:
    shape, window, stride, padding, activation = SHAPES[k]
    out = [-(-s // t) if padding == 0 else (s - w) // t + 1 for s, w, t in zip(shape[1:3], window, stride, strict=True)]

    def model() -> bytes:
        scale: dict[str, Any] = {} if np.dtype(kind).kind == "f" else {"scale": [0.05], "zero": [0 if kind is np.int16 else 7]}
        x, y = T(shape, kind, "x", **scale), T((shape[0], *out, shape[3]), kind, "y", **scale)
        options = {
            "Padding": padding, "StrideH": stride[0], "StrideW": stride[1], "FilterHeight": window[0], "FilterWidth": window[1],
            "FusedActivationFunction": activation,
        }  # fmt: skip
        version = 3 if kind is np.int16 else 2
        return Net([x, y], [Op(op, [0], [1], ("Pool2DOptions", options), version=version)]).bytes()

    def feeds() -> list[np.ndarray]:
        x = _array(op, (3 * shape[0], *shape[1:]), kind)
        small = op == "MAX_POOL_2D" and kind is np.int16 and activation == 3  # else each largest element is above 6
        return [x // kind(250) if small else x]

    name = f"{'x'.join(map(str, shape))} window {window} stride {stride} padding {padding} activation {activation}"
    return Case(op, "tflite", np.dtype(kind).name, name, model, feeds, TFLITE)


def _sizes() -> Iterator[Case]:
    """Sizes that a converter leaves to be computed; they are folded when the file is read."""
    x, flat = T((1, 4, 6), np.float32, "x"), T((1, 24), np.float32, "y")

    def feeds() -> list[np.ndarray]:
        return [_array("sizes", (3, 4, 6), np.float32)]

    def shape() -> bytes:  # reshape to [shape[0], 24]
        tensors = [x, T((3,), np.int32, "s"), const([0], np.int32), const([1], np.int32), const([1], np.int32), T((), np.int32, "n"),
                   const(24, np.int32), T((2,), np.int32, "p"), flat]  # fmt: skip
        slices = ("StridedSliceOptions", {"ShrinkAxisMask": 1})
        ops = [Op("SHAPE", [0], [1], ("ShapeOptions", {"OutType": 2})), Op("STRIDED_SLICE", [1, 2, 3, 4], [5], slices),
               Op("PACK", [5, 6], [7], ("PackOptions", {"ValuesCount": 2, "Axis": 0})), Op("RESHAPE", [0, 7], [8])]  # fmt: skip
        return Net(tensors, ops).bytes()

    def rank() -> bytes:  # transpose by range(0, rank, 1)
        tensors = [
            x,
            T((), np.int32, "r"),
            const(0, np.int32),
            const(1, np.int32),
            T((3,), np.int32, "p"),
            T((1, 4, 6), np.float32, "y"),
        ]
        ops = [
            Op("RANK", [0], [1], ("RankOptions", {})),
            Op("RANGE", [2, 1, 3], [4], ("RangeOptions", {})),
            Op("TRANSPOSE", [0, 4], [5]),
        ]
        return Net(tensors, ops).bytes()

    def fill() -> bytes:  # x + fill([1, 4, 6], 2.5) + zeros_like(fill)
        tensors = [x, const([1, 4, 6], np.int32), const(2.5, np.float32), T((1, 4, 6), np.float32, "f"), T((1, 4, 6), np.float32, "z"),
                   T((1, 4, 6), np.float32, "a"), T((1, 4, 6), np.float32, "y")]  # fmt: skip
        ops = [Op("FILL", [1, 2], [3], ("FillOptions", {})), Op("ZEROS_LIKE", [3], [4], ("ZerosLikeOptions", {})),
               Op("ADD", [0, 3], [5], ("AddOptions", {})), Op("ADD", [5, 4], [6], ("AddOptions", {}))]  # fmt: skip
        return Net(tensors, ops).bytes()

    def broadcast() -> bytes:  # broadcast x to broadcast_args([4, 6], [2, 1, 4, 1])
        tensors = [
            x,
            const([4, 6], np.int32),
            const([1, 1, 4, 1], np.int32),
            T((4,), np.int32, "s"),
            T((1, 1, 4, 6), np.float32, "y"),
        ]
        ops = [Op("BROADCAST_ARGS", [1, 2], [3], None), Op("BROADCAST_TO", [0, 3], [4], ("BroadcastToOptions", {}), version=2)]
        return Net(tensors, ops).bytes()

    for op, model in (
        ("SHAPE", shape),
        ("RANK", rank),
        ("RANGE", rank),
        ("FILL", fill),
        ("ZEROS_LIKE", fill),
        ("BROADCAST_ARGS", broadcast),
    ):
        yield Case(op, "tflite", "int32", "a size that is a constant", model, feeds, LITERT)


def cases() -> Iterator[Case]:
    for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        for kind in (np.int8, np.int16, np.float32):
            for k in range(len(SHAPES)):
                yield _pool(op, kind, k)
    yield from _sizes()
