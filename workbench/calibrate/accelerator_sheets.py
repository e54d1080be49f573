"""Cost sheets of accelerators and application processors: fitted constants as YAML, for the operators of the profile of that name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import expm1, hypot
from pathlib import Path

import numpy as np

from workbench.calibrate import accelerators, store
from workbench.calibrate.accelerator_targets import MACHINES, Machine
from workbench.calibrate.families import n6
from workbench.calibrate.gpu_sheets import GPUS, gpu_sheets
from workbench.calibrate.rows import Tables
from workbench.calibrate.sheets import Writer, number, quoted
from workbench.cost.latency import cost_format
from workbench.graph.node_format import WEIGHT_INPUT
from workbench.hardware.costs import Basis, Constant
from workbench.hardware.profile import HardwareProfile, load_profile
from workbench.precision import parse_format
from workbench.resources import resource_folder

N6 = "stm32n6-neural-art"
FREE = {"reshape": "no data move", "relu": "in the layer before"}
SLOW = {
    "softmax": 20.0,
    "logistic": 4.0,
    "tanh": 4.0,
    "hard_swish": 2.0,
    "gelu": 6.0,
    "layer_norm": 8.0,
    "l2_normalization": 8.0,
}
"""Operator -> times the price of an element: passes over the activation that it takes. Not measured."""
ONE_NETWORK = 1.5
"""80 % factor - 1 of what a single network says."""
Prices = Mapping[str, Constant]
MacPrice = Callable[[str, str], Constant]


def write_sheets(tables: Tables, folder: Path | None = None) -> list[Path]:
    """Write the sheet of every machine that the tables have rows of; return the files."""
    folder = folder or resource_folder("hw_profiles") / "costs"
    fits = accelerators.fits(tables)
    texts = {name: machine_sheet(name, MACHINES[name], fit) for name, fit in fits.items() if name not in GPUS}
    texts |= gpu_sheets(tables, fits)
    if n6.TABLE in tables:
        texts[N6] = n6_sheet(store.load(n6.FAMILY.name))
    paths = []
    for name, text in sorted(texts.items()):
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def machine_sheet(name: str, machine: Machine, fit: accelerators.Fit) -> str:
    """Return the text of the sheet of a machine."""
    profile = load_profile(name, costs=False)
    told = f"make calibrate, {machine.table}: {fit.rows} rows of {fit.networks} networks{machine.remark}"
    scale = dict.fromkeys(fit.constants, float(profile.clock_hz)) | {"depthwise": 1.0}
    prices = {k: _constant(c, scale[k], told, machine.source) for k, c in fit.constants.items()}
    text = _head(f"{machine.device.strip('^$')} with {profile.runtime}")
    text.constant("inference", prices["inference"])
    text.constant("layer", prices["layer"])
    _uncertainty(text, fit.unseen, told)
    if machine.streams:
        text.constant("flash_bytes_per_cycle", _rate(prices["weight"]))
    if machine.weight_bytes:
        why = "coral.ai/docs/edgetpu/compiler: about 8 MB of on-chip memory keep the parameters of a network"
        text.line(f"on_chip: {{weight_bytes: {machine.weight_bytes}, source: {quoted(why)}}}")
    _operators(text, profile, {"element": prices["element"]}, lambda op, fmt: _mac(machine, prices, op, fmt))
    return text.text()


def n6_sheet(found: store.Calibration) -> str:
    """Return the text of the sheet of the STM32N6."""
    model = found.full
    assert isinstance(model, n6.Model)  # the family that was asked for
    profile = load_profile(N6, costs=False)
    errors = [abs(r.value) for r in found.residuals["network"]]
    told = f"make calibrate, {n6.TABLE}: {len(errors)} rows of {len(found.networks)} networks"
    prices = {}
    for kind, (_, spread) in n6.PRIORS.items():
        basis: Basis = "same device and runtime" if model.errors[kind] < accelerators.INFORMED * spread else "assumed"
        value = accelerators.Constant(model.constants[kind], model.errors[kind], basis)
        prices[kind] = _constant(value, 1.0 if kind == "coded" else profile.clock_hz, told, "bus, clock and nominal rate")
    text = _head("STM32N6570-DK with ST Edge AI 3.0")
    start = Constant(
        value=50e-6 * profile.clock_hz, basis="assumed", uncertainty=2.0, source="start of the runtime; not seen in the rows"
    )
    text.constant("inference", start)
    text.constant("layer", prices["layer"])
    _uncertainty(text, expm1(float(np.quantile(errors, 0.8))), f"{told}, networks left out")
    text.constant("flash_bytes_per_cycle", _rate(prices["flash"]))
    text.line("on_chip:")
    text.line(f"activation_bytes: {profile.memories[1].size_bytes}", 1)
    for name, kind in (("outside", "external"), ("decompressed", "coded")):
        text.constant(name, prices[kind].model_copy(update={"uncertainty": ONE_NETWORK}), 1)
    text.line(f"source: {quoted('one network of the table has most of its activations outside: resnet50v2')}", 1)
    _operators(text, profile, {"element": prices["element"]}, lambda op, fmt: prices["mac"])
    return text.text()


def _head(what: str) -> Writer:
    text = Writer()
    text.line(f"# Made by `make calibrate`; do not edit. Cycles of {what}.")
    return text


def _uncertainty(text: Writer, unseen: float, told: str) -> None:
    text.line("memory: added")  # the fit adds what totals of networks cannot tell apart
    text.line(f"network_uncertainty: {number(unseen)}")
    text.line(f"layer_uncertainty: {number(2 * unseen)}")
    text.line(f"uncertainty_source: {quoted(f'{told}; one layer: assumed, twice as wide')}")


def _operators(text: Writer, profile: HardwareProfile, prices: Prices, mac: MacPrice) -> None:
    """Write a row for each operator and format of the profile."""
    text.line("operators:")
    element = prices["element"]
    for op in profile.operators:
        formats = dict.fromkeys(cost_format(profile, op, f) for f in profile.formats(op))
        text.line(f"{op}:", 1)
        if op not in WEIGHT_INPUT and op != "batch_matmul":
            text.line(f"- formats: [{', '.join(formats)}]", 2)
            _plain(text, op, element)
            continue
        for fmt in formats:
            text.line(f"- formats: [{fmt}]", 2)
            text.constant("mac", mac(op, fmt), 3)
            text.constant("output", element, 3)
    text.line("any:", 1)
    everything = dict.fromkeys(f for op in profile.operators if op not in WEIGHT_INPUT for f in profile.formats(op))
    text.line(f"- formats: [{', '.join(everything)}]", 2)
    text.constant("element", element, 3)


def _plain(text: Writer, op: str, element: Constant) -> None:
    if op in FREE:
        text.constant("fixed", Constant(value=0, basis="assumed", uncertainty=1.0, source=FREE[op]), 3)
    elif op in SLOW:
        text.constant("element", _times(element, SLOW[op], "passes over the activation; not measured"), 3)
    else:
        text.constant("element", element, 3)


def _mac(machine: Machine, prices: Prices, op: str, fmt: str) -> Constant:
    """Return the price of a multiply-accumulate: of the rows in that format, else of the nearest with what is assumed of it."""
    for i, known in enumerate(machine.formats):
        if fmt in (*known.formats, *known.plain):
            price = prices[f"mac {i}"]
            break
    else:
        factor, why = _other(machine, fmt)
        nearest = next((i for i, f in enumerate(machine.formats) if _activation(f.formats[0]) == _activation(fmt)), 0)
        price = _times(prices[f"mac {nearest}"], factor, why)
    if op != "depthwise_conv2d":
        return price
    slower = prices["depthwise"]
    basis: Basis = "same device and runtime" if slower.basis == price.basis == "same device and runtime" else "assumed"
    spread = hypot(price.uncertainty, slower.uncertainty)
    return Constant(
        value=price.value * slower.value, basis=basis, uncertainty=spread, source=f"{price.source}; depthwise layers apart"
    )


def _other(machine: Machine, fmt: str) -> tuple[float, str]:
    """Return what is assumed of a format without rows."""
    for formats, assumed in machine.others.items():
        if fmt in formats:
            return assumed
    return 1.0, "narrower weights are expanded on their way to the same multipliers; not measured"


def _activation(fmt: str) -> str:
    return parse_format(fmt).activation if fmt[0] != "a" else f"int{fmt[1:]}"


def _constant(found: accelerators.Constant, scale: float, told: str, prior: str) -> Constant:
    """Return a fitted constant in cycles (scale: cycles per second) with its 80 % interval."""
    source = told if found.basis != "assumed" else f"{told} say little of it; prior: {prior}"
    return Constant(
        value=found.value * scale, basis=found.basis, uncertainty=max(0.01, expm1(accelerators.Z80 * found.sd)), source=source
    )


def _rate(seconds_per_byte: Constant) -> Constant:
    return seconds_per_byte.model_copy(update={"value": 1 / seconds_per_byte.value})


def _times(constant: Constant, factor: float, why: str) -> Constant:
    return Constant(
        value=constant.value * factor, basis="assumed", uncertainty=hypot(constant.uncertainty, 1.0),
        source=f"{constant.source}; x {factor:g}: {why}",
    )  # fmt: skip
