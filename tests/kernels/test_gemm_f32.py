"""The float product against its definition: every operation rounded to float32, additions in the order of k."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from workbench.kernels.gemm_f32 import _gemm, gemm_f32


def plain(x: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.shape[0]):
        for j in range(w.shape[1]):
            for k in range(x.shape[1]):
                out[i, j] = np.float32(out[i, j] + np.float32(x[i, k] * w[k, j]))


def draw(m: int, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(m + 31 * k + 977 * n)
    spread = 10.0 ** rng.integers(-4, 5, (k, 1))  # another order of additions gives other bits
    return (rng.standard_normal((m, k)) * spread.T).astype(np.float32), rng.standard_normal((k, n)).astype(np.float32)


@pytest.mark.parametrize("run", [pytest.param(_gemm, id="compiled"), pytest.param(_gemm.py_func, id="plain")])  # type: ignore[attr-defined]
@pytest.mark.parametrize("m", [1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (3, 16), (4, 3), (7, 17), (8, 1), (27, 8), (64, 5)])
def test_every_output_is_summed_in_the_order_of_k(run: Callable[..., Any], m: int, k: int, n: int) -> None:
    x, w = draw(m, k, n)
    got, want = np.zeros((m, n), np.float32), np.zeros((m, n), np.float32)
    run(x, w, got)
    plain(x, w, want)
    np.testing.assert_array_equal(got, want)


def test_a_row_is_the_same_alone_and_among_others() -> None:
    x, w = draw(13, 70, 33)
    together = gemm_f32(x, w)
    for i in range(len(x)):
        np.testing.assert_array_equal(gemm_f32(x[i : i + 1], w)[0], together[i])
