"""Switches: named groups of rules in which two targets differ, thrown one by one when a difference is attributed.

Every field of `Arithmetic` and of `Scheme` belongs to one switch, at operators without products to that of their own rules where
the field says how products are requantized. A new field is given its place here (a test asks for it).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

By = Literal["rules", "operators", "layers"]

ARITHMETIC_SWITCHES: dict[str, tuple[str, ...]] = {
    "requantization rule": (
        "requantize", "requantize_subbyte", "requantize_grouped", "requantize_small_kernel", "requantize_undelegated",
        "requantize_wide",
    ),
    "accumulator": (
        "accumulator_bits", "overflow", "accumulator_tile", "accumulator_bits_wide", "int16_without_bias", "int16_bias", "layer_output",
        "fused_activation",
    ),
    "multiplier precision": (
        "scale_precision", "product_precision", "multiplier_bits", "product_bits", "scale_exponent_min", "scale_exponent_max",
    ),
    "lookup tables": ("lut", "lut_int16", "elu", "rsqrt_int16"),
    "softmax": ("softmax", "softmax_table_int16"),
    "elementwise rules": ("add", "add_power_of_two", "mul", "rescale", "bounded_relu", "concat"),
    "resize": ("resize", "resize_nearest"),
    "pooling, means and sums": ("avg_pool", "mean", "sum"),
    "lstm": ("lstm",),
    "dynamic range": ("dynamic_range",),
    "quantize and dequantize": ("quantize", "dequantize", "float_to_int"),
    "float dot product": ("float_products_per_step", "float_fraction_bits", "float_accumulator", "depthwise_float32"),
}  # fmt: skip
"""Switch -> fields of `Arithmetic`."""

PRODUCTS = ("conv2d", "depthwise_conv2d", "transpose_conv2d", "fully_connected", "batch_matmul", "lstm")
SUMS = ("avg_pool2d", "max_pool2d", "mean", "sum")
"""Operators with products and with sums alone; the others work on single elements."""

SCHEME_SWITCHES: dict[str, tuple[str, ...]] = {
    "scale kind": ("scales",),
    "zero points": ("activations",),
    "weight range": ("weights",),
    "bias width": ("bias_bits", "bias_shift"),
    "shared scales": ("shared_scale",),
}
"""Switch -> fields of `Scheme`: how a float network becomes integers."""
PERMISSIONS = ("only",)
"""Fields of `Scheme` that refuse files and change no number."""

FORMATS, SCALES = "formats", "scales of the plan"
"""Switches of two plans: the formats of the layers, and the scales and options that came with them."""


class Place(NamedTuple):
    """Where a field counts.

    scope: "all"; "rule" (operators at which it belongs to the switch `name`); "op" (of one kind, `name`); "node" (the one called
    `name`); "layer" (its format).
    """

    scope: Literal["all", "rule", "op", "node", "layer"]
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
    """What is thrown together. changes: what it is about, in words, each with where, in names (none: everywhere)."""

    name: str
    places: frozenset[Place]
    changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the changes, each said once: 'requantize double -> single (conv2d, fully_connected)'."""
        return tuple(f"{text} ({', '.join(where)})" if where else text for text, where in self.changes.items())


def switch_of(name: str, op: str) -> str:
    """Return the switch of a field of `Arithmetic` at an operator; one that no switch names is a switch of its own."""
    found = next((switch for switch, names in ARITHMETIC_SWITCHES.items() if name in names), name)
    if found != "requantization rule" or op in PRODUCTS:
        return found
    return "pooling, means and sums" if op in SUMS else "elementwise rules"


def arithmetic_switches(changes: Sequence[Change], by: By) -> list[Switch]:
    """Return the switches of the differences in arithmetic: per rule, per rule and operator, or per node, in this order."""
    order = [*ARITHMETIC_SWITCHES, *(c.field for c in changes)]
    ordered = changes if by == "layers" else sorted(changes, key=lambda c: order.index(switch_of(c.field, c.op)))
    found: dict[str, list[Change]] = {}
    for change in ordered:
        rule = switch_of(change.field, change.op)
        name = {"rules": rule, "operators": f"{rule} of {change.op}", "layers": change.node}[by]
        found.setdefault(name, []).append(change)
    return [Switch(name, frozenset(_place(c, by) for c in own), _texts(own, by)) for name, own in found.items()]


def _place(change: Change, by: By) -> Place:
    if by == "rules":
        return Place("rule", switch_of(change.field, change.op), change.field)
    return Place("op", change.op, change.field) if by == "operators" else Place("node", change.node, change.field)


def _texts(changes: Sequence[Change], by: By) -> dict[str, tuple[str, ...]]:
    """Return each change once, under "rules" with the operators where it counts."""
    where: dict[str, tuple[str, ...]] = {}
    for change in changes:
        text = describe(change)
        where[text] = _with(where.get(text, ()), (change.op,) if by == "rules" else ())
    return where


def _with(names: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, *more)))


def describe(change: Change) -> str:
    """Return a change in words: 'requantize double -> single'."""
    return f"{change.field} {_text(change.a)} -> {_text(change.b)}"


def _text(value: object) -> str:
    return "as usual" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def make_switch(name: str, entries: Iterable[tuple[Place, str]]) -> Switch:
    """Return a switch from places and what happens there, each said once."""
    entries = list(entries)
    return Switch(name, frozenset(p for p, _ in entries), {text: () for _, text in entries})


def merge(switches: Sequence[Switch], name: str) -> Switch:
    """Return one switch that throws several; a change without a place is given the name of its switch, unless all have one."""
    changes: dict[str, tuple[str, ...]] = {}
    for s in switches:
        for text, where in s.changes.items():
            changes[text] = _with(changes.get(text, ()), where or (() if s.name == name else (s.name,)))
    return Switch(name, frozenset().union(*(s.places for s in switches)), changes)


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
    """Return which of some fields of `Arithmetic` the places choose at a node."""
    return tuple(
        f
        for f in fields
        if Place("rule", switch_of(f, op), f) in places or Place("op", op, f) in places or Place("node", node, f) in places
    )
