"""The page and the tables of a choice with proof, and that studies without one have none of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.report.sample import HOSTILE, study, target
from tests.report.sample_choice import chosen_study
from tests.report.test_write_report import Page
from workbench.report import write_report
from workbench.report.page_choice import certificate_box, joint_part
from workbench.report.plots.pairs import cell_text
from workbench.results import Certificate, Joint, JointRow, StudyResult, TargetResult
from workbench.search import axis_value

HEADINGS = (
    "One plan for all targets", "Certificate:", "What the samples cannot tell apart", "Other views of sensitivity",
    "Proxies: scores that only propose", "What each format holds, in numbers",
)  # fmt: skip
TABLES = (
    "sensitivity_context", "sensitivity_parts", "sensitivity_pairs", "sensitivity_mixes", "sensitivity_proxies",
    "sensitivity_layers", "neighbours", "distributions", "search", "certificates", "joint",
)  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, Path]:
    result = chosen_study()
    return result, write_report(result, tmp_path_factory.mktemp("choice") / "run").parent


def words(folder: Path) -> str:
    return " ".join(Page((folder / "report.html").read_text()).text.split())


def test_the_page_says_what_was_proven_and_how_to_check_it(written: tuple[StudyResult, Path]) -> None:
    result, folder = written
    text = words(folder)
    for heading in HEADINGS:
        assert heading in text
    for t in result.targets:
        assert t.certificate is not None
        assert t.certificate.text in text
    assert text.count("workbench verify .") == 2
    assert "plans 59,049" in text
    assert "draws 299" in text
    assert result.joint is not None
    assert result.joint.text in text


def test_the_page_says_which_layers_cannot_be_told_apart(written: tuple[StudyResult, Path]) -> None:
    result, folder = written
    text, first = words(folder), result.targets[0]
    assert first.ties[0] in text
    for fmt in ("w4a8", "w2a8"):
        mine = [n for n in first.neighbours if n.format == fmt]
        tied = [n for n in mine if not n.apart]
        assert f"{fmt}: 1,000 samples cannot tell {len(tied)} of the {len(mine)} neighbours in rank apart" in text
        for n in tied:
            assert f"{n.rank}. {n.first} {n.rank + 1}. {n.second}" in text


def test_plots_are_files_and_on_the_page(written: tuple[StudyResult, Path]) -> None:
    _, folder = written
    names = {p.name for p in (folder / "stm32l4r5-cortex-m4-tflm").iterdir()}
    new = {
        f"{n}.png"
        for n in ("heat", "density", "progress", "steps", "cumulative", "parts", "interactions", "additivity", "distributions")
    }
    assert new <= names
    assert not new & {p.name for p in (folder / "stm32g0b1-cortex-m0plus-tflm").iterdir()}
    assert (folder / "targets.png").is_file()
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == len(list(folder.rglob("*.png")))


def test_tables_have_a_row_per_record(written: tuple[StudyResult, Path]) -> None:
    result, folder = written
    first = result.targets[0]
    views = first.views
    assert views is not None and views.pairs is not None and views.additivity is not None and result.joint is not None
    found = {name: pd.read_csv(folder / f"{name}.csv") for name in TABLES}
    assert {name: len(rows) for name, rows in found.items()} == {
        "sensitivity_context": len(views.off) + len(views.cumulative),
        "sensitivity_parts": len(views.parts),
        "sensitivity_pairs": len(views.pairs.interactions),
        "sensitivity_mixes": len(views.additivity.mixes),
        "sensitivity_proxies": len(views.proxies) * len(views.changes),
        "sensitivity_layers": len(views.layers),
        "neighbours": len(first.neighbours),
        "distributions": sum(len(d.ranges) for d in first.distributions),
        "search": 4,
        "certificates": 2,
        "joint": 2,
    }
    part = found["sensitivity_parts"].iloc[0]
    assert part.top1_change_points == pytest.approx(100 * views.parts[0].effect.change.estimate)
    assert (part.group, part.part, part.basis) == (views.parts[0].group.name, views.parts[0].part, views.parts[0].basis)
    pair, one = found["sensitivity_pairs"].iloc[0], views.pairs.interactions[0]
    assert pair.interaction == pytest.approx(one.loss)
    assert pair.first_loss == pytest.approx(views.pairs.singles[one.first])
    row = found["joint"].iloc[0]
    common = result.joint.rows[0].common
    assert common is not None
    assert row.common_cost == axis_value(common.cost, "flash")


def test_results_json_has_the_proof(written: tuple[StudyResult, Path]) -> None:
    result, folder = written
    data = json.loads((folder / "results.json").read_text())
    first, shown = result.targets[0], data["targets"][0]
    assert first.certificate is not None and first.search is not None and result.joint is not None
    assert shown["certificate"] == {
        "kind": "exhaustive",
        "text": first.certificate.text,
        "data": {"plans": 59049, "frontier": [1, 5]},
    }
    assert shown["search"]["evaluations"] == list(first.search.evaluations)
    assert len(shown["neighbours"]) == len(first.neighbours)
    assert data["joint"]["text"] == result.joint.text
    assert [r["target"] for r in data["joint"]["targets"]] == [t.profile.name for t in result.targets]


def light(*targets: TargetResult) -> tuple[TargetResult, ...]:
    """Return targets without what takes long to draw."""
    return tuple(
        replace(t, sensitivities=(), candidates=(), frontier=(), layer_errors=None, views=None, table=None, distributions=())
        for t in targets
    )


def test_studies_without_it_have_none_of_it(tmp_path: Path) -> None:
    plain = study(target("one", proposals=3))
    folder = write_report(plain, tmp_path / "old", kinds=("html", "csv")).parent
    text = words(folder)
    assert not [h for h in HEADINGS if h in text]
    assert not [name for name in (*TABLES, "targets") if list(folder.glob(f"{name}.*"))]


def test_a_study_without_a_common_plan_says_why(tmp_path: Path) -> None:
    result = chosen_study()
    rows = tuple(JointRow(t.profile.name, t.chosen, None) for t in result.targets)
    joint = Joint(rows, None, "No one plan for all 2 targets: `a` has no format of `b`.")
    none = replace(result, joint=joint, targets=light(*result.targets))
    page = write_report(none, tmp_path / "none", kinds=("html",)).read_text()
    assert "No one plan for all 2 targets: <code>a</code> has no format of <code>b</code>." in page


def test_hostile_texts_stay_text(tmp_path: Path) -> None:
    result = chosen_study()
    proof = Certificate("sampling", HOSTILE, {HOSTILE: HOSTILE})
    first = replace(result.targets[0], certificate=proof, ties=(HOSTILE,), verdict=f"`{HOSTILE}`")
    shown = replace(result, targets=light(first), joint=None)
    page = Page(write_report(shown, tmp_path / "hostile", kinds=("html",)).read_text())
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 4


def test_a_sampling_certificate_that_missed_its_goal_is_amber_and_its_figures_are_in_words() -> None:
    data = {
        "metric": "top-1", "draws_digest": "ab" * 32, "reached": False, "share": 0.08, "bound": 0.387, "improved_at_start": 10,
        "draws": 40, "plans": 177147,
    }  # fmt: skip
    box = certificate_box(Certificate("sampling", "words", data))
    assert box is not None and box["css"] == "warn"
    assert dict(box["facts"]) == {
        "plans": "177,147", "draws": "40", "draws that improved the frontier as it was before the first": "10",
        "share wanted, below": "8 %", "share proven, below": "38.7 %",
    }  # fmt: skip
    reached = certificate_box(Certificate("sampling", "words", {**data, "reached": True}))
    assert reached is not None and reached["css"] == "good"


def test_a_common_plan_that_is_not_proven_is_not_called_kept_alone() -> None:
    result = chosen_study()
    assert result.joint is not None
    rows = tuple(replace(r, common=None if r.common is None else replace(r.common, proven=None)) for r in result.joint.rows)
    part = joint_part(replace(result, joint=replace(result.joint, rows=rows)))
    assert part is not None
    for row, shown in zip(rows, part["rows"], strict=True):
        t = next(t for t in result.targets if t.profile.name == row.target)
        free = t.limits.drop is None or row.common is None or row.common.plan == t.baseline_plan
        assert shown["proven"] == free


def test_cells_of_a_matrix_have_one_unit_and_width() -> None:
    assert [cell_text(v, 1e-3) for v in (0.0098, -0.00012, 0.0)] == ["+9.8", "−0.1", "0.0"]
