"""Quantized ONNX operators: QLinear operators of a file, bytes in and bytes out, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tests.operators.case import Case
from tests.operators.quant_nets import MICROSOFT, Net, integers, quant, rng

KINDS = {"uint8": np.uint8, "int8": np.int8}


def cases() -> Iterator[Case]:
    yield from _unary()
    yield from _pairs()
    yield from _convolutions()
    yield from _products()
    yield from _concat()
    yield from _where()


def _case(
    op: str, types: str, name: str, model: Callable[[], bytes], shapes: Sequence[Sequence[int]], kinds: Sequence[Any]
) -> Case:
    def feeds() -> list[Any]:
        return [integers(rng(op, name, i), (3 * s[0], *s[1:]), k) for i, (s, k) in enumerate(zip(shapes, kinds, strict=True))]

    return Case(op, "onnx", types, name, model, feeds, ("onnxruntime",))


UNARY: list[tuple[str, str, tuple[int, ...], dict[str, Any]]] = [
    ("QLinearSigmoid", "4 axes", (1, 3, 8, 16), {}),
    ("QLinearSigmoid", "2 axes", (1, 256), {}),
    ("QLinearLeakyRelu", "alpha 0.1", (1, 3, 8, 16), {"alpha": 0.1}),
    ("QLinearLeakyRelu", "alpha 2", (2, 64), {"alpha": 2.0}),
    ("QLinearSoftmax", "last axis", (1, 5, 7), {"axis": -1, "opset": 13}),
    ("QLinearSoftmax", "axis 1", (1, 5, 3, 4), {"axis": 1, "opset": 13}),
    ("QLinearSoftmax", "taken together", (1, 5, 3), {"axis": 1, "opset": 12}),
    ("QLinearAveragePool", "2x2", (1, 3, 8, 8), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("QLinearAveragePool", "3x3 pads", (1, 4, 7, 9), {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [1, 1, 1, 1]}),
    (
        "QLinearAveragePool",
        "pads counted",
        (1, 4, 7, 9),
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ),
    ("QLinearAveragePool", "ceil", (1, 2, 7, 7), {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("QLinearAveragePool", "whole image", (1, 5, 6, 6), {"kernel_shape": [6, 6]}),
    ("QLinearAveragePool", "1-D", (1, 3, 12), {"kernel_shape": [3], "strides": [2]}),
    ("QLinearGlobalAveragePool", "image", (1, 7, 6, 5), {}),
    ("QLinearGlobalAveragePool", "batch 2", (2, 3, 4, 4), {}),
]


def _unary() -> Iterator[Case]:
    for op, name, shape, attrs in UNARY:
        for types, kind in KINDS.items():

            def model(op: str = op, shape: Any = shape, attrs: Any = attrs, kind: Any = kind, name: str = name) -> bytes:
                net, g = Net(), rng(op, name)
                sy, zy = quant(g, kind)
                if op == "QLinearSoftmax":
                    sy, zy = np.float32(1 / 255), kind(np.iinfo(kind).min)
                sx, zx = quant(g, kind)
                if "Pool" in op:
                    sy, zy = np.float32(sx * 0.5), zx  # means are near the middle of the bytes; halves meet ties
                extra = {"channels_last": 0} if "Pool" in op else {}
                y = net.node(op, ["x", *net.pair(sx, zx), *net.pair(sy, zy)], MICROSOFT, **attrs, **extra)
                return net.bytes({"x": (kind, shape)}, {y: kind})

            yield _case(op, types, name, model, [shape], [kind])


PAIRS: list[tuple[str, tuple[int, ...], tuple[int, ...] | None, tuple[int, ...] | None]] = [
    ("equal", (1, 3, 8, 16), (1, 3, 8, 16), None), ("2 axes", (1, 64), (1, 64), None),
    ("channel", (1, 3, 8, 16), None, (3, 1, 1)), ("scalar", (1, 3, 4, 5), None, ()), ("row", (1, 6, 10), None, (10,)),
    ("per sample", (1, 4, 5, 5), (1, 4, 1, 1), None),
]  # fmt: skip


def _pairs() -> Iterator[Case]:
    for op in ("QLinearAdd", "QLinearMul"):
        for name, a, b, c in PAIRS:
            for types, kind in KINDS.items():
                for first in (True, False) if a != b else (True,):

                    def model(op: str = op, a: Any = a, b: Any = b, c: Any = c, kind: Any = kind, first: bool = first) -> bytes:
                        net, g = Net(), rng(op, *a)
                        other = "b" if c is None else net.const(integers(g, c or (2,), kind)[: c and None] if c else kind(77))
                        (sa, za), (sb, zb) = quant(g, kind), quant(g, kind)
                        zb = kind(70) if c == () else zb  # else the scalar decides alone
                        sides = [["a", *net.pair(sa, za)], [other, *net.pair(sb, zb)]]
                        left, right = sides if first else sides[::-1]
                        sy = np.float32(sa + sb if op == "QLinearAdd" else sa * sb * 90)
                        zy = kind(g.integers(100, 156) + np.iinfo(kind).min)
                        y = net.node(op, [*left, *right, *net.pair(sy, zy)], MICROSOFT)
                        inputs = {"a": (kind, a), **({} if b is None else {"b": (kind, b)})}
                        return net.bytes(inputs, {y: kind})

                    shapes = [a] if b is None else [a, b]
                    yield _case(op, types, f"{name}{'' if first else ' first'}", model, shapes, [kind] * len(shapes))


CONV: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("3x3", (1, 4, 9, 7), (6, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    ("1x1", (1, 5, 4, 4), (7, 5, 1, 1), {}),
    ("stride dilation", (1, 3, 11, 12), (5, 3, 3, 2), {"strides": [2, 1], "dilations": [1, 2], "pads": [0, 1, 1, 0]}),
    ("depthwise", (1, 6, 8, 8), (6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    ("two per channel", (1, 4, 8, 8), (8, 1, 3, 3), {"group": 4}),
    ("groups", (1, 6, 7, 7), (4, 3, 3, 3), {"group": 2}),
    ("1-D", (1, 4, 16), (5, 4, 3), {"strides": [2]}),
    ("same", (2, 3, 8, 9), (4, 3, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
]
WEIGHTS: list[tuple[str, Any, Any, bool, bool]] = [
    ("u8s8", np.uint8, np.int8, False, False), ("u8s8 per channel", np.uint8, np.int8, True, False),
    ("u8u8", np.uint8, np.uint8, False, True), ("s8s8 per channel", np.int8, np.int8, True, False),
]  # fmt: skip
"""Name, types of activations and weights, scales per channel, weights with a zero point."""


def _weights(
    net: Net, g: np.random.Generator, shape: Sequence[int], channels: int, spec: tuple[str, Any, Any, bool, bool]
) -> list[str]:
    _, _, kind, many, shifted = spec
    limits = np.iinfo(kind)
    w = g.integers(limits.min + (limits.min < 0), limits.max + 1, tuple(shape)).astype(kind)
    count = channels if many else ()
    scale = np.exp(g.uniform(-8, -5, count)).astype(np.float32)
    zero = g.integers(90, 160, count).astype(kind) if shifted else np.zeros(count, kind)
    return [net.const(w), net.const(scale), net.const(zero)]


def _convolutions() -> Iterator[Case]:
    for name, shape, w, attrs in CONV:
        for spec in WEIGHTS:
            kind = spec[1]

            def model(
                name: str = name, shape: Any = shape, w: Any = w, attrs: Any = attrs, spec: Any = spec, kind: Any = kind
            ) -> bytes:
                net, g = Net(), rng(name, spec[0])
                sx, zx = quant(g, kind)
                weights = _weights(net, g, w, w[0], spec)
                sy, zy = np.float32(sx * 0.9), quant(g, kind)[1]
                bias = [net.const(g.integers(-20000, 20000, w[0]).astype(np.int32))] if len(w) == 4 else []
                y = net.node("QLinearConv", ["x", *net.pair(sx, zx), *weights, *net.pair(sy, zy), *bias], **attrs)
                return net.bytes({"x": (kind, shape)}, {y: kind})

            yield _case("QLinearConv", spec[0].split()[0], f"{name} {spec[0]}", model, [shape], [kind])


def _products() -> Iterator[Case]:
    for spec in WEIGHTS:
        kind = spec[1]
        for name, a in (("2 axes", (1, 24)), ("3 axes", (1, 5, 24)), ("batch 2", (2, 3, 24))):

            def matmul(a: Any = a, spec: Any = spec, kind: Any = kind, name: str = name) -> bytes:
                net, g = Net(), rng(name, spec[0])
                sx, zx = quant(g, kind)
                weights = _weights(net, g, (24, 10), 10, spec)
                y = net.node(
                    "QLinearMatMul", ["x", *net.pair(sx, zx), *weights, *net.pair(np.float32(sx * 0.5), quant(g, kind)[1])]
                )
                return net.bytes({"x": (kind, a)}, {y: kind})

            yield _case("QLinearMatMul", spec[0].split()[0], f"{name} {spec[0]}", matmul, [a], [kind])
        for name, flipped, real in (("bias", True, False), ("transB 0", False, False), ("float output", True, True)):

            def gemm(flipped: bool = flipped, real: bool = real, spec: Any = spec, kind: Any = kind, name: str = name) -> bytes:
                net, g = Net(), rng(name, spec[0])
                sx, zx = quant(g, kind)
                weights = _weights(net, g, (9, 31) if flipped else (31, 9), 9, spec)
                result = [] if real else net.pair(np.float32(sx * 0.5), quant(g, kind)[1])
                bias = net.const(g.integers(-9000, 9000, 9).astype(np.int32))
                y = net.node("QGemm", ["x", *net.pair(sx, zx), *weights, bias, *result], MICROSOFT, transB=int(flipped))
                return net.bytes({"x": (kind, (1, 31))}, {y: np.float32 if real else kind})

            yield _case("QGemm", spec[0].split()[0], f"{name} {spec[0]}", gemm, [(1, 31)], [kind])
    for types, kind in KINDS.items():
        for name, a, b in (("activations", (1, 2, 5, 8), (1, 2, 8, 6)), ("one matrix", (1, 7, 8), (1, 8, 3))):

            def both(a: Any = a, b: Any = b, kind: Any = kind, name: str = name) -> bytes:
                net, g = Net(), rng(name, np.dtype(kind).name)
                (sa, za), (sb, zb) = quant(g, kind), quant(g, kind)
                inputs = [
                    "a",
                    *net.pair(sa, za),
                    "b",
                    *net.pair(sb, zb),
                    *net.pair(np.float32(sa * sb * 60), quant(g, kind)[1]),
                ]
                return net.bytes({"a": (kind, a), "b": (kind, b)}, {net.node("QLinearMatMul", inputs): kind})

            yield _case("QLinearMatMul", types, name, both, [a, b], [kind, kind])

    def to_float() -> bytes:
        net, g = Net(), rng("to float")
        names = [net.const(integers(g, (16, 6), np.int8)), net.const(np.float32(0.02)), net.const(np.float32(0.003))]
        zeros = [net.const(np.uint8(117)), net.const(np.int8(0))]
        bias = net.const(g.standard_normal(6).astype(np.float32))
        y = net.node("MatMulIntegerToFloat", ["x", names[0], names[1], names[2], *zeros, bias], MICROSOFT)
        return net.bytes({"x": (np.uint8, (1, 4, 16))}, {y: np.float32})

    yield _case("MatMulIntegerToFloat", "u8s8", "bias", to_float, [(1, 4, 16)], [np.uint8])


def _concat() -> Iterator[Case]:
    for types, kind in KINDS.items():
        for name, shapes, axis in (
            ("channels", [(1, 3, 4, 4), (1, 2, 4, 4)], 1),
            ("3 rows", [(1, 4), (1, 5), (1, 6)], 1),
            ("axis 2", [(1, 2, 3), (1, 2, 5)], 2),
        ):

            def model(shapes: Any = shapes, axis: int = axis, kind: Any = kind, name: str = name) -> bytes:
                net, g = Net(), rng(name)
                parts = [x for i in range(len(shapes)) for x in (f"x{i}", *net.pair(*quant(g, kind)))]
                y = net.node("QLinearConcat", [*net.pair(*quant(g, kind)), *parts], MICROSOFT, axis=axis)
                return net.bytes({f"x{i}": (kind, s) for i, s in enumerate(shapes)}, {y: kind})

            yield _case("QLinearConcat", types, name, model, shapes, [kind] * len(shapes))


def _where() -> Iterator[Case]:
    for types, kind in KINDS.items():

        def model(kind: Any = kind) -> bytes:
            net, g = Net(), rng("where")
            parts = ["a", *net.pair(*quant(g, kind)), "b", *net.pair(*quant(g, kind)), *net.pair(*quant(g, kind))]
            y = net.node("QLinearWhere", [net.const(np.arange(12).reshape(1, 3, 4) % 3 == 0), *parts], MICROSOFT)
            return net.bytes({"a": (kind, (1, 3, 4)), "b": (kind, (1, 3, 4))}, {y: kind})

        yield _case("QLinearWhere", types, "equal", model, [(1, 3, 4), (1, 3, 4)], [kind, kind])
