"""The tiles of the matrix unit compile for the CPU of every path, to vector instructions and without help from libraries."""

from __future__ import annotations

import importlib.util
import re
import sys
from itertools import product
from types import ModuleType
from unittest import mock

import pytest

from tests.numerics.test_simd_targets import TARGETS, assembly
from workbench.numerics import cpu, simd_float, simd_tensor_core

CONVERSIONS = {
    "avx512-vnni": (r"\tvcvttps2dq\t.*%zmm", 1), "avx-vnni": (r"\tvcvttps2dq\t.*%ymm", 2), "avx2": (r"\tvcvttps2dq\t.*%ymm", 2),
    "neon-dot": (r"\tfcvtzs\tv\d+\.4s", 4), "portable": (r"\tcvttps2dq\t", 4),
}  # fmt: skip
"""Path -> (the conversion that truncates terms, how many of it 16 lanes take)."""


def _copy_for(path: cpu.Path) -> ModuleType:
    """Return copies of the modules that know the path."""
    copies: dict[str, ModuleType] = {}
    for module in (simd_float, simd_tensor_core):
        assert module.__file__ is not None
        spec = importlib.util.spec_from_file_location(f"{module.__name__}_copy", module.__file__)
        assert spec is not None and spec.loader is not None
        copies[module.__name__] = importlib.util.module_from_spec(spec)
        with mock.patch.object(cpu, "PATH", path), mock.patch.dict(sys.modules, copies):
            spec.loader.exec_module(copies[module.__name__])
    return copies[simd_tensor_core.__name__]


@pytest.mark.parametrize("path", TARGETS)
def test_every_tile_compiles_for_the_cpu_of_a_path(path: str) -> None:
    module = _copy_for(cpu.PATHS[path])
    pattern, each = CONVERSIONS[path]
    for wide, (accumulator, sums) in product((False, True), ((0, 1), (1, 0), (2, 1), (0, 2))):
        text = assembly(path, module.tensor_core_tile(module.Shape(module.ROWS, wide, accumulator, sums)), 14)
        assert not re.search(r"\t(call|bl)\S*\t", text)
        # One of each output for c, one for a product (unrolled by 2 where there are two sums).
        assert len(re.findall(pattern, text)) >= module.ROWS * each * (1 + max(sums, 1))
