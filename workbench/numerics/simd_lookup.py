"""A table of 256 bytes read 64 at a time, where the CPU permutes the bytes of whole registers (AVX512-VBMI: vpermi2b).

The table fills four registers; the low 7 bits of a code choose among the 128 bytes of two, its highest bit between the pairs.
Elsewhere a table is read one entry at a time. Source: Intel SDM vol. 2.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils

from workbench.numerics.cpu import PATH
from workbench.numerics.simd import I8, I64, call, emitted, pointer, vector

WIDTH = 64 if PATH.name == "avx512-vnni" and dict(llvm.get_host_cpu_features()).get("avx512vbmi") else 0
"""Codes that one step looks up; 0 where the CPU has no such instruction."""


@emitted
def lookup_bytes(typing: Any, table: Any, x: Any, y: Any, steps: Any) -> Any:
    """(table, x, y, steps): y[i] = table[x[i]] for i < 64 * steps, at addresses of bytes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = vector(I8, 64)
        zero = ir.Constant(kind, [0] * 64)

        def at(base: Any, offset: Any) -> Any:
            return pointer(builder, builder.add(base, offset), kind)

        quarters = [builder.load(at(args[0], I64(64 * i)), align=1) for i in range(4)]
        with cgutils.for_range(builder, args[3]) as loop:
            offset = builder.mul(loop.index, I64(64))
            codes = builder.load(at(args[1], offset), align=1)
            low, high = (
                call(builder, "llvm.x86.avx512.vpermi2var.qi.512", kind, [quarters[i], codes, quarters[i + 1]]) for i in (0, 2)
            )
            found = builder.select(builder.icmp_signed("<", codes, zero), high, low)
            builder.store(found, at(args[2], offset), align=1)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate
