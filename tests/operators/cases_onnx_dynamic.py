"""Layers whose activations are quantized as they run, integer products alone, and weights of few bits, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.operators.case import Case
from tests.operators.quant_nets import MICROSOFT, Net, integers, rng

KINDS = {"int8": np.int8, "uint8": np.uint8}


def cases() -> Iterator[Case]:
    yield from _layers()
    yield from _sums()
    yield from _nbits()
    yield from _gather()


def _floats(name: str, shape: Sequence[int], batches: int = 3) -> Any:
    def feeds() -> list[Any]:
        x = rng(name).standard_normal((batches * shape[0], *shape[1:])).astype(np.float32)
        x[-1] = np.abs(x[-1])  # only positive: the zero point is the lowest integer
        return [x]

    return feeds


def _dynamic(net: Net, x: str, op: str, w: str, scale: Any, zero: Any, **attrs: Any) -> str:
    """Return what quantize_dynamic writes for a layer."""
    net.nodes.append(net_node("DynamicQuantizeLinear", [x], ["q", "qs", "qz"]))
    product = net.node("Mul", ["qs", net.const(scale, np.float32)])
    sums = net.node(op, ["q", w, "qz", net.const(zero)], **attrs)
    return net.node("Mul", [net.node("Cast", [sums], to=1), product])


def net_node(op: str, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    from onnx import helper

    return helper.make_node(op, list(inputs), list(outputs))


def _layers() -> Iterator[Case]:
    for types, kind in KINDS.items():
        zero = kind(0 if kind == np.int8 else 121)
        for name, shape, bias in (("rows", (1, 24), False), ("bias", (1, 5, 24), True), ("batch 2", (2, 24), False)):

            def matmul(shape: Any = shape, bias: bool = bias, kind: Any = kind, zero: Any = zero, name: str = name) -> bytes:
                net, g = Net(), rng(name)
                y = _dynamic(net, "x", "MatMulInteger", net.const(integers(g, (24, 7), kind)), 0.01, zero)
                if bias:
                    y = net.node("Add", [y, net.const(g.standard_normal(7).astype(np.float32))])
                return net.bytes({"x": (np.float32, shape)}, {y: np.float32})

            yield Case(
                "DynamicQuantizeLinear",
                "onnx",
                types,
                f"MatMulInteger {name}",
                matmul,
                _floats(name, shape),
                ("onnxruntime",),
                1e-6,
            )
        for name, w_shape, attrs in (
            ("3x3", (5, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
            ("depthwise", (4, 1, 3, 3), {"group": 4, "strides": [2, 2]}),
        ):

            def conv(w_shape: Any = w_shape, attrs: Any = attrs, kind: Any = kind, zero: Any = zero, name: str = name) -> bytes:
                net = Net()
                y = _dynamic(net, "x", "ConvInteger", net.const(integers(rng(name), w_shape, kind)), 0.01, zero, **attrs)
                return net.bytes({"x": (np.float32, (1, 4, 8, 8))}, {y: np.float32})

            yield Case(
                "DynamicQuantizeLinear",
                "onnx",
                types,
                f"ConvInteger {name}",
                conv,
                _floats(name, (1, 4, 8, 8)),
                ("onnxruntime",),
                1e-6,
            )

        def fused(kind: Any = kind, zero: Any = zero) -> bytes:
            net, g = Net(), rng("fused")
            parts = [
                net.const(integers(g, (24, 7), kind)),
                net.const(np.float32(0.02)),
                net.const(zero),
                net.const(g.standard_normal(7).astype(np.float32)),
            ]
            return net.bytes(
                {"x": (np.float32, (1, 24))}, {net.node("DynamicQuantizeMatMul", ["x", *parts], MICROSOFT): np.float32}
            )

        yield Case("DynamicQuantizeMatMul", "onnx", types, "bias", fused, _floats("fused", (1, 24)), ("onnxruntime",), 1e-6)


def _sums() -> Iterator[Case]:
    for types, kind in KINDS.items():
        for name, zeros in (("zero points", True), ("without", False)):

            def matmul(kind: Any = kind, zeros: bool = zeros) -> bytes:
                net = Net()
                w = net.const(integers(rng("sums"), (16, 5), np.int8))
                extra = [net.const(kind(17)), net.const(np.int8(-3))] if zeros else []
                return net.bytes({"x": (kind, (1, 3, 16))}, {net.node("MatMulInteger", ["x", w, *extra]): np.int32})

            def conv(kind: Any = kind, zeros: bool = zeros) -> bytes:
                net = Net()
                w = net.const(integers(rng("sums"), (5, 3, 3, 2), np.int8))
                extra = [net.const(kind(17)), net.const(np.int8(0))] if zeros else []
                y = net.node("ConvInteger", ["x", w, *extra], pads=[1, 0, 1, 1], strides=[1, 2])
                return net.bytes({"x": (kind, (1, 3, 6, 7))}, {y: np.int32})

            for op, model, shape in (("MatMulInteger", matmul, (1, 3, 16)), ("ConvInteger", conv, (1, 3, 6, 7))):

                def feeds(kind: Any = kind, shape: Any = shape) -> list[Any]:
                    return [integers(rng("sums"), (3, *shape[1:]), kind)]

                if op == "MatMulInteger" or kind == np.uint8:
                    yield Case(op, "onnx", types, name, model, feeds, ("onnxruntime",))


def _nbits() -> Iterator[Case]:
    for bits in (2, 4, 8):
        for name, block, zeros, level in (
            ("blocks of 32", 32, False, 1),
            ("zero points", 16, True, 1),
            ("level 4", 32, True, 4),
            ("float zero points", 32, None, 1),
        ):
            if (bits == 2 and name != "zero points") or (bits == 8 and zeros is None):
                continue

            def model(bits: int = bits, block: int = block, zeros: Any = zeros, level: int = level) -> bytes:
                net, g = Net(), rng("nbits", bits, block)
                depth, outputs, blocks = 64, 6, 64 // block
                parts = [
                    net.const(g.integers(0, 256, (outputs, blocks, block * bits // 8)).astype(np.uint8)),
                    net.const(np.exp(g.uniform(-5, -3, (outputs, blocks))).astype(np.float32)),
                ]
                if zeros:
                    parts.append(net.const(g.integers(0, 256, (outputs, -(-blocks * bits // 8))).astype(np.uint8)))
                if zeros is None:
                    parts.append(net.const(g.uniform(0, 2**bits, (outputs, blocks)).astype(np.float32)))
                attrs = {"K": depth, "N": outputs, "bits": bits, "block_size": block, "accuracy_level": level}
                return net.bytes(
                    {"x": (np.float32, (1, 3, depth))}, {net.node("MatMulNBits", ["x", *parts], MICROSOFT, **attrs): np.float32}
                )

            loose = level == 4  # the runtime quantizes the activations too
            yield Case(
                "MatMulNBits",
                "onnx",
                f"w{bits}",
                name,
                model,
                _floats(name, (1, 3, 64)),
                ("onnxruntime",),
                3e-2 if loose else 1e-5,
            )


def _gather() -> Iterator[Case]:
    for name, zeros in (("zero points", True), ("without", False)):

        def model(zeros: bool = zeros) -> bytes:
            net, g = Net(21), rng("gather blocks")
            parts = [
                net.const(g.integers(0, 16, (12, 64)), 21),
                "i",
                net.const(np.exp(g.uniform(-3, -1, (12, 2))).astype(np.float32)),
            ]
            if zeros:
                parts.append(net.const(g.integers(0, 16, (12, 2)), 21))
            y = net.node("GatherBlockQuantized", parts, MICROSOFT, block_size=32, quantize_axis=1, gather_axis=0)
            return net.bytes({"i": (np.int64, (1, 5))}, {y: np.float32})

        yield Case(
            "GatherBlockQuantized",
            "onnx",
            "uint4",
            name,
            model,
            lambda: [rng("i").integers(0, 12, (3, 5))],
            ("onnxruntime",),
            1e-6,
        )
