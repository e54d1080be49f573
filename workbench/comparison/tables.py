"""A comparison as text, tables for the terminal, data frames and plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction
from itertools import accumulate
from typing import Any

import pandas as pd
from rich.table import Table

from workbench.comparison.results import Attribution, Comparison, Effects, FirstDifference, Flips, LayerDifference, Sizes
from workbench.report.text import minus, percent, signed, unique_short

NAME_LIMIT = 28
MOST_FLIPS = 12
"""Flips that the terminal shows; compare.json has all."""
CHANGE, CHANGES = 100, 240
"""Characters of one change, and of all in a cell, that the terminal shows; compare.json has all."""


def layer_frame(c: Comparison) -> pd.DataFrame:
    """Return one row per tensor, in execution order; sizes in steps or, where `unit` says so, in real numbers."""
    rows: list[dict[str, Any]] = []
    for layer in c.layers:
        row: dict[str, Any] = {k: getattr(layer, k) for k in ("layer", "op", "tensor", "elements", "unit")}
        for kind, sizes in (("cumulative", layer.cumulative), ("local", layer.local)):
            row |= _columns(kind, sizes, layer.elements)
        rows.append({**row, "rules": "; ".join(layer.changes)})
    return pd.DataFrame(rows)


def _columns(kind: str, sizes: Sizes | None, elements: int) -> dict[str, Any]:
    names = [f"{kind}_{n}" for n in ("differing", "share", "samples", "largest", "mean")]
    if sizes is None:
        return dict.fromkeys(names)
    values = (sizes.differing, sizes.differing / elements, sizes.samples, sizes.largest, sizes.total / elements)
    return dict(zip(names, values, strict=True))


def attribution_frame(a: Attribution) -> pd.DataFrame:
    """Return one row per switch; exact shares as fractions in text beside their decimal value."""
    rows = []
    for c in a.contributions:
        row: dict[str, Any] = {"switch": c.switch, "changes": "; ".join(c.changes)}
        for name in ("flips", "correct", "outputs"):
            share, alone = getattr(c.share, name), getattr(c.alone, name)
            row |= {name: None if share is None else float(share), f"{name}_exact": None if share is None else str(share)}
            row[f"{name}_alone"] = alone
        rows.append(row)
    return pd.DataFrame(rows)


def comparison_json(c: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data; Shapley values as {"exact": "5/2", "value": 2.5}."""
    data = asdict(c)
    if c.attribution is not None:
        data["attribution"]["adds_up"] = c.attribution.exact
    found: dict[str, Any] = _plain(data)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Fraction):
        return {"exact": str(value), "value": float(value)}
    return str(value) if isinstance(value, float) and value - value != 0.0 else value


def summary(c: Comparison) -> Iterator[str]:
    """Yield the lines above the tables."""
    yield f"A: {c.a}"
    yield f"B: {c.b}"
    yield f"{c.model}, {c.samples:,} samples, {len(c.layers)} tensor{'' if len(c.layers) == 1 else 's'}"
    yield from ("", *(_first(c.first) if c.first is not None else ("No tensor differs.",)))


def _first(f: FirstDifference) -> Iterator[str]:
    yield f"First difference: tensor {f.position} of {f.tensors}, the output of {f.op} '{f.layer}'"
    yield (
        f"  {f.sizes.differing:,} of {f.elements:,} elements ({_share(f.sizes.differing, f.elements)}) in {f.sizes.samples:,} of "
        f"{f.samples:,} samples, by at most {_size(f.sizes.largest)} {_unit(f.unit, f.sizes.largest)}"
    )
    yield from (f"  {change}" for change in f.changes)
    where = ", ".join(map(str, f.index))
    yield f"  sample {f.sample} [{where}]: A {minus(f'{f.a:.9g}')}, B {minus(f'{f.b:.9g}')}"
    yield from (f"  {minus(line)}" for line in f.context)


def layer_table(c: Comparison) -> Table:
    """Return the table of layers: as deployed and, where both sides compute, each layer by itself with its rules."""
    own, rules = any(x.local is not None for x in c.layers), any(x.changes for x in c.layers)
    real = any(x.unit == "real" for x in c.layers)
    table = Table(title="Differences per layer")
    table.caption = (
        "as deployed: each side with its own inputs; "
        + ("own: B's layer on A's activations, against A's layer; " if own else "")
        + "max and mean absolute difference in steps of the tensor's integers"
        + (" (r: in real numbers)" if real else "")
    )
    sizes = ["as deployed", "share", "max", "mean", *(["own", "share", "max", "mean"] if own else [])]
    for name in ("layer", "operator", "elements", *sizes, *(["rules"] if rules else [])):
        table.add_column(name, justify="left" if name in ("layer", "operator", "rules") else "right", overflow="fold")
    names = unique_short([x.layer for x in c.layers], NAME_LIMIT)
    for name, layer in zip(names, c.layers, strict=True):
        cells = [*_cells(layer, layer.cumulative), *(_cells(layer, layer.local) if own else [])]
        table.add_row(name, layer.op, f"{layer.elements:,}", *cells, *([changes_text(layer.changes)] if rules else []))
    return table


def _cells(layer: LayerDifference, sizes: Sizes | None) -> list[str]:
    if sizes is None:
        return ["–"] * 4
    if not sizes.differing:
        return ["0", "", "", ""]
    mark = "" if layer.unit == "step" else " r"
    share = _share(sizes.differing, layer.elements)
    return [f"{sizes.differing:,}", share, _size(sizes.largest) + mark, f"{sizes.total / layer.elements:.3g}"]


def flip_lines(f: Flips) -> Iterator[str]:
    """Yield what the differences do to outputs and classes."""
    yield f"Outputs differ in {f.output_samples:,} of {f.samples:,} samples; the class of {len(f.flipped):,} flips."
    if not f.output_samples:
        yield "  the outputs of both sides are identical" + (
            "" if f.correct_a is None else f"; correct: {_correct(f, f.correct_a)}"
        )
    elif f.correct_a is None or f.correct_b is None or f.change is None:
        yield "No labels: whether a flip helps or harms is not known."
    else:
        low, high = signed(100 * f.change.low, 2), signed(100 * f.change.high, 2)
        yield f"  gained {f.gained} (B alone is right), lost {f.lost} (A alone is right), both wrong {f.both_wrong}"
        yield (
            f"  correct: A {_correct(f, f.correct_a)}, B {_correct(f, f.correct_b)}; "
            f"change {signed(100 * f.change.estimate, 2)} points, 95 % interval of the paired difference {low} to {high}"
        )
    for flip in f.flipped[:MOST_FLIPS]:
        yield f"  sample {flip.sample}: {flip.a} -> {flip.b}" + ("" if flip.label is None else f" (label {flip.label})")
    if len(f.flipped) > MOST_FLIPS:
        yield f"  and {len(f.flipped) - MOST_FLIPS} more (compare.json of --out has all)"


def _correct(f: Flips, count: int) -> str:
    return f"{count:,} ({percent(count / f.samples, 2)})"


def attribution_table(a: Attribution) -> Table:
    """Return the contributions of the switches, their sum and what was counted on B itself."""
    table = Table(title=f"Attribution: Shapley values over {a.coalitions:,} hybrids of A and B, exact")
    table.caption = "changes against A; alone: this switch thrown and no other (these need not add up)"
    labels = a.total.correct is not None
    columns = ["flips", *(["correct"] if labels else []), "outputs"]
    table.add_column("switch", overflow="fold")
    for name in (*columns, *(f"{n} alone" for n in columns)):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("what changes", overflow="fold")
    for c in a.contributions:
        alone = [str(getattr(c.alone, n)) for n in columns]
        table.add_row(c.switch, *_effects(c.share, columns), *map(minus, alone), changes_text(c.changes))
    table.add_section()
    table.add_row("sum", *_effects(a.sum, columns), *[""] * len(columns), "")
    table.add_row("counted on B", *_effects(a.total, columns), *[""] * len(columns), "equal" if a.exact else "NOT EQUAL")
    return table


def changes_text(changes: Sequence[str]) -> str:
    """Return changes for a cell: long ones are cut, and of many the first ones are there."""
    shown = [text if len(text) <= CHANGE else text[: CHANGE - 1].rstrip() + "…" for text in changes]
    count = max(sum(end <= CHANGES for end in accumulate(len(text) + 2 for text in shown)), 1)
    left = len(shown) - count
    return "; ".join(shown[:count]) + (f"; and {left} more" if left > 0 else "")


def _effects(e: Effects, columns: list[str]) -> list[str]:
    return [fraction_text(Fraction(getattr(e, name))) for name in columns]


def fraction_text(value: Fraction) -> str:
    """Return an exact share: '7', '9/2 = 4.5', '5947/2520 = 2.36'."""
    return minus(str(value) if value.denominator == 1 else f"{value} = {float(value):.4g}")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %"


def _size(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _unit(unit: str, size: int | float) -> str:
    return "(real numbers)" if unit == "real" else "step" if size == 1 else "steps"


def print_comparison(c: Comparison, say: Callable[[str], object], show: Callable[[Table], object]) -> None:
    """Print a comparison: `say` takes a line, `show` a table."""
    for line in summary(c):
        say(line)
    show(layer_table(c))
    if c.flips is not None:
        for line in flip_lines(c.flips):
            say(line)
    if c.attribution is not None and c.attribution.contributions:
        show(attribution_table(c.attribution))
    notes = c.notes if c.attribution is None else (*c.notes, *c.attribution.notes)
    for note in notes:
        say(f"Note: {note}")
