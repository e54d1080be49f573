"""`workbench validate cost`: the cost model's predictions against a folder of measurements. Nothing is ever fitted on that folder.

A network that took part in the calibration on the row's device is predicted by the fits without it, any other row by the full fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan

import numpy as np
from scipy.stats import binom

from workbench.calibrate import store
from workbench.calibrate.family import Claim, Family, Sample, Split, families
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.store import Calibration, Prediction
from workbench.errors import InputError, WorkbenchError

NEW: dict[Split, str] = {"network": "new network", "network_everywhere": "network measured nowhere", "device": "new device"}
"""What is new about the rows of a split, in short."""
COVERAGE = (0.75, 0.85)
"""Wanted share of measurements inside their 80 % interval."""
COVERAGE_ROWS = 30
"""From so many rows on the share is judged."""
CHANCE = 0.05
"""A share of one claim is short when a true share at the edge of COVERAGE would give it or a worse one with less than this
probability (right intervals miss 75 to 85 % in one of four tries at 100 rows). All rows together are judged without that allowance."""


@dataclass(frozen=True)
class Checked:
    """One measured quantity and one prediction of it."""

    sample: Sample
    prediction: Prediction

    @property
    def ratio(self) -> float:
        """Predicted / measured."""
        return self.prediction.value / self.sample.measured

    @property
    def error(self) -> float:
        """|predicted / measured - 1|."""
        return abs(self.ratio - 1)

    @property
    def inside(self) -> bool:
        """True when the measured value lies in the 80 % interval."""
        return self.prediction.low <= self.sample.measured <= self.prediction.high


@dataclass(frozen=True)
class FamilyCheck:
    """A family on a folder. missing: its tables that the folder does not have. left_out: rows without a prediction, and why."""

    family: Family
    missing: tuple[str, ...]
    checked: tuple[Checked, ...]
    left_out: tuple[tuple[Row, str], ...]

    def of(self, split: Split, quantity: str = "", tables: Sequence[str] = ()) -> list[Checked]:
        """Return the predictions of one split (of one quantity, of some tables)."""
        return [
            c
            for c in self.checked
            if c.prediction.split == split
            and quantity in ("", c.sample.quantity)
            and (not tables or c.sample.row.table in tables)
        ]

    @property
    def reasons(self) -> Counter[tuple[str, str]]:
        """(table, reason) -> rows left out."""
        return Counter((row.table, why) for row, why in self.left_out)


@dataclass(frozen=True)
class Figures:
    """Summary of some predictions. share: inside the 80 % interval. bias: median of predicted / measured. gain: by how much the
    median error is below that of the baseline, relative (NaN without a baseline).
    """

    rows: int
    median: float
    p90: float
    share: float
    bias: float
    gain: float


@dataclass(frozen=True)
class Line:
    """One claim on a folder. limit: in words. short: what was not reached. why: the claim was not checked because of this."""

    family: str
    name: str
    split: Split
    figures: Figures | None
    limit: str
    short: tuple[str, ...] = ()
    why: str = ""
    value: float = nan

    @property
    def verdict(self) -> str:
        """'reached', 'SHORT: ...', 'not checked: ...', or 'stated' where there is nothing to reach."""
        if self.why:
            return f"not checked: {self.why}"
        return f"SHORT: {', '.join(self.short)}" if self.short else "reached" if self.limit else "stated"


def check_families(tables: Tables, names: Sequence[str] = ()) -> list[FamilyCheck]:
    """Return what the stored fits say of a folder. InputError when the folder has no table of any family, or a broken one."""
    known = families()
    chosen = [known[name] for name in names or known]
    if not any(table in tables for family in chosen for table in family.tables):
        wanted = ", ".join(dict.fromkeys(table for family in chosen for table in family.tables))
        raise InputError(f"{tables.folder}: none of the tables is here. Expected one or more of {wanted}.")
    return [check_family(family, tables) for family in chosen]


def check_family(family: Family, tables: Tables) -> FamilyCheck:
    """Return the predictions of one family."""
    missing = tuple(table for table in family.tables if table not in tables)
    if len(missing) == len(family.tables):
        return FamilyCheck(family, missing, (), ())
    samples, calibration = family.samples(tables), store.load(family.name)
    checked, left_out = [], list(samples.left_out)
    for sample in samples.kept:
        found, why = _predictions(calibration, sample)
        checked += [Checked(sample, p) for p in found]
        left_out += [(sample.row, why)] if why else []
    return FamilyCheck(family, missing, tuple(checked), tuple(left_out))


def _predictions(calibration: Calibration, sample: Sample) -> tuple[list[Prediction], str]:
    """Return the predictions of a row, or why there is none."""
    try:
        found = calibration.predictions(sample)
    except WorkbenchError as problem:
        return [], str(problem).splitlines()[0]
    except (ArithmeticError, LookupError, ValueError) as problem:  # a row like none before: said, and the others go on
        return [], f"the model has no answer ({type(problem).__name__})"
    if not all(isfinite(p.value) and p.value > 0 for p in found):
        return [], f"no finite prediction of {sample.quantity}"
    return found, ""


def figures(checked: Sequence[Checked]) -> Figures | None:
    """Return the summary of some predictions, None of none."""
    if not checked:
        return None
    errors = np.array([c.error for c in checked])
    naive = [
        (c.error, abs(c.prediction.baseline / c.sample.measured - 1))
        for c in checked
        if c.prediction.baseline is not None and isfinite(c.prediction.baseline)
    ]
    gain = 1 - np.median([e for e, _ in naive]) / np.median([b for _, b in naive]) if naive else nan
    return Figures(
        rows=len(checked),
        median=float(np.median(errors)),
        p90=float(np.percentile(errors, 90)),
        share=float(np.mean([c.inside for c in checked])),
        bias=float(np.median([c.ratio for c in checked])),
        gain=float(gain),
    )


def claim_lines(check: FamilyCheck) -> list[Line]:
    """Return the claims of a family, each with what was found."""
    lines = [_claim_line(check, claim) for claim in check.family.claims]
    extra = check.family.extra
    for split in check.family.splits if extra is not None else ():
        rows = check.of(split)
        found = extra([c.sample for c in rows], [c.prediction.value for c in rows]) if extra is not None and rows else {}
        for name, (value, limit, reached) in found.items():
            short = () if reached else (f"{value:.3g}",)
            lines.append(Line(check.family.name, name, split, None, f"limit {limit:g}", short, value=value))
    return lines


def _claim_line(check: FamilyCheck, claim: Claim) -> Line:
    rows = check.of(claim.split, claim.quantity, claim.tables)
    if claim.split == "network":  # a network that no fit has seen anywhere is new here as well
        everywhere = check.of("network_everywhere", claim.quantity, claim.tables)
        rows += [c for c in everywhere if not c.prediction.seen]
    found = figures([c for c in rows if not claim.bases or c.prediction.basis in claim.bases])
    limit = ", ".join(
        [
            *([f"median ≤ {_percent(claim.median)}"] if claim.median is not None else []),
            *([f"p90 ≤ {_percent(claim.p90)}"] if claim.p90 is not None else []),
            *([f"{_percent(claim.gain)} better than MACs alone"] if claim.gain is not None else []),
        ]
    )
    head = (check.family.name, claim.name, claim.split)
    if found is None:
        absent = [t for t in check.missing if not claim.tables or t in claim.tables]
        return Line(*head, None, limit, why=f"no {', '.join(absent)}" if absent else "no such rows")
    return Line(*head, found, limit, tuple(_shortfalls(claim, found)))


def _shortfalls(claim: Claim, found: Figures) -> Iterable[str]:
    if claim.median is not None and found.median > claim.median:
        yield "median"
    if claim.p90 is not None and found.p90 > claim.p90:
        yield "p90"
    if claim.gain is not None and not found.gain >= claim.gain:
        yield "gain"
    if found.rows >= COVERAGE_ROWS and not share_by_chance(round(found.share * found.rows), found.rows):
        yield f"{100 * found.share:.0f} % inside"


def share_by_chance(inside: int, rows: int) -> bool:
    """Return whether so many rows inside may come of a true share within COVERAGE."""
    low, high = COVERAGE
    return bool(binom.cdf(inside, rows, low) >= CHANCE and binom.sf(inside - 1, rows, high) >= CHANCE)


def coverage_lines(checks: Sequence[FamilyCheck]) -> list[Line]:
    """Return one line per split: the share of all rows of all families inside their 80 % intervals."""
    lines = []
    for split in NEW:
        found = figures([c for check in checks for c in check.of(split)])
        if found is None:
            continue
        judged = found.rows >= COVERAGE_ROWS
        short = () if not judged or COVERAGE[0] <= found.share <= COVERAGE[1] else (f"{100 * found.share:.1f} % inside",)
        limit = f"{100 * COVERAGE[0]:.0f} to {100 * COVERAGE[1]:.0f} % inside" if judged else ""
        lines.append(Line("all", "80 % intervals", split, replace(found, median=nan, p90=nan, gain=nan), limit, short))
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
