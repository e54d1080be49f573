"""Float32 activations that are quantized as the layer runs, by integer weights: every output bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import T, const
from tests.operators.case import LITERT, Case
from tests.operators.linear_nets import (
    SAME,
    VALID,
    Array,
    dense_net,
    floats,
    matrix_net,
    transposed_net,
    weights,
    window_net,
)

SCALES = ("tensor", "channel")


def cases() -> Iterator[Case]:
    yield from _convolutions()
    yield from _depthwise()
    yield from _dense()
    yield from _transposed()
    yield from _matrices()


def _case(
    operator: str, name: str, model: Any, x: Array, oracles: tuple[str, ...] = LITERT, types: str = "hybrid int8"
) -> Case:
    return Case(operator, "tflite", types, name, model, lambda: [x], oracles, tolerance=0.0)


def _bias(channels: int) -> T:
    return const(floats("bias", channels), name="b")


def _convolution(
    shape: tuple[int, ...], outputs: int, kernel: int, scales: str, groups: int = 1, bits: int = 8, **more: Any
) -> bytes:
    w = weights((outputs, kernel, kernel, shape[3] // groups), 0, scales, bits)
    return window_net("CONV_2D", T(shape, name="x"), w, _bias(outputs), T(name="y"), kernel, **more)


def _convolutions() -> Iterator[Case]:
    made: list[tuple[str, tuple[int, ...], int, int, dict[str, Any]]] = [
        ("3x3 same", (1, 6, 7, 5), 9, 3, {"padding": SAME}),
        ("3x3 stride 2 valid relu6", (2, 7, 7, 8), 16, 3, {"padding": VALID, "stride": 2, "activation": 3}),
        ("1x1 batch 2", (2, 5, 5, 16), 12, 1, {"padding": VALID}),
        ("1x1 same stride 2", (1, 5, 5, 16), 12, 1, {"padding": SAME, "stride": 2}),
        ("1x1 of one channel", (1, 5, 5, 1), 1, 1, {"padding": SAME}),
        ("3x3 dilated relu", (1, 9, 9, 4), 8, 3, {"padding": SAME, "dilation": 2, "activation": 1}),
        ("whole image", (1, 4, 4, 3), 7, 4, {"padding": VALID}),
        ("2x2 even odd sizes", (1, 5, 8, 3), 5, 2, {"padding": SAME, "stride": 2}),
    ]
    for scales in SCALES:
        for name, shape, outputs, kernel, more in made:
            model = partial(_convolution, shape, outputs, kernel, scales, **more)
            yield _case("CONV_2D", f"{name} per {scales}", model, floats(name, 2 * shape[0], *shape[1:]))
        model = partial(_convolution, (1, 5, 5, 4), 8, 3, scales, bits=4, padding=SAME)
        yield _case("CONV_2D", f"per {scales}", model, floats("int4", 3, 5, 5, 4), types="hybrid int4")
        grouped = partial(_convolution, (1, 5, 5, 8), 12, 3, scales, groups=2, padding=SAME)
        # LiteRT's own kernels want a scale for each channel there.
        oracles = LITERT if scales == "channel" else ("litert_xnn",)
        yield _case("CONV_2D", f"2 groups per {scales}", grouped, floats("groups", 3, 5, 5, 8), oracles)
    for name, x in (("positive", np.abs(floats("positive", 2, 5, 5, 4))), ("negative", -np.abs(floats("negative", 2, 5, 5, 4))),
                    ("zeros in one sample", np.concatenate([np.zeros((1, 5, 5, 4), np.float32), floats("zeros", 1, 5, 5, 4)])),
                    ("integers", np.rint(floats("integers", 2, 5, 5, 4) * 20))):  # fmt: skip
        yield _case("CONV_2D", f"{name} per channel", partial(_convolution, (1, 5, 5, 4), 6, 3, "channel", padding=SAME), x)


def _depthwise_net(shape: tuple[int, ...], multiplier: int, kernel: int, **more: Any) -> bytes:
    channels = shape[3] * multiplier
    w = weights((1, kernel, kernel, channels), 3, "channel")
    return window_net("DEPTHWISE_CONV_2D", T(shape, name="x"), w, _bias(channels), T(name="y"), kernel, **more)


def _depthwise() -> Iterator[Case]:
    for name, shape, multiplier, kernel, more in [
        ("3x3 of 8", (1, 6, 6, 8), 1, 3, {"padding": SAME}), ("3x3 of 10", (1, 6, 5, 10), 1, 3, {"padding": SAME, "activation": 1}),
        ("5 times 2 stride 2", (2, 6, 6, 5), 2, 3, {"padding": VALID, "stride": 2}),
        ("1x1 of 3", (1, 4, 4, 3), 1, 1, {"padding": SAME, "activation": 3}),
        ("dilated 5x5", (1, 11, 11, 4), 1, 5, {"padding": SAME, "dilation": 2}),
    ]:  # fmt: skip
        model = partial(_depthwise_net, shape, multiplier, kernel, **more)
        yield _case("DEPTHWISE_CONV_2D", name, model, floats(name, 2 * shape[0], *shape[1:]))


def _dense_net(
    shape: tuple[int, ...], inputs: int, outputs: int, scales: str, bits: int = 8, bias: bool = True, **more: Any
) -> bytes:
    w = weights((outputs, inputs), 0, scales, bits)
    return dense_net(T(shape, name="x"), w, _bias(outputs) if bias else None, T(name="y"), **more)


def _dense() -> Iterator[Case]:
    for scales in SCALES:
        for asymmetric in (False, True):
            kind = f"{'asymmetric' if asymmetric else 'symmetric'} per {scales}"
            for name, shape, inputs, outputs, more in [
                ("rows", (5, 33), 33, 10, {}), ("one row relu", (1, 64), 64, 16, {"activation": 1}),
                ("no bias", (4, 16), 16, 7, {"bias": False}), ("keeps dimensions", (2, 3, 8), 8, 4, {"keep": True}),
            ]:  # fmt: skip
                model = partial(_dense_net, shape, inputs, outputs, scales, AsymmetricQuantizeInputs=asymmetric, **more)
                yield _case("FULLY_CONNECTED", f"{name} {kind}", model, floats(name, 2 * shape[0], *shape[1:], shift=0.5))
            for name, inputs, outputs in (("wide", 64, 8), ("odd", 31, 8), ("few outputs", 64, 3), ("few inputs", 16, 8)):
                model = partial(_dense_net, (3, inputs), inputs, outputs, scales, 4, AsymmetricQuantizeInputs=asymmetric)
                x = floats(name, 6, inputs, shift=0.4)
                yield _case("FULLY_CONNECTED", f"{name} {kind}", model, x, types="hybrid int4")
    zeros = np.concatenate([np.zeros((1, 9), np.float32), floats("row of zeros", 2, 9)])
    yield _case("FULLY_CONNECTED", "row of zeros", partial(_dense_net, (3, 9), 9, 4, "channel"), zeros)
    ties = np.rint(floats("ties", 6, 24) * 30).astype(np.float32)
    for asymmetric in (False, True):
        model = partial(_dense_net, (3, 24), 24, 5, "channel", AsymmetricQuantizeInputs=asymmetric)
        yield _case("FULLY_CONNECTED", f"integers asymmetric {asymmetric}", model, ties)


def _transposed_net(shape: tuple[int, ...], outputs: int, kernel: int, scales: str, bias: bool = True, **more: Any) -> bytes:
    w = weights((outputs, kernel, kernel, shape[3]), 0, scales)
    return transposed_net(T(shape, name="x"), w, _bias(outputs) if bias else None, T(name="y"), **more)


def _transposed() -> Iterator[Case]:
    for scales in SCALES:
        for padding, how in ((SAME, "same"), (VALID, "valid")):
            for name, kernel, more in [
                ("3x3 stride 2", 3, {"stride": 2}), ("3x3 stride 1 relu", 3, {"stride": 1, "activation": 1}),
                ("2x2 stride 3 no bias", 2, {"stride": 3, "bias": False}),
            ]:  # fmt: skip
                model = partial(_transposed_net, (1, 4, 5, 3), 6, kernel, scales, padding=padding, **more)
                yield _case("TRANSPOSE_CONV", f"{name} {how} per {scales}", model, floats(name, 2, 4, 5, 3))


def _matrix(
    x: tuple[int, ...], y: tuple[int, ...], scales: str, adj_x: bool = False, adj_y: bool = False, **more: Any
) -> bytes:
    w = weights(y, len(y) - (2 if adj_y else 1), scales)
    return matrix_net(T(x, name="x"), w, T(name="y"), adj_x, adj_y, **more)


def _matrices() -> Iterator[Case]:
    for scales in SCALES:
        for asymmetric in (False, True):
            kind = f"{'asymmetric' if asymmetric else 'symmetric'} per {scales}"
            for name, x, y, adjoint in [
                ("", (2, 3, 8), (2, 8, 5), (False, False)), ("adj_y ", (2, 3, 8), (2, 5, 8), (False, True)),
                ("adj_x ", (2, 8, 3), (2, 8, 5), (True, False)), ("broadcast ", (2, 3, 8), (8, 5), (False, False)),
                ("two batch dimensions ", (2, 2, 3, 8), (1, 2, 8, 5), (False, False)),
                ("long ", (1, 2, 1500), (1, 1500, 3), (False, False)),
            ]:  # fmt: skip
                model = partial(_matrix, x, y, scales, *adjoint, AsymmetricQuantizeInputs=asymmetric)
                yield _case("BATCH_MATMUL", f"{name}{kind}", model, floats("matrix" + name, *x, shift=0.4))
