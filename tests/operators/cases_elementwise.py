"""Arithmetic on two inputs, functions of one value, prelu, normalizations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op
from tests.operators.case import LITERT, TFLITE, Case
from tests.operators.elementwise_nets import SAMPLES, Array, Quant, Shape, binary, numbers, port, unary

OPT = ("litert_opt", "litert_xnn")
FUSED = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}
BARE = {
    "MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions", "POW": "PowOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions", "FLOOR_DIV": "FloorDivOptions", "FLOOR_MOD": "FloorModOptions",
}  # fmt: skip
OPTIONS = {**FUSED, **BARE, "BITWISE_XOR": "BitwiseXorOptions", "RIGHT_SHIFT": "RightShiftOptions"}
SAME, ROW, INNER = ((1, 3, 5), (1, 3, 5)), ((1, 2, 3, 5), (1, 1, 1, 5)), ((1, 4, 1), (1, 4, 3))
MANY = ((1, 2, 1, 3, 1), (1, 1, 4, 1, 2))
SIX = ((1, 2, 1, 3, 1, 2), (1, 1, 4, 1, 2, 1))
A8, B8, Y8 = (0.031, -7), (0.052, 11), (0.09, 3)
A16, B16, Y16 = (0.0011, 0), (0.0007, 0), (0.0019, 0)


def cases() -> Iterator[Case]:
    yield from float_pairs()
    yield from whole_pairs()
    yield from quantized_pairs()
    yield from prelus()
    yield from functions()
    yield from quantized_functions()
    yield from normalizations()
    yield from sums()


def pair(kind: str, dtype: str, shapes: tuple[Shape, Shape], oracles: Sequence[str], activation: int = 0, **more: Any) -> Case:
    values = {"FusedActivationFunction": activation} if activation else {}
    return binary(kind, dtype, *shapes, oracles, options=(OPTIONS[kind], values), **more)


def float_pairs() -> Iterator[Case]:
    for kind in ("DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD", "POW"):
        oracles = LITERT if kind == "POW" else TFLITE
        limits = ((0.1, 3.0), (-2.0, 2.0)) if kind == "POW" else ((-9.0, 9.0), (0.5, 3.0) if kind == "DIV" else (0.3, 4.0))
        yield pair(kind, "float32", SAME, oracles, limits=limits)
        yield pair(kind, "float32", ROW, oracles, limits=limits, constant="b")
        yield pair(kind, "float32", INNER, oracles, limits=limits)
        yield pair(kind, "float32", ((1, 4), ()), oracles, limits=limits, constant="b")
    yield pair("DIV", "float32", ((1, 1, 5), (1, 3, 5)), TFLITE, limits=((1.0, 1.0), (0.5, 3.0)), constant="a")
    for code, activation in ((1, "relu"), (3, "relu6"), (2, "relu_n1_to_1")):
        yield pair("DIV", "float32", SAME, TFLITE, code, limits=((-9.0, 9.0), (0.5, 3.0)), name=activation)
    for kind in ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "SQUARED_DIFFERENCE"):
        oracles = ("litert_ref",) if kind in ("ADD", "SUB", "MUL") else LITERT
        yield pair(kind, "float32", MANY, oracles, limits=((-3.0, 3.0), (0.5, 3.0)))
    for kind in ("ADD", "MUL", "SUB"):
        yield pair(kind, "float32", SIX, ("litert_ref",))
        yield pair(kind, "int32", SIX, ("litert_ref",))


def whole_pairs() -> Iterator[Case]:
    for kind in ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD"):
        oracles = LITERT if kind.startswith("FLOOR") else TFLITE
        avoid = 0 if kind in ("DIV", "FLOOR_DIV", "FLOOR_MOD") else None
        small = ((None, None), (-9, 9))
        yield pair(kind, "int32", SAME, oracles, avoid=avoid, limits=small)
        yield pair(kind, "int32", ROW, oracles, avoid=avoid, limits=small, constant="b")
        yield pair(kind, "int32", INNER, oracles, avoid=avoid, limits=small)
    for kind in ("ADD", "SUB", "MUL"):
        extreme = ((-(2**31), 2**31 - 1), (-(2**31), 2**31 - 1))
        yield pair(kind, "int32", SAME, LITERT, limits=extreme, name="wraps")
        yield pair(kind, "int64", SAME, LITERT)
        yield pair(kind, "int64", ROW, LITERT, constant="b")
    for kind in ("MAXIMUM", "MINIMUM"):
        yield pair(kind, "int64", SAME, TFLITE)
        yield pair(kind, "int64", INNER, TFLITE)
    yield pair("FLOOR_MOD", "int64", SAME, LITERT, avoid=0)
    for kind in ("BITWISE_XOR", "RIGHT_SHIFT"):
        for dtype in ("int32", "uint8"):
            yield pair(kind, dtype, SAME, LITERT, limits=((None, None), (-5 if dtype == "int32" else 0, 40)))
        yield pair(kind, "int32", ROW, LITERT, limits=((None, None), (0, 31)), constant="b")
    yield pair("POW", "int32", SAME, LITERT, limits=((-9, 9), (0, 6)))
    yield pair("POW", "int32", ROW, LITERT, limits=((-5, 5), (0, 12)), constant="b")


def quantized_pairs() -> Iterator[Case]:
    eight, sixteen = (A8, B8, Y8), (A16, B16, Y16)
    for shapes in (SAME, ROW, INNER, ((1, 67), (1, 67))):
        yield pair("SQUARED_DIFFERENCE", "int8", shapes, TFLITE, quants=eight)
        yield pair("SQUARED_DIFFERENCE", "int16", shapes, ("tflm",), quants=sixteen)
        yield pair("DIV", "int8", shapes, TFLITE, quants=(A8, B8, (0.11, 3)), avoid=11)
    many = ((1, 20000), (1, 20000))
    yield pair("SQUARED_DIFFERENCE", "int8", many, TFLITE, quants=eight, name="many pairs")
    yield pair("DIV", "int8", many, TFLITE, quants=(A8, B8, (0.004, -60)), avoid=11, name="many pairs")
    yield pair("DIV", "int16", many, LITERT, quants=(A16, B16, (0.003, 0)), avoid=0, name="many pairs")
    yield pair("SQUARED_DIFFERENCE", "int8", ROW, TFLITE, quants=eight, constant="b")
    yield pair("SQUARED_DIFFERENCE", "int8", SAME, TFLITE, quants=((0.4, -7), (0.4, -7), (0.02, -128)), name="fine output")
    yield pair("DIV", "int8", ROW, TFLITE, quants=(A8, B8, (0.02, -30)), avoid=11, constant="b")
    yield pair("DIV", "int8", SAME, TFLITE, 1, quants=(A8, B8, (0.02, -30)), avoid=11, name="relu")
    yield pair("DIV", "int8", SAME, TFLITE, 3, quants=(A8, B8, (0.1, -30)), avoid=11, name="relu6")
    yield pair("DIV", "int16", SAME, LITERT, quants=(A16, B16, (0.003, 0)), avoid=0)
    yield pair("DIV", "int16", ROW, LITERT, quants=(A16, B16, (0.003, 0)), avoid=0)
    yield pair("DIV", "int16", SAME, LITERT, 1, quants=(A16, B16, (0.003, 0)), avoid=0, name="relu")
    for kind in ("MAXIMUM", "MINIMUM"):
        for shapes in (SAME, ROW, INNER):
            yield pair(kind, "int8", shapes, TFLITE, quants=(A8, A8, A8))
            yield pair(kind, "int16", shapes, TFLITE, quants=(A16, A16, A16))
        yield pair(kind, "int8", ROW, TFLITE, quants=(A8, A8, A8), constant="b")
    for kind in ("ADD", "SUB", "MUL"):
        for shapes in (INNER, MANY):
            oracles = ("litert_ref", "litert_opt") if shapes is MANY else TFLITE
            yield pair(kind, "int8", shapes, oracles, quants=(A8, B8, (0.2, 3)))
        yield pair(kind, "int8", ROW, TFLITE, 3, quants=(A8, B8, (0.05, -100)), constant="b", name="relu6 constant")
        yield pair(kind, "int16", ROW, TFLITE, quants=(A16, B16, (0.003, 0)), constant="a" if kind == "SUB" else "b")


def prelus() -> Iterator[Case]:
    shape: Shape = (1, 3, 2, 5)
    slope8 = (0.004, 5)
    for slope in ((1, 1, 5), (3, 2, 5), (1, 1, 1), (3, 1, 1)):
        yield binary("PRELU", "float32", shape, slope, TFLITE, constant="b", limits=((-3.0, 3.0), (-0.5, 1.5)))
        yield binary("PRELU", "int8", shape, slope, TFLITE, (A8, slope8, (0.027, -9)), constant="b")
    yield binary("PRELU", "int8", (1, 7, 3), (1, 7, 3), TFLITE, (A8, slope8, (0.04, 20)), name="slope computed")
    yield binary("PRELU", "float32", (1, 7, 3), (1, 7, 3), TFLITE, name="slope computed")
    many = (1, 20000)
    yield binary("PRELU", "int8", many, many, TFLITE, (A8, slope8, (0.03, -20)), name="many pairs")
    for slope in ((1, 1, 5), (3, 2, 5)):
        yield binary("PRELU", "int16", shape, slope, TFLITE, (A16, slope8, (0.0009, 0)), constant="b", second="int8")


def functions() -> Iterator[Case]:
    plain = {"SQUARE": "SquareOptions", "NEG": "NegOptions", "ABS": "AbsOptions", "COS": "CosOptions", "EXP": "ExpOptions"}
    for kind in ("SQRT", "SQUARE", "RSQRT", "NEG", "FLOOR", "CEIL", "ROUND", "SIGN", "SIN", "COS", "ABS", "EXP", "LOG"):
        oracles: Sequence[str] = TFLITE
        if kind in ("CEIL", "ROUND"):
            oracles = (*OPT, "tflm")
        if kind == "SIGN":
            oracles = LITERT
        options = (plain[kind], {}) if kind in plain else None
        limits = (0.01, 9.0) if kind in ("SQRT", "RSQRT", "LOG") else (-6.0, 6.0)
        for shape in ((1, 7), (2, 3, 1, 5)):
            yield unary(kind, "float32", shape, oracles, options=options, limits=limits)
    yield from rounding()
    for kind, dtype in (("NEG", "int32"), ("NEG", "int64"), ("ABS", "int32"), ("SIGN", "int32")):
        yield unary(kind, dtype, (1, 3, 5), LITERT, options=(plain[kind], {}) if kind in plain else None)
    for kind in ("RELU_0_TO_1", "RELU_N1_TO_1", "GELU", "ELU", "HARD_SWISH", "LOGISTIC", "TANH"):
        oracles = {"ELU": (*OPT, "tflm"), "HARD_SWISH": TFLITE, "LOGISTIC": TFLITE, "TANH": TFLITE}.get(kind, LITERT)
        yield unary(kind, "float32", (1, 4, 7), oracles, tolerance=1e-5 if kind != "GELU" else 1e-4)
    for approximate in (False, True):
        options = ("GeluOptions", {"Approximate": approximate})
        name = "by tanh" if approximate else "exact"
        yield unary("GELU", "int8", (1, 4, 70), LITERT, A8, (0.03, -90), options=options, name=name)


def rounding() -> Iterator[Case]:
    """Ties: halves on both sides of zero."""
    for kind in ("FLOOR", "CEIL", "ROUND"):
        oracles = TFLITE if kind == "FLOOR" else (*OPT, "tflm")

        def model(kind: str = kind) -> bytes:
            return Net([port((1, 16), "float32", "x"), port((1, 16), "float32", "y")], [Op(kind, [0], [1])]).bytes()

        def feeds() -> list[Array]:
            return [(np.arange(SAMPLES * 16).reshape(SAMPLES, 16) / 2 - 8).astype(np.float32)]

        yield Case(kind, "tflite", "float32", "halves", model, feeds, oracles)


def quantized_functions() -> Iterator[Case]:
    fixed8: dict[str, Quant] = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
    for kind in ("LOGISTIC", "TANH"):
        for scale in (0.04, 0.003):
            yield unary(kind, "int8", (1, 3, 50), TFLITE, (scale, 4), fixed8[kind], name=f"scale {scale}")
        for scale in (0.0003, 1 / 4096, 0.00007):
            yield unary(kind, "int16", (1, 3, 50), TFLITE, (scale, 0), (1 / 32768, 0), name=f"scale {scale:.5f}")
    for kind in ("RELU_0_TO_1", "RELU_N1_TO_1"):
        yield unary(kind, "int8", (1, 3, 50), LITERT, (0.02, -3), (0.013, -60))
        yield unary(kind, "int8", (1, 4, 8), LITERT, (0.02, -3), (0.02, -3), name="one scale")
    yield unary("ABS", "int8", (1, 3, 50), TFLITE, A8, (0.02, -128), options=("AbsOptions", {}))
    yield unary("ABS", "int16", (1, 3, 50), TFLITE, A16, (0.0013, 0), options=("AbsOptions", {}))
    yield unary("ELU", "int8", (1, 3, 50), (*OPT, "tflm"), A8, (0.03, -90))
    yield unary("HARD_SWISH", "int8", (1, 3, 50), TFLITE, A8, (0.03, -90), options=("HardSwishOptions", {}))
    for kind, y8, y16 in (("EXP", (0.3, -128), (0.0005, 0)), ("LOG", (0.02, 20), (0.0002, 0))):
        options = ("ExpOptions", {}) if kind == "EXP" else None
        yield unary(kind, "int8", (1, 3, 50), LITERT, A8, y8, options=options)
        yield unary(kind, "int16", (1, 3, 50), LITERT, (0.0001, 0), y16, options=options)
    yield unary("GELU", "int16", (1, 3, 50), LITERT, (0.0001, 0), (0.0001, 0), options=("GeluOptions", {"Approximate": True}))
    yield unary("RSQRT", "int8", (1, 3, 50), TFLITE, (0.03, -128), (0.02, -128), limits=(-127, 127))
    yield unary("SQRT", "int8", (1, 3, 50), LITERT, (0.03, -20), (0.02, -100), limits=(-20, 127))
    yield unary("SQRT", "int16", (1, 3, 50), LITERT, (0.0003, 0), (0.0001, 0), limits=(0, 32767))
    yield unary("NEG", "int8", (1, 3, 50), LITERT, (0.03, 0), (0.03, 0), options=("NegOptions", {}))
    yield unary("NEG", "int16", (1, 3, 50), LITERT, (0.0003, 0), (0.0003, 0), options=("NegOptions", {}))


def normalizations() -> Iterator[Case]:
    for shape in ((1, 5), (2, 3, 4), (1, 2, 3, 17)):
        yield unary("L2_NORMALIZATION", "float32", shape, TFLITE, options=("L2NormOptions", {}))
        yield unary("L2_NORMALIZATION", "int8", shape, TFLITE, A8, (1 / 128, 0), options=("L2NormOptions", {}))
    yield unary("L2_NORMALIZATION", "int8", (1, 300), TFLITE, (0.5, -90), (1 / 128, 0), options=("L2NormOptions", {}))
    for radius, beta in ((1, 0.5), (2, 0.75), (5, 1.0)):
        values = {"Radius": radius, "Bias": 1.3, "Alpha": 0.4, "Beta": beta}
        options = ("LocalResponseNormalizationOptions", values)
        # LiteRT's reference kernel leaves the last channel of every window out.
        yield unary("LOCAL_RESPONSE_NORMALIZATION", "float32", (1, 2, 3, 7), OPT, options=options, name=f"radius {radius}")
    for shape in ((1, 5), (2, 3, 4), (1, 2, 3, 17)):
        options = ("SoftmaxOptions", {"Beta": 1.0})
        yield unary("SOFTMAX", "float32", shape, TFLITE, options=options)
        yield unary("SOFTMAX", "int8", shape, TFLITE, A8, (1 / 256, -128), options=options)
        yield unary("SOFTMAX", "int16", shape, TFLITE, A16, (1 / 32768, 0), options=options)
        yield unary("LOG_SOFTMAX", "float32", shape, TFLITE, options=("LogSoftmaxOptions", {}))
        yield unary("LOG_SOFTMAX", "int8", shape, TFLITE, A8, (1 / 16, 127), options=("LogSoftmaxOptions", {}))


def sums() -> Iterator[Case]:
    for dtype, oracles, x, y in (
        ("float32", TFLITE, None, None), ("int32", LITERT, None, None), ("int8", ("tflm",), (0.03, 5), (0.08, -9)),
    ):  # fmt: skip
        for count in (2, 3, 5):
            shape: Shape = (1, 3, 5)

            def model(dtype: str = dtype, count: int = count, x: Quant = x, y: Quant = y, shape: Shape = shape) -> bytes:
                tensors = [port(shape, dtype, f"x{i}", x) for i in range(count)]
                op = Op("ADD_N", list(range(count)), [count], ("AddNOptions", {}))
                return Net([*tensors, port(shape, dtype, "y", y)], [op], inputs=tuple(range(count))).bytes()

            def feeds(dtype: str = dtype, count: int = count, shape: Shape = shape) -> list[Array]:
                return [numbers(("ADD_N", i), (SAMPLES, *shape[1:]), dtype) for i in range(count)]

            yield Case("ADD_N", "tflite", dtype, f"{count} inputs", model, feeds, oracles)
