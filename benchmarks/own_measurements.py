"""What a few own timings are worth: profiles calibrated on published boards that are not theirs (docs/own-measurements.md).

Usage: python benchmarks/own_measurements.py [--data ../shared/ground_truth] [--models ../shared/models/mlperf_tiny]
"""

from __future__ import annotations

import argparse
from functools import cache
from math import isfinite
from pathlib import Path
from statistics import median

from workbench.calibrate.own import calibrate_profile
from workbench.calibrate.own_rows import Measurement
from workbench.calibrate.rows import Row, Tables
from workbench.cost import estimate
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders import load_model

NETWORKS = {"ad": "ad01_int8", "kws": "kws_ref_int8", "vww": "vww_96_int8", "ic": "ic_resnet8_int8"}
FIRST = ("kws", "vww")
"""The network measured where there is only one: the first of these that a submission has."""
CASES = (
    ("stm32h7a3-cortex-m7-xcubeai", ("STM32F746",)),
    ("stm32l4r5-cortex-m4-xcubeai", ("STM32L4R5",)),
    ("stm32l4r5-cortex-m4-xcubeai", ("STM32U575",)),
    ("stm32g0b1-cortex-m0plus-tflm", ("PCL Scepu02", "LC236R5E176 Octopus B1")),
    ("stm32l4r5-cortex-m4-tflm", ("Renesas RX65N",)),
    ("stm32h7a3-cortex-m7-xcubeai", ("Renesas RA8D1",)),
)
"""Profile that is calibrated, and the devices whose submissions stand for a user's board."""


@cache
def graph(path: Path) -> Graph:
    """Return a network."""
    return load_model(path)


def submissions(data: Path) -> dict[tuple[str, ...], dict[str, Row]]:
    """Return (device, runtime, version, submitter, clock) -> network -> row, of the int8 networks of the closed division."""
    found: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in Tables(data).rows("mlperf_tiny.csv"):
        usable = row.precision == "int8" and row.text("division") == "closed" and "weights in RAM" not in row.notes
        if usable and row.network in NETWORKS and isfinite(row.latency_s):
            key = (row.device, row.runtime, row.text("version"), row.text("submitter"), row.text("clock_mhz"))
            found.setdefault(key, {})[row.network] = row
    return {key: rows for key, rows in found.items() if len(rows) >= 3}


def case(name: str, tables: list[dict[str, Row]], models: Path) -> str:
    """Return a line of the table."""
    profile = load_profile(name)
    before, after, inside, others = [], [], [], []
    for rows in tables:
        own = {n: Measurement(r.line, models / f"{NETWORKS[n]}.tflite", "", "", r.latency_s) for n, r in rows.items()}
        for row in calibrate_profile(profile, list(own.values()), lambda m: graph(m.model), "published").rows:
            seconds = row.measurement.seconds
            before.append(abs(row.before[0] / seconds - 1))
            if row.after is not None:
                after.append(abs(row.after[0] / seconds - 1))
                inside.append(row.after[1] <= seconds <= row.after[2])
        first = next((n for n in FIRST if n in own), next(iter(own)))
        one = calibrate_profile(profile, [own[first]], lambda m: graph(m.model), "published").profile
        others += [abs(estimate(graph(m.model), one).latency_s / m.seconds - 1) for n, m in own.items() if n != first]
    errors = " | ".join(f"{median(values):.0%}" for values in (before, after))
    return f"| {len(before)} | {errors} | {sum(inside)} of {len(inside)} | {median(others):.0%} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/ground_truth"))
    parser.add_argument("--models", type=Path, default=Path("../shared/models/mlperf_tiny"))
    options = parser.parse_args()
    found = submissions(options.data)
    print("| profile | measured on | rows | before | after, network left out | inside | others, from one row |")
    for name, devices in CASES:
        tables = [rows for key, rows in found.items() if key[0] in devices]
        print(f"| {name} | {', '.join(devices)} {case(name, tables, options.models)}", flush=True)


if __name__ == "__main__":
    main()
