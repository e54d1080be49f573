"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.operators.case import LITERT, TFLITE, Case
from tests.operators.elementwise_nets import reduction

SETS = (((1, 3, 4, 5), (1, 2), True), ((1, 3, 4, 5), (-1,), False), ((2, 3, 4), (0,), False), ((2, 3, 4), (0, 2), True))
MORE = (((1, 3, 4, 5), (1, 3), False), ((1, 3, 4, 5), (1, 2, 3), False), ((2, 5), (0, 1), True), ((1, 3, 4, 19), (2,), True))
X8, Y8, X16, Y16 = (0.031, -7), (0.05, 4), (0.0011, 0), (0.0017, 0)


def cases() -> Iterator[Case]:
    for shape, axes, keep in (*SETS, *MORE):
        yield reduction("REDUCE_MAX", "int8", shape, axes, keep, TFLITE, X8, X8)
        yield reduction("MEAN", "int8", shape, axes, keep, TFLITE, X8, Y8)
        yield reduction("MEAN", "int16", shape, axes, keep, TFLITE, X16, Y16)
        yield reduction("SUM", "int8", shape, axes, keep, TFLITE, X8, (0.3, 4))
        yield reduction("MEAN", "float32", shape, axes, keep, TFLITE, limits=(-2, 2))
    for shape, axes, keep in SETS:
        for kind in ("SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"):
            yield reduction(kind, "float32", shape, axes, keep, LITERT if kind == "REDUCE_PROD" else TFLITE, limits=(-2, 2))
        yield reduction("REDUCE_MIN", "int8", shape, axes, keep, TFLITE, X8, X8)
        for dtype in ("int32", "int64"):
            for kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
                yield reduction(kind, dtype, shape, axes, keep, LITERT)
            yield reduction("REDUCE_PROD", dtype, shape, axes, keep, LITERT, limits=(-5, 5))
        for kind in ("REDUCE_MAX", "REDUCE_MIN"):
            yield reduction(kind, "int16", shape, axes, keep, LITERT, X16, X16)
        yield reduction("REDUCE_PROD", "int8", shape, axes, keep, LITERT, (0.03, -7), (0.05, 4))
        yield reduction("REDUCE_PROD", "int16", shape, axes, keep, LITERT, (0.0001, 0), (0.0002, 0))
        yield reduction("SUM", "int16", shape, axes, keep, ("tflm",), X16, (0.003, 0))
        yield reduction("REDUCE_ALL", "bool", shape, axes, keep, TFLITE, limits=(0, 0.9))
        yield reduction("REDUCE_ANY", "bool", shape, axes, keep, LITERT, limits=(0, 0.1))
    for axes, keep in (((1, 2), True), ((1,), False)):
        yield reduction("MEAN", "int8", (1, 3, 4, 18), axes, keep, TFLITE, X8, X8, name=f"one scale {axes}")
        wide = reduction("SUM", "int8", (1, 3, 4, 18), axes, keep, TFLITE, X8, X8, name=f"one scale {axes}")
        yield replace(wide, constant=len(axes) == 2)  # the reference kernels give one number there
