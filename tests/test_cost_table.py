"""`estimate_costs`: the same numbers as one estimate after the other, and reasons where there are none."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.networks import small_cnn
from workbench.cli import app
from workbench.cost import estimate
from workbench.cost_table import cost_lines, estimate_costs
from workbench.errors import InputError
from workbench.hardware import list_profiles, load_profile
from workbench.inspection.stand_in import lowered
from workbench.precision import PrecisionPlan
from workbench.quantize import PlanFile

TARGETS = ("stm32l4r5-cortex-m4-tflm", "ethos-u55-128", "max78000", "x86-litert-xnnpack")
FORMATS = ("w8a8", "w4a8", "fp32")


def test_every_row_is_what_a_single_estimate_says() -> None:
    graph = small_cnn()
    table = estimate_costs(graph, TARGETS, FORMATS)
    assert list(zip(table["profile"], table["format"], strict=True)) == [(t, f) for t in TARGETS for f in FORMATS]
    assert table["supported"].sum() >= 6
    for row in table[table["supported"]].to_dict("records"):
        profile = load_profile(row["profile"])
        alone = estimate(lowered(graph, profile, PlanFile(PrecisionPlan.of(row["format"]))), profile)
        assert row["flash_bytes"] == alone.flash_bytes
        assert row["latency_s"] == alone.latency_s
        assert row["energy_high_j"] == alone.energy_high_j


def test_many_targets_get_what_each_gets_alone() -> None:
    graph = small_cnn()
    priced = [p for p in map(load_profile, list_profiles()) if p.costs is not None]
    alone = pd.concat([estimate_costs(graph, [profile], FORMATS) for profile in priced], ignore_index=True)
    together = estimate_costs(graph, priced, FORMATS)
    pd.testing.assert_frame_equal(together, alone[together.columns], check_exact=True, check_dtype=False)


def test_what_a_target_lacks_has_the_reason_and_no_numbers() -> None:
    table = estimate_costs(small_cnn(), ["ethos-u55-128"], ["fp32"])
    (row,) = table.to_dict("records")
    assert not row["supported"]
    assert "fp32 is not supported" in row["reason"]
    assert math.isnan(row.get("latency_s", math.nan))
    assert cost_lines(table).row_count == 1


def test_no_target_is_one_message() -> None:
    with pytest.raises(InputError, match="no target is given"):
        estimate_costs(small_cnn(), [])


@pytest.mark.parametrize("bad", ["w9a8", ""])
def test_an_unknown_format_is_one_message(bad: str) -> None:
    with pytest.raises(InputError, match="format"):
        estimate_costs(small_cnn(), TARGETS[:1], [bad])


def test_the_command_refuses_a_model_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["estimate", str(tmp_path / "none.tflite"), "-p", TARGETS[0]])
    assert isinstance(result.exception, InputError)


@pytest.mark.parametrize("format", FORMATS)
def test_sizes_stand_within_their_intervals_on_all_targets(format: str) -> None:
    graph = small_cnn()
    targets = [p for p in map(load_profile, list_profiles()) if p.costs is not None]
    rows = estimate_costs(graph, targets, [format]).query("supported").to_dict("records")
    assert rows
    for row in rows:
        assert row["flash_low_bytes"] - 1 <= row["flash_bytes"] + row["runtime_flash_bytes"] <= row["flash_high_bytes"] + 1, row
        assert row["ram_low_bytes"] - 1 <= row["ram_peak_bytes"] + row["runtime_ram_bytes"] <= row["ram_high_bytes"] + 1, row


def test_sizes_are_shown_with_their_intervals_and_what_is_the_runtimes() -> None:
    table = estimate_costs(small_cnn(), ["nvidia-h100", "stm32l4r5-cortex-m4-tflm"], ["fp32"])
    lines = cost_lines(table)
    ram = list(next(c for c in lines.columns if c.header == "RAM").cells)
    assert "runtime 477 MiB]" in str(ram[0])
    flash = list(next(c for c in lines.columns if c.header == "flash").cells)
    assert all(" to " in str(text) for text in (*ram, *flash))


def test_layers_that_take_no_time_have_no_bound() -> None:
    profile = load_profile("ethos-u85-256")  # adds inside the convolution before
    cost = estimate(lowered(small_cnn(), profile, PlanFile(PrecisionPlan.of("w8a8"))), profile)
    assert [row.bound for row in cost.layers if row.latency_s == 0] == [""]
    assert all(row.bound for row in cost.layers if row.latency_s > 0)
