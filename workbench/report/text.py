"""Numbers and names as a person reads them: three digits, a unit, a true minus sign."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from workbench.metrics import Metric
from workbench.statistics import Difference

AXIS_UNITS: dict[str, tuple[tuple[float, str], ...]] = {
    "flash": ((1.0, "B"), (2.0**10, "KiB"), (2.0**20, "MiB"), (2.0**30, "GiB")),
    "ram": ((1.0, "B"), (2.0**10, "KiB"), (2.0**20, "MiB"), (2.0**30, "GiB")),
    "latency": ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s")),
    "energy": ((1e-12, "pJ"), (1e-9, "nJ"), (1e-6, "uJ"), (1e-3, "mJ"), (1.0, "J")),
}
"""Cost -> (factor, unit), spelled as in a study's YAML, smallest first."""

AXIS_TITLES = {"flash": "flash", "ram": "peak RAM", "latency": "latency", "energy": "energy per inference"}

NONE = "–"
"""What a table shows where there is no number."""


def unit_of(axis: str, values: Iterable[float | None]) -> tuple[float, str]:
    """Return the (factor, unit) in which the largest of some costs is at least 1."""
    largest = max((abs(v) for v in values if v is not None and math.isfinite(v)), default=0.0)
    fitting = [u for u in AXIS_UNITS[axis] if largest >= u[0]]
    return fitting[-1] if fitting else AXIS_UNITS[axis][0]


def number(value: float, digits: int = 3) -> str:
    """Return a number with about `digits` significant digits: 0.0312, 3.12, 31.2, 312, 31,234."""
    if not math.isfinite(value):
        return "∞" if value > 0 else minus("-∞") if value < 0 else NONE
    if value == 0.0:
        return "0"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    if places > 9:
        return minus(f"{value:.{digits - 1}e}")
    text = f"{value:,.{places}f}"
    return minus(text.rstrip("0").rstrip(".") if places and float(value).is_integer() else text)


def quantity(axis: str, value: float | None) -> str:
    """Return a cost with its unit, '–' for None and NaN."""
    if value is None or math.isnan(value):
        return NONE
    factor, unit = unit_of(axis, [value])
    return f"{number(value / factor)} {unit}"


def interval(axis: str, value: float, low: float, high: float) -> str:
    """Return 'low to high unit' in the unit of the value, empty for NaN."""
    if math.isnan(value):
        return ""
    factor, unit = unit_of(axis, [value])
    return f"{number(low / factor)} to {number(high / factor)} {unit}"


def size_range(axis: str, value: float, low: float, high: float, own: float) -> str:
    """Return the interval of flash or RAM; where the runtime's own is most of it, that too. Empty for an estimate without one."""
    if not high > 0:
        return ""
    said = f"; runtime {quantity(axis, own)}" if 2 * own > value else ""
    return interval(axis, value, low, high) + said


def minus(text: str) -> str:
    """Return the text with true minus signs in front of digits."""
    return re.sub(r"-(?=[\d.∞])", "−", text)


def tidy(text: str) -> str:
    """Return a sentence with true minus signs where a number begins (not inside names)."""
    return re.sub(r"(?<=[\s(\[])-(?=[\d.])", "−", text)


def signed(points: float, digits: int = 1) -> str:
    """Return a number of points with its sign: '+0.3', '−1.2', '0.0'."""
    text = f"{points:+.{digits}f}"
    return minus("0" + text[2:] if float(text) == 0 else text)


def change_parts(change: Difference | None) -> tuple[str, str]:
    """Return a change of a share in points and its interval, without unit: ('−0.4', '[−0.9, +0.1]')."""
    if change is None:
        return NONE, ""
    return signed(100 * change.estimate), f"[{signed(100 * change.low)}, {signed(100 * change.high)}]"


def figure_text(metric: Metric, value: float | None) -> str:
    """Return a metric's value in its unit: '90.2 %', '31.4 dB', '0.312 nat'."""
    if value is None or metric.is_share:
        return percent(value)
    if metric.unit == "dB":
        return decibels(value)
    return f"{number(value)} {metric.unit}".rstrip()


def metric_change(metric: Metric, change: Difference | None) -> tuple[str, str]:
    """Return a change of a metric and its interval, without unit: ('−0.4', '[−0.9, +0.1]'); of a share in points."""
    if change is None or metric.is_share:
        return change_parts(change)
    return signed_number(change.estimate), f"[{signed_number(change.low)}, {signed_number(change.high)}]"


def signed_number(value: float) -> str:
    """Return a number with its sign and about three digits: '+0.012', '−3.1', '0'."""
    return f"+{number(value)}" if value > 0 else number(value)


def change_unit(metric: Metric) -> str:
    """Return the unit of a change: points of a share."""
    return "points" if metric.is_share else metric.unit


def drop_text(metric: Metric, drop: float) -> str:
    """Return how much worse a metric may become: '1 point', '0.1 nat'."""
    return points_text(100 * drop) if metric.is_share else f"{drop:g} {metric.unit}".rstrip()


def points_text(points: float) -> str:
    """Return '1 point', '0.5 points'."""
    return f"{points:g} point{'' if points == 1 else 's'}"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent, '–' for None."""
    return NONE if share is None else f"{100 * share:.{digits}f} %"


def decibels(value: float | None) -> str:
    """Return a ratio in dB with one digit; '∞' when there is no error at all."""
    if value is None or math.isnan(value):
        return NONE
    return f"{minus(f'{value:.1f}')} dB" if math.isfinite(value) else "∞ dB" if value > 0 else "−∞ dB"


def shorten(name: str, limit: int = 30) -> str:
    """Return a name of at most `limit` characters, cut in the middle (both ends tell layers apart), printable."""
    clean = "".join(c if c.isprintable() else "�" for c in name)
    if len(clean) <= limit:
        return clean
    head = (limit - 1) // 2
    return clean[:head] + "…" + clean[len(clean) - (limit - 1 - head) :]


def unique_short(names: Iterable[str], limit: int = 30) -> list[str]:
    """Return shortened names; those that would look the same get their position in the network appended."""
    names = list(names)
    short = [shorten(n, limit) for n in names]
    return [
        s if short.count(s) == 1 else f"{shorten(n, limit - 5)} #{i + 1}"
        for i, (n, s) in enumerate(zip(names, short, strict=True))
    ]


def file_name(name: str) -> str:
    """Return a name that is safe as a folder or file name on every system."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "target"


def file_names(names: Iterable[str]) -> list[str]:
    """Return safe and distinct file names (also where case does not count)."""
    found: list[str] = []
    for name in names:
        base = candidate = file_name(name)
        number = 1
        while candidate.lower() in (f.lower() for f in found):
            number += 1
            candidate = f"{base}-{number}"
        found.append(candidate)
    return found
