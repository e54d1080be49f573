"""What a study's sweeps find, held against every plan there is; the plan for all targets; words and intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from tests.study import choices
from workbench.data import make_dataset, read_arrays
from workbench.errors import StudyError
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.results import TargetResult
from workbench.study import joint, load_study, run_study
from workbench.study.relative import relative_change
from workbench.study.split import split
from workbench.study.verdict import plan_words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("choice")
    choices.write(made)
    return made


def run(folder: Path, sweep: Any, out: str, **changes: Any) -> Any:
    return run_study(choices.study(folder, sweep, **changes), folder / out, threads=1)


@pytest.fixture(scope="module")
def exhaustive(folder: Path) -> Any:
    return run(folder, {"kind": "exhaustive"}, "exhaustive", hardware=list(choices.TARGETS))


def everything(folder: Path, target: str) -> pd.DataFrame:
    """Return top-1 of all 81 plans on the samples that choose, each plan emulated by itself, and its flash."""
    arrays, graph = read_arrays(folder / "d.npz"), wb.load_model(folder / "tiny.onnx")
    data, _ = split(make_dataset("test", arrays["test_x"], arrays["test_y"]), 0.5)
    x, y = data.one_input, data.labels
    rows = []
    layers = ["fc0", "fc1", "fc2", "fc3"]
    for formats in itertools.product(["w8a8", "w4a8", "w2a8"], repeat=4):
        plan = PrecisionPlan.of("w8a8", dict(zip(layers, formats, strict=True)))
        out = wb.emulate(graph, x, target, plan, calibration=arrays["cal_x"])["y"]
        rows.append((*formats, float((out.argmax(axis=1) == y).mean())))
    return pd.DataFrame(rows, columns=[*layers, "top1"])


def test_exhaustive_frontier_is_that_of_all_plans(folder: Path, exhaustive: Any) -> None:
    target: TargetResult = exhaustive.result.targets[0]
    assert target.table is not None and target.certificate is not None
    truth = everything(folder, choices.TARGETS[0])
    np.testing.assert_allclose(target.table.quality, truth["top1"].to_numpy(), rtol=1e-6)
    flash = target.table.costs["flash"].astype(float)
    top1 = truth["top1"].to_numpy()
    best = {
        (f, t) for f, t in zip(flash, top1, strict=True) if not ((flash <= f) & (top1 >= t) & ((flash < f) | (top1 > t))).any()
    }
    found = {(float(v[1]), 1.0 - float(v[0])) for v in target.certificate.data["values"]}
    assert {(f, round(t, 9)) for f, t in found} == {(f, round(t, 9)) for f, t in best}
    text = target.certificate.text
    assert text.startswith("All 81 configurations were evaluated exactly on these 200 samples: none beats any of the ")
    assert target.chosen is not None
    on_it = any(c.plan == target.chosen.plan for c in target.frontier)
    assert text.endswith("The recommended plan is one of them.") == on_it
    assert len(list(exhaustive.folder.parent.glob("table-stm32l4r5-cortex-m4-tflm-*/table.parquet"))) == 1
    shown = {(float(c.cost.flash_bytes + c.cost.runtime_flash_bytes), round(c.record.figure, 9)) for c in target.frontier}
    assert shown == {(f, round(t, 9)) for f, t in best}


def test_a_search_with_the_budget_of_all_plans_finds_the_same_choice(folder: Path, exhaustive: Any) -> None:
    found = run(folder, {"kind": "verified", "evaluations": 81, "certificate": "5 %"}, "verified")
    (target,), want = found.result.targets, exhaustive.result.targets[0]
    assert target.chosen is not None and want.chosen is not None and target.chosen.plan == want.chosen.plan
    assert target.search is not None and target.search.evaluations[-1] <= 81
    assert target.certificate is not None and target.certificate.kind == "sampling" and target.certificate.data["reached"]
    again = run(folder, {"kind": "verified", "evaluations": 81, "certificate": "5 %"}, "verified")
    assert [t.verdict for t in again.result.targets] == [target.verdict]
    assert again.result.targets[0].certificate == target.certificate


def test_auto_takes_all_plans_where_they_fit_the_budget(folder: Path) -> None:
    assert run(folder, {"kind": "auto", "evaluations": 81}, "auto").result.targets[0].certificate.kind == "exhaustive"
    few = run(folder, {"kind": "auto", "evaluations": 30, "certificate": "0 %"}, "auto").result.targets[0]
    assert few.certificate is None and few.search is not None and few.table is not None and len(few.table.quality) <= 30


def test_one_at_a_time_certifies_its_program(folder: Path) -> None:
    target = run(folder, "one_at_a_time", "single").result.targets[0]
    certificate = target.certificate
    assert certificate.kind == "program"
    program = certificate.data["program"]
    # Brute force: all 81 plans, drops added up, flash as the cost model has it.
    sums = [sum(p) for p in itertools.product(*program["adds"])]
    table = run(folder, "exhaustive", "single").result.targets[0].table
    allowed = [f for f, s in zip(table.costs["flash"], sums, strict=True) if s <= 0.05 + 1e-12]
    assert certificate.data["objective"] == pytest.approx(min(allowed))


class Stop:
    """A reporter that interrupts the first phase of a kind after some progress."""

    def __init__(self, words: str) -> None:
        self.words = words

    def say(self, text: str) -> None:
        """Say nothing."""

    @contextmanager
    def phase(self, title: str) -> Iterator[Tick]:
        """Interrupt."""

        def tick(done: int, total: int) -> None:
            if self.words in title and done:
                raise KeyboardInterrupt

        yield tick


@pytest.mark.parametrize(
    ("kind", "words"), [("exhaustive", "all 81 plans"), ("verified", "search in"), ("verified", "uniform draws")]
)
def test_an_interrupted_sweep_goes_on_to_the_same_end(folder: Path, tmp_path: Path, kind: str, words: str) -> None:
    budget = {} if kind == "exhaustive" else {"evaluations": 40, "certificate": "20 %"}
    spec = choices.study(folder, {"kind": kind, **budget})
    with pytest.raises(KeyboardInterrupt):
        run_study(spec, tmp_path / "a", threads=1, reporter=Stop(words))
    a, b = run_study(spec, tmp_path / "a", threads=1), run_study(spec, tmp_path / "b", threads=1)
    assert a.result.verdict == b.result.verdict
    assert a.result.targets[0].certificate == b.result.targets[0].certificate


def test_a_search_on_other_samples_starts_a_store_of_its_own(folder: Path, tmp_path: Path) -> None:
    spec = choices.study(folder, {"kind": "verified", "evaluations": 20, "certificate": "0 %"})
    first = run_study(spec, tmp_path, threads=1).result.verdict
    other = {**spec, "data": {**spec["data"], "confirm": 0.25}}
    assert run_study(other, tmp_path, threads=1).result.verdict != first
    assert run_study(spec, tmp_path, threads=1).result.verdict == first
    assert len(list((tmp_path / "choice").glob("search-*"))) == 2


def test_too_many_plans_are_refused_with_the_ways_out(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"4 groups of layers with up to 3 formats make 81 plans; \$.sweep.limit is 80"
    ) as problem:
        run_study(choices.study(folder, {"kind": "exhaustive", "limit": 80}), tmp_path, threads=1)
    assert "kind: verified" in str(problem.value)


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("exhaustiv", "unknown sweep 'exhaustiv'. Did you mean 'exhaustive'"),
        ({"kind": "verified", "axes": ["flash", "metric"]}, "metric or loss against"),
        ({"kind": "verified", "axes": ["metric", "flsh"]}, "unknown axis 'flsh'. Did you mean 'flash'"),
        ({"kind": "verified", "time": "10 ms"}, "expected a number and one of s, min, h"),
        ({"kind": "verified", "certificate": "0.001 %"}, "at least 0.01 % can be proven"),
        ({"views": ["pair"]}, "unknown view 'pair'. Did you mean 'pairs'"),
        ({"evaluations": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_sweeps_are_refused(folder: Path, sweep: Any, message: str) -> None:
    with pytest.raises(StudyError) as problem:
        load_study(choices.study(folder, {}) | {"sweep": sweep})
    assert message.lower() in str(problem.value).lower() and "sweep" in str(problem.value)


def test_a_resolved_sweep_is_read_again_as_it_was(folder: Path) -> None:
    given = {
        "kind": "auto",
        "time": "10 min",
        "certificate": "2 %",
        "axes": ["loss", "flash", "ram"],
        "seed": 3,
        "views": ["off"],
    }
    spec, _ = load_study(choices.study(folder, given))
    again, _ = load_study(spec.resolved(folder))
    assert again.sweep == spec.sweep and spec.sweep.time == 600.0
    assert load_study(choices.study(folder, {}) | {"sweep": "verified"})[0].sweep.kind == "verified"


def test_the_plan_for_all_targets_is_the_best_of_all_plans(folder: Path, exhaustive: Any) -> None:
    result = exhaustive.result
    common_plan = result.joint
    assert common_plan is not None and common_plan.plan is not None and all(row.within for row in common_plan.rows)
    tables = [t.table for t in result.targets]
    score = np.max([t.costs["flash"] / t.costs["flash"][t.baseline] for t in tables], axis=0)
    kept = np.all([t.quality >= t.quality[t.baseline] - 0.05 - 1e-6 for t in tables], axis=0)
    common = [row.common for row in common_plan.rows]
    own = max(
        (c.cost.flash_bytes + c.cost.runtime_flash_bytes) / t.costs["flash"][t.baseline]
        for c, t in zip(common, tables, strict=True)
    )
    assert own >= score[kept].min() - 1e-6, "nothing within the limits is better than the best"
    assert all(c.proven for c in common) and common_plan.text.startswith("All 2 targets alike: ")
    for row, target in zip(common_plan.rows, result.targets, strict=True):
        assert target.chosen is not None and row.common.cost.flash_bytes >= target.chosen.cost.flash_bytes


def test_the_best_plans_of_whole_tables_are_evaluated_for_all_targets(
    folder: Path, exhaustive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    evaluated = joint._evaluated

    def note(pairs: Any, plans: Any) -> Any:
        asked.append((pairs[0][1].space, plans))
        return evaluated(pairs, plans)

    monkeypatch.setattr(joint, "_evaluated", note)
    found = run(folder, {"kind": "exhaustive"}, "exhaustive", hardware=list(choices.TARGETS)).result
    ((space, plans),) = asked
    tables = [t.table for t in found.targets]
    score = np.max([t.costs["flash"].astype(float) / float(t.costs["flash"][t.baseline]) for t in tables], axis=0)
    worst = np.max([float(t.quality[t.baseline]) - t.quality.astype(float) for t in tables], axis=0)
    rows = space.numbers(np.stack([space.code(plan) for plan in plans]))
    values = set(zip(score[rows].round(6), worst[rows].round(6), strict=True))
    for a, b in zip(score, worst, strict=True):
        if not ((score <= a) & (worst <= b) & ((score < a) | (worst < b))).any():
            assert (round(a, 6), round(b, 6)) in values


def test_no_plan_for_all_is_said(folder: Path) -> None:
    spec = choices.study(
        folder, "one_at_a_time", hardware=["ethos-u55-128", "nvidia-a100"],
        formats={"search": ["w8a8", "fp16"], "baseline": ["fp16", "w8a8"]},
        choose={"minimize": "flash", "subject_to": {"top1_drop": "5 %", "flash": "1 KiB"}},
    )  # fmt: skip
    none = run_study(spec, folder / "none", threads=1).result.joint
    assert none is not None and none.plan is None and none.text.startswith("No one plan for all 2 targets: ")


def test_without_other_samples_the_interval_knows_of_the_choice(folder: Path) -> None:
    spec = choices.study(folder, "exhaustive")
    spec["data"] = {**spec["data"], "confirm": 0}
    target = run_study(spec, folder / "unconfirmed", threads=1).result.targets[0]
    assert target.chosen is not None and target.chosen_change is not None
    assert "corrected for the choice among" in target.chosen_how
    assert target.chosen_change.estimate <= target.chosen.change.estimate, "the best of many looks better than it is"
    assert "nothing is proven" in target.verdict


def test_the_verdict_names_what_is_kept_and_what_is_changed(exhaustive: Any) -> None:
    target: TargetResult = exhaustive.result.targets[0]
    base = target.baseline_plan
    assert base is not None
    assert plan_words(target, base) == "keep everything at 8 bit"
    assert (
        plan_words(target, base.replace({"fc1": "w2a8", "fc3": "w2a8"}))
        == "keep `fc0`, `fc2` at 8 bit and put `fc1`, `fc3` at 2 bit"
    )
    assert plan_words(target, base.replace(dict.fromkeys(["fc0", "fc1", "fc2", "fc3"], "w4a8"))) == "put all layers at 4 bit"
    assert target.chosen is not None and target.chosen.confirm_record is not None
    right = target.chosen.confirm_record.samples
    assert f"(confirmed on {right} samples that did not choose it)" in target.verdict
    mixed = replace(target, formats=("w8a8", "w4a8", "w4a8-per-tensor"))
    assert plan_words(mixed, base.replace({"fc1": "w4a8-per-tensor"})) == (
        "keep `fc0`, `fc2`, `fc3` at w8a8 and put `fc1` at w4a8-per-tensor"
    )


def test_relative_cost_common_error_leaves_the_ratio_alone(exhaustive: Any) -> None:
    base = exhaustive.result.targets[0].baseline_cost
    faster = replace(base, latency_s=0.8 * base.latency_s, latency_high_s=0.8 * base.latency_high_s)
    found = relative_change(base, faster, "latency")
    assert found is not None
    assert (found.low, found.estimate, found.high) == pytest.approx((-0.2, -0.2, -0.2), abs=1e-7)
    # Monte Carlo: a common log-normal error, and one of the plan's own beyond it.
    a, b, z80 = math.log(1.2), math.log(1.5), 1.2815515655446004
    before, after = replace(base, latency_s=1.0, latency_high_s=1.2), replace(base, latency_s=0.9, latency_high_s=0.9 * 1.5)
    found = relative_change(before, after, "latency")
    rng = np.random.default_rng(0)
    common, own = rng.standard_normal((2, 400_000))
    ratio = 0.9 * np.exp((a * common + math.sqrt(b**2 - a**2) * own - a * common) / z80)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ratio, (0.1, 0.9)) - 1.0), abs=0.005)
    assert relative_change(replace(base, latency_s=math.nan), faster, "latency") is None


def test_a_search_of_everything_has_its_plans_in_order(tmp_path: Path) -> None:
    choices.write(tmp_path)
    found = [
        run_study(choices.study(tmp_path, sweep, study=name), tmp_path / name, threads=1).result.targets[0]
        for name, sweep in (("all", "exhaustive"), ("search", {"kind": "verified", "evaluations": 81, "certificate": "0 %"}))
    ]
    whole, searched = (t.table for t in found)
    assert whole is not None and searched is not None
    np.testing.assert_array_equal(whole.quality, searched.quality)
    np.testing.assert_array_equal(whole.costs["flash"], searched.costs["flash"])
    assert (whole.baseline, whole.chosen, dict(whole.uniform)) == (searched.baseline, searched.chosen, dict(searched.uniform))
    assert sorted(whole.frontier) == sorted(searched.frontier)
