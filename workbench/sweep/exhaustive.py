"""Every plan there is: all formats for every group, in all combinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.errors import InputError
from workbench.precision import PrecisionPlan
from workbench.sweep.groups import Group
from workbench.sweep.space import Space

PLAN_LIMIT = 200_000
"""Plans of an exhaustive sweep unless told otherwise: at 2 to 12 ms each (1,000 images of a small CNN; one thread), 7 to 40 minutes."""


def exhaustive(
    groups: Sequence[Group], formats: Sequence[str] | Mapping[str, Sequence[str]], limit: int = PLAN_LIMIT
) -> list[PrecisionPlan]:
    """Return all plans over groups and formats; the last group changes first.

    Args:
        groups: what is decided about (`decision_groups`). formats: for every group alike, or by the group's name where a target
            has not all formats for all layers. The first format of the first group is the plans' default.
    Raises: InputError when there are more than `limit` plans, nothing to choose from, or an unknown format.
    """
    space = whole_space(groups, formats, limit)
    return space.plans(space.codes(range(space.size)))


def whole_space(
    groups: Sequence[Group], formats: Sequence[str] | Mapping[str, Sequence[str]], limit: int = PLAN_LIMIT
) -> Space:
    """Return the space of `exhaustive`'s plans, which has at most `limit` of them (else InputError)."""
    if limit < 1:
        raise InputError(f"exhaustive: limit is {limit}; at least 1 fits.")
    if not groups:
        raise InputError("exhaustive: no layers to choose formats for.")
    space = Space.of(groups, formats)
    if space.size > limit:
        raise InputError(_too_many(space.formats, space.size, limit))
    return space


def _too_many(offered: Sequence[Sequence[str]], count: int, limit: int) -> str:
    most = max(map(len, offered))
    free = max(n for n in range(len(offered)) if most**n <= limit)
    fewer = (
        f"offer fewer formats (2 each make {2 ** len(offered):,} plans), " if 2 ** len(offered) <= limit and most > 2 else ""
    )
    fix = f"fix the format of all but {free} groups, " if free else ""
    return (
        f"exhaustive: {len(offered)} groups with up to {most} formats make {count:,} plans; limit is {limit:,}.\n"
        f"Ways out: {fewer}{fix}raise the limit, or search instead of enumerating."
    )
