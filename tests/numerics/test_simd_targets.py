"""The code of every path, compiled for the CPU that the path is meant for, is the instruction that the path is named after."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from llvmlite import binding as llvm
from llvmlite import ir

from tests.micro_kernels import copy_for, shapes
from workbench.numerics.cpu import PATHS
from workbench.numerics.simd_requantize import requantize_panel
from workbench.numerics.simd_rules import FAMILIES, RULES

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
TARGETS = {
    "avx512-vnni": (X86, "icelake-server", ""),
    "avx-vnni": (X86, "alderlake", ""),
    "avx2": (X86, "haswell", ""),
    "neon-dot": (ARM, "generic", "+dotprod"),
    "portable": (X86, "generic", ""),
}
INSTRUCTIONS = [
    ("avx512-vnni", "bytes", r"\tvpdpbusd\t.*%zmm", 1),
    ("avx512-vnni", "words", r"\t(?:vpdpwssd|vpmaddwd)\t.*%zmm", 1),  # LLVM splits the former where its sum is awaited
    ("avx512-vnni", "pairs", r"\tvpmaddubsw\t.*%zmm", 1),
    ("avx-vnni", "bytes", r"\{vex\}\s+vpdpbusd\t.*%ymm", 2),
    ("avx-vnni", "words", r"\tvpmaddwd\t.*%ymm|\{vex\}\s+vpdpwssd\t.*%ymm", 2),
    ("avx-vnni", "pairs", r"\tvpmaddubsw\t.*%ymm", 2),
    ("avx2", "words", r"\tvpmaddwd\t.*%ymm", 2),
    ("avx2", "pairs", r"\tvpmaddubsw\t.*%ymm", 2),
    ("neon-dot", "bytes", r"\tsdot\tv\d+\.4s, v\d+\.16b, v\d+\.16b", 4),
    ("neon-dot", "words", r"\tmla\tv\d+\.4s", 8),
]
"""Path, kind, pattern, how many of that one row by 16 columns takes."""


@cache
def machine(triple: str, name: str, features: str) -> llvm.TargetMachine:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(triple).create_target_machine(name, features, opt=3)


def assembly(path: str, intrinsic: Any, count: int) -> str:
    """Return the assembly of a function that is one intrinsic of `count` int64 operands."""
    triple, name, features = TARGETS[path]
    module = ir.Module()
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * count), "probe")
    builder = ir.IRBuilder(function.append_basic_block())
    generate = intrinsic._defn(*[None] * (count + 1))[1]
    generate(_NoContext, builder, None, function.args)
    builder.ret_void()
    target = machine(triple, name, features)
    compiled = llvm.parse_assembly(str(module))
    compiled.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    passes = llvm.create_pass_builder(target, options)
    passes.getModulePassManager().run(compiled, passes)
    return target.emit_assembly(compiled)


class _NoContext:
    """What intrinsics ask of Numba's target context."""

    @staticmethod
    def get_dummy_value() -> None:
        return None


@pytest.mark.parametrize(("path", "kind", "pattern", "each"), INSTRUCTIONS)
def test_the_loop_is_the_instruction(path: str, kind: str, pattern: str, each: int) -> None:
    simd = copy_for(PATHS[path])
    for quads, panels in shapes(PATHS[path], True):
        text = assembly(path, simd.dot_tile(quads, panels, kind), 12)
        assert len(re.findall(pattern, text)) == 4 * quads * panels * each, text


@pytest.mark.parametrize("path", TARGETS)
def test_every_intrinsic_compiles_for_the_cpu_of_a_path(path: str) -> None:
    """Without help from libraries, but for C's `round` where a CPU has no instruction that rounds."""
    simd = copy_for(PATHS[path])
    kinds = [kind for kind in simd.DOTS if kind != "bytes" or PATHS[path].byte_dot]
    texts = [assembly(path, simd.dot_tile(1, 1, kind, spread), 12) for kind in kinds for spread in (True, False)]
    texts += [assembly(path, requantize_panel(rule, bits), 10) for rule in RULES for bits in (8, 16)]
    accumulators_out = [rule for rule in RULES if FAMILIES[rule] is FAMILIES["shift"] and not rule.startswith("wide")]
    texts += [assembly(path, requantize_panel(rule, 32), 10) for rule in accumulators_out]
    for text in texts:
        assert "probe:" in text
        if re.search(r"\t(call|bl)\S*\t", text):
            assert path == "portable" and re.findall(r"movabsq\t\$([a-z]\w*),", text) == ["round"]
