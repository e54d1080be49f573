"""Cost sheets of memory, one for each family of runtimes of microcontrollers: `hw_profiles/costs/memory-<runtime>.yaml`.

TFLite Micro: what its source and its own reports say. ST's code generators are closed: code, records and the ratio of the reported
activations to a plan without overlap come from the rows of `st_modelzoo_mcu.csv`, as medians with the range that holds 80 % of them;
for its accelerator the ratio to a plan in banks comes from `stm32n6_npu_w4w8.csv`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from pathlib import Path
from statistics import median

from workbench.calibrate.activations import BANKED
from workbench.calibrate.families.flash import BIAS_BYTES, channels, major
from workbench.calibrate.footprint import Footprint, footprint
from workbench.calibrate.rows import Row, Tables
from workbench.hardware.costs import Basis, Library
from workbench.resources import resource_folder

TABLE, BANKED_TABLE = "st_modelzoo_mcu.csv", "stm32n6_npu_w4w8.csv"
LOW, HIGH = 0.1, 0.9
NEWEST_FROM = 11
"""Major version (ST Edge AI 3.0 counts as 11) from which code and records of ST's runtime are the small ones of today."""
NOT_BELOW = 0.85
"""The ratio of an arena is raised above its median until nine of ten networks need at most 1 / 0.85 of what it says: a RAM that is
promised and not there costs more than one that is left over."""
KERNELS = {
    "conv2d": 12,
    "depthwise_conv2d": 10,
    "transpose_conv2d": 6,
    "fully_connected": 4,
    "lstm": 12,
    "softmax": 3,
    "any": 2,
}
"""KiB of code of the kernels of one operator with TFLite Micro: orders of magnitude, assumed."""
CORE_KIB = 16
"""KiB of the interpreter: "the core runtime just fits in 16 KB on an Arm Cortex M3" (tensorflow.org/lite/microcontrollers)."""
TFLM: dict[str, tuple[Library, str]] = {
    "memory-tflm": ("tflm", "reference kernels"),
    "memory-tflm-cmsis-nn": ("cmsis_nn_dsp", "cores with DSP instructions; others name cmsis_nn or cmsis_nn_mve in their own profile"),
    "memory-tflm-esp-nn": ("tflm", "reference kernels; ESP-NN asks for copies of filters and inputs besides, not modelled"),
}  # fmt: skip
FILES = (
    "file sizes of the five int8 files of models/mlperf_tiny: 24 B a channel (scale float32 and zero point int64, of weights and of "
    "bias) and 500 B a layer reproduce the sizes of ad, ic and sww within 4 % (kws and vww: see docs/cost.md)"
)
REPORTED = (
    "tflite-micro (print_allocations) on x86-64: 237 B a node and 558 B beside 8 B a channel, eleven networks of models/mlperf_tiny "
    "within 10 %; its records are pointers for the larger part, of half that size on a 32-bit core"
)
CORE = f"the core runtime fits in {CORE_KIB} KB on a Cortex-M3 (tensorflow.org/lite/microcontrollers)"
SCALES = f"{TABLE}: code_flash_kib of mobilenetv1 0.5 less 0.25 with ST Edge AI 3.0, 4.01 B a channel (one float32 scale)"


def write_sheets(tables: Tables, folder: Path | None = None) -> list[Path]:
    """Write the sheets; return the files. Without rows of ST's runtimes their sheet stays as it is."""
    folder = folder or resource_folder("hw_profiles") / "costs"
    sheets = {name: tflm(library, why) for name, (library, why) in TFLM.items()}
    given = [(row, footprint(row, tables)) for row in tables.rows(TABLE)]
    known = [
        (row, facts) for row, facts in given if facts.target == "mcu st-ai" and not facts.float32 and row.number("ram_kib") > 0
    ]
    if known:
        sheets["memory-st-ai"] = st_ai(known)
    banked = [(row, footprint(row, tables)) for row in tables.rows(BANKED_TABLE)]
    banked = [(row, facts) for row, facts in banked if facts.kept.source in ("banks", "operands")]
    if banked:
        sheets["memory-neural-art"] = neural_art(banked)
    for name, text in sheets.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return [folder / f"{name}.yaml" for name in sheets]


def tflm(library: Library, why: str) -> str:
    """Return the sheet of TFLite Micro with some library of kernels."""
    kernel = "kernels of one operator, all types; not measured"
    entries = [
        _entry("channel_flash_bytes", 24, "same device and runtime", 0.4, FILES),
        _entry("layer_flash_bytes", 500, "same device and runtime", 0.6, FILES),
        _entry(
            "channel_ram_bytes", 8, "data sheet", 0.05, "multiplier and shift, int32 each (TFLM conv_common.cc); as it reports"
        ),
        _entry("layer_ram_bytes", 160, "assumed", 0.5, REPORTED),
        _entry("runtime_flash_bytes", CORE_KIB * 1024, "data sheet", 0.5, CORE),
        _entry("runtime_ram_bytes", 4096, "assumed", 1.0, "interpreter, resolver, stack; not measured"),
        "kernel_flash_bytes:",
        *("  " + _entry(op, size * 1024, "assumed", 0.8, kernel) for op, size in KERNELS.items()),
        "planner: greedy  # GreedyMemoryPlanner: largest first, lowest gap",
        "alignment: 16  # MicroArenaBufferAlignment",
        "reshape_copies: true  # no operator of TFLM shares a buffer",
        f"scratch: {library}  # {why}",
    ]
    return "\n".join(entries) + "\n"


def st_ai(given: Sequence[tuple[Row, Footprint]]) -> str:
    """Return the sheet of ST's code generators, from int8 networks on microcontrollers."""
    newest = [(row, facts) for row, facts in given if major(facts) >= NEWEST_FROM] or list(given)
    code = [row.number("code_flash_kib") * 1024 - BIAS_BYTES * channels(facts) for row, facts in newest]
    records = [row.number("runtime_ram_kib") * 1024 for row, _ in newest]
    live = [
        row.number("activation_ram_kib") * 1024 / row.number("peak_act_bytes_naive")
        for row, _ in given
        if row.number("peak_act_bytes_naive") > 0
    ]
    here = f"{TABLE}: {len(newest)} int8 networks with the newest version"
    ratio = f"{TABLE}: activation_ram_kib / peak_act_bytes_naive of {len(live)} int8 rows, nine of ten at most this / 0.85"
    entries = [
        _entry("channel_flash_bytes", 4, "same device and runtime", 0.1, SCALES),
        _entry("layer_flash_bytes", 0, "assumed", 1.0, "the descriptors are code: runtime_flash_bytes"),
        _entry("channel_ram_bytes", 0, "assumed", 1.0, "none seen"),
        _entry("layer_ram_bytes", 0, "assumed", 1.0, "in runtime_ram_bytes"),
        _fitted("runtime_flash_bytes", code, f"{here}: code_flash_kib less 4 B a channel, median and range of 80 %"),
        _fitted("runtime_ram_bytes", records, f"{here}: runtime_ram_kib, median and range of 80 %"),
        _fitted("arena_factor", live, ratio, 4, NOT_BELOW),
        "planner: optimised  # closed; its plans are at the sum of what is live or below (it writes outputs over inputs)",
        "scratch: none  # in arena_factor",
        "reshape_copies: false",
    ]
    return "\n".join(entries) + "\n"


def neural_art(given: Sequence[tuple[Row, Footprint]]) -> str:
    """Return the sheet of ST's accelerator with memories of its own, from networks whose layers are known."""
    ratios = [
        (row.number("ram_kib") + row.number("external_ram_kib")) * 1024 / facts.kept.activations
        for row, facts in given
        if row.number("ram_kib") > 0
    ]
    source = (
        f"{BANKED_TABLE}: internal and external RAM / the plan in banks, {len(ratios)} rows of networks whose layers are known"
    )
    banks = BANKED["npu-neural-art"]
    registers, software = "registers of an epoch; not in the table", "ll_ATON and the software operators; not measured"
    entries = [
        _entry("channel_flash_bytes", 4, "assumed", 0.5, "a scale a channel, as ST Edge AI on Cortex-M"),
        _entry("layer_flash_bytes", 400, "assumed", 1.0, registers),
        _entry("channel_ram_bytes", 0, "assumed", 1.0, registers),
        _entry("layer_ram_bytes", 0, "assumed", 1.0, registers),
        _entry("runtime_flash_bytes", 100_000, "assumed", 1.0, software),
        _entry("runtime_ram_bytes", 20_000, "assumed", 1.0, software),
        _fitted("arena_factor", ratios, source, 4, NOT_BELOW),
        "planner: banks  # closed; its rule is inferred from these rows (docs/cost.md)",
        f"banks: {{count: {banks.count}, size_bytes: {banks.size_bytes}, next_bytes: {banks.next_bytes}}}",
        "channel_block: 8  # assumed",
        "scratch: none  # inside of the accelerator",
        "reshape_copies: false",
    ]
    return "\n".join(entries) + "\n"


def _entry(name: str, value: float, basis: Basis, uncertainty: float, source: str, digits: int = 0) -> str:
    return f'{name}: {{value: {value:.{digits}f}, basis: {basis}, uncertainty: {uncertainty:.3g}, source: "{source}"}}'


def _fitted(name: str, values: Iterable[float], source: str, digits: int = 0, not_below: float = 0.0) -> str:
    """Return a constant: the median, but at least not_below x the upper end, and the uncertainty that holds 80 % of the values."""
    ordered = sorted(v for v in values if isfinite(v) and v > 0)
    low, high = ordered[round(LOW * (len(ordered) - 1))], ordered[round(HIGH * (len(ordered) - 1))]
    middle = max(median(ordered), not_below * high)
    spread = max(high / middle, middle / low) - 1
    return _entry(name, middle, "same device and runtime", max(spread, 0.05), source, digits)
