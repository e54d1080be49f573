"""Switches: named groups of rules in which two targets differ, thrown one by one when a difference is attributed.

Every field of `Arithmetic` and of `Scheme` belongs to one switch. A new field is given its place here (a test asks for it).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

By = Literal["rules", "operators", "layers"]

ARITHMETIC_SWITCHES: dict[str, tuple[str, ...]] = {
    "requantization rule": (
        "requantize", "requantize_subbyte", "requantize_grouped", "requantize_small_kernel", "requantize_wide",
    ),
    "accumulator": (
        "accumulator_bits", "overflow", "accumulator_tile", "accumulator_bits_wide", "int16_without_bias", "int16_bias", "layer_output",
    ),
    "multiplier precision": (
        "scale_precision", "product_precision", "multiplier_bits", "product_bits", "scale_exponent_min", "scale_exponent_max",
    ),
    "lookup tables": ("lut", "lut_int16", "elu", "rsqrt_int16"),
    "softmax": ("softmax", "softmax_table_int16"),
    "elementwise rules": ("add", "add_power_of_two", "mul", "rescale", "bounded_relu"),
    "pooling, means and sums": ("avg_pool", "mean", "sum"),
    "lstm": ("lstm",),
    "quantize and dequantize": ("quantize", "dequantize"),
    "float dot product": ("float_products_per_step", "float_fraction_bits", "float_accumulator"),
}  # fmt: skip
"""Switch -> fields of `Arithmetic`."""

SCHEME_SWITCHES: dict[str, tuple[str, ...]] = {
    "scale kind": ("scales",),
    "zero points": ("activations",),
    "weight range": ("weights",),
    "bias width": ("bias_bits", "bias_shift"),
    "shared scales": ("shared_scale",),
}
"""Switch -> fields of `Scheme`: how a float network becomes integers."""

FORMATS, SCALES = "formats", "scales of the plan"
"""Switches of two plans: the formats of the layers, and the scales and options that came with them."""


class Place(NamedTuple):
    """Where a field counts. scope: "all", "op" (of one kind, `name`), "node" (the one called `name`), "layer" (its format)."""

    scope: Literal["all", "op", "node", "layer"]
    name: str
    field: str


class Change(NamedTuple):
    """One field of `Arithmetic` in which the targets differ at one node, and that the node's operator reads."""

    node: str
    op: str
    field: str
    a: object
    b: object


@dataclass(frozen=True)
class Switch:
    """What is thrown together. changes: what it is about, in words."""

    name: str
    places: frozenset[Place]
    changes: tuple[str, ...] = ()


def switch_of(field: str) -> str:
    """Return the switch of a field of `Arithmetic`; one that no switch names is a switch of its own."""
    return next((name for name, fields in ARITHMETIC_SWITCHES.items() if field in fields), field)


def arithmetic_switches(changes: Sequence[Change], by: By) -> list[Switch]:
    """Return the switches of the differences in arithmetic: per rule, per rule and operator, or per node, in this order."""
    order = [*ARITHMETIC_SWITCHES, *(c.field for c in changes)]
    ordered = changes if by == "layers" else sorted(changes, key=lambda c: order.index(switch_of(c.field)))
    found: dict[str, list[Change]] = {}
    for change in ordered:
        rule = switch_of(change.field)
        name = {"rules": rule, "operators": f"{rule} of {change.op}", "layers": change.node}[by]
        found.setdefault(name, []).append(change)
    return [Switch(name, frozenset(_place(c, by) for c in own), _texts(own, by)) for name, own in found.items()]


def _place(change: Change, by: By) -> Place:
    if by == "rules":
        return Place("all", "", change.field)
    return Place("op", change.op, change.field) if by == "operators" else Place("node", change.node, change.field)


def _texts(changes: Sequence[Change], by: By) -> tuple[str, ...]:
    """Return each change once, under "rules" with the operators where it counts."""
    where: dict[str, dict[str, None]] = {}
    for change in changes:
        where.setdefault(describe(change), {})[change.op] = None
    return tuple(f"{text} ({', '.join(ops)})" if by == "rules" else text for text, ops in where.items())


def describe(change: Change) -> str:
    """Return a change in words: 'requantize double -> single'."""
    return f"{change.field} {_text(change.a)} -> {_text(change.b)}"


def _text(value: object) -> str:
    return "as usual" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def make_switch(name: str, entries: Iterable[tuple[Place, str]]) -> Switch:
    """Return a switch from places and what happens there, each said once."""
    entries = list(entries)
    return Switch(name, frozenset(p for p, _ in entries), tuple(dict.fromkeys(text for _, text in entries)))


def merge(switches: Sequence[Switch], name: str) -> Switch:
    """Return one switch that throws several."""
    changes = dict.fromkeys(c if s.name == name else f"{s.name}: {c}" for s in switches for c in s.changes)
    return Switch(name, frozenset().union(*(s.places for s in switches)), tuple(changes))


def merge_by_layer(switches: Sequence[Switch], layers: Sequence[str]) -> list[Switch]:
    """Return the switches with those of one name made one: first what is no layer, then `layers` in their order."""
    place = {name: i for i, name in enumerate(layers)}
    names = sorted(dict.fromkeys(s.name for s in switches), key=lambda name: place.get(name, -1))
    same = {name: [s for s in switches if s.name == name] for name in names}
    return [parts[0] if len(parts) == 1 else merge(parts, name) for name, parts in same.items()]


def grouped(switches: Sequence[Switch], limit: int) -> list[Switch]:
    """Return at most `limit` switches: neighbours are thrown together, in blocks as even as they can be."""
    count = len(switches)
    if count <= limit:
        return list(switches)
    bounds = [count * i // limit for i in range(limit + 1)]
    blocks = [switches[a:b] for a, b in pairwise(bounds)]
    return [block[0] if len(block) == 1 else merge(block, f"{block[0].name} to {block[-1].name}") for block in blocks]


def chosen(switches: Sequence[Switch], mask: int) -> frozenset[Place]:
    """Return the places of the switches whose bits are set in a mask."""
    return frozenset().union(*(s.places for i, s in enumerate(switches) if mask >> i & 1))


def fields_at(places: Collection[Place], op: str, node: str, fields: Iterable[str]) -> tuple[str, ...]:
    """Return which of some fields the places choose at a node."""
    return tuple(f for f in fields if ("all", "", f) in places or ("op", op, f) in places or ("node", node, f) in places)
