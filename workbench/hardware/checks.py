"""What the schema alone cannot say about a profile: names of formats, rules and their values. One message, with the path."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from workbench.errors import InputError, ProfileError, nearest
from workbench.numerics.arithmetic import LIMITS, Arithmetic
from workbench.numerics.codings import SPARSE
from workbench.precision import FLOAT8, FLOATS, PLAIN, STANDARD_FORMATS, UNSIGNED, parse_format

if TYPE_CHECKING:
    from workbench.hardware.profile import HardwareProfile

PLAIN_FORMATS = ("a2", "a4", "a8", "a16", *FLOAT8, *reversed(FLOATS))
"""Formats of operators without weights."""
TYPES = (*PLAIN_FORMATS, UNSIGNED, *(f"{name}-{SPARSE}" for name in (*FLOAT8, *reversed(FLOATS))))
"""Keys of `arithmetic_by_type`: types of activations, and floats with weights pruned to 2:4."""


@lru_cache(maxsize=1)
def _rules() -> dict[str, Any]:
    return get_type_hints(Arithmetic)


def check_profile(profile: HardwareProfile, where: str) -> None:
    """Raise ProfileError for the first unknown format or arithmetic rule, memory named twice, or cost row out of place."""
    check_arithmetic(profile.arithmetic_base, f"{where}: $.arithmetic")
    _check_by_type(profile.arithmetic_by_type, f"{where}: $.arithmetic_by_type")
    for name, entry in profile.operators.items():
        path = f"{where}: $.operators.{name}"
        check_arithmetic(entry.arithmetic, f"{path}.arithmetic")
        _check_by_type(entry.arithmetic_by_type, f"{path}.arithmetic_by_type")
        for key, named in (("formats", entry.formats), ("emulated", entry.emulated), ("files", entry.files)):
            for fmt in named:
                check_format(fmt, f"{path}.{key}")
        for fmt, how in entry.emulated.items():
            coded = fmt not in (*PLAIN_FORMATS, UNSIGNED, PLAIN) and parse_format(fmt).coding not in ("", SPARSE)
            if coded != (how == "decode"):
                raise ProfileError(
                    f"{path}.emulated.{fmt} is '{how}'. Expected decode for weight-only codings, unpack or widen for integers."
                )
        for i, constraint in enumerate(entry.constraints):
            if not constraint.limits:
                raise ProfileError(f"{path}.constraints[{i}] limits nothing. Give a quantity, such as kernel_h: {{max: 8}}.")
            for fmt in constraint.formats:
                check_format(fmt, f"{path}.constraints[{i}].formats")
        for key, named in (("emulated", entry.emulated), ("files", entry.files)):
            both = sorted({*entry.formats, *(entry.emulated if key == "files" else ())} & set(named))
            if both:
                raise ProfileError(f"{path}.{key} has '{both[0]}', which is also in formats. Give it in one of them.")
    for fmt in profile.fallback.formats if profile.fallback else ():
        check_format(fmt, f"{where}: $.fallback.formats")
    names = [m.name for m in profile.memories]
    if len(set(names)) != len(names):
        raise ProfileError(f"{where}: $.memories: two memories have one name ({', '.join(names)}).")
    if profile.costs is not None:
        for name, rows in profile.costs.latency.operators.items():
            if name != "any" and name not in profile.operators:
                hint = nearest(name, profile.operators)
                raise ProfileError(
                    f"{where}: $.costs.latency.operators.{name} is not an operator of this profile.{hint}\n"
                    f"Operators: {', '.join(profile.operators)}, or 'any' for all others."
                )
            for row in rows:
                for fmt in row.formats:
                    check_format(fmt, f"{where}: $.costs.latency.operators.{name}.formats")
        for bits in profile.costs.latency.unpack:
            if bits not in (2, 4):
                raise ProfileError(
                    f"{where}: $.costs.latency.unpack.{bits} is not a width to unpack. Expected 2 or 4 (weight bits)."
                )


def _check_by_type(tables: Mapping[str, Mapping[str, Any]], where: str) -> None:
    for kind, table in tables.items():
        if kind not in TYPES:
            raise ProfileError(f"{where}.{kind}: no type of activations.{nearest(kind, TYPES)} Known: {', '.join(TYPES)}.")
        check_arithmetic(table, f"{where}.{kind}")


def check_format(fmt: str, where: str) -> None:
    """Raise ProfileError for a name that is no format."""
    if fmt in PLAIN_FORMATS or fmt in (UNSIGNED, PLAIN):
        return
    try:
        parse_format(fmt)
    except InputError:
        known = (*STANDARD_FORMATS, *PLAIN_FORMATS, UNSIGNED, PLAIN)
        raise ProfileError(f"{where}: '{fmt}' is not a format.{nearest(fmt, known)}\nKnown: {', '.join(known)}.") from None


def check_arithmetic(table: Mapping[str, Any], where: str) -> None:
    """Raise ProfileError for an unknown rule or a value it does not take, with the nearest name."""
    for key, value in table.items():
        if key not in _rules():
            hint = nearest(key, _rules())
            raise ProfileError(f"{where}.{key} is not a known rule.{hint}\nKnown rules: {', '.join(_rules())}.")
        choices = _choices(_rules()[key])
        if value not in choices and not (type(value) in choices and type(value) is not type):
            fits = ", ".join(
                str(c) if not isinstance(c, type) else {int: "an integer", bool: "true or false"}.get(c, "null")
                for c in choices
            )
            hint = nearest(value, [c for c in choices if isinstance(c, str)]) if isinstance(value, str) else ""
            raise ProfileError(f"{where}.{key} is {value!r}. Expected one of: {fits}.{hint}")
        if key in LIMITS and not LIMITS[key][0] <= value <= LIMITS[key][1]:
            raise ProfileError(f"{where}.{key} is {value}. Expected an integer from {LIMITS[key][0]} to {LIMITS[key][1]}.")


def _choices(annotation: Any) -> list[Any]:
    """Return the literal values of an annotation, and the plain types that it allows."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    inner = get_args(annotation)
    return [c for part in inner for c in _choices(part)] if inner else [annotation]
