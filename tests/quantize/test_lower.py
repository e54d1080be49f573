"""Lowering a float graph: types, scales, conversions, file's own scales."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.networks import small_cnn, two_branches
from workbench.errors import InputError, UnsupportedError
from workbench.execute import prepare, run_reference
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.hardware.profile import Scheme
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, QuantizeOptions, calibrate, read_plan
from workbench.quantize.ranges import params_from_range, quantize_weights
from workbench.tensor import RANGES, dequantize

X = np.random.default_rng(5).standard_normal((40, 8, 8, 1)).astype(np.float32)


def make(options: QuantizeOptions | None = None) -> Lowering:
    graph = small_cnn()
    return Lowering(graph, load_profile("stm32l4r5-cortex-m4-tflm"), calibrate(graph, X), options)


def test_w8a8_graph_follows_the_tflite_specification() -> None:
    graph = make().quantized(PrecisionPlan.of("w8a8"))
    assert [n.op for n in graph.nodes if n.op in ("quantize", "dequantize")] == ["quantize", "dequantize"]
    for node in graph.nodes:
        if node.op in ("conv2d", "depthwise_conv2d", "fully_connected"):
            x, w, b = (graph.tensors[n] for n in node.inputs)
            assert (x.dtype, w.dtype, b.dtype) == ("int8", "int8", "int32")
            assert w.quant is not None and x.quant is not None and b.quant is not None
            assert not w.quant.zero_point.any()
            assert w.data is not None and np.abs(w.data).max() == 127
            np.testing.assert_array_equal(b.quant.scale, x.quant.scale * w.quant.scale)


def test_mixed_activations_get_conversions_only_where_types_meet() -> None:
    graph = make().quantized(PrecisionPlan.of("w8a8", {"pw3": "w8a16"}))
    conversions = [
        (n.op, graph.tensors[n.inputs[0]].dtype, graph.tensors[n.outputs[0]].dtype) for n in graph.nodes if "quantize" in n.op
    ]
    assert ("quantize", "int8", "int16") in conversions  # into pw3, and the other operand of the addition
    assert graph.tensors["t4"].dtype == "int16"
    assert graph.tensors["t1"].dtype == "int8"


def test_emulated_output_is_close_to_the_reference() -> None:
    low = make()
    reference = run_reference(low.graph, {"x": X})["y"]
    for name, db in (("w8a8", 25), ("w8a16", 35), ("fp32", 100)):
        program = low.program(PrecisionPlan.of(name))
        real = program.run({"x": X})[program.outputs[0].name]
        noise = float(((real - reference) ** 2).sum())
        assert noise == 0 or 10 * np.log10(float((reference**2).sum()) / noise) > db


def test_float_graph_without_calibration_says_what_is_missing() -> None:
    low = Lowering(small_cnn(), load_profile("stm32l4r5-cortex-m4-tflm"))
    with pytest.raises(InputError, match=r"no scale for int8\. Give calibration data"):
        low.quantized(PrecisionPlan.of("w8a8"))


def test_quantized_model_keeps_its_own_scales_and_weights() -> None:
    file = quantized_file()
    assert file.is_quantized
    again = Lowering(file, load_profile("stm32l4r5-cortex-m4-tflm")).quantized(PrecisionPlan.of("w8a8"))
    assert again.digest == file.digest
    mixed = Lowering(file, load_profile("stm32l4r5-cortex-m4-tflm")).quantized(PrecisionPlan.of("w8a8", {"pw3": "w4a8"}))
    w = mixed.tensors["w3"]
    assert w.dtype == "int4" and w.data is not None and np.abs(w.data).max() <= 7
    assert mixed.tensors["w6"] is file.tensors["w6"]


def test_plan_file_gives_the_same_bits_without_calibration(tmp_path: Path) -> None:
    low = make(QuantizeOptions(weights="mse"))
    plan = PrecisionPlan.of("w8a8", {"pw3": "w4a8", "fc6": "w8a16"})
    path = tmp_path / "plan.yaml"
    path.write_text(low.plan_file(plan).to_yaml("a comment"))
    file = read_plan(path)
    assert file.plan == plan
    again = Lowering(low.graph, low.profile, None, file.options, file.scales).program(file.plan)
    want = low.program(plan)
    (out,) = want.outputs
    np.testing.assert_array_equal(again.run({"x": X})[out.name], want.run({"x": X})[out.name])


@pytest.mark.parametrize(
    "text",
    ["default: w9a9", "default: w8a8\nlayer: {}", "default: w8a8\nactivations: {t: {int8: [0, 0]}}", "layers: {a: w8a8}"],
)
def test_wrong_plan_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"plan\.yaml"):
        read_plan(path)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("span", [(-1.0, 3.0), (0.0, 6.0), (-5.0, 0.0), (0.0, 0.0), (2.0, 3.0), (-1e-30, 1e-30), (-1e30, 1e30)])
def test_zero_is_exact_in_every_range(dtype: str, span: tuple[float, float]) -> None:
    params = params_from_range(*span, dtype, Scheme())
    low, high = RANGES[dtype]
    assert low <= int(params.zero_point[0]) <= high
    if span[1] - span[0] > 1e-20:
        covered = float(params.scale[0]) * (high - int(params.zero_point[0]))
        assert covered >= span[1] * (1 - 1e-2) - 1e-12


@pytest.mark.parametrize("dtype", ["int8", "int4", "int2"])
@pytest.mark.parametrize("method", ["min_max", "mse", "percentile"])
@pytest.mark.parametrize("axis", [None, 0])
def test_weights_stay_in_range_and_mse_is_never_worse(dtype: str, method: str, axis: int | None) -> None:
    w = np.random.default_rng(0).standard_normal((6, 5, 5, 4)).astype(np.float32)
    w[2] = 0.0
    q, params = quantize_weights(w, dtype, axis, QuantizeOptions(weights=method, percentile=99.0), Scheme())  # type: ignore[arg-type]
    low, high = RANGES[dtype]
    assert q.min() >= low and q.max() <= high and q.shape == w.shape
    base, base_params = quantize_weights(w, dtype, axis, QuantizeOptions(), Scheme())
    if method == "mse":
        assert ((dequantize(q, params) - w) ** 2).sum() <= ((dequantize(base, base_params) - w) ** 2).sum() * (1 + 1e-6)


def test_emulation_of_the_lowered_graph_needs_no_lowering() -> None:
    low = make()
    plan = PrecisionPlan.of("w4a8")
    graph = low.quantized(plan)
    a = prepare(graph, low.profile).run({"x": X})[graph.outputs[0]]
    np.testing.assert_array_equal(a, low.program(plan).run({"x": X})[graph.outputs[0]])


def quantized_file() -> Graph:
    """Return small_cnn as a file that brought its own int8 weights and scales."""
    first = make().quantized(PrecisionPlan.of("w8a8"))
    inner = [n for n in first.nodes if n.op not in ("quantize", "dequantize")]
    nodes = [replace(n, inputs=tuple("q" if i.startswith("x:") else i for i in n.inputs)) for n in inner]
    tensors = {**first.tensors, "q": replace(first.tensors["x:int8"], name="q")}
    return replace(first.with_nodes(nodes, tensors), inputs=("q",), outputs=("y",)).with_nodes(nodes)


@pytest.mark.parametrize("network", [small_cnn, two_branches, quantized_file])
@pytest.mark.parametrize("formats", [("w8a8", "w4a8", "w2a8"), ("w8a8", "w4a16", "w8a8-per-tensor", "fp16", "fp32")])
def test_shared_pieces_give_the_same_steps_as_rewriting_the_whole_graph(
    network: Callable[[], Graph], formats: tuple[str, ...]
) -> None:
    graph, profile = network(), load_profile("stm32l4r5-cortex-m4-tflm")
    x = np.random.default_rng(1).standard_normal((8, *graph.tensors[graph.inputs[0]].shape[1:])).astype(np.float32)
    seen = None if graph.is_quantized else calibrate(graph, x)
    shared = Lowering(graph, profile, seen)
    chance = random.Random(0)
    for _ in range(25):
        plan = PrecisionPlan.of(chance.choice(formats), {layer: chance.choice(formats) for layer in shared.layers})
        try:
            whole = prepare(Lowering(graph, profile, seen).quantized(plan), profile)
        except UnsupportedError as problem:
            with pytest.raises(UnsupportedError) as same:
                shared.program(plan)
            assert str(same.value) == str(problem)
            continue
        program = shared.program(plan)
        assert [s.key for s in program.steps] == [s.key for s in whole.steps]
        assert [(t.name, t.dtype, t.quant) for t in program.outputs] == [(t.name, t.dtype, t.quant) for t in whole.outputs]


def test_plans_share_prepared_steps() -> None:
    low = make()
    a, b = (low.program(PrecisionPlan.of("w8a8", {"pw3": fmt})) for fmt in ("w4a8", "w2a8"))
    differ = [x.node.name for x, y in zip(a.steps, b.steps, strict=True) if x is not y]
    assert differ == ["pw3"]


def test_a_conversion_is_made_once_for_all_readers() -> None:
    low = Lowering(
        two_branches(), load_profile("stm32l4r5-cortex-m4-tflm"), calibrate(two_branches(), X[:, :6, :6].repeat(2, 3))
    )
    graph = low.quantized(PrecisionPlan.of("w8a16", {"conv1": "w8a8"}))
    assert [n.name for n in graph.nodes if n.inputs[0] == "t1"] == ["t1:int16"]
    assert [n.name for n in graph.nodes if n.inputs[0] == "t1:int16"] == ["conv2", "dw3"]


def test_a_plan_for_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"layer 'pw4' is not in the model\. Did you mean 'pw3'"):
        make().program(PrecisionPlan.of("w8a8", {"pw4": "w4a8"}))
