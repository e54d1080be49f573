"""Every rule has its switch; switches by rule, operator and layer; blocks of neighbours."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import pytest

from workbench.comparison.switches import (
    ARITHMETIC_SWITCHES,
    PERMISSIONS,
    SCHEME_SWITCHES,
    Change,
    Switch,
    arithmetic_switches,
    chosen,
    fields_at,
    grouped,
    merge,
    merge_by_layer,
    switch_of,
)
from workbench.hardware.profile import Scheme
from workbench.numerics.arithmetic import Arithmetic

CHANGES = [
    Change("c1", "conv2d", "requantize", "double", "single"),
    Change("a1", "add", "add", "fixed_point", "xnnpack"),
    Change("c2", "conv2d", "requantize", "double", "single"),
    Change("f1", "fully_connected", "requantize", "double", "single"),
]


@pytest.mark.parametrize(
    ("table", "known"),
    [
        (ARITHMETIC_SWITCHES, [f.name for f in fields(Arithmetic)]),
        ({**SCHEME_SWITCHES, "none": PERMISSIONS}, list(Scheme.model_fields)),
    ],
)
def test_every_field_belongs_to_exactly_one_switch(table: dict[str, tuple[str, ...]], known: list[str]) -> None:
    counts = Counter(f for names in table.values() for f in names)
    assert set(counts) == set(known), "give a new field its place in comparison/switches.py"
    assert set(counts.values()) == {1}


def test_by_rules_a_switch_counts_everywhere() -> None:
    rule, other = arithmetic_switches(CHANGES, "rules")
    assert (rule.name, other.name) == ("requantization rule", "elementwise rules")
    assert rule.texts == ("requantize double -> single (conv2d, fully_connected)",)
    assert fields_at(rule.places, "depthwise_conv2d", "any", ["requantize", "add"]) == ("requantize",)


def test_how_operators_without_products_requantize_belongs_to_their_own_rules() -> None:
    changes = [CHANGES[0], *(Change("n", op, "requantize", "double", "single") for op in ("add", "mean"))]
    found = {s.name: s for s in arithmetic_switches(changes, "rules")}
    for name, op in (("requantization rule", "conv2d"), ("elementwise rules", "add"), ("pooling, means and sums", "mean")):
        own = found.pop(name)
        assert own.texts == (f"requantize double -> single ({op})",)
        for other in ("conv2d", "add", "mean"):
            assert fields_at(own.places, other, "n", ["requantize"]) == (("requantize",) if other == op else ())
    assert not found


def test_merged_switches_say_each_change_once() -> None:
    a, b, c = (Switch(n, frozenset(), {text: ()}) for n, text in (("c1", "r 1 -> 2"), ("c2", "r 1 -> 2"), ("c3", "s 1 -> 2")))
    both = merge((merge((a, b), "c1 to c2"), c), "c1 to c3")
    assert both.texts == ("r 1 -> 2 (c1, c2)", "s 1 -> 2 (c3)")


def test_by_operators_a_switch_counts_in_one_kind_of_operator() -> None:
    found = arithmetic_switches(CHANGES, "operators")
    assert [s.name for s in found] == [
        "requantization rule of conv2d", "requantization rule of fully_connected", "elementwise rules of add",
    ]  # fmt: skip
    assert fields_at(found[0].places, "conv2d", "c9", ["requantize"]) == ("requantize",)
    assert fields_at(found[0].places, "fully_connected", "conv2d", ["requantize"]) == ()


def test_by_layers_a_switch_counts_at_one_node() -> None:
    found = arithmetic_switches(CHANGES, "layers")
    assert [s.name for s in found] == ["c1", "a1", "c2", "f1"]
    assert fields_at(found[2].places, "conv2d", "c2", ["requantize"]) == ("requantize",)
    assert fields_at(found[2].places, "c2", "c1", ["requantize"]) == ()


def test_layers_stand_in_network_order_after_what_is_no_layer() -> None:
    names = ("scale kind", "late", "early", "late")
    found = merge_by_layer([Switch(n, frozenset(), {f"{i}": ()}) for i, n in enumerate(names)], ["early", "late"])
    assert [(s.name, s.texts) for s in found] == [("scale kind", ("0",)), ("early", ("2",)), ("late", ("1", "3"))]


@pytest.mark.parametrize("count", [1, 4, 5, 11])
def test_blocks_of_neighbours_are_as_even_as_they_can_be(count: int) -> None:
    switches = [
        s for c in [f"n{i}" for i in range(count)] for s in arithmetic_switches([CHANGES[0]._replace(node=c)], "layers")
    ]
    blocks = grouped(switches, 4)
    assert len(blocks) == min(count, 4)
    sizes = [len(b.places) for b in blocks]
    assert sum(sizes) == count and max(sizes) - min(sizes) <= 1
    assert chosen(blocks, (1 << len(blocks)) - 1) == chosen(switches, (1 << count) - 1)


def test_a_field_without_a_switch_is_one_of_its_own() -> None:
    assert switch_of("overflow", "add") == "accumulator" and switch_of("never_heard_of", "add") == "never_heard_of"
