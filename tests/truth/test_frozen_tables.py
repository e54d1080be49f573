"""The tables of the frozen benchmark come out again: some plans of each are run, all by `python -m benchmarks.choice.tables`."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.choice import tables
from workbench.sweep import Group
from workbench.truth.oracle import score_plans

FACTS = json.loads(tables.FROZEN.read_text())


def test_there_is_a_record_of_every_table() -> None:
    assert set(FACTS) == set(tables.SOURCES)
    for fact in FACTS.values():
        assert fact["plans"] == math.prod(len(names) for names in fact["groups"].values()) <= tables.MOST_PLANS


@pytest.mark.parametrize("name", sorted(tables.SOURCES))
def test_some_plans_come_out_again(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    source, fact = tables.SOURCES[name], FACTS[name]
    if not source.model.startswith("studies/"):
        monkeypatch.setattr(tables, "MODELS", request.getfixturevalue("models_dir"))
    lowering = tables.lowering_of(source)
    space = tables.space_of(source, lowering)
    evaluator = tables.evaluator_of(source, lowering, threads=2)
    assert {g.name: list(names) for g, names in zip(space.groups, space.formats, strict=True)} == fact["groups"]
    assert (lowering.graph.digest, evaluator.data.digest, len(evaluator.data)) == (
        fact["graph"],
        fact["samples"],
        fact["judged"],
    )
    numbers = tables.spots(space)
    assert {str(n) for n in numbers} == set(fact["spots"]) and evaluator.metric.name == fact["metric"]
    found = score_plans(evaluator, space, space.codes(np.array(numbers)))
    for row, number in enumerate(numbers):
        spot = fact["spots"][str(number)]
        assert found.losses[row].mean() == pytest.approx(float(spot["loss"]), rel=1e-8)
        if found.correct is not None:
            assert found.correct[row].sum() == spot["right"]
            assert hashlib.sha256(np.packbits(found.correct[row]).tobytes()).hexdigest()[:16] == spot["bits"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(tables.SOURCES))
def test_a_whole_table_comes_out_again(
    name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not tables.SOURCES[name].model.startswith("studies/"):
        monkeypatch.setattr(tables, "MODELS", request.getfixturevalue("models_dir"))
    assert tables.facts(tables.make(name, tmp_path)) == FACTS[name]


def test_neighbours_with_the_fewest_weights_are_decided_together_first() -> None:
    groups = [Group(n, (n,)) for n in "abcd"]
    weights = {"a": 1, "b": 5, "c": 2, "d": 2}

    def names(most: int) -> list[str]:
        found = tables.merged(groups, lambda g: 3, lambda g: sum(weights[n] for n in g.layers), most)
        return ["".join(g.layers) for g in found]

    assert names(81) == ["a", "b", "c", "d"]
    assert names(80) == ["a", "b", "cd"]
    assert names(26) == ["ab", "cd"]
    assert names(3) == names(1) == ["abcd"]
