"""Real tensor cores against the emulation: every matrix instruction of the GPU at hand, and what order cuBLAS sums in.

    python -m benchmarks.gpu_check [--tiles 64] [--cublas PATH] [--out docs/gpu]

Needs an NVIDIA GPU and its driver, nothing else (PTX is handed to the driver); cuBLAS where its library is found. Inputs are of the
kinds that tell rules apart: ordinary numbers, a wide range of exponents, subnormals, cancellation, arbitrary patterns with infinities
and NaN. Prints a table and writes it to OUT/<gpu>.md. Exit code 1 when a bit differs from the emulation's rule of this architecture,
2 when there is no GPU.
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
from workbench.numerics.float_formats import FORMATS as FLOAT_FORMATS
from workbench.numerics.tensor_core import ACCUMULATOR_CODES, DotRule, dot_add

Array = np.ndarray[Any, Any]
ARCHITECTURES = {75: "Turing", 80: "Ampere", 86: "Ampere", 87: "Ampere", 89: "Ada", 90: "Hopper", 100: "Blackwell"}
RULES: dict[str, tuple[int, dict[int, int]]] = {
    "Turing": (24, {16: 8}),
    "Ampere": (24, {16: 8, 32: 4}),
    "Ada": (24, {16: 8, 32: 4, 8: 16}),
    "Hopper": (25, {16: 16, 32: 8, 8: 32}),
    "Blackwell": (25, {16: 16, 32: 8, 8: 32}),
}
"""Architecture -> (fraction bits, bits of an input -> products of a step). Source: docs/arithmetic_float.md."""
FLOAT8_FRACTION_BITS = 13


class Found(NamedTuple):
    """One line of the table."""

    what: str
    kind: str
    equal: int
    of: int


def rule_of(instruction: Instruction, architecture: str) -> DotRule:
    """Return the rule that the emulation has for an instruction."""
    fraction, steps = RULES[architecture]
    bits = BITS[instruction.a]
    narrow = bits == 8
    accumulator = "float16" if instruction.accumulator == "f16" else "float32_e8m13" if narrow else "float32"
    return DotRule(
        min(steps[bits], instruction.k), FLOAT8_FRACTION_BITS if narrow else fraction, ACCUMULATOR_CODES[accumulator]
    )


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


def check_instruction(gpu: Gpu, instruction: Instruction, architecture: str, tiles: int) -> Iterator[Found]:
    """Yield how many outputs of an instruction equal the emulation, for every kind of inputs."""
    rule = rule_of(instruction, architecture)
    target = "sm_90a" if instruction.kind == "wgmma" else f"sm_{instruction.target}"
    module = ptx(instruction, target)
    start = "fp16" if instruction.accumulator == "f16" else "fp32"
    for kind in KINDS:
        rng = np.random.default_rng(KINDS.index(kind))
        a = patterns(rng, (tiles, instruction.m, instruction.k), FORMATS[instruction.a], kind)
        b = patterns(rng, (tiles, 8, instruction.k), FORMATS[instruction.b], "any" if kind == "any" else "ordinary")
        if kind == "cancelling":
            b[..., 1::2] = b[..., ::2]
        c = patterns(rng, (tiles, instruction.m, 8), start, kind)
        right = pack(instruction, "b", b) if instruction.kind == "mma" else shared_b(b)
        packed_c = pack(instruction, "c", c)
        d = gpu.launch(
            module, "tile", tiles, instruction.lanes, [pack(instruction, "a", a), right, packed_c], np.zeros_like(packed_c)
        )
        got = unpack(instruction, d)
        want = emulate(a, b, c, instruction, rule)
        yield Found(instruction.name, kind, int((got == want).sum()), got.size)


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
    fraction, steps = RULES[architecture]
    for name, bits in (("fp16", 16), ("bf16", 16)):
        if name == "bf16" and architecture == "Turing":
            continue
        rule = DotRule(steps[bits], fraction)
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
            got = library.gemm(a, b, name)
            rows, columns = rng.integers(0, m, 400), rng.integers(0, n, 400)
            taken = got[rows, columns]
            found = {o: int((make() == taken).sum()) for o, make in orders(a[rows], b[columns], name, rule).items()}
            best = max(found, key=lambda o: found[o])
            yield Found(f"cublasGemmEx {name}, {m} x {n} x {k}", best, found[best], len(taken))


def page(gpu: Gpu, architecture: str, lines: list[Found], note: str) -> str:
    """Return the table as Markdown."""
    rows = [f"| `{f.what}` | {f.kind} | {f.equal:,} | {f.of:,} |" for f in lines]
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
    architecture = ARCHITECTURES.get(10 * gpu.capability[0] + gpu.capability[1])
    if architecture is None:
        print(f"gpu_check: {gpu.name}: no rule for compute capability {gpu.capability}.", file=sys.stderr)
        return 2
    lines: list[Found] = []
    for instruction in INSTRUCTIONS:
        if instruction.runs_on(gpu.capability) and BITS[instruction.a] in RULES[architecture][1]:
            lines += check_instruction(gpu, instruction, architecture, options.tiles)
            print(*(f"{f.what}  {f.kind:10s} {f.equal:,} of {f.of:,}" for f in lines[-len(KINDS) :]), sep="\n", flush=True)
    exact = all(f.equal == f.of for f in lines)
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
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
