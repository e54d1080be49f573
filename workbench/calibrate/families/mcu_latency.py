"""Latency of whole networks and of single layers on microcontrollers and application processors: one set of constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from workbench.calibrate import layer_rows, structures
from workbench.calibrate.cores import core_class, traits
from workbench.calibrate.family import Claim, Family, Json, Sample, Samples
from workbench.calibrate.mcu_model import Facts, Processors, fit_processors, load_processors
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.runtimes import runtime
from workbench.hardware.costs import Basis

NETWORK_TABLES = ("mlperf_tiny.csv", "st_modelzoo_mcu.csv", "tinyengine_h743.csv", "espressif_nordic.csv")
LAYER_TABLES = (layer_rows.TABLE,)
PROCESSORS = ("scalar", "dsp", "vector", "application")
ALSO = ("npu-mvp",)
"""Accelerators that work inside the kernels of a processor (a matrix unit that TensorFlow Lite Micro calls layer by layer)."""

KNOWN: tuple[Basis, ...] = ("same device and runtime",)
ALIKE: tuple[Basis, ...] = ("same core class",)


@dataclass(frozen=True)
class Latency:
    """`Processors` as calibration asks for it."""

    model: Processors

    def predict(self, sample: Sample) -> float:
        """Return seconds."""
        return self.model.seconds(sample.facts)

    def basis(self, sample: Sample) -> Basis:
        """Return what the constants of the row's target rest on."""
        f: Facts = sample.facts
        return self.model.basis(f.core, f.runtime, f.device)

    def baseline(self, sample: Sample) -> float | None:
        """Return seconds by multiply-accumulates alone."""
        return self.model.naive(sample.facts)

    def to_json(self) -> Json:
        """Return effects, spreads and naive rates."""
        return {"fit": self.model.fit.to_json(), "rate": dict(self.model.rate)}


def samples(tables: Tables) -> Samples:
    """Return the rows with a time, a clock and a known structure on a processor."""
    kept: list[Sample] = []
    left_out: list[tuple[Row, str]] = []
    for names, of in ((NETWORK_TABLES, lambda row: network_sample(row, tables)), (LAYER_TABLES, layer_sample)):
        read: Callable[[Row], Sample | str] = of
        for row in (row for name in names for row in tables.rows(name)):
            found = read(row)
            if isinstance(found, str):
                left_out.append((row, found))
            else:
                kept.append(found)
    return Samples(tuple(kept), tuple(left_out))


def network_sample(row: Row, tables: Tables) -> Sample | str:
    """Return the sample of a row of a network, or why it cannot be used."""
    core = core_class(row.core, row.text("isa_fpu_npu"), row.device)
    if row.text("division") == "open":
        return "open division: a network of the submitter's own, which the row does not describe"
    if not (row.latency_s > 0 and isfinite(row.latency_s)):
        return "no latency"
    if not isfinite(row.clock_hz):
        return "no clock"
    if traits(core).family not in PROCESSORS and core not in ALSO:
        return f"no processor ({core}): its time is not that of kernels"
    work = structures.of_row(row, tables)
    if work is None:
        return "neither multiply-accumulates nor an architecture of that name"
    ran, device = runtime(row.runtime), row.device.split(" (")[0].strip()
    known = structures.described(row)
    facts = Facts(
        core=core, runtime=ran, device=device, network=structures.canonical(row), work=work, clock_hz=row.clock_hz,
        kin=structures.family(row.network) or (known[0] if known else next(iter(structures.canonical(row).split()), "")),
        exact=known is not None and work.spread == 0.0,
        floats=row.precision.startswith(("fp", "float")), streaming=row.network == "sww", weights_in_ram="weights in RAM" in row.notes,
        dated=row.text("version"),  # round of MLPerf Tiny: one submission's kernels, a year before or after the other's
    )  # fmt: skip
    return Sample(row, "latency_s", row.latency_s, device, ran.family, facts.network, core, facts)


def layer_sample(row: Row) -> Sample | str:
    """Return the sample of a row of a layer, or why it cannot be used. A device is new with another version of the library."""
    facts = layer_rows.facts_of(row)
    if isinstance(facts, str):
        return facts
    time = layer_rows.seconds(row)
    if not (time > 0 and isfinite(time)):
        return "no time"
    device = f"{facts.device} {facts.commit}".strip()
    return Sample(
        row,
        "layer_s",
        time,
        device,
        f"{facts.runtime.family} {facts.variant}".strip(),
        facts.network,
        "layer",
        facts,
        facts.device,
    )


def fit(rows: Sequence[Sample]) -> Latency:
    """Return the model of some rows."""
    return Latency(fit_processors([(s.facts, s.measured) for s in rows], spreads=False))


def fit_whole(rows: Sequence[Sample]) -> Latency:
    """Return the model of all rows, with the spreads of its constants."""
    return Latency(fit_processors([(s.facts, s.measured) for s in rows]))


def load(value: Json) -> Latency:
    """Return the model that was stored."""
    return Latency(load_processors(value))


FAMILY = Family(
    name="mcu_latency",
    title="Latency on microcontrollers and application processors",
    tables=(*NETWORK_TABLES, *LAYER_TABLES),
    samples=samples,
    fit=fit,
    whole=fit_whole,
    load=load,
    claims=(
        Claim("known device and runtime, new network", "network", 0.10, 0.28, quantity="latency_s", bases=KNOWN),
        Claim("new device, core class and runtime family known", "device", 0.13, 0.30, quantity="latency_s", bases=ALIKE),
        Claim("new device, its runtime not known on its core class", "device", quantity="latency_s", bases=("assumed",)),
        Claim("network measured nowhere", "network_everywhere", quantity="latency_s"),
        Claim("layers of a known device and kernels", "network", 0.10, quantity="layer_s"),
        Claim("layers measured nowhere", "network_everywhere", quantity="layer_s"),
        Claim("layers with another version of the library", "device", quantity="layer_s"),
    ),
)
