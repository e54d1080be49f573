"""`python -m benchmarks.operators_table` writes docs/operators.md from the loaders and the operator cases that the tests run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.operators.case import ORACLES, Case, all_cases
from workbench.loaders.onnx.ops import TRANSLATORS as ONNX
from workbench.loaders.tflite.ops import TRANSLATORS as TFLITE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operators.md"
SHORT = {
    "litert_ref": "reference", "litert_opt": "builtin", "litert_xnn": "XNNPACK", "tflm": "tflite-micro", "onnxruntime": "ONNX Runtime"
}  # fmt: skip
HEAD = """# Operators

Made by `python -m benchmarks.operators_table` from the loaders and from the cases of `tests/operators/`, which `make test` runs: what
stands here as proven was compared there, integers bit for bit, floats within the tolerance of the case (1e-5 of the largest value
unless the case says otherwise). {total} cases, {comparisons} comparisons with a runtime: {by_oracle}.

Types: `int8`, `int16`, `uint8` are activations with a scale; `int32`, `int64`, `bool` plain values (indices, masks, sizes);
`float32` real numbers; others say what they are. An operator without a case here is marked so.
A file with any other operator is refused with a message that names it.
Names of ONNX's operators stand without their domain. Networks of several operators: {networks} more cases.
QONNX (`Quant`, `IntQuant`, `BipolarQuant`, `Trunc`) has no runtime among these: `tests/loaders/test_onnx_quantized.py` compares it with
the formulas of its specification.
"""
WHOLE = "network"
"""What cases of several operators give as their operator."""
NOTES = {"WHILE": "always refused: repeats as often as the numbers say; export with a fixed number of steps"}
"""Operators that loaders know only to say more than 'not supported'."""


def page() -> str:
    """Return the page."""
    every = all_cases()
    cases = [case for case in every if case.operator != WHOLE]
    counts = Counter(oracle for case in every for oracle in case.oracles)
    by_oracle = ", ".join(f"{ORACLES[o]} {counts[o]:,}" for o in ORACLES if counts[o])
    head = HEAD.format(
        total=f"{len(every):,}", comparisons=f"{sum(counts.values()):,}", by_oracle=by_oracle, networks=len(every) - len(cases)
    )
    parts = [head]
    for title, source, known in (("TFLite", "tflite", TFLITE), ("ONNX", "onnx", ONNX)):
        own = [case for case in cases if case.source == source]
        names = {_short(name) for name in known} - {""}
        parts += [f"\n## {title}: {len(names - {*NOTES})} operators, {len(own):,} cases\n", *table(own, names)]
    return "\n".join(parts) + "\n"


def _short(name: str) -> str:
    """Return the name of an operator without its domain; '' for what loaders make for themselves."""
    return "" if name.startswith("workbench.") else name.rpartition(".")[2]


def table(cases: Sequence[Case], known: Iterable[str]) -> list[str]:
    """Return the rows: operator, types, runtimes that prove each, cases."""
    by_operator: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_operator[_short(case.operator)].append(case)
    rows = ["| operator | types: equal to | cases |", "|---|---|---|"]
    for name in sorted({*known, *by_operator}):
        shown = _types(by_operator[name]) or NOTES.get(name, "read by rule, or refused with its reason")
        rows.append(f"| {name} | {shown} | {len(by_operator[name]) or ''} |")
    return rows


def _types(cases: Sequence[Case]) -> str:
    """Return 'int8, int16: reference, builtin; float32: ...': types with the same runtimes together."""
    found: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        found[case.types] |= {*case.oracles}
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for types in sorted(found):
        together[tuple(o for o in SHORT if o in found[types])].append(types)
    return "; ".join(f"{', '.join(types)}: {', '.join(SHORT[o] for o in oracles)}" for oracles, types in together.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.name} written")
