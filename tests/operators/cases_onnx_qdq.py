"""Operators between DequantizeLinear and QuantizeLinear: what ONNX Runtime fuses and what it leaves in floats, against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tests.operators.case import Case
from tests.operators.quant_nets import Net, integers, onnx, rng

Body = Callable[[Net, str], str]
INT4, UINT4 = onnx.TensorProto.INT4, onnx.TensorProto.UINT4
U8, S8 = np.uint8, np.int8


def _floats(op: str, name: str, shape: Sequence[int]) -> Callable[[], list[Any]]:
    return lambda: [(2.0 * rng(op, name).standard_normal((3 * shape[0], *shape[1:]))).astype(np.float32)]


def _net(
    op: str,
    types: str,
    name: str,
    shape: Sequence[int],
    body: Body,
    opset: int = 17,
    real: bool = False,
    tolerance: float = 1e-6,
) -> Case:
    """x float -> Q -> DQ -> body -> Q -> output integers (real: output of the body)."""

    def model() -> bytes:
        net = Net(opset)
        y = body(net, "x")
        return net.bytes({"x": (np.float32, shape)}, {y: np.float32 if real else _kind(types)})

    return Case(op, "onnx", types, name, model, _floats(op, name, shape), ("onnxruntime",), tolerance)


def _kind(types: str) -> Any:
    return S8 if types.startswith("s8") or types == "int8" else U8


def cases() -> Iterator[Case]:
    yield from _fused()
    yield from _unfused()
    yield from _weights()
    yield from _moved()
    yield from _wide()
    yield from _ends()


def _weight(net: Net, g: np.random.Generator, shape: Sequence[int], kind: Any, axis: int | None) -> str:
    """Return dequantized constant weights: per tensor (axis None) or per channel."""
    stored = integers(g, shape, kind)
    count = () if axis is None else shape[axis]
    scale = np.exp(g.uniform(-6, -4, count)).astype(np.float32)
    zero = np.zeros(count, kind) if kind == S8 else np.full(count, 128, kind)
    return net.node(
        "DequantizeLinear", [net.const(stored), net.const(scale), net.const(zero)], **({} if axis is None else {"axis": axis})
    )


def _fused() -> Iterator[Case]:
    shape = (1, 4, 6, 6)
    for types, kind, w_kind in (("u8s8", U8, S8), ("u8u8", U8, U8), ("s8s8", S8, S8)):
        zero, low = kind(3 if kind == S8 else 130), np.iinfo(kind).min

        def conv(
            net: Net,
            x: str,
            axis: int | None,
            relu: str,
            bias: bool,
            kind: Any = kind,
            w_kind: Any = w_kind,
            zero: Any = zero,
            low: int = low,
        ) -> str:
            g = rng("conv", relu)
            parts = [net.qdq(x, 0.03, zero), _weight(net, g, (5, 4, 3, 3), w_kind, axis)]
            y = net.node("Conv", [*parts, *([net.const(g.standard_normal(5).astype(np.float32))] if bias else [])])
            if relu == "implied":
                return net.q(net.node("Relu", [y]), 0.05, kind(low))
            if relu == "not implied":
                return net.q(net.node("Relu", [y]), 0.05, zero)
            if relu == "clip":
                return net.q(net.node("Clip", [y, net.const(np.float32(-50)), net.const(np.float32(60))]), 0.05, zero)
            return net.q(y, 0.05, zero)

        for name, axis, relu, bias in (
            ("plain", None, "", False),
            ("per channel float bias", 0, "", True),
            ("relu", None, "implied", True),
            ("relu kept", None, "not implied", True),
            ("clip", 0, "clip", False),
        ):

            def body(net: Net, x: str, conv: Any = conv, axis: Any = axis, relu: str = relu, bias: bool = bias) -> str:
                return conv(net, x, axis, relu, bias)

            yield _net("Conv", types, name, shape, body)

        def gemm(net: Net, x: str, kind: Any = kind, w_kind: Any = w_kind, zero: Any = zero) -> str:
            g = rng("gemm")
            bias = net.const(g.integers(-4000, 4000, 7).astype(np.int32))
            b = net.node("DequantizeLinear", [bias, net.const(np.float32(0.03 * 0.01)), net.const(np.int32(0))])
            return net.q(
                net.node("Gemm", [net.qdq(x, 0.03, zero), _weight(net, g, (7, 20), w_kind, None), b], transB=1), 0.1, zero
            )

        yield _net("Gemm", types, "bias", (1, 20), gemm)

        def matmul(net: Net, x: str, kind: Any = kind, w_kind: Any = w_kind, zero: Any = zero) -> str:
            return net.q(net.node("MatMul", [net.qdq(x, 0.03, zero), _weight(net, rng("mm"), (20, 6), w_kind, 1)]), 0.1, zero)

        yield _net("MatMul", types, "per channel", (1, 3, 20), matmul)

        def to_float(net: Net, x: str, kind: Any = kind, w_kind: Any = w_kind, zero: Any = zero) -> str:
            return net.node("MatMul", [net.qdq(x, 0.03, zero), _weight(net, rng("mf"), (20, 6), w_kind, None)])

        yield _net("MatMul", types, "float output", (1, 3, 20), to_float, real=True)

        def with_add(net: Net, x: str, kind: Any = kind, w_kind: Any = w_kind, zero: Any = zero) -> str:
            g = rng("ma")
            y = net.node("MatMul", [net.qdq(x, 0.03, zero), _weight(net, g, (20, 6), w_kind, None)])
            return net.q(net.node("Add", [y, net.const(g.standard_normal(6).astype(np.float32))]), 0.1, zero)

        yield _net("MatMul", types, "then Add", (1, 20), with_add)
        for op in ("Add", "Mul", "Sub", "Div"):

            def two(net: Net, x: str, op: str = op, kind: Any = kind, zero: Any = zero) -> str:
                other = net.dq(net.const(integers(rng(op), (4, 1, 1), kind)), 0.02, zero)
                return net.q(net.node(op, [net.qdq(x, 0.03, zero), other]), 0.04, zero)

            yield _net(op, types, "constant", shape, two)


def _unfused() -> Iterator[Case]:
    shape = (1, 3, 5, 5)
    for op, attrs in (
        ("Relu", {}), ("Sigmoid", {}), ("Tanh", {}), ("LeakyRelu", {"alpha": 0.2}), ("HardSigmoid", {}), ("HardSwish", {}), ("Elu", {}),
        ("Softmax", {"axis": 1}), ("GlobalAveragePool", {}), ("AveragePool", {"kernel_shape": [2, 2]}),
        ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}), ("Exp", {}), ("Abs", {}), ("Neg", {}),
    ):  # fmt: skip
        for types, kind in (("uint8", U8), ("int8", S8)):

            def body(net: Net, x: str, op: str = op, attrs: Any = attrs, kind: Any = kind) -> str:
                zero = kind(100 if kind == U8 else -28)
                return net.q(net.node(op, [net.qdq(x, 0.03, zero)], **attrs), 0.021, zero)

            yield _net(op, types, "between DQ and Q", shape, body)

    def twice(net: Net, x: str) -> str:
        g = rng("twice")
        y = net.node("Conv", [net.qdq(x, 0.03, U8(120)), _weight(net, g, (5, 3, 3, 3), S8, 0)])
        return net.q(net.node("Add", [net.dq(net.q(y, 0.05, U8(99)), 0.05, U8(99)), y]), 0.1, U8(99))

    yield _net("Conv", "u8s8", "read twice", shape, twice)

    def two_scales(net: Net, x: str) -> str:
        y = net.node("Conv", [net.qdq(x, 0.03, U8(120)), _weight(net, rng("scales"), (5, 3, 3, 3), S8, 0)])
        a, b = net.qdq(y, 0.05, U8(99)), net.qdq(y, 0.07, U8(80))
        return net.q(net.node("Add", [a, b]), 0.1, U8(99))

    yield _net("Conv", "u8s8", "two scales", shape, two_scales)

    def same_scales(net: Net, x: str) -> str:
        y = net.node("Conv", [net.qdq(x, 0.03, U8(120)), _weight(net, rng("scales"), (5, 3, 3, 3), S8, 0)])
        a, b = net.qdq(y, 0.05, U8(99)), net.node("Relu", [net.qdq(y, 0.05, U8(99))])
        return net.q(net.node("Add", [a, b]), 0.1, U8(99))

    yield _net("Conv", "u8s8", "two equal Q", shape, same_scales)

    def pairs(net: Net, x: str) -> str:
        return net.q(
            net.node("Mul", [net.qdq(net.qdq(x, 0.03, U8(120)), 0.02, U8(90)), net.qdq(x, 0.01, U8(128))]), 0.02, U8(100)
        )

    yield _net("Mul", "uint8", "double pair", shape, pairs)


def _weights() -> Iterator[Case]:
    """Weights below 8 bits and in blocks are real numbers behind their DequantizeLinear."""
    for name, code, blocked in (
        ("int4", INT4, False),
        ("uint4", UINT4, False),
        ("int4 blocks", INT4, True),
        ("uint4 blocks", UINT4, True),
    ):

        def body(net: Net, x: str, code: int = code, blocked: bool = blocked, name: str = name) -> str:
            g = rng(name)
            low, high = (-8, 8) if code == INT4 else (0, 16)
            w = net.const(g.integers(low, high, (32, 6)), code)
            count = (2, 6) if blocked else (6,)
            scale = net.const(np.exp(g.uniform(-3, -2, count)).astype(np.float32))
            zero = net.const(g.integers(low, high, count), code)
            attrs = {"axis": 0, "block_size": 16} if blocked else {"axis": 1}
            return net.node("MatMul", [x, net.node("DequantizeLinear", [w, scale, zero], **attrs)])

        # the runtime quantizes these activations to 8 bits as it runs (its MatMulNBits, accuracy level 4)
        yield _net(
            "DequantizeLinear",
            name.split()[0],
            f"weights{name[4:].lstrip('4')}",
            (2, 32),
            body,
            opset=21,
            real=True,
            tolerance=2e-2,
        )

    for op, shape in (("Conv", (5, 3, 3, 3)), ("ConvTranspose", (3, 5, 2, 2))):

        def floats(net: Net, x: str, op: str = op, shape: Any = shape) -> str:
            g = rng("floats", op)
            w, bias = (net.const(g.standard_normal(s).astype(np.float32)) for s in (shape, 5))
            return net.q(net.node(op, [net.qdq(x, 0.03, U8(120)), w, bias]), 0.1, U8(100))

        yield _net(op, "u8s8", "float weights", (1, 3, 6, 6), floats)

    def float_quantized(net: Net, x: str) -> str:
        w = rng("fq").standard_normal((20, 6)).astype(np.float32)
        y = net.node("MatMul", [net.qdq(x, 0.03, U8(128)), net.qdq(net.const(w), 0.02, S8(0))])
        return net.q(y, 0.1, U8(120))

    yield _net("QuantizeLinear", "u8s8", "of constant weights", (1, 20), float_quantized)

    def no_zero(net: Net, x: str) -> str:
        scale = net.const(np.float32(0.03))
        y = net.node("DequantizeLinear", [net.node("QuantizeLinear", [x, scale]), scale])
        return net.node("QuantizeLinear", [net.node("Relu", [y]), scale])

    yield _net("QuantizeLinear", "uint8", "without zero point", (1, 20), no_zero)

    def output_dtype(net: Net, x: str) -> str:
        q = net.node("QuantizeLinear", [x, net.const(np.float32(0.03))], output_dtype=int(onnx.TensorProto.INT8))
        return net.q(net.node("Abs", [net.dq(q, 0.03, S8(0))]), 0.03, S8(-10))

    yield _net("QuantizeLinear", "int8", "output_dtype", (1, 20), output_dtype, opset=21)


def _slice(net: Net, x: str, start: int, end: int) -> str:
    return net.node("Slice", [x, *(net.const([v], np.int64) for v in (start, end, 1))])


def _unsqueeze(net: Net, x: str) -> str:
    return net.node("Unsqueeze", [x, net.const([2], np.int64)])


def _moved() -> Iterator[Case]:
    """Operators that move values: Q and DQ go through them."""
    moves: list[tuple[str, Callable[[Net, str], str]]] = [
        ("Transpose", lambda net, x: net.node("Transpose", [x], perm=[0, 2, 3, 1])),
        ("Reshape", lambda net, x: net.node("Reshape", [x, net.const([1, 4, 36], np.int64)])),
        ("Flatten", lambda net, x: net.node("Flatten", [x])),
        ("Squeeze", lambda net, x: net.node("Squeeze", [_unsqueeze(net, x), net.const([2], np.int64)])),
        ("Slice", lambda net, x: _slice(net, x, 1, 3)),
        ("MaxPool", lambda net, x: net.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])),
        ("Gather", lambda net, x: net.node("Gather", [x, net.const([2, 0], np.int64)], axis=1)),
        ("Expand", lambda net, x: net.node("Expand", [_slice(net, x, 1, 2), net.const([1, 3, 1, 1], np.int64)])),
    ]  # fmt: skip
    for op, move in moves:

        def behind(net: Net, x: str, move: Any = move, op: str = op) -> str:
            y = net.node("Conv", [net.qdq(x, 0.03, U8(120)), _weight(net, rng(op), (4, 4, 1, 1), S8, 0)])
            return net.q(move(net, y), 0.05, U8(100))

        yield _net(op, "uint8", "between Conv and Q", (1, 4, 6, 6), behind)

        def inside(net: Net, x: str, move: Any = move) -> str:
            return net.q(move(net, net.qdq(x, 0.03, U8(120))), 0.03, U8(120))

        yield _net(op, "uint8", "same scale on both sides", (1, 4, 6, 6), inside)


def _wide() -> Iterator[Case]:
    """16 bits: no integer operators in the runtime."""
    for types, kind in (("int16", np.int16), ("uint16", np.uint16)):

        def body(net: Net, x: str, kind: Any = kind) -> str:
            zero = kind(30000 if kind == np.uint16 else -2000)
            y = net.node("Add", [net.qdq(x, 0.0003, zero), net.const(np.float32(0.5))])
            return net.dq(net.q(net.node("Reshape", [y, net.const([-1, 12], np.int64)]), 0.0004, zero), 0.0004, zero)

        yield _net("QuantizeLinear", types, "16 bits", (1, 3, 4), body, opset=21, real=True)


def _ends() -> Iterator[Case]:
    """Integers as inputs and outputs of a graph."""
    for types, kind in (("uint8", U8), ("int8", S8)):

        def model(kind: Any = kind) -> bytes:
            net = Net()
            y = net.node("Conv", [net.dq("x", 0.03, kind(10)), _weight(net, rng("ends"), (5, 3, 3, 3), S8, 0)])
            return net.bytes({"x": (kind, (1, 3, 6, 6))}, {net.q(y, 0.04, kind(20)): kind})

        def feeds(kind: Any = kind) -> list[Any]:
            return [integers(rng("ends"), (4, 3, 6, 6), kind)]

        yield Case("Conv", "onnx", types, "integers in and out", model, feeds, ("onnxruntime",))
