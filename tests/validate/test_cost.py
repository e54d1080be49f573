"""`validate cost`: its figures against formulas written out here, its verdicts, and that it never fits on what it judges."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from math import exp
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.calibrate.test_store import Line, fit
from workbench.calibrate import store
from workbench.calibrate.family import Claim, Family, Sample, Samples, families
from workbench.calibrate.rows import Tables
from workbench.cli import app
from workbench.errors import EXIT_CHECK_FAILED, EXIT_OK, InputError
from workbench.validate import cost
from workbench.validate.cost import Checked, check_families, claim_lines, coverage_lines, figures, share_by_chance
from workbench.validate.cost_tables import rows_csv
from workbench.validate.cost_vela import check_vela

HEAD = "device,core,runtime,model,precision,latency_ms,notes\n"


def read(tables: Tables) -> Samples:
    kept, left_out = [], []
    for row in tables.rows("made.csv"):
        if row.suspect:
            left_out.append((row, "marked SUSPECT"))
        else:
            kept.append(Sample(row, "latency_s", row.latency_s, row.device, row.runtime, row.network, row.core))
    return Samples(tuple(kept), tuple(left_out))


FAMILY = Family(
    "made", "Made rows", ("made.csv",), read, fit, lambda value: Line(value["device"], value["network"]),
    (Claim("latency", "network", 0.15, 0.40), Claim("new board", "device", 0.15)), splits=("network", "device"),
)  # fmt: skip


def table(seed: int, noise: float, devices: Sequence[str], networks: int = 8) -> str:
    """Rows of log latency = device + network + noise; the truth of a device and a network does not depend on the seed."""
    rng = np.random.default_rng(seed)
    lines = []
    for d in devices:
        for n in range(networks):
            ms = exp(int(d[1:]) % 5 + 0.7 * (n % 4) + rng.normal(0, noise))
            lines.append(f"{d},c,rt,n{n},int8,{ms:.6f},")
    return HEAD + "\n".join(lines) + "\n"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the rows that the family was fitted to; its fit is the only one there is."""
    data, fitted = tmp_path / "data", tmp_path / "fitted"
    data.mkdir()
    fitted.mkdir()
    (data / "made.csv").write_text(table(1, 0.1, [f"d{i}" for i in range(12)]))
    store.write(FAMILY, read(Tables(data)).kept, fitted)
    never = replace(FAMILY, fit=lambda samples: pytest.fail("validate cost must not fit"))
    calibration = store.read(never, json.loads((fitted / "made.json").read_text()))
    monkeypatch.setattr(cost, "families", lambda: {"made": never})
    monkeypatch.setattr(cost.store, "load", lambda name: calibration)
    return data


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "made.csv").write_text(text)
    return path


def test_figures_are_those_of_the_standard_library(made: Path) -> None:
    (check,) = check_families(Tables(made))
    rows = check.of("network")
    errors = [abs(c.prediction.value / c.sample.measured - 1) for c in rows]
    found = figures(rows)
    assert found is not None
    assert found.rows == 96
    assert found.median == pytest.approx(median(errors))
    assert found.p90 == pytest.approx(quantiles(errors, n=10, method="inclusive")[-1])
    assert found.share == sum(c.prediction.low <= c.sample.measured <= c.prediction.high for c in rows) / 96
    assert figures([]) is None


def test_rows_of_the_fit_are_predicted_without_them_and_new_ones_by_the_full_fit(made: Path, tmp_path: Path) -> None:
    (own,) = check_families(Tables(made))
    assert len(own.checked) == 2 * 96 and all(c.prediction.seen for c in own.checked)
    (other,) = check_families(Tables(folder(tmp_path / "new", table(2, 0.1, ["d3", "d99"], networks=9))))
    split = {(c.sample.device, c.sample.network): (c.prediction.split, c.prediction.seen) for c in other.checked}
    assert len(other.checked) == 2 * 8 + 1 + 9, "a known pair has both splits, whatever else its row says"
    assert split["d3", "n0"][1] and split["d3", "n8"] == ("network", False) and split["d99", "n0"] == ("device", False)


def test_claims_are_reached_by_rows_like_those_of_the_fit_and_missed_by_others(made: Path, tmp_path: Path) -> None:
    text = table(3, 0.1, [f"d{i}" for i in range(12)])
    good, board = claim_lines(check_families(Tables(folder(tmp_path / "good", text)))[0])
    assert good.verdict == "reached" and good.figures is not None and good.figures.rows == 96
    assert board.figures is not None and board.figures.rows == 96 and board.verdict.startswith("SHORT"), "it knows no new board"
    slow = "\n".join([HEAD.strip(), *(scaled(line, 1.6) for line in text.splitlines()[1:])])
    bad, _ = claim_lines(check_families(Tables(folder(tmp_path / "bad", slow)))[0])
    assert bad.verdict.startswith("SHORT: median, ") and "inside" in bad.verdict


def scaled(line: str, factor: float) -> str:
    cells = line.split(",")
    return ",".join([*cells[:5], str(float(cells[5]) * factor), *cells[6:]])


def test_a_median_that_is_good_does_not_hide_a_bad_tail_or_wrong_intervals(made: Path, tmp_path: Path) -> None:
    lines = table(4, 0.001, [f"d{i}" for i in range(12)]).splitlines()
    tail = [scaled(line, 3.0) if i % 5 == 0 else line for i, line in enumerate(lines[1:])]
    line, _ = claim_lines(check_families(Tables(folder(tmp_path / "tail", "\n".join([lines[0], *tail]))))[0])
    assert line.figures is not None and line.figures.median < 0.15 and "p90" in line.short
    sure, _ = claim_lines(check_families(Tables(folder(tmp_path / "sure", "\n".join(lines))))[0])
    assert sure.short == ("100 % inside",), "an interval that holds everything is too wide"


def test_rows_left_out_are_counted_by_reason_and_stand_in_the_csv(made: Path, tmp_path: Path) -> None:
    text = table(5, 0.1, ["d1"]) + "d1,c,rt,n1,int8,3.5,SUSPECT: other clock\n"
    checks = check_families(Tables(folder(tmp_path / "odd", text)))
    assert checks[0].reasons == {("made.csv", "marked SUSPECT"): 1}
    rows = list(csv.DictReader(io.StringIO(rows_csv(checks))))
    assert len(rows) == 2 * 8 + 1
    assert rows[-1]["remark"] == "no prediction: marked SUSPECT" and rows[-1]["predicted"] == ""
    for row in rows[:-1]:
        ratio = float(row["predicted"]) / float(row["measured"])
        assert float(row["predicted_over_measured"]) == pytest.approx(ratio, abs=1e-5)
        assert row["inside_80"] == str(int(float(row["low"]) <= float(row["measured"]) <= float(row["high"])))


def test_a_folder_without_the_tables_is_one_message(made: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"none of the tables is here\. Expected one or more of made\.csv"):
        check_families(Tables(tmp_path / "empty"))


def test_a_broken_number_is_one_message(made: Path, tmp_path: Path) -> None:
    path = folder(tmp_path / "broken", HEAD + "d1,c,rt,n1,int8,fast,\n")
    with pytest.raises(InputError, match=r"made\.csv line 2: column 'latency_ms' is 'fast', not a number"):
        check_families(Tables(path))


def test_a_claim_whose_table_is_missing_says_so(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = replace(FAMILY, tables=("made.csv", "other.csv"), claims=(Claim("x", "network", 0.1, tables=("other.csv",)),))
    monkeypatch.setattr(cost, "families", lambda: {"made": more})
    (line,) = claim_lines(check_families(Tables(made))[0])
    assert line.verdict == "not checked: no other.csv" and not line.short


def test_a_network_measured_nowhere_is_judged_as_a_new_one(made: Path, tmp_path: Path) -> None:
    text = table(3, 0.1, ["d3"]).replace(",n", ",zz")
    line, _ = claim_lines(check_families(Tables(folder(tmp_path / "new", text)))[0])
    assert line.figures is not None and line.figures.rows == 8 and "median" in line.short


def test_the_limit_of_a_new_network_holds_for_networks_measured_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a family that leaves networks out everywhere besides, where such rows are of another split."""
    family = replace(FAMILY, splits=("network", "network_everywhere", "device"))
    data = folder(tmp_path / "data", table(1, 0.1, [f"d{i}" for i in range(12)]))
    fitted = tmp_path / "fitted"
    fitted.mkdir()
    store.write(family, read(Tables(data)).kept, fitted)
    calibration = store.read(family, json.loads((fitted / "made.json").read_text()))
    monkeypatch.setattr(cost, "families", lambda: {"made": family})
    monkeypatch.setattr(cost.store, "load", lambda name: calibration)
    (check,) = check_families(Tables(folder(tmp_path / "new", table(3, 0.1, ["d3"]).replace(",n", ",zz"))))
    assert not check.of("network") and len(check.of("network_everywhere")) == 8
    line, _ = claim_lines(check)
    assert line.figures is not None and line.figures.rows == 8 and "median" in line.short


def test_the_command_exits_1_when_nothing_could_be_checked(made: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["validate", "cost", "--data", str(folder(tmp_path / "none", HEAD))])
    assert done.exit_code == EXIT_CHECK_FAILED and "No row could be checked" in done.output


def test_the_command_exits_1_when_short_and_writes_every_row(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "families", lambda: {"made": replace(FAMILY, claims=FAMILY.claims[:1])})
    run = CliRunner()
    fine = folder(tmp_path / "fine", table(11, 0.1, [f"d{i}" for i in range(12)]))
    out = tmp_path / "rows.csv"
    done = run.invoke(app, ["validate", "cost", "--data", str(fine), "--csv", str(out)], catch_exceptions=False)
    assert done.exit_code == EXIT_OK, done.output
    assert len(out.read_text().splitlines()) == 1 + 2 * 96
    text = "\n".join([HEAD.strip(), *(scaled(x, 2.0) for x in (fine / "made.csv").read_text().splitlines()[1:])])
    short = run.invoke(app, ["validate", "cost", "--data", str(folder(tmp_path / "slow", text)), "--details"])
    assert short.exit_code == EXIT_CHECK_FAILED and "SHORT" in short.output


def test_the_ratio_of_a_row_is_predicted_over_measured(made: Path) -> None:
    (check,) = check_families(Tables(made))
    c = check.checked[0]
    twice = Checked(replace(c.sample, measured=2 * c.prediction.value), c.prediction)
    assert (twice.ratio, twice.error) == (pytest.approx(0.5), pytest.approx(0.5))


def test_vela_is_compared_network_by_network(golden_dir: Path, models_dir: Path, tmp_path: Path) -> None:
    lines = check_vela(tmp_path, golden_dir / "vela_summary.csv", models_dir)
    compared = {(x.accelerator, x.network) for x in lines if not x.why}
    assert len(compared) >= 15
    text = (golden_dir / "vela_summary.csv").read_text()
    head, first, *_ = text.splitlines()
    cycles = head.split(",").index("cycles_total")
    cells = first.split(",")
    ours = next(x.ours for x in lines if x.quantity == "cycles" and x.network == cells[1] and x.accelerator == cells[0])
    for factor, short in ((1.09, False), (1.12, True), (0.92, False), (0.89, True)):
        cells[cycles] = str(ours / factor)
        (tmp_path / "vela_summary.csv").write_text(f"{head}\n{','.join(cells)}\n")
        line = next(x for x in check_vela(tmp_path, tmp_path / "vela_summary.csv", models_dir) if x.quantity == "cycles")
        assert line.short is short, factor


def test_a_summary_that_is_not_velas_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        check_vela(tmp_path, tmp_path / "none.csv", tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column accelerator"):
        check_vela(tmp_path, tmp_path / "other.csv", tmp_path)


def test_every_published_latency_is_predicted_or_left_out_with_a_reason(ground_truth: Path) -> None:
    tables, known = Tables(ground_truth), set[str]()
    for family in families().values():
        found = family.samples(tables)
        known |= {s.row.where for s in found.kept} | {row.where for row, why in found.left_out if why}
    names = {t for family in families().values() for t in family.tables}
    absent = [row.where for t in sorted(names) for row in tables.rows(t) if row.latency_s > 0 and row.where not in known]
    assert not absent


def test_right_intervals_are_not_called_short_and_wrong_ones_are() -> None:
    """Shares that a true share of 80, 75 or 85 % gives by chance, and shares that no such one gives."""
    rng = np.random.default_rng(0)
    for true in (0.75, 0.80, 0.85):
        calm = [share_by_chance(int(rng.binomial(n, true)), n) for n in (30, 60, 100, 1000) for _ in range(500)]
        assert np.mean(calm) > 0.94
    for wrong in (0.62, 0.93):
        assert np.mean([share_by_chance(int(rng.binomial(300, wrong)), 300) for _ in range(500)]) < 0.02
    assert [share_by_chance(k, 1000) for k in (700, 740, 800, 860, 900)] == [False, True, True, True, False]


def test_all_rows_together_are_judged_without_allowance(made: Path) -> None:
    (check,) = check_families(Tables(made))
    rows = list(check.of("network"))
    for inside, verdict in ((71, "SHORT: 74.0 % inside"), (77, "reached"), (82, "SHORT: 85.4 % inside")):
        forced = [
            Checked(replace(c.sample, measured=(1.0 if i < inside else 1.01) * c.prediction.high), c.prediction)
            for i, c in enumerate(rows)
        ]
        (line,) = coverage_lines([replace(check, checked=tuple(forced))])
        assert line.verdict == verdict


WORDS = ("Zog 9000", "", "x" * 300, "12 / 7", "-", "(unknown)", "0x0x0", "Cortex-Q99", "v-1.0", "192x192", "int3")
TEXTS = (
    "device", "core", "isa_fpu_npu", "runtime", "model", "precision", "notes", "resolution", "input_resolution", "dataset", "use_case",
    "kernel_variant", "op", "in_shape", "w_shape", "out_shape", "dtype", "memory", "clock_mhz", "condition", "mode",
)  # fmt: skip


def strange(path: Path, kind: str, rng: np.random.Generator) -> str:
    """Forty rows of a table with unknown words, with empty cells, or with zeros and numbers beyond all bounds."""
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    found = [dict(rows[i]) for i in rng.choice(len(rows), min(40, len(rows)), replace=False)]
    for row in found:
        for name, value in row.items():
            if kind == "words" and name in TEXTS and rng.random() < 0.7:
                row[name] = str(rng.choice(WORDS))
            elif kind == "empty" and rng.random() < 0.5:
                row[name] = ""
            elif kind == "numbers" and value.replace(".", "", 1).isdigit() and rng.random() < 0.3:
                row[name] = str(rng.choice(["0", "1e-30", "1e30"]))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


@pytest.mark.parametrize("kind", ["words", "empty", "numbers"])
@pytest.mark.parametrize("name", families())
def test_strange_rows_are_predicted_or_listed_and_nothing_crashes(
    name: str, kind: str, ground_truth: Path, tmp_path: Path
) -> None:
    family = families()[name]
    rng = np.random.default_rng(len(name))
    for table in sorted({*family.tables, "mlperf_tiny_model_layers.csv"}):
        (tmp_path / table).write_text(strange(ground_truth / table, kind, rng), encoding="utf-8")
    (check,) = check_families(Tables(tmp_path), [name])
    assert all(0 < c.prediction.low <= c.prediction.high < np.inf for c in check.checked)
    assert all(why for _, why in check.left_out)
    claim_lines(check)
    rows_csv([check])
