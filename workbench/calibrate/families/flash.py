"""Flash of networks: weights as a runtime stores them (this family), the code that a network pulls in, both together (two more).

weights: width x weights + 4 bytes a bias (base) x ratio. X-CUBE-AI and ST Edge AI store scales elsewhere: in the code. The base is
         what is stored; its ratio is a median, which the few files that are not the ones that were counted do not move.
code:    CODE_BYTES + 4 bytes a channel + LAYER_CODE a layer (base) x ratio of the runtime, its version and the family
total:   parameters + CODE_BYTES (base) x ratio of the runtime, where a table gives one number

The bytes of the constants come from the row, else from the architecture of its name. Rows of which neither tells how many weights there
are have nothing to be predicted from and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log, nan, sqrt
from statistics import median

from workbench.calibrate.family import Claim, Family, Fitted, Json, Sample, Samples
from workbench.calibrate.footprint import Footprint, footprint, read_samples
from workbench.calibrate.ratios import Ratios, fit_ratios, ratios
from workbench.calibrate.rows import Row, Tables
from workbench.hardware.costs import Basis

TABLES = ("st_modelzoo_mcu.csv", "tinyengine_h743.csv", "stm32n6_npu_w4w8.csv")
WEIGHTS, CODE, TOTAL = "weights_flash_bytes", "code_flash_bytes", "flash_bytes"
BIAS_BYTES = 4
CODE_BYTES, LAYER_CODE = 20 * 1024, 1024
"""Base of the code: order of magnitude (st_modelzoo_mcu.csv: 13 KiB for three float layers, 36 to 225 for image classifiers)."""
TOTAL_BYTES = 120 * 1024
"""Base of everything but one byte a parameter, where only the sum is given (tinyengine_h743.csv: 90 to 350 KiB)."""
WITHOUT_BIASES = 11
"""Major version of ST Edge AI from which the tables count constants without biases: their `const_bytes` of mobilenetv1 are its weights
alone, and the flash that the tool reports is 4 bytes a channel more."""
UNKNOWN_STORAGE = 0.0904
"""Size of the log ratio of the stored weights, at 80 %, on a kind of target of which no row was measured: it may pack, align, compress
or add scales in its own way. The prior of any effect, of mean 0 and an unknown spread (`effects.SPREAD`, `effects.SPREAD_LOG_SD`):
the 80th percentile of |0.05 exp(u) v|, u and v standard normal. Not from rows."""
CLOSE = 0.001
"""Counts that agree within this are of the same things."""


def samples(tables: Tables, quantity: str = WEIGHTS) -> Samples:
    """Return one quantity of flash of every row that gives it."""
    return read_samples(tables, TABLES, lambda row: _of_row(row, footprint(row, tables), quantity))


def _of_row(row: Row, facts: Footprint, quantity: str) -> Sample | str:
    """Return the sample of a row, or why there is none ('' where the row does not give the quantity)."""
    weights, code, total = (row.number(c) * 1024 for c in ("weights_flash_kib", "code_flash_kib", "flash_kib"))
    if isfinite(weights) or isfinite(code):
        total = nan  # their sum
    elif facts.engine != "mcu":
        weights, total = total, nan  # the tables of accelerators give the weights in external flash
    value = {WEIGHTS: weights, CODE: code, TOTAL: total}[quantity]
    if not isfinite(value):
        return ""
    if value <= 0:
        return f"its {quantity} is not positive"
    if quantity == WEIGHTS and facts.family.endswith(" hybrid"):
        return f"{quantity}: some layers have fewer bits, and nothing says which"
    if _base(quantity, facts, row) is None:
        return f"{quantity}: neither its columns nor its name say how many weights there are"
    return Sample(row, quantity, value, row.device, facts.target, facts.network, facts.engine, facts)


def _base(quantity: str, facts: Footprint, row: Row) -> float | None:
    """Return the base of a quantity, None where nothing gives it."""
    if quantity == CODE:
        return CODE_BYTES + LAYER_CODE * facts.layers + BIAS_BYTES * channels(facts)
    if quantity == TOTAL:
        parameters = row.number("params")
        return parameters + TOTAL_BYTES if parameters > 0 else None
    return stored_weights(facts)


def stored_weights(facts: Footprint) -> float | None:
    """Return the bytes of weights and biases, 4-bit weights at half a byte; None where nothing gives them."""
    named = facts.weights * facts.width
    if not isfinite(facts.constants):
        return named * (1 - facts.coded / 2) + BIAS_BYTES * facts.biases if isfinite(named) else None
    biases = BIAS_BYTES * channels(facts)
    if isfinite(named):
        lacking = abs(facts.constants / named - 1) < CLOSE
    else:
        lacking = facts.engine == "mcu" and facts.version.startswith("mcu st-ai") and major(facts) >= WITHOUT_BIASES
    return facts.constants * (1 - facts.coded / 2) + (biases if lacking else 0.0)


def major(facts: Footprint) -> int:
    """Return the major version of the runtime, 0 where the row gives none."""
    last = facts.version.split()[-1]
    return int(last) if last.isdigit() else 0


def channels(facts: Footprint) -> float:
    """Return the output channels of a network: by its name, else from weights and layers as if all layers were square."""
    if isfinite(facts.biases):
        return facts.biases
    weights = facts.constants / facts.width if isfinite(facts.constants) else 0.0
    return facts.layers * sqrt(weights / facts.layers)


def keys(quantity: str, facts: Footprint) -> Mapping[str, str]:
    """Return the effects on a quantity."""
    shared = {"target": facts.target, "family": f"{facts.family} {facts.engine}"}
    if quantity == TOTAL:
        return {"all": "", **shared, "network": facts.network}
    return {
        "all": "", **shared, "version": facts.version, "float": f"{facts.target} {facts.float32}",
        "family and version": f"{facts.family} {facts.version}", "network": facts.network,
    }  # fmt: skip


@dataclass(frozen=True)
class Model:
    """Fitted ratios by quantity. weights: target, and target and family -> log ratio. targets: known device and runtime."""

    weights: Mapping[str, float]
    parts: Mapping[str, Ratios]
    targets: frozenset[str]

    def predict(self, sample: Sample) -> float:
        """Return the bytes of a quantity."""
        base = _base(sample.quantity, sample.facts, sample.row)
        assert base is not None, "such rows are left out"
        if sample.quantity == WEIGHTS:
            facts: Footprint = sample.facts
            return base * exp(self.weights.get(facts.target, 0.0) + self.weights.get(_named_key(facts), 0.0))
        found = self.parts.get(sample.quantity)
        return base if found is None else found.predict(base, keys(sample.quantity, sample.facts))

    def basis(self, sample: Sample) -> Basis:
        """Return what a prediction rests on."""
        if f"{sample.device}|{sample.runtime}" in self.targets:
            return "same device and runtime"
        return "same core class" if any(target.endswith(f"|{sample.runtime}") for target in self.targets) else "assumed"

    def baseline(self, sample: Sample) -> float | None:
        """Return None: flash does not follow the multiply-accumulates."""
        return None

    def to_json(self) -> Json:
        """Return everything."""
        return {
            "weights": dict(self.weights),
            "parts": {name: part.to_json() for name, part in self.parts.items()},
            "targets": sorted(self.targets),
        }


def fit(given: Sequence[Sample]) -> Model:
    """Fit the ratios of every quantity."""
    parts = {}
    for quantity in (CODE, TOTAL):
        rows = [
            (s.measured, base, keys(quantity, s.facts))
            for s in given
            if s.quantity == quantity and (base := _base(quantity, s.facts, s.row)) is not None
        ]
        found = fit_ratios(rows)
        if found is not None:
            parts[quantity] = found
    return Model(_medians(given), parts, frozenset(f"{s.device}|{s.runtime}" for s in given))


def _medians(given: Sequence[Sample]) -> dict[str, float]:
    """Return the log ratios of the stored weights: of a target, and what a family adds where its weights are counted by its name,
    n / (n + 1) of it from n rows.
    """
    logs: dict[str, list[tuple[str, float]]] = {}
    for s in given:
        base = _base(WEIGHTS, s.facts, s.row) if s.quantity == WEIGHTS else None
        if base is not None:
            logs.setdefault(s.facts.target, []).append((_named_key(s.facts), log(s.measured / base)))
    found = {}
    for target, values in logs.items():
        middle = found[target] = median(value for _, value in values)
        for name in sorted({key for key, _ in values if key}):
            own = [value - middle for key, value in values if key == name]
            found[name] = median(own) * len(own) / (len(own) + 1)
    return found


def _named_key(facts: Footprint) -> str:
    """Return the key of a family on a target, '' where the row itself gives the constants: nothing of the family is guessed."""
    return "" if isfinite(facts.constants) else f"{facts.target}|{facts.family}"


def unknown(fitted: Fitted, sample: Sample) -> float:
    """Return what is not known of how a target stores weights: nothing where the fit had rows of its kind."""
    assert isinstance(fitted, Model)
    return UNKNOWN_STORAGE if sample.quantity == WEIGHTS and sample.facts.target not in fitted.weights else 0.0


def load(value: Json) -> Model:
    """Return what `to_json` wrote."""
    parts = {name: found for name, part in value["parts"].items() if (found := ratios(part)) is not None}
    return Model(value["weights"], parts, frozenset(value["targets"]))


FAMILY = Family(
    "flash",
    "Flash of the weights",
    (TABLES[0], TABLES[2]),
    samples,
    fit,
    load,
    claims=(
        Claim("flash of the weights, new network", "network", 0.01, 0.05, tables=TABLES[:1]),
        Claim("flash of an accelerator's weights, new network", "network", tables=TABLES[2:]),
        Claim("flash of the weights, new device", "device"),
    ),
    unknown=unknown,
)
