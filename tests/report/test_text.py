"""Numbers and names in the report."""

from __future__ import annotations

import math

import pytest

from workbench.precision import PrecisionPlan
from workbench.report.page_rows import changes
from workbench.report.text import (
    change_parts,
    decibels,
    file_names,
    interval,
    number,
    points_text,
    quantity,
    shorten,
    signed,
    tidy,
    unique_short,
)
from workbench.statistics import Difference


@pytest.mark.parametrize(
    ("axis", "value", "text"),
    [
        ("flash", 0, "0 B"),
        ("flash", 1023, "1,023 B"),
        ("flash", 65536, "64 KiB"),
        ("ram", 37_123, "36.3 KiB"),
        ("ram", 2**21, "2 MiB"),
        ("latency", 0.01234, "12.3 ms"),
        ("latency", 6.5e-7, "650 ns"),
        ("latency", 0.8054, "805 ms"),
        ("energy", 1.4096e-5, "14.1 uJ"),
        ("energy", math.nan, "–"),
        ("energy", None, "–"),
    ],
)
def test_costs_have_three_digits_and_their_unit(axis: str, value: float | None, text: str) -> None:
    assert quantity(axis, value) == text


def test_an_interval_has_the_unit_of_its_value() -> None:
    assert interval("latency", 0.8, 0.62, 1.04) == "620 to 1,040 ms"


def test_numbers_are_readable_at_every_size() -> None:
    assert [number(v) for v in (0.03124, 3.125, 31.25, 312.5, 31234.0, -2.5)] == [
        "0.0312",
        "3.12",
        "31.2",
        "312",
        "31,234",
        "−2.50",
    ]
    assert number(math.inf) == "∞"


def test_a_change_has_a_sign_and_no_negative_zero() -> None:
    assert [signed(v) for v in (0.04, -0.04, -0.05001, 1.25)] == ["0.0", "0.0", "−0.1", "+1.2"]
    assert change_parts(Difference(-0.004, -0.009, 0.001, 1, 5)) == ("−0.4", "[−0.9, +0.1]")
    assert change_parts(None) == ("–", "")
    assert (points_text(1.0), points_text(0.5)) == ("1 point", "0.5 points")
    assert decibels(math.inf) == "∞ dB"


def test_long_names_keep_both_ends_and_stay_apart() -> None:
    assert shorten("abcdefghij", 7) == "abc…hij"
    assert shorten("ok\x00") == "ok�"
    names = [f"block/{'x' * 60}/{i}/{'y' * 60}" for i in range(12)]
    short = unique_short(names, 30)
    assert len(set(short)) == 12
    assert all(len(s) <= 30 for s in short)


def test_file_names_stay_in_their_folder() -> None:
    assert file_names(["../../etc/passwd", "a b", "A B", "..", "", "stm32.v2"]) == [
        "etc-passwd", "a-b", "A-B-2", "target", "target-2", "stm32.v2",
    ]  # fmt: skip


def test_minus_signs_are_set_in_numbers_and_not_in_names() -> None:
    assert tidy("conv-1 at w8a8 (-38 %), -0.3 [-0.9, +0.2]") == "conv-1 at w8a8 (−38 %), −0.3 [−0.9, +0.2]"


def test_a_plan_is_told_by_what_differs() -> None:
    layers = [f"l{i}" for i in range(12)]
    base = PrecisionPlan.of("w8a8")
    assert changes(base, base, layers) == []
    few = changes(base.replace({"l3": "w4a8", "l1": "w4a8", "l2": "w2a8"}), base, layers)
    assert [(c.format, c.layers) for c in few] == [("w4a8", "l1, l3"), ("w2a8", "l2")]
    assert changes(base.replace(dict.fromkeys(layers, "w4a8")), base, layers)[0].layers == "all layers"
    assert changes(base.replace(dict.fromkeys(layers[1:], "w4a8")), base, layers)[0].layers == "all but l0"
    some = changes(base.replace(dict.fromkeys([f"l{i}" for i in range(10)], "w4a8")), base, [*layers, "a", "b", "c", "d"])
    assert some[0].layers == "l0, l1, l2, l3, l4, l5, l6, l7 and 2 more"
