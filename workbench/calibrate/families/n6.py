"""STM32N6 with Neural-ART: latency of networks whose weights stream from external flash, in 8 bits or mixed with 4.

seconds = weight bytes x flash + u(family) x (elements x element + macs x mac + layers x layer)
          + outside x external x (1 + coded x share of 4-bit weights)

The table gives totals of a network, so layers are counted from its name (`named_large`) or guessed. outside: bytes of activations in
external memory where that is their larger part, else 0. A smaller part outside (long-lived activations, read once) costs nothing to
speak of; with the larger part outside, the layers themselves work from external memory. coded: those layers wait still longer when
their weights pass the decompressor; this is how fewer bits come to be slower (resnet50v2). Three networks have activations outside,
one of them the larger part, and both rules were chosen after seeing them: `external` and `coded` rest on that one network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import spearmanr

from workbench.calibrate.family import Claim, Family, Json, Sample, Samples
from workbench.calibrate.named_large import find
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.structures import shape_of
from workbench.errors import InputError
from workbench.hardware.costs import Basis

TABLE = "stm32n6_npu_w4w8.csv"
PRIORS = {
    "flash": (2.5e-9, 0.5), "element": (1.0e-9, 1.0), "mac": (5e-12, 1.0), "layer": (10e-6, 1.0), "external": (30e-9, 1.5),
    "coded": (1.0, 1.0),
}  # fmt: skip
"""Constant -> (median, log standard deviation). flash: octal flash at 200 MHz, both edges, 400 MB/s at most.
element: one a nanosecond at 1 GHz. mac: 600 GOPS nominal are 3.3 ps. Others: orders of magnitude."""
FAMILY_SPREAD = 0.4
"""Log standard deviation of what a family of architectures makes of the same counts (0.25 to 0.4 give the same errors)."""
NOISE = 0.06
"""Log standard deviation of a row about its network's model."""
RANKED = (3, 0.9)
"""Least number of rows of a family for its rank correlation, and the least rank correlation."""
SIGNS_RIGHT = 0.85
CLASSES = {"food101": 101, "imagenet": 1000, "coco_person": 2, "person": 2, "flowers": 5, "cifar10": 10, "cifar100": 100}
MACS_PER_WEIGHT = 100.0
"""Of convolutional classifiers at 224 x 224: 87 (MobileNetV2) to 170 (MobileNetV1), ResNet-50 137; in proportion to the pixels."""
ELEMENTS_PER_RAM_BYTE = 3.5
"""Elements of all layers for each byte of the activations' memory: 3 (MobileNetV1 0.25) to 4.2 (MobileNetV2 1.4)."""
MACS_PER_ELEMENT = 80.0
USUAL_LAYERS = 50.0


@dataclass(frozen=True)
class Counts:
    """What one inference moves and computes. weights, internal, external: bytes. coded: share of weights in 4 bits."""

    family: str
    weights: float
    coded: float
    internal: float
    external: float
    macs: float
    elements: float
    layers: float

    @property
    def outside(self) -> float:
        """External bytes of activations where they are the larger part, else 0."""
        return self.external if self.external > self.internal else 0.0


def counts(row: Row) -> Counts | str:
    """Return the counts of a row, or why there are none."""
    weights = row.number("flash_kib") * 1024
    if not weights > 0:
        return "bytes of weights not given"
    coded = _or_zero(row.number("w4_percent_of_weights")) / 100
    internal, external = (_or_zero(row.number(name)) * 1024 for name in ("ram_kib", "external_ram_kib"))
    shape = shape_of(row)
    side = shape[0] if shape and shape[0] > 0 else 224
    known = find(row.network, side, CLASSES.get(row.text("dataset"), 0))
    macs = (
        row.macs
        if row.macs > 0
        else known.macs
        if known
        else MACS_PER_WEIGHT * weights / (1 - 0.45 * coded) * (side / 224) ** 2
    )
    elements = known.activations if known else ELEMENTS_PER_RAM_BYTE * (internal + external) or macs / MACS_PER_ELEMENT
    layers = len(known.layers) if known else USUAL_LAYERS
    return Counts(name_family(row.network), weights, coded, internal, external, macs, elements, layers)


def name_family(name: str) -> str:
    """Return the architecture of a model's name without its size (`mobilenetv2_a035_128_fft` -> `mobilenetv2`)."""
    words = re.match(r"(?:st_?)?[a-z]+?(?:v\d|(?=\d|_|$))", re.sub(r"net_?\d+_?v", "netv", name.lower()))
    found = words.group() if words else name.lower()
    return re.sub(r"(pico|nano|micro|milli|tiny|mini|femto|atto)$", "", found)


def samples(tables: Tables) -> Samples:
    """Return the rows with latency and weights."""
    kept, left_out = [], []
    for row in tables.rows(TABLE):
        try:
            found = counts(row) if row.latency_s > 0 else "no latency"
        except InputError as problem:
            found = str(problem)
        if isinstance(found, str):
            left_out.append((row, found))
        else:
            # tuning on another data set changes the last layer only: the same network, left out together
            network = re.sub(r"_(fft|tfs|tl)$", "", row.network)
            kept.append(Sample(row, "latency_s", row.latency_s, row.device, "st-edge-ai-npu", network, "npu-neural-art", found))
    return Samples(tuple(kept), tuple(left_out))


@dataclass(frozen=True)
class Model:
    """Fitted constants. factors: of families of architectures. line: log seconds = line[0] x log MACs + line[1] (the MAC-only line).

    errors: log standard deviations of the constants.
    """

    constants: Mapping[str, float]
    factors: Mapping[str, float]
    line: tuple[float, float]
    errors: Mapping[str, float]

    def predict(self, sample: Sample) -> float:
        """Return seconds."""
        values = np.array([self.constants[k] for k in PRIORS])
        return float(_seconds(values, np.array([self.factors.get(sample.facts.family, 1.0)]), _matrix([sample]))[0])

    def basis(self, sample: Sample) -> Basis:
        """All rows are of one device with one runtime; another device's would be of its kind."""
        known = re.search(r"n6", sample.device, re.IGNORECASE)
        return "same device and runtime" if known else "same core class"

    def baseline(self, sample: Sample) -> float:
        """Return seconds by the MAC-only line."""
        return float(np.exp(np.polyval(self.line, np.log(sample.facts.macs))))

    def to_json(self) -> Json:
        """Return all constants."""
        return {"constants": self.constants, "factors": self.factors, "line": list(self.line), "errors": self.errors}


def load(value: Json) -> Model:
    """Return the model of its JSON."""
    return Model(value["constants"], value["factors"], (value["line"][0], value["line"][1]), value["errors"])


def fit(rows: Sequence[Sample]) -> Model:
    """Fit the constants and the families' factors: maximum a posteriori in logs."""
    table = _matrix(rows)
    measured = np.log([s.measured for s in rows])
    families = sorted({s.facts.family for s in rows})
    of_row = np.array([families.index(s.facts.family) for s in rows])
    middle = np.log([value for value, _ in PRIORS.values()])
    spread = np.array([sd for _, sd in PRIORS.values()])
    n = len(PRIORS)

    def errors(p: np.ndarray) -> np.ndarray:
        predicted = np.log(_seconds(np.exp(p[:n]), np.exp(p[n:])[of_row], table))
        return np.concatenate([(predicted - measured) / NOISE, (p[:n] - middle) / spread, p[n:] / FAMILY_SPREAD])

    found = least_squares(errors, np.concatenate([middle, np.zeros(len(families))]))
    # the residuals of rows of one network go together: the posterior of the formula is too sure by their spread over the noise
    scale = max(1.0, float(np.sqrt(np.mean(found.fun[: len(rows)] ** 2))))
    slopes = np.asarray(found.jac)
    deviations = np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes))) * scale
    macs = np.log([s.facts.macs for s in rows])
    slope = np.polyfit(macs, measured, 1) if np.ptp(macs) > 0 else np.array([1.0, float(np.mean(measured - macs))])
    return Model(
        dict(zip(PRIORS, map(float, np.exp(found.x[:n])), strict=True)),
        dict(zip(families, map(float, np.exp(found.x[n:])), strict=True)),
        (float(slope[0]), float(slope[1])),
        dict(zip(PRIORS, map(float, deviations[:n]), strict=True)),
    )


def _matrix(rows: Sequence[Sample]) -> np.ndarray:
    """Return weights, elements, macs, layers, bytes outside and coded share, one column each."""
    found = [s.facts for s in rows]
    return np.array([[c.weights, c.elements, c.macs, c.layers, c.outside, c.coded] for c in found])


def _seconds(constants: np.ndarray, factors: np.ndarray, table: np.ndarray) -> np.ndarray:
    flash, element, mac, layer, external, coded = constants
    inside = table[:, 1] * element + table[:, 2] * mac + table[:, 3] * layer
    return np.asarray(table[:, 0] * flash + factors * inside + table[:, 4] * external * (1 + coded * table[:, 5]))


def checks(rows: Sequence[Sample], predicted: Sequence[float]) -> dict[str, tuple[float, float, bool]]:
    """Return the share of W4/W8 pairs whose sign is right and the lowest rank correlation of a family: (value, limit, reached)."""
    found = {}
    pairs = [
        (a.measured < b.measured) == (p < q)
        for (a, p), (b, q) in product(zip(rows, predicted, strict=True), repeat=2)
        if _task(a) == _task(b) and a.facts.coded > 0 and b.facts.coded == 0
    ]
    if pairs:
        share = float(np.mean(pairs))
        found[f"sign of W4 against W8, {len(pairs)} pairs"] = (share, SIGNS_RIGHT, bool(share >= SIGNS_RIGHT))
    least, limit = RANKED
    for family in sorted({s.facts.family for s in rows}):
        members = [(s.measured, p) for s, p in zip(rows, predicted, strict=True) if s.facts.family == family]
        if len(members) >= least and len({m for m, _ in members}) > 1:
            rank = float(spearmanr(np.array([m for m, _ in members]), np.array([p for _, p in members])).statistic)
            found[f"rank correlation, {family}, {len(members)} rows"] = (rank, limit, rank >= limit)
    return found


def _task(sample: Sample) -> tuple[str, ...]:
    row = sample.row
    return (row.device, row.runtime, row.network, row.text("dataset"), row.text("resolution"))


def _or_zero(value: float) -> float:
    return value if isfinite(value) else 0.0


FAMILY = Family(
    name="n6",
    title="STM32N6 with Neural-ART, weights of 8 bits or mixed with 4",
    tables=(TABLE,),
    samples=samples,
    fit=fit,
    load=load,
    claims=(Claim("latency, known device, new network", "network", gain=0.30, quantity="latency_s"),),
    splits=("network",),
    extra=checks,
)
