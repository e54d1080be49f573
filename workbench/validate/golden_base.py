"""Golden vectors: what a file family must provide, and the comparison that is the same for all of them.

A family turns one case of a file into a one-operator graph; the graph is then run through the ordinary path
(`execute.prepare` with a *profile*), so that what is proven is what users run. See the README beside the vectors for the fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data import read_arrays
from workbench.errors import InputError, UnsupportedError
from workbench.execute import prepare
from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.hardware import load_profile
from workbench.hardware.profile import HardwareProfile
from workbench.registry import Registry

PRODUCERS: dict[str, str] = {
    "litert_ref": "x86-litert-reference",
    "litert_opt": "x86-litert-builtin",
    "litert_xnn": "x86-litert-xnnpack",
    "tflm": "stm32l4r5-cortex-m4-tflm",
    "cmsis_dr": "stm32l4r5-cortex-m4-tflm",
    "cmsis_sr": "cortex-m-cmsis-nn-single-rounding",
}
"""Who made the outputs -> the profile that claims the same bits."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a file x a producer. `mismatches` of `elements`; `note` says why something was left out."""

    file: str
    producer: str
    profile: str
    cases: int
    elements: int
    mismatches: int
    max_abs: int
    note: str = ""

    @property
    def ok(self) -> bool:
        """True when nothing differs."""
        return self.mismatches == 0


@lru_cache(maxsize=16)
def _profile(name: str) -> HardwareProfile:
    """Return a shipped profile, parsed once: a folder has thousands of cases."""
    return load_profile(name)


CaseBuilder = Callable[[Mapping[str, Any], Mapping[str, Array]], tuple[Graph, dict[str, Array]]]
"""(JSON of the case, arrays of the case by field name) -> graph and raw inputs."""

CheckFile = Callable[[Path], list[Row]]
"""Path of the .npz -> rows, for families that are not single TFLite operators."""

FAMILIES: Registry[CaseBuilder] = Registry("golden family")
"""`litert_<family>` / `cmsis_<family>` file stems without the prefix -> how to build a case."""

CHECKS: Registry[CheckFile] = Registry("golden file")
"""Whole file stems (nvidia_hw, mma_sim, ...) -> how to check them."""

OTHERS: Registry[CheckFile] = Registry("companion file")
"""Names of files that hold no vectors (tables, summaries, estimates, solutions) -> how to check them."""

MAKERS: dict[str, str] = {
    "litert_ref": "LiteRT 2.3.0, reference kernels",
    "litert_opt": "LiteRT 2.3.0, optimised kernels, no delegate",
    "litert_xnn": "LiteRT 2.3.0 as it comes (XNNPACK)",
    "tflm": "tflite-micro",
    "cmsis_dr": "CMSIS-NN, default rounding",
    "cmsis_sr": "CMSIS-NN, single rounding",
    "nvidia_hw": "real GPU",
    "mma_sim": "MMA-Sim",
    "fp_formats": "ml_dtypes, microxcaling",
    "gguf_quant": "llama.cpp (gguf)",
    "tosa_reference": "TOSA reference model",
    "ai8x_max78000": "ai8x-synthesis (MAX78000)",
    "ort_vnni": "ONNX Runtime 1.31.1, AVX512-VNNI",
    "ort_avx2": "ONNX Runtime 1.31.1, AVX2 without VNNI",
}
"""Name of a producer, or file whose rows all have one maker -> who made the vectors, for the summary."""


def maker_of(row: Row) -> str:
    """Return who made the vectors of a row."""
    maker = MAKERS.get(row.file) or MAKERS.get(row.producer) or row.producer
    return f"{maker} {row.producer.split()[0]}" if maker == "real GPU" else maker


def by_maker(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each maker, in the order of first appearance: its files, profiles, sums."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.elements:
            groups.setdefault(maker_of(row), []).append(row)
    return [
        Row(
            "1 file" if len({r.file for r in group}) == 1 else f"{len({r.file for r in group})} files",
            maker,
            ", ".join(dict.fromkeys(r.profile for r in group)),
            sum(r.cases for r in group),
            sum(r.elements for r in group),
            sum(r.mismatches for r in group),
            max(r.max_abs for r in group),
        )
        for maker, group in groups.items()
    ]


def single_op(op: str, attrs: Any, inputs: list[Tensor | None], output: Tensor) -> Graph:
    """Return the graph of one operator."""
    present = [t for t in inputs if t is not None]
    node = Node("op", op, tuple(t.name if t else "" for t in inputs), (output.name,), attrs)
    feeds = tuple(t.name for t in present if not t.is_constant)
    return Graph("golden", (node,), {t.name: t for t in [*present, output]}, feeds, (output.name,))


def load_cases(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Array]]]:
    """Yield (JSON, arrays by field) of every case of `path` (.npz with a .json beside it)."""
    try:
        cases = json.loads(path.with_suffix(".json").read_text())
    except (OSError, ValueError) as problem:
        raise InputError(f"{path.with_suffix('.json')}: not the JSON of golden vectors: {problem}.") from None
    fields: dict[str, dict[str, Array]] = {}
    for key, array in read_arrays(path).items():
        case_id, _, field = key.partition("/")
        fields.setdefault(case_id, {})[field] = array
    for case in cases:
        yield case, fields.get(case["id"], {})


def expected_outputs(case: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return producer -> output. A producer equal to the base output is not stored again (`equal_to_ref` says so)."""
    stored = {k.removeprefix("y__"): v for k, v in arrays.items() if k.startswith("y__")}
    base = stored.get("litert_ref", stored.get("tflm"))
    for producer, difference in case.get("equal_to_ref", {}).items():
        if producer not in stored and difference["ndiff"] == 0 and base is not None:
            stored[producer] = base
    return stored


def check_single_op_file(path: Path, skip: Callable[[Mapping[str, Any], str], str] | None = None) -> list[Row]:
    """Compare every case of a `litert_*` or `cmsis_*` file with every producer's outputs, each under its profile."""
    prefix, _, family = path.stem.partition("_")
    build = FAMILIES[family]
    source = path if prefix == "litert" else path.with_name(f"litert_{family}.npz")
    inputs = {c["id"]: (c, a) for c, a in load_cases(source)}
    totals: dict[str, list[int]] = {}
    notes: dict[str, dict[str, int]] = {}
    for case, arrays in load_cases(path):
        full_case, full_arrays = inputs[case["id"]]
        graph, feed = build(full_case, full_arrays)
        for producer, want in expected_outputs(case, arrays).items():
            profile = PRODUCERS.get(producer)
            if profile is None:
                continue
            total = totals.setdefault(producer, [0, 0, 0, 0])
            reason = skip(full_case | case, producer) if skip else ""
            if not reason:
                try:
                    got = prepare(graph, _profile(profile)).run(feed)[graph.outputs[0]]
                    count(total, got, want)
                except UnsupportedError as problem:
                    reason = str(problem).splitlines()[0]
            if reason:
                notes.setdefault(producer, {}).setdefault(reason, 0)
                notes[producer][reason] += 1
    return [
        make_row(
            path.stem,
            producer,
            PRODUCERS[producer],
            total,
            "; ".join(f"{n} cases: {r}" for r, n in notes.get(producer, {}).items()),
        )
        for producer, total in totals.items()
    ]


def make_row(file: str, producer: str, profile: str, total: list[int], note: str = "") -> Row:
    """Return the row of the counts [cases, elements, mismatches, max_abs]."""
    cases, elements, mismatches, max_abs = total
    return Row(file, producer, profile, cases, elements, mismatches, max_abs, note)


def count(total: list[int], got: Array, want: Array) -> None:
    """Add one comparison to [cases, elements, mismatches, max_abs]; a wrong shape or type counts as all wrong."""
    total[0] += 1
    total[1] += want.size
    if got.shape != want.shape or got.dtype != want.dtype:
        total[2] += want.size
        return
    difference = np.abs(got.astype(np.int64) - want.astype(np.int64))
    total[2] += int((difference != 0).sum())
    total[3] = max(total[3], int(difference.max(initial=0)))
