"""Latency of networks and layers on processors: what a row is keyed by, the priors, the fitted model.

    cycles = sum over kinds of work of count * constant        (kinds: `work.KINDS`; weights only where they come from external flash)

The constants of a row are a prior by core class plus effects, in logs, of its core class, runtime, version, device and of pairs of
them (`hierarchy`). On top of that, effects on the whole time tell what the counts do not: what a runtime, a core or a device finds
slow about one architecture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, log

import numpy as np

from workbench.calibrate.cores import traits
from workbench.calibrate.hierarchy import Fit, Item, Spec, fit, from_json
from workbench.calibrate.runtimes import Runtime
from workbench.calibrate.work import KINDS, Work
from workbench.hardware.costs import Basis

ALL_KINDS = (*KINDS, "weight")
PRIOR = (1.0, 1.2, 2.0, 3.5, 3.0, 12.0, 8.0, 2000.0, 1000.0, 2.0)
"""Cycles before any row, on a Cortex-M4 with kernels of its own: products by SMLAD two at a time with their loads and extensions;
depthwise and fully connected ones load an operand for every product (layers.csv RP2040: depthwise / pointwise 4 to 5, output / product
12); 13 to 15 cycles of requantization (cortexm_cycles.csv) and the store an output."""
FLOAT = (2.0, 2.2, 2.3, 1.7, 3.8, 1.2, 1.2, 1.0, 1.0, 4.0)
"""float32 over int8 with an FPU: one product an instruction instead of two; four bytes a weight that is used once."""
REFERENCE = (1.0, 0.9, 0.3, 0.4, 0.18, 1.0, 1.0, 1.0, 1.0, 1.0)
"""Reference kernels over optimised ones, shape of it: index arithmetic makes every product cost about the same (layers.csv, ANSI C:
15 to 19 cycles pointwise, 8 to 19 shallow, 21 to 31 depthwise, 10 fully connected). Their level is in RUNTIMES."""
VECTOR = (1.0, 1.0, 1.35, 1.35, 2.2, 1.6, 1.6, 2.7, 2.7, 2.2)
"""Vector units over scalar code, shape of it: they speed up what reuses its operands; a fully connected layer waits for weights.
Application processors have one as well (NEON: TensorFlow Lite's kernels for Cortex-A)."""
CORES = {
    "cortex-m0plus": 5.0, "cortex-m3": 2.2, "cortex-m33": 0.9, "cortex-m7": 0.55, "cortex-m55": 0.2, "cortex-m85": 0.14, "rv32": 3.3,
    "rv32f": 3.3, "rv64": 1.5, "rv32-simd": 1.35, "rv-vector": 0.27, "xtensa": 5.0, "xtensa-simd": 1.0, "rxv2": 1.0, "mcu-scalar": 5.0,
    "mcu-simd": 1.0, "cortex-a7": 0.5, "cortex-a35": 0.4, "cortex-a53": 0.3, "cortex-a55": 0.2, "cortex-a72": 0.18, "cortex-a76": 0.1,
    "npu-mvp": 0.8,
}  # fmt: skip
"""Cycles of a core class over those of a Cortex-M4: instructions a product (plain C on M0+, M3, M4: cortexm_cycles.csv), products an
instruction (Armv8.1-M MVE: 16 in two cycles; NEON 8 to 32; two at a time with DSP extensions), dual issue of the M7."""
RUNTIMES = {"tflm": 15.0, "tflm-cmsis-nn": 1.35, "microtvm": 1.6, "microtvm-cmsis-nn": 1.5, "tinyengine": 0.9}
"""Cycles of a runtime over those of a code generator with tuned kernels: `tflm` alone has reference kernels."""
WITHOUT_VECTORS = {"rv32-simd": "rv32f", "xtensa-simd": "xtensa"}
"""What a core is to kernels in plain C."""
INTERNAL_FLASH = 2 * 2**20
"""Bytes of the largest flash in a microcontroller of the tables (STM32H743, H747, H7A3: data sheets). Weights beyond lie outside."""
OUTSIDE_SD = 0.3
"""Log error of rows whose weights lie in a memory that the row does not describe."""
FLASHLESS = re.compile(r"\bESP(32|8266)|\bRP2(040|350)|\bi\.?MX ?RT", re.IGNORECASE)
"""Parts without flash at the bus: all programs and weights come from a serial flash through a cache, whatever their size (ESP32
series, RP2040, i.MX RT: data sheets), so that their constants know that memory already."""

SLOW_BUS = re.compile(r"STM32H7(?![AB]\d)")
"""Parts whose memories outside of the core's own run at about half its clock at most: CPU and AXI at 480 and 240 MHz (RM0433, RM0399),
520 and 275 MHz (H72x, H73x: RM0468), but both at 280 MHz on H7A3, H7B0 and H7B3 (RM0455). The limits of each manual as
embassy-rs/embassy, embassy-stm32/src/rcc/h.rs, has them; ST's STM32CubeH7 example of the H743 has 400 and 200 MHz. The F7 run both at
216 MHz (AHB clock of RM0385)."""
LEVELS: dict[str, float | tuple[float, ...]] = {
    "all": 0.4, "core": 0.075, "runtime": 0.09, "core runtime": 0.2,
    "version": (0.25, 0.125, 0.125, 0.175, 0.1, 0.15, 0.1, 0.1, 0.1, 0.1),
    "device": 0.035, "device runtime": 0.05, "device version": 0.2, "float": 1.0, "variant": 0.4,
    "core*": 0.5, "runtime*": 0.25, "core runtime*": 0.63, "version*": 0.2, "device*": 0.105, "device runtime*": 0.1,
    "float*": 0.6, "float runtime*": 0.2, "float device*": 0.2, "streaming*": 0.5, "ram*": 0.2, "outside*": 0.6, "machine*": 0.35,
    "network*": 0.08, "network version*": 0.06,
    "rough*": 0.1, "rough core*": 0.1, "rough runtime*": 0.1,
    "kin*": 0.4, "kin core*": 0.05, "kin runtime*": 0.2, "kin device*": 0.2, "kin device runtime*": 0.2,
    "bus": (0.35, 0.05, 0.2, 0.5, 0.5, 0.5, 0.5, 0.2, 0.2, 0.2), "bus*": 0.3, "bus runtime": 0.1,
    "op*": 1.5, "op core*": 0.35, "op device*": 0.4, "layer*": 0.15, "layer runtime*": 0.15,
    "layer device*": 0.15, "commit*": 0.02, "layers": 0.4,
}  # fmt: skip
"""Level -> prior log standard deviation. Chosen by cross-validation (network and device left out) on the tables of the calibration.
device version: the kernels and options of a version meet the memories of one part. layer: the counts say most about a shape.
bus: a half-rate bus slows least what reuses its operands. commit: of the whole library; single kernels change more."""
ROW_SD = 0.09
CENTRES = (
    {("core*", k): log(v) for k, v in CORES.items()}
    | {("runtime*", k): log(v) for k, v in RUNTIMES.items()}
    | {("core", k): tuple(np.log(VECTOR)) for k in CORES if traits(k).family in ("vector", "application")}
    | {("float", ""): tuple(np.log(FLOAT)), ("runtime", "tflm"): tuple(np.log(REFERENCE))}
)
SPEC = Spec(ALL_KINDS, tuple(np.log(PRIOR)), LEVELS, ROW_SD, CENTRES)


@dataclass(frozen=True)
class Facts:
    """What the model knows of a row. core: class. device: as constants belong to it. network: canonical name; kin: its architecture.
    exact: its layers are known. op: of a single layer ('' = a network). variant: what else tells kernels apart. commit: of the
    library of a layer. external: weights that come from external flash. dated: what tells versions of a runtime apart whose text
    has none (the round of a benchmark).
    """

    core: str
    runtime: Runtime
    device: str
    network: str
    kin: str
    work: Work
    clock_hz: float
    exact: bool = True
    floats: bool = False
    streaming: bool = False
    weights_in_ram: bool = False
    op: str = ""
    variant: str = ""
    commit: str = ""
    external: float = 0.0
    dated: str = ""

    @property
    def version(self) -> str:
        """The runtime with its version, or with what dates it."""
        return str(self.runtime) if self.runtime.version else f"{self.runtime} {self.dated}".strip()

    @property
    def outside(self) -> bool:
        """True where the weights do not fit in the flash of a microcontroller that has one."""
        internal = traits(self.core).family != "application" and not FLASHLESS.search(self.device)
        return internal and self.work.weights > INTERNAL_FLASH


def keys_of(core: str, ran: Runtime, device: str, version: str = "") -> dict[str, str]:
    """Return the keys that constants have: of a core class, a runtime and a device. version: of the runtime, where its own does not
    tell (`Facts.version`).
    """
    core = WITHOUT_VECTORS.get(core, core) if ran.family == "tflm" else core
    version, family = version or str(ran), ran.family
    bus = {"bus": core, "bus*": core, "bus runtime": f"{core}/{family}"} if SLOW_BUS.search(device) else {}
    return bus | {
        "all": "", "core": core, "runtime": family, "core runtime": f"{core}/{family}", "version": version, "device": device,
        "device runtime": f"{device}/{family}", "device version": f"{device}/{version}", "core*": core, "runtime*": family,
        "core runtime*": f"{core}/{family}", "version*": version, "device*": device, "device runtime*": f"{device}/{family}",
    }  # fmt: skip


def keys(facts: Facts) -> dict[str, str]:
    """Return all keys of a row."""
    found = keys_of(facts.core, facts.runtime, facts.device, facts.version)
    core, family, device, network = found["core"], facts.runtime.family, facts.device, facts.network
    if facts.op:
        op = f"{facts.op}/{family}"
        found |= {"layers": f"{device}/{family}", "op*": op, "op core*": f"{op}/{core}", "commit*": f"{family}/{facts.commit}"}
        found["op device*"] = f"{op}/{device}/{facts.variant}"
        found |= {"layer*": network, "layer runtime*": f"{network}/{family}"}
        found["layer device*"] = f"{network}/{family}/{device}/{facts.variant}"
    else:
        kin = facts.kin
        found |= {"kin*": kin, "kin core*": f"{kin}/{core}", "kin runtime*": f"{kin}/{family}"}
        found |= {"kin device*": f"{kin}/{device}", "kin device runtime*": f"{kin}/{device}/{family}"}
        found |= {"network*": network, "network version*": f"{network}/{facts.version}"}
        if not facts.exact:
            found |= {"rough*": network, "rough core*": f"{network}/{core}", "rough runtime*": f"{network}/{family}"}
    if facts.floats:
        found |= {"float": "", "float*": "", "float runtime*": family, "float device*": device}
    if facts.weights_in_ram:
        found["ram*"] = core
    flags = {"streaming*": facts.streaming, "outside*": facts.outside, "machine*": facts.kin == "svc"}
    found |= {level: "" for level, set_ in flags.items() if set_}
    return found | ({"variant": facts.variant} if facts.variant else {})


def item(facts: Facts, seconds: float = 0.0) -> Item:
    """Return a row as the hierarchy takes it, in cycles."""
    counts = (*facts.work.vector(), facts.external)
    cycles = log(seconds * facts.clock_hz) if seconds else 0.0
    return Item(counts, keys(facts), cycles, hypot(facts.work.spread, OUTSIDE_SD if facts.outside else 0.0))


@dataclass(frozen=True)
class Processors:
    """The fitted model. rate: cycles per multiply-accumulate of the naive line by (device, runtime), runtime and all ('')."""

    fit: Fit
    rate: Mapping[str, float]

    def known(self, level: str, key: str) -> bool:
        """True when a row had that key."""
        return (level, key) in self.fit.effects

    def seconds(self, facts: Facts) -> float:
        """Return the predicted time. A version without rows has the constants of its family (with versions left out, the nearest
        version erred by 20 % in median, the family by 13 %).
        """
        return self.fit.predict(item(facts)) / facts.clock_hz

    def basis(self, core: str, ran: Runtime, device: str) -> Basis:
        """Return what constants rest on."""
        found = keys_of(core, ran, device)
        if self.known("device runtime*", found["device runtime*"]):
            return "same device and runtime"
        return "same core class" if self.known("core runtime*", found["core runtime*"]) else "assumed"

    def naive(self, facts: Facts) -> float | None:
        """Return seconds by multiply-accumulates alone."""
        names = (f"{facts.device}/{facts.runtime.family}", facts.runtime.family, "")
        rate = next((self.rate[name] for name in names if name in self.rate), None)
        return rate * facts.work.macs / facts.clock_hz if rate is not None and facts.work.macs > 0 else None

    def spread(self, found: Mapping[str, str]) -> Sequence[float]:
        """Return log standard deviations of constants, from the nearest set of keys that they were computed for."""
        core, family, device = found["core"], found["runtime"], found["device"]
        names = (set_name(core, family, device), set_name(core, family), set_name(core), set_name())
        return next(list(self.fit.spreads[name]) for name in names if name in self.fit.spreads)


def set_name(core: str = "", family: str = "", device: str = "") -> str:
    """Return the name of the spread of constants."""
    return f"{core}|{family}|{device}"


def fit_processors(rows: Sequence[tuple[Facts, float]], spreads: bool = True) -> Processors:
    """Return the model fitted on rows and their seconds. spreads: with those of the constants, which take most of the time."""
    items = [item(facts, seconds) for facts, seconds in rows]
    rates: dict[str, list[float]] = {}
    for facts, seconds in rows:
        if facts.work.macs > 0:
            for name in (f"{facts.device}/{facts.runtime.family}", facts.runtime.family, ""):
                rates.setdefault(name, []).append(seconds * facts.clock_hz / facts.work.macs)
    return Processors(
        fit(SPEC, items, _sets(rows) if spreads else None), {name: float(np.median(v)) for name, v in sorted(rates.items())}
    )


def _sets(rows: Sequence[tuple[Facts, float]]) -> dict[str, dict[str, str]]:
    """Return the sets of keys whose constants' spread is wanted: targets of the rows, and what is left when parts are unknown."""
    new = Runtime("?")
    sets = {set_name(): keys_of("?", new, "?")}
    for facts, _ in rows:
        found = keys_of(facts.core, facts.runtime, facts.device)
        core, family = found["core"], facts.runtime.family
        sets.setdefault(set_name(core), keys_of(core, new, "?"))
        sets.setdefault(set_name(core, family), keys_of(core, facts.runtime, "?"))
        sets.setdefault(set_name(core, family, facts.device), found)
    return sets


def load_processors(value: Mapping[str, object]) -> Processors:
    """Return the model that was stored."""
    fitted, rate = value["fit"], value["rate"]
    assert isinstance(fitted, Mapping) and isinstance(rate, Mapping)
    return Processors(from_json(SPEC, fitted), dict(rate))
