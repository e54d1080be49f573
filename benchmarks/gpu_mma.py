"""Matrix instructions of NVIDIA GPUs as data: shapes, types, which lane holds which element, and the PTX that runs one of them.

One block computes one tile d = a b' + c; lanes read and write their registers as an array [tiles, lanes, registers] that the host
lays out, so that the PTX is the same for every instruction of a kind.
Source: PTX ISA 8.7, sections "Matrix Fragments for mma.m16n8k*", "wgmma.mma_async" (register fragments of A and D, matrix descriptor,
K-major shared memory without swizzle).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.numerics.float_formats import FORMATS as FLOAT_FORMATS

Array = np.ndarray[Any, Any]
BITS = {"f16": 16, "bf16": 16, "tf32": 32, "e4m3": 8, "e5m2": 8, "f32": 32, "s8": 8, "s32": 32}
FORMATS = {"f16": "fp16", "bf16": "bf16", "tf32": "tf32", "e4m3": "e4m3", "e5m2": "e5m2"}
"""Float type of an instruction -> format of `numerics.float_formats`."""


@dataclass(frozen=True)
class Instruction:
    """One matrix instruction, m x 8 x k. accumulator: 'f32', 'f16' or 's32'. target: first architecture that has it."""

    kind: str  # 'mma' (one warp, m 16) or 'wgmma' (four warps, m 64)
    k: int
    a: str
    b: str
    accumulator: str
    target: int

    @property
    def m(self) -> int:
        """Rows of a tile."""
        return 16 if self.kind == "mma" else 64

    @property
    def lanes(self) -> int:
        """Threads of a block."""
        return 2 * self.m

    @property
    def name(self) -> str:
        """As the PTX ISA spells it."""
        shape = f"m{self.m}n8k{self.k}"
        if self.kind == "mma":
            return f"mma.sync.aligned.{shape}.row.col.{self.accumulator}.{self.a}.{self.b}.{self.accumulator}"
        return f"wgmma.mma_async.sync.aligned.{shape}.{self.accumulator}.{self.a}.{self.b}"

    def runs_on(self, capability: tuple[int, int]) -> bool:
        """True when a GPU of this compute capability has the instruction (wgmma: Hopper alone)."""
        have = 10 * capability[0] + capability[1]
        return have == 90 if self.kind == "wgmma" else have >= self.target


INSTRUCTIONS = (
    Instruction("mma", 8, "f16", "f16", "f32", 75),
    Instruction("mma", 8, "f16", "f16", "f16", 75),
    *(Instruction("mma", 16, "f16", "f16", d, 80) for d in ("f32", "f16")),
    *(Instruction("mma", k, "bf16", "bf16", "f32", 80) for k in (8, 16)),
    *(Instruction("mma", k, "tf32", "tf32", "f32", 80) for k in (4, 8)),
    *(Instruction("mma", k, "s8", "s8", "s32", 80) for k in (16, 32)),
    *(Instruction("mma", 32, a, b, "f32", 89) for a in ("e4m3", "e5m2") for b in ("e4m3", "e5m2")),
    *(Instruction("wgmma", 16, "f16", "f16", d, 90) for d in ("f32", "f16")),
    Instruction("wgmma", 16, "bf16", "bf16", "f32", 90),
    Instruction("wgmma", 8, "tf32", "tf32", "f32", 90),
    *(
        Instruction("wgmma", 32, a, b, d, 90)
        for d in ("f32", "f16")
        for a, b in (("e4m3", "e4m3"), ("e5m2", "e4m3"), ("e5m2", "e5m2"))
    ),
)


def storage(kind: str) -> type[np.unsignedinteger[Any]]:
    """Return the unsigned type of the patterns of an input type."""
    return FLOAT_FORMATS[FORMATS[kind]].storage if kind in FORMATS else np.uint8


def _lanes(count: int) -> tuple[Array, Array, Array]:
    """Return (warp, group, place in the group) of every lane."""
    lane = np.arange(count)
    return lane // 32, lane % 32 // 4, lane % 4


def _places(instruction: Instruction, which: str) -> tuple[Array, Array]:
    """Return (row, column) [lanes, registers, elements of a register] of a fragment: a [m, k], b [8, k] or c [m, 8]."""
    warp, group, place = (x[:, None, None] for x in _lanes(instruction.lanes))
    per = 32 // BITS[instruction.accumulator if which == "c" else getattr(instruction, which)]
    element = np.arange(per)[None, None, :]
    quarter = instruction.k // (4 * per)  # registers that a row of four lanes needs for k
    register = np.arange({"a": 2 * quarter, "b": quarter, "c": 4 // per}[which])[None, :, None]
    if which == "b":
        row, column = group, 4 * per * register + place * per + element
    elif which == "a":
        row, column = warp * 16 + group + 8 * (register % 2), 4 * per * (register // 2) + place * per + element
    else:  # two neighbours a lane and row: a register of two float16, or two registers of 32 bits
        pair = register * per + element
        row, column = warp * 16 + group + 8 * (pair // 2), place * 2 + pair % 2
    row, column = np.broadcast_arrays(row, column)
    return row, column


def pack(instruction: Instruction, which: str, x: Array) -> Array:
    """Return tiles [T, rows, columns] of patterns as registers uint32 [T, lanes, registers]."""
    rows, columns = _places(instruction, which)
    return np.ascontiguousarray(x[:, rows, columns]).view(np.uint32)[..., 0]


def unpack(instruction: Instruction, registers: Array) -> Array:
    """Return registers of d [T, lanes, registers] as tiles of patterns [T, m, 8]."""
    rows, columns = _places(instruction, "c")
    kind = np.uint16 if instruction.accumulator == "f16" else np.uint32
    out = np.empty((len(registers), instruction.m, 8), kind)
    out[:, rows, columns] = np.ascontiguousarray(registers)[..., None].view(kind).reshape(len(registers), *rows.shape)
    return out


def shared_b(b: Array) -> Array:
    """Return tiles b [T, 8, k] as wgmma reads them: two core matrices of 8 rows x 16 bytes, uint32 [T, 64]."""
    rows = np.ascontiguousarray(b).view(np.uint8).reshape(len(b), 8, 2, 16)
    return np.ascontiguousarray(rows.transpose(0, 2, 1, 3)).reshape(len(b), 256).view(np.uint32)


def ptx(instruction: Instruction, target: str) -> str:
    """Return a module with the entry `tile(a, b, c, d)`; target: 'sm_80', 'sm_90a', ..."""
    mma = instruction.kind == "mma"
    count = {w: _places(instruction, w)[0].shape[1] for w in "abc"}
    d_type = "b32" if instruction.accumulator == "f16" else instruction.accumulator
    registers = {w: ", ".join(f"%{w}{i}" for i in range(count[w.replace("d", "c")])) for w in "abcd"}
    index = f"mad.lo.u32 %index, %block, {instruction.lanes}, %lane;"
    lines = [
        ".version 8.4", f".target {target}", ".address_size 64",
        ".visible .entry tile(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 pd)", "{",
        f".reg .b32 %a<{count['a']}>; .reg .b32 %b<{count['b']}>; .reg .{d_type} %c<{count['c']}>; .reg .{d_type} %d<{count['c']}>;",
        ".reg .u32 %block, %lane, %index, %word, %start; .reg .u64 %base, %offset, %descriptor, %bits; .reg .pred %few, %yes;",
        ".shared .align 128 .b8 matrix[256];",
        "mov.u32 %block, %ctaid.x; mov.u32 %lane, %tid.x;", index,
    ]  # fmt: skip
    lines += _move("ld", "a", count["a"], "b32", "%index")
    lines += _move("ld", "c", count["c"], d_type, "%index")
    if mma:
        lines += _move("ld", "b", count["b"], "b32", "%index")
        lines.append(
            f"{instruction.name} {{{registers['d']}}}, {{{registers['a']}}}, {{{registers['b']}}}, {{{registers['c']}}};"
        )
        lines += _move("st", "d", count["c"], d_type, "%index")
    else:
        lines += [
            "setp.lt.u32 %few, %lane, 64; mov.u32 %start, matrix;",
            "mad.lo.u32 %word, %block, 64, %lane; mul.wide.u32 %offset, %word, 4; ld.param.u64 %base, [pb];",
            "add.u64 %base, %base, %offset; @%few ld.global.b32 %b0, [%base];",
            "mad.lo.u32 %word, %lane, 4, %start; @%few st.shared.b32 [%word], %b0;",
            "fence.proxy.async.shared::cta; bar.sync 0;",
            # Descriptor: address / 16; both distances between core matrices 128 bytes; no swizzle.
            "shr.u32 %word, %start, 4; and.b32 %word, %word, 16383; cvt.u64.u32 %descriptor, %word;",
            f"mov.u64 %bits, {(8 << 16) | (8 << 32)}; or.b64 %descriptor, %descriptor, %bits; setp.eq.u32 %yes, 0, 0;",
            "wgmma.fence.sync.aligned;",
            f"{instruction.name} {{{registers['c']}}}, {{{registers['a']}}}, %descriptor, %yes, 1, 1{_transposed(instruction)};",
            "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;",
        ]
        lines += _move("st", "c", count["c"], d_type, "%index", "pd")
    return "\n".join([*lines, "ret;", "}", ""])


def _transposed(instruction: Instruction) -> str:
    """Only 16-bit types can be read transposed, and must say whether they are."""
    return ", 0" if BITS[instruction.b] == 16 else ""


def _move(how: str, name: str, count: int, kind: str, index: str, parameter: str = "") -> list[str]:
    head = f"mul.wide.u32 %offset, {index}, {4 * count}; ld.param.u64 %base, [{parameter or 'p' + name}];"
    steps = [
        f"ld.global.{kind} %{name}{i}, [%base+{4 * i}];" if how == "ld" else f"st.global.{kind} [%base+{4 * i}], %{name}{i};"
        for i in range(count)
    ]
    return [head, "add.u64 %base, %base, %offset;", *steps]
