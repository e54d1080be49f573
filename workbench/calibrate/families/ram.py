"""Peak RAM of networks: activations as a runtime plans them, and the runtime's own.

    bytes = plan x ratio + widest row x rows + layers x record

plan and row are counted from the structure (`activations`). Ratio, rows and record are priors plus effects, in logs (`hierarchy`): rows
are what a planner leaves between a layer's output and the input it writes over, and the scratch of kernels, which both go with the rows
of an activation, not with its size. Where a table tells activations from the runtime's own, each is a measurement; else their sum is.

On an accelerator with memory outside, what its memory does not hold goes there: the RAM is at most `room`, the mean of the rows that
use both, or what its memories hold where no row tells. Rows whose remarks name an error of the source's units are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log
from statistics import fmean

import numpy as np

from workbench.calibrate.activations import BANKED
from workbench.calibrate.family import Claim, Family, Json, Sample, Samples
from workbench.calibrate.footprint import Footprint, footprint, read_samples
from workbench.calibrate.hierarchy import Fit, Item, Spec, from_json
from workbench.calibrate.hierarchy import fit as fit_hierarchy
from workbench.calibrate.rows import Row, Tables
from workbench.hardware.costs import Basis

TABLES = ("st_modelzoo_mcu.csv", "tinyengine_h743.csv", "stm32n6_npu_w4w8.csv")
KINDS = ("activation", "row", "record")
PRIOR = (1.0, 3.0, 100.0)
"""Before any row: the plan as it is, the three rows of a 3 x 3 window, a few pointers and sizes a layer."""
FIXED = 0.01
"""Log standard deviation of what an effect is not on."""
LEVELS: dict[str, float | tuple[float, ...]] = {
    "all": (0.1, 2.0, 0.5), "target": (0.05, 1.0, 1.0), "version": (0.1, 0.7, 0.7), "float": (0.02, 0.3, 1.0),
    "family": (0.2, 0.3, 0.15), "family version": (0.15, 0.6, 0.3), "rough": (0.8, FIXED, FIXED), "guess": (1.0, FIXED, FIXED),
    "network": (0.03, 0.02, 0.1),
}  # fmt: skip
"""Level -> prior log standard deviation of ratio, rows and record. rough: families whose plan is not counted from layers; guess: of
what stands for it. Chosen by cross-validation (network left out on its device, and everywhere) on the tables of the calibration:
about half or twice of most of them leaves the median error at 4.0 to 4.7 %."""
ROW_SD, RECORD_SD = 0.03, 0.1
"""Log errors of a measurement around the model; of a runtime's own bytes, which the tables give to a tenth of a KiB."""
SPEC = Spec(KINDS, tuple(np.log(PRIOR)), LEVELS, ROW_SD)


def samples(tables: Tables) -> Samples:
    """Return the rows that give the RAM of a network."""
    return read_samples(tables, TABLES, lambda row: _sample(row, tables))


def _sample(row: Row, tables: Tables) -> Sample | str:
    """Return the sample of a row, or why there is none ('' where the row says nothing about RAM)."""
    own, activations = row.number("runtime_ram_kib"), row.number("activation_ram_kib")
    ram = row.number("ram_kib")
    ram = ram if isfinite(ram) else activations + own
    if "unit error" in row.notes:
        return "its remarks name an error of the source's units"
    if not isfinite(ram):
        return ""
    if ram <= 0:
        return "its RAM is not positive"
    facts = footprint(row, tables)
    group = f"{facts.engine} {facts.kept.source}"
    return Sample(row, "ram_bytes", ram * 1024, row.device, facts.target, facts.network, group, facts)


@dataclass(frozen=True)
class Model:
    """Fitted effects. room: bytes of an accelerator's own memory for activations (None: no row needed more). line: log RAM = line[0] x
    log MACs + line[1], the MAC-only line. targets: known device and runtime.
    """

    fitted: Fit
    room: float | None
    line: tuple[float, float]
    targets: frozenset[str]

    def predict(self, sample: Sample) -> float:
        """Return the peak RAM in bytes."""
        facts: Footprint = sample.facts
        value = self.fitted.predict(Item(counts(facts), keys(facts)))
        banks = BANKED.get(facts.engine)
        room = self.room or (banks.count * banks.size_bytes + banks.next_bytes if banks else inf)
        return value if facts.engine == "mcu" else min(value, room)

    def basis(self, sample: Sample) -> Basis:
        """Return what a prediction rests on."""
        facts: Footprint = sample.facts
        if f"{sample.device}|{sample.runtime}" in self.targets:
            return "same device and runtime"
        return "same core class" if ("target", facts.target) in self.fitted.effects else "assumed"

    def baseline(self, sample: Sample) -> float | None:
        """Return what a line in multiply-accumulates says, None for a row without them."""
        return exp(self.line[0] * log(sample.row.macs) + self.line[1]) if sample.row.macs > 0 else None

    def to_json(self) -> Json:
        """Return everything."""
        return {"fit": self.fitted.to_json(), "room": self.room, "line": list(self.line), "targets": sorted(self.targets)}


def counts(facts: Footprint) -> tuple[float, float, float]:
    """Return bytes of the plan, bytes of a row, layers. An accelerator keeps neither rows nor records in the RAM that is counted."""
    kept = facts.kept
    return (kept.activations, kept.row, facts.layers) if facts.engine == "mcu" else (kept.activations, 0.0, 0.0)


def keys(facts: Footprint) -> Mapping[str, str]:
    """Return the keys of the effects on a row."""
    found = {
        "all": "", "target": facts.target, "version": facts.version, "float": f"{facts.target} {facts.float32}",
        "family": f"{facts.family} {facts.target}", "family version": f"{facts.family} {facts.version}",
        "network": f"{facts.network} {facts.engine}",
    }  # fmt: skip
    if not facts.kept.counted:
        found |= {"rough": f"{facts.family} {facts.target}", "guess": f"{facts.family} {facts.kept.source}"}
    return found


def items(sample: Sample) -> list[Item]:
    """Return what a row measured, in logs of bytes: activations and records, or all in one."""
    facts: Footprint = sample.facts
    plan, row, layers = counts(facts)
    own, activations, external = (
        sample.row.number(column) * 1024 for column in ("runtime_ram_kib", "activation_ram_kib", "external_ram_kib")
    )
    found = keys(facts)
    if facts.engine == "mcu" and own > 0 and activations > 0:
        return [
            Item((plan, row, 0.0), found, log(activations)),
            Item((0.0, 0.0, layers), found, log(own), RECORD_SD),
        ]
    beyond = external if external > 0 and facts.engine != "mcu" else 0.0
    return [Item((plan, row, layers), found, log(sample.measured + beyond))]


def fit(given: Sequence[Sample]) -> Model:
    """Fit the effects."""
    outside = [s.measured for s in given if s.facts.engine != "mcu" and s.row.number("external_ram_kib") > 0]
    return Model(
        fit_hierarchy(SPEC, [item for s in given for item in items(s)]),
        fmean(outside) if outside else None,
        _line(given),
        frozenset(f"{s.device}|{s.runtime}" for s in given),
    )


def _line(given: Sequence[Sample]) -> tuple[float, float]:
    """Return the least-squares line of log RAM in log MACs (flat where fewer than two rows give them)."""
    points = [(log(s.row.macs), log(s.measured)) for s in given if s.row.macs > 0]
    if len({x for x, _ in points}) < 2:
        return 0.0, fmean(log(s.measured) for s in given)
    x_mean, y_mean = fmean(x for x, _ in points), fmean(y for _, y in points)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / sum((x - x_mean) ** 2 for x, _ in points)
    return slope, y_mean - slope * x_mean


def load(value: Json) -> Model:
    """Return what `to_json` wrote."""
    return Model(from_json(SPEC, value["fit"]), value["room"], tuple(value["line"]), frozenset(value["targets"]))


FAMILY = Family(
    "ram",
    "Peak RAM",
    TABLES,
    samples,
    fit,
    load,
    claims=(
        Claim("peak RAM, known device and runtime, new network", "network", 0.05, 0.25),
        Claim("peak RAM, network measured nowhere", "network_everywhere"),
        Claim("peak RAM, new device", "device"),
    ),
)
