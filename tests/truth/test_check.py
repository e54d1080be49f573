"""Deriving again finds nothing in a true table, and every change of a false one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluate.cases import dataset, lowering
from tests.networks import small_cnn
from tests.truth.cases import evaluator, space, table
from workbench.data import Dataset
from workbench.errors import InputError
from workbench.evaluate import Evaluator
from workbench.truth import TruthTable
from workbench.truth.check import Compared, check_table, find_samples
from workbench.truth.prices import plan_costs

NUMBERS = np.array([3, 17, 40, 80])
PRICE = plan_costs(lowering(), space())


def _failed(found: list[Compared]) -> dict[str, int]:
    return {row.what: row.differ for row in found if not row.ok}


@pytest.mark.parametrize(("metric", "labelled"), [(None, True), ("sqnr_db", False)])
def test_a_true_table_holds(metric: str | None, labelled: bool) -> None:
    found = check_table(table(metric, labelled), evaluator(metric, labelled=labelled), NUMBERS, PRICE)
    assert all(not row.differ for row in found)
    counts = {row.what: row.compared for row in found}
    assert counts["losses"] == 4 * 90 and counts["costs"] == 16 and ("right or wrong" in counts) == labelled


def _false(what: str) -> TruthTable:
    true = table()
    if what == "top1":
        figures = {**true.figures, "top1": true.figures["top1"] + (np.arange(81) == 17) / 90}
        return replace(true, figures=figures)
    if what == "mean loss":
        return replace(true, mean_loss=true.mean_loss * np.where(np.arange(81) == 40, 1 + 1e-9, 1.0))
    if what == "right or wrong":
        correct = np.array(true.correct)
        correct[3, 5] ^= 4
        return replace(true, correct=correct)
    if what == "losses":
        assert true.losses is not None
        codes = true.losses.codes.copy()
        codes[80, 89] ^= 1
        return replace(true, losses=replace(true.losses, codes=codes))
    assert what == "costs" and true.costs is not None
    costs = true.costs.copy()
    costs[3, 0] += 1
    return replace(true, costs=costs)


@pytest.mark.parametrize("what", ["top1", "mean loss", "right or wrong", "losses", "costs"])
def test_every_change_is_found(what: str) -> None:
    assert _failed(check_table(_false(what), evaluator(), NUMBERS, PRICE)) == {what: 1}


def test_changed_code_is_told_but_bits_decide() -> None:
    old = replace(table(), keys=table().keys ^ 1, origin=replace(table().origin, data_key="of another version"))
    found = check_table(old, evaluator(), NUMBERS)
    assert not _failed(found) and [row.differ for row in found[:2]] == [4, 1]


def test_other_models_samples_and_metrics_are_refused() -> None:
    with pytest.raises(InputError, match=r"model 'small_cnn' .* is not the one of the table"):
        check_table(table(), Evaluator(lowering(small_cnn(seed=1)), dataset()), NUMBERS)
    with pytest.raises(InputError, match="are other samples than those of the table"):
        check_table(table(), evaluator(samples=89), NUMBERS)
    with pytest.raises(InputError, match=r"decided by top1; here .* decided by mse"):
        check_table(table(), evaluator("mse"), NUMBERS)


def test_the_samples_are_found_among_more() -> None:
    graph, more = small_cnn(), dataset(120)
    rows = dataset(90)
    assert rows.labels is not None and isinstance(more.inputs, np.ndarray)
    labels = np.concatenate((rows.labels, np.zeros(30, np.int64)))
    found = find_samples(table(), Dataset("more", np.concatenate((np.asarray(rows.inputs), more.inputs[:30])), labels), graph)
    assert len(found) == 90 and found.digest == rows.digest
    with pytest.raises(InputError, match=r"other: these are other samples or labels than those of the table \(90 of 'random'"):
        find_samples(table(), Dataset("other", np.asarray(rows.inputs), 2 - rows.labels), graph)
