"""STM32N6: known networks counted from their names, constants found again, published rows that took no part, strange rows."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workbench.calibrate.families import n6
from workbench.calibrate.family import Sample
from workbench.calibrate.folds import cross_validate
from workbench.calibrate.named_large import find
from workbench.calibrate.rows import Row, Tables

SHARED = Path(__file__).parents[3] / "shared" / "ground_truth"
published = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the tables of ../shared/ground_truth")
COLUMNS = (
    "device", "runtime", "model", "dataset", "resolution", "precision", "w4_percent_of_weights", "macs", "flash_kib", "ram_kib",
    "external_ram_kib", "latency_ms",
)  # fmt: skip


def row(**cells: str) -> Row:
    plain = {
        "device": "STM32N6570-DK", "runtime": "ST Edge AI 3.0.0", "model": "mobilenetv2_a035_224", "dataset": "imagenet",
        "resolution": "224x224x3", "flash_kib": "1000", "ram_kib": "900", "external_ram_kib": "0", "latency_ms": "5",
    }  # fmt: skip
    return Row(n6.TABLE, 2, {**dict.fromkeys(COLUMNS, ""), **plain, **cells})


def table(folder: Path, rows: list[Row]) -> Tables:
    with (folder / n6.TABLE).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(dict(r.cells) for r in rows)
    return Tables(folder)


@pytest.mark.parametrize(
    ("name", "side", "classes", "millions_of_macs", "millions_of_weights", "tolerance"),
    [
        ("mobilenetv1_a100_224", 224, 1000, 568.740352, 4.2, 1e-9),  # arXiv 1704.04861: 569 M, 4.2 M
        ("mobilenet_v2_1.0_224", 224, 1000, 300.774272, 3.4, 1e-9),  # arXiv 1801.04381: 300 M, 3.4 M
        ("efficientnetv2b0_224", 224, 1000, 720, 7.1, 0.01),  # google/automl efficientnetv2: 0.72 B, 7.1 M
        ("efficientnetv2b3_300", 300, 1000, 3000, 14.4, 0.08),  # the same: 3.0 B, 14.4 M
        ("resnet50v2_224", 224, 1000, 3490, 25.6, 0.01),  # Keras: 3.49 G multiply-accumulates, 25.6 M
    ],
)
def test_networks_known_by_name_have_the_published_counts(
    name: str, side: int, classes: int, millions_of_macs: float, millions_of_weights: float, tolerance: float
) -> None:
    found = find(name, side, classes)
    assert found is not None
    assert found.macs / 1e6 == pytest.approx(millions_of_macs, rel=tolerance)
    assert sum(layer.weights for layer in found.layers) / 1e6 == pytest.approx(millions_of_weights, rel=0.03)


def test_a_name_that_is_not_known_is_none() -> None:
    assert find("yolov8n_256") is None and find("st_resnetpico_actrelu_pt_224") is None


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("mobilenetv2_a035_128_fft", "mobilenetv2"), ("resnet50v2_224", "resnetv2"), ("st_resnetnano_actrelu_pt_224", "st_resnet"),
        ("efficientnetv2b3_300", "efficientnetv2"), ("squeezenetv11_128", "squeezenetv1"), ("", ""),
    ],
)  # fmt: skip
def test_names_of_one_architecture_are_one_family(name: str, family: str) -> None:
    assert n6.name_family(name) == family


def test_a_known_truth_is_found_again(tmp_path: Path) -> None:
    truth = n6.Model(
        {"flash": 3e-9, "element": 2e-9, "mac": 1e-11, "layer": 2e-5, "external": 6e-8, "coded": 3.0}, {}, (1.0, 0.0), {}
    )
    rows = []
    for name, side in (("mobilenetv1_a100", 224), ("mobilenetv2_a035", 128), ("mobilenetv2_a140", 224), ("resnet50v2", 224)):
        for external, w4 in ((0, "0"), (0, "60"), (4000, "0"), (4000, "60")):
            cells = {"model": f"{name}_{side}", "resolution": f"{side}x{side}x3", "external_ram_kib": str(external)}
            rows.append(row(**cells, w4_percent_of_weights=w4, flash_kib=str(3000 - 15 * int(w4))))
    kept = n6.samples(table(tmp_path, rows)).kept
    exact = [replace(s, measured=truth.predict(s)) for s in kept]
    fitted = n6.fit(exact)
    ratio = np.array([fitted.predict(s) / s.measured for s in exact])
    assert np.abs(ratio - 1).max() < 0.05
    assert fitted.constants["flash"] == pytest.approx(3e-9, rel=0.1) and fitted.constants["external"] == pytest.approx(
        6e-8, rel=0.2
    )
    again = n6.load(fitted.to_json())
    assert [again.predict(s) for s in exact] == [fitted.predict(s) for s in exact]
    # from internal memory 4-bit weights are faster, from external memory slower
    seconds = {(s.row.network, s.facts.external > 0, s.facts.coded > 0): fitted.predict(s) for s in exact}
    for network in {s.row.network for s in exact}:
        assert seconds[network, False, True] < seconds[network, False, False]
        assert seconds[network, True, True] > seconds[network, True, False]


def test_strange_rows_are_predicted_or_left_out_with_the_reason(tmp_path: Path) -> None:
    rows = [
        row(),
        row(model="transformer of tomorrow", dataset="", resolution="", ram_kib="", external_ram_kib="", device="STM32X9"),
        row(flash_kib=""),
        row(latency_ms=""),
        row(ram_kib="much"),
    ]
    found = n6.samples(table(tmp_path, rows))
    reasons = [reason for _, reason in found.left_out]
    assert len(found.kept) == 2 and reasons[:2] == ["bytes of weights not given", "no latency"]
    assert "column 'ram_kib' is 'much'" in reasons[2]
    fitted = n6.fit(found.kept)
    assert all(0 < fitted.predict(s) < 10 and (fitted.baseline(s) or 0) > 0 for s in found.kept)
    assert [fitted.basis(s) for s in found.kept] == ["same device and runtime", "same core class"]


def test_pairs_and_ranks_are_counted(tmp_path: Path) -> None:
    rows = [row(latency_ms="5"), row(latency_ms="4", w4_percent_of_weights="50"), row(latency_ms="9", dataset="food101")]
    kept = n6.samples(table(tmp_path, rows)).kept
    right, wrong = n6.checks(kept, [5.0, 4.0, 9.0]), n6.checks(kept, [4.0, 5.0, 3.0])
    assert right["sign of W4 against W8, 1 pairs"] == (1.0, 0.85, True)
    assert wrong["sign of W4 against W8, 1 pairs"] == (0.0, 0.85, False)
    assert right["rank correlation, mobilenetv2, 3 rows"][2] and not wrong["rank correlation, mobilenetv2, 3 rows"][2]


@pytest.fixture(scope="module")
def rows_of_the_table() -> tuple[Sample, ...]:
    return n6.samples(Tables(SHARED)).kept


@published
def test_networks_that_took_no_part(rows_of_the_table: tuple[Sample, ...]) -> None:
    predicted, line = np.zeros(len(rows_of_the_table)), np.zeros(len(rows_of_the_table))
    for fold in cross_validate(n6.FAMILY, rows_of_the_table, "network"):
        for i in fold.left_out:
            predicted[i] = fold.fitted.predict(rows_of_the_table[i])
            line[i] = fold.fitted.baseline(rows_of_the_table[i])
    measured = np.array([s.measured for s in rows_of_the_table])
    error, naive = (float(np.median(np.abs(p / measured - 1))) for p in (predicted, line))
    assert error <= 0.7 * naive
    assert all(reached for _, _, reached in n6.checks(rows_of_the_table, list(predicted)).values())


@published
def test_the_flash_is_as_fast_as_its_bus(rows_of_the_table: tuple[Sample, ...]) -> None:
    # eight lines at 200 MHz on both edges carry 400 MB/s; W4/W8 pairs of small networks alone say 380 to 800
    rate = 1 / n6.fit(rows_of_the_table).constants["flash"]
    assert 300e6 < rate < 500e6


@published
def test_the_one_network_that_fewer_bits_slow_down(rows_of_the_table: tuple[Sample, ...]) -> None:
    fitted = n6.fit(rows_of_the_table)
    w8, w4 = sorted(
        (s for s in rows_of_the_table if s.row.network.startswith("resnet50v2")), key=lambda s: float(s.facts.coded)
    )
    assert fitted.predict(w4) > fitted.predict(w8)
