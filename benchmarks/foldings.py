"""How much of docs/cost-accuracy.md is the luck of the folds: the same cross-validations with names put together otherwise.

Stored fits leave out one tenth of the names at a time, and which names share a tenth is fixed. Here they are shuffled anew.

Usage: python -m benchmarks.foldings [--data ../shared/ground_truth] [--family mcu_latency ...] [--times 5]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workbench.calibrate.family import Claim, Family, Sample, families
from workbench.calibrate.folds import cross_validate
from workbench.calibrate.rows import Tables
from workbench.hardware.costs import Basis

JUDGED = ("mcu_latency", "ram", "flash", "energy")
"""Families with limits for the median and the 90th percentile."""
Predicted = dict[int, tuple[float, Basis]]


def predicted(family: Family, samples: Sequence[Sample], claim: Claim, salt: str) -> Predicted:
    """Return number of a sample -> what the fit without it says, and on which basis."""
    return {
        i: (fold.fitted.predict(samples[i]), fold.fitted.basis(samples[i]))
        for fold in cross_validate(family, samples, claim.split, salt)
        for i in fold.left_out
    }


def figures(samples: Sequence[Sample], claim: Claim, found: Predicted) -> tuple[int, float, float]:
    """Return rows, median and 90th percentile of |predicted / measured - 1| of a claim."""
    errors = [
        abs(value / samples[i].measured - 1)
        for i, (value, basis) in found.items()
        if (not claim.quantity or samples[i].quantity == claim.quantity)
        and (not claim.tables or samples[i].row.table in claim.tables)
        and (not claim.bases or basis in claim.bases)
    ]
    return len(errors), float(np.median(errors)), float(np.quantile(errors, 0.9))


def main() -> None:
    """Print the figures of every claim with limits, one column a folding; the first is that of the stored fits."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/ground_truth"))
    parser.add_argument("--family", nargs="+", choices=JUDGED, default=JUDGED)
    parser.add_argument("--times", type=int, default=5, help="foldings, the stored one included")
    options = parser.parse_args()
    tables = Tables(options.data)
    for name in options.family:
        family = families()[name]
        samples = family.samples(tables).kept
        known: dict[tuple[str, str], Predicted] = {}
        for claim in (c for c in family.claims if c.median is not None):
            cells = []
            for salt in ("", *map(str, range(1, options.times))):
                if (claim.split, salt) not in known:
                    known[claim.split, salt] = predicted(family, samples, claim, salt)
                rows, median, p90 = figures(samples, claim, known[claim.split, salt])
                cells.append(f"{100 * median:5.1f} / {100 * p90:5.1f} % ({rows})")
            limit = f"{100 * (claim.median or 0):g}" + (f" / {100 * claim.p90:g} %" if claim.p90 is not None else " %")
            print(f"{claim.name:50s} limit {limit:10s}", *cells, sep="  ", flush=True)


if __name__ == "__main__":
    main()
