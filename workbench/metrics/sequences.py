"""Words out of classes per time step, and how far two sequences are apart."""

from __future__ import annotations

import numpy as np

from workbench.metrics.base import F64, Array

PADDING = -1
"""Ends a sequence of labels that is shorter than the longest."""


def greedy_words(y: F64, blank: int | None) -> list[int]:
    """Return the sequence of the largest outputs of [T, V]. With a blank: repeats are one, then blanks go (greedy CTC)."""
    best = np.argmax(y, axis=-1).tolist()
    if blank is None:
        return [int(v) for v in best]
    return [int(v) for i, v in enumerate(best) if v != blank and (i == 0 or v != best[i - 1])]


def edits(a: list[int], b: list[int]) -> int:
    """Return the Levenshtein distance: insertions, deletions and substitutions from a to b."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        previous, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            previous, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, previous + (x != y))
    return row[-1]


def word_errors(y: F64, labels: Array, blank: int | None) -> F64:
    """Return (edits, words of the label) of every sample: outputs [n, T, V], labels [n, L] padded with -1; float64 [n, 2]."""
    found = []
    for own, label in zip(y, labels.tolist(), strict=True):
        words = label[: label.index(PADDING)] if PADDING in label else label
        found.append((edits(greedy_words(own, blank), words), len(words)))
    return np.array(found, np.float64)
