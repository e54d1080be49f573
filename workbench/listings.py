"""Tables of what ships with the package: profiles and formats. Nothing here imports the operators, so the lists come at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from workbench.hardware import HardwareProfile, list_profiles, load_profile
from workbench.hardware.profile import Scheme
from workbench.numerics.codings import CODINGS, SPARSE
from workbench.precision import GRAMMAR, STANDARD_FORMATS, Format, parse_format

KINDS = ("mcu", "npu", "gpu", "cpu")
PROOFS = {
    "silicon": ("silicon", "outputs of the device itself"),
    "runtime": ("runtime's own code", "the runtime's own code, run elsewhere"),
    "reference_model": ("reference model", "a model of the device that was written by others"),
    "rule": ("rule only", "the rule alone, as documented or read in source; no outputs were compared"),
}
"""How the bits of a target are known, best first: in a word, and in words."""


def profiles_by_kind() -> list[HardwareProfile]:
    """Return the shipped profiles: microcontrollers, NPUs, GPUs, CPUs; by name within a kind."""
    return sorted(map(load_profile, list_profiles()), key=lambda p: (KINDS.index(p.kind), p.name))


COLUMNS = ("kind", "profile", "clock", "flash + RAM", "conv2d in (* computed as int8)", "bits known from")


def profile_rows() -> list[tuple[str, ...]]:
    """Return the shipped profiles as rows of COLUMNS."""
    rows: list[tuple[str, ...]] = []
    for p in profiles_by_kind():
        memories = " + ".join(_size(p.size_bytes(kind)) for kind in ("flash", "ram") if p.size_bytes(kind))
        rows.append((p.kind, p.name, _clock(p.clock_hz), memories, _shown_formats(p, "conv2d"), PROOFS[p.proof][0]))
    return rows


def profile_table() -> Table:
    """Return the shipped profiles, one line each, a section for each kind."""
    table = Table(title="Hardware profiles (`workbench profiles NAME` says more)")
    for name in COLUMNS:
        right, whole = name in ("clock", "flash + RAM"), name in ("kind", "profile", "bits known from")
        table.add_column(name, overflow="fold", justify="right" if right else "left", no_wrap=whole)
    rows = profile_rows()
    for row, after in zip(rows, [*rows[1:], rows[-1]], strict=True):
        table.add_row(*row, end_section=row[0] != after[0])
    return table


def _clock(hz: int) -> str:
    return f"{hz / 1e9:.4g} GHz" if hz >= 10**9 else f"{hz / 1e6:.4g} MHz"


def _shown_formats(p: HardwareProfile, op: str) -> str:
    """Return the formats of an operator; 2:4, and one scale per tensor where there is one per channel too, are left to the details."""
    formats = p.formats(op)
    twins = {f for f in formats if f.endswith("-per-tensor") and f.removesuffix("-per-tensor") in formats}
    shown = [f for f in formats if f not in twins and not f.endswith("-2:4")]
    return ", ".join(f + ("*" if p.emulation(op, f) else "") for f in shown)


def profile_details(name: str) -> list[Table | str]:
    """Return one profile: where everything comes from, and every operator with its formats, arithmetic and constraints."""
    p = load_profile(name)
    facts = Table(title=p.title, show_header=False)
    facts.add_column("fact")
    facts.add_column("value", overflow="fold")
    memories = ", ".join(f"{m.name} {_size(m.size_bytes)} ({m.kind})" for m in p.memories)
    for label, value in (
        ("name", p.name), ("kind", p.kind), ("core", p.core), ("runtime", p.runtime), ("clock", f"{p.clock_hz:,} Hz"),
        ("memories", memories), ("bits known from", PROOFS[p.proof][1]), ("that covers", p.exactness), ("source", p.source),
        ("arithmetic", _rules(p.arithmetic_base, p.arithmetic_by_type, "\n") or "the defaults (docs/arithmetic.md)"),
        ("quantization", _scheme(p.quantization)), ("what it cannot run", _fallback(p)),
    ):  # fmt: skip
        facts.add_row(label, value)
    rows = [_operator_row(p, op) for op in p.operators]
    titles = (
        "operator",
        "formats (* the target stores it so and computes otherwise)",
        "arithmetic, where it differs",
        "constraints",
        "note",
    )
    kept = [i for i in range(len(titles)) if i < 2 or any(row[i] for row in rows)]
    table = Table(title="Operators")
    for i in kept:
        table.add_column(titles[i], overflow="fold", no_wrap=i == 0)
    for row in rows:
        table.add_row(*(row[i] for i in kept))
    return [facts, table]


def _operator_row(p: HardwareProfile, op: str) -> tuple[str, ...]:
    entry = p.operators[op]
    formats = ", ".join(
        [*entry.formats, *(f"{f}* ({how})" for f, how in entry.emulated.items()), *(f"{f} (files)" for f in entry.files)]
    )
    constraints = "\n".join(c.text for c in entry.constraints)
    return op, formats, _rules(entry.arithmetic, entry.arithmetic_by_type, ", "), constraints, entry.note


def _rules(rules: Mapping[str, Any], by_type: Mapping[str, Mapping[str, Any]], separator: str) -> str:
    """Return arithmetic rules as text: those for all types, then those of each type."""
    parts = [", ".join(f"{k}: {v}" for k, v in rules.items())] if rules else []
    return separator.join(
        parts + [f"{kind}: " + ", ".join(f"{k}: {v}" for k, v in own.items()) for kind, own in by_type.items()]
    )


def _scheme(scheme: Scheme) -> str:
    own = {name: value for name, value in scheme if value != getattr(Scheme(), name)}
    said = ", ".join(f"{name}: {', '.join(value) if isinstance(value, tuple) else value}" for name, value in own.items())
    return said or "as TFLite: float32 scales, int8 with any zero point, int16 with zero point 0, 32-bit bias"


def _fallback(p: HardwareProfile) -> str:
    if p.fallback is None:
        return "is not supported"
    return f"runs on its host, as {Path(p.fallback.profile).stem} computes it ({', '.join(p.fallback.formats)}); {p.fallback.source}"


def _size(size: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1024:.4g} KiB"


def format_table() -> Table:
    """Return the named formats, with what a weight takes as it is stored."""
    table = Table(title="Precision formats (docs/formats.md)", caption=GRAMMAR)
    table.add_column("format", no_wrap=True)
    for name in ("weights", "bits a weight", "weight scales", "activations", "writes", "bias", "storage as in"):
        table.add_column(name, overflow="fold")
    for name in STANDARD_FORMATS:
        f = parse_format(name)
        weights = f.coding if f.coding not in ("", SPARSE) else f.weight
        source = CODINGS[f.coding].source if f.coding else ""
        table.add_row(f.name, weights, f"{f.weight_bits:.6g}", _scales(f), f.activation, f.output, f.bias, source)
    return table


def _scales(f: Format) -> str:
    """Return what the weights of a format are scaled by."""
    if f.coding not in ("", SPARSE):
        coding = CODINGS[f.coding]
        return f"{coding.scale}{'' if coding.row_bytes else f', per {coding.block}'}"
    return "none" if f.is_float and not f.is_dynamic else f.granularity.replace("_", " ")
