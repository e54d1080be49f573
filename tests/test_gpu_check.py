"""The check of real GPUs, without one: fragments hold every element once, and a stand-in GPU shows that one wrong bit is noticed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.gpu_check import KINDS, check_instruction, emulate, rule_of
from benchmarks.gpu_mma import FORMATS, INSTRUCTIONS, Instruction, pack, ptx, shared_b, unpack
from workbench.numerics.float_formats import FORMATS as FLOAT_FORMATS

Array = np.ndarray[Any, Any]


class StandIn:
    """Computes what the emulation says from the registers that the PTX would read. wrong: flips one bit of one output."""

    def __init__(self, instruction: Instruction, wrong: bool = False) -> None:
        self.instruction, self.wrong = instruction, wrong

    def launch(self, module: str, entry: str, blocks: int, threads: int, inputs: list[Array], output: Array) -> Array:
        assert threads == self.instruction.lanes and f".entry {entry}(" in module
        i = self.instruction
        storage = FLOAT_FORMATS[FORMATS[i.a]].storage
        a = invert(i, "a", inputs[0], (blocks, i.m, i.k), storage)
        kind = np.uint16 if i.accumulator == "f16" else np.uint32
        c = invert(i, "c", inputs[2], (blocks, i.m, 8), kind)
        if i.kind == "mma":
            b = invert(i, "b", inputs[1], (blocks, 8, i.k), storage)
        else:
            b = (
                inputs[1]
                .view(np.uint8)
                .reshape(blocks, 2, 8, 16)
                .transpose(0, 2, 1, 3)
                .reshape(blocks, 8, 32)
                .copy()
                .view(storage)
            )
        d = emulate(a, b, c, i, rule_of(i, "Hopper"))
        d[0, 3, 5] ^= kind(self.wrong)
        return pack(i, "c", d)


def invert(i: Instruction, which: str, registers: Array, shape: tuple[int, ...], storage: Any) -> Array:
    """Find by search, not by formula, what tiles the registers hold."""
    ordinal = np.arange(int(np.prod(shape[1:]))).reshape(1, *shape[1:])
    per = 4 // np.dtype(storage).itemsize
    halves = [pack_wide(i, which, (ordinal >> s) & 1) for s in range(int(ordinal.max()).bit_length())]
    places = sum(bits.astype(np.int64) << s for s, bits in enumerate(halves))
    flat = np.empty((shape[0], ordinal.size), storage)
    flat[:, places.reshape(-1)] = registers.view(storage).reshape(shape[0], -1)
    assert places.shape[-1] % per == 0
    return flat.reshape(shape)


def pack_wide(i: Instruction, which: str, bit: Array) -> Array:
    """Return where set bits land, element by element."""
    kind = {"a": FLOAT_FORMATS[FORMATS[i.a]].storage, "b": FLOAT_FORMATS[FORMATS[i.b]].storage,
            "c": np.uint16 if i.accumulator == "f16" else np.uint32}[which]  # fmt: skip
    return pack(i, which, bit.astype(kind)).view(kind).reshape(-1)


@pytest.mark.parametrize("instruction", INSTRUCTIONS, ids=lambda i: i.name)
def test_registers_go_there_and_back(instruction: Instruction) -> None:
    found = list(check_instruction(StandIn(instruction), instruction, "Hopper", 2))  # type: ignore[arg-type]
    assert [f.kind for f in found] == list(KINDS)
    assert all(f.equal == f.of == 2 * instruction.m * 8 for f in found)


def test_one_wrong_bit_is_noticed() -> None:
    for instruction in (INSTRUCTIONS[0], INSTRUCTIONS[-1]):
        found = list(check_instruction(StandIn(instruction, wrong=True), instruction, "Hopper", 2))  # type: ignore[arg-type]
        assert all(f.equal == f.of - 1 for f in found)


def test_fragments_are_those_of_the_manual() -> None:
    """Spot checks of the PTX ISA's figures: mma.m16n8k16, lane 5 (group 1, place 1)."""
    i = next(i for i in INSTRUCTIONS if i.name == "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32")
    a = np.arange(256, dtype=np.uint16).reshape(1, 16, 16)
    assert pack(i, "a", a)[0, 5].view(np.uint16).tolist() == [18, 19, 146, 147, 26, 27, 154, 155]
    b = np.arange(128, dtype=np.uint16).reshape(1, 8, 16)  # [n, k]
    assert pack(i, "b", b)[0, 5].view(np.uint16).tolist() == [18, 19, 26, 27]
    c = np.arange(128, dtype=np.uint32).reshape(1, 16, 8)
    assert pack(i, "c", c)[0, 5].tolist() == [10, 11, 74, 75]
    assert np.array_equal(unpack(i, pack(i, "c", c)), c)
    assert "wgmma.wait_group" in ptx(INSTRUCTIONS[-1], "sm_90a") and shared_b(b).shape == (1, 64)
