"""Tables of what ships with the package: profiles and formats. Nothing here imports the operators, so the lists come at once."""

from __future__ import annotations

from rich.table import Table

from workbench.hardware import list_profiles, load_profile
from workbench.precision import STANDARD_FORMATS, parse_format


def profile_table() -> Table:
    """Return the shipped profiles, one line each."""
    table = Table(title="Hardware profiles (`workbench profiles NAME` says more)")
    for name in ("profile", "kind", "clock", "memories", "conv2d in (* stored narrow, computed as int8)", "bits known from"):
        table.add_column(name, overflow="fold")
    for name in list_profiles():
        p = load_profile(name)
        memories = ", ".join(f"{m.name} {_size(m.size_bytes)}" for m in p.memories)
        channel = [f for f in p.formats("conv2d") if not f.endswith("-per-tensor")]
        formats = ", ".join(f + ("*" if p.emulation("conv2d", f) else "") for f in channel)
        table.add_row(p.name, p.kind, f"{p.clock_hz / 1e6:,.0f} MHz", memories, formats, p.exactness.partition(":")[0])
    return table


def profile_details(name: str) -> list[Table | str]:
    """Return one profile: where everything comes from, and every operator with its formats and arithmetic."""
    p = load_profile(name)
    facts = Table(title=p.title, show_header=False)
    facts.add_column("fact")
    facts.add_column("value", overflow="fold")
    memories = ", ".join(f"{m.name} {_size(m.size_bytes)} ({m.kind})" for m in p.memories)
    for label, value in (("name", p.name), ("kind", p.kind), ("core", p.core), ("runtime", p.runtime), ("clock", f"{p.clock_hz:,} Hz"),
                         ("memories", memories), ("bits", p.exactness), ("source", p.source)):  # fmt: skip
        facts.add_row(label, value)
    table = Table(title="Operators (* the target stores it so and computes otherwise)")
    for column in ("operator", "formats", "arithmetic, where it is not the base"):
        table.add_column(column, overflow="fold")
    for op, entry in p.operators.items():
        formats = ", ".join([*entry.formats, *(f"{f}* ({how})" for f, how in entry.emulated.items())])
        rules = [f"{k}: {v}" for k, v in entry.arithmetic.items()]
        rules += [f"{k}: {v} ({kind})" for kind, own in entry.arithmetic_by_type.items() for k, v in own.items()]
        table.add_row(op, formats, ", ".join(rules))
    base = ", ".join(f"{k}: {v}" for k, v in p.arithmetic_base.items()) or "the defaults (docs/arithmetic.md)"
    return [facts, f"base arithmetic: {base}", table]


def _size(size: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size / 1024:.4g} KiB"


def format_table() -> Table:
    """Return the named formats."""
    table = Table(title="Precision formats")
    for name in ("format", "weights", "activations", "weight scales", "bias"):
        table.add_column(name)
    for name in STANDARD_FORMATS:
        f = parse_format(name)
        scales = "none" if f.is_float else f.granularity.replace("_", " ")
        table.add_row(f.name, f.weight, f.activation, scales, f.bias)
    return table
