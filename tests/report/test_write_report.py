"""The folder of a report: complete, parseable, safe, or not there at all."""

from __future__ import annotations

import errno
import json
import math
import re
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.report.sample import HOSTILE, LONG_NAME, full_study, profile, study, target
from workbench.errors import InputError
from workbench.metrics import METRICS
from workbench.quantize import read_plan
from workbench.report import write_report
from workbench.results import StudyResult
from workbench.search import axis_value

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks that tags nest, and collects tags, attributes and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, k, v or "") for k, v in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, k, v or "") for k, v in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data + " "


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, Path]:
    result = full_study()
    page = write_report(result, tmp_path_factory.mktemp("reports") / "run")
    assert page.name == "report.html"
    return result, page.parent


def test_every_file_is_there(written: tuple[StudyResult, Path]) -> None:
    result, folder = written
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    for name in (
        "report.html",
        "results.json",
        "manifest.json",
        "study.yaml",
        "sensitivities.csv",
        "layer_errors.csv",
        "frontier.csv",
        "layers_cost.csv",
    ):
        assert name in found
    for t in result.targets:
        plots = {p for p in found if p.startswith(f"{t.profile.name}/")}
        expected = {"chosen": 6, "nothing_fits": 6, "nothing_to_choose": 3, "not_supported": 0}[t.status]
        assert len(plots) == expected, (t.profile.name, plots)
        assert (f"plan-{t.profile.name}.yaml" in found) == bool(t.plan_yaml)
    assert not list(folder.parent.glob(".*.part"))


def test_plots_are_whole_png_files(written: tuple[StudyResult, Path]) -> None:
    for path in written[1].rglob("*.png"):
        raw = path.read_bytes()
        assert raw[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", raw[16:24])
        assert width > 1000
        assert height > 300
        data, position = b"", 8
        while position < len(raw):
            (size,) = struct.unpack(">I", raw[position : position + 4])
            if raw[position + 4 : position + 8] == b"IDAT":
                data += raw[position + 8 : position + 8 + size]
            position += size + 12
        assert len(zlib.decompress(data)) >= width * height


def test_tables_say_what_the_records_say(written: tuple[StudyResult, Path]) -> None:
    result, folder = written
    first = result.targets[0]
    sens = pd.read_csv(folder / "sensitivities.csv")
    assert len(sens) == sum(len(t.sensitivities) for t in result.targets)
    row, record = sens.iloc[0], first.sensitivities[0]
    assert record.change is not None
    assert row.top1_change_points == pytest.approx(100 * record.change.estimate)
    assert row.top1_change_low_points <= row.top1_change_points <= row.top1_change_high_points
    frontier = pd.read_csv(folder / "frontier.csv")
    assert len(frontier) == sum(len(t.candidates) for t in result.targets)
    mine = frontier[frontier.target == first.profile.name]
    assert first.chosen is not None
    chosen = mine[mine.chosen].iloc[0]
    assert chosen.plan == first.chosen.plan.label()
    assert chosen.flash_bytes == axis_value(first.chosen.cost, "flash")
    assert chosen.predicted_change_points == pytest.approx(-100 * (first.chosen.predicted_drop or 0.0))
    assert first.chosen.confirm_change is not None
    assert chosen.confirm_change_points == pytest.approx(100 * first.chosen.confirm_change.estimate)
    errors = pd.read_csv(folder / "layer_errors.csv")
    assert len(errors) == sum(len(rows) for t in result.targets for rows in (t.layer_errors or {}).values())
    cost = pd.read_csv(folder / "layers_cost.csv")
    assert set(cost.plan) == {"baseline", "chosen"}
    assert list(cost[(cost.target == first.profile.name) & (cost.plan == "chosen")].layer) == [
        r.layer for r in first.chosen.cost.layers
    ]


def test_results_json_is_strict_and_complete(written: tuple[StudyResult, Path]) -> None:
    result, folder = written

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    data = json.loads((folder / "results.json").read_text(), parse_constant=refuse)
    assert [t["status"] for t in data["targets"]] == [t.status for t in result.targets]
    first = data["targets"][0]
    assert len(first["candidates"]) == len(result.targets[0].candidates)
    assert first["chosen"]["plan"]["layers"] == dict(result.targets[0].chosen.plan.layers)  # type: ignore[union-attr]
    assert first["chosen"]["cost"]["layers"]
    assert json.loads((folder / "manifest.json").read_text())["commit"] == result.manifest["commit"]


def test_plan_and_study_read_back(written: tuple[StudyResult, Path]) -> None:
    result, folder = written
    for t in result.targets:
        if t.chosen is not None:
            path = folder / f"plan-{t.profile.name}.yaml"
            assert read_plan(path).plan == t.chosen.plan
            assert path.read_text().startswith(f"# study sample, target {t.profile.name}")
    assert yaml.safe_load((folder / "study.yaml").read_text()) == result.spec


def test_page_is_well_formed_and_needs_no_network(written: tuple[StudyResult, Path]) -> None:
    text = (written[1] / "report.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert not {"iframe", "object", "link", "img", "base", "form"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href") and not value.startswith("#"):
            assert (written[1] / value).is_file(), f"{tag} {name}={value} is not a file of the report"
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert not re.search(r"https?://", text)


def test_page_ids_are_unique_and_links_have_targets(written: tuple[StudyResult, Path]) -> None:
    page = Page((written[1] / "report.html").read_text())
    ids = [v for _, k, v in page.attributes if k == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in page.attributes:
        if name == "href" and value.startswith("#"):
            assert value[1:] in ids
        for used in re.findall(r"url\(#([^)]+)\)", value):
            assert used in ids


def test_page_says_the_gap_the_levers_and_the_reasons(written: tuple[StudyResult, Path]) -> None:
    result, folder = written
    text = " ".join(Page((folder / "report.html").read_text()).text.split())
    assert "3 of 5 targets have a plan for fashion_cnn within the limits" in text
    assert "10.1 KiB too much" in text
    assert "Offer formats with fewer weight bits" in text
    assert "conv2d in fp16 is not supported" in text
    assert "every sample took part in choosing" in text
    for t in result.targets:
        if t.status != "not_supported":
            assert t.profile.exactness in text


def test_a_choice_that_no_other_samples_tested_is_not_called_good(tmp_path: Path) -> None:
    fine = target("fine")
    assert fine.chosen is not None
    lucky = replace(
        target("lucky"),
        baseline_plan=None,
        chosen=replace(fine.chosen, proven=None),
        message="Not confirmed: expect a larger drop.",
    )
    page = Page(write_report(study(lucky, fine), tmp_path / "run", ("html",)).read_text())
    text = " ".join(page.text.split())
    assert (
        "1 of 2 targets has a plan for fashion_cnn proven within the limits: fine; found, but not proven on other samples, on lucky."
        in text
    )
    assert text.count("found, not confirmed") == 2
    assert "Mind this Not confirmed" in text


@pytest.mark.parametrize("labels", [True, False])
def test_hostile_names_stay_text(tmp_path: Path, labels: bool) -> None:
    layers = (
        HOSTILE,
        "</svg><img src=x onerror=alert(1)>",
        "' onload='alert(1)",
        LONG_NAME,
        "層一\x1b[31m",
        "dense #1b2330 url(#a)",
    )
    mean = target("../../<script>up</script>", layers=layers, labels=labels)
    mean = replace(mean, notes=(HOSTILE,), left_out=((HOSTILE, HOSTILE),))
    result = replace(
        study(mean, layers=layers), title=HOSTILE, model=HOSTILE, data_names={HOSTILE: HOSTILE}, spec={HOSTILE: [HOSTILE]}
    )
    page = write_report(result, tmp_path / "run")
    assert {p.parent.parent for p in page.parent.rglob("*.png")} == {page.parent}
    text = page.read_text()
    found = Page(text)
    assert not {"script", "img"} & set(found.tags)
    assert not any(name.startswith("on") for _, name, _ in found.attributes)
    assert HOSTILE in found.text
    assert "dense #1b2330 url(#a)" in found.text
    assert list(tmp_path.iterdir()) == [page.parent]


def test_targets_of_one_name_keep_their_own_files(tmp_path: Path) -> None:
    twins = [replace(target("Twin", seed=i), profile=profile(name)) for i, name in enumerate(("twin", "Twin", "twin"))]
    page = write_report(study(*twins), tmp_path / "run", ("html",))
    assert sorted(p.name for p in page.parent.glob("plan-*")) == ["plan-Twin-2.yaml", "plan-twin-3.yaml", "plan-twin.yaml"]


@pytest.mark.parametrize(
    "problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError("a bug")]
)
@pytest.mark.parametrize("at", [1, 6])
def test_nothing_is_left_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException, at: int
) -> None:
    calls = 0
    write = Path.write_text

    def failing(self: Path, *args: str, **keys: str) -> int:
        nonlocal calls
        calls += 1
        if calls == at:
            raise problem
        return write(self, *args, **keys)

    monkeypatch.setattr(Path, "write_text", failing)
    expected = InputError if isinstance(problem, OSError) else type(problem)
    with pytest.raises(expected) as caught:
        write_report(study(target("one")), tmp_path / "run", ("html", "csv"))
    if expected is InputError:
        assert "No space left on device" in str(caught.value)
        assert "Free some space" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="never overwritten"):
        write_report(study(target("one")), tmp_path / "run")
    assert [p.name for p in tmp_path.rglob("*")] == ["run", "mine.txt"]


def test_kinds_that_were_not_asked_for_are_not_written(tmp_path: Path) -> None:
    path = write_report(study(target("one")), tmp_path / "run", ("csv",))
    assert path.name == "results.json"
    assert not list(path.parent.rglob("*.png")) + list(path.parent.rglob("*.html"))
    assert (path.parent / "frontier.csv").is_file()


def test_infinite_and_missing_numbers_are_shown(tmp_path: Path) -> None:
    """A float format has no error at all (SQNR +inf); an unsupported layer has no latency (NaN)."""
    t = target("odd", formats=("w8a8", "w4a8"), labels=False, confirm=False)
    assert t.layer_errors is not None
    assert t.baseline_cost is not None
    perfect = {f: tuple(replace(e, local_sqnr_db=math.inf) for e in rows) for f, rows in t.layer_errors.items()}
    candidates = [replace(c, record=replace(c.record, metric="sqnr_db", correct=None)) for c in t.candidates]
    record = candidates[0].record
    candidates[0] = replace(candidates[0], record=replace(record, metrics={**record.metrics, "sqnr_db": math.inf, "mse": 0.0}))
    sens = [replace(s, sqnr_db=math.inf) if i == 0 else s for i, s in enumerate(t.sensitivities)]
    rows = tuple(replace(r, latency_s=math.nan) for r in t.baseline_cost.layers)
    odd = replace(
        t, layer_errors=perfect, candidates=tuple(candidates), frontier=tuple(candidates), sensitivities=tuple(sens),
        baseline_cost=replace(t.baseline_cost, layers=rows, latency_s=math.nan), metric=METRICS["sqnr_db"],
        baseline=candidates[0].record,
    )  # fmt: skip
    page = write_report(study(odd), tmp_path / "run")
    assert "∞ dB" in Page(page.read_text()).text
    assert "inf" in (page.parent / "layer_errors.csv").read_text()


def test_long_networks_are_drawn(tmp_path: Path) -> None:
    layers = tuple(f"{LONG_NAME}_{i}" for i in range(60))
    page = write_report(study(target("long", layers=layers), layers=layers), tmp_path / "run", ("html",))
    assert Page(page.read_text()).text.count("…") > 60


def test_layers_of_the_host_are_marked(tmp_path: Path) -> None:
    base = target("board")
    assert base.baseline_cost is not None
    rows = tuple(
        replace(row, emulation=how)
        for row, how in zip(base.baseline_cost.layers, ("host", "widen", "unpack", *[""] * 8), strict=True)
    )
    found = replace(base, chosen=None, status="nothing_to_choose", baseline_cost=replace(base.baseline_cost, layers=rows))
    text = " ".join(Page(write_report(study(found), tmp_path / "run").read_text()).text.split())
    for row, words in zip(rows, ("(host)", "stored as 8 bits", "unpacked before the int8 kernel"), strict=False):
        assert f"{row.layer} {row.op} {row.format} {words}" in text
    assert text.count("(host)") == 1
