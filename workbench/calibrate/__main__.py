"""`python -m workbench.calibrate --data FOLDER [family ...]` (`make calibrate`): fit all families anew, write fits and cost sheets."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from workbench.calibrate import accelerator_sheets, energy_sheets, mcu_sheets, memory_sheets, store
from workbench.calibrate.family import families
from workbench.calibrate.rows import Tables


def main() -> None:
    """Fit, cross-validate and write."""
    known = families()
    parser = argparse.ArgumentParser(prog="python -m workbench.calibrate", description=(__doc__ or "").strip())
    parser.add_argument("--data", type=Path, required=True, help="folder of tables of measurements")
    parser.add_argument("family", nargs="*", choices=[[], *known], help="only these (default: all)")
    options = parser.parse_args()
    tables = Tables(options.data)
    for name in options.family or known:
        samples = known[name].samples(tables)
        path = store.write(known[name], samples.kept)
        print(f"{path.name}: {len(samples.kept)} rows fitted, {len(samples.left_out)} left out", flush=True)
    if not options.family:
        made = (accelerator_sheets.write_sheets(tables), energy_sheets.write_sheets(), memory_sheets.write_sheets(tables))
        for path in (*mcu_sheets.write_sheets(), *chain.from_iterable(made)):
            print(f"{path.parent.name}/{path.name}", flush=True)


if __name__ == "__main__":
    main()
