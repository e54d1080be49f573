"""Cost sheets of GPUs: the share of its data sheet's peak that a T4 reaches in published rows, and the peaks of the others.

A layer takes the longer of its arithmetic and its bytes, and a launch. What one GPU was measured at is carried to others of its kind
as a share of the peak rate of the format; the cost of a launch in cycles.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import expm1, hypot

from workbench.calibrate.accelerator_targets import MACHINES
from workbench.calibrate.accelerators import Z80, Fit
from workbench.calibrate.accelerators import Constant as Fitted
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.sheets import Writer, number, quoted
from workbench.cost.latency import cost_format
from workbench.hardware.costs import Basis, Constant
from workbench.hardware.profile import HardwareProfile, load_profile
from workbench.precision import parse_format

TABLE = "gpu_specs.csv"
MEASURED = "nvidia-t4"
GPUS = {"nvidia-t4": "T4", "nvidia-a100": "A100 SXM 80GB", "nvidia-h100": "H100 SXM"}
"""Profile -> its row of the table of peak rates."""
PEAKS = {
    "fp32": "fp32_tflops",
    "tf32": "tf32_tc",
    "fp16": "fp16_tc",
    "bf16": "bf16_tc",
    "fp8": "fp8_tc",
    "int8": "int8_tc_tops",
}
REACHED = {"fp32": "fp32", "tf32": "fp16", "fp16": "fp16", "bf16": "fp16", "fp8": "int8", "int8": "int8"}
"""Rate -> the rate whose measured share of the peak stands for it."""
STATED = "gpu_specs.csv, data sheet, from memory, not verified"
SPARSE_FACTOR = 0.8
"""Of the dense time, for weights pruned to 2:4, whose peak is twice as high; how much kernels reach is assumed."""
DEPTHWISE_FACTOR = 3.0
"""Of the fp32 time: no tensor cores, little reuse; assumed."""
ELEMENTS_PER_CYCLE = 64.0
"""Per multiprocessor, and a third of it for decoding a weight; assumed, the bandwidth rules."""
MULTIPROCESSORS = {"nvidia-t4": 40, "nvidia-a100": 108, "nvidia-h100": 132}
PRODUCTS = (
    "conv2d",
    "fully_connected",
    "transpose_conv2d",
    "batch_matmul",
    "lstm",
    "rnn",
    "svdf",
    "gru",
    "rnn_with_states",
    "lstm_with_states",
)


def gpu_sheets(tables: Tables, fits: Mapping[str, Fit]) -> dict[str, str]:
    """Return profile -> text of its sheet ({} without rows of the measured GPU or the table of peaks)."""
    fit = fits.get(MEASURED)
    rows = {row.text("gpu"): row for row in tables.rows(TABLE)}
    if fit is None or GPUS[MEASURED] not in rows:
        return {}
    return {name: _sheet(name, rows[gpu], rows[GPUS[MEASURED]], fit) for name, gpu in GPUS.items() if gpu in rows}


def _sheet(name: str, specs: Row, measured: Row, fit: Fit) -> str:
    profile = load_profile(name, costs=False)
    told = f"make calibrate, {MACHINES[MEASURED].table}: {fit.rows} rows of {fit.networks} networks on a T4 with TensorRT"
    own = name == MEASURED
    text = Writer()
    text.line(
        f"# Made by `make calibrate`; do not edit. Cycles of {specs.text('gpu')} with {profile.runtime.partition(':')[0]}."
    )
    clock = load_profile(MEASURED, costs=False).clock_hz
    for kind in ("inference", "layer"):
        text.constant(kind, _carried(fit.constants[kind], clock, own, told, "as many cycles on this GPU"))
    text.line(f"network_uncertainty: {number(fit.unseen if own else hypot(fit.unseen, 1.0))}")
    text.line(f"layer_uncertainty: {number(2 * fit.unseen if own else hypot(2 * fit.unseen, 1.0))}")
    more = "" if own else "; carried to this GPU: wider by a factor of two"
    text.line(f"uncertainty_source: {quoted(f'{told}, networks left out{more}; one layer: assumed, twice as wide')}")
    width = specs.number("mem_gb_s") * 1e9 / profile.clock_hz
    rate = Constant(
        value=width,
        basis="data sheet",
        uncertainty=0.5,
        source=f"{STATED}: {specs.text('mem_gb_s')} GB/s; small tensors stay in L2",
    )
    text.constant("flash_bytes_per_cycle", rate)
    text.constant("ram_bytes_per_cycle", rate)
    speed = 1 / (ELEMENTS_PER_CYCLE * MULTIPROCESSORS[name])
    element = Constant(
        value=speed, basis="assumed", uncertainty=2.0, source="64 elements a cycle and multiprocessor; bandwidth rules"
    )
    decode = Constant(
        value=3 * speed,
        basis="assumed",
        uncertainty=3.0,
        source="three operations a weight at the rate of elements; not measured",
    )
    text.constant("decode", decode)
    rates = {
        rate: _mac(rate, specs, measured, fit, profile.clock_hz, own, told) for rate in PEAKS if specs.number(PEAKS[rate]) > 0
    }
    _operators(text, profile, rates, element, decode)
    return text.text()


def _carried(fitted: Fitted, scale: float, own: bool, told: str, how: str) -> Constant:
    """Return a constant of the measured GPU, in cycles, for itself or for another one."""
    basis: Basis = fitted.basis if own or fitted.basis == "assumed" else "same core class"
    spread = expm1(Z80 * fitted.sd)
    return Constant(
        value=fitted.value * scale, basis=basis, uncertainty=spread if own else hypot(spread, 1.0),
        source=told if own else f"{told}; {how}",
    )  # fmt: skip


def _mac(rate: str, specs: Row, measured: Row, fit: Fit, clock_hz: float, own: bool, told: str) -> Constant:
    """Return cycles per multiply-accumulate: the measured share of the peak, of this GPU's peak."""
    like = REACHED[rate]
    index = next(
        i for i, f in enumerate(MACHINES[MEASURED].formats) if like in (*f.formats, *(("int8",) if "w8a8" in f.formats else ()))
    )
    peak = specs.number(PEAKS[rate]) * 1e12 / 2
    share = 1 / fit.constants[f"mac {index}"].value / (measured.number(PEAKS[like]) * 1e12 / 2)
    fitted = fit.constants[f"mac {index}"]
    scaled = Fitted(1 / (peak * share), fitted.sd, fitted.basis)
    return _carried(
        scaled, clock_hz, own and rate == like, told, f"{share:.0%} of the peak, here {specs.text(PEAKS[rate])} T/s ({STATED})"
    )


def _operators(
    text: Writer, profile: HardwareProfile, rates: Mapping[str, Constant], element: Constant, decode: Constant
) -> None:
    text.line("operators:")
    every: dict[str, None] = {}
    for op in profile.operators:
        formats = list(dict.fromkeys(cost_format(profile, op, f) for f in profile.formats(op)))
        if op not in (*PRODUCTS, "depthwise_conv2d", "reshape"):
            every.update(dict.fromkeys(formats))
            continue
        text.line(f"{op}:", 1)
        if op == "reshape":
            text.line(f"- formats: [{', '.join(formats)}]", 2)
            text.constant("fixed", Constant(value=0, basis="assumed", uncertainty=1.0, source="no kernel"), 3)
            continue
        for price, names in _prices(op, formats, rates).items():
            text.line(f"- formats: [{', '.join(names)}]", 2)
            text.constant("mac", price[0], 3)
            if price[1]:
                text.constant("weight", decode, 3)
    text.line("any:", 1)
    text.line(f"- formats: [{', '.join(every)}]", 2)
    text.constant("element", element, 3)


def _prices(op: str, formats: list[str], rates: Mapping[str, Constant]) -> dict[tuple[Constant, bool], list[str]]:
    """Return (cycles per multiply-accumulate, weights are decoded) -> the formats at that price."""
    found: dict[tuple[Constant, bool], list[str]] = {}
    for fmt in formats:
        rate = _rate(fmt)
        coded = not fmt.startswith(("w", "a")) and "-" in fmt and not fmt.endswith(("2:4", "-e5m2"))
        price = rates[rate if rate in rates else "fp16"]
        if op == "depthwise_conv2d":
            price = _times(rates["fp32"], DEPTHWISE_FACTOR, "of the fp32 time: not on tensor cores; assumed")
        elif fmt.endswith("2:4"):
            price = _times(price, SPARSE_FACTOR, "half the products; assumed")
        found.setdefault((price, coded), []).append(fmt)
    return found


def _rate(fmt: str) -> str:
    """Return the peak rate that a format runs at: that of its activations."""
    if fmt.startswith("a") and fmt[1:].isdigit():
        return "int8"
    kind = parse_format(fmt).activation
    names = {"float32": "fp32", "tfloat32": "tf32", "float16": "fp16", "bfloat16": "bf16"}
    return names.get(kind, "fp8" if kind.startswith("float8") else "int8" if kind.startswith("int") else kind)


def _times(constant: Constant, factor: float, why: str) -> Constant:
    return Constant(
        value=constant.value * factor, basis="assumed", uncertainty=hypot(constant.uncertainty, 1.0),
        source=f"{constant.source}; x {factor:g} {why}",
    )  # fmt: skip
