"""Mean power and battery life: by hand, against a numerical integration, and against published streams at two clocks."""

from __future__ import annotations

import re
from dataclasses import replace
from math import inf, isclose, isnan
from pathlib import Path

import pytest
from rich.table import Table
from scipy.integrate import solve_ivp

from tests.cost.graphs import residual
from tests.cost.test_energy import BOARD, constant, with_energy
from workbench.battery_table import battery_lines, battery_table
from workbench.calibrate.rows import Row, Tables
from workbench.cost import CostEstimate, estimate
from workbench.cost.battery import CLOCKED, DAY_S, YEAR_S, Battery, Duty, battery_life, best_clock, mean_power
from workbench.errors import InputError
from workbench.hardware import HardwareProfile, load_profile
from workbench.hardware.costs import SleepMode

COIN = Battery(capacity_j=0.220 * 3600 * 3.0)  # CR2032: 220 mAh, 3 V


def measured(profile: HardwareProfile, seconds: float) -> CostEstimate:
    """Return an estimate whose latency is a measured one."""
    cost = estimate(residual(), profile)
    assert profile.costs is not None
    energy = seconds * profile.costs.energy.active_power_w.value
    return replace(
        cost, latency_s=seconds, latency_low_s=seconds, latency_high_s=seconds, energy_j=energy, energy_low_j=energy,
        energy_high_j=energy,
    )  # fmt: skip


def test_mean_power_by_hand() -> None:
    stop = SleepMode(power_w=constant(6e-6), wake_s=constant(0.001), wake_j=constant(2e-6))
    profile = with_energy(sleep={"stop": stop}, active_power_w=constant(0.04, 0.1))
    power = mean_power(measured(profile, 0.05), profile, Duty(period_s=600, mode="stop"))
    by_hand = {"inference": 0.04 * 0.05, "waking": 0.04 * 0.001 + 2e-6, "waiting (stop)": 6e-6 * (600 - 0.051)}
    assert {p.name: pytest.approx(p.value * 600) for p in power.parts} == by_hand
    assert isclose(power.mean.value, sum(by_hand.values()) / 600)
    assert power.mean.low < power.mean.value < power.mean.high and power.keeps_up and not power.notes
    given = mean_power(measured(profile, 0.05), profile, Duty(600, "stop", wake_s=0.0, wake_j=0.0))
    assert [p.name for p in given.parts] == ["inference", "waiting (stop)"]


def test_life_is_the_solution_of_its_equation() -> None:
    profile = with_energy(idle_power_w=constant(10e-6))
    power = mean_power(measured(profile, 0.05), profile, Duty(3600))
    battery = replace(COIN, self_discharge=0.1, efficiency=0.8)
    life = battery_life(power, battery)
    # a tenth of the charge is gone after a year without load: dC/dt = -C x rate
    rate = 0.1053605156578263 / YEAR_S

    def empty(_: float, charge: list[float]) -> float:
        return charge[0]

    empty.terminal = True  # type: ignore[attr-defined]
    found = solve_ivp(
        lambda _, c: [-power.mean.value / 0.8 - c[0] * rate], (0, 100 * YEAR_S), [battery.capacity_j], events=empty, rtol=1e-9
    )
    assert isclose(life.days, found.t_events[0][0] / DAY_S, rel_tol=1e-6)
    assert life.low < life.days < life.high
    plain = battery_life(power, COIN)
    assert isclose(plain.days, COIN.capacity_j / power.mean.value / DAY_S) and plain.days > life.days


def test_clock_that_wins_depends_on_what_waiting_costs() -> None:
    """Waiting with the clock running: slower is better. Waiting in a deep sleep at a fixed voltage: be done quickly."""
    profile = with_energy(clock_exponent=constant(0.8, 0.1), idle_share=constant(0.4), idle_power_w=constant(5e-6))
    cost = measured(profile, 0.004)
    clocks = (profile.clock_hz, profile.clock_hz / 4)
    streams = [mean_power(cost, profile, Duty(0.032, CLOCKED, clock_hz=c)) for c in clocks]
    deep = [mean_power(cost, profile, Duty(0.032, "idle", wake_s=0.0, clock_hz=c)) for c in clocks]
    assert best_clock(streams) is streams[1] and best_clock(deep) is deep[0]
    slow = mean_power(cost, profile, Duty(0.032, CLOCKED, clock_hz=clocks[0] / 16))
    assert not slow.keeps_up and best_clock([slow]) is None
    assert isnan(slow.mean.value) and not slow.parts and isnan(battery_life(slow, COIN).days)


@pytest.mark.parametrize(("regulator", "inference"), [("ldo", 0.06 * 0.05), ("smps", 0.036 * 0.05), (None, 0.036 * 0.05)])
def test_supply_by_hand(regulator: str | None, inference: float) -> None:
    """36 mW at 1.8 V are 20 mA: 60 mW at 3 V behind a linear regulator. 2 uA asleep are 6 uW at 3 V, whatever the regulator."""
    energy = {
        "active_power_w": constant(0.036), "supply_v": 1.8, "regulator": regulator,
        "idle_power_w": constant(3.6e-6), "idle_supply_v": 1.8, "idle_share": constant(0.25),
    }  # fmt: skip
    profile = with_energy(**energy)
    cost = measured(profile, 0.05)
    power = mean_power(cost, profile, Duty(600, wake_s=0.0, supply_v=3.0))
    values = [p.value * 600 for p in power.parts]
    assert values == [pytest.approx(inference), pytest.approx(6e-6 * 599.95)]
    assert [("the regulator of this board is not known" in n) for n in power.notes] == ([] if regulator else [True])
    waiting = mean_power(cost, profile, Duty(0.1, supply_v=3.0)).parts[1]
    assert waiting.value == pytest.approx(0.25 * inference / 0.05 * 0.5)  # half of the time, a quarter of the active power
    asleep_at_3v = with_energy(**(energy | {"idle_supply_v": 3.0}))
    assert mean_power(cost, asleep_at_3v, Duty(inf)).mean.value == pytest.approx(3.6e-6 * 1.8 / 3.0)  # at the profile's supply


def test_unknown_supplies_are_said() -> None:
    profile = with_energy(active_power_w=constant(0.036), idle_power_w=constant(3.6e-6))
    power = mean_power(measured(profile, 0.05), profile, Duty(600, wake_s=0.0, supply_v=3.0))
    assert [p.value * 600 for p in power.parts] == [pytest.approx(0.036 * 0.05), pytest.approx(3.6e-6 * 599.95)]
    assert "active power is not known" in power.notes[0] and "'idle' is not known" in power.notes[1]


def test_shelf_life_is_sleep_alone() -> None:
    profile = with_energy(idle_power_w=constant(9e-6))
    power = mean_power(measured(profile, 0.05), profile, Duty(inf))
    assert [p.name for p in power.parts] == ["waiting (idle)"] and power.duty == 0 and not power.notes
    assert battery_life(power, COIN).days == pytest.approx(2376 / 9e-6 / 86400)  # 220 mAh at 3 V are 2376 J


def test_default_mode_is_that_of_the_use() -> None:
    profile = with_energy(idle_power_w=constant(5e-6), sleep={"off": SleepMode(power_w=constant(1e-6))})
    cost = measured(profile, 0.004)
    assert mean_power(cost, profile, Duty(0.032)).mode == CLOCKED
    seldom = mean_power(cost, profile, Duty(600))
    assert seldom.mode == "off" and "no wake-up time" in seldom.notes[0]
    unknown = mean_power(cost, with_energy(), Duty(600))
    assert unknown.mode == CLOCKED and "no sleep mode" in unknown.notes[0]


PROFILES = {
    "STM32L4R5": "stm32l4r5-smps-cortex-m4-xcubeai",
    "STM32U575": "stm32u575-cortex-m33-xcubeai",
    "STM32H7A3": "stm32h7a3-cortex-m7-xcubeai",
}


def streams(folder: Path) -> dict[str, list[Row]]:
    """Return the streaming rows of boards that have a profile, the slower clock first."""
    rows = [r for r in Tables(folder).rows("mlperf_tiny.csv") if r.network == "sww" and r.device in PROFILES]
    return {d: sorted((r for r in rows if r.device == d), key=lambda r: r.clock_hz) for d in PROFILES}


def test_published_streams_draw_what_profiles_say(ground_truth: Path) -> None:
    """Both clocks of a board; the constants come from these rows among others (left out: tests/calibrate/test_energy.py)."""
    for device, rows in streams(ground_truth).items():
        profile = load_profile(PROFILES[device])
        powers = []
        for row in rows:
            found = re.search(r"duty ([\d.]+)", row.notes)
            assert found
            cycles_s = row.latency_s * row.clock_hz / profile.clock_hz  # at the profile's clock
            powers.append(
                mean_power(measured(profile, cycles_s), profile, Duty(row.latency_s / float(found[1]), clock_hz=row.clock_hz))
            )
            assert isclose(powers[-1].mean.value, row.number("avg_power_mw") / 1e3, rel_tol=0.1), row.where
        assert best_clock(powers) is powers[0]  # as measured: 16.2 < 30.4, 22.7 < 25.6, 9.5 < 11.5 mW


@pytest.mark.parametrize(
    ("battery", "duty", "said"),
    [
        (Battery(0.0), Duty(60), "holds 0 J"),
        (replace(COIN, self_discharge=1.0), Duty(60), "self-discharge is 1"),
        (replace(COIN, efficiency=0.0), Duty(60), "efficiency of the regulator is 0"),
        (COIN, Duty(0.0), "time between inferences is 0 s"),
        (COIN, Duty(float("nan")), "time between inferences is nan s"),
        (COIN, Duty(60, supply_v=-1.0), "supply is -1 V"),
        (COIN, Duty(60, "stop3"), "has no sleep mode 'stop3'"),
        (COIN, Duty(60, clock_hz=-1.0), "clock is -1 Hz"),
    ],
)
def test_impossible_uses_are_refused(battery: Battery, duty: Duty, said: str) -> None:
    profile = with_energy(idle_power_w=constant(5e-6))
    with pytest.raises(InputError, match=said):
        battery_life(mean_power(measured(profile, 0.01), profile, duty), battery)


def test_command_makes_a_row_per_clock(models_dir: Path) -> None:
    texts = {
        "capacity": "220mAh", "voltage": "3V", "rate": None, "every": "50ms", "wake": None, "wake_energy": None,
        "self_discharge": "1%", "efficiency": "90%",
    }  # fmt: skip
    model = models_dir / "mlperf_tiny" / "ad01_int8.tflite"
    table, parts = battery_table(model, "stm32l4r5-cortex-m4-xcubeai", texts, ["120MHz", "30MHz", "1MHz"])
    assert table["keeps_up"].tolist() == [True, True, False] and table["best"].tolist() == [False, True, False]
    assert table["latency_s"].iloc[1] == pytest.approx(4 * table["latency_s"].iloc[0])
    assert table[["mean_w", "days", "days_low", "days_high"]].isna().all(axis=1).tolist() == [False, False, True]
    shown = battery_lines(table, parts)
    assert len(shown) >= 2 and isinstance(shown[0], Table) and "nan" not in "".join(map(str, shown[0].columns[2].cells))
    # 42 mW at 1.8 V from a linear regulator; at 3 V the same current; behind a regulator of its own, 1.8 V again
    direct, _ = battery_table(model, BOARD, {**texts, "efficiency": "100%"}, ["0.12GHz"])
    assert direct["inference_w"].iloc[0] == pytest.approx(table["inference_w"].iloc[0] * 3.0 / 1.8)
    _, full = battery_table(model, BOARD, {**texts, "efficiency": "100%"})
    assert sum(p.value for p in full) == pytest.approx(sum(p.value for p in parts) * 3.0 / 1.8)
    asleep, _ = battery_table(model, BOARD, {**texts, "every": None, "rate": "0/h", "efficiency": "100%"})
    assert asleep["mean_w"].tolist() == [pytest.approx(8.4e-6)]  # Stop 2, 2.8 uA at 3.0 V
    for wrong in ({"every": "50"}, {"rate": "6/h"}, {"every": None}, {"capacity": "220 mA"}):
        with pytest.raises(InputError, match="--"):
            battery_table(model, "stm32l4r5-cortex-m4-xcubeai", {**texts, **wrong})
