"""The frontier against its definition, applied to every pair."""

import numpy as np
import pytest

from workbench.truth import pareto_front


def by_definition(values: np.ndarray) -> set[int]:
    def beaten(i: int) -> bool:
        row = values[i]
        for j, other in enumerate(values):
            better = (other <= row).all() and (other < row).any()
            if better or (j < i and (other == row).all()):
                return True
        return False

    return {i for i in range(len(values)) if np.isfinite(values[i]).all() and not beaten(i)}


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_it_is_what_no_other_row_beats(axes: int) -> None:
    rng = np.random.default_rng(axes)
    for _ in range(40):
        values = rng.integers(0, 6, size=(rng.integers(1, 40), axes)).astype(float)
        assert set(pareto_front(values).tolist()) == by_definition(values)


def test_rows_without_a_figure_are_not_on_it() -> None:
    assert pareto_front(np.array([[1.0, np.nan], [2.0, 1.0], [0.5, np.inf]])).tolist() == [1]
    assert pareto_front(np.empty((0, 2))).tolist() == []
