"""Folds, stored fits and their intervals, on data whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import exp, log
from pathlib import Path

import numpy as np
import pytest

from workbench.calibrate import store
from workbench.calibrate.family import Claim, Family, Json, Sample, Samples
from workbench.calibrate.folds import ALONE, assign, cross_validate
from workbench.calibrate.rows import Row, Tables
from workbench.errors import InputError


class Line:
    """log y = device + network."""

    def __init__(self, device: dict[str, float], network: dict[str, float]) -> None:
        self.device, self.network = device, network

    def predict(self, sample: Sample) -> float:
        return exp(self.device.get(sample.device, 0.0) + self.network.get(sample.network, 0.0))

    def basis(self, sample: Sample) -> str:
        return "same device and runtime"

    def baseline(self, sample: Sample) -> float | None:
        return None

    def to_json(self) -> Json:
        return {"device": self.device, "network": self.network}


def fit(samples: Sequence[Sample]) -> Line:
    devices, networks = sorted({s.device for s in samples}), sorted({s.network for s in samples})
    design = np.zeros((len(samples), len(devices) + len(networks)))
    for i, s in enumerate(samples):
        design[i, devices.index(s.device)] = design[i, len(devices) + networks.index(s.network)] = 1
    found = np.linalg.lstsq(design, np.log([s.measured for s in samples]), rcond=None)[0]
    return Line(dict(zip(devices, found, strict=False)), dict(zip(networks, found[len(devices) :], strict=True)))


def made(seed: int, noise: float, devices: int = 12, networks: int = 8) -> list[Sample]:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, devices), rng.normal(0, 1, networks)
    samples = []
    for d in range(devices):
        for n in range(networks):
            row = Row("made.csv", 2 + len(samples), {"device": f"d{d}", "model": f"n{n}", "latency_ms": str(len(samples))})
            samples.append(Sample(row, "latency_s", exp(a[d] + b[n] + rng.normal(0, noise)), f"d{d}", "rt", f"n{n}", "g"))
    return samples


FAMILY = Family(
    "made", "made", ("made.csv",), lambda tables: Samples(()), fit, lambda value: Line(value["device"], value["network"]),
    (Claim("made", "network"),), splits=("network",),
)  # fmt: skip


def place(calibration: store.Calibration, sample: Sample) -> int:
    return calibration.left_out["network"][store.unit("network", sample.device, sample.network)]


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> store.Calibration:
    monkeypatch.setattr(store, "families", lambda: {"made": FAMILY})
    store.write(FAMILY, made(1, 0.1), tmp_path)
    store.load.cache_clear()
    return store.load("made", tmp_path)


def test_networks_of_one_device_go_to_different_folds() -> None:
    samples = made(1, 0.1, networks=4)
    folds = assign(samples, "network", 10)
    for device in {s.device for s in samples}:
        assert len({f for f, s in zip(folds, samples, strict=True) if s.device == device}) == 4


def test_few_devices_are_left_out_one_by_one_with_their_variants() -> None:
    """A variant (layers of one board under some versions of a library) would tell of a board that is to be new."""
    samples = made(1, 0.1)
    devices = {s.device for s in samples}
    samples.append(replace(samples[0], device="variant", board=samples[0].device))
    seen: list[set[str]] = []

    def fit_and_note(kept: Sequence[Sample]) -> Line:
        seen.append({s.device for s in kept})
        return fit(kept)

    folds = cross_validate(replace(FAMILY, fit=fit_and_note), samples, "device")
    assert len(folds) == len(devices) + 1 <= ALONE
    for fold, kept in zip(folds, seen, strict=True):
        (gone,) = {samples[i].device for i in fold.left_out}
        assert kept == (devices | {"variant"}) - {gone} - ({"variant"} if gone == samples[0].device else set())


def test_folds_do_not_depend_on_the_order_of_rows() -> None:
    samples = made(1, 0.1)
    forward = dict(zip([s.row.line for s in samples], assign(samples, "device", 10), strict=True))
    backward = dict(zip([s.row.line for s in samples[::-1]], assign(samples[::-1], "device", 10), strict=True))
    assert forward == backward


def test_a_training_row_is_predicted_by_the_fit_that_did_not_see_it(stored: store.Calibration) -> None:
    samples = made(1, 0.1)
    for sample in samples[::7]:
        (prediction,) = stored.predictions(sample)
        others = [s for s in samples if place(stored, s) != place(stored, sample)]
        assert sample not in others
        assert prediction.seen
        assert log(prediction.value) == pytest.approx(log(fit(others).predict(sample)), abs=1e-4)


def test_another_copy_of_a_row_is_no_news(stored: store.Calibration) -> None:
    sample = made(1, 0.1)[5]
    row = Row("copy.csv", 99, {**sample.row.cells, "latency_ms": "123456", "extra": "x"})
    again = replace(sample, row=row, measured=123.456)
    assert stored.predictions(again) == stored.predictions(sample)
    assert stored.predictions(again)[0].seen


def test_a_new_network_and_a_new_device_come_from_the_full_fit(stored: store.Calibration) -> None:
    sample = made(1, 0.1)[5]
    (new,) = stored.predictions(replace(sample, network="other"))
    assert not new.seen
    assert new.value == pytest.approx(stored.full.predict(replace(sample, network="other")))


def test_the_interval_of_a_training_row_does_not_rest_on_its_own_residual(stored: store.Calibration) -> None:
    sample = made(1, 0.1)[5]
    fold = place(stored, sample)
    assert stored.interval("g", "network", fold) != stored.interval("g", "network")


def test_many_rows_of_one_device_say_of_a_group_what_one_device_does() -> None:
    """Forty rows of one device weigh like one thing left out, forty devices like forty."""

    def weight(devices: int) -> float:
        return store.group_weight([store.Residual("s", "g", str(i % devices), "assumed", 0, 0.1) for i in range(40)])

    assert weight(1) == pytest.approx(1 / (1 + store.GROUP_UNITS))
    assert weight(40) == pytest.approx(40 / (40 + store.GROUP_UNITS))


def test_intervals_hold_80_percent_of_new_pairs() -> None:
    inside = total = 0
    for seed in range(40):
        samples = made(seed, 0.1)
        rng = np.random.default_rng(seed)
        new = set(rng.choice(len(samples), 20, replace=False).tolist())
        value = store.calibrate(FAMILY, [s for i, s in enumerate(samples) if i not in new])
        calibration = store.read(FAMILY, value)
        for i in new:
            (p,) = calibration.predictions(samples[i])
            assert not p.seen
            inside += p.low <= samples[i].measured <= p.high
            total += 1
    assert 0.77 <= inside / total <= 0.85


def test_what_is_written_is_the_same_bytes_twice(tmp_path: Path) -> None:
    first = store.write(FAMILY, made(1, 0.1), tmp_path).read_bytes()
    assert store.write(FAMILY, made(1, 0.1), tmp_path).read_bytes() == first
    assert json.loads(first)["family"] == "made"


@pytest.mark.parametrize(
    ("text", "part"),
    [("", "empty"), ("device,model\na\n", "has not the 2 fields"), ("device,model\na,b,c\n", "has not the 2 fields")],
)
def test_a_broken_table_is_one_message(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "mlperf_tiny.csv").write_text(text)
    with pytest.raises(InputError, match=part):
        Tables(tmp_path).rows("mlperf_tiny.csv")


def test_a_number_that_is_none_names_table_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("device,latency_ms\nx,nan\n")
    with pytest.raises(InputError, match=r"t\.csv line 2: column 'latency_ms' is 'nan'"):
        _ = Tables(tmp_path).rows("t.csv")[0].latency_s


def test_a_folder_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        Tables(tmp_path / "none")
