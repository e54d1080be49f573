"""Power families: effects found again, what rows say is read, published energies that took no part, strange rows."""

from __future__ import annotations

import re
from math import isfinite, log, nan
from pathlib import Path

import numpy as np
import pytest

from workbench.calibrate import store
from workbench.calibrate.effects import Effects, Prior, Terms, fit_effects
from workbench.calibrate.energy_sheets import BOARDS, constants
from workbench.calibrate.families import currents, energy, streams
from workbench.calibrate.family import Sample
from workbench.calibrate.folds import cross_validate
from workbench.calibrate.rows import Row, Tables
from workbench.hardware import load_profile
from workbench.validate.cost import share_by_chance

L4R5 = {"device": "STM32L4R5", "core": "Cortex-M4", "isa_fpu_npu": "DSP+FPU", "clock_mhz": "120", "runtime": "X-CUBE-AI 9.0"}


def row(**cells: str) -> Row:
    return Row(energy.TABLE, 2, {**L4R5, "benchmark": "ad", "macs": "264192", "latency_ms": "5", "energy_uj": "200", **cells})


def folder(tmp_path: Path, *rows: Row) -> Tables:
    names = sorted({name for r in rows for name in r.cells} | {"latency_ms_energy_mode", "avg_power_mw", "notes"})
    lines = [",".join(names), *(",".join(r.cells.get(name, "") for name in names) for r in rows)]
    (tmp_path / energy.TABLE).write_text("\n".join(lines) + "\n")
    return Tables(tmp_path)


def test_effects_are_found_again_and_unknown_ones_are_at_their_mean() -> None:
    rng = np.random.default_rng(0)
    boards = dict(zip("abcdefgh", rng.normal(0, 0.8, 8), strict=True))
    networks = {"x": -0.1, "y": 0.0, "z": 0.1}
    rows: list[Terms] = [{("board", b): 1.0, ("network", n): 1.0} for b in boards for n in networks for _ in range(2)]
    values = [boards[b] + networks[n] + rng.normal(0, 0.02) for b in boards for n in networks for _ in range(2)]
    found = fit_effects(rows, values, ["all"] * len(rows), {"board": Prior(), "network": Prior()})
    assert found.value({("board", "a"): 1.0, ("network", "z"): 1.0}) == pytest.approx(boards["a"] + 0.1, abs=0.05)
    assert found.spreads["board"] == pytest.approx(0.8, rel=0.5) and found.errors["all"] == pytest.approx(0.02, rel=0.5)
    assert found.value({("board", "new"): 1.0}) == 0.0 and not found.known("board", "new")
    assert Effects.load(found.to_json()).value(rows[3]) == found.value(rows[3])


@pytest.mark.parametrize(
    ("notes", "device", "supply", "volt", "switching", "core_volt"),
    [
        ("Operating at 1.8V / SMPS", "STM32U575", "1.8 V SMPS", 1.8, True, nan),
        ("Operating at 3 V with external SMPS / Single Bank", "STM32L4R5", "3 V external SMPS", 3.0, True, nan),
        ("Core VDD = 0.9V, VDD_IO = 1.8V", "Syntiant NDP9120 0.9V", "supply not given", nan, False, 0.9),
        ("VIN = 1.8V, VDDIO = 1.8V", "GAP9 0.65V", "1.8 V", 1.8, False, 0.65),
        ("", "Thing", "supply not given", nan, False, nan),
    ],
)
def test_supply_is_read_from_the_notes(
    notes: str, device: str, supply: str, volt: float, switching: bool, core_volt: float
) -> None:
    facts = energy.facts_of(row(notes=notes, device=device), 0.01)
    assert facts.supply == supply and facts.switching is switching
    assert facts.volt == pytest.approx(volt, nan_ok=True) and facts.core_volt == pytest.approx(core_volt, nan_ok=True)
    assert not facts.device.endswith("V")


def test_energy_is_power_times_the_time_of_the_energy_run(tmp_path: Path) -> None:
    rows = (
        row(latency_ms_energy_mode="10"), row(notes="SUSPECT energy: 35 mW", energy_uj="9"), row(latency_ms="", energy_uj="7"),
        row(energy_uj="-3"), row(energy_uj="", avg_power_mw="12"), row(energy_uj=""),
    )  # fmt: skip
    found = energy.samples(folder(tmp_path, *rows))
    (only,) = found.kept
    assert only.facts.time_s == pytest.approx(0.01) and only.measured == pytest.approx(200e-6)
    assert [why for _, why in found.left_out] == ["its energy is marked SUSPECT", "no latency", "its energy is not positive"]


def test_strange_rows_are_predicted_from_what_they_have(tmp_path: Path) -> None:
    rows = [
        row(device="Nobody 1.1V", core="", isa_fpu_npu="", clock_mhz="", runtime="", benchmark="", macs="", notes="at 99 V?"),
        row(device="ü" * 40, core="Cortex-M99", clock_mhz="0.001", macs="1e18"),
        row(device="STM32L4R5 3V", runtime="X-CUBE-AI 99.9", benchmark="new"),
    ]
    fitted = store.load("energy").full
    for sample in energy.samples(folder(tmp_path, *rows)).kept:
        assert isfinite(fitted.predict(sample)) and fitted.predict(sample) > 0
    bases = [fitted.basis(s) for s in energy.samples(folder(tmp_path, *rows)).kept]
    assert bases == ["assumed", "assumed", "same device and runtime"]


def test_power_of_a_board_and_of_a_new_one() -> None:
    fitted = store.load("energy").full
    assert isinstance(fitted, energy.Power)
    known = energy.power_constants(fitted, "STM32L4R5", "1.8 V", core="Cortex-M4", clock_hz=120e6, runtime="X-CUBE-AI 9.0")
    assert known.value == pytest.approx(0.0416, rel=0.05)  # 38.7, 43.8 and 42.2 mW were published
    assert known.basis == "same device and runtime" and known.uncertainty < 0.1
    # a linear regulator passes the current on: 3.0 V draws 3.0 / 1.8 times the power (Krai's rows: 69.8 to 78.2 mW)
    high = energy.power_constants(fitted, "STM32L4R5", "3.0 V", core="Cortex-M4", clock_hz=120e6, runtime="X-CUBE-AI 7.3.0")
    assert 0.0698 < high.value < 0.0782
    new = energy.power_constants(fitted, "STM32F407", "3.3 V", core="Cortex-M4", clock_hz=168e6)
    assert new.basis == "same core class" and new.uncertainty > 0.5


def test_published_energies_that_took_no_part(ground_truth: Path) -> None:
    samples = energy.samples(Tables(ground_truth)).kept
    calibration = store.load("energy")
    found = [(p, s.measured) for s in samples for p in calibration.predictions(s) if p.split == "network"]
    errors = np.array([abs(p.value / measured - 1) for p, measured in found])
    inside = sum(p.low <= measured <= p.high for p, measured in found)
    assert len(errors) > 40 and np.median(errors) <= 0.03 and np.quantile(errors, 0.9) <= 0.09
    assert share_by_chance(inside, len(found))


def test_slower_clock_of_a_stream_wins_on_boards_left_out(ground_truth: Path) -> None:
    rows = streams.samples(Tables(ground_truth)).kept
    folds = cross_validate(streams.FAMILY, rows, "device")
    assert len(folds) == 3
    for fold in folds:
        slow, fast = sorted((rows[i] for i in fold.left_out), key=lambda s: s.row.clock_hz)
        assert slow.measured < fast.measured and fold.fitted.predict(slow) < fold.fitted.predict(fast)


def test_currents_of_data_sheets() -> None:
    def line(current: str, mode: str, clock: str, condition: str = "", status: str = "verified") -> Row:
        cells = {"device": "Part", "core": "Cortex-M0+", "mode": mode, "clock_mhz": clock, "supply_v": "3.0"}
        return Row(currents.TABLE, 2, {**cells, "current_ua": current, "condition": condition, "status": status})

    ram = currents.facts_of(line("1", "run CoreMark from SRAM", "80"))
    asleep = currents.facts_of(line("1", "sleep, CPU halted", "80"))
    buck = currents.facts_of(line("1", "run CoreMark, buck PL2", "32"))
    assert ram is not None and asleep is not None and buck is not None
    assert (ram.place, asleep.place, buck.place) == ("RAM", "halted", "flash") and buck.regulator == "switching"
    assert currents.facts_of(line("1", "System OFF", "")) is None
    facts = [(c, m, f) for c, m, f in (("8000", "run from flash", "80"), ("6400", "run from RAM", "80"), ("1000", "run", "8"))]
    rows = [line(*each) for each in facts]
    samples = [
        Sample(r, "run_power_w", float(r.text("current_ua")) * 3e-6, "Part", "CoreMark", "", "run power", currents.facts_of(r))
        for r in rows
    ]
    fitted = currents.fit(samples)
    assert fitted.flash_share() == pytest.approx(0.2, abs=0.05)
    assert fitted.effects.value({("clock", ""): 1.0}) == pytest.approx(log(8) / log(10), abs=0.05)


def test_sheets_are_those_of_the_stored_fits() -> None:
    for name, board in BOARDS.items():
        profile = load_profile(name)
        assert profile.costs is not None
        power = constants(board)["active_power_w"]
        assert profile.costs.energy.active_power_w.value == pytest.approx(power.value, rel=1e-3)
        assert profile.clock_hz == board.clock_hz
        energy_costs = profile.costs.energy
        assert (energy_costs.supply_v, energy_costs.regulator or "") == (board.supply_v, board.regulator)
        stated = re.match(r"([\d.]+) V, ", energy_costs.condition)  # GAP9 states its core's first
        assert stated is None or float(stated[1]) == board.supply_v
