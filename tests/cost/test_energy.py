"""Where the energy of an inference goes, and power at another clock: by hand, and that nothing is invented."""

from __future__ import annotations

from dataclasses import replace
from math import isclose, log

import pytest

from tests.cost.graphs import dense, residual
from workbench.cost import estimate
from workbench.cost.energy import at_clock, split_energy
from workbench.errors import ProfileError
from workbench.hardware import HardwareProfile, load_profile
from workbench.hardware.costs import Constant, EnergyCosts

BOARD = "stm32l4r5-cortex-m4-xcubeai"


def constant(value: float, uncertainty: float = 0.5) -> Constant:
    return Constant(value=value, basis="data sheet", uncertainty=uncertainty, source="a test")


def with_energy(**changes: object) -> HardwareProfile:
    profile = load_profile(BOARD)
    assert profile.costs is not None
    plain = EnergyCosts(active_power_w=profile.costs.energy.active_power_w, condition="a test")
    energy = plain.model_copy(update=changes)
    return profile.model_copy(update={"costs": profile.costs.model_copy(update={"energy": energy})})


def test_without_a_basis_there_is_no_split() -> None:
    profile = with_energy()
    cost = estimate(residual(), profile)
    (only,) = split_energy(cost, profile)
    assert only.value == cost.energy_j and "not split" in only.source and only.basis == "same device and runtime"


def test_flash_takes_its_share_of_the_power() -> None:
    profile = with_energy(flash_share=constant(0.2))
    cost = estimate(residual(), profile)
    compute, flash = split_energy(cost, profile)
    assert isclose(flash.value, 0.2 * cost.energy_j) and isclose(compute.value + flash.value, cost.energy_j)
    assert flash.low < flash.value < flash.high and flash.basis == "data sheet"
    assert (
        compute.high / compute.value < flash.high / flash.value
    )  # what is left of a small share is known better than the share


def test_energies_per_operation_are_summed_and_the_rest_is_named() -> None:
    profile = with_energy(mac_j={"w8a8": constant(0.3e-12)}, byte_j=constant(2e-12))
    cost = estimate(dense(), profile)
    macs, moved, rest = split_energy(cost, profile)
    assert isclose(macs.value, 640 * 0.3e-12)
    assert isclose(moved.value, sum(row.flash_bytes for row in cost.layers) * 2e-12)
    assert isclose(macs.value + moved.value + rest.value, cost.energy_j) and rest.basis == ""
    floats = split_energy(estimate(dense("float32", "float32"), profile), profile)
    assert floats[0].value == 0 and "fp32" in floats[0].source  # not taken for the energy of another format


def test_clock_changes_time_by_its_ratio_and_power_by_its_exponent() -> None:
    profile = with_energy(clock_exponent=constant(0.8, 0.1))
    cost = estimate(residual(), profile)
    time, power = at_clock(cost, profile, profile.clock_hz / 4)
    assert isclose(time.value, 4 * cost.latency_s)
    base = at_clock(cost, profile, profile.clock_hz)[1]
    assert isclose(log(base.value / power.value) / log(4), 0.8)
    assert power.relative > base.relative  # further away is less sure


def test_shipped_boards_with_measured_energy_say_what_flash_takes() -> None:
    cost = estimate(residual(), load_profile(BOARD))
    parts = split_energy(cost, load_profile(BOARD))
    assert [p.name for p in parts] == ["compute, clocks and RAM", "reading flash"]
    assert 0.1 < parts[1].value / cost.energy_j < 0.35  # 17 to 24 % in four data sheets, wider for another core


def test_a_profile_without_costs_is_refused() -> None:
    profile = load_profile(BOARD)
    cost = replace(estimate(residual(), profile))
    with pytest.raises(ProfileError, match="no section 'costs'"):
        split_energy(cost, profile.model_copy(update={"costs": None}))
