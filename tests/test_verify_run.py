"""`workbench verify`: a run that is left as it was passes; whatever is changed in it is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.study import choices
from workbench.cli import app
from workbench.errors import InputError
from workbench.study import run_study
from workbench.verify_run import verify_run

Data = dict[str, Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind of certificate -> the folder of a run."""
    folder = tmp_path_factory.mktemp("verify")
    choices.write(folder)
    sweeps: dict[str, Any] = {
        "exhaustive": "exhaustive", "program": "one_at_a_time",
        "sampling": {"kind": "verified", "evaluations": 40, "certificate": "20 %"},
    }  # fmt: skip
    found = {}
    for kind, sweep in sweeps.items():
        hardware = list(choices.TARGETS if kind == "program" else choices.TARGETS[:1])
        found[kind] = run_study(choices.study(folder, sweep, study=kind, hardware=hardware), folder / "out", threads=1).folder
    return found


@pytest.fixture
def copy(runs: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies the run of a kind, its tables and all."""

    def of(kind: str) -> Path:
        root = shutil.copytree(runs[kind].parent, tmp_path / kind)
        return root / runs[kind].name

    return of


def change(run: Path, edit: Callable[[Data], None]) -> None:
    path = run / "certificate.json"
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def differing(run: Path, **options: Any) -> list[str]:
    return [check.what for _, check in verify_run(run, threads=1, **options) if not check.ok]


@pytest.mark.parametrize("kind", ["exhaustive", "program", "sampling"])
def test_a_run_that_was_left_alone_passes(runs: dict[str, Path], kind: str) -> None:
    assert differing(runs[kind]) == []
    assert differing(runs[kind] / "certificate.json", share=0.2, plans=3) == []
    assert len(verify_run(runs[kind], threads=1)) > 20


def figure(data: Data, *keys: str) -> None:
    at = data["targets"][0]
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = at[keys[-1]] + 1e-6 if keys[-1] == "figure" else at[keys[-1]] + 1


@pytest.mark.parametrize("keys", [
    ("chosen", "selection", "figure"), ("chosen", "confirmation", "figure"), ("chosen", "confirmation", "samples"),
    ("chosen", "costs", "flash"), ("chosen", "costs", "energy"), ("baseline", "selection", "figure"), ("baseline", "costs", "latency"),
])  # fmt: skip
def test_a_changed_figure_of_the_verdict_is_found(copy: Callable[[str], Path], keys: tuple[str, ...]) -> None:
    run = copy("program")
    change(run, lambda data: figure(data, *keys))
    assert any(what.startswith("chosen plan" if keys[0] == "chosen" else "baseline") for what in differing(run))


def test_another_plan_is_found(copy: Callable[[str], Path]) -> None:
    run = copy("program")
    change(run, lambda data: data["targets"][0]["chosen"]["plan"]["layers"].update(fc1="w2a8"))
    assert differing(run)


def test_a_changed_plan_for_all_targets_is_found(copy: Callable[[str], Path]) -> None:
    run = copy("program")
    change(run, lambda data: data["joint"]["targets"][choices.TARGETS[1]]["costs"].update(flash=1.0))
    assert differing(run) == ["plan for all targets, flash"]


def edit_certificate(**values: Any) -> Callable[[Data], None]:
    return lambda data: data["targets"][0]["certificate"].update(values)


def first_single(data: Data) -> None:
    rows = data["targets"][0]["certificate"]["program"]["adds"]
    rows[-1][-1] += 0.01


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (edit_certificate(objective=1.0), "objective"),
        (edit_certificate(bound=1.0), "bound"),
        (first_single, "single changes"),
        (lambda d: d["targets"][0]["certificate"]["program"]["at_most"].update(drop=0.5), "what is minimized, and the limits"),
        (edit_certificate(program={}), "certificate"),
        (edit_certificate(kind="oracle"), "certificate"),
    ],
)
def test_a_changed_program_is_found(copy: Callable[[str], Path], edit: Callable[[Data], None], what: str) -> None:
    run = copy("program")
    change(run, edit)
    assert what in differing(run)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (lambda d: d["targets"][0]["certificate"]["frontier"].pop(), "frontier of the table"),
        (lambda d: d["targets"][0]["certificate"]["values"][0].__setitem__(0, 0.0), "frontier of the table"),
        (edit_certificate(plans=80), "configurations"),
        (lambda d: d["targets"][0]["certificate"]["table"].update(sha256="0" * 64), "table of all plans"),
    ],
)
def test_a_changed_exhaustive_certificate_is_found(
    copy: Callable[[str], Path], edit: Callable[[Data], None], what: str
) -> None:
    run = copy("exhaustive")
    change(run, edit)
    assert what in differing(run)


def test_a_damaged_or_missing_table_is_found(copy: Callable[[str], Path]) -> None:
    run = copy("exhaustive")
    (table,) = run.parent.glob("table-*/table.parquet")
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) // 2])
    assert "table of all plans" in differing(run)
    table.unlink()
    assert "table of all plans" in differing(run)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (edit_certificate(seed=1), "draws from the seed"),
        (lambda d: d["targets"][0]["certificate"]["draws_values"][0].__setitem__(0, 0.5), "draws, "),
        (edit_certificate(bound=0.001), "bound on all configurations"),
        (edit_certificate(axes=["metric", "ram"]), "axes"),
    ],
)
def test_a_changed_sampling_certificate_is_found(copy: Callable[[str], Path], edit: Callable[[Data], None], what: str) -> None:
    run = copy("sampling")
    change(run, edit)
    assert any(found.startswith(what) for found in differing(run))


def test_another_verdict_in_the_results_is_found(copy: Callable[[str], Path]) -> None:
    run = copy("program")
    results = json.loads((run / "results.json").read_text())
    results["targets"][0]["verdict"] = "all is well"
    (run / "results.json").write_text(json.dumps(results))
    assert differing(run) == [f"results.json: verdict of {choices.TARGETS[0]}"]
    (run / "results.json").write_text("{")
    assert differing(run) == ["results.json"]


def test_the_command_prints_a_table_and_exits_with_1_when_something_differs(copy: Callable[[str], Path]) -> None:
    run = copy("program")
    good = CliRunner().invoke(app, ["verify", str(run), "--quiet"])
    assert good.exit_code == 0 and "DIFFERS" not in good.output and "as the run says" in good.output
    change(run, lambda data: figure(data, "chosen", "costs", "flash"))
    bad = CliRunner().invoke(app, ["verify", str(run), "--quiet"])
    assert bad.exit_code == 1 and "DIFFERS" in bad.output


def test_changed_samples_are_one_clear_message(tmp_path: Path) -> None:
    choices.write(tmp_path)
    run = run_study(choices.study(tmp_path, "one_at_a_time"), tmp_path / "out", threads=1).folder
    arrays = dict(np.load(tmp_path / "d.npz"))
    arrays["test_x"] = arrays["test_x"] + np.float32(1)
    np.savez(tmp_path / "d.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"changed since the run: the samples that choose .* the samples that confirm"):
        verify_run(run)
    (tmp_path / "tiny.onnx").unlink()
    with pytest.raises(InputError, match=r"cannot be loaded, so it cannot be verified:\n.*tiny.onnx"):
        verify_run(run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"version": 99}', "version 99"),
        ('{"version": 1}', "lacks digests"),
    ],
)
def test_what_is_no_certificate_is_one_message(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "certificate.json").write_text(text)
    with pytest.raises(InputError, match=message):
        verify_run(tmp_path)
