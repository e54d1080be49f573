"""Comparisons and logical operators."""

from __future__ import annotations

from collections.abc import Iterator

from tests.operators.case import LITERT, TFLITE, Case
from tests.operators.elementwise_nets import binary, unary

KINDS = ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
SAME, ROW, INNER = ((1, 3, 5), (1, 3, 5)), ((1, 2, 3, 5), (1, 1, 1, 5)), ((1, 4, 1), (1, 4, 3))

ALL = ((None, None), (None, None))


def _around(a: tuple[float, int], b: tuple[float, int]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return limits of two inputs with scales around zero, where few numbers are many equal pairs."""
    steps = round(3 * max(a[0], b[0]) / min(a[0], b[0]))
    first, second = (3 if q[0] >= 0.9 * max(a[0], b[0]) else steps for q in (a, b))
    return (a[1] - first, a[1] + first), (b[1] - second, b[1] + second)


def cases() -> Iterator[Case]:
    for kind in KINDS:
        options = (kind.title().replace("_", "") + "Options", {})
        near = kind in ("EQUAL", "NOT_EQUAL")  # numbers of which some are equal
        for dtype in ("float32", "int32", "int64"):
            few = ((-2, 2), (-2, 2)) if near else ((-3, 3), (-3, 3))
            yield binary(kind, dtype, *SAME, TFLITE, out="bool", options=options, limits=few, whole=near)
            yield binary(kind, dtype, *ROW, TFLITE, out="bool", options=options, limits=few, constant="b", whole=near)
        for name, a, b in (
            ("one scale", (0.05, 3), (0.05, 3)), ("two scales", (0.05, 3), (0.025, -9)), ("close scales", (0.05, 3), (0.0501, 3)),
            ("fine scales", (0.0005, 3), (0.0006, 3)),
        ):  # fmt: skip
            around = _around(a, b) if near and name != "fine scales" else ALL
            yield binary(kind, "int8", (1, 6, 50), (1, 6, 50), TFLITE, (a, b, None), "bool", options, limits=around, name=name)
        for shapes, b, constant in ((INNER, (0.025, -9), ""), (ROW, (0.05, 3), "b")):
            around = _around((0.05, 3), b) if near else ALL
            yield binary(kind, "int8", *shapes, TFLITE, ((0.05, 3), b, None), "bool", options, limits=around, constant=constant)
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
