"""The benchmark of choosing, on a table made up here: its judge against definitions and another library, its files, its page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymoo.indicators.hv import HV

from benchmarks.choice import real
from benchmarks.choice.cases import CASES, Case, View, Views, load_cases
from benchmarks.choice.methods import METHODS, RANKING, Timed
from benchmarks.choice.page import page_text, per_case, reached, shortfalls, too_large, write_page
from benchmarks.choice.results import Result, Results
from benchmarks.choice.runner import run_all
from benchmarks.choice.score import Truth, hypervolume
from workbench.errors import InputError
from workbench.metrics import METRICS
from workbench.sweep import Group, Space
from workbench.truth.losses import Losses
from workbench.truth.table import Origin, TruthTable

SAMPLES = 40


@pytest.fixture(scope="module")
def made() -> TruthTable:
    """243 plans of five layers: fewer bits lose more, some pairs of layers a little less or more than the sum."""
    space = Space.of([Group(f"c{i}", (f"c{i}",)) for i in range(5)], ["w8a8", "w4a8", "w2a8"])
    codes = space.codes(range(space.size)).astype(float)
    rng = np.random.default_rng(0)
    mean = 0.1 + codes**2 @ rng.random(5) / 9 + 0.05 * codes[:, 1] * codes[:, 3]
    losses = mean[:, None] * rng.gamma(4.0, 0.25, SAMPLES)
    levels, positions = np.unique(losses, return_inverse=True)
    right = losses < 0.45
    costs = np.column_stack([1000 - codes @ w for w in (rng.integers(20, 90, 5), np.ones(5), rng.random(5), rng.random(5))])
    origin = Origin("made", "", "made", "", "", "cross_entropy", 2, "made", "", "")
    return TruthTable(
        space, METRICS["top1"], origin, SAMPLES, {"top1": right.mean(axis=1)}, losses.mean(axis=1), "top1",
        np.packbits(right, axis=1), Losses(positions.reshape(losses.shape).astype(np.uint16), levels, True), np.ones(SAMPLES),
        np.zeros((space.size, 16), np.uint8), costs,
    )  # fmt: skip


@pytest.fixture(scope="module")
def truth(made: TruthTable) -> Truth:
    return View(Case(name="made", table="made", quality="loss"), made).truth()


def test_the_truth_judges_itself_perfect(truth):
    rows = truth.front
    assert truth.recall(rows) == 1.0
    assert truth.regret(rows) == 0.0
    assert truth.relative_volume(rows) == pytest.approx(1.0)
    assert truth.ranking(lambda codes: truth.values[truth.space.numbers(codes), 0] * 3 + 1) == pytest.approx((1.0, 1.0))
    assert truth.ranking(lambda codes: -truth.values[truth.space.numbers(codes), 0])[0] == pytest.approx(-1.0)


def test_recall_counts_values_and_not_plans(truth):
    doubled = replace(truth, values=np.concatenate((truth.values, truth.values[truth.front])))
    twins = np.arange(len(truth.values), len(doubled.values))
    assert doubled.recall(twins) == 1.0
    assert truth.recall(truth.front[::2]) == pytest.approx(len(truth.front[::2]) / len(truth.front))
    assert truth.recall(np.setdiff1d(np.arange(truth.space.size), truth.front)) == 0.0


def test_regret_by_its_definition():
    space = Space.of([Group("a", ("a",))], ["w8a8", "w4a8", "w2a8", "fp16"])
    values = np.array([[0.1, 4.0], [0.2, 3.0], [0.8, 1.0], [0.3, 3.0]])
    truth = Truth(space, values, values[:, 0], True, 1e-9)
    assert truth.front.tolist() == [2, 1, 0]
    # found: plan 3 alone. Cost 4: 0.3 for 0.1; cost 3: 0.3 for 0.2; cost 1: nothing, so the worst, 0.8 for 0.8.
    assert truth.regret(np.array([3])) == pytest.approx((2.0 + 0.5 + 0.0) / 3)
    assert truth.near.tolist() == [0]
    assert replace(truth, share=False).near.tolist() == []


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_hypervolume_is_that_of_pymoo(axes):
    points = np.random.default_rng(axes).random((30, axes)) * 1.2
    assert hypervolume(points) == pytest.approx(HV(ref_point=np.full(axes, 1.1))(points), rel=1e-12)
    assert hypervolume(points + 2) == 0.0


def test_the_frozen_cases_are_enough_and_different():
    cases = load_cases()
    assert len(cases) >= 20
    assert len({(c.table, c.formats, c.target, c.against, c.quality) for c in cases}) == len(cases)
    assert {c.quality for c in cases} == {"metric", "loss"}
    assert {axis for c in cases for axis in c.against} == {"flash", "ram", "latency", "energy"}
    with pytest.raises(InputError, match=r"no case 'nothing'\. There are resnet8"):
        load_cases(["nothing"])


def test_a_case_with_a_mistake_is_refused(tmp_path):
    path = tmp_path / "cases.yaml"
    path.write_text(CASES.read_text().replace("quality: loss", "quality: lost", 1))
    with pytest.raises(InputError, match="quality"):
        load_cases(path=path)


def test_views_read_tables_and_say_which_is_missing(made, tmp_path):
    made.save(tmp_path / "made.parquet")
    views = Views(tmp_path, lambda table, target: pytest.fail("nothing is lowered without another target"))
    view = views(Case(name="few", table="made", formats=("w8a8", "w4a8")))
    assert view.truth().space.size == 32
    assert view.truth().badness == pytest.approx(made.sub(["w8a8", "w4a8"]).badness())
    assert view.digest != views(Case(name="all", table="made")).digest
    with pytest.raises(InputError, match=r"no table .*other\.parquet.*benchmarks\.choice\.tables"):
        views(Case(name="other", table="other"))


@pytest.fixture(scope="module")
def run(made, tmp_path_factory):
    """All methods on two cases, one budget."""
    cases = [
        Case(name="small-loss", table="made", quality="loss"),
        Case(name="both", table="made", against=("flash", "latency")),
    ]
    results = Results(tmp_path_factory.mktemp("results"))
    said: list[str] = []
    arguments = (cases, lambda case: View(case, made), list(METHODS.values()), results, (0.05, 0.3), 1)
    assert run_all(*arguments, say=said.append)
    return cases, results, said, arguments


def test_every_method_is_judged_in_every_case(run):
    cases, results, said, _ = run
    rows = results.frame()
    assert len(rows) == len(said) == len(cases) * len(METHODS) * 2
    assert rows.recall.between(0, 1).all() and (rows.regret >= 0).all() and rows.volume.between(0, 1 + 1e-9).all()
    assert (rows.spent <= rows.budget * rows["size"]).all() and (rows.plans <= rows.spent + 1e-9).all()
    wide = rows[rows.budget == 0.3].pivot(index="case", columns="method", values="recall")
    assert (wide["ridge"] > wide["random"]).all()  # a model that fits does better than draws


def test_what_was_run_is_not_run_again_and_a_torn_line_is(run):
    _, results, _, arguments = run
    path = results.folder / "both.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1][:25]]))
    again, said = Results(results.folder), []
    assert run_all(*arguments[:3], again, *arguments[4:], say=said.append)
    assert len(said) == 1
    assert len(Results(results.folder).rows) == len(results.rows)
    assert all(json.loads(line) for line in lines)


def test_other_code_or_another_table_is_run_again(run, made):
    cases, results, _, arguments = run
    other = replace(made, mean_loss=made.mean_loss * 2, figures={"top1": made.figures["top1"] / 2})
    method, budgets = [METHODS["uniform"]], (0.05,)
    for view, expected in ((made, 0), (other, 2)):
        said: list[str] = []
        run_all(cases, lambda case, v=view: View(case, v), method, Results(results.folder), budgets, say=said.append)
        assert len(said) == expected
    said = []
    changed = [replace(METHODS["uniform"], sources=("found.py",))]
    run_all(cases, arguments[1], changed, Results(results.folder), budgets, say=said.append)
    assert len(said) == 2


def test_time_that_is_up_begins_nothing(run, tmp_path):
    _, _, _, arguments = run
    assert run_all(*arguments[:3], Results(tmp_path), *arguments[4:], until=0.0) is False
    assert not list(tmp_path.iterdir())


def test_a_method_that_spends_too_much_is_refused(run, tmp_path):
    _, _, _, arguments = run
    greedy = METHODS["random"]
    cheat = replace(greedy, run=lambda oracle, evaluations, **rest: greedy.run(oracle, evaluations=evaluations + 5, **rest))
    with pytest.raises(RuntimeError, match=r"random spent 17\.0 of 12\.2 evaluations"):
        run_all(*arguments[:2], [cheat], Results(tmp_path), *arguments[4:])


def test_timed_answers_as_the_oracle_does(made):
    timed, plain = Timed(made.oracle()), made.oracle()
    codes = made.space.codes(range(9))
    assert np.array_equal(timed.evaluate(codes, np.arange(7)).losses, plain.evaluate(codes, np.arange(7)).losses)
    assert np.array_equal(timed.costs(codes), plain.costs(codes))
    assert timed.spent == plain.spent == pytest.approx(9 * 7 / SAMPLES)
    assert timed.seconds > 0


def test_the_page_says_what_is_good_bad_and_missing(run, tmp_path):
    cases, results, _, _ = run
    rows = results.frame()
    missing = Case(name="not-run", table="made")
    write_page(rows, [*cases, missing], tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "**Not run yet:** not-run." in text
    assert all(f"| {name} |" in text for name in METHODS)
    assert {p.name for p in (tmp_path / "images").iterdir()} == {"choice-recall.png", "choice-regret.png"}
    assert text == page_text(rows, [*cases, missing])


def test_medians_goals_and_shortfalls():
    def result(case, seed, **figures):
        base = {
            "case": case, "method": "verified", "budget": 0.05, "seed": seed, "state": "", "size": 1000, "front": 10, "recall": 1.0,
            "regret": 0.0, "volume": 1.0, "tau": 0.99, "tau_near": 0.95, "spent": 50.0, "plans": 40, "seconds": 1.0,
        }  # fmt: skip
        return Result(**(base | figures))

    rows = [result("good", s, recall=r) for s, r in enumerate((0.2, 0.98, 1.0))]
    rows += [result("bad", 0, recall=0.5, regret=0.02)]
    rows += [result("good", 0, method=RANKING), result("bad", 0, method=RANKING, tau=float("nan"), tau_near=0.1)]
    cells = per_case(pd.DataFrame([vars(r) for r in rows]))
    assert cells[cells.method == "verified"].set_index("case").recall.to_dict() == {"good": 0.98, "bad": 0.5}
    assert set(cells.spent) == {0.05}
    assert shortfalls(cells, "verified") == [
        "`bad` (1,000 plans): recall 50.0 % of 10 points, regret 2.00 %, tau near the baseline 0.100 (`ranking`)"
    ]
    lines = reached(cells, "verified").splitlines()[2:]
    assert [line.rsplit("|", 2)[1].strip() for line in lines] == ["1 of 2", "1 of 2", "1 of 1", "1 of 2"]


def test_time_is_kept_back_for_the_draws_of_a_certificate():
    """368 draws prove 1 % when none improves the frontier, 636 when one does (docs/certificates.md); 64 are a batch."""
    assert real.kept_back(0.1, 600) == pytest.approx(real.MARGIN * (636 + 64) * 0.1)
    assert real.kept_back(0.5, 600) == pytest.approx(real.MARGIN * (368 + 64) * 0.5)


def test_searches_are_compared_with_what_they_have_together():
    share, volume = real.compared(
        {"both": np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]]), "one": np.array([[1.0, 1.0], [3.0, 3.0]])}
    )
    assert share == {"both": 1.0, "one": pytest.approx(1 / 3)}
    assert volume["both"] == 1.0
    # Scaled to 0 .. 1: boxes up to 1.1 from (0, 1), (0.5, 0.5), (1, 0).
    assert volume["one"] == pytest.approx(0.36 / (0.36 + 2 * 0.5 * 0.1))


def test_outcomes_of_large_networks_are_kept_and_shown(tmp_path: Path):
    first = real.Outcome(
        "large", 59049, 846, "top1", "words", True, 0.01, 368, 51, 2466.0, 465.0, 520.0, {"verified": 1.0}, {"verified": 1.0}
    )
    short = replace(first, name="vww", reached=False, bound=0.02, share={"verified": 0.9, "random": 0.1, "nsga2": 0.2})
    for outcome in (first, short, first):
        real.keep(tmp_path / "real.json", outcome)
    found = json.loads((tmp_path / "real.json").read_text())
    assert [o["name"] for o in found] == ["vww", "large"]
    rows = too_large(found).splitlines()[2:]
    assert "fewer than 2.0 % of all plans improve it (1 % was wanted)" in rows[0]
    assert "90 %, 10 %, 20 %" in rows[0]
    assert "(1 % was wanted)" not in rows[1]
    assert "59,049" in rows[1]
