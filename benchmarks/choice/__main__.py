"""Run the benchmark of choosing, and write its page.

    python -m benchmarks.choice --tables DIR             # every method on every case; goes on where it was stopped
    python -m benchmarks.choice --tables DIR --minutes 5 # a piece of it
    python -m benchmarks.choice --page                   # docs/choice-benchmark.md from the results there are

The tables are made by python -m benchmarks.choice.tables. A result belongs to the digest of its table and of the method's code:
what has changed is run again. Everything runs on one thread when OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.choice.cases import Views, load_cases
from benchmarks.choice.methods import METHODS, chosen
from benchmarks.choice.page import PAGE, write_page
from benchmarks.choice.results import Results
from benchmarks.choice.runner import BUDGETS, run_all
from benchmarks.choice.tables import SOURCES, lowering_of
from workbench.errors import WorkbenchError

TABLES = Path("build/choice/tables")
"""Where the tables are made unless said otherwise."""


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of the truth tables (default: %(default)s)")
    parser.add_argument("--results", type=Path, help="folder of the results (default: results/ below the tables)")
    parser.add_argument("--cases", help="names, separated by commas (default: all)")
    parser.add_argument("--methods", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--quick", action="store_true", help="one seed, at 5 % of the exhaustive evaluations")
    parser.add_argument("--minutes", type=float, help="begin no search after so many")
    parser.add_argument("--page", action="store_true", help=f"only write {PAGE} from the results there are")
    options = parser.parse_args(arguments)
    try:
        cases = load_cases(options.cases.split(",") if options.cases else None)
        methods = chosen(options.methods.split(",") if options.methods else None)
        results = Results(options.results or options.tables / "results")
        complete = True
        if not options.page:
            complete = run_all(
                cases,
                Views(options.tables, lambda table, target: lowering_of(SOURCES[table], target)),
                methods,
                results,
                BUDGETS[:1] if options.quick else BUDGETS,
                1 if options.quick else None,
                time.monotonic() + 60 * options.minutes if options.minutes else np.inf,
                lambda line: print(line, flush=True),
            )
            if not complete:
                print("Time is up; the same command goes on from here.")
        if options.page or (complete and not (options.quick or options.cases or options.methods)):
            write_page(results.frame(), load_cases())
            print(f"Wrote {PAGE}.")
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
