"""Studies: every wrong key gets its path, what came, what fits, the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from workbench.errors import InputError, StudyError
from workbench.metrics import METRICS
from workbench.strict_yaml import validate
from workbench.study import run_study
from workbench.study.spec import load_study
from workbench.study.sweep_spec import SweepSpec, without_repeats
from workbench.study.verdict import beyond

GOOD = """
study: t
model: m.onnx
data: {calibration: d.npz#cal, evaluation: d.npz#test}
hardware: [ethos-u55-128]
formats: {search: [w8a8, w4a8], baseline: w8a8}
choose: {minimize: energy, subject_to: {top1_drop: 1.0 %, flash: 64 KiB}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def test_design_example_loads(tmp_path: Path) -> None:
    spec, folder = load_study(write(tmp_path, GOOD))
    assert folder == tmp_path
    assert spec.data.evaluation.inputs == "test_x"
    limits = spec.limits(METRICS["top1"], 10**6, 10**5)
    assert (limits.drop, limits.flash, limits.ram) == (0.01, 65536, 10**5)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("hardware:", "hardwear:", "Did you mean 'hardware'"),
        ("minimize: energy", "minimize: enrgy", "Did you mean 'energy'"),
        ("64 KiB", "64", "Expected a number and one of B, KiB"),
        ("64 KiB", "64 ms", "Unit 'ms' does not fit"),
        ("w4a8", "w4a9", "Did you mean 'w4a8'"),
        ("d.npz#test", "d.npz", "file.npz#split"),
        ("hardware: [ethos-u55-128]", "hardware: []", "at least 1 item"),
        ("study: t", "study: ../t", "should match pattern"),
        ("top1_drop: 1.0 %", "top1_drop: -1 %", "at least 0"),
        ("model: m.onnx", "", "is missing"),
        ("study: t", "study: t\nstudy: u", "repeated"),
    ],
)
def test_wrong_keys_and_values(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(StudyError) as caught:
        load_study(write(tmp_path, GOOD.replace(old, new)))
    assert says in str(caught.value)
    assert "study.yaml" in str(caught.value)


def test_include_is_merged_and_overridden(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(GOOD)
    spec, _ = load_study(write(tmp_path, "include: base.yaml\nstudy: u\nchoose: {minimize: flash}"))
    assert (spec.study, spec.choose.minimize, spec.choose.subject_to.top1_drop) == ("u", "flash", 0.01)


def test_include_cycle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="at most 8 deep"):
        load_study(write(tmp_path, "include: study.yaml"))


def test_unknown_study_lists_the_shipped_ones() -> None:
    with pytest.raises(StudyError, match="quickstart"):
        load_study("quikstart")


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ("{views: off}", "expected a list such as [off]"),
        ("{views: [off, off]}", "'off' stands twice"),
        ("{axes: metric}", "expected a list such as [metric, flash]"),
        ("{axes: []}", "expected a list such as [metric, flash]"),
        ("{kind: exhaustive, evaluations: 20}", "evaluations is a search's budget"),
        ("{kind: verified, time: 0 s}", "a search needs some time"),
    ],
)
def test_a_sweep_that_says_nothing_is_refused(sweep: str, says: str) -> None:
    with pytest.raises(StudyError) as refused:
        validate(SweepSpec, yaml.safe_load(sweep), "study", StudyError)
    assert says.lower() in str(refused.value).lower()


def test_a_target_stands_once() -> None:
    with pytest.raises(ValueError, match="'cpu' stands twice"):
        without_repeats(["cpu", "gpu", "cpu"])


def test_a_folder_of_reports_that_is_a_file_is_refused_first(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match=r"--out .*file/deep.*is a file, not a folder"):
        run_study("nowhere.yaml", file / "deep")


def test_a_worsening_has_the_decimals_that_tell_it_from_the_limit() -> None:
    assert beyond(METRICS["top1"], 0.0204, 0.02) == "2.04 points"
    assert beyond(METRICS["top1"], 0.031, 0.02) == "3.1 points"
