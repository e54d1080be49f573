"""Samples that choose and samples that confirm: disjoint, all of them, and alike where labels say what they are."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.data import Dataset
from workbench.study.split import split


def parts(
    labels: np.ndarray | None, confirm: float, count: int = 0, files: np.ndarray | None = None
) -> tuple[Dataset, Dataset]:
    count = count or (len(labels) if labels is not None else 0)
    a, b = split(Dataset("d", np.arange(count, dtype=np.float32)[:, None], labels, files), confirm)
    assert b is not None
    rows = np.concatenate((a.one_input[:, 0], b.one_input[:, 0]))
    assert sorted(rows.tolist()) == list(range(count)), "each sample is in one part"
    return a, b


@pytest.mark.parametrize("confirm", [0.5, 0.25, 0.1, 1 / 3])
@pytest.mark.parametrize("period", [2, 3, 4, 10])
def test_labels_that_alternate_are_in_both_parts_by_their_shares(period: int, confirm: float) -> None:
    labels = np.arange(240) % period
    for part, share in zip(parts(labels, confirm), (1 - confirm, confirm), strict=True):
        assert np.abs(np.bincount(part.labels, minlength=period) - share * 240 / period).max() <= 1.0


@pytest.mark.parametrize("count", [4, 6, 8, 24])
def test_a_few_files_that_alternate_have_both_kinds_in_both_parts(count: int) -> None:
    files = np.repeat(np.arange(count), 3)
    a, b = parts(files % 2, 0.5, files=files)
    for part in (a, b):
        assert set(part.labels.tolist()) == {0, 1}
    assert not set(a.files.tolist()) & set(b.files.tolist()), "windows of a file stay together"
    assert a.name == f"d, {len(a)} to choose, divided class by class"


@pytest.mark.parametrize(
    "labels", [None, np.random.default_rng(0).integers(0, 10, 200), np.arange(200) // 20, np.zeros((200, 3))]
)
def test_every_second_sample_confirms_where_that_is_fair(labels: np.ndarray | None) -> None:
    a, b = parts(labels, 0.5, 200)
    np.testing.assert_array_equal(b.one_input[:, 0], np.arange(1, 200, 2))
    assert a.name == "d, 100 to choose"


def test_a_class_of_one_sample_is_where_it_falls() -> None:
    labels = np.r_[np.zeros(50, int), 1]
    np.testing.assert_array_equal(parts(labels, 0.5)[1].one_input[:, 0], parts(None, 0.5, 51)[1].one_input[:, 0])
