"""Core classes: what the strings of a row (core, instruction set, device) say about the processor that did the work.

A class is what constants are shared by: cores of one class run the same instructions in about the same number of cycles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Patterns = tuple[tuple[str, str], ...]

ENGINES: Patterns = (
    (r"neural-?art", "npu-neural-art"),
    (r"ethos-?u\s?-?\d+", "npu-ethos-u"),
    (r"\bmvp\b", "npu-mvp"),
    (r"\bne16\b|gapflow", "npu-ne16"),
    (r"syntiant|\bndp\d+", "npu-syntiant"),
    (r"max7800\d", "npu-max7800x"),
    (r"sensing hub", "npu-sensing-hub"),
    (r"hexagon|\bhtp\b", "npu-hexagon"),
    (r"hailo", "npu-hailo"),
    (r"rockchip npu|rknn", "npu-rockchip"),
    (r"edge ?tpu|coral usb|coral dev board", "npu-edge-tpu"),
    (r"ascend ?\d+", "npu-ascend"),
    (r"\bkpu\b|kendryte|\bk210\b", "npu-kpu"),
    (r"fpga dataflow", "fpga"),
    (r"npu/gpu", "npu"),
)
"""Accelerators, looked for in core, instruction set and device before any processor: they do the work where one is named."""

PROCESSORS: Patterns = (
    (r"esp32-?s3", "xtensa-simd"),
    (r"esp32-?p4", "rv32-simd"),
    (r"cortex-?\s?m(23|33).*no dsp", "cortex-m3"),
    (r"cortex-?\s?m0\+?|\bm0plus\b|\bm0\+", "cortex-m0plus"),
    (r"cortex-?\s?m1\b|cortex-?\s?m23\b", "cortex-m0plus"),
    (r"cortex-?\s?m3\b", "cortex-m3"),
    (r"cortex-?\s?m4f?\b", "cortex-m4"),
    (r"cortex-?\s?m33f?\b|cortex-?\s?m35p?\b|star-?mc1", "cortex-m33"),
    (r"cortex-?\s?m7f?\b", "cortex-m7"),
    (r"cortex-?\s?m52\b|cortex-?\s?m55\b", "cortex-m55"),
    (r"cortex-?\s?m85\b", "cortex-m85"),
    (r"\blx7\b(?=.*simd|.*pie)", "xtensa-simd"),
    (r"hifi ?\d|\bfusion f1\b", "xtensa-simd"),
    (r"xtensa|\blx[67]\b", "xtensa"),
    (r"\brxv[1-4]\b|\brx[67]\d", "rxv2"),
    (r"\brvv\b|\brv(32|64) v\b|vlen|nx27v|\bc906|\bc908|\bc920|x60\b", "rv-vector"),
    (r"p-ext|pulp|\bpie\b|xpulp|\bri5cy|\bgap[89]\b", "rv32-simd"),
    (r"\brv64|u74|u54|gc\b.*risc-?v 64", "rv64"),
    (r"\brv32[a-z]*f|\brv32[a-z]*\+?.*\+fpu|\brv32g", "rv32f"),
    (r"\brv32|ibex|bumblebee|\brisc-?v\b|\brv\b|\bvexriscv\b", "rv32"),
)
"""Microcontroller cores by their own names (two parts whose core text does not tell the vector unit; no DSP: an M3 at heart)."""

DEVICES: Patterns = (
    (r"\b(stm32(g0|c0|l0|f0|u0)|rp2040|samd21|saml\d|nrf51|mspm0|cc2340|lpc8|mkl\d)", "cortex-m0plus"),
    (r"\b(stm32(f1|f2|l1)|lpc17|sam3|cc13[15]|cc26[15])", "cortex-m3"),
    (r"\b(stm32(f3|f4|l4|g4|wb(?!a)|wl)|nrf52|apollo ?[34]|samd51|same5|msp432|tm4c|ra6m[123]|efr32\w?g1[1-4])", "cortex-m4"),
    (r"\b(stm32(u5|l5|h5|wba)|nrf(53|54|91)|rp2350|lpc55|i?\.?mx ?rt[56]|ra[46][mel]|efr32\w?g2|psoc ?64|mcxn)", "cortex-m33"),
    (r"\b(stm32(f7|h7)|i?\.?mx ?rt1|sam[sev]7)", "cortex-m7"),
    (r"\b(stm32n6|apollo ?5|alif|ensemble|psoc ?edge)", "cortex-m55"),
    (r"\bra8", "cortex-m85"),
    (r"\besp32-?(c\d|h\d)|\b(gd32vf|bl60|fe310|ch32v)", "rv32"),
    (r"\besp(32|8266)", "xtensa"),
    (r"\bstm32mp1", "cortex-a7"),
    (r"\bstm32mp2", "cortex-a35"),
    (r"raspberry pi 5|bcm2712|rk3588", "cortex-a76"),
    (r"raspberry pi 4|bcm2711|rk3399", "cortex-a72"),
    (r"raspberry pi 3|bcm2837", "cortex-a53"),
)
"""Parts by their ordering codes, where a row leaves the core empty. From the vendors' product lines."""

ACCELERATORS: Patterns = (
    (r"\bfpga\b(?!\))", "fpga"),
    (r"\bnpu\b|\btpu\b|accelerator", "npu"),
    (r"\bgpu\b|vulkan|tensor core|geforce|radeon|adreno|mali|nvidia|\bcuda\b|jetson|^\W*(t4|[aglv]\d{1,3}|h[12]00)\b", "gpu"),
)
CPUS: Patterns = (
    (r"xeon|intel|\bamd\b|epyc|ryzen|x86|\bavx|celeron|\bsse", "x86"),
    (r"\bmve\b|helium", "cortex-m55"),
    (r"\bneon\b|aarch64|armv8", "cortex-a"),
    (r"no dsp, no fpu|^\W*none\W*$", "mcu-scalar"),
    (r"\bdsp\b|simd", "mcu-simd"),
    (r"\bcpu\b|kryo|kunpeng|loongson|phytium|oryon|snapdragon", "cpu"),
)
"""What is left: the stated generic classes. `(FPGA)` behind a soft core's name says where it runs, not what it is."""

FAMILIES = {
    "cortex-m0plus": "scalar", "cortex-m3": "scalar", "xtensa": "scalar", "rv32": "scalar", "rv32f": "scalar", "rv64": "scalar",
    "mcu-scalar": "scalar", "cortex-m4": "dsp", "cortex-m33": "dsp", "cortex-m7": "dsp", "rxv2": "dsp", "mcu-simd": "dsp",
    "cortex-m55": "vector", "cortex-m85": "vector", "rv32-simd": "vector", "rv-vector": "vector", "xtensa-simd": "vector",
}  # fmt: skip
"""Class -> how it multiplies 8-bit integers: one at a time, two 16-bit halves of a word, or a vector."""


@dataclass(frozen=True)
class CoreTraits:
    """What a class has: fpu = float32 in hardware; family = scalar, dsp, vector, application, npu, gpu, fpga or other."""

    family: str
    fpu: bool


SOFT_FLOAT = frozenset({"cortex-m0plus", "cortex-m3", "rv32", "mcu-scalar"})
"""Classes whose float operations are library calls (the ESP32 and the RX have an FPU; `cortex-m33` parts in the tables too)."""


def core_class(core: str, isa: str = "", device: str = "") -> str:
    """Return the class of the processor that ran a network, from the texts of a row (any of them may be empty).

    Accelerators first, then the core's own name, application cores (`cortex-a72`), the part number, generic words; `unknown`
    where nothing fits.
    """
    core, isa, device = (str(t or "").strip().lower() for t in (core, isa, device))
    named = f"{core} | {isa}"
    everything = f"{named} | {device}"
    if re.search(r"\bcpu\b", core):  # the text of the device names its GPU as well
        return (
            _first(PROCESSORS, device) or _application(device) or _first(DEVICES, device) or _first(CPUS, everything) or "cpu"
        )
    return (
        _first(ENGINES, named if core else everything)
        or _first(ACCELERATORS, named)
        or _application(core)
        or _first(PROCESSORS, everything)
        or _first(DEVICES, device)
        or _first(ENGINES, device)
        or _application(device)
        or _first(ACCELERATORS, device)
        or _first(CPUS, everything)
        or "unknown"
    )


def traits(name: str) -> CoreTraits:
    """Return the traits of a class."""
    family = FAMILIES.get(name)
    if family is None:
        head = name.split("-")[0]
        family = head if head in ("npu", "gpu", "fpga") else "application" if name.startswith("cortex-a") or name in ("x86", "cpu") \
            else "other"  # fmt: skip
    return CoreTraits(family, family not in ("npu", "fpga", "other") and name not in SOFT_FLOAT)


def _first(patterns: Patterns, text: str) -> str:
    return next((name for pattern, name in patterns if text and re.search(pattern, text)), "")


def _application(text: str) -> str:
    """Return `cortex-a72` for an application core named in a text, the first one where there are several."""
    found = re.search(r"cortex-?\s?(a\d+[a-z]*|x\d+|r\d+)", text)
    return f"cortex-{found[1]}" if found else ""
