"""The default task shows what it is committed to show, checked with ONNX Runtime alone: nothing of this package takes part."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / "studies" / "models" / "fashion_cnn.onnx"
DATA = ROOT / "studies" / "data" / "fashion_mnist.npz"
RUINED = "dw2"

Float = NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx.load(MODEL)


@pytest.fixture(scope="module")
def weights(model: onnx.ModelProto) -> dict[str, Float]:
    """Layer name -> float32 [O, I/groups, KH, KW] (or [O, I])."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {name.removesuffix(".weight"): value for name, value in constants.items() if name.endswith(".weight")}


def fake_quantize(weight: Float, bits: int, per_channel: bool) -> Float:
    """Round to the symmetric narrow-range grid of `bits` bits, one scale per output channel or one in all."""
    q_max = 2 ** (bits - 1) - 1
    axes = tuple(range(1, weight.ndim)) if per_channel else None
    scale = np.abs(weight).max(axis=axes, keepdims=True) / q_max
    return (np.clip(np.round(weight / scale), -q_max, q_max) * scale).astype(np.float32)


def top1(model: onnx.ModelProto, replaced: dict[str, Float]) -> float:
    """Percent right on the 2,000 test images, with some layers' weights replaced."""
    runtime = pytest.importorskip("onnxruntime")
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        layer = tensor.name.removesuffix(".weight")
        if layer != tensor.name and layer in replaced:
            tensor.CopyFrom(numpy_helper.from_array(replaced[layer], tensor.name))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(changed.SerializeToString(), options)
    with np.load(DATA) as data:
        images, labels = data["test_x"].astype(np.float32) / np.float32(255), data["test_y"]
    logits = np.concatenate([session.run(None, {"image": part})[0] for part in np.split(images, 4)])
    return float(100 * np.mean(logits.argmax(1) == labels))


@pytest.fixture(scope="module")
def reference(model: onnx.ModelProto) -> float:
    return top1(model, {})


def test_data_shapes_and_disjoint_splits() -> None:
    with np.load(DATA) as data:
        assert data["calibration_x"].shape == (500, 1, 28, 28) and data["calibration_x"].dtype == np.uint8
        assert data["test_x"].shape == (2000, 1, 28, 28) and data["test_x"].dtype == np.uint8
        assert np.array_equal(np.bincount(data["calibration_y"]), np.full(10, 50))
        assert len(data["test_y"]) == 2000 and set(data["test_y"]) == set(range(10))
        # Calibration images are of the training set and of the twelfth that training did not see; test images are another set.
        assert (data["calibration_index"] % 12 == 11).all() and len(set(data["calibration_index"])) == 500
        seen = {image.tobytes() for image in data["calibration_x"]}
        assert not any(image.tobytes() in seen for image in data["test_x"])


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime (extra verify)")
class TestPicture:
    """What the default study is there to show."""

    def test_reference_accuracy(self, reference: float) -> None:
        assert reference >= 89.0

    def test_size(self, model: onnx.ModelProto) -> None:
        assert 35_000 <= sum(int(np.prod(t.dims)) for t in model.graph.initializer) <= 45_000

    @pytest.mark.parametrize("per_channel", [True, False])
    def test_8_bit_weights_are_free(
        self, model: onnx.ModelProto, weights: dict[str, Float], reference: float, per_channel: bool
    ) -> None:
        all_layers = {name: fake_quantize(weight, 8, per_channel) for name, weight in weights.items()}
        assert abs(top1(model, all_layers) - reference) < 0.3

    def test_4_bit_per_tensor_ruins_one_layer_and_no_other(
        self, model: onnx.ModelProto, weights: dict[str, Float], reference: float
    ) -> None:
        drop = {name: reference - top1(model, {name: fake_quantize(w, 4, False)}) for name, w in weights.items()}
        assert drop.pop(RUINED) > 4
        assert max(drop.values()) < 2

    def test_4_bit_per_channel_is_mild_everywhere(
        self, model: onnx.ModelProto, weights: dict[str, Float], reference: float
    ) -> None:
        drop = {name: reference - top1(model, {name: fake_quantize(w, 4, True)}) for name, w in weights.items()}
        assert max(drop.values()) < 1
