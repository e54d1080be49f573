"""Golden vectors of float arithmetic: real GPUs (`nvidia_hw`), MMA-Sim (`mma_sim`), casts (`fp_formats`).

Every tensor-core set is compared twice where it can be: by the integer rule, and (fp16 inputs) by the matrix kernel
that layers use. Sets that no known rule reproduces are listed with what is known of them, never left out in silence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.graph.ir import Array
from workbench.hardware import load_profile
from workbench.kernels.gemm_f16 import gemm_f16
from workbench.numerics.float16 import (
    bf16_to_f32_array,
    f16_to_f32_array,
    f32_to_bf16_array,
    f32_to_f16_array,
)
from workbench.numerics.float_formats import FORMATS
from workbench.numerics.tensor_core import ACCUMULATOR_CODES, DotRule, dot_add, rule_of
from workbench.validate.golden_base import CHECKS, Row, count

HOPPER = "nvidia-h100-fp16"
"""The profile that claims the bits of the Hopper fp16 sets: those run under its numbers, not under the file's."""

OUTPUTS = {"truncation": "float32", "e8m13 truncation": "float32_e8m13", "rne": "float16",
           "f32": "float32", "f32_e8m13": "float32_e8m13", "f16": "float16"}  # fmt: skip
"""Output rule as the two files name it -> `Arithmetic.float_accumulator`."""

FP64_UNIT = "fp64 (a chain of IEEE fused multiply-adds): the workbench has no fp64 format"
NOT_REPRODUCED = {
    ("H100", "E4M3 -> fp16"): "not in the folder: about 36 % of the public vectors differ by one unit from every known rule",
    ("H100", "E5M2 -> fp16"): "not in the folder: as above",
    ("H200", "E4M3 -> fp16"): "not in the folder: as above",
    ("H200", "E5M2 -> fp16"): "not in the folder: as above",
    ("B200", "E4M3 -> fp16"): "not in the folder: as above",
    ("B200", "E4M3 -> fp32"): "not in the folder: as above",
    ("B200", "E5M2 -> fp16"): "not in the folder: as above",
    ("B200", "E5M2 -> fp32"): "not in the folder: as above",
}
"""(GPU, formats) of the public validation data that no rule reproduces. Source: ARITHMETIC.md section 5."""


def _load(path: Path) -> tuple[Any, dict[str, Array]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return json.loads(path.with_suffix(".json").read_text()), {k: arrays[k] for k in arrays.files}
    except (OSError, ValueError) as problem:
        raise InputError(f"{path}: not a golden file with its JSON: {problem}.") from None


def _vectors(path: Path, arrays: Mapping[str, Array], case: str) -> tuple[Array, Array, Array, Array]:
    try:
        a, b, c, d = (arrays[f"{case}/{field}"] for field in "abcd")
    except KeyError as missing:
        raise InputError(f"{path}: array {missing} is missing.") from None
    return a, b, c, d


def _row(file: str, producer: str, profile: str, got: Array, want: Array, note: str) -> Row:
    total = [0, 0, 0, 0]
    count(total, got, want)
    return Row(file, producer, profile, len(want), total[1], total[2], total[3], note)


def _by_gemm(a: Array, b: Array, c: Array, rule: DotRule) -> Array:
    """Return d by the matrix kernel: all pairs of rows, of which the diagonal is asked for."""
    start = f16_to_f32_array(c) if rule.is_float16 else c.view(np.float32)
    out = []
    for first in range(0, len(a), 64):
        part = slice(first, first + 64)
        full = np.repeat(start[part, None], len(a[part]), axis=1)
        values = np.diagonal(gemm_f16(a[part], b[part], rule, c=full, output="accumulator"))
        out.append(f32_to_f16_array(values) if rule.is_float16 else np.ascontiguousarray(values).view(np.uint32))
    return np.concatenate(out)


def _rows(
    path: Path, vectors: tuple[Array, Array, Array, Array], producer: str, formats: tuple[str, str], rule: DotRule, profile: str
) -> list[Row]:
    a, b, c, d = vectors
    note = f"{rule.products_per_step} products a step, {rule.fraction_bits} fraction bits"
    rows = [_row(path.stem, producer, profile, dot_add(a, b, c, *formats, rule), d, f"integer rule: {note}")]
    if formats == ("fp16", "fp16"):
        rows.append(_row(path.stem, producer, profile, _by_gemm(a, b, c, rule), d, f"matrix kernel: {note}"))
    return rows


def check_nvidia_hw(path: Path) -> list[Row]:
    """Compare with what real GPUs computed: one or two rows for each GPU and format set."""
    cases, arrays = _load(path)
    rows: list[Row] = []
    for case in cases:
        name = case["ab_format"].lower()
        producer = f"{case['gpu']} {case['ab_format']} -> {case['cd_format']}"
        rule = DotRule(case["block"], case["fraction_bits"], ACCUMULATOR_CODES[OUTPUTS[case["output"]]])
        profile = "rule of the file"
        if case["gpu"] == "H100" and name == "fp16" and case["cd_format"] == "fp32":
            rule, profile = rule_of(load_profile(HOPPER).arithmetic("fully_connected", "float16")), HOPPER
        rows += _rows(path, _vectors(path, arrays, case["id"]), producer, (name, name), rule, profile)
    rows += [Row(path.stem, f"{gpu} {formats}", "-", 0, 0, 0, 0, note) for (gpu, formats), note in NOT_REPRODUCED.items()]
    return rows


def check_mma_sim(path: Path) -> list[Row]:
    """Compare with MMA-Sim: one or two rows for each instruction, infinities and NaN included."""
    index, arrays = _load(path)
    rows: list[Row] = []
    for case in index["instructions"]:
        types = case["instruction"].split(".")[2:4]
        a_format, b_format = ({"f16": "fp16"}.get(t, t) for t in types)
        producer = f"{case['arch']} {case['instruction']}"
        if a_format not in FORMATS or b_format not in FORMATS:
            rows.append(Row(path.stem, producer, "-", 0, 0, 0, 0, f"{case['n_vectors']} vectors not covered: {FP64_UNIT}"))
            continue
        per_step = case["k"] // 2 if case["split_k"] else case["k"]
        rule = DotRule(per_step, case["fraction_bits"], ACCUMULATOR_CODES[OUTPUTS[case["output_type"]]])
        rows += _rows(path, _vectors(path, arrays, case["id"]), producer, (a_format, b_format), rule, "rule of the file")
    return rows


def check_fp_formats(path: Path) -> list[Row]:
    """Compare fp16 and bf16 casts, both ways; the narrower formats of the file are listed as not covered yet."""
    _, arrays = _load(path)
    v = arrays["v"]
    casts = {"float16": (f32_to_f16_array, f16_to_f32_array), "bfloat16": (f32_to_bf16_array, bf16_to_f32_array)}
    rows = []
    for name, (narrow, widen) in casts.items():
        codes = arrays[f"cast_{name}"]
        rows.append(_row(path.stem, f"cast {name}", "-", narrow(v), codes, "patterns, NaN included"))
        want = arrays[f"back_{name}"].view(np.uint32)
        rows.append(_row(path.stem, f"back {name}", "-", widen(codes).view(np.uint32), want, "patterns, NaN included"))
    covered = {"v", "x", "cast_float16", "back_float16", "cast_bfloat16", "back_bfloat16"}
    for name in sorted({k.split("_", 1)[1] for k in arrays if k not in covered}):
        rows.append(Row(path.stem, name, "-", 0, 0, 0, 0, "not covered yet: no format of this width in the workbench"))
    return rows


CHECKS.add("nvidia_hw", check_nvidia_hw)
CHECKS.add("mma_sim", check_mma_sim)
CHECKS.add("fp_formats", check_fp_formats)
