"""What the strings of a row say about an accelerator or an application processor: engine, class, peak rates, clock, threads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite, log, nan

from workbench.calibrate.cores import core_class
from workbench.calibrate.rows import Row


@dataclass(frozen=True)
class Peak:
    """Data-sheet rates of an accelerator, dense. int8, fp16, fp32: 10**12 operations / s (NaN: not supported or not stated).

    gb_s: memory, 10**9 bytes / s.
    """

    int8: float = nan
    fp16: float = nan
    fp32: float = nan
    gb_s: float = nan


PEAKS: tuple[tuple[str, Peak], ...] = (
    (r"hailo-?8l", Peak(13)),
    (r"hailo-?8\b", Peak(26)),
    (r"hailo-?10h", Peak(20, gb_s=34)),
    (r"hailo-?15h", Peak(20, gb_s=17)),
    (r"hailo-?15m", Peak(11, gb_s=17)),
    (r"hailo-?15l", Peak(7, gb_s=17)),
    (r"npu.*rk3588", Peak(2, 1, gb_s=34)),
    (r"npu.*rk3576", Peak(3, 1.5, gb_s=17)),
    (r"npu.*rk356[68]", Peak(0.8, 0.4, gb_s=12.8)),
    (r"npu.*rk3562", Peak(1, 0.5, gb_s=12.8)),
    (r"npu.*rv1109", Peak(1.2, 0.3, gb_s=6.4)),
    (r"npu.*rv1126", Peak(2, 0.5, gb_s=6.4)),
    (r"npu.*rv110[36]", Peak(0.5, gb_s=2.1)),
    (r"npu.*(rk1808|rk3399pro)", Peak(3, 0.1, gb_s=6.4)),
    (r"edge tpu.*usb|usb.*edge tpu", Peak(4, gb_s=0.4)),
    (r"edge tpu", Peak(4, gb_s=0.5)),
    (r"ascend ?310b", Peak(20, 10, gb_s=51)),
    (r"ascend ?310p", Peak(140, 70, gb_s=204)),
    (r"ascend ?310", Peak(16, 8, 8, gb_s=51)),
    (r"^t4\b|tesla t4", Peak(130, 65, 8.1, 320)),
    (r"a100", Peak(624, 312, 19.5, 2039)),
    (r"h100", Peak(1979, 989, 67, 3350)),
    (r"\bv100", Peak(63, 125, 15.7, 900)),
    (r"\bp4\b", Peak(22, 5.5, 5.5, 192)),
    (r"\ba10\b", Peak(250, 125, 31.2, 600)),
    (r"\bl4\b", Peak(242, 121, 30.3, 300)),
    (r"agx orin", Peak(85, 42.5, 5.3, 205)),
    (r"orin nx", Peak(50, 25, 1.9, 102)),
    (r"orin nano", Peak(20, 10, 1.28, 68)),
    (r"agx xavier", Peak(22, 11, 1.4, 137)),
    (r"xavier nx", Peak(12, 6, 0.85, 51)),
    (r"jetson ?tx2", Peak(1.33, 1.33, 0.67, 59)),
    (r"jetson ?nano", Peak(0.47, 0.47, 0.24, 26)),
    (r"rtx ?5090", Peak(838, 419, 105, 1792)),
    (r"rtx ?4090", Peak(661, 165, 82.6, 1008)),
    (r"rtx ?4060", Peak(121, 60, 15, 272)),
    (r"rtx ?3090", Peak(284, 71, 35.6, 936)),
    (r"rtx ?3080", Peak(238, 59, 29.8, 760)),
    (r"rtx ?3070", Peak(163, 40, 20.3, 448)),
    (r"rtx ?3060 ti", Peak(130, 32, 16.2, 448)),
    (r"rtx ?3060", Peak(102, 25, 12.7, 360)),
    (r"rtx ?3050", Peak(73, 18, 9, 224)),
    (r"rtx ?8000", Peak(261, 130, 16.3, 672)),
    (r"rtx ?2080", Peak(169, 85, 10.1, 448)),
    (r"rtx ?2070", Peak(120, 60, 7.5, 448)),
    (r"rtx ?2060", Peak(103, 52, 6.5, 336)),
    (r"gtx ?1650", Peak(6, 6, 3, 128)),
    (r"gtx ?1660", Peak(10, 10, 5, 192)),
    (r"gtx ?1080", Peak(35, 0.14, 8.9, 320)),
    (r"gtx ?1070", Peak(26, 0.1, 6.5, 256)),
    (r"gtx ?1060", Peak(17, 0.07, 4.4, 192)),
    (r"gtx ?1050", Peak(8.5, 0.03, 2.1, 112)),
    (r"titan v", Peak(60, 110, 14.9, 653)),
    (r"rx ?7900", Peak(123, 123, 61, 960)),
    (r"rx ?6900", Peak(46, 46, 23, 512)),
    (r"rx ?6800", Peak(40, 40, 20, 512)),
    (r"rx ?6600", Peak(18, 18, 9, 224)),
    (r"rx ?5[78]0", Peak(6, 6, 6, 256)),
    (r"vega 8", Peak(2.2, 2.2, 1.1, 38)),
    (r"radeon 780m", Peak(16, 16, 8, 90)),
    (r"uhd graphics 77|uhd graphics 7", Peak(1.6, 1.6, 0.8, 77)),
    (r"uhd graphics 6|n5105|celeron n|uhd graphics", Peak(0.8, 0.8, 0.4, 42)),
    (r"iris xe", Peak(4, 4, 2, 68)),
    (r"arc a7", Peak(138, 34, 17, 512)),
    (r"atom x5", Peak(0.2, 0.2, 0.1, 12.8)),
    (r"\bm4\b.*(mac|apple)|(mac|apple).*\bm4\b", Peak(7, 7, 3.6, 120)),
    (r"\bm3\b.*(mac|apple)|(mac|apple).*\bm3\b", Peak(7, 7, 3.5, 100)),
    (r"\bm2\b.*(mac|apple)|(mac|apple).*\bm2\b", Peak(7, 7, 3.6, 100)),
    (r"\bm1\b.*(mac|apple)|(mac|apple).*\bm1\b", Peak(5.2, 5.2, 2.6, 68)),
    (r"iphone ?5s|apple a7", Peak(0.15, 0.15, 0.08, 12.8)),
    (r"adreno x1", Peak(9.2, 9.2, 4.6, 135)),
    (r"adreno 8[34]", Peak(6.8, 6.8, 3.4, 85)),
    (r"adreno 750", Peak(5.6, 5.6, 2.8, 77)),
    (r"adreno 740|8 gen 2", Peak(4.2, 4.2, 2.1, 67)),
    (r"adreno 730|8 gen 1", Peak(3.4, 3.4, 1.7, 51)),
    (r"adreno ?660|snapdragon ?888", Peak(3, 3, 1.5, 51)),
    (r"adreno ?650|snapdragon ?865", Peak(2.4, 2.4, 1.2, 44)),
    (r"adreno ?640|snapdragon ?855", Peak(1.8, 1.8, 0.9, 34)),
    (r"adreno 630|snapdragon ?845", Peak(1.4, 1.4, 0.7, 30)),
    (r"adreno 620|765g", Peak(1.2, 1.2, 0.6, 17)),
    (r"adreno 61\d|snapdragon 675", Peak(0.6, 0.6, 0.3, 15)),
    (r"adreno 5[34]0|snapdragon 8(35|20|21)", Peak(1.0, 1.0, 0.5, 29)),
    (r"adreno 512|snapdragon 660", Peak(0.5, 0.5, 0.25, 15)),
    (r"snapdragon 810|adreno 430", Peak(0.4, 0.4, 0.39, 26)),
    (r"g720|g715|g710|dimensity 9", Peak(6, 6, 3, 77)),
    (r"mali-?g610|rk3588", Peak(1.0, 1.0, 0.5, 34)),
    (r"mali-?g7[678]", Peak(1.6, 1.6, 0.8, 34)),
    (r"mali-?g5[27]|a311d|rk356", Peak(0.2, 0.2, 0.1, 12.8)),
    (r"mali-?t8|rk3399", Peak(0.2, 0.2, 0.11, 12.8)),
    (r"mali-?t7|rk3288", Peak(0.15, 0.15, 0.08, 10)),
    (r"videocore vii|raspberry pi 5", Peak(0.08, 0.08, 0.08, 17)),
    (r"videocore|raspberry pi 4", Peak(0.03, 0.03, 0.03, 8)),
    (r"bxe|powervr", Peak(0.1, 0.1, 0.05, 10)),
    (r"8 elite gen 5|sm8850|hexagon.*galaxy s26", Peak(100, 50, gb_s=85)),
    (r"8 elite|galaxy s25|sm8750|x2 elite", Peak(70, 35, gb_s=85)),
    (r"8 gen 3|galaxy s24|sm8650|8s gen 4", Peak(58, 29, gb_s=77)),
    (r"8550|galaxy s23|8 gen 2", Peak(48, 24, gb_s=67)),
    (r"x elite|x plus|x1e|x1p", Peak(45, 22.5, gb_s=135)),
    (r"8450|galaxy s22|8 gen 1|8\+ gen 1", Peak(27, 13.5, gb_s=51)),
    (r"888|galaxy s21|8350", Peak(26, 13, gb_s=51)),
    (r"8775|9075|9100|8650p?\b|sa8650", Peak(50, 25, gb_s=205)),
    (r"8295|8540", Peak(30, 15, gb_s=137)),
    (r"8255|8620", Peak(36, 18, gb_s=102)),
    (r"7255|8275|8300", Peak(20, 10, gb_s=102)),
    (r"6490|rb3 gen 2|rubikpi|7325", Peak(12, nan, gb_s=25)),
    (r"6690", Peak(6, nan, gb_s=17)),
    (r"rb5|8250|5165", Peak(15, nan, gb_s=34)),
)  # fmt: skip
"""Device (with its core in front) -> peak. Vendors' product briefs and public data-sheet figures, from memory, not verified:
they order devices of which nothing was measured; a measured device corrects its own level.
"""

CYCLES: dict[str, tuple[float, float]] = {
    "cortex-a5": (1, 1), "cortex-a7": (1, 2), "cortex-a8": (2, 2), "cortex-a9": (2, 2), "cortex-a15": (4, 8), "cortex-a17": (4, 6),
    "cortex-a35": (2, 4), "cortex-a53": (4, 6), "cortex-a55": (8, 16), "cortex-a57": (4, 8), "cortex-a72": (4, 8),
    "cortex-a73": (4, 8), "cortex-a75": (12, 32), "cortex-a76": (16, 32), "cortex-a77": (16, 32), "cortex-a78": (16, 32),
    "cortex-a78ae": (16, 32), "cortex-a710": (16, 32), "cortex-a720": (16, 32), "cortex-x1": (32, 64), "cortex-x2": (32, 64),
    "cortex-x3": (32, 64), "cortex-x4": (32, 64), "cortex-x925": (48, 96), "apple": (32, 64), "oryon": (32, 64), "a7": (4, 4),
    "neoverse": (16, 32), "taishan": (16, 16), "phytium": (4, 8), "carmel": (16, 32), "kryo-a73": (4, 8), "kryo-a76": (14, 30),
    "kryo-x": (24, 48), "cpu": (6, 12), "x86": (16, 16), "x86-512": (24, 24), "x86-sse": (4, 5), "x86-old": (1, 1),
    "la464": (12, 12), "la664": (16, 16), "la364": (4, 4), "la264": (1, 1), "gs464v": (4, 4), "gs464": (0.6, 0.6), "gs264": (1, 1),
    "sw64": (0.5, 0.5), "mips": (0.3, 0.3), "rv64": (0.5, 0.5), "rv-vector": (1, 1), "rv-vector-256": (4, 4),
}  # fmt: skip
"""Core class -> multiply-accumulates a cycle of one core, float (float16 where the core calculates with it) and int8: width
and number of its vector units (vendors' optimisation guides and public descriptions, from memory; order of magnitude).
"""

NAMED_CPUS: tuple[tuple[str, str, float], ...] = (
    (r"x60|spacemit", "rv-vector-256", 1.6), (r"\bc9\d\d\b", "rv-vector", 1.0), (r"u74|riscv", "rv64", 1.5),
    (r"(mac|apple).*\bm4\b", "apple", 4.4), (r"(mac|apple).*\bm3\b", "apple", 4.05), (r"(mac|apple).*\bm2\b", "apple", 3.5),
    (r"(mac|apple).*\bm1\b", "apple", 3.2),
    (r"iphone 5s|apple a7", "a7", 1.3), (r"apple|iphone|ipad|macbook", "apple", 3.0), (r"oryon|x elite|x plus", "oryon", 3.4),
    (r"8 elite", "oryon", 4.3), (r"neoverse|graviton|cobalt|d\d+p\w*s|ampere altra", "neoverse", 3.2),
    (r"kunpeng|taishan", "taishan", 2.6), (r"phytium|ft-?2000|ftc\d+", "phytium", 2.3),
    (r"la664|3a6000", "la664", 2.5), (r"la464|3a5000", "la464", 2.5), (r"la364|2k2000", "la364", 1.5),
    (r"la264|2k1000la", "la264", 1.0),
    (r"gs464v|3a4000", "gs464v", 1.8), (r"gs464|3a3000", "gs464", 1.45), (r"gs264|2k1000", "gs264", 1.0), (r"loongson", "la464", 2.0),
    (r"agx orin", "cortex-a78ae", 2.2), (r"orin nx", "cortex-a78ae", 2.0), (r"orin nano", "cortex-a78ae", 1.5),
    (r"xavier", "carmel", 2.2), (r"jetson ?(nano|tx1)", "cortex-a57", 1.43), (r"jetson ?tx2", "cortex-a57", 2.0),
    (r"snapdragon 8 gen|sm8[4567]50", "kryo-x", 3.2), (r"snapdragon ?(888|865|870)", "kryo-x", 2.84),
    (r"snapdragon (855|845|675|765|730|778|695|480)|kyro4|kryo ?[45]", "kryo-a76", 2.2), (r"snapdragon 810", "cortex-a57", 2.0),
    (r"kyro|kryo|snapdragon", "kryo-a73", 2.2),
    (r"sunway|sw_?64", "sw64", 1.7), (r"xburst|ingenic|mips", "mips", 1.2),
    (r"yonah|pentium|celeron m\b|atom n|atom d", "x86-old", 1.6), (r"celeron|atom|\bn\d{3,4}\b", "x86-sse", 2.4),
    (r"d\d+a\w*s|epyc 9|ryzen 9 [79]|ryzen 7 [79]|xeon|avx-?512", "x86-512", 3.5), (r"epyc", "x86", 3.2),
    (r"ryzen embedded|\bv1605", "x86", 3.2), (r"intel|amd|ryzen|core i", "x86", 4.5), (r"raspberry pi 5|bcm2712", "cortex-a76", 2.4),
    (r"raspberry pi 3|bcm2837", "cortex-a53", 1.3),
)  # fmt: skip
"""Processors that the text names without an Arm core: class and usual clock in GHz (vendors' product pages, from memory)."""
CLOCK = re.compile(r"(\d+(?:\.\d+)?)\s*(ghz|mhz)")
CORES = re.compile(r"(?:ghz|mhz)\)?\s*[x*×]\s*(\d+)|[x×](\d+) cores|(\d+)-core|[x*×]\s*(\d+)\b")
RKNPU1 = r"rv1109|rv1126(?!b)|rk1808|rk3399pro"
"""Parts of the first generation of Rockchip's NPU (those of rknn-toolkit 1)."""
ACCELERATOR_FAMILIES = {**dict.fromkeys(("geforce", "jetson", "rtx", "gtx", "tesla"), "nvidia"), "macbook": "apple"}
THREADS = re.compile(r"threads\s*=\s*(\d+)")
USUAL_CLOCK_GHZ = 2.0
MOST_CORES = 256


@dataclass(frozen=True)
class Engine:
    """What did the work. kind: npu, gpu or cpu. name: core class or kind of accelerator. log_rate: log of
    multiply-accumulates a second at the peak for the precision (NaN when nothing says). log_bytes: log of bytes a second of
    the memory (NaN likewise).
    """

    kind: str
    name: str
    log_rate: float
    log_bytes: float
    threads: float
    cores: float


def engine(row: Row, precision: str) -> Engine:
    """Return the engine of a row; precision: int8, fp16 or fp32."""
    text = f"{row.core} | {row.text('isa_fpu_npu')} | {row.device}".lower()
    kind = _kind(row)
    found = re.findall(THREADS, row.runtime)
    threads = max(1.0, float(found[0])) if found else 1.0
    if kind == "cpu":
        name, clock, cores = _processor(row)
        per_cycle = CYCLES.get(name, CYCLES["cpu"])[precision == "int8"]
        busy = min(threads, cores) if isfinite(cores) else threads
        return Engine(kind, name, log(per_cycle * clock * 1e9 * busy), nan, threads, cores)
    peak = next((p for pattern, p in PEAKS if re.search(pattern, text) or re.search(pattern, row.device.lower())), Peak())
    rates = {"int8": (peak.int8, peak.fp16, peak.fp32), "fp16": (peak.fp16, peak.fp32), "fp32": (peak.fp32, peak.fp16)}
    rate = next((r for r in rates[precision] if isfinite(r)), nan)
    return Engine(kind, _accelerator(row, text), log(rate * 0.5e12) if isfinite(rate) else nan,
                  log(peak.gb_s * 1e9) if isfinite(peak.gb_s) else nan, threads, nan)  # fmt: skip


def _kind(row: Row) -> str:
    core, isa, runtime = row.core.lower(), row.text("isa_fpu_npu").lower(), row.runtime.lower()
    if re.search(r"\bgpu|vulkan|tensor core", f"{core} {isa}") or re.search(r"tensorrt|gpu=\d|pplnn", runtime):
        return "gpu"
    if re.search(r"npu|tpu|hexagon|htp|dsp\b|accelerator", f"{core} {isa}") or "ascend" in row.device.lower():
        return "npu"
    if re.search(r"adreno|mali|geforce|radeon", row.device.lower()) and not core:
        return "gpu"
    return "cpu"


def _accelerator(row: Row, text: str) -> str:
    for name in (
        "nvidia",
        "geforce",
        "jetson",
        "rtx",
        "gtx",
        "tesla",
        "adreno",
        "mali",
        "radeon",
        "intel",
        "macbook",
        "apple",
        "powervr",
        "videocore",
    ):
        if name in text:
            return ACCELERATOR_FAMILIES.get(name, name)
    if "rockchip" in text or "rknn" in row.runtime.lower():
        return "rknpu1" if re.search(RKNPU1, text) else "rknpu2"
    return core_class(row.core, row.text("isa_fpu_npu"), row.device)


def _processor(row: Row) -> tuple[str, float, float]:
    """Return core class, clock in GHz (of the first core named) and cores."""
    device = re.sub(r"\+.*?(adreno|mali|radeon|powervr|ampere|gpu).*", "", row.device.lower())
    text = f"{row.core.lower()} {device}"
    name, usual = next(((n, clock) for pattern, n, clock in NAMED_CPUS if re.search(pattern, text)), ("cpu", USUAL_CLOCK_GHZ))
    arm = re.search(r"(?:cortex-?\s?|\bcore )(a\d+[a-z]*|x\d+)|\b(a\d\d|x\d)\b(?= \d\.\d)", text)
    if arm is not None:
        name = f"cortex-{arm[1] or arm[2]}"
    elif name == "cpu":
        name = core_class(row.core, row.text("isa_fpu_npu"), device)
    clocks = [float(v) * (1 if unit == "ghz" else 1e-3) for v, unit in re.findall(CLOCK, text)]
    counts = [float(n) for groups in re.findall(CORES, device) for n in groups if n]
    quads = 4.0 * device.count("quad") + 8.0 * device.count("octa")
    cores = sum(n for n in counts if n <= MOST_CORES) + quads
    return name, next((c for c in clocks if c > 0), usual), cores or nan
