"""Quantities with units in YAML: `64 KiB`, `10 ms`, `1.5 mJ`, `1.0 %`."""

from __future__ import annotations

import math
import re
from typing import Any

UNITS: dict[str, dict[str, float]] = {
    "bytes": {"B": 1, "KiB": 2**10, "MiB": 2**20, "kB": 1e3, "MB": 1e6},
    "seconds": {"s": 1, "ms": 1e-3, "us": 1e-6},
    "duration": {"s": 1, "min": 60, "h": 3600},
    "joules": {"J": 1, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9},
    "share": {"%": 1e-2, "points": 1e-2},
    "decibels": {"dB": 1},
    "charge": {"mAh": 3.6, "Ah": 3600},
    "volts": {"V": 1, "mV": 1e-3},
    "hertz": {"Hz": 1, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
    "rate": {"/s": 1, "/min": 1 / 60, "/h": 1 / 3600, "/day": 1 / 86400},
}
"""Dimension -> unit -> factor to the base unit."""

_QUANTITY = re.compile(r"\s*([-+]?[0-9][0-9_]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z%/]+)\s*")


def parse_quantity(value: Any, dimension: str) -> float:
    """Return a quantity in base units; ValueError names what came and what fits."""
    units = UNITS[dimension]
    example = f"a number and one of {', '.join(units)}, e.g. '10 {next(iter(units))}'"
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected {example}")
    number, unit = float(match[1].replace("_", "")), match[2]
    if unit not in units:
        raise ValueError(f"unit '{unit}' does not fit here; expected {example}")
    result = number * units[unit]
    if not math.isfinite(result) or result < 0:
        raise ValueError(f"expected a value of at least 0, as {example}")
    return result
