"""Comparisons and logical operators."""

from __future__ import annotations

from collections.abc import Iterator

from tests.operators.case import LITERT, TFLITE, Case
from tests.operators.elementwise_nets import binary, unary

KINDS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
SAME, ROW, INNER = ((1, 3, 5), (1, 3, 5)), ((1, 2, 3, 5), (1, 1, 1, 5)), ((1, 4, 1), (1, 4, 3))


def cases() -> Iterator[Case]:
    for kind in KINDS:
        options = (kind.title().replace("_", "") + "Options", {})
        for dtype in ("float32", "int32", "int64"):
            few = ((-3, 3), (-3, 3))
            yield binary(kind, dtype, *SAME, TFLITE, out="bool", options=options, limits=few)
            yield binary(kind, dtype, *ROW, TFLITE, out="bool", options=options, limits=few, constant="b")
        for name, a, b in (
            ("one scale", (0.05, 3), (0.05, 3)), ("two scales", (0.05, 3), (0.025, -9)), ("close scales", (0.05, 3), (0.0501, 3)),
            ("fine scales", (0.0005, 3), (0.0006, 3)),
        ):  # fmt: skip
            yield binary(kind, "int8", (1, 6, 50), (1, 6, 50), TFLITE, (a, b, None), "bool", options, name=name)
        yield binary(kind, "int8", *INNER, TFLITE, ((0.05, 3), (0.025, -9), None), "bool", options)
        yield binary(kind, "int8", *ROW, TFLITE, ((0.05, 3), (0.05, 3), None), "bool", options, constant="b")
        yield binary(kind, "int16", *SAME, LITERT, ((0.05, 0), (0.05, 0), None), "bool", options, limits=((-3, 3), (-3, 3)))
        yield binary(
            kind, "int16", *INNER, LITERT, ((0.05, 0), (0.01, 0), None), "bool", options, limits=((-3, 3), (-3, 3)),
            name="two scales",
        )  # fmt: skip
        if kind in ("EQUAL", "NOT_EQUAL"):
            yield binary(kind, "bool", *SAME, TFLITE, options=options)
            yield binary(kind, "bool", *INNER, TFLITE, options=options)
    for kind in ("LOGICAL_AND", "LOGICAL_OR"):
        options = (kind.title().replace("_", "") + "Options", {})
        for a, b in (SAME, ROW, INNER):
            yield binary(kind, "bool", a, b, TFLITE, options=options)
        yield binary(kind, "bool", *ROW, TFLITE, options=options, constant="b")
    yield unary("LOGICAL_NOT", "bool", (1, 3, 5), TFLITE, options=("LogicalNotOptions", {}))
    yield unary("LOGICAL_NOT", "bool", (2, 4), TFLITE, options=("LogicalNotOptions", {}))
