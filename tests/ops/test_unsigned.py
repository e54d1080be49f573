"""Unsigned bytes with a scale against sums in plain Python integers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.sites import site, tensor
from workbench.cost import support
from workbench.errors import InputError, ModelError, UnsupportedError
from workbench.execute import prepare
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite
from workbench.ops.base import OPS
from workbench.precision import parse_format

REFERENCE = "x86-litert-reference"
LAST = 255


def dense(zero_w: int, w: np.ndarray, x_scale: float = 1.0, **changes: object) -> bytes:
    """Return fully connected with scales 1 * 1 / 1 (or x_scale): the output is the clipped sum."""
    more: dict[str, object] = {"scale": [1.0], "zero": [zero_w], "axis": 0, **changes}
    tensors = [
        T((1, w.shape[1]), np.uint8, "x", scale=[x_scale], zero=[7]), const(w, np.uint8, name="w", **more),
        T((1, w.shape[0]), np.uint8, "y", scale=[1.0], zero=[100]),
    ]  # fmt: skip
    return Net(tensors, [Op("FULLY_CONNECTED", [0, 1], [2], ("FullyConnectedOptions", {}))]).bytes()


@pytest.mark.parametrize("zero_w", [0, 1, 127, 128, 200, LAST])
def test_weights_lose_their_zero_point_exactly(zero_w: int) -> None:
    r = np.random.default_rng(zero_w)
    w = np.clip(r.integers(zero_w - 2, zero_w + 3, (9, 70)), 0, LAST).astype(np.uint8)
    w[0, :2], w[1, :2] = (0, LAST), (LAST, 0)
    x = r.integers(0, 20, (5, 70)).astype(np.uint8)
    x[0, :2], x[1, 2:] = (7, 8), 7
    graph = load_tflite("m.tflite", dense(zero_w, w))
    (got,) = prepare(graph, load_profile(REFERENCE)).run({"x": x}).values()
    for row, made in zip(x.tolist(), got.tolist(), strict=True):
        sums = [sum((a - 7) * (b - zero_w) for a, b in zip(row, weights, strict=True)) for weights in w.tolist()]
        assert made == [min(max(s + 100, 0), LAST) for s in sums]


def test_weights_with_several_scales_are_refused() -> None:
    data = dense(0, np.ones((2, 3)), scale=[1.0, 2.0], zero=[0, 0])
    with pytest.raises(ModelError, match="uint8 weights have 2 scales; expected one scale and one zero point"):
        load_tflite("m.tflite", data)


@pytest.mark.parametrize("profile", ["stm32l4r5-cortex-m4-tflm", "max78000", "nvidia-h100"])
def test_targets_without_unsigned_kernels_say_so(profile: str) -> None:
    graph = load_tflite("m.tflite", dense(3, np.ones((2, 3))))
    (refused,) = support(graph, load_profile(profile))
    assert refused.format == "uint8" and "fully_connected in uint8 is not supported" in str(refused)


def test_conversions_to_unsigned_bytes_have_their_format_on_both_sides() -> None:
    tensors = [T((1, 4), np.int8, "x", scale=[0.5], zero=[0]), T((1, 4), np.uint8, "y", scale=[0.5], zero=[128])]
    graph = load_tflite("m.tflite", Net(tensors, [Op("QUANTIZE", [0], [1])]).bytes())
    assert support(graph, load_profile("stm32l4r5-cortex-m4-tflm")) == []
    assert [u.format for u in support(graph, load_profile("max78000"))] == ["uint8"]


def test_bytes_without_a_scale_are_not_quantized() -> None:
    tensors = [T((1, 4), np.uint8, "x"), T((1, 4), np.int8, "y", scale=[0.5], zero=[0])]
    with pytest.raises(ModelError, match="'x' is uint8 without a scale"):
        load_tflite("m.tflite", Net(tensors, [Op("QUANTIZE", [0], [1])]).bytes())


def test_no_plan_gives_the_format_of_files() -> None:
    with pytest.raises(InputError, match="run as they are: without a plan"):
        parse_format("uint8")


def test_a_run_of_sixteen_is_a_rule_of_transposed_convolutions_alone() -> None:
    x, y = tensor("x", (1, 4), "int8", (1.0, 0)), tensor("y", (1, 4), "int8", (0.5, 0))
    with pytest.raises(UnsupportedError, match="rule of transpose_conv2d alone"):
        OPS["quantize"].prepare(site("quantize", OPS["quantize"].attrs(), [x], y, requantize="double_half_up_run16"))
