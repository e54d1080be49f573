"""What each view of sensitivity costs, how well each proxy ranks, and how far losses add up, on networks of the choice benchmark.

    python -m benchmarks.sensitivity [NAME ...] [--samples 128] [--draws 8]

Prints a table per network: CPU seconds of one thread (a wall clock would show what else runs) and plans evaluated by view, beyond the
baseline and the single changes; Kendall's tau-b of every proxy against the exact losses of the single changes, all formats together
and format by format; and the errors of sums on 64 random mixes, of all formats and without the narrowest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.choice.tables import SOURCES, evaluator_of, lowering_of, space_of
from workbench.evaluate import Evaluator
from workbench.precision import PrecisionPlan
from workbench.sweep import Group
from workbench.sweep.additivity import additivity, kendall
from workbench.sweep.ask import by_evaluator
from workbench.sweep.pairs import interactions
from workbench.sweep.records import VIEWS, Additivity, Views
from workbench.sweep.views import FLOAT_SAMPLES, PAIRS, find_views

Changes = Sequence[tuple[Group, str]]


def measure(evaluator: Evaluator, changes: Changes, baseline: PrecisionPlan, samples: int, draws: int) -> list[Views]:
    """Print the cost of every view; return what they found, in the order of VIEWS."""
    evaluator.evaluate([baseline, *(group.plan(baseline, fmt) for group, fmt in changes)])
    print("\n| view | plans | CPU seconds |\n|---|---:|---:|")
    found = []
    for view in VIEWS:
        began = time.process_time()
        found.append(find_views(evaluator, [view], changes, baseline, samples=samples, draws=draws))
        print(f"| {view} | {found[-1].evaluations} | {time.process_time() - began:.1f} |", flush=True)
    return found


def print_proxies(views: Views) -> None:
    """Print how well every proxy ranks, all changes together and by format."""
    formats = list(dict.fromkeys(fmt for _, fmt in views.changes))
    print(f"\n| proxy | passes | tau | {' | '.join(formats)} |\n|---|---:|---:|{'---:|' * len(formats)}")
    losses = np.array(views.losses)
    for one in views.proxies:
        own = [np.array([f == fmt for _, f in views.changes]) for fmt in formats]
        taus = [kendall(np.array(one.scores)[rows], losses[rows]) for rows in own]
        print(f"| {one.name} | {one.passes:.1f} | {one.tau:.2f} | {' | '.join(f'{t:.2f}' for t in taus)} |")


def print_sums(evaluator: Evaluator, found: Additivity, changes: Changes, baseline: PrecisionPlan) -> None:
    """Print the errors of sums, with all changes and without the narrowest format."""
    formats = list(dict.fromkeys(fmt for _, fmt in changes))
    cases = [(" ".join(formats), found)]
    fewer = [(g, f) for g, f in changes if f != "w2a8"]
    if fewer and len(fewer) < len(changes):
        ask = by_evaluator(evaluator)
        pairs = interactions(ask, evaluator.metric, fewer, baseline, PAIRS)
        cases.append((" ".join(f for f in formats if f != "w2a8"), additivity(ask, pairs, baseline)))
    print("\n| mixes of | sum of | mean error | mean abs. error | of what was measured | tau |\n|---|---|---:|---:|---:|---:|")
    for title, one in cases:
        for name, fit in (("singles", one.singles), ("singles and pairs", one.pairs)):
            print(f"| {title} | {name} | {fit.bias:+.3g} | {fit.absolute:.3g} | {fit.relative:.0%} | {fit.tau:.2f} |")


def main() -> None:
    """Print the tables of the networks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SOURCES)} (default: all)")
    parser.add_argument("--samples", type=int, default=FLOAT_SAMPLES, help="for what runs in the float reference")
    parser.add_argument("--draws", type=int, default=8, help="random directions per layer")
    given = parser.parse_args()
    for name in given.names or SOURCES:
        source = SOURCES[name]
        lowering = lowering_of(source)
        evaluator = evaluator_of(source, lowering, threads=1)
        space = space_of(source, lowering)
        baseline = PrecisionPlan.of(space.default)
        changes = [(g, f) for g, names in zip(space.groups, space.formats, strict=True) for f in names if f != space.default]
        print(f"\n## {name}: {len(space.groups)} groups, {len(changes)} changes, {len(evaluator.judged):,} samples")
        found = dict(zip(VIEWS, measure(evaluator, changes, baseline, given.samples, given.draws), strict=True))
        print_proxies(found["proxies"])
        exact = found["pairs"].additivity
        assert exact is not None
        print_sums(evaluator, exact, changes, baseline)


if __name__ == "__main__":
    main()
