"""ONNX operators element by element: arithmetic, functions, activations, comparisons, logic, types."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import TensorProto

from tests.operators.case import Case
from tests.operators.onnx_nets import Fed, case, floats, ints, node

SHAPE = ("N", 3, 5)
IMAGE = ("N", 3, 4, 5)
MS = "com.microsoft"


def _binary() -> Iterator[Case]:
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"):
        low = 0.5 if op in ("Pow", "Div") else -1.0
        pair = {"x": Fed(SHAPE, low=low, high=2.0), "z": Fed(SHAPE, low=low, high=2.0)}
        yield case(op, "two values", [node(op, "x z")], pair)
        wide = {"x": Fed(SHAPE, low=low, high=2.0), "z": Fed(("N", 1, 5), low=low, high=2.0)}
        yield case(op, "broadcast", [node(op, "z x")], wide)
        yield case(op, "constant per channel", [node(op, "x c")], {"x": Fed(IMAGE, low=low)}, {"c": floats(3, 1, 1, low=0.5)})
        yield case(op, "constant first", [node(op, "c x")], {"x": Fed(SHAPE, low=0.5)}, {"c": floats(5, low=0.5)})
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min"):
        whole = {"x": Fed(SHAPE, "int64", -50, 50), "z": Fed(SHAPE, "int64", 1, 9)}
        yield case(op, "integers", [node(op, "x z")], whole, outputs={"y": "int64"})
    yield case("Mod", "integers", [node("Mod", "x z")], {"x": Fed(SHAPE, "int64", -50, 50), "z": Fed(SHAPE, "int64", 1, 9)},
               outputs={"y": "int64"})  # fmt: skip
    for exponent in (2.0, 0.5, -1.0, 3.0):
        yield case(
            "Pow", f"to {exponent}", [node("Pow", "x c")], {"x": Fed(SHAPE, low=0.2, high=2.0)}, {"c": np.float32(exponent)}
        )
    for op in ("Sum", "Mean", "Max", "Min"):
        yield case(op, "three operands", [node(op, "x c z")], {"x": SHAPE, "z": SHAPE}, {"c": floats(1, 5)})


def _unary() -> Iterator[Case]:
    ranges = {"Log": (0.1, 3.0), "Sqrt": (0.0, 3.0), "Reciprocal": (0.3, 2.0)}
    ops = (
        "Abs", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Erf", "Relu", "Sigmoid",
        "Tanh", "Softplus", "Softsign", "HardSwish", "Mish",
    )  # fmt: skip
    for op in ops:
        low, high = ranges.get(op, (-4.0, 4.0))
        yield case(op, "vector", [node(op, "x")], {"x": Fed(SHAPE, low=low, high=high)}, opset=18)
    yield case("Round", "ties", [node("Mul", "x c", "a"), node("Round", "a")], {"x": Fed(SHAPE, low=-4.0, high=4.0)},
               {"c": np.float32(0.5)})  # fmt: skip
    parametric = {
        "Elu": {"alpha": 0.7}, "Celu": {"alpha": 1.5}, "Selu": {"alpha": 1.5, "gamma": 1.2}, "LeakyRelu": {"alpha": 0.2},
        "ThresholdedRelu": {"alpha": 0.4}, "HardSigmoid": {"alpha": 0.3, "beta": 0.4}, "Shrink": {"lambd": 0.3, "bias": 0.1},
    }  # fmt: skip
    for op, attrs in parametric.items():
        for name, given in (("defaults", {}), ("parameters", attrs)):
            yield case(op, name, [node(op, "x", **given)], {"x": Fed(IMAGE, low=-3.0, high=3.0)})
    yield case(
        "HardSigmoid",
        "of MobileNetV3",
        [node("HardSigmoid", "x", alpha=1 / 6, beta=0.5)],
        {"x": Fed(SHAPE, low=-4.0, high=4.0)},
    )
    for kind in ("none", "tanh"):
        yield case("Gelu", kind, [node("Gelu", "x", approximate=kind)], {"x": Fed(SHAPE, low=-4.0, high=4.0)}, opset=20)
    yield case(
        "Swish", "sigmoid times x", [node("Sigmoid", "x", "s"), node("Mul", "x s")], {"x": Fed(SHAPE, low=-4.0, high=4.0)}
    )
    for name, slope in (("one slope", (1,)), ("per channel", (3, 1, 1)), ("per element", (3, 4, 5)), ("last axis", (5,))):
        yield case("PRelu", name, [node("PRelu", "x s")], {"x": IMAGE}, {"s": floats(*slope)})
    yield case("Gelu", "of its parts", _gelu_parts(), {"x": Fed(SHAPE, low=-3.0, high=3.0)},
               {"r": np.float32(np.sqrt(2.0)), "one": np.float32(1), "h": np.float32(0.5)})  # fmt: skip
    for op in ("Gelu", "FastGelu", "QuickGelu"):
        yield case(f"{MS} {op}", "values", [node(op, "x", domain=MS)], {"x": Fed(SHAPE, low=-4.0, high=4.0)}, tolerance=2e-5)
    for op in ("BiasGelu", "FastGelu"):
        yield case(f"{MS} {op}", "bias", [node(op, "x b", domain=MS)], {"x": Fed(SHAPE, low=-4.0, high=4.0)}, {"b": floats(5)},
                   tolerance=2e-5)  # fmt: skip


def _gelu_parts() -> list:
    return [
        node("Div", "x r", "a"), node("Erf", "a", "b"), node("Add", "b one", "c"), node("Mul", "x c", "d"), node("Mul", "d h"),
    ]  # fmt: skip


def _clips() -> Iterator[Case]:
    x = {"x": Fed(SHAPE, low=-3.0, high=8.0)}
    bounds = {"lo": np.float32(-1), "hi": np.float32(2.5)}
    yield case("Clip", "both", [node("Clip", "x lo hi")], x, bounds)
    yield case("Clip", "low", [node("Clip", "x lo")], x, bounds)
    yield case("Clip", "high", [node("Clip", "x _ hi")], x, bounds)
    yield case("Clip", "attributes", [node("Clip", "x", min=0.0, max=6.0)], x, opset=9)
    yield case("Clip", "integers", [node("Clip", "x lo hi")], {"x": Fed(SHAPE, "int64", -9, 9)},
               {"lo": np.int64(-3), "hi": np.int64(4)}, {"y": "int64"})  # fmt: skip


def _logic() -> Iterator[Case]:
    for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
        for dtype in ("float32", "int64", "int32"):
            fed = Fed(SHAPE, dtype, -2, 3)
            nodes = [node(op, "x z", "b"), node("Cast", "b", to=TensorProto.FLOAT)]
            if dtype == "float32":  # some are equal
                nodes = [node("Round", "x", "r"), node("Round", "z", "t"), node(op, "r t", "b"), *nodes[1:]]
            yield case(op, "two values", nodes, {"x": fed, "z": fed}, types=dtype)
        nodes = [node("Round", "x", "r"), node(op, "r c")]
        yield case(op, "constant", nodes, {"x": Fed(SHAPE)}, {"c": np.float32(0)}, {"y": "bool"})
    for op in ("And", "Or", "Xor"):
        yield case(
            op, "two values", [node(op, "x z")], {"x": Fed(SHAPE, "bool"), "z": Fed(SHAPE, "bool")}, outputs={"y": "bool"}
        )
        yield case(op, "broadcast", [node(op, "x c")], {"x": Fed(SHAPE, "bool")}, {"c": np.eye(3, 5) > 0}, {"y": "bool"})
    yield case("Not", "values", [node("Not", "x")], {"x": Fed(SHAPE, "bool")}, outputs={"y": "bool"})
    for name, shape in (("equal shapes", SHAPE), ("broadcast", ("N", 1, 5))):
        yield case(
            "Where",
            name,
            [node("Where", "c x z")],
            {"c": Fed(shape, "bool"), "x": Fed(SHAPE), "z": Fed(SHAPE)},
            types="float32",
        )
    yield case("Where", "masked scores", [node("Where", "c x z"), node("Softmax", "y", "s", axis=-1)],
               {"x": Fed(SHAPE)}, {"c": np.tri(3, 5) > 0, "z": np.float32(-np.inf)}, {"s": "float32"})  # fmt: skip
    yield case("Where", "integers", [node("Where", "c x z")], {"c": Fed(SHAPE, "bool"), "x": Fed(SHAPE, "int64", -9, 9)},
               {"z": np.int64(7)}, {"y": "int64"}, types="int64")  # fmt: skip
    yield case("Where", "two constants", [node("Where", "c x z")], {"c": Fed(SHAPE, "bool")},
               {"x": np.float32(1.5), "z": np.float32(-2)}, types="bool")  # fmt: skip
    for dtype, to in (("float32", "int64"), ("float32", "int32"), ("float32", "bool"), ("int64", "float32"), ("bool", "float32"),
                      ("int32", "int64"), ("int64", "int32"), ("bool", "int64"), ("uint8", "float32"), ("int64", "bool")):  # fmt: skip
        code = {"int64": 7, "int32": 6, "bool": 9, "float32": 1}[to]
        nodes = (
            [node("Round", "x", "r"), node("Cast", "r", to=code)]
            if to == "bool" and dtype == "float32"
            else [node("Cast", "x", to=code)]
        )
        yield case("Cast", f"to {to}", nodes, {"x": Fed(SHAPE, dtype, 0 if dtype == "uint8" else -5, 6)},
                   outputs={"y": to})  # fmt: skip
    yield case("IsNaN", "values", [node("Log", "x", "a"), node("IsNaN", "a")], {"x": Fed(SHAPE)}, outputs={"y": "bool"})
    yield case("IsInf", "values", [node("Div", "x z", "a"), node("IsInf", "a")], {"x": Fed(SHAPE, low=0.5)},
               {"z": np.array([0, 1, 0, 1, 1], np.float32)}, {"y": "bool"})  # fmt: skip
    yield case("Identity", "integers", [node("Identity", "x", "a"), node("Add", "a c")], {"x": Fed(SHAPE, "int64", -9, 9)},
               {"c": ints(1)}, {"y": "int64"})  # fmt: skip


def cases() -> Iterator[Case]:
    yield from _binary()
    yield from _unary()
    yield from _clips()
    yield from _logic()
