"""Cycles of one layer, as terms that are each proportional to one constant of the profile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, hypot
from typing import Literal

from workbench.cost.counts import LayerWork
from workbench.cost.interval import FITTED, Term
from workbench.errors import ProfileError
from workbench.graph.node_format import WEIGHT_INPUT
from workbench.hardware.costs import BASES, Constant, LatencyCosts, OperatorCost
from workbench.hardware.profile import HardwareProfile
from workbench.precision import PLAIN, UNSIGNED, format_name, parse_format

Bound = Literal["compute", "memory", "overhead"]

SHALLOW = 4
"""Input channels below which a convolution cannot load a 32-bit word of int8 channels: it takes the time of as many."""


def cost_format(profile: HardwareProfile, op: str, fmt: str) -> str:
    """Return the format whose kernel runs: int8 weights where narrower ones are unpacked or widened first, else decoded floats."""
    if fmt == UNSIGNED:  # bytes as well: the kernels of int8 and uint8 are the same work
        fmt = "w8a8" if op in WEIGHT_INPUT else "a8"
    how = profile.emulation(op, fmt)
    if how == "decode":
        return format_name(None, parse_format(fmt).activation)
    if how:
        fmt = "w8" + fmt[2:]
    return fmt.removesuffix("-per-tensor")  # granularity changes no count of cycles in any of the kernels known


def find_row(profile: HardwareProfile, latency: LatencyCosts, op: str, fmt: str) -> tuple[str, OperatorCost]:
    """Return (key, row) for an operator in a format; ProfileError when the profile has no constant for it."""
    wanted = cost_format(profile, op, fmt)
    for name in (op, "any"):
        for row in latency.operators.get(name, ()):
            if wanted in row.formats or wanted == PLAIN:  # no profile prices indices: the first row stands for them
                return f"{name}/{row.formats[0]}", row
    raise ProfileError(
        f"profile '{profile.name}': no cost of {op} in {wanted}, though the profile supports it.\n"
        f"Add a row to $.costs.latency.operators.{op} or $.costs.latency.operators.any."
    )


@dataclass(frozen=True)
class LayerTime:
    """Cycle terms of a layer, what bounds it, and the bytes that it moves (weights and parameters, inputs, outputs)."""

    terms: tuple[Term, ...]
    bound: Bound
    bytes_moved: int


def layer_time(profile: HardwareProfile, latency: LatencyCosts, work: LayerWork, flash_bytes: int) -> LayerTime:
    """Return the cycles of one layer. flash_bytes: weights and parameters that it reads."""
    key, row = find_row(profile, latency, work.op, work.format)
    unpacking = _unpacking(profile, latency, work)
    compute = [*_emulated(_compute_terms(latency, work, key, row), unpacking, latency.layer_uncertainty), *unpacking]
    moves = (
        (latency.flash_bytes_per_cycle, flash_bytes, "flash"),
        (latency.ram_bytes_per_cycle, work.input_bytes + work.output_bytes, "ram"),
    )
    memory = [
        Term(name, count / rate.value, rate.basis, rate.uncertainty, "memory")
        for rate, count, name in moves
        if rate is not None and rate.value
    ]
    overhead = Term.of(f"{key}/fixed" if row.fixed else "layer", row.fixed or latency.layer, 1, "overhead")
    spent = sum(t.amount for t in compute)
    bound = bound_of(spent, max((t.amount for t in memory), default=0.0), overhead.amount)
    terms = [*compute, *memory] if latency.memory == "added" else _longest(compute, memory, spent)
    return LayerTime((*terms, overhead), bound, flash_bytes + work.input_bytes + work.output_bytes)


def bound_of(compute: float, memory: float, overhead: float) -> Bound:
    """Return what the largest share of a layer's time is spent on."""
    if overhead > max(compute, memory):
        return "overhead"
    return "memory" if memory > compute else "compute"


def _longest(compute: list[Term], memory: list[Term], spent: float) -> list[Term]:
    """Return what is seen of work and moves that run side by side: the slowest of them."""
    slowest = max(memory, key=lambda t: t.amount, default=None)
    return compute if slowest is None or slowest.amount <= spent else [slowest]


def _unpacking(profile: HardwareProfile, latency: LatencyCosts, work: LayerWork) -> list[Term]:
    """Return the cycles of bringing weights into the form that the kernel reads."""
    how = profile.emulation(work.op, work.format)
    if how == "decode":
        if latency.decode is None:
            raise ProfileError(f"profile '{profile.name}': no $.costs.latency.decode, needed by {work.op} {work.format}.")
        return [Term.of("decode", latency.decode, work.weights, "unpack")]
    if how != "unpack":
        return []
    unpack = latency.unpack.get(ceil(work.weight_bits))
    if unpack is None:
        raise ProfileError(
            f"profile '{profile.name}': no $.costs.latency.unpack.{work.weight_bits:g}, needed by {work.op} {work.format}."
        )
    return [Term.of(f"unpack/{work.weight_bits:g}", unpack, work.weights, "unpack")]


def _emulated(terms: list[Term], unpacking: list[Term], model: float) -> list[Term]:
    """Return the arithmetic of a kernel that unpacks first: assumed, and wrong together with the unpacking, where that is assumed.

    Nobody has measured such a kernel; the constants are those of the one that reads weights as they are. model: on its layers.
    """
    for unpack in unpacking:
        if unpack.basis == "assumed":
            return [
                replace(t, key=unpack.key, basis="assumed", uncertainty=max(t.uncertainty, unpack.uncertainty, model))
                for t in terms
            ]
    return terms


def host_time(profile: HardwareProfile, host: HardwareProfile, work: LayerWork, flash_bytes: int) -> LayerTime:
    """Return the time of a layer on the host processor, in cycles of the target."""
    if host.costs is None or profile.fallback is None:
        raise ProfileError(f"profile '{host.name}', the host of '{profile.name}', has no section 'costs'.")
    there, factor = layer_time(host, host.costs.latency, work, flash_bytes), profile.fallback.cycles
    terms = tuple(_on_host(term, factor, host.costs.latency.layer_uncertainty) for term in there.terms)
    return LayerTime(terms, there.bound, there.bytes_moved)


def _on_host(term: Term, factor: Constant, model: float) -> Term:
    """Return a term of the host in the target's cycles: as sure as the less sure of both. model: of the host, on fitted constants.

    All are wrong together (one key): the factor is in each of them.
    """
    basis = max(term.basis, factor.basis, key=BASES.index)
    own = max(term.uncertainty, model) if term.basis in FITTED else term.uncertainty
    return Term("host", term.amount * factor.value, basis, hypot(own, factor.uncertainty), "host")


def _compute_terms(latency: LatencyCosts, work: LayerWork, key: str, row: OperatorCost) -> list[Term]:
    mac, name, counted = row.mac, "mac", 1.0
    if work.op == "conv2d" and work.in_channels < SHALLOW and row.shallow is not None:
        mac, name, counted = row.shallow, "shallow", SHALLOW / work.in_channels
    elif work.op == "conv2d" and work.window == 1 and row.pointwise is not None:
        mac, name = row.pointwise, "pointwise"
    macs = work.padded_macs(latency.array) if latency.array is not None and work.weights else work.macs
    parts = (
        (name, mac, macs * counted),
        ("output", row.output, work.outputs),
        ("element", row.element, work.elements),
        ("weight", row.weight, work.weights),
    )
    return [Term.of(f"{key}/{part}", constant, count) for part, constant, count in parts if constant is not None and count]
