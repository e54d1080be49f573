"""Own measurements: a known truth found again, intervals that hold, a file of one's own, refusals; and a published board."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest

from tests.cost.graphs import dense, residual
from workbench.calibrate.own import calibrate_profile, constants_of, scaled
from workbench.calibrate.own_fit import ERROR_PART, KIND_PART, SCALE_PART, Problem, left_out
from workbench.calibrate.own_profile import profile_yaml
from workbench.calibrate.own_rows import Measurement, read_measurements
from workbench.calibrate.rows import Tables
from workbench.cost import estimate
from workbench.errors import InputError
from workbench.graph.ir import Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.hardware.costs import Costs
from workbench.loaders import load_model
from workbench.own_table import calibrate_own, summary, update_lines

BOARD = "stm32l4r5-cortex-m4-xcubeai"
GRAPHS = {
    "dense": dense(), "wide": dense(inputs=4096, outputs=64), "long": dense(inputs=20_000), "residual": residual(),
}  # fmt: skip
KIND = ("operators", "fully_connected", 0, "mac")


def measurement(name: str, seconds: float, layer: str = "", energy_j: float | None = None) -> Measurement:
    return Measurement(2, Path(f"{name}.tflite"), "", layer, seconds, energy_j)


def graph_of(row: Measurement) -> Graph:
    return GRAPHS[row.model.stem]


def truth(profile: HardwareProfile, scale: float, kinds: dict[tuple[str | int, ...], float]) -> HardwareProfile:
    """Return a board that is `scale` times slower, some constants by more."""
    assert profile.costs is not None
    every = constants_of(profile.costs.latency.model_dump(mode="json"))
    return scaled(profile, {a: log(scale * kinds.get(a, 1.0)) for a in every})


def timings(board: HardwareProfile, layers: bool = False) -> list[Measurement]:
    found = []
    for name, graph in GRAPHS.items():
        cost = estimate(graph, board)
        found.append(measurement(name, cost.latency_s))
        if layers:
            found += [measurement(name, r.latency_s, r.layer) for r in cost.layers if r.latency_s > 0]
    return found


def off(a: HardwareProfile, b: HardwareProfile) -> float:
    """Return the largest error of a's latencies against b's."""
    return max(abs(estimate(g, a).latency_s / estimate(g, b).latency_s - 1) for g in GRAPHS.values())


def test_one_timing_moves_the_scale_and_more_come_to_the_truth() -> None:
    profile = load_profile(BOARD)
    board = truth(profile, 1.8, {KIND: 1.5})
    rows = timings(board)
    one = calibrate_profile(profile, rows[3:], graph_of, "my.csv")
    assert 1.2 < one.scale < 1.8 and one.rows[0].after is None
    several = calibrate_profile(profile, rows, graph_of, "my.csv")
    assert off(several.profile, board) < 0.1 < 0.4 < off(profile, board)
    layers = calibrate_profile(profile, timings(board, layers=True), graph_of, "my.csv")
    old, new = layers.constants[KIND]
    assert new.value / old.value == pytest.approx(1.8 * 1.5, rel=0.1) and new.basis == "measured here"
    assert "my.csv" in new.source and f"{old.value:g}" in new.source


def test_measurements_that_agree_make_the_profile_no_less_sure_and_change_little() -> None:
    profile = load_profile(BOARD)
    update = calibrate_profile(profile, timings(profile), graph_of, "my.csv")
    assert update.scale == pytest.approx(1.0, abs=1e-6) and off(update.profile, profile) < 1e-3
    assert profile.costs is not None and update.profile.costs is not None
    assert update.profile.costs.latency.network_uncertainty <= profile.costs.latency.network_uncertainty
    assert any(r.after and r.after[2] / r.after[0] < r.before[2] / r.before[0] for r in update.rows)
    assert all(r.after and r.after[1] < r.measurement.seconds < r.after[2] for r in update.rows)


def test_intervals_of_rows_left_out_hold_four_of_five() -> None:
    """Boards drawn from the prior: shares of constants as of real networks, scale and errors as assumed, or 1.5 times as large."""
    rng = np.random.default_rng(1)
    rows, kinds, whole = 5, 8, 0.3
    inside: dict[float, list[bool]] = {1.0: [], 1.5: []}
    for larger, found in inside.items():
        for _ in range(60):
            shares = rng.dirichlet(np.full(kinds, 0.5), rows)
            deviation = np.full(kinds, KIND_PART * whole)
            y = SCALE_PART * whole * larger * rng.normal() + shares @ (deviation * rng.normal(size=kinds))
            y = y + ERROR_PART * whole * larger * rng.normal(size=rows)
            names = [measurement(f"net{i}", 1.0) for i in range(rows)]
            problem = Problem(y, shares, deviation, np.full(rows, whole), whole, names)
            found += [low <= 1.0 <= high for _, low, high in filter(None, left_out(problem))]
    assert len(inside[1.0]) == 300
    assert (
        0.74 <= np.mean(inside[1.0]) <= 0.88
    )  # 80 % within three standard errors of 60 boards, and few rows are given more room
    assert 0.66 <= np.mean(inside[1.5]) <= 0.88


def costs_of(profile: HardwareProfile) -> Costs:
    assert profile.costs is not None
    return profile.costs


@pytest.mark.parametrize("times", [1.0, 4.0, 1 / 6, 250.0])
def test_one_network_says_nothing_of_another_however_often_it_is_timed(tmp_path: Path, times: float) -> None:
    """Rows of copies of one file are one row; what networks differ by stays, wider by the surprise; the measured one lies inside."""
    profile = load_profile(BOARD)
    seconds = estimate(GRAPHS["wide"], profile).latency_s * times
    for name in ("wide", "copy", "again"):
        (tmp_path / f"{name}.tflite").write_bytes(b"one network")
    lines = [f"{name}.tflite,{seconds * 1e3}\n" for name in ("wide", "copy", "again", "wide")]
    (tmp_path / "my.csv").write_text("model,latency_ms\n" + "".join(lines))
    rows = read_measurements(tmp_path / "my.csv", 1e8)
    one, four = (calibrate_profile(profile, r, lambda _: GRAPHS["wide"], "my.csv") for r in (rows[:1], rows))
    assert len(four.rows) == 4 and all(r.after is None for r in four.rows)
    assert "cannot be checked on another network" in summary(four) and "predicted without" not in summary(four)
    assert four.scale == pytest.approx(one.scale) and off(four.profile, one.profile) < 1e-4
    before, after = costs_of(profile).latency.network_uncertainty, costs_of(four.profile).latency.network_uncertainty
    assert after >= before and (after > 1.2 * before or times == 1.0)
    cost = estimate(GRAPHS["wide"], four.profile)
    assert cost.latency_low_s <= seconds <= cost.latency_high_s


def test_repeats_that_contradict_widen() -> None:
    profile = load_profile(BOARD)
    rows = timings(profile)
    agree = calibrate_profile(profile, rows * 2, graph_of, "my.csv")
    apart = calibrate_profile(profile, rows + [replace(r, seconds=5 * r.seconds) for r in rows], graph_of, "my.csv")
    a, b = (costs_of(u.profile).latency.network_uncertainty for u in (agree, apart))
    assert (
        b > 1.5 * a and a == costs_of(calibrate_profile(profile, rows, graph_of, "my.csv").profile).latency.network_uncertainty
    )


def test_two_energies_that_contradict_widen_the_power() -> None:
    profile = load_profile(BOARD)
    watts = costs_of(profile).energy.active_power_w.value
    for rows in (timings(profile)[:2], timings(profile)[:1] * 2):
        agree, apart = (
            calibrate_profile(
                profile, [replace(r, energy_j=r.seconds * watts * f) for r, f in zip(rows, by, strict=True)], graph_of, "my.csv"
            ).power
            for by in ((1.0, 1.0), (0.3, 3.0))
        )
        assert agree and apart and apart[1].uncertainty > 1.0 > 0.3 > agree[1].uncertainty


def test_an_energy_in_another_unit_is_refused() -> None:
    row = timings(load_profile(BOARD))[0]
    with pytest.raises(InputError, match=r"line 2: the energy of dense.*energy_uj: of one inference"):
        calibrate_profile(load_profile(BOARD), [replace(row, energy_j=row.seconds * 50)], graph_of, "my.csv")


def test_a_profile_that_cannot_be_read_is_not_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.yaml"
    monkeypatch.setattr("workbench.own_table.read_measurements", lambda *_: tuple(timings(load_profile(BOARD))))
    monkeypatch.setattr("workbench.own_table._graph", lambda row, _: graph_of(row))
    calibrate_own(BOARD, Path("my.csv"), None, path)
    good = path.read_text()
    assert load_profile(path).name == "mine"
    monkeypatch.setattr("workbench.own_table.profile_yaml", lambda *_: "name: 3\n")
    for out in (path, tmp_path / "other.yaml"):
        with pytest.raises(InputError, match=f"--out {out}: nothing was written. the new profile"):
            calibrate_own(BOARD, Path("my.csv"), None, out)
    assert path.read_text() == good and list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match=f"--out {path / 'a.yaml'}: nothing was written"):
        calibrate_own(BOARD, Path("my.csv"), None, path / "a.yaml")


def test_energies_move_the_power() -> None:
    profile = load_profile(BOARD)
    assert profile.costs is not None
    watts = 2 * profile.costs.energy.active_power_w.value
    rows = [replace(r, energy_j=r.seconds * watts) for r in timings(profile)]
    update = calibrate_profile(profile, rows, graph_of, "my.csv")
    assert update.power is not None and update.profile.costs is not None
    assert 0.7 * watts < update.power[1].value < watts and update.power[1].basis == "measured here"
    assert update.profile.costs.energy.active_power_w == update.power[1]


def test_written_profile_is_read_again(tmp_path: Path) -> None:
    profile = load_profile(BOARD)
    update = calibrate_profile(profile, timings(truth(profile, 1.5, {})), graph_of, "my.csv")
    for base in (BOARD, str(tmp_path / "base.yaml")):
        path = tmp_path / "mine.yaml"
        path.write_text(profile_yaml(update.profile, base, "mine", "my.csv"))
        again = load_profile(path)
        assert again.name == "mine" and again.operators == profile.operators
        assert off(again, update.profile) < 1e-4
        assert ("extends: " in path.read_text()) == (base == BOARD)


def test_what_no_constant_prices_is_refused() -> None:
    with pytest.raises(InputError, match="layer 'flat' costs no time"):
        calibrate_profile(load_profile("ethos-u55-128"), [measurement("residual", 1e-4, "flat")], graph_of, "my.csv")
    with pytest.raises(InputError, match="comes from a schedule or from a host"):
        calibrate_profile(load_profile("ethos-u55-128"), [measurement("residual", 1e-4)], graph_of, "my.csv")


def test_a_few_per_cent_on_a_host_are_no_reason_to_refuse(models_dir: Path) -> None:
    """The softmax of keyword spotting runs beside the accelerator, at prices of another profile."""
    model = models_dir / "mlperf_tiny" / "kws_ref_int8.tflite"
    profile = load_profile("stm32n6-neural-art")
    seconds = 1.3 * estimate(load_model(model), profile).latency_s
    update = calibrate_profile(profile, [Measurement(2, model, "", "", seconds)], lambda m: load_model(m.model), "my.csv")
    assert 1.0 < estimate(load_model(model), update.profile).latency_s / (seconds / 1.3) < 1.3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,latency_ms\nnet.tflite,-1\n", r"line 2: latency_ms is '-1'; expected a number above 0"),
        ("model,latency_ms\nnet.tflite,nan\n", "latency_ms is 'nan'"),
        ("model,latency_ms\nnet.tflite,3 ms\n", "without a unit"),
        ("model,latency_ms\nnat.tflite,3\n", r"no model '.*nat.tflite'. Did you mean 'net.tflite'"),
        ("model,latency\nnet.tflite,3\n", "column 'latency' is not known"),
        ("model,latency_ms,model\nnet.tflite,3,net.tflite\n", "column 'model' stands twice"),
        ("model,latency_ms,cycles\nnet.tflite,3,4\n", "got latency_ms, cycles"),
        ("model,latency_ms\nnet.tflite,\n", "got none"),
        ("model,latency_ms,layer,energy_uj\nnet.tflite,3,dense,5\n", "energy_uj of a single layer"),
        ("model,latency_ms\nnet.tflite\n", "not as many fields"),
        ("model,latency_ms\n", "0 measurements"),
        ("", "expected the columns model and one of"),
    ],
)
def test_tables_that_make_no_sense_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "net.tflite").write_bytes(b"")
    (tmp_path / "my.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_measurements(tmp_path / "my.csv", 1e8)


def test_times_and_cycles_are_the_same_thing(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(b"")
    (tmp_path / "my.csv").write_text(
        "model,layer,latency_ms,latency_us,cycles\nnet.tflite,,2,,\nnet.tflite,a,,2000,\nnet.tflite,,,,2e5\n"
    )
    assert [r.seconds for r in read_measurements(tmp_path / "my.csv", 1e8)] == pytest.approx([0.002] * 3)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (measurement("dense", 1e-4, "danse"), "has no layer 'danse'.*Did you mean 'dense'"),
        (measurement("dense", 1e3), "Check the unit"),
    ],
)
def test_measurements_that_cannot_be_are_refused(row: Measurement, said: str) -> None:
    with pytest.raises(InputError, match=f"(?s){said}"):
        calibrate_profile(load_profile(BOARD), [row], graph_of, "my.csv")


NETWORKS = {"ad": "ad01_int8", "kws": "kws_ref_int8", "vww": "vww_96_int8", "ic": "ic_resnet8_int8"}


def test_published_board_with_another_runtime(ground_truth: Path, models_dir: Path, tmp_path: Path) -> None:
    """MLPerf Tiny v0.7: X-CUBE-AI 7.1.0, two to three times slower than the 9.0 that the profile is for."""
    rows = [
        r for r in Tables(ground_truth).rows("mlperf_tiny.csv")
        if r.device == "STM32L4R5" and r.runtime == "X-CUBE-AI 7.1.0" and r.network in NETWORKS
    ]  # fmt: skip
    assert len(rows) == 4
    lines = [f"{NETWORKS[r.network]}.tflite,{r.text('latency_ms')},{r.text('energy_uj')}" for r in rows]
    (tmp_path / "my.csv").write_text("model,latency_ms,energy_uj\n" + "\n".join(lines) + "\n")
    update, path = calibrate_own(BOARD, tmp_path / "my.csv", models_dir / "mlperf_tiny", tmp_path / "mine.yaml")
    assert len(update_lines(update)) == 3 and load_profile(path).name == "mine"
    before = [abs(r.before[0] / r.measurement.seconds - 1) for r in update.rows]
    after = [abs(r.after[0] / r.measurement.seconds - 1) for r in update.rows if r.after]
    assert len(after) == 4 and np.median(after) < 0.7 * np.median(before) and max(after) < max(before)
    assert sum(r.after[1] <= r.measurement.seconds <= r.after[2] for r in update.rows if r.after) >= 3
    assert update.power is not None and update.power[1].value == pytest.approx(0.047, rel=0.1)  # 44.7 to 48.7 mW
