"""The check of real GPUs, without one: fragments hold every element once, and a stand-in GPU shows that one wrong bit is noticed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.gpu_check import (
    ARCHITECTURES,
    INTEGER_KINDS,
    KINDS,
    OTHERS,
    check_instruction,
    emulate,
    exact,
    expected,
    rule_of,
)
from benchmarks.gpu_mma import INSTRUCTIONS, Instruction, pack, ptx, shared_b, storage, unpack
from workbench.numerics.tensor_core import DotRule

Array = np.ndarray[Any, Any]


class StandIn:
    """Computes what the emulation says from the registers that the PTX would read. wrong: flips one bit of one output."""

    def __init__(self, instruction: Instruction, wrong: bool = False) -> None:
        self.instruction, self.wrong = instruction, wrong

    def launch(self, module: str, entry: str, blocks: int, threads: int, inputs: list[Array], output: Array) -> Array:
        assert threads == self.instruction.lanes and f".entry {entry}(" in module
        i = self.instruction
        a = invert(i, "a", inputs[0], (blocks, i.m, i.k), storage(i.a))
        kind = np.uint16 if i.accumulator == "f16" else np.uint32
        c = invert(i, "c", inputs[2], (blocks, i.m, 8), kind)
        if i.kind == "mma":
            b = invert(i, "b", inputs[1], (blocks, 8, i.k), storage(i.b))
        else:
            b = (
                inputs[1]
                .view(np.uint8)
                .reshape(blocks, 2, 8, 16)
                .transpose(0, 2, 1, 3)
                .reshape(blocks, 8, 32)
                .copy()
                .view(storage(i.b))
            )
        claimed = expected(i, "Hopper") if i.accumulator != "s32" else None
        d = exact(a, b, c) if claimed is None else emulate(a, b, c, i, claimed[0])
        d[0, 3, 5] ^= kind(self.wrong)
        return pack(i, "c", d)


def invert(i: Instruction, which: str, registers: Array, shape: tuple[int, ...], kind: Any) -> Array:
    """Find by search, not by formula, what tiles the registers hold."""
    ordinal = np.arange(int(np.prod(shape[1:]))).reshape(1, *shape[1:])
    per = 4 // np.dtype(kind).itemsize
    halves = [pack_wide(i, which, (ordinal >> s) & 1) for s in range(int(ordinal.max()).bit_length())]
    places = sum(bits.astype(np.int64) << s for s, bits in enumerate(halves))
    flat = np.empty((shape[0], ordinal.size), kind)
    flat[:, places.reshape(-1)] = registers.view(kind).reshape(shape[0], -1)
    assert places.shape[-1] % per == 0
    return flat.reshape(shape)


def pack_wide(i: Instruction, which: str, bit: Array) -> Array:
    """Return where set bits land, element by element."""
    kind = {"a": storage(i.a), "b": storage(i.b), "c": np.uint16 if i.accumulator == "f16" else np.uint32}[which]
    return pack(i, which, bit.astype(kind)).view(kind).reshape(-1)


@pytest.mark.parametrize("instruction", INSTRUCTIONS, ids=lambda i: i.name)
def test_registers_go_there_and_back(instruction: Instruction) -> None:
    found = list(check_instruction(StandIn(instruction), instruction, "Hopper", 2))  # type: ignore[arg-type]
    assert [f.kind for f in found] == list(INTEGER_KINDS if instruction.accumulator == "s32" else KINDS)
    assert all(f.equal == f.of == 2 * instruction.m * 8 for f in found)


def test_one_wrong_bit_is_noticed() -> None:
    for instruction in (INSTRUCTIONS[0], INSTRUCTIONS[-1]):
        found = list(check_instruction(StandIn(instruction, wrong=True), instruction, "Hopper", 2))  # type: ignore[arg-type]
        assert all(f.equal == f.of - 1 for f in found)


def test_rules_are_those_of_the_profiles_where_there_is_one() -> None:
    """Numbers of ARITHMETIC.md section 5: products of a step, fraction bits."""
    wanted = {
        "Turing": (8, 24),
        "Ampere": (8, 24),
        "Ada": (8, 24),
        "Hopper": (16, 25),
        "Blackwell": (16, 25),
        "RTX Blackwell": (16, 25),
    }
    assert set(wanted) == set(ARCHITECTURES.values())
    for architecture, numbers in wanted.items():
        for kind, factor in (("f16", 1), ("bf16", 1), ("tf32", 2)):
            rule = rule_of(kind, architecture)
            lacks = architecture == "Turing" and kind != "f16"
            assert rule == (None if lacks else DotRule(numbers[0] // factor, numbers[1]))
    assert rule_of("e4m3", "Hopper") == DotRule(32, 13, 1) and OTHERS["Ada"]["e4m3"] == DotRule(16, 13, 1)


def test_fp8_without_a_known_rule_is_counted_and_is_no_failure() -> None:
    warp = next(i for i in INSTRUCTIONS if i.kind == "mma" and i.a == "e4m3")
    group = next(i for i in INSTRUCTIONS if i.kind == "wgmma" and i.a == "e4m3")
    for instruction, architecture, claimed in (
        (warp, "Blackwell", False), (warp, "Hopper", False), (group, "Hopper", True), (warp, "Ada", True),
        (warp, "RTX Blackwell", True),
    ):  # fmt: skip
        found = expected(instruction, architecture)
        assert found is not None and found[1] is claimed
    half = next(i for i in INSTRUCTIONS if i.a == "tf32")
    assert expected(half, "Turing") is None
    assert not list(check_instruction(StandIn(half), half, "Turing", 1))  # type: ignore[arg-type]


def test_integer_sums_wrap_around() -> None:
    a, b = np.full((1, 16, 32), 127, np.uint8), np.full((1, 8, 32), 129, np.uint8)  # 127 * -127
    c = np.full((1, 16, 8), -(2**31) + 5, np.int32).view(np.uint32)
    assert (exact(a, b, c).view(np.int32) == -(2**31) + 5 - 32 * 127 * 127 + 2**32).all()


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
