"""Checking certificates again: what can be derived from their own data and exact evaluation alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.progress import Tick
from workbench.search.certificates import Check, Measure, conclude, digest, draw_generator, improves
from workbench.sweep import Codes, Space
from workbench.truth.frontier import pareto_front

F64 = npt.NDArray[np.float64]


def check_sampling(
    data: Mapping[str, Any], space: Space, measure: Measure, part: float = 1.0, progress: Tick | None = None
) -> list[Check]:
    """Return what becomes of a sampling certificate when it is derived again.

    The draws are drawn again from the seed; `part` of them (evenly spread), all that improved the frontier, and the frontier itself are
    evaluated again; what they prove is concluded again from the values that the certificate states.
    """
    drawn = space.draw(int(data["draws"]), draw_generator(int(data["seed"])))
    found = [
        Check("draws from the seed", str(data["draws_digest"])[:12], digest(drawn)[:12], data["draws_digest"] == digest(drawn))
    ]
    found.append(_count("configurations", data["plans"], space.size))
    values, start, codes = (
        _matrix(data["draws_values"], data),
        _matrix(data["start_values"], data),
        _codes(data["start"], space),
    )
    if len(values) != len(drawn) or len(start) != len(codes):
        return [*found, Check("values of draws", f"{len(values)} of {len(drawn)}", f"{len(drawn)} are needed", False)]
    spread = np.linspace(0, max(len(drawn) - 1, 0), min(max(1, round(part * len(drawn))), len(drawn)))
    rows = np.union1d(spread.round(), [i for i in data["improved"] if 0 <= i < len(drawn)]).astype(np.int64)
    exact = measure(np.vstack((codes, drawn[rows])), progress)
    found.append(_differ("plans of the search's frontier, evaluated again", exact[: len(codes)], start))
    found.append(_differ(f"draws, {len(rows):,} of {len(drawn):,} evaluated again", exact[len(codes) :], values[rows]))
    improved, frontier, own = [], start, codes
    for i, (code, value) in enumerate(zip(drawn, values, strict=True)):
        if improves(frontier, value):
            improved.append(i)
            frontier, own = np.vstack((frontier, value)), np.vstack((own, code))
    found.append(
        Check("draws that improved the frontier", _few(data["improved"]), _few(improved), list(data["improved"]) == improved)
    )
    outcome = conclude(len(drawn), len(improved), sum(improves(start, v) for v in values), float(data["share"]))
    said = (bool(data["reached"]), float(data["bound"]))
    found.append(
        Check(
            "bound on all configurations",
            _bound(*said),
            _bound(outcome.reached, outcome.bound),
            said == (outcome.reached, outcome.bound),
        )
    )
    kept = pareto_front(frontier)
    same = same_rows(own[kept], _codes(data["frontier"], space)) and same_values(frontier[kept], _matrix(data["values"], data))
    found.append(Check("frontier", f"{len(data['frontier'])} plans", f"{len(kept)} plans{'' if same else ', others'}", same))
    return found


def same_rows(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    """Return whether two arrays hold the same rows in the same order."""
    return a.shape == b.shape and bool((a == b).all())


def same_values(a: F64, b: F64) -> bool:
    """Return whether values are the same, the last places of logarithms and their sums apart (1e-12; libraries differ there)."""
    return a.shape == b.shape and bool(np.isclose(a, b, rtol=1e-12, atol=0.0, equal_nan=True).all())


def _differ(what: str, found: F64, said: F64) -> Check:
    same = [same_values(a[None], b[None]) for a, b in zip(found, said, strict=True)]
    return Check(what, f"{len(said):,} values", f"{len(same) - sum(same):,} differ", all(same))


def _count(what: str, said: Any, found: int) -> Check:
    return Check(what, f"{said:,}", f"{found:,}", said == found)


def _few(rows: list[int]) -> str:
    return f"{len(rows)} ({', '.join(map(str, rows[:4]))}{', ...' if len(rows) > 4 else ''})" if rows else "none"


def _bound(reached: bool, bound: float) -> str:
    return f"{100 * bound:.3g} %" + ("" if reached else " (not reached)")


def _matrix(rows: Any, data: Mapping[str, Any]) -> F64:
    return np.array(rows, np.float64).reshape(-1, len(data["axes"]))


def _codes(rows: Any, space: Space) -> Codes:
    return np.array(rows, np.uint8).reshape(-1, len(space.groups))
