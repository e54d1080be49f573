"""The nearest supported format to one that a target lacks.

Nearest, in this order: the same kind of activations (integers or floats); activations of the same width, else the next wider, else
the next narrower; the same activation type; weights of the same width, else the next wider, else the next narrower; the same
granularity of scales; the same coding; then the order of the profile.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.errors import InputError
from workbench.hardware.checks import PLAIN_FORMATS
from workbench.precision import FLOAT8, FLOATS, TYPE_BITS, Format, parse_format


def nearest_format(wanted: str, known: Sequence[str]) -> str:
    """Return the nearest of the known formats to a wanted one, or '' when none is known."""
    want = _read(wanted)
    if want is None or not known:
        return known[0] if known else ""
    read = {name: found for name in known if (found := _read(name)) is not None}
    return min(read, key=lambda name: _distance(want, read[name]))


def _read(name: str) -> Format | None:
    """Return the format of a name with weights (`w8a8`) or without (`a8`, whose weights count as activations)."""
    if name in PLAIN_FORMATS and name not in FLOATS and name not in FLOAT8:
        kind = f"int{name[1:]}"
        return Format(name, kind, kind, "per_channel", "int32", kind)
    try:
        return parse_format(name)
    except InputError:
        return None


def _distance(want: Format, have: Format) -> tuple[object, ...]:
    integer = [f.activation.startswith("int") for f in (want, have)]
    return (
        integer[0] != integer[1],
        _step(TYPE_BITS[want.activation], TYPE_BITS[have.activation]),
        want.activation != have.activation,
        _step(want.weight_bits, have.weight_bits),
        all(integer) and want.granularity != have.granularity,
        want.coding != have.coding,
    )


def _step(want: float, have: float) -> tuple[bool, float]:
    """Return how far one width is from another: any wider one is nearer than any narrower one."""
    return have < want, abs(have - want)
