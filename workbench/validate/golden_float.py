"""Golden vectors of float arithmetic: real GPUs (`nvidia_hw`), MMA-Sim (`mma_sim`).

Every tensor-core set is compared twice: by the integer rule, and by the matrix kernel that layers use; under the numbers of a shipped
profile where one claims the unit's bits in that format, else under those that the file gives. The fp64 instruction is a chain of IEEE
fused multiply-adds in fractions. Sets that no known rule reproduces are listed with what is known of them, never left out in silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from workbench.graph.ir import Array
from workbench.hardware import list_profiles, load_profile
from workbench.kernels.gemm_tensor_core import gemm_tensor_core
from workbench.numerics.float16 import F16_CANONICAL_NAN, f16_to_f32_array, f32_to_f16_array
from workbench.numerics.tensor_core import ACCUMULATOR_CODES, DotRule, dot_add, rule_of
from workbench.ops._linear_float import INPUT_FORMATS
from workbench.precision import format_name
from workbench.validate.cases import CaseFile
from workbench.validate.golden_base import CHECKS, Row, count, make_row

PROFILES = {
    "V100": "nvidia-v100", "A100": "nvidia-a100", "A2": "nvidia-a100", "H100": "nvidia-h100", "H200": "nvidia-h100",
    "B200": "nvidia-b200", "Volta": "nvidia-v100", "Turing": "nvidia-t4", "Ampere": "nvidia-a100", "Hopper": "nvidia-h100",
    "Hopper wgmma": "nvidia-h100", "Blackwell": "nvidia-b200",
}  # fmt: skip
"""GPU or architecture of the files -> the profile that claims its bits (where that is shipped)."""
TENSOR_TYPES = {form: dtype for dtype, form in INPUT_FORMATS.items()}

OUTPUTS = {"truncation": "float32", "e8m13 truncation": "float32_e8m13", "rne": "float16",
           "f32": "float32", "f32_e8m13": "float32_e8m13", "f16": "float16"}  # fmt: skip
"""Output rule as the two files name it -> `Arithmetic.float_accumulator`."""

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


def _vectors(case: Mapping[str, Any], arrays: Mapping[str, Array], count_field: str) -> tuple[Array, Array, Array, Array]:
    """Return a, b [n, k] and c, d [n]; kernels trust these shapes."""
    a, b, c, d = (arrays[field] for field in "abcd")
    for field, array, shape in zip(
        "abcd", (a, b, c, d), [(case[count_field], case["k"])] * 2 + [(case[count_field],)] * 2, strict=True
    ):
        if array.shape != shape:
            raise ValueError(f"array '{field}' has the shape {array.shape}; expected {shape}")
    return a, b, c, d


def _row(file: str, producer: str, profile: str, got: Array, want: Array, note: str, again: bool = False) -> Row:
    total = [0, 0, 0, 0]
    count(total, got, want)
    return make_row(file, producer, profile, [len(want), *total[1:]], note, again)


def _claimed(unit: str, form: str, rule: DotRule) -> tuple[DotRule, str]:
    """Return the rule of the profile that claims the bits of a GPU or architecture, and its name; else the given one.

    A float16 accumulator is the instruction's choice, not the profile's.
    """
    name = PROFILES.get(unit, "")
    if name in list_profiles():
        profile, dtype = load_profile(name), TENSOR_TYPES[form]
        if profile.supports("fully_connected", format_name(None, dtype)):
            claimed = rule_of(profile.arithmetic("fully_connected", dtype))
            return (claimed._replace(accumulator=rule.accumulator) if rule.is_float16 else claimed), name
    return rule, "rule of the file"


def _by_kernel(a: Array, b: Array, c: Array, formats: tuple[str, str], rule: DotRule) -> Array:
    """Return d by the matrix kernel: all pairs of rows, of which the diagonal is asked for."""
    start = f16_to_f32_array(c) if rule.is_float16 else c.view(np.float32)
    out = []
    for first in range(0, len(a), 64):
        part = slice(first, first + 64)
        full = np.repeat(start[part, None], len(a[part]), axis=1)
        values = np.diagonal(gemm_tensor_core(a[part], b[part], formats, rule, full))
        canonical = np.where(np.isnan(values), np.uint16(F16_CANONICAL_NAN), f32_to_f16_array(values))
        out.append(canonical.astype(np.uint16) if rule.is_float16 else np.ascontiguousarray(values).view(np.uint32))
    return np.concatenate(out)


def _rows(
    path: Path, vectors: tuple[Array, Array, Array, Array], producer: str, unit: str, formats: tuple[str, str], rule: DotRule
) -> list[Row]:
    a, b, c, d = vectors
    rule, profile = _claimed(unit, formats[0], rule)
    note = f"{rule.products_per_step} products a step, {rule.fraction_bits} fraction bits"
    return [
        _row(path.stem, producer, profile, dot_add(a, b, c, *formats, rule), d, f"integer rule: {note}"),
        _row(path.stem, producer, profile, _by_kernel(a, b, c, formats, rule), d, f"matrix kernel: {note}; again", again=True),
    ]


def check_nvidia_hw(path: Path) -> list[Row]:
    """Compare with what real GPUs computed: two rows for each GPU and format set."""
    rows: list[Row] = []
    file = CaseFile(path)
    for case, arrays in file.cases:
        with file.attempt(case["id"]):
            name = case["ab_format"].lower()
            producer = f"{case['gpu']} {case['ab_format']} -> {case['cd_format']}"
            rule = DotRule(case["block"], case["fraction_bits"], ACCUMULATOR_CODES[OUTPUTS[case["output"]]])
            rows += _rows(path, _vectors(case, arrays, "n"), producer, case["gpu"], (name, name), rule)
    rows += [Row(path.stem, f"{gpu} {formats}", "-", 0, 0, 0, 0, note) for (gpu, formats), note in NOT_REPRODUCED.items()]
    return rows + file.rows()


def check_mma_sim(path: Path) -> list[Row]:
    """Compare with MMA-Sim: two rows for each instruction (fp64: one), infinities and NaN included."""
    rows: list[Row] = []
    file = CaseFile(path, "instructions")
    for case, arrays in file.cases:
        with file.attempt(case["id"]):
            types = case["instruction"].split(".")[2:4]
            a_format, b_format = ({"f16": "fp16"}.get(t, t) for t in types)
            producer, vectors = f"{case['arch']} {case['instruction']}", _vectors(case, arrays, "n_vectors")
            if arrays["kind"].shape != vectors[3].shape:
                raise ValueError(f"array 'kind' has the shape {arrays['kind'].shape}; expected {vectors[3].shape}")
            if a_format == b_format == "f64":
                got = fp64_chain(*vectors[:3])
                rows.append(_row(path.stem, producer, "-", got, vectors[3], "IEEE fused multiply-adds, in order"))
                continue
            per_step = case["k"] // 2 if case["split_k"] else case["k"]
            rule = DotRule(per_step, case["fraction_bits"], ACCUMULATOR_CODES[OUTPUTS[case["output_type"]]])
            rows += _rows(path, vectors, producer, case["arch"], (a_format, b_format), rule)
    return rows + file.rows()


def fp64_chain(a: Array, b: Array, c: Array) -> Array:
    """Return the float64 patterns of fma(a[n, k], b[n, k], ...) over all k, from c[n] on; patterns in, uint64."""
    chains = zip(*(v.view(np.float64).tolist() for v in (a, b, c)), strict=True)
    out = []
    for left, right, total in chains:
        for x, y in zip(left, right, strict=True):
            total = _fma64(x, y, total)
        out.append(total)
    return np.array(out, np.float64).view(np.uint64)


def _fma64(x: float, y: float, z: float) -> float:
    """Return x * y + z rounded once, to nearest even. A NaN passes on; one that arises is negative, as on x86."""
    for operand in (x, y, z):
        if math.isnan(operand):
            return operand
    if math.isinf(x) or math.isinf(y):
        sign = math.copysign(1, x) * math.copysign(1, y)
        cancels = math.isinf(z) and z * sign < 0
        return math.copysign(math.nan, -1) if x == 0 or y == 0 or cancels else sign * math.inf
    if math.isinf(z):
        return z
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:  # of zeros with one sign that sign, else +0
        return x * y + z if 0 in (x, y) else 0.0
    try:
        return math.copysign(exact.numerator / exact.denominator, 1 if exact > 0 else -1)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


CHECKS.add("nvidia_hw", check_nvidia_hw)
CHECKS.add("mma_sim", check_mma_sim)
