"""The profiles against published measurements, and their constants against the scripts that fitted them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import cost_check, fit_cortex_m, fit_cortex_m0
from workbench.hardware import load_profile
from workbench.hardware.costs import Constant

PLACES = {
    "pointwise": ("conv2d", "pointwise"), "conv": ("conv2d", "mac"), "shallow": ("conv2d", "shallow"),
    "depthwise": ("depthwise_conv2d", "mac"), "fully_connected": ("fully_connected", "mac"), "output": ("conv2d", "output"),
    "element": ("any", "element"),
}  # fmt: skip


@pytest.fixture(scope="module")
def cortex_m(ground_truth: Path) -> fit_cortex_m.Fit:
    return fit_cortex_m.fit(*fit_cortex_m.load_rows(ground_truth))


@pytest.mark.parametrize("name", list(fit_cortex_m.PROFILES))
def test_constants_of_the_profile_are_those_of_the_fit(cortex_m: fit_cortex_m.Fit, name: str) -> None:
    costs = load_profile(name).costs
    assert costs is not None
    values = dict(zip(fit_cortex_m.KINDS, cortex_m.constants(*fit_cortex_m.PROFILES[name]), strict=True))
    assert costs.latency.layer.value == pytest.approx(values.pop("layer"), rel=1e-3)
    for kind, value in values.items():
        op, field = PLACES[kind]
        constant = getattr(costs.latency.operators[op][0], field)
        assert isinstance(constant, Constant) and constant.value == pytest.approx(value, rel=1e-3), kind


def test_network_uncertainty_of_the_profiles_is_that_of_networks_left_out(ground_truth: Path) -> None:
    runtimes = {runtime for runtime, _ in fit_cortex_m.PROFILES.values()}
    table = fit_cortex_m.predictions(*fit_cortex_m.load_rows(ground_truth), runtimes)
    for name, (runtime, _) in fit_cortex_m.PROFILES.items():
        costs = load_profile(name).costs
        assert costs is not None
        assert costs.latency.network_uncertainty == pytest.approx(fit_cortex_m.network_uncertainty(table, runtime), abs=0.006)


def test_constants_of_the_cortex_m0_are_those_of_the_fit(ground_truth: Path) -> None:
    layers = fit_cortex_m0.load_layers(ground_truth)
    pointwise = fit_cortex_m0.fit(layers[layers.op == "conv1x1"], fit_cortex_m0.MODELS["conv1x1"])
    depthwise = fit_cortex_m0.fit(layers[layers.op == "dw"], fit_cortex_m0.MODELS["dw"])
    costs = load_profile("stm32g0b1-cortex-m0plus-tflm").costs
    assert costs is not None
    conv, dw = costs.latency.operators["conv2d"][0], costs.latency.operators["depthwise_conv2d"][0]
    assert conv.mac is not None and conv.output is not None and dw.mac is not None
    assert [conv.mac.value, conv.output.value] == pytest.approx(pointwise[:2], rel=2e-3)
    assert dw.mac.value == pytest.approx(depthwise[0], rel=2e-3)


def test_published_rows_lie_in_their_intervals(ground_truth: Path) -> None:
    lines = [x for x in cost_check.mlperf_lines(ground_truth) if x.counted]
    assert len(lines) > 30
    outside = [
        f"{x.profile} {x.network} {x.quantity}: {x.low:.4g}..{x.high:.4g}, measured {x.measured:.4g}"
        for x in lines
        if not x.inside
    ]
    assert not outside
