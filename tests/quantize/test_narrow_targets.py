"""Lowering for targets of narrow integers: scales, biases and types as the silicon has them, and outputs near the reference."""

from __future__ import annotations

import numpy as np
import pytest

from tests.networks import small_cnn
from workbench.cost import on_host, support
from workbench.errors import UnsupportedError
from workbench.execute import run_reference
from workbench.hardware import load_profile
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, QuantizeOptions, calibrate
from workbench.tensor import RANGES, dequantize

X = np.random.default_rng(5).standard_normal((40, 8, 8, 1)).astype(np.float32)
LAYERS = ("conv2d", "depthwise_conv2d", "fully_connected")


def make(profile: str) -> Lowering:
    graph = small_cnn()
    return Lowering(graph, load_profile(profile), calibrate(graph, X), QuantizeOptions(weights="mse"))


@pytest.mark.parametrize(("profile", "unit", "bits"), [("max78002", 128, 8), ("esp32-s3", 1, 20), ("esp32-p4", 1, 32)])
def test_shifters_get_powers_of_two_and_biases_that_fit(profile: str, unit: int, bits: int) -> None:
    graph = make(profile).quantized(PrecisionPlan.of("w8a8-per-tensor"))
    quantized = [t for t in graph.tensors.values() if t.quant is not None and t.dtype in RANGES]
    assert all((np.frexp(t.quant.scale)[0] == 0.5).all() and not t.quant.zero_point.any() for t in quantized if t.quant)
    biases = [graph.tensors[n.inputs[2]] for n in graph.nodes if n.op in LAYERS]
    assert biases
    for bias in biases:
        assert bias.data is not None and bias.dtype == "int32" and not (bias.data % unit).any()
        assert np.abs(bias.data // unit).max() < 1 << (bits - 1)
    for node in graph.nodes:
        if node.op == "add":
            assert len({graph.tensors[name].quant for name in (*node.inputs, *node.outputs)}) == 1


@pytest.mark.parametrize(
    ("profile", "formats", "db"),
    [
        (
            "max78002",
            ("w8a8-per-tensor", "w4a8-per-tensor", "w2a8-per-tensor", "w1a8-per-tensor", "wba8-per-tensor"),
            (18, 6, 0, -9, 0),
        ),
        ("esp32-s3", ("w8a8-per-tensor",), (18,)),
        ("esp32-p4", ("w8a8", "w8a8-per-tensor"), (18, 18)),
        ("gap8-pulp-nn", ("w8a8-per-tensor", "w4a4-per-tensor", "w2a2-per-tensor"), (18, 0, -9)),
    ],
)
def test_outputs_are_near_the_reference(profile: str, formats: tuple[str, ...], db: tuple[float, ...]) -> None:
    low = make(profile)
    want = run_reference(low.graph, {"x": X})["y"]
    for name, least in zip(formats, db, strict=True):
        plan = PrecisionPlan.of(name)
        assert support(low.quantized(plan), low.profile) == []
        program = low.program(plan)
        found = program.run({"x": X})[program.outputs[0].name]
        quant = program.outputs[0].quant
        real = dequantize(found, quant) if quant is not None else found
        noise = float(((real - want) ** 2).sum())
        assert 10 * np.log10(float((want**2).sum()) / noise) > least, name


def test_layers_that_the_accelerator_lacks_run_on_its_host_and_in_its_formats() -> None:
    low = make("max78000")
    graph = low.quantized(PrecisionPlan.of("w8a8-per-tensor"))
    assert support(graph, low.profile) == []
    assert {layer.op for layer in on_host(graph, low.profile)} >= {"depthwise_conv2d"}
    (problem,) = {p.op: p for p in support(low.quantized(PrecisionPlan.of("w4a8-per-tensor")), low.profile)}.values()
    assert problem.op == "depthwise_conv2d" and problem.nearest == "w8a8-per-tensor"


def test_a_shift_that_the_silicon_does_not_have_is_refused() -> None:
    low = make("max78002")
    plan = PrecisionPlan.of("w8a8-per-tensor")
    layer = next(n for n in low.quantized(plan).nodes if n.op == "conv2d")
    quant = low.params(layer.outputs[0], "int8")
    assert quant is not None
    small = Lowering(
        low.graph, low.profile, low.calibration, low.options, {(layer.outputs[0], "int8"): type(quant).per_tensor(2.0**-40)}
    )
    with pytest.raises(UnsupportedError, match=r"the shifter has 2\*\*-22 to 2\*\*8"):
        small.program(plan)
