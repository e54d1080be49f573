"""Transposed convolutions against nested loops over integers, and by a property: they are the transpose of a convolution."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.linear_layers import SX, SY, extremes, guarded
from tests.oracles import linear, requantize
from workbench.errors import ModelError, UnsupportedError
from workbench.graph.ir import Tensor
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS, Site
from workbench.ops import transpose_conv2d as module
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.transpose_conv2d import TransposeConv2dAttrs, lines
from workbench.tensor import QuantParams

SPEC = OPS["transpose_conv2d"]
ZERO_POINTS = (-7, 11)
GEOMETRIES: list[tuple[str, tuple[int, ...], tuple[int, ...], TransposeConv2dAttrs]] = [
    # name, x [N, H, W, C], w [O, KH, KW, C / groups]
    ("stride_1", (2, 4, 5, 3), (5, 3, 2, 3), TransposeConv2dAttrs()),
    ("phases", (1, 4, 5, 3), (5, 3, 4, 3), TransposeConv2dAttrs((2, 3), (1, 1), (1, 0, 0, 2))),
    ("kernel_below_stride", (1, 3, 3, 4), (6, 1, 2, 4), TransposeConv2dAttrs((3, 3), (1, 1), (0, 0, 0, 0), (2, 1))),
    ("eight_channels_together", (1, 3, 4, 4), (4, 2, 2, 4), TransposeConv2dAttrs((2, 2))),
    ("dilation", (1, 4, 3, 2), (3, 2, 3, 2), TransposeConv2dAttrs((2, 2), (3, 2), (1, 2, 0, 1))),
    ("groups", (1, 3, 4, 4), (6, 3, 3, 2), TransposeConv2dAttrs((2, 1), (1, 1), (1, 1, 1, 1), (1, 0), 2)),
    ("begins_inside", (1, 5, 6, 2), (3, 2, 2, 2), TransposeConv2dAttrs((2, 2), (1, 1), (5, 7, 1, 0))),
    ("ends_beyond", (1, 1, 1, 2), (3, 2, 2, 2), TransposeConv2dAttrs((3, 3), (2, 2), (0, 0, 0, 0), (2, 2))),
    ("begins_beyond", (1, 2, 1, 8), (3, 2, 2, 8), TransposeConv2dAttrs((2, 2), (1, 401), (0, 0, 0, 399))),
    ("stride_beyond_kernel", (1, 2, 2, 2), (3, 2, 1, 2), TransposeConv2dAttrs((7, 9), (1, 1), (3, 4, 0, 2), (4, 3))),
    ("one_column", (2, 4, 1, 3), (5, 3, 1, 3), TransposeConv2dAttrs((2, 1))),
]
ARITHMETICS = {
    "wrap": Arithmetic(), "narrow": Arithmetic(accumulator_bits=16),
    "saturate": Arithmetic(accumulator_bits=14, overflow="saturate"),
    "tiles": Arithmetic(accumulator_bits=14, overflow="saturate_tiles", accumulator_tile=4),
    "pairs": Arithmetic(overflow="saturate_int16_pairs"),
    "simd8": Arithmetic(requantize="double_half_up_simd8"),
}  # fmt: skip


def case(shape_x: tuple[int, ...], shape_w: tuple[int, ...], dtype: str, bias: str) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng([*shape_x, *shape_w])
    low, high = (-128, 127) if dtype == "int8" else (-32768, 32767)
    x = extremes(rng, low, high, shape_x, dtype)
    w = extremes(rng, -127, 127, shape_w, np.int8)
    b = rng.integers(-5000, 5000, shape_w[0]).astype(bias)
    scale = rng.uniform(0.5, 1.0, shape_w[0]) * 2.0 ** (-9 if dtype == "int8" else -11)
    return x, w, b, np.asarray(scale * float(SY) / float(SX), np.float32)


def site_of(attrs: Any, x: Any, w: Any, b: Any, sw: Any, arithmetic: Arithmetic) -> Site:
    zx, zy = ZERO_POINTS if x.dtype == np.int8 else (0, 0)
    inputs = (
        Tensor("x", (1, *x.shape[1:]), x.dtype.name, QuantParams.per_tensor(float(SX), zx)),
        Tensor("w", w.shape, "int8", QuantParams(sw, np.zeros(len(sw), np.int64), 0), w),
        Tensor("b", b.shape, b.dtype.name, None, b),
    )
    y = Tensor("y", (), x.dtype.name, QuantParams.per_tensor(float(SY), zy))
    return Site("layer", "transpose_conv2d", attrs, inputs, (y,), arithmetic)


def expected(attrs: Any, x: Any, w: Any, b: Any, sw: Any, arithmetic: Arithmetic) -> Any:
    size = SPEC.infer_shape(attrs, [x.shape, w.shape])[0][1:3]
    wide = b.dtype == np.int64
    zx, zy = ZERO_POINTS if x.dtype == np.int8 else (0, 0)
    pairs = arithmetic.overflow == "saturate_int16_pairs"
    overflow = "wrap" if pairs and x.dtype == np.int16 else arithmetic.overflow
    bits = 64 if wide else 32 if pairs else arithmetic.accumulator_bits
    tile = arithmetic.accumulator_tile if overflow == "saturate_tiles" else 1
    acc = linear.transpose_conv2d(
        x.tolist(), w.tolist(), b.tolist(), zx, attrs.stride, attrs.dilation, attrs.pads[:2], size, attrs.groups, bits, overflow, tile
    )  # fmt: skip
    low, high = (-128, 127) if x.dtype == np.int8 else (-32768, 32767)
    scales = (np.float64(SX) * sw.astype(np.float64) / np.float64(SY)).tolist()
    out = np.empty((len(x), *size, len(w)), x.dtype)
    for index, value in np.ndenumerate(np.array(acc, dtype=object)):
        c = index[-1]
        y = requantize.by_wide_rule("reduced_multiplier", value, scales[c]) if wide else requantize.by_rule(
            arithmetic.requantize, requantize.wrap(value, 32), scales[c], c, len(w)
        )  # fmt: skip
        out[index] = requantize.finish(y, zy, low, high)
    return out


@pytest.mark.parametrize("name", ARITHMETICS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g[0])
def test_int8_equals_the_oracle(geometry: Any, name: str) -> None:
    _, shape_x, shape_w, attrs = geometry
    data = case(shape_x, shape_w, "int8", "int32")
    with guarded():
        got = SPEC.prepare(site_of(attrs, *data, ARITHMETICS[name]))([*data[:3]])[0]
    np.testing.assert_array_equal(got, expected(attrs, *data, ARITHMETICS[name]))


@pytest.mark.parametrize("bias", ["int32", "int64"])
@pytest.mark.parametrize("geometry", GEOMETRIES[1:6], ids=lambda g: g[0])
def test_int16_equals_the_oracle(geometry: Any, bias: str) -> None:
    _, shape_x, shape_w, attrs = geometry
    data = case(shape_x, shape_w, "int16", bias)
    got = SPEC.prepare(site_of(attrs, *data, Arithmetic()))([*data[:3]])[0]
    np.testing.assert_array_equal(got, expected(attrs, *data, Arithmetic()))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g[0])
def test_float32_is_the_transpose_of_conv2d(geometry: Any) -> None:
    """<conv(a), x> = <a, transposed(x)> for every a: outputs cut off are zeros of a's padding."""
    _, shape_x, shape_w, attrs = geometry
    rng = np.random.default_rng(5)
    x = rng.integers(-4, 5, shape_x).astype(np.float32)
    w = rng.integers(-4, 5, shape_w).astype(np.float32)
    (y,) = SPEC.reference(attrs, [x, w])
    assert y.dtype == np.float32 and [y.shape] == SPEC.infer_shape(attrs, [x.shape, w.shape])
    a = rng.integers(-4, 5, y.shape).astype(np.float32)
    groups, per_in = attrs.groups, shape_w[3]
    turned = w.reshape(groups, -1, *shape_w[1:]).transpose(0, 4, 2, 3, 1)  # [G, C / G, KH, KW, O / G]
    forward = Conv2dAttrs(attrs.stride, attrs.dilation, attrs.pads, groups)
    (z,) = OPS["conv2d"].reference(forward, [a, turned.reshape(groups * per_in, *turned.shape[2:])])
    assert float((z[:, : x.shape[1], : x.shape[2]] * x).sum()) == float((a * y).sum())  # small integers: exact


def test_float16_of_small_integers_is_exact() -> None:
    rng = np.random.default_rng(6)
    for _, shape_x, shape_w, attrs in GEOMETRIES:
        x, w = (rng.integers(-3, 4, s).astype(np.float16) for s in (shape_x, shape_w))
        tensors = Tensor("x", (1, *shape_x[1:]), "float16"), Tensor("w", shape_w, "float16", None, w)
        place = Site("layer", "transpose_conv2d", attrs, tensors, (Tensor("y", (), "float16"),), Arithmetic())
        (got,) = SPEC.prepare(place)([x, w])
        np.testing.assert_array_equal(got, SPEC.reference(attrs, [x.astype(np.float32), w.astype(np.float32)])[0])


def test_small_kernel_rule_applies_to_same_padding_only() -> None:
    data = case((1, 3, 3, 4), (20, 1, 2, 4), "int8", "int32")
    attrs = TransposeConv2dAttrs((3, 3), (1, 1), (0, 0, 0, 0), (2, 1))
    rules = Arithmetic(requantize="float32_half_even", requantize_small_kernel="double")
    plain, small = Arithmetic(requantize="float32_half_even"), Arithmetic()

    def run(attrs: TransposeConv2dAttrs, arithmetic: Arithmetic) -> Any:
        return SPEC.prepare(site_of(attrs, *data, arithmetic))([*data[:3]])[0]

    np.testing.assert_array_equal(run(replace(attrs, same=True), rules), run(attrs, small))
    np.testing.assert_array_equal(run(attrs, rules), run(attrs, plain))


def test_refusals_say_why() -> None:
    x, w, b, sw = case((1, 3, 3, 4), (5, 2, 2, 4), "int16", "int32")
    with pytest.raises(UnsupportedError, match="reads the bias as int64"):
        SPEC.prepare(site_of(TransposeConv2dAttrs(), x, w, b, sw, Arithmetic(int16_bias="int64")))
    int4 = Arithmetic(int16_bias="int64")
    with pytest.raises(UnsupportedError, match="activations must be"):
        SPEC.prepare(site_of(TransposeConv2dAttrs(), x.astype(np.int32), w, b, sw, int4))
    with pytest.raises(ModelError, match="into 1056 phases; 1024 fit"):
        SPEC.infer_shape(TransposeConv2dAttrs((32, 33)), [(1, 2, 2, 1), (1, 40, 40, 1)])
    with pytest.raises(ModelError, match="leave an output"):
        SPEC.infer_shape(TransposeConv2dAttrs(pads=(2, 0, 2, 0)), [x.shape, w.shape])
    with pytest.raises(ModelError, match="do not fit"):
        SPEC.infer_shape(TransposeConv2dAttrs(groups=3), [x.shape, w.shape])


@pytest.mark.parametrize("stride", [(2**20, 1), (1, 2**20), (2**10, 2**10)])
def test_a_giant_stride_has_as_many_phases_as_the_kernel_has_taps(stride: tuple[int, int]) -> None:
    x, w, b, sw = case((1, 1, 1, 3), (4, 2, 2, 3), "int8", "int32")
    attrs = TransposeConv2dAttrs(stride, output_padding=(stride[0] - 1, stride[1] - 1))
    place = site_of(attrs, x, w, b, sw, Arithmetic())
    rows, columns = lines(attrs, w.shape, SPEC.infer_shape(attrs, [x.shape, w.shape])[0][1:3])  # type: ignore[arg-type]
    assert len(rows) * len(columns) <= 4
    with mock.patch.object(module, "merged_weights", wraps=module.merged_weights) as merged:
        (y,) = SPEC.prepare(place)([x, w, b])
    assert merged.called == (stride[1] == 1)  # merged phases are channels: of a giant stride they would fill the memory
    whole = expected(TransposeConv2dAttrs((3, 3), output_padding=(2, 2)), x, w, b, sw, Arithmetic())
    assert (y[:, -1:, -1:] == whole[:, -1:, -1:]).all() and (y[:, :1, :1] == (whole[:, :1, :1])).all()
    beyond = SPEC.reference(attrs, [x.astype(np.float32), w.astype(np.float32), b.astype(np.float32)])[0]
    assert (beyond[:, -1, -1] == b).all()


def test_count_is_every_input_times_its_kernel() -> None:
    counts = SPEC.count(TransposeConv2dAttrs((2, 2)), [(1, 4, 5, 3), (6, 3, 2, 3), (6,)], [(1, 9, 10, 6)])
    assert (counts.macs, counts.elements) == (4 * 5 * 3 * 6 * 3 * 2, 9 * 10 * 6)
