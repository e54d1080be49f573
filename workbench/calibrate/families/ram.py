"""Peak RAM of networks: activations as a runtime plans them, and the runtime's own.

RAM = activations (base: counted from the structure, see `footprint`) x ratio + layers x ratio of the runtime's records

On an accelerator with memory outside, what its memory does not hold goes there: the RAM is at most `room`, the mean of the rows that
use both. Rows whose remarks name an error of the source's units are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log
from statistics import fmean

from workbench.calibrate.family import Claim, Family, Json, Sample, Samples
from workbench.calibrate.footprint import Footprint, Ratios, fit_ratios, footprint, ratios, read_samples
from workbench.calibrate.rows import Row, Tables
from workbench.hardware.costs import Basis

TABLES = ("st_modelzoo_mcu.csv", "tinyengine_h743.csv", "stm32n6_npu_w4w8.csv")
RECORD_BYTES = 512.0
"""Base of a runtime's records per layer; its effects make it 20 to 700 bytes."""


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
    group = f"{facts.engine} {facts.source}"
    return Sample(row, "ram_bytes", ram * 1024, row.device, facts.target, facts.network, group, facts)


@dataclass(frozen=True)
class Model:
    """Fitted ratios. room: bytes of an accelerator's own memory for activations (None: no row needed more). line: log RAM = line[0] x
    log MACs + line[1], the MAC-only line. targets: known device and runtime.
    """

    activations: Ratios
    records: Ratios | None
    room: float | None
    line: tuple[float, float]
    targets: frozenset[str]

    def predict(self, sample: Sample) -> float:
        """Return the peak RAM in bytes."""
        facts: Footprint = sample.facts
        value = self.activations.predict(facts.activations, activation_keys(facts))
        if facts.engine != "mcu":
            return min(value, self.room) if self.room is not None else value
        return value + _own(self.records, facts)

    def basis(self, sample: Sample) -> Basis:
        """Return what a prediction rests on."""
        facts: Footprint = sample.facts
        if f"{sample.device}|{sample.runtime}" in self.targets:
            return "same device and runtime"
        return "same core class" if self.activations.knows("target", facts.target) else "assumed"

    def baseline(self, sample: Sample) -> float | None:
        """Return what a line in multiply-accumulates says, None for a row without them."""
        return exp(self.line[0] * log(sample.row.macs) + self.line[1]) if sample.row.macs > 0 else None

    def to_json(self) -> Json:
        """Return everything."""
        return {
            "activations": self.activations.to_json(), "records": self.records.to_json() if self.records else None,
            "room": self.room, "line": list(self.line), "targets": sorted(self.targets),
        }  # fmt: skip


def activation_keys(facts: Footprint) -> Mapping[str, str]:
    """Return the effects on the activations: a network is planned alike by all versions, but not by all engines."""
    return {
        "all": "", "target": facts.target, "version": facts.version, "family": f"{facts.family} {_counted(facts)}{facts.target}",
        "family and version": f"{facts.family} {facts.version}", "network": f"{facts.network} {facts.engine}",
    }  # fmt: skip


def _counted(facts: Footprint) -> str:
    """Return what tells bases that are counted from layers from those that only stand for an order of magnitude."""
    return "" if facts.source in ("plain", "residual") else "guessed "


def record_keys(facts: Footprint) -> Mapping[str, str]:
    """Return the effects on the runtime's records."""
    return {
        "all": "", "target": facts.target, "version": facts.version, "family": facts.family,
        "family and version": f"{facts.family} {facts.version}", "float": f"{facts.target} {facts.float32}", "network": facts.network,
    }  # fmt: skip


def fit(given: Sequence[Sample]) -> Model:
    """Fit the ratios."""
    rows, outside = [], []
    records = fit_ratios(
        (own * 1024, RECORD_BYTES * s.facts.layers, record_keys(s.facts))
        for s in given
        if isfinite(own := s.row.number("runtime_ram_kib")) and own > 0
    )
    for s in given:
        facts: Footprint = s.facts
        external = s.row.number("external_ram_kib")
        beyond = external * 1024 if isfinite(external) and facts.engine != "mcu" else 0.0
        share = s.row.number("activation_ram_kib")
        one_number = (
            max(s.measured / 2, s.measured - _own(records, facts)) + beyond
        )  # records are not planned: at most half of it
        planned = share * 1024 if isfinite(share) and share > 0 else one_number
        rows.append((planned, facts.activations, activation_keys(facts)))
        if beyond:
            outside.append(s.measured)
    found = fit_ratios(rows)
    assert found is not None, "fitted on no rows"
    return Model(
        found, records, fmean(outside) if outside else None, _line(given),
        frozenset(f"{s.device}|{s.runtime}" for s in given),
    )  # fmt: skip


def _own(records: Ratios | None, facts: Footprint) -> float:
    """Return the bytes of a runtime's own records, 0 where no table tells them from the activations: they are in those then."""
    if records is None or facts.engine != "mcu" or not records.knows("target", facts.target):
        return 0.0
    return records.predict(RECORD_BYTES * facts.layers, record_keys(facts))


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
    activations = ratios(value["activations"])
    assert activations is not None
    return Model(activations, ratios(value["records"]), value["room"], tuple(value["line"]), frozenset(value["targets"]))


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
