"""`workbench verify`: a run that is left as it was passes; whatever is changed in it is found."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.study import choices
from workbench.cli import app
from workbench.errors import InputError
from workbench.resources import resource_folder
from workbench.study import run_study
from workbench.truth import build
from workbench.verify_run import verify_run

Data = dict[str, Any]
PLAN_FILE = f"plan-{choices.TARGETS[0]}.yaml"


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
        (edit_certificate(share=0.9), "share that is to be proven, and seed"),
        (edit_certificate(seed=1), "share that is to be proven, and seed"),
    ],
)
def test_a_changed_sampling_certificate_is_found(copy: Callable[[str], Path], edit: Callable[[Data], None], what: str) -> None:
    run = copy("sampling")
    change(run, edit)
    assert any(found.startswith(what) for found in differing(run))


def cell(name: str, column: str, text: str) -> Callable[[Path], None]:
    """Return a change of one column of a run's table, in its first row."""

    def of(run: Path) -> None:
        table = pd.read_csv(run / name, dtype=str, keep_default_na=False)
        assert table.loc[0, column] != text
        table.loc[0, column] = text
        table.to_csv(run / name, index=False)

    return of


def shifted(name: str) -> Callable[[Path], None]:
    """Return a change that puts a field before every row but the header."""

    def of(run: Path) -> None:
        head, *rows = (run / name).read_text().splitlines()
        (run / name).write_text("\n".join([head, *(f"EVIL,{row}" for row in rows)]) + "\n")

    return of


def append(path: Path, text: str) -> None:
    assert path.is_file()
    path.write_text(path.read_text() + text)


def in_results(**values: Any) -> Callable[[Path], None]:
    """Return a change of results.json beside its targets."""

    def of(run: Path) -> None:
        data = json.loads((run / "results.json").read_text())
        (run / "results.json").write_text(json.dumps(data | values))

    return of


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (cell("frontier.csv", "flash_bytes", "1"), "frontier.csv"),
        (cell("frontier.csv", "plan", "w1a1"), "frontier.csv"),
        (cell("sensitivities.csv", "flips", "-3"), "sensitivities.csv"),
        (lambda run: (run / "sensitivities.csv").write_text("target\n"), "sensitivities.csv"),
        (lambda run: (run / "sensitivities.csv").write_bytes(b"\xff\xfe"), "sensitivities.csv"),
        (lambda run: (run / "frontier.csv").unlink(), "frontier.csv"),
        (shifted("frontier.csv"), "frontier.csv"),
        (cell("joint.csv", "objective", "nobody"), "joint.csv"),
        (cell("certificates.csv", "kind", "exhaustive"), "certificates.csv"),
        (lambda run: append(run / PLAN_FILE, "x: 2020-99-99\n"), PLAN_FILE),
        (lambda run: append(run / PLAN_FILE, "format: 1\n"), PLAN_FILE),
        (in_results(verdict="flash -99 %"), "results.json: verdict"),
        (in_results(confirmation_samples=99999), "results.json: confirmation_samples"),
        (in_results(joint=None), "results.json: joint"),
        (in_results(more=1), "results.json: more"),
    ],
)
def test_a_changed_table_beside_the_certificate_is_found(
    copy: Callable[[str], Path], edit: Callable[[Path], None], what: str
) -> None:
    run = copy("program")
    edit(run)
    assert differing(run) == [what]


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


def both(edit: Callable[[Data], None]) -> Callable[[Path], None]:
    """Return a change of certificate.json and results.json alike."""

    def of(run: Path) -> None:
        for name in ("certificate.json", "results.json"):
            data = json.loads((run / name).read_text())
            edit(data["targets"][0])
            (run / name).write_text(json.dumps(data))

    return of


def alone(edit: Callable[[Data], None]) -> Callable[[Path], None]:
    return lambda run: change(run, lambda data: edit(data["targets"][0]))


def in_study(old: str, new: str) -> Callable[[Path], None]:
    def of(run: Path) -> None:
        text = (run / "study.yaml").read_text()
        assert old in text
        (run / "study.yaml").write_text(text.replace(old, new))

    return of


def baseline_instead(run: Path) -> None:
    """A worse plan with its right figures, everywhere."""
    certificate = json.loads((run / "certificate.json").read_text())
    own = certificate["targets"][0]
    own["chosen"] = own["baseline"]
    (run / "certificate.json").write_text(json.dumps(certificate))
    results = json.loads((run / "results.json").read_text())
    results["targets"][0]["chosen"]["plan"] = own["baseline"]["plan"]
    (run / "results.json").write_text(json.dumps(results))


def worse_figures(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    results["targets"][0]["chosen"]["selection"]["metrics"]["top1"] *= 0.5
    (run / "results.json").write_text(json.dumps(results))


@pytest.mark.parametrize("kind", ["exhaustive"])
@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (baseline_instead, "chosen plan: formats"),
        (both(lambda t: t.update(verdict="flash -99 %, top-1 +50 points")), "verdict"),
        (both(lambda t: t.update(chosen=None)), "chosen plan"),
        (both(lambda t: t.update(chosen="abc")), "chosen plan"),
        (alone(lambda t: t.update(certificate=None)), "certificate"),
        (alone(lambda t: t.update(certificate="exhaustive")), "certificate"),
        (alone(lambda t: t.update(status="nothing_fits")), "status"),
        (alone(lambda t: t.update(metric="auc")), "metric"),
        (alone(lambda t: t.update(baseline=None)), "baseline"),
        (alone(lambda t: t.update(space=None)), "groups and formats"),
        (alone(lambda t: t["chosen"].update(confirmation=None)), "chosen plan, samples that confirm"),
        (alone(lambda t: t["chosen"]["selection"].update(figure=None)), "chosen plan, samples that choose"),
        (alone(lambda t: t["chosen"].update(plan={"default": "w9a9", "layers": [1]})), "chosen plan: formats"),
        (alone(lambda t: t["chosen"].update(costs={})), "chosen plan, costs"),
        (alone(lambda t: t["certificate"].update(kind=[1])), "certificate"),
        (alone(lambda t: t["certificate"].update(text="No better one exists.")), "words of the certificate"),
        (worse_figures, f"results.json: chosen of {choices.TARGETS[0]}"),
        (lambda run: (run / PLAN_FILE).unlink(), PLAN_FILE),
        (lambda run: (run / PLAN_FILE).write_text("format: 1\n"), PLAN_FILE),
        (in_study("minimize: flash", "minimize: energy"), f"results.json: objective of {choices.TARGETS[0]}"),
        (in_study("5 %", "50 %"), f"results.json: limits of {choices.TARGETS[0]}"),
    ],
)  # fmt: skip
def test_what_the_choice_does_not_give_is_found(
    copy: Callable[[str], Path], kind: str, edit: Callable[[Path], None], what: str
) -> None:
    run = copy(kind)
    edit(run)
    found = differing(run, plans=3, share=0.1)
    assert what in found or (what == "certificate" and "table of all plans" in found)


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        (edit_certificate(choice=[0, 0, 0, 0]), "choice of the program"),
        (edit_certificate(gap=0.5), "gap"),
        (edit_certificate(bound=None), "bound"),
        (edit_certificate(objective=10**400), "objective"),
        (edit_certificate(plans=1), "configurations"),
    ],
)
def test_all_of_a_program_is_compared(copy: Callable[[str], Path], edit: Callable[[Data], None], what: str) -> None:
    run = copy("program")
    change(run, edit)
    assert what in differing(run)


@pytest.mark.parametrize("file", [".", 3, None, "/etc/passwd", "../x"])
def test_a_table_that_is_none_is_found(copy: Callable[[str], Path], file: Any) -> None:
    run = copy("exhaustive")
    change(run, lambda data: data["targets"][0]["certificate"]["table"].update(file=file))
    assert "table of all plans" in differing(run, plans=3)


@pytest.mark.parametrize("damage", [
    lambda d: d.update(digests={}), lambda d: d["digests"].pop("selection"), lambda d: d.update(digests=[1]),
    lambda d: d["digests"].update(more="a"), lambda d: d.update(targets=None), lambda d: d.update(targets=[{}]),
    lambda d: d["targets"][0].update(profile=None),
])  # fmt: skip
def test_damage_is_one_message(copy: Callable[[str], Path], damage: Callable[[Data], None]) -> None:
    run = copy("program")
    change(run, damage)
    with pytest.raises(InputError, match="damaged"):
        verify_run(run, threads=1)


def test_deep_nesting_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "certificate.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="damaged"):
        verify_run(tmp_path)


def test_later_runs_leave_the_tables_of_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choices.write(tmp_path)
    profile = tmp_path / "mine.yaml"
    profile.write_text((resource_folder("hw_profiles") / f"{choices.TARGETS[0]}.yaml").read_text())
    study = choices.study(tmp_path, "exhaustive", hardware=[str(profile)])
    first = run_study(study, tmp_path / "out", threads=1).folder
    fewer = {"search": ["w8a8", "w4a8"], "baseline": "w8a8"}
    second = run_study({**study, "formats": fewer}, tmp_path / "out", threads=1).folder
    assert differing(first, plans=3) == [] == differing(second, plans=3)
    before = profile.read_text()
    profile.write_text(re.sub(r"clock_hz: *\S+", "clock_hz: 60_000_000", before))
    assert profile.read_text() != before
    calls: list[int] = []
    monkeypatch.setattr(build._Builder, "_run", lambda *_: calls.append(1))
    third = run_study(study, tmp_path / "out", threads=1).folder
    assert not calls and len(list((tmp_path / "out" / "choice").glob("table-*/table.parquet"))) == 3
    assert differing(third, plans=3) == []
    profile.write_text(before)
    assert differing(first, plans=3) == []


@pytest.mark.parametrize("evaluations", [40, 81])
def test_a_search_for_several_targets_passes(tmp_path: Path, evaluations: int) -> None:
    choices.write(tmp_path)
    sweep = {"kind": "verified", "evaluations": evaluations, "certificate": "20 %"}
    study = choices.study(tmp_path, sweep, study="several", hardware=list(choices.TARGETS))
    assert differing(run_study(study, tmp_path / "out", threads=1).folder) == []
