"""The MLPerf Tiny networks: every file loads; floats agree with LiteRT, integers with TFLM, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.execute import prepare, run_reference
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.tensor import dequantize

FLOAT_TOLERANCE = 1e-4
"""|difference| / largest |value|. Measured on all stored samples: 1.1e-6 (kws), 4.4e-6 (resnet8), 2.1e-7 (vww), 9.0e-5 (ad01).

ad01's bottleneck amplifies the rounding of float32: LiteRT itself is 7.8e-5 away from exact arithmetic."""

NETWORKS = {
    "ad01_fp32": ("ad01_one_normal_file", "windows", "litert_fp32"),
    "kws_ref_float32": ("kws01_1000", "x_int8", "litert_float32"),
    "ic_resnet8_float32": ("cifar10_test846", "x", "litert_ic_resnet8_float32"),
    "ic_resnet8_large_float32": ("cifar10_test846", "x", "litert_ic_resnet8_large_float32"),
    "vww_96_float": ("vww_fidelity14", "x", "litert_float"),
}
"""Float network -> data file, input array, stored output."""

GOLDEN = {
    "ad01_int8": "ad01_int8", "kws_ref_int8": "kws_ref_model", "ic_resnet8_int8": "pretrainedResnet_quant",
    "sww_int8": "str_ww_ref_model", "vww_96_int8": "vww_96_int8",
}  # fmt: skip
"""Int8 network -> name of its golden file."""

NODES = {
    "ad01_fp32": 10, "ad01_int8": 10, "ic_resnet8_float32": 16, "ic_resnet8_int8": 16, "ic_resnet8_large_float32": 16,
    "ic_resnet8_large_int8": 16, "kws_ref_dynrange": 13, "kws_ref_float32": 13, "kws_ref_int8": 13, "sww_int8": 11,
    "vww_96_float": 31, "vww_96_int8": 31,
}  # fmt: skip
"""Operators of each file; kws_ref_float32 has 12 and one reshape that its dense layer does by itself."""


def load(folder: Path, name: str) -> Graph:
    return load_model(folder / "mlperf_tiny" / f"{name}.tflite")


@pytest.mark.parametrize("name", NODES)
def test_network_loads_with_short_unique_names(models_dir: Path, name: str) -> None:
    graph = load(models_dir, name)
    assert len(graph.nodes) == NODES[name] and graph.fixed_batch is None
    names = [n.name for n in graph.nodes]
    assert len(set(names)) == len(names) and max(map(len, names)) <= 24
    assert all(n.source.split(" #")[0].isupper() for n in graph.nodes)
    assert all(t.index is not None for t in graph.activations() if not t.name.endswith(".reshaped"))


def test_names_are_those_of_the_layers(models_dir: Path) -> None:
    names = [n.name for n in load(models_dir, "ic_resnet8_int8").nodes]
    assert names == [
        "conv2d", "conv2d_1", "conv2d_2", "add", "conv2d_3", "conv2d_4", "conv2d_5", "add_1", "conv2d_6", "conv2d_7",
        "conv2d_8", "add_2", "average_pooling2d", "flatten", "dense", "softmax",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_float_network_equals_litert(models_dir: Path, name: str) -> None:
    file, key, output = NETWORKS[name]
    arrays = np.load(models_dir / "data" / f"{file}.npz")
    count = 12 if "resnet" in name else 60
    x, want = arrays[key][:count], arrays[output][:count]
    if key == "x_int8":
        quant = load(models_dir, "kws_ref_int8").tensors["input_1"].quant
        assert quant is not None
        x = dequantize(x, quant)
    x = x.astype(np.float32) / (np.float32(255) if name == "vww_96_float" else np.float32(1))
    graph = load(models_dir, name)
    got = run_reference(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    assert np.abs(got - want).max() <= FLOAT_TOLERANCE * np.abs(want).max()


def test_dynamic_range_weights_stay_integers(models_dir: Path) -> None:
    """LiteRT quantizes the activations of such layers as it runs; the reference does not: only the decision is compared."""
    graph = load(models_dir, "kws_ref_dynrange")
    weights = [graph.tensors[n.inputs[1]] for n in graph.nodes if n.op == "conv2d"]
    assert any(w.dtype == "int8" and w.quant is not None for w in weights) and not graph.is_quantized
    arrays = np.load(models_dir / "data" / "kws01_1000.npz")
    quant = load(models_dir, "kws_ref_int8").tensors["input_1"].quant
    assert quant is not None
    got = run_reference(graph, {"input_1": dequantize(arrays["x_int8"][:200], quant)})["Identity"]
    assert (got.argmax(1) == arrays["litert_dynrange"][:200].argmax(1)).mean() >= 0.98


@pytest.mark.parametrize("name", GOLDEN)
def test_every_tensor_of_an_int8_network_equals_tflm(models_dir: Path, golden_dir: Path, name: str) -> None:
    graph = load(models_dir, name)
    program = prepare(graph, load_profile("stm32l4r5-cortex-m4-tflm"))
    by_index = {t.index: t.name for t in graph.activations()}
    arrays = np.load(golden_dir / f"model_{GOLDEN[name]}.npz")
    samples = sorted({key.split("/")[0] for key in arrays.files})
    compared = 0
    for sample in samples:
        x = arrays[f"{sample}/x"].reshape(1, *graph.tensors[graph.inputs[0]].shape[1:])
        values = program.run({graph.inputs[0]: x}, keep_all=True)
        for key in (k for k in arrays.files if k.startswith(f"{sample}/t") and k.endswith("__litert_ref")):
            tflm = key.replace("litert_ref", "tflm")  # stored only where it differs
            want = arrays[tflm if tflm in arrays.files else key]
            index = int(key.split("/t")[1].split("__")[0])
            np.testing.assert_array_equal(values[by_index[index]].reshape(want.shape), want, err_msg=f"{name} {key}")
            compared += 1
    assert compared == len(samples) * len(graph.nodes)
