"""Real tensor cores against the emulation: every matrix instruction of the GPU at hand, and what order cuBLAS sums in.

    python -m benchmarks.gpu_check [--tiles 64] [--cublas PATH] [--out docs/gpu]

Needs an NVIDIA GPU and its driver, nothing else (PTX is handed to the driver); cuBLAS where its library is found. Inputs are of the
kinds that tell rules apart: ordinary numbers, a wide range of exponents, subnormals, cancellation, arbitrary patterns with infinities
and NaN; int8 products meet exact int32 sums. Prints a table and writes it to OUT/<gpu>.md. Exit code 1 when a bit differs from the
rule of this architecture (its profile's, where it has one), 2 when there is no GPU, or none with a rule.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.gpu_driver import Cublas, Gpu, GpuError
from benchmarks.gpu_mma import BITS, FORMATS, INSTRUCTIONS, Instruction, pack, ptx, shared_b, unpack
from workbench.hardware import load_profile
from workbench.numerics.float_formats import FORMATS as FLOAT_FORMATS
from workbench.numerics.tensor_core import ACCUMULATOR_CODES, DotRule, dot_add
from workbench.numerics.tensor_core import rule_of as arithmetic_rule
from workbench.ops._linear_float import INPUT_FORMATS
from workbench.precision import format_name

Array = np.ndarray[Any, Any]
ARCHITECTURES = {
    75: "Turing", 80: "Ampere", 86: "Ampere", 87: "Ampere", 89: "Ada", 90: "Hopper", 100: "Blackwell", 103: "Blackwell",
    120: "RTX Blackwell", 121: "RTX Blackwell",
}  # fmt: skip
"""Compute capability -> architecture, as MMA-Sim groups them."""
PROFILES = {"Turing": "nvidia-t4", "Ampere": "nvidia-a100", "Hopper": "nvidia-h100", "Blackwell": "nvidia-b200"}
"""Architecture -> the profile that has its rules."""
ADA_FP8, RTX_FP8 = DotRule(16, 13, ACCUMULATOR_CODES["float32_e8m13"]), DotRule(32, 25)
OTHERS = {
    "Ada": {"f16": DotRule(8, 24), "bf16": DotRule(8, 24), "tf32": DotRule(4, 24), "e4m3": ADA_FP8, "e5m2": ADA_FP8},
    "RTX Blackwell": {
        "f16": DotRule(16, 25),
        "bf16": DotRule(16, 25),
        "tf32": DotRule(8, 25),
        "e4m3": RTX_FP8,
        "e5m2": RTX_FP8,
    },
}
"""Architectures without a profile -> type of an input -> rule. Source: MMA-Sim c785138."""
NO_RULE_KNOWN = ("Hopper", "Blackwell")
"""Where nobody knows a rule of fp8 in `mma` (Hopper's wgmma has one); compared with that of RTX Blackwell, and never a failure."""


class Found(NamedTuple):
    """One line of the table. known: a rule of this architecture is claimed, so that a difference is an error."""

    what: str
    kind: str
    equal: int
    of: int
    known: bool = True


def rule_of(kind: str, architecture: str) -> DotRule | None:
    """Return the rule for sums of float32 of an architecture: its profile's, where it has one; None where it lacks the type."""
    if architecture in OTHERS:
        return OTHERS[architecture].get(kind)
    profile, tensor = load_profile(PROFILES[architecture]), {form: t for t, form in INPUT_FORMATS.items()}[FORMATS[kind]]
    if not profile.supports("fully_connected", format_name(None, tensor)):
        return None
    return arithmetic_rule(profile.arithmetic("fully_connected", tensor))


def expected(instruction: Instruction, architecture: str) -> tuple[DotRule, bool] | None:
    """Return the rule to compare an instruction with, and whether it is claimed; None for types that the architecture lacks."""
    known = not (BITS[instruction.a] == 8 and instruction.kind == "mma" and architecture in NO_RULE_KNOWN)
    rule = rule_of(instruction.a, architecture) if known else RTX_FP8
    if rule is None:
        return None
    code = ACCUMULATOR_CODES["float16"] if instruction.accumulator == "f16" else rule.accumulator
    return DotRule(min(rule.products_per_step, instruction.k), rule.fraction_bits, code), known


def patterns(rng: np.random.Generator, shape: tuple[int, ...], name: str, kind: str) -> Array:
    """Return patterns of a format (a key of `float_formats.FORMATS`, or 'fp32'), of one kind."""
    exponent_bits, fraction_bits, storage, dropped = (
        (8, 23, np.uint32, 0)
        if name == "fp32"
        else (
            FLOAT_FORMATS[name].exponent_bits, FLOAT_FORMATS[name].fraction_bits, FLOAT_FORMATS[name].storage,
            FLOAT_FORMATS[name].dropped_bits,
        )
    )  # fmt: skip
    top, bias = (1 << exponent_bits) - 1, (1 << (exponent_bits - 1)) - 1
    low, high = {"ordinary": (bias - 3, bias + 3), "wide": (max(1, bias - 14), min(top - 1, bias + 12)), "subnormal": (0, 2),
                 "cancelling": (bias, bias + 1), "any": (0, top + 1)}[kind]  # fmt: skip
    exponent = rng.integers(low, max(high, low + 1), shape)
    fraction = rng.integers(0, 1 << fraction_bits, shape)
    sign = rng.integers(0, 2, shape)
    if kind == "cancelling":  # neighbours along k are each other's negatives but for the last bit
        exponent[..., 1::2], sign[..., 1::2] = exponent[..., : shape[-1] // 2 * 2 : 2], 1 - sign[..., : shape[-1] // 2 * 2 : 2]
        fraction[..., 1::2] = fraction[..., : shape[-1] // 2 * 2 : 2] ^ 1
    code = (sign << (exponent_bits + fraction_bits)) | (exponent << fraction_bits) | fraction
    return (code << dropped).astype(storage)


KINDS = ("ordinary", "wide", "subnormal", "cancelling", "any")


INTEGER_KINDS = {"any": (-(2**31), 2**31), "wrapping": (2**31 - 2**16, 2**31)}
"""Kinds of starting sums of integer instructions: lowest, beyond the highest. Inputs are any bytes, in the second the same sign."""


def check_instruction(gpu: Gpu, instruction: Instruction, architecture: str, tiles: int) -> Iterator[Found]:
    """Yield how many outputs of an instruction equal the emulation, for every kind of inputs; nothing for types that it lacks."""
    if instruction.accumulator == "s32":
        for kind in INTEGER_KINDS:
            a, b, c = _integers(instruction, kind, tiles)
            got = _run(gpu, instruction, a, b, c)
            yield Found(instruction.name, kind, int((got == exact(a, b, c)).sum()), got.size)
        return
    claimed = expected(instruction, architecture)
    if claimed is None:
        return
    rule, known = claimed
    start = "fp16" if instruction.accumulator == "f16" else "fp32"
    for kind in KINDS:
        rng = np.random.default_rng(KINDS.index(kind))
        a = patterns(rng, (tiles, instruction.m, instruction.k), FORMATS[instruction.a], kind)
        b = patterns(rng, (tiles, 8, instruction.k), FORMATS[instruction.b], "any" if kind == "any" else "ordinary")
        if kind == "cancelling":
            b[..., 1::2] = b[..., ::2]
        c = patterns(rng, (tiles, instruction.m, 8), start, kind)
        got = _run(gpu, instruction, a, b, c)
        want = emulate(a, b, c, instruction, rule)
        yield Found(instruction.name, kind, int((got == want).sum()), got.size, known)


def _run(gpu: Gpu, instruction: Instruction, a: Array, b: Array, c: Array) -> Array:
    """Return d [T, m, 8] of the GPU."""
    target = "sm_90a" if instruction.kind == "wgmma" else f"sm_{instruction.target}"
    right = pack(instruction, "b", b) if instruction.kind == "mma" else shared_b(b)
    registers = [pack(instruction, "a", a), right, pack(instruction, "c", c)]
    d = gpu.launch(ptx(instruction, target), "tile", len(a), instruction.lanes, registers, np.zeros_like(registers[2]))
    return unpack(instruction, d)


def _integers(instruction: Instruction, kind: str, tiles: int) -> tuple[Array, Array, Array]:
    """Return tiles a, b of int8 (as uint8) and c of int32 (as uint32)."""
    rng, (low, high) = np.random.default_rng(7), INTEGER_KINDS[kind]
    first = -128 if kind == "any" else 0
    a, b = (rng.integers(first, 128, (tiles, rows, instruction.k)).astype(np.int8) for rows in (instruction.m, 8))
    c = rng.integers(low, high, (tiles, instruction.m, 8)).astype(np.int32)
    return a.view(np.uint8), b.view(np.uint8), c.view(np.uint32)


def exact(a: Array, b: Array, c: Array) -> Array:
    """Return the int32 sums a b' + c [T, m, 8], wrapping around, as uint32."""
    sums = np.einsum("tmk,tnk->tmn", *(v.view(np.int8).astype(np.int64) for v in (a, b)))
    return (sums + c.view(np.int32)).astype(np.int32).view(np.uint32)


def emulate(a: Array, b: Array, c: Array, instruction: Instruction, rule: DotRule) -> Array:
    """Return d [T, m, 8] of tiles a [T, m, k], b [T, 8, k], c [T, m, 8] as the rule has it."""
    tiles, m, k = a.shape
    left = np.repeat(a[:, :, None, :], 8, axis=2).reshape(-1, k)
    right = np.repeat(b[:, None, :, :], m, axis=1).reshape(-1, k)
    d = dot_add(left, right, np.ascontiguousarray(c.reshape(-1)), FORMATS[instruction.a], FORMATS[instruction.b], rule)
    return d.reshape(tiles, m, 8)


def orders(a: Array, b: Array, name: str, rule: DotRule) -> dict[str, Callable[[], Array]]:
    """Return orders of summation that a library may use: name -> float32 sums of the rows a [n, K] by b [n, K]."""

    def chain(part: slice) -> Array:
        return dot_add(a[:, part], b[:, part], np.zeros(len(a), np.uint32), name, name, rule).view(np.float32)

    def split(parts: int) -> Array:
        depth = a.shape[1] // parts
        total = chain(slice(0, depth))
        for i in range(1, parts):
            total = total + chain(slice(i * depth, (i + 1) * depth))
        return total

    found: dict[str, Callable[[], Array]] = {"steps in the order of k": lambda: chain(slice(None))}
    for parts in (2, 4, 8, 16):
        if a.shape[1] % (parts * rule.products_per_step) == 0:
            found[f"k split in {parts}, parts added in float32"] = lambda parts=parts: split(parts)  # type: ignore[misc]
    return found


def check_cublas(gpu: Gpu, path: str | None, architecture: str) -> Iterator[Found]:
    """Yield, for every shape and type, which order of summation equals most outputs of cuBLAS."""
    library = Cublas(gpu, path)
    for kind in ("f16", "bf16", "tf32"):
        name, rule = FORMATS[kind], rule_of(kind, architecture)
        if rule is None:
            continue
        for m, n, k in (
            (128, 128, 64),
            (128, 128, 512),
            (128, 128, 4096),
            (1024, 1024, 1024),
            (64, 64, 16384),
            (8, 1000, 2048),
        ):
            rng = np.random.default_rng(k)
            a, b = (patterns(rng, shape, name, "wide") for shape in ((m, k), (n, k)))
            got = library.gemm(a, b, "fp32" if kind == "tf32" else name, tf32=kind == "tf32")
            rows, columns = rng.integers(0, m, 400), rng.integers(0, n, 400)
            taken = got[rows, columns]
            found = {o: int((make() == taken).sum()) for o, make in orders(a[rows], b[columns], name, rule).items()}
            best = max(found, key=lambda o: found[o])
            yield Found(f"cublasGemmEx {name}, {m} x {n} x {k}", best, found[best], len(taken))


NOT_CLAIMED = " (no rule is known: beside that of RTX Blackwell)"


def page(gpu: Gpu, architecture: str, lines: list[Found], note: str) -> str:
    """Return the table as Markdown."""
    rows = [f"| `{f.what}` | {f.kind}{'' if f.known else NOT_CLAIMED} | {f.equal:,} | {f.of:,} |" for f in lines]
    capability = ".".join(map(str, gpu.capability))
    head = f"""# {gpu.name} ({architecture}, compute capability {capability}, driver {gpu.driver})

Made by `python -m benchmarks.gpu_check`: outputs of this GPU that equal the emulation, bit for bit.

| instruction or call | inputs, or the order of summation that equals most | equal | of |
|---|---|---|---|
"""
    return head + "\n".join(rows) + f"\n\n{note}".rstrip()


def main() -> int:
    """Check the GPU of this machine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiles", type=int, default=64, help="tiles per instruction and kind of inputs")
    parser.add_argument("--cublas", help="path of libcublas, where it is not found by its name")
    parser.add_argument("--out", type=Path, default=Path("docs/gpu"), help="folder of the page")
    options = parser.parse_args()
    try:
        gpu = Gpu()
    except GpuError as problem:
        print(f"gpu_check: {problem}", file=sys.stderr)
        return 2
    capability = 10 * gpu.capability[0] + gpu.capability[1]
    architecture = ARCHITECTURES.get(capability)
    if architecture is None:
        why = "its mma.m8n8k4 has another layout, which is not here" if capability == 70 else "no rule"
        print(f"gpu_check: {gpu.name}: compute capability {capability / 10}: {why}.", file=sys.stderr)
        return 2
    lines: list[Found] = []
    for instruction in INSTRUCTIONS:
        if instruction.runs_on(gpu.capability):
            fresh = list(check_instruction(gpu, instruction, architecture, options.tiles))
            for f in fresh:
                print(f"{f.what}  {f.kind:10s} {f.equal:,} of {f.of:,}{'' if f.known else NOT_CLAIMED}", flush=True)
            lines += fresh
    exact_bits = all(f.equal == f.of for f in lines if f.known)
    note = ""
    try:
        for found in check_cublas(gpu, options.cublas, architecture):
            lines.append(found)
            print(f"{found.what}  {found.kind}: {found.equal} of {found.of}", flush=True)
    except GpuError as problem:
        note = f"cuBLAS was not compared: {problem}"
        print(note)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"{re.sub('[^a-z0-9]+', '-', gpu.name.lower()).strip('-')}.md"
    file.write_text(page(gpu, architecture, lines, note) + "\n")
    print(f"Written: {file}")
    return 0 if exact_bits else 1


if __name__ == "__main__":
    sys.exit(main())
