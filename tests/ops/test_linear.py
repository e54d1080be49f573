"""Integer linear operators through the ordinary path: equal to nested loops in plain integers; wrong inputs are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.oracles import linear as oracle
from tests.oracles import requantize as rules
from workbench.errors import InputError, ModelError, UnsupportedError
from workbench.graph.ir import Tensor
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS, Site
from workbench.ops.batch_matmul import BatchMatmulAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import RANGES, QuantParams

Array = np.ndarray[Any, Any]
SX, SY, ZX, ZY = 0.02, 0.05, -7, 11


def site(
    op: str,
    attrs: Any,
    x: Array,
    w: Array,
    bias: Array | None,
    arithmetic: Arithmetic | None = None,
    w_type: str = "int8",
    w_scale: Any = 0.003,
) -> Site:
    """A site of constant weights; the zero points of int16 are 0."""
    dtype, wide = x.dtype.name, x.dtype == np.int16
    scale = np.atleast_1d(np.asarray(w_scale, np.float32))
    quant = QuantParams(
        scale, np.zeros(len(scale), np.int64), (3 if op == "depthwise_conv2d" else 0) if len(scale) > 1 else None
    )
    inputs: list[Tensor | None] = [
        Tensor("x", (1, *x.shape[1:]), dtype, QuantParams.per_tensor(SX, 0 if wide else ZX)),
        Tensor("w", w.shape, w_type, quant, w),
        None if bias is None else Tensor("b", bias.shape, bias.dtype.name, None, bias),
    ]
    y = Tensor("y", (), dtype, QuantParams.per_tensor(SY, 0 if wide else ZY))
    return Site("layer", op, attrs, tuple(inputs), (y,), arithmetic or Arithmetic())


def run(s: Site, x: Array) -> Array:
    return OPS[s.op].prepare(s)([x, s.input(1).data, None])[0]  # type: ignore[list-item]


def requantized(acc: Any, scales: Any, s: Site, wide: bool = False) -> Array:
    """Oracle: rule `double` (wide: reduced multiplier) of nested accumulators."""
    acc = np.array(acc, dtype=object)
    scale = np.broadcast_to(np.float32(scales).astype(np.float64), acc.shape[-1:])
    sy, zy = s.y.quant.scalar  # type: ignore[union-attr]
    low, high = RANGES[s.y.dtype]
    out = np.empty(acc.shape, np.int64)
    for index, value in np.ndenumerate(acc):
        multiplier, shift = rules.quantize_multiplier(float(np.float32(SX)) * float(scale[index[-1]]) / float(sy))
        y = rules.wide(value, rules.reduce_multiplier(multiplier), shift) if wide else rules.double(value, multiplier, shift)
        out[index] = rules.finish(y, zy, low, high)
    return out


def integers(seed: int, low: int, high: int, shape: tuple[int, ...], dtype: Any = np.int8) -> Array:
    return np.random.default_rng(seed).integers(low, high + 1, shape).astype(dtype)


CASES = {
    "plain": ({}, 4, (3, 3)),
    "stride_dilation_pads": ({"stride": (2, 1), "dilation": (1, 2), "pads": (1, 0, 2, 3)}, 4, (2, 3)),
    "groups": ({"groups": 2, "pads": (1, 1, 1, 1)}, 2, (3, 3)),
    "groups_dilated": ({"groups": 4, "dilation": (2, 2)}, 1, (2, 2)),
    "pointwise": ({}, 4, (1, 1)),
    "pointwise_strided": ({"stride": (2, 2)}, 4, (1, 1)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("w_type", ["int8", "int4", "int2"])
def test_conv2d_equals_loops(name: str, w_type: str) -> None:
    options, depth, kernel = CASES[name]
    x, w = integers(1, -128, 127, (2, 7, 6, 4)), integers(2, *RANGES[w_type], (8, *kernel, depth))
    bias, scales = integers(3, -5000, 5000, (8,), np.int32), np.linspace(0.001, 0.04, 8).astype(np.float32)
    s = site("conv2d", Conv2dAttrs(**options), x, w, bias, w_type=w_type, w_scale=scales)
    acc = oracle.conv2d(x.tolist(), w.tolist(), bias.tolist(), ZX, **options)
    assert np.array_equal(run(s, x), requantized(acc, scales, s))


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("bits", [12, 16, 24, 32])
@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d", "fully_connected"])
def test_narrow_accumulators(op: str, bits: int, overflow: str) -> None:
    x, bias = integers(4, -128, 127, (2, 4, 4, 3)), integers(6, -(2**15), 2**15, (3,), np.int32)
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow)  # type: ignore[arg-type]
    if op == "conv2d":
        w = integers(5, -128, 127, (3, 2, 2, 3))
        s = site(op, Conv2dAttrs(), x, w, bias, arithmetic)
        acc = oracle.conv2d(x.tolist(), w.tolist(), bias.tolist(), ZX, bits=bits, overflow=overflow)
    elif op == "depthwise_conv2d":
        w = integers(5, -128, 127, (1, 3, 3, 3))
        s = site(op, DepthwiseConv2dAttrs(), x, w, bias, arithmetic)
        acc = oracle.conv2d(
            x.tolist(), oracle.depthwise_as_conv2d(w.tolist()), bias.tolist(), ZX, groups=3, bits=bits, overflow=overflow
        )
    else:
        x, w = x.reshape(2, 48), integers(5, -128, 127, (3, 48))
        s = site(op, FullyConnectedAttrs(), x, w, bias, arithmetic)
        acc = oracle.fully_connected(x.tolist(), w.tolist(), bias.tolist(), ZX, bits, overflow)
    assert np.array_equal(run(s, x), requantized(acc, 0.003, s))


def test_conv2d_accumulator_wraps_at_32_bits() -> None:
    x, w = np.full((1, 1, 1, 4), 127, np.int8), np.full((1, 1, 1, 4), 127, np.int8)
    bias = np.array([2**31 - 1], np.int32)
    s = site("conv2d", Conv2dAttrs(), x, w, bias)
    assert np.array_equal(run(s, x), requantized(oracle.conv2d(x.tolist(), w.tolist(), bias.tolist(), ZX), 0.003, s))
    assert run(s, x)[0, 0, 0, 0] == -128


@pytest.mark.parametrize("multiplier", [1, 3])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_depthwise_equals_loops(multiplier: int, dtype: str) -> None:
    x = integers(7, *RANGES[dtype], (2, 6, 5, 3), np.dtype(dtype))
    w, outputs = integers(8, -128, 127, (1, 3, 2, 3 * multiplier)), 3 * multiplier
    bias = integers(9, -9000, 9000, (outputs,), np.int64 if dtype == "int16" else np.int32)
    options: dict[str, Any] = {"stride": (1, 2), "pads": (1, 0, 1, 1), "dilation": (2, 1)}
    scale = 1e-5 if dtype == "int16" else 0.003
    s = site("depthwise_conv2d", DepthwiseConv2dAttrs(**options), x, w, bias, w_scale=scale)
    grouped = oracle.depthwise_as_conv2d(w.tolist())
    zero_point = 0 if dtype == "int16" else ZX
    bits = 64 if dtype == "int16" else 32
    acc = oracle.conv2d(x.tolist(), grouped, bias.tolist(), zero_point, groups=3, bits=bits, **options)
    assert np.array_equal(run(s, x), requantized(acc, scale, s, wide=dtype == "int16"))


@pytest.mark.parametrize("bias_type", [np.int32, np.int64, None])
def test_the_bias_type_of_int16_layers_decides_the_accumulator(bias_type: Any) -> None:
    x, w = integers(10, -32768, 32767, (5, 40), np.int16), integers(11, -128, 127, (6, 40))
    bias = None if bias_type is None else integers(12, -(2**30), 2**30, (6,), bias_type)
    s = site("fully_connected", FullyConnectedAttrs(), x, w, bias, w_scale=1e-5)
    wide = bias_type is not np.int32
    acc = oracle.fully_connected(x.tolist(), w.tolist(), [0] * 6 if bias is None else bias.tolist(), 0, 64 if wide else 32)
    assert np.array_equal(run(s, x), requantized(acc, 1e-5, s, wide))
    narrow = replace(s, arithmetic=Arithmetic(int16_without_bias="int32"))
    if bias is None:
        assert np.array_equal(run(narrow, x), requantized(acc, 1e-5, s, wide=False))


def test_fully_connected_keeps_leading_dimensions() -> None:
    x, w = integers(13, -128, 127, (2, 3, 4, 10)), integers(14, -128, 127, (5, 10))
    s = site("fully_connected", FullyConnectedAttrs("relu"), x, w, None)
    y = run(s, x)
    assert y.shape == (2, 3, 4, 5)
    assert y.min() >= ZY
    flat = requantized(oracle.fully_connected(x.reshape(-1, 10).tolist(), w.tolist(), [0] * 5, ZX), 0.003, s)
    assert np.array_equal(y.reshape(-1, 5), np.maximum(flat, ZY))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_batch_matmul_broadcasts_and_transposes(dtype: str) -> None:
    a, b = integers(15, *RANGES[dtype], (2, 3, 5, 4), np.dtype(dtype)), integers(16, *RANGES[dtype], (3, 6, 4), np.dtype(dtype))
    zero_points = (0, 0) if dtype == "int16" else (ZX, 93)
    tensors = [
        Tensor(n, v.shape, dtype, QuantParams.per_tensor(SX, z)) for n, v, z in zip("ab", (a, b), zero_points, strict=True)
    ]
    y = Tensor("y", (), dtype, QuantParams.per_tensor(0.05 if dtype == "int8" else 40.0, 0))
    s = Site("m", "batch_matmul", BatchMatmulAttrs(adj_y=True), tuple(tensors), (y,), Arithmetic())
    got = OPS["batch_matmul"].prepare(s)([a, b])[0]
    shifted = (b.astype(np.int64) - zero_points[1]).tolist()
    bits = 64 if dtype == "int16" else 32
    acc = [
        [oracle.fully_connected(a[i, j].tolist(), shifted[j], [0] * 6, zero_points[0], bits) for j in range(3)]
        for i in range(2)
    ]
    assert np.array_equal(got, requantized(acc, SX, s, wide=dtype == "int16"))


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d", "fully_connected"])
def test_one_sample_and_many_give_the_same_bits(op: str) -> None:
    x = integers(17, -128, 127, (300, 9, 9, 8) if op != "fully_connected" else (3000, 130))
    shape = {"conv2d": (16, 3, 3, 8), "depthwise_conv2d": (1, 3, 3, 8), "fully_connected": (10, 130)}[op]
    attrs = {"conv2d": Conv2dAttrs(), "depthwise_conv2d": DepthwiseConv2dAttrs(), "fully_connected": FullyConnectedAttrs()}[op]
    prepared = OPS[op].prepare(site(op, attrs, x, integers(18, -128, 127, shape), None))
    many = prepared([x])[0]
    for i in (0, 1, 151, len(x) - 1):
        assert np.array_equal(prepared([x[i : i + 1]])[0][0], many[i])


def test_reference_equals_plain_sums() -> None:
    rng = np.random.default_rng(19)
    x, w, b = rng.normal(size=(2, 5, 6, 4)), rng.normal(size=(6, 2, 3, 2)), rng.normal(size=6)
    attrs = Conv2dAttrs(stride=(2, 1), pads=(1, 1, 0, 2), groups=2, activation="relu6")
    want = np.clip(np.array(real_conv(x, w, b, attrs)), 0, 6)
    (got,) = OPS["conv2d"].reference(attrs, [x.astype(np.float32), w.astype(np.float32), b.astype(np.float32)])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)  # float32 sums of 12 products
    dw = DepthwiseConv2dAttrs(stride=(1, 2), pads=(1, 0, 1, 1), dilation=(1, 2))
    wd = rng.normal(size=(1, 3, 2, 8))
    grouped = np.moveaxis(wd[0], 2, 0)[..., None]
    want = np.array(real_conv(x, grouped, np.zeros(8), Conv2dAttrs(dw.stride, dw.dilation, dw.pads, 4)))
    (got,) = OPS["depthwise_conv2d"].reference(dw, [x.astype(np.float32), wd.astype(np.float32)])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def real_conv(x: Array, w: Array, b: Array, attrs: Conv2dAttrs) -> Array:
    """The integer oracle on reals scaled to integers of 2**-40: exact sums."""
    unit = 2.0**40
    xs, ws, bs = (np.rint(v * unit).astype(np.int64).tolist() for v in (x, w, b))
    bias = [v * 2**40 for v in bs]
    acc = oracle.conv2d(xs, ws, bias, 0, attrs.stride, attrs.dilation, attrs.pads, attrs.groups, 200)
    return np.array(acc, dtype=object).astype(np.float64) / unit**2


def refused(change: dict[str, Any], match: str) -> None:
    x, w = integers(20, -128, 127, (1, 3, 3, 2)), integers(21, -128, 127, (4, 1, 1, 2))
    s = site("conv2d", Conv2dAttrs(), x, w, np.zeros(4, np.int32))
    inputs = list(s.inputs)
    for name, tensor in change.items():
        if name == "y":
            s = replace(s, outputs=(replace(s.y, **tensor),))
        else:
            i = "xwb".index(name)
            inputs[i] = replace(inputs[i], **tensor)  # type: ignore[type-var]
    with pytest.raises((UnsupportedError, ModelError), match=match):
        OPS["conv2d"].prepare(replace(s, inputs=tuple(inputs)))


def test_wrong_layers_are_refused_before_any_kernel() -> None:
    one, four = QuantParams.per_tensor(0.1), np.full(3, 0.1, np.float32)
    refused({"w": {"quant": QuantParams.per_tensor(0.1, 3)}}, "symmetric")
    refused({"w": {"quant": QuantParams.per_channel(four, 0)}}, "3 weight scales for 4")
    refused({"w": {"data": None}}, "constant")
    refused({"w": {"dtype": "int4"}}, "outside of int4")
    refused({"w": {"dtype": "int16"}}, "weights must be")
    refused({"x": {"dtype": "uint8"}}, "int4, int2 or int16")
    refused({"x": {"quant": QuantParams.per_tensor(0.1, 300)}}, "zero point 300")
    refused({"x": {"quant": None}}, "one scale")
    refused({"x": {"shape": (1, 3, 3, 5)}}, "do not fit")
    refused({"x": {"shape": (1, 3, 6)}}, r"\[N, H, W, C\]")
    refused({"y": {"dtype": "int16", "quant": one}}, "same type")
    refused({"y": {"quant": QuantParams.per_tensor(1e-15)}}, "must be below")
    refused({"b": {"data": np.zeros(3, np.int32)}}, "bias must be")
    refused({"b": {"dtype": "int64", "data": np.zeros(4, np.int64)}}, "int64 bias needs int16")
    refused({"b": {"dtype": "int8"}}, "bias must be")


def test_impossible_geometry_is_refused() -> None:
    for attrs, shapes in [
        (Conv2dAttrs(stride=(0, 1)), [(1, 3, 3, 2), (4, 1, 1, 2)]),
        (Conv2dAttrs(pads=(-1, 0, 0, 0)), [(1, 3, 3, 2), (4, 1, 1, 2)]),
        (Conv2dAttrs(), [(1, 3, 3, 2), (4, 5, 5, 2)]),
        (Conv2dAttrs(groups=3), [(1, 3, 3, 6), (4, 1, 1, 2)]),
        (Conv2dAttrs(), [(1, 3, 3, 2), (4, 2)]),
    ]:
        with pytest.raises(ModelError):
            OPS["conv2d"].infer_shape(attrs, shapes)  # type: ignore[arg-type]
    with pytest.raises(ModelError):
        OPS["depthwise_conv2d"].infer_shape(DepthwiseConv2dAttrs(), [(1, 3, 3, 2), (1, 1, 1, 3)])
    with pytest.raises(ModelError):
        OPS["fully_connected"].infer_shape(FullyConnectedAttrs(), [(1, 3), (4, 5)])
    with pytest.raises(ModelError):
        OPS["batch_matmul"].infer_shape(BatchMatmulAttrs(), [(2, 3, 4), (3, 4, 5)])


def test_an_array_of_another_type_or_shape_never_reaches_a_kernel() -> None:
    x, w = integers(22, -128, 127, (1, 3, 3, 2)), integers(23, -128, 127, (4, 1, 1, 2))
    prepared = OPS["conv2d"].prepare(site("conv2d", Conv2dAttrs(), x, w, None))
    for wrong in (x.astype(np.int16), x[:, :2], x[..., :1]):
        with pytest.raises(InputError, match="expected int8"):
            prepared([wrong])
