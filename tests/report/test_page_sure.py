"""What the page says about sizes agrees with how they are found, and with the table beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.networks import small_cnn
from tests.report.sample import full_study
from workbench.cost import CostEstimate, estimate
from workbench.hardware import load_profile
from workbench.inspection.stand_in import lowered
from workbench.precision import PrecisionPlan
from workbench.quantize import PlanFile
from workbench.report.page_rows import cost_range
from workbench.report.page_sure import sure_box


def cost_on(name: str, fmt: str) -> CostEstimate:
    profile = load_profile(name)
    return estimate(lowered(small_cnn(), profile, PlanFile(PrecisionPlan.of(fmt))), profile)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stm32l4r5-cortex-m4-tflm", "as the runtime's planner does, room lost between them included"),
        ("ethos-u55-128", "compiler's published rules"),
    ],
)
def test_sizes_are_estimates_and_the_arena_is_described_as_it_is_planned(name: str, words: str) -> None:
    study = full_study()
    shown = dict(sure_box(study, replace(study.targets[0], profile=load_profile(name)), cost_on(name, "w8a8")))
    assert words in shown["Sizes"] and "80 % intervals" in shown["Sizes"]
    assert not any("no room lost between buffers" in text for text in shown.values()) and "Counted" not in shown


def test_sizes_have_ranges_in_the_table_and_what_is_mostly_the_runtimes_says_so() -> None:
    assert cost_range(cost_on("nvidia-h100", "fp32"), "ram").endswith("runtime 477 MiB")
    board = cost_on("stm32l4r5-cortex-m4-tflm", "w8a8")
    for axis in ("flash", "ram", "latency", "energy"):
        assert " to " in cost_range(board, axis)
