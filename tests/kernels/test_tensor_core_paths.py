"""Matrix products have the bits of the integer rule on the other CPU paths of this machine, each in a process of its own."""

from __future__ import annotations

import json

import numpy as np

from tests.kernels.test_linear_paths import child
from tests.tensor_core_set import SETS, digest, operands
from workbench.numerics.cpu import PATH, available
from workbench.numerics.float16 import F32_CANONICAL_NAN, f16_to_f32_array
from workbench.numerics.tensor_core import dot_add


def _expected(name: str) -> str:
    formats, rule = SETS[name]
    results = []
    for a, b in operands(name):
        start = np.zeros(len(a) * len(b), np.uint16 if rule.is_float16 else np.uint32)
        d = dot_add(np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1)), start, *formats, rule)
        values = f16_to_f32_array(d) if rule.is_float16 else d.view(np.float32)
        results.append(np.where(np.isnan(values), np.uint32(F32_CANONICAL_NAN), values.view(np.uint32)))
    return digest(results)


def test_other_paths_have_the_bits_of_the_integer_rule() -> None:
    others = [path for path in available() if path != PATH.name]  # this one: tests/kernels/test_gemm_tensor_core.py
    started = [(path, child(path, "-m", "tests.tensor_core_set")) for path in others]
    want = {name: _expected(name) for name in SETS}
    for path, process in started:
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, path
        assert json.loads(out) == want, path
