"""Golden vectors: what a file family must provide, and the comparison that is the same for all of them.

A family turns one case of a file into a one-operator graph; the graph is then run through the ordinary path
(`execute.prepare` with a *profile*), so that what is proven is what users run. See the README beside the vectors for the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

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
    """One line of the table: a file x a producer. `mismatches` of `elements`; `note` says why something was left out.

    failed: something should have been compared and was not. again: the same elements as in another row, compared a second way.
    """

    file: str
    producer: str
    profile: str
    cases: int
    elements: int
    mismatches: int
    max_abs: int
    note: str = ""
    failed: bool = False
    again: bool = False

    @property
    def ok(self) -> bool:
        """True when nothing differs and nothing is missing."""
        return self.mismatches == 0 and not self.failed


@lru_cache(maxsize=16)
def shipped_profile(name: str) -> HardwareProfile:
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
    """Return one row for each maker, in the order of first appearance: its files, profiles, sums; an element counts once."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.elements:
            groups.setdefault(maker_of(row), []).append(row)
    return [
        Row(
            "1 file" if len({r.file for r in group}) == 1 else f"{len({r.file for r in group})} files",
            maker,
            ", ".join(dict.fromkeys(r.profile for r in group)),
            sum(r.cases for r in group if not r.again),
            sum(r.elements for r in group if not r.again),
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


def make_row(file: str, producer: str, profile: str, total: list[int], note: str = "", again: bool = False) -> Row:
    """Return the row of the counts [cases, elements, mismatches, max_abs]."""
    cases, elements, mismatches, max_abs = total
    return Row(file, producer, profile, cases, elements, mismatches, max_abs, note, again=again)


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
