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
"""


def page() -> str:
    """Return the page."""
    cases = all_cases()
    counts = Counter(oracle for case in cases for oracle in case.oracles)
    by_oracle = ", ".join(f"{ORACLES[o]} {counts[o]:,}" for o in ORACLES if counts[o])
    head = HEAD.format(total=f"{len(cases):,}", comparisons=f"{sum(counts.values()):,}", by_oracle=by_oracle)
    parts = [head]
    for title, source, known in (("TFLite", "tflite", TFLITE), ("ONNX", "onnx", ONNX)):
        own = [case for case in cases if case.source == source]
        names = {_short(name) for name in known} - {""}
        parts += [f"\n## {title}: {len(names)} operators, {len(own):,} cases\n", *table(own, names)]
    return "\n".join(parts) + "\n"


def _short(name: str) -> str:
    """Return the name of an operator without its domain; '' for what loaders make for themselves."""
    return "" if name.startswith("workbench.") else name.rpartition(".")[2]


def table(cases: Sequence[Case], known: Iterable[str]) -> list[str]:
    """Return the rows: operator, types, runtimes that prove each, cases."""
    by_operator: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_operator[case.operator].append(case)
    rows = ["| operator | types: equal to | cases |", "|---|---|---|"]
    for name in sorted({*known, *by_operator}):
        rows.append(f"| {name} | {_types(by_operator[name]) or 'read by rule, or refused with its reason'} | {len(by_operator[name]) or ''} |")
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
