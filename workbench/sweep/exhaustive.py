"""Every plan there is: all formats for every group, in all combinations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from workbench.errors import InputError
from workbench.precision import PrecisionPlan, parse_format
from workbench.sweep.groups import Group

PLAN_LIMIT = 200_000
"""Plans that `exhaustive` makes unless told otherwise: evaluating them takes about 8 KB each with 1,000 samples, 1.6 GB in all."""


def exhaustive(
    groups: Sequence[Group], formats: Sequence[str] | Mapping[str, Sequence[str]], limit: int = PLAN_LIMIT
) -> list[PrecisionPlan]:
    """Return all plans over groups and formats; the last group changes first.

    Args:
        groups: what is decided about (`decision_groups`). formats: for every group alike, or by the group's name where a target
            has not all formats for all layers. The first format of the first group is the plans' default.
    Raises: InputError when there are more than `limit` plans, nothing to choose from, or an unknown format.
    """
    if limit < 1:
        raise InputError(f"exhaustive: limit is {limit}; at least 1 fits.")
    offered = [tuple(dict.fromkeys(formats[g.name] if isinstance(formats, Mapping) else formats)) for g in groups]
    for group, names in zip(groups, offered, strict=True):
        if not names:
            raise InputError(f"exhaustive: no format for '{group.name}'.")
    count = math.prod(map(len, offered))
    if not groups or count > limit:
        raise InputError(_too_many(offered, count, limit) if groups else "exhaustive: no layers to choose formats for.")
    for name in dict.fromkeys(itertools.chain.from_iterable(offered)):
        parse_format(name)
    default = offered[0][0]
    # The pairs are made once and shared by all plans.
    choices = [
        [tuple((layer, fmt) for layer in g.layers if fmt != default) for fmt in names]
        for g, names in zip(groups, offered, strict=True)
    ]
    return [
        PrecisionPlan(default, tuple(sorted(itertools.chain.from_iterable(choice)))) for choice in itertools.product(*choices)
    ]


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
