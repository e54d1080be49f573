"""`Estimator` gives the figures of `estimate`, to the last bit, whatever the target and the mix of formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cost.mixed_network import formats_space, lowered, network
from workbench.cost import estimate
from workbench.cost.axes import COST_AXES
from workbench.cost.many import Estimator
from workbench.errors import ProfileError
from workbench.loaders import load_model
from workbench.quantize import Lowering
from workbench.sweep import Codes, Space, decision_groups
from workbench.truth.prices import plan_costs

TARGETS = (
    "stm32l4r5-cortex-m4-tflm", "stm32h743-cmix-nn", "esp32-s3-tflm-espnn", "x86-litert-xnnpack", "x86-vnni-onnxruntime", "nvidia-t4",
    "ethos-u55-128", "ethos-u85-256", "coral-edgetpu", "stm32n6-neural-art", "gap9-ne16", "hailo-8", "rk3588-npu",
)  # fmt: skip
"""Microcontrollers with and without packed weights, CPUs, a GPU, NPUs with a compiler's schedule, a memory on the chip, and a host."""


def each_alone(lowering: Lowering, space: Space, codes: Codes) -> np.ndarray:
    estimates = [estimate(lowering.quantized(plan), lowering.profile) for plan in space.plans(codes)]
    return np.array([[value(cost) for value in COST_AXES.values()] for cost in estimates])


@pytest.mark.parametrize("target", TARGETS)
def test_prices_equal_estimates_of_random_mixes(target: str) -> None:
    lowering = lowered(network(), target)
    space = formats_space(lowering, tie=False)
    codes = space.draw(12, np.random.default_rng(0))
    prices = plan_costs(lowering, space)
    wanted = each_alone(lowering, space, codes)
    np.testing.assert_array_equal(prices(codes), wanted)
    np.testing.assert_array_equal(prices(codes[::-1]), wanted[::-1])  # from what it remembers
    assert len(np.unique(wanted, axis=0)) > 1


@pytest.mark.parametrize("name", ["ic_resnet8_int8", "kws_ref_int8", "ad01_int8"])
def test_prices_equal_estimates_of_published_networks(name: str, models_dir: Path) -> None:
    lowering = Lowering(load_model(models_dir / f"mlperf_tiny/{name}.tflite"), lowered(network(), TARGETS[0]).profile)
    space = _of_bytes(lowering)
    codes = space.draw(10, np.random.default_rng(1))
    np.testing.assert_array_equal(plan_costs(lowering, space)(codes), each_alone(lowering, space, codes))


def _of_bytes(lowering: Lowering) -> Space:
    """Return weights of 8, 4 and 2 bits: a quantized file has no calibration for other activations."""
    formats = ("w8a8", "w4a8", "w2a8")
    return Space.of(decision_groups(lowering.graph, lowering.layers, formats), formats)


def test_no_plans_are_no_prices() -> None:
    lowering = lowered(network(), TARGETS[0])
    assert Estimator(lowering.graph, lowering.profile).prices([]).shape == (0, len(COST_AXES))


def test_a_target_without_costs_is_refused() -> None:
    lowering = lowered(network(), TARGETS[0])
    with pytest.raises(ProfileError, match="has no section 'costs'"):
        Estimator(lowering.graph, lowering.profile.model_copy(update={"costs": None}))
