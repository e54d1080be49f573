"""Comparing what a run states with what was derived again; whatever is stated, nothing raises."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Any

import numpy as np

from workbench.search.certificates import Check

SOLVED = 1e-6
"""Relative difference of a solved program that is none: the tolerance of the solver."""
LAST_PLACES = 1e-12
"""Of logarithms and their sums: mathematical libraries differ there."""
PARTS = {"selection": "samples that choose", "confirmation": "samples that confirm"}
CERTIFICATE = {
    "kind": "certificate", "axes": "axes", "plans": "configurations", "samples": "samples of the certificate",
    "metric": "metric of the certificate", "choice": "choice of the program", "objective": "objective", "bound": "bound", "gap": "gap",
}  # fmt: skip
"""Key of a certificate -> what it is."""


def same(said: Any, own: Any, places: float = LAST_PLACES) -> bool:
    """Return whether plain data are the same, numbers to a relative difference; keys of records, which follow the code, aside."""
    if isinstance(own, Mapping):
        if not isinstance(said, Mapping) or set(said) != set(own):
            return False
        return all(key == "key" or same(said[key], value, places) for key, value in own.items())
    if isinstance(own, list):
        return (
            isinstance(said, list) and len(said) == len(own) and all(same(a, b, places) for a, b in zip(said, own, strict=True))
        )
    if isinstance(own, bool) or isinstance(said, bool) or own is None or isinstance(own, str):
        return type(said) is type(own) and bool(said == own)
    if not isinstance(said, int | float):
        return False
    return said == own or (
        max(abs(said), abs(own)) < 1e300 and bool(np.isclose(float(said), float(own), rtol=places, atol=0.0))
    )


def rows_that_differ(said: str, own: str, places: float = 1e-9) -> int:
    """Return how many rows of two tables (CSV) differ, numbers beyond a relative difference; all of them where the columns do."""
    (stated_columns, *stated), (columns, *found) = (list(csv.reader(StringIO(text))) or [[]] for text in (said, own))
    if stated_columns != columns:
        return max(len(stated), len(found), 1)
    alike = sum(
        len(a) == len(b) and all(_same_cell(x, y, places) for x, y in zip(a, b, strict=True))
        for a, b in zip(stated, found, strict=False)
    )
    return max(len(stated), len(found)) - alike


def _same_cell(said: str, own: str, places: float) -> bool:
    try:
        return said == own or same(float(said), float(own), places)
    except ValueError:
        return False


def words(value: Any) -> str:
    """Return a value for a table."""
    text = value if isinstance(value, str) else f"{value:.9g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def leaf(what: str, said: Any, own: Any, places: float = LAST_PLACES) -> Check:
    """Return whether one thing is as it was stated."""
    return Check(what, words(said), words(own), same(said, own, places))


def plan_checks(name: str, said: Any, own: Any) -> list[Check]:
    """Return whether a plan with its figures and costs is the one that was stated."""
    if not isinstance(own, Mapping) or not isinstance(said, Mapping) or not set(own) <= set(said):
        return [leaf(name, said, own)]
    found = [leaf(f"{name}: formats", said["plan"], own["plan"])]
    for key, where in PARTS.items():
        found.append(leaf(f"{name}, {where}", said[key], own[key]))
    if not isinstance(said["costs"], Mapping) or set(said["costs"]) != set(own["costs"]):
        return [*found, leaf(f"{name}, costs", said["costs"], own["costs"])]
    return found + [leaf(f"{name}, {axis}", said["costs"][axis], value) for axis, value in own["costs"].items()]


def target_checks(said: Mapping[str, Any], own: Mapping[str, Any]) -> list[Check]:
    """Return whether a target's status, verdict and plans are as stated."""
    found = [leaf(key, said[key], own[key]) for key in ("target", "status", "verdict", "metric")]
    found.append(leaf("groups and formats", said["space"], own["space"]))
    return [*found, *plan_checks("baseline", said["baseline"], own["baseline"]),
            *plan_checks("chosen plan", said["chosen"], own["chosen"])]  # fmt: skip


def certificate_checks(said: Any, own: Mapping[str, Any] | None) -> list[Check]:
    """Return whether a certificate of a table or a program is the one that was derived."""
    if own is None or not isinstance(said, Mapping):
        return [leaf("certificate", said, own)]
    if said.get("kind") != own["kind"] or set(said) != set(own):
        return [Check("certificate", words(said.get("kind")), words(own["kind"]), False)]
    found = []
    for key, what in CERTIFICATE.items():
        if key == "gap" and key in own and isinstance(said[key], float):
            found.append(Check(what, words(said[key]), words(own[key]), bool(abs(said[key] - own[key]) <= SOLVED)))
        elif key in own:
            found.append(leaf(what, said[key], own[key], SOLVED if key in ("objective", "bound") else LAST_PLACES))
    if own["kind"] == "exhaustive":
        ok = same(said["frontier"], own["frontier"]) and same(said["values"], own["values"])
        return [*found, Check("frontier of the table", words(said["frontier"]), words(own["frontier"]), ok)]
    return found + _program_checks(said["program"], own["program"])


def _program_checks(said: Any, own: Mapping[str, Any]) -> list[Check]:
    """Return whether the program is as stated."""
    if not isinstance(said, Mapping) or set(said) != set(own):
        return [Check("certificate", "a program", "damaged", False)]
    asked = {k: v for k, v in own.items() if k != "adds"}
    stated = {k: v for k, v in said.items() if k != "adds"}
    return [
        leaf("single changes", said["adds"], own["adds"]),
        leaf("what is minimized, and the limits", stated, asked),
    ]
