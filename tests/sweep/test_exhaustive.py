"""Exhaustive plans: all of them, once, canonical, and refused in words when there are too many."""

from __future__ import annotations

import itertools

import pytest

from tests.networks import small_cnn
from workbench.errors import InputError
from workbench.precision import PrecisionPlan
from workbench.sweep import Group, decision_groups, exhaustive

LAYERS = ("conv1", "dw2", "pw3", "fc6")
SINGLE = [Group(name, (name,)) for name in LAYERS]


def test_every_combination_once_in_order() -> None:
    formats = ("w8a8", "w4a8", "w2a8")
    want = [PrecisionPlan.of("w8a8", dict(zip(LAYERS, c, strict=True))) for c in itertools.product(formats, repeat=4)]
    assert exhaustive(SINGLE, formats) == want
    assert len(set(want)) == 81


def test_layers_of_a_group_change_together() -> None:
    groups = decision_groups(small_cnn(), LAYERS, ["w8a8", "w8a16"])
    plans = exhaustive(groups, ["w8a8", "w8a16"])
    assert len(plans) == 8
    assert all(plan.format_of("conv1") == plan.format_of("pw3") for plan in plans)


def test_groups_may_have_different_formats() -> None:
    offered = {"conv1": ["w8a8"], "dw2": ["w8a8", "w4a8"], "pw3": ["w4a8"], "fc6": ["w2a8", "w4a8", "w2a8"]}
    assert exhaustive(SINGLE, offered) == [
        PrecisionPlan.of("w8a8", {"dw2": dw2, "pw3": "w4a8", "fc6": fc6})
        for dw2 in ("w8a8", "w4a8")
        for fc6 in ("w2a8", "w4a8")
    ]


def test_too_many_plans_are_refused_with_what_fits() -> None:
    many = [Group(f"l{i}", (f"l{i}",)) for i in range(14)]
    with pytest.raises(InputError) as problem:
        exhaustive(many, ("w8a8", "w4a8", "w2a8"))
    assert str(problem.value) == (
        "exhaustive: 14 groups with up to 3 formats make 4,782,969 plans; limit is 200,000.\n"
        "Ways out: offer fewer formats (2 each make 16,384 plans), fix the format of all but 11 groups, raise the limit, "
        "or search instead of enumerating."
    )
    assert len(exhaustive(many[:3], ("w8a8", "w4a8"), limit=8)) == 8
    with pytest.raises(InputError, match=r"make 8 plans; limit is 7\.\nWays out: fix the format of all but 2 groups"):
        exhaustive(many[:3], ("w8a8", "w4a8"), limit=7)


@pytest.mark.parametrize(
    ("groups", "formats", "message"),
    [
        ([], ["w8a8"], "no layers"), (SINGLE, [], "no format for 'conv1'"), (SINGLE, ["w8a8", "w4a9"], "unknown format 'w4a9'"),
    ],
)  # fmt: skip
def test_nothing_to_choose_from_is_refused(groups: list[Group], formats: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        exhaustive(groups, formats)
