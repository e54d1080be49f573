"""One evaluator: equal to a plain loop over plans, whatever the network and the plans."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

import workbench
from tests.evaluate.cases import all_plans, check_against_plain_loop, dataset, lowering
from tests.networks import random_network, two_branches
from workbench.data import Dataset
from workbench.errors import InputError, UnsupportedError
from workbench.evaluate import Evaluator, Journal
from workbench.evaluate.evaluator import SOURCES
from workbench.hardware import load_profile
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering
from workbench.resources import source_hash
from workbench.sweep import decision_groups, exhaustive


def test_trie_equals_a_plain_loop_over_plans() -> None:
    evaluator = Evaluator(lowering(), dataset(), threads=2)
    plans = all_plans()
    check_against_plain_loop(evaluator, evaluator.evaluate(plans), random.Random(1).sample(plans, 20))


def test_branches_and_conversions_equal_a_plain_loop_over_plans() -> None:
    graph = two_branches()
    evaluator = Evaluator(lowering(graph), dataset(40, graph), threads=2, memory_bytes=200_000)
    plans = all_plans(("w8a8", "w4a8", "w8a16"), ("conv1", "conv2", "dw3", "conv4", "fc5"))
    check_against_plain_loop(evaluator, evaluator.evaluate(plans), random.Random(2).sample(plans, 20))


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_equal_a_plain_loop_over_plans(seed: int) -> None:
    graph = random_network(seed)
    low, chance = lowering(graph), random.Random(seed)
    formats = chance.choice([("w8a8", "w4a8", "w2a8"), ("w8a8", "w4a8", "w8a16"), ("w8a8", "w8a16", "fp32")])
    plans = [PrecisionPlan.of(chance.choice(formats), {n: chance.choice(formats) for n in low.layers}) for _ in range(40)]
    evaluator = Evaluator(low, dataset(17, graph), threads=2, memory_bytes=chance.choice([2**29, 20_000]))
    check_against_plain_loop(evaluator, evaluator.evaluate(plans), chance.sample(plans, 8))


def test_groups_of_tied_layers_equal_a_plain_loop_over_plans() -> None:
    low = lowering(two_branches())
    groups = decision_groups(low.graph, low.layers, ["w8a8", "w8a16"])
    assert [g.layers for g in groups] == [("conv1",), ("conv2", "dw3"), ("conv4",), ("fc5",)]
    plans = exhaustive(groups, ["w8a8", "w8a16"])
    evaluator = Evaluator(low, dataset(15, low.graph), threads=2)
    check_against_plain_loop(evaluator, evaluator.evaluate(plans), plans)


def test_no_plans_need_nothing() -> None:
    evaluator = Evaluator(lowering(), dataset(10))
    assert evaluator.evaluate([], lambda done, total: pytest.fail("there is nothing to do")) == {}
    assert evaluator._references is None


def test_a_plan_without_a_rule_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path, low = tmp_path / "journal.jsonl", lowering(profile="gap8-pulp-nn")
    evaluator = Evaluator(low, dataset(10), Journal(path))
    legal, illegal = PrecisionPlan.of("w8a8"), PrecisionPlan.of("w8a8", {"fc6": "w8a16"})
    with pytest.raises(UnsupportedError, match=r"plan 'w8a8 \+ fc6:w8a16': node 't5:int16': quantize of"):
        evaluator.evaluate([legal, illegal])
    assert not path.exists()
    check_against_plain_loop(evaluator, evaluator.evaluate([legal]), [legal])


def test_plans_that_compute_the_same_have_one_record() -> None:
    evaluator = Evaluator(lowering(), dataset(10))
    a, b = PrecisionPlan.of("w4a8", {"fc6": "w8a8"}), PrecisionPlan.of("w8a8", dict.fromkeys(("conv1", "dw2", "pw3"), "w4a8"))
    records = evaluator.evaluate([a, b, a])
    assert records[a] is records[b]
    assert len(evaluator.journal.records) == 1


def test_key_changes_with_data_plan_arithmetic_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    low, data = lowering(), dataset(10)
    other = dataset(11)
    evaluator = Evaluator(low, data)
    a = evaluator.key(low.program(PrecisionPlan.of("w8a8")))
    assert a != evaluator.key(low.program(PrecisionPlan.of("w8a8", {"fc6": "w4a8"})))
    assert a != Evaluator(low, other).key(low.program(PrecisionPlan.of("w8a8")))
    single = Lowering(low.graph, load_profile("cortex-m-cmsis-nn-single-rounding"), low.calibration)
    assert a != Evaluator(single, data).key(single.program(PrecisionPlan.of("w8a8")))
    monkeypatch.setattr("workbench.evaluate.evaluator.source_hash", lambda *patterns: "other code")
    assert a != Evaluator(low, data).key(low.program(PrecisionPlan.of("w8a8")))


@pytest.mark.parametrize(
    "name", ["ops/conv2d.py", "ops/_linear.py", "execute.py", "metrics/base.py", "metrics/task.py", "tensor.py"]
)
def test_code_is_that_of_operators_and_metrics(tmp_path: Path, name: str) -> None:
    package = Path(workbench.__file__).parent
    copy = shutil.copytree(package, tmp_path / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    assert source_hash(*SOURCES, package=copy) == source_hash(*SOURCES)
    (copy / name).write_text((copy / name).read_text() + "# another rounding\n")
    assert source_hash(*SOURCES, package=copy) != source_hash(*SOURCES)


def test_threads_below_one_are_refused() -> None:
    with pytest.raises(InputError, match="threads is -1; expected at least 1"):
        Evaluator(lowering(), dataset(10), threads=-1)


def test_wrong_labels_are_refused() -> None:
    data = dataset(10)
    with pytest.raises(InputError, match="label 3"):
        Evaluator(lowering(), Dataset("x", data.inputs, np.full(10, 3)))
