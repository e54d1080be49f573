"""What a format costs against int8 on a core class: cycles of inner loops, of float operations in software, of unpacking.

Nothing here is fitted. Inner loops and soft-float routines are counts of `cortexm_cycles.csv` (executed in an instruction emulator,
times the timings of Arm's manuals); classes that the table does not have are carried over and say so. A ratio of plain C loops is
carried over to kernels that unroll and share loads, so every one is `assumed`, with an interval that reaches both ways: fewer bits
may be slower (nibbles have to be taken apart) or faster (fewer bytes come from a slow flash).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot

from workbench.hardware.costs import Constant

COUNTS = "cortexm_cycles.csv"


def assumed(value: float, uncertainty: float, source: str) -> Constant:
    """Return a constant that no published row of its target supports."""
    return Constant(value=value, basis="assumed", uncertainty=uncertainty, source=source)


@dataclass(frozen=True)
class Loops:
    """Cycles of plain C loops per product, and of one requantization.

    int8: with an input zero point. int4: packed weights. int16: int16 activations, int8 weights, 64-bit sum. row: name of the core
    in the table.
    """

    row: str
    int8: float
    int4: float
    int16: float
    requantize: float


LOOPS = {
    "cortex-m0plus": Loops("m0+", 11.0, 18.0, 16.0, 93.3),
    "cortex-m3": Loops("m3", 10.0, 18.0, 12.0, 19.0),
    "cortex-m4": Loops("m4", 9.0, 16.0, 8.0, 15.0),
}
LIKE = {"cortex-m33": "cortex-m4", "cortex-m7": "cortex-m4", "rxv2": "cortex-m4", "mcu-simd": "cortex-m4"}
"""Classes without counts -> the class whose loops stand for theirs; all others: cortex-m3 (one product at a time, fast multiplier)."""
VECTOR = ("cortex-m55", "cortex-m85", "xtensa-simd", "rv32-simd", "npu-mvp")
"""Classes that multiply vectors: a lane of 16 bits takes the room of two of 8."""
CARRIED_OVER = 0.25
"""Added (in quadrature) to the uncertainty of a ratio that was counted on another class."""


def loops(core: str) -> tuple[str, Loops]:
    """Return the class whose loops stand for a core class, and them."""
    name = core if core in LOOPS else LIKE.get(core, "cortex-m3")
    return name, LOOPS[name]


def weight_factor(core: str, fmt: str, int8: float = 0.0) -> Constant:
    """Return the cycles per product of a format over those of w8a8, for a library that has kernels of its own for it.

    int8: cycles per product of its int8 kernel. One that is slower than a plain loop spends the rest on what the width does not
    change, so that the difference of the loops is added; a faster one shares the difference as it shares its loads: the ratio.
    """
    if core in VECTOR:
        return _vector_factor(fmt)
    name, table = loops(core)
    cycles, what = (table.int4, "int4-packed") if fmt == "w4a8" else (table.int16, "int16 x int8 into 64 bits")
    ratio = 1 + (cycles - table.int8) / max(int8, table.int8)
    how = "their difference added" if int8 > table.int8 else "their ratio"
    carried = "" if core in LOOPS else f"; counted on {name}"
    spread = hypot(0.5, 0.0 if core in LOOPS else CARRIED_OVER)
    source = f"{COUNTS} {table.row}: {what} {cycles:g}, int8 with zero point {table.int8:g}, plain C, {how}{carried}"
    return assumed(ratio, spread, source)


def _vector_factor(fmt: str) -> Constant:
    """Return the same for a vector unit, from the lanes of a 128-bit register."""
    ratios = {
        "w4a8": (1.25, "nibbles are widened to bytes by two vector shifts for every register of weights; not measured"),
        "w8a16": (2.0, f"{COUNTS} m55 (Arm, from memory): 8 products a cycle of int8, 4 of int16"),
        "fp16": (2.0, f"{COUNTS} m55 (Arm, from memory): 8 products a cycle of int8, 4 of float16"),
    }
    value, source = ratios[fmt]
    return assumed(value, 0.6, source)


@dataclass(frozen=True)
class Floats:
    """Cycles of one float32 operation: a library call without an FPU, an instruction or a short sequence with one."""

    add: float
    multiply: float
    divide: float
    compare: float
    from_int: float
    to_int: float
    exp: float
    uncertainty: float
    source: str

    @property
    def mac(self) -> float:
        """One product and its sum."""
        return self.add + self.multiply

    def calls(self, counts: Mapping[str, float]) -> float:
        """Return the cycles of some operations: name -> how many."""
        return sum(count * float(getattr(self, name)) for name, count in counts.items())


FLOATS = {
    "libgcc-m0plus": Floats(
        96.1, 144.0, 450.5, 54.1, 61.9, 26.1, 3195.5, 0.3, f"{COUNTS} m0+: libgcc and newlib in software"
    ),
    "rp2040-rom": Floats(
        74.0, 57.3, 76.9, 54.1, 135.7, 40.0, 524.2, 0.4,
        f"{COUNTS} RP2040 bootrom; divide: libgcc's / 5.86 (RP2040 row); compare: libgcc's",
    ),
    "libgcc-m3": Floats(
        51.3, 34.3, 135.6, 50.0, 26.5, 14.5, 1277.6, 0.3, f"{COUNTS} m3: libgcc and newlib in software"
    ),
    "libgcc-rv32": Floats(
        68.6, 54.8, 97.5, 15.0, 26.5, 14.5, 1845.0, 0.6,
        f"{COUNTS} GD32VF103 (hand-written library) x 1.5 for libgcc; conversions of m3; exp of m3 in the ratio of add and multiply",
    ),
    "fpu": Floats(
        1.0, 1.0, 14.0, 2.0, 2.0, 2.0, 150.0, 1.0, f"{COUNTS} m4 (Arm, from memory): VADD 1, VMUL 1, VDIV 14; exp: newlib, not measured"
    ),
}  # fmt: skip
"""Library -> its operations. x 1.5: what hand-written soft float gains over libgcc on RV32 (RVfplib, from memory)."""

SOFT = {"cortex-m0plus": "libgcc-m0plus", "cortex-m3": "libgcc-m3", "rv32": "libgcc-rv32", "mcu-scalar": "libgcc-m3"}
"""Class without FPU -> the library that compilers link; every other class has the instructions."""


def floats(core: str, library: str = "") -> Floats:
    """Return the float operations of a class. library: one that a board links instead of its class's usual one."""
    return FLOATS[library or SOFT.get(core, "fpu")]


REFERENCE = {
    "cortex-m7": assumed(47.0, 0.6, "tinyengine_h743.csv, TFLM without CMSIS-NN: 44 to 47 cycles a product on a Cortex-M7"),
    "xtensa-simd": assumed(77.0, 0.6, "espressif_nordic.csv, TFLM without ESP-NN on ESP32-S3: 77 cycles a product"),
    "xtensa": assumed(137.0, 0.6, "espressif_nordic.csv, TFLM without ESP-NN on ESP32: 137 cycles a product"),
    "rv32-simd": assumed(70.0, 0.6, "espressif_nordic.csv, TFLM without ESP-NN on ESP32-P4: 70 cycles a product"),
    "rv32": assumed(
        37.0, 0.8, "mlperf_tiny.csv, TFLM 2.3.1 on PCL Scepu02 (RV32IMAC): 33 to 41 cycles a product in ic, kws, vww"
    ),
}
"""Cycles a product of the reference kernels of TensorFlow Lite Micro, which index four dimensions for every product."""
REFERENCE_ELSEWHERE = assumed(
    50.0, 1.0, "reference kernels of TFLM on other classes: 33 to 77 cycles a product (REFERENCE); not measured"
)
REFERENCE_MATRIX = 0.5
"""Fully connected over convolution in reference kernels: one loop instead of six (PCL Scepu02: ad 17 against 33 to 41)."""


def reference_mac(core: str, kind: str, fmt: str, library: str = "") -> Constant:
    """Return the cycles per product of the reference kernels in a format; float32 adds its calls where there is no FPU."""
    base = REFERENCE.get(core, REFERENCE_ELSEWHERE)
    value = base.value * (REFERENCE_MATRIX if kind == "fully_connected" else 1.0)
    operations = floats(core, library)
    if fmt == "fp32" and operations.mac > 10:
        return assumed(
            value + operations.mac, base.uncertainty, f"{base.source}; + float add and multiply, {operations.source}"
        )
    return assumed(value, base.uncertainty, base.source)


UNPACK = {
    "cortex-m0plus": (9.0, 8.0, "stores of two cycles"),
    "rv32": (6.0, 5.5, "a pipeline of four stages, stores of two cycles"),
}


def unpack_weights(core: str) -> dict[int, Constant]:
    """Return the cycles per weight of unpacking 4 and 2 bits to bytes before an int8 kernel runs."""
    four, two, why = UNPACK.get(core, (4.0, 3.5, "stores of one cycle"))
    return {
        4: assumed(four, 1.0, f"a byte loaded, two shifts with sign, two stores; {why}; not measured"),
        2: assumed(two, 1.0, f"a byte loaded, four shifts with sign, packed stores; {why}; not measured"),
    }
