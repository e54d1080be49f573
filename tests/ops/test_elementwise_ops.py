"""Operators without weights: constraints refused with a clear error, batches, broadcasting, per-target rules as data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.sites import emulate, site, tensor
from workbench.errors import InputError, ModelError, UnsupportedError
from workbench.graph.ir import Tensor
from workbench.ops import OPS
from workbench.ops._broadcast import vector_runs
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.concat import ConcatAttrs
from workbench.ops.leaky_relu import LeakyReluAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pad import PadAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.reshape import ReshapeAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.ops.strided_slice import StridedSliceAttrs
from workbench.ops.transpose import TransposeAttrs

Q = (0.05, 3)
RNG = np.random.default_rng(7)


def x8(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.integers(-128, 128, shape).astype(np.int8)


def t8(name: str, *shape: int, quant: tuple[float, int] = Q, data: Any = None) -> Tensor:
    return tensor(name, shape, "int8", quant, data)


CASES = [
    ("relu", ReluAttrs(), (1, 4, 3), (1, 4, 3), (0.07, -5)),
    ("leaky_relu", LeakyReluAttrs(0.2), (1, 4, 3), (1, 4, 3), (0.07, -5)),
    ("hard_swish", NoAttrs(), (1, 4, 3), (1, 4, 3), (0.07, -5)),
    ("logistic", NoAttrs(), (1, 4, 3), (1, 4, 3), (1 / 256, -128)),
    ("tanh", NoAttrs(), (1, 4, 3), (1, 4, 3), (1 / 128, 0)),
    ("softmax", SoftmaxAttrs(), (1, 4, 3), (1, 4, 3), (1 / 256, -128)),
    ("softmax", SoftmaxAttrs(axis=1), (1, 4, 3), (1, 4, 3), (1 / 256, -128)),
    ("quantize", NoAttrs(), (1, 4, 3), (1, 4, 3), (0.07, -5)),
    ("mean", MeanAttrs((1, 2), True), (1, 4, 3, 17), (1, 1, 1, 17), (0.07, -5)),
    ("mean", MeanAttrs((1, 3), False), (1, 4, 3, 2), (1, 3), (0.07, -5)),
    ("avg_pool2d", PoolAttrs((3, 2), (2, 1), (1, 1, 1, 0)), (1, 5, 4, 3), (1, 3, 4, 3), Q),
    ("max_pool2d", PoolAttrs((2, 2), (2, 2)), (1, 5, 4, 3), (1, 2, 2, 3), Q),
    ("pad", PadAttrs(((0, 0), (1, 2), (0, 0), (3, 0))), (1, 2, 3, 2), (1, 5, 3, 5), Q),
    ("reshape", ReshapeAttrs((-1, 6)), (1, 2, 3), (1, 6), Q),
    ("transpose", TransposeAttrs((0, 2, 1)), (1, 2, 3), (1, 3, 2), Q),
    ("strided_slice", StridedSliceAttrs((0, 3, 0), (None, None, 2), (1, -2, 1), (2,)[:0]), (1, 4, 3), (1, 2, 2), Q),
]
TARGETS: list[dict[str, Any]] = [
    {},
    {
        "requantize": "double",
        "rescale": "half_up_simd",
        "mean": "float_simd",
        "lut": "float_half_away",
        "softmax": "float_table",
    },
    {"requantize": "double", "rescale": "xnnpack", "mean": "xnnpack", "lut": "float_half_even", "scale_precision": "float32"},
]


@pytest.mark.parametrize("target", TARGETS, ids=["tflm", "simd", "xnnpack"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[2]}" if isinstance(c, tuple) else None)
def test_a_batch_equals_its_samples_one_by_one(case: tuple[Any, ...], target: dict[str, Any]) -> None:
    op, attrs, shape, out, quant = case
    place = site(op, attrs, [t8("x", *shape)], t8("y", *out, quant=quant), **target)
    x = x8(5, *shape[1:])
    whole = emulate(place, x)
    assert whole.shape == (5, *out[1:])
    assert OPS[op].infer_shape(attrs, [x.shape]) == [whole.shape]
    np.testing.assert_array_equal(whole, np.concatenate([emulate(place, x[i : i + 1]) for i in range(5)]))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_integers_stay_near_the_float_reference(case: tuple[Any, ...]) -> None:
    op, attrs, shape, out, quant = case
    place = site(op, attrs, [t8("x", *shape, quant=(0.05, 3))], t8("y", *out, quant=quant))
    x = x8(2, *shape[1:])
    got = (emulate(place, x).astype(np.float32) - quant[1]) * np.float32(quant[0])
    (real,) = OPS[op].reference(attrs, [(x.astype(np.float32) - 3) * np.float32(0.05)])
    lowest, highest = (np.float32((v - quant[1]) * quant[0]) for v in (-128, 127))
    assert np.abs(got - np.clip(real, lowest, highest)).max() <= 2.0 * quant[0]


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@pytest.mark.parametrize(
    "target", [{}, {"add": "fixed_point_simd", "mul": "rescale_simd"}, {"add": "xnnpack", "mul": "xnnpack"}]
)
@pytest.mark.parametrize("constant", [(1, 1, 1), (3,), (1, 4, 1), (), (4, 3)])
def test_binary_broadcasts_constants_over_the_batch(op: str, target: dict[str, Any], constant: tuple[int, ...]) -> None:
    data = x8(*constant)
    place = site(op, BinaryAttrs("relu"), [t8("a", 1, 4, 3), t8("b", *constant, quant=(0.02, 5), data=data)],
                 t8("y", 1, 4, 3, quant=(0.09, -10)), **target)  # fmt: skip
    a = x8(6, 4, 3)
    got = emulate(place, a)
    full = np.broadcast_to(data, (1, 4, 3))
    same = site(op, BinaryAttrs("relu"), [t8("a", 1, 4, 3), t8("b", 1, 4, 3, quant=(0.02, 5))],
                t8("y", 1, 4, 3, quant=(0.09, -10)), **({} if "simd" in str(target) else target))  # fmt: skip
    want = np.concatenate([emulate(same, a[i : i + 1], np.ascontiguousarray(full)) for i in range(6)])
    np.testing.assert_array_equal(got, want)
    assert got.min() >= -10


def test_relu6_of_tflm_only_clamps_and_litert_rescales() -> None:
    x = np.arange(-128, 128, dtype=np.int8)[None]
    tensors = [t8("x", 1, 256, quant=(0.1, 0))], t8("y", 1, 256, quant=(0.2, 10))
    np.testing.assert_array_equal(emulate(site("relu", ReluAttrs(0, 6), *tensors), x), np.clip(x, 0, 60))
    rescaled = emulate(site("relu", ReluAttrs(0, 6), *tensors, bounded_relu="rescale"), x)
    assert (rescaled.min(), rescaled.max()) == (10, 40)


def test_vector_blocks_and_their_tail_differ_where_the_rounding_does() -> None:
    # Scale 1/4: a difference of -2 is the tie -0.5, half up in the block of 16, half away from zero in the tail.
    place = site(
        "quantize", NoAttrs(), [t8("x", 1, 20, quant=(0.25, 0))], t8("y", 1, 20, quant=(1.0, 0)), rescale="half_up_simd"
    )
    assert emulate(place, np.full((1, 20), -2, np.int8))[0].tolist() == [0] * 16 + [-1] * 4
    two = emulate(place, np.full((2, 20), -2, np.int8))
    assert two.tolist() == [[0] * 16 + [-1] * 4] * 2


def test_float_quantize_rules_at_a_tie_and_at_nan() -> None:
    x = np.array([[0.5, -0.5, 1.5, np.nan, 1e30, -np.inf]], np.float32)

    def run(rule: str) -> list[int]:
        place = site("quantize", NoAttrs(), [tensor("x", (1, 6), "float32")], t8("y", 1, 6, quant=(1.0, 1)), quantize=rule)
        return list(emulate(place, x)[0])

    assert run("divide_half_away") == [2, 0, 3, 1, 127, -128]
    assert run("reciprocal_half_even") == [1, 1, 3, 1, 127, -128]


def test_power_of_two_int16_add_is_a_shift_and_needs_the_target_to_honour_the_flag() -> None:
    attrs = BinaryAttrs(pot_scale_int16=True)
    ports = [tensor("a", (1, 3), "int16", (2.0**-12, 0)), tensor("b", (1, 3), "int16", (2.0**-13, 0))]
    y = tensor("y", (1, 3), "int16", (2.0**-12, 0))
    a, b = np.array([[10, 32767, -7]], np.int16), np.array([[3, 32767, -3]], np.int16)
    assert emulate(site("add", attrs, ports, y, add_power_of_two=True), a, b)[0].tolist() == [12, 32767, -9]
    with pytest.raises(UnsupportedError, match="power-of-two"):
        emulate(site("add", attrs, ports, tensor("y", (1, 3), "int16", (2.0**-14, 0)), add_power_of_two=True), a, b)


def test_vector_runs_follow_the_five_fold_loops() -> None:
    assert vector_runs((1, 4, 5), (1, 4, 5)) == (20, False)
    assert vector_runs((2, 4, 5), (5,)) == (5, False)
    assert vector_runs((1, 4, 5), (1, 4, 1)) == (5, True)
    assert vector_runs((2, 1, 5, 1), (1, 4, 1, 3)) is None


def test_pad_fills_the_zero_point_or_the_quantized_value() -> None:
    for value, fill in ((0.0, 3), (1.0, 23), (99.0, 127)):
        place = site("pad", PadAttrs(((0, 0), (1, 0)), value), [t8("x", 1, 2)], t8("y", 1, 3))
        assert emulate(place, np.zeros((1, 2), np.int8))[0].tolist() == [fill, 0, 0]


def test_concat_joins_constants_and_refuses_rescaling_of_int8() -> None:
    data = x8(1, 1, 2)
    place = site("concat", ConcatAttrs(1), [t8("a", 1, 3, 2), t8("b", 1, 1, 2, data=data)], t8("y", 1, 4, 2))
    a = x8(3, 3, 2)
    np.testing.assert_array_equal(emulate(place, a)[:, 3], np.repeat(data[:, 0], 3, axis=0))
    with pytest.raises(UnsupportedError, match="same quantization"):
        emulate(site("concat", ConcatAttrs(1), [t8("a", 1, 3, 2, quant=(0.1, 3))], t8("y", 1, 3, 2)), a)


def test_float_runs_in_float32_and_rounds_once_to_float16() -> None:
    a, b = np.array([[1.0, 2.0]], np.float16), np.array([[0.0003, 0.3]], np.float16)
    ports = [tensor(n, (1, 2), "float16") for n in "ab"]
    got = emulate(site("add", BinaryAttrs(), ports, tensor("y", (1, 2), "float16")), a, b)
    assert got.dtype == np.float16 and got.tolist() == (a + b).tolist()


BAD: list[tuple[str, Any, list[Tensor], Tensor, str]] = [
    ("mean", MeanAttrs((4,), True), [t8("x", 1, 2, 3)], t8("y", 1, 1), "axes"),
    ("mean", MeanAttrs((1, 1), True), [t8("x", 1, 2, 3)], t8("y", 1, 1), "axes"),
    ("mean", MeanAttrs((1,), True), [t8("x", 1, 0, 3)], t8("y", 1, 1, 3), "empty"),
    ("softmax", SoftmaxAttrs(axis=5), [t8("x", 1, 2)], t8("y", 1, 2, quant=(1 / 256, -128)), "axis"),
    ("softmax", SoftmaxAttrs(), [t8("x", 1, 2)], t8("y", 1, 2, quant=(0.5, 0)), "must be"),
    ("softmax", SoftmaxAttrs(beta=math.nan), [t8("x", 1, 2)], t8("y", 1, 2, quant=(1 / 256, -128)), "beta"),
    ("softmax", SoftmaxAttrs(), [t8("x", 1, 5000)], t8("y", 1, 5000, quant=(1 / 256, -128)), "4095"),
    ("logistic", NoAttrs(), [t8("x", 1, 2)], t8("y", 1, 2), "must have scale"),
    ("relu", ReluAttrs(1.0, 0.0), [t8("x", 1, 2)], t8("y", 1, 2), "empty"),
    ("relu", ReluAttrs(), [t8("x", 1, 2, quant=(1e-20, 0))], t8("y", 1, 2, quant=(1e-32, 0)), "absurd"),
    ("relu", ReluAttrs(), [t8("x", 1, 2, quant=(1e20, 0))], t8("y", 1, 2, quant=(1e-20, 0)), "below 2"),
    ("relu", ReluAttrs(), [t8("x", 1, 2, quant=(0.1, 500))], t8("y", 1, 2), "zero point"),
    ("relu", ReluAttrs(), [tensor("x", (1, 2), "int16", (0.1, 4))], tensor("y", (1, 2), "int16", (0.1, 0)), "zero point 0"),
    ("relu", ReluAttrs(), [tensor("x", (1, 2), "int8")], t8("y", 1, 2), "one scale"),
    ("leaky_relu", LeakyReluAttrs(math.inf), [t8("x", 1, 2)], t8("y", 1, 2), "alpha"),
    ("hard_swish", NoAttrs(), [t8("x", 1, 2, quant=(9.0, 0))], t8("y", 1, 2, quant=(0.01, 0)), "128 times"),
    ("add", BinaryAttrs(), [t8("a", 1, 2), t8("b", 1, 3)], t8("y", 1, 3), "broadcast"),
    ("add", BinaryAttrs("swish"), [t8("a", 1, 2), t8("b", 1, 2)], t8("y", 1, 2), "fused activation"),
    ("add", BinaryAttrs(), [t8("a", 1, 2), t8("b", 2)], t8("y", 1, 2), "no common batch"),
    ("add", BinaryAttrs(), [t8("a", 1, 2, quant=(1e20, 0)), t8("b", 1, 2)], t8("y", 1, 2), "below"),
    ("mul", BinaryAttrs(), [t8("a", 1, 2), tensor("b", (1, 2), "int16", (0.1, 0))], t8("y", 1, 2), "of one type"),
    ("avg_pool2d", PoolAttrs((0, 2)), [t8("x", 1, 4, 4, 1)], t8("y", 1, 4, 4, 1), ">= 1"),
    ("avg_pool2d", PoolAttrs((2, 2), (1, 1), (2, 0, 0, 0)), [t8("x", 1, 4, 4, 1)], t8("y", 1, 4, 4, 1), "smaller than"),
    ("avg_pool2d", PoolAttrs((9, 2)), [t8("x", 1, 4, 4, 1)], t8("y", 1, 4, 4, 1), "larger than"),
    ("avg_pool2d", PoolAttrs((2, 2)), [t8("x", 1, 4, 4, 1)], t8("y", 1, 3, 3, 1, quant=(0.9, 3)), "same quant"),
    ("avg_pool2d", PoolAttrs((2, 2)), [t8("x", 1, 4, 4)], t8("y", 1, 3, 3), "N, H, W, C"),
    ("pad", PadAttrs(((0, 0), (-1, 0))), [t8("x", 1, 4)], t8("y", 1, 3), "paddings"),
    ("pad", PadAttrs(((1, 0), (0, 0))), [t8("x", 1, 4)], t8("y", 2, 4), "batch"),
    ("reshape", ReshapeAttrs((-1, -3)), [t8("x", 1, 4)], t8("y", 1, 4), "negative"),
    ("reshape", ReshapeAttrs((-1, 3)), [t8("x", 1, 4)], t8("y", 1, 3), "elements"),
    ("transpose", TransposeAttrs((0, 0)), [t8("x", 1, 4)], t8("y", 1, 4), "permutation"),
    ("strided_slice", StridedSliceAttrs((0, 0), (None, 9), (1, 1)), [t8("x", 1, 4)], t8("y", 1, 4), "outside"),
    ("strided_slice", StridedSliceAttrs((0, 0), (None, 4), (1, 0)), [t8("x", 1, 4)], t8("y", 1, 4), "outside"),
    ("strided_slice", StridedSliceAttrs((0, 0), (None, 4), (1, 1), (1,)), [t8("x", 1, 4)], t8("y", 1), "one element"),
    ("concat", ConcatAttrs(1), [t8("a", 1, 2, 2), t8("b", 1, 2, 3)], t8("y", 1, 4, 2), "differ"),
    ("concat", ConcatAttrs(7), [t8("a", 1, 2)], t8("y", 1, 2), "axis"),
    ("dequantize", NoAttrs(), [t8("x", 1, 2)], t8("y", 1, 2), "float32"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "attrs", "inputs", "output", "says"), BAD, ids=[f"{b[0]}-{b[4]}" for b in BAD])
def test_constraints_are_refused_before_a_kernel_runs(
    op: str, attrs: Any, inputs: list[Tensor], output: Tensor, says: str
) -> None:
    with pytest.raises((UnsupportedError, ModelError, InputError), match=says):
        OPS[op].prepare(site(op, attrs, inputs, output))


def test_an_array_of_another_shape_or_type_is_refused() -> None:
    place = site("relu", ReluAttrs(), [t8("x", 1, 4)], t8("y", 1, 4))
    for wrong in (x8(1, 5), x8(4), np.zeros((1, 4), np.int16)):
        with pytest.raises(InputError, match="expected int8"):
            emulate(place, wrong)
