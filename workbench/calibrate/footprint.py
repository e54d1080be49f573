"""`Footprint`: what a row says about the memory of a network: structure from its columns, else from its name, else from its input.

And `Ratios`, the model of everything that is measured in bytes: measured = base x exp(sum of effects). The base is counted from the
structure; effects of the runtime, its version, the architecture and the network, with normal priors (`effects`), say what a runtime
makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, isfinite, log, nan, prod, sqrt
from typing import Any

from workbench.calibrate import named, named_large, structures
from workbench.calibrate.cores import core_class
from workbench.calibrate.effects import Effects, Prior, fit_effects
from workbench.calibrate.family import Sample, Samples
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.runtimes import runtime
from workbench.calibrate.work import Layer
from workbench.errors import InputError

PLAIN = frozenset({"mobilenetv1", "fdmobilenet", "ssdmobilenet"})
"""Families without skip connections, whose largest activation bounds the plan of a code generator that writes a layer's output over
its input. The others keep a second one: their base is the sum of a layer's input and output."""
SHARE_OF_PAIR = 1 / 1.5
"""Largest activation over the largest input plus output in a MobileNetV1 (arXiv 1704.04861: a pointwise layer doubles its input)."""
INPUT_MULTIPLE = 4.0
"""Activations over the input of a network of which nothing else is known: 3 to 6 for the image classifiers of the tables."""
PRODUCTS_POWER = 0.45
"""RAM of networks of one family against their multiply-accumulates: half of more products come from more pixels."""
PRODUCTS_BYTES = 140 * 1024
"""RAM at 10**7 multiply-accumulates with that power; only the order of magnitude matters, effects adjust it."""
SAME_MACS = 0.05
"""A name is believed when its architecture has the multiply-accumulates of the row within this."""
CLASSES = {"imagenet": 1000, "food101": 101, "coco_person": 2, "tf_flowers": 5, "flowers": 5, "cifar10": 10, "cifar100": 100}
"""Data set of a row -> classes of the last layer."""
USUAL_LAYERS, FEW_LAYERS, SMALL_INPUT = 20.0, 5.0, 4096
"""Layers with weights of networks that say nothing of them: image classifiers, and networks of a few sensor values (input in bytes)."""


@dataclass(frozen=True)
class Footprint:
    """Facts of one row. Bytes are counts from the structure, NaN where nothing gives them.

    engine: `mcu`, or the class of the accelerator. target: engine and family of runtimes; version: with the major version. family:
    of architectures. source: what `activations` rests on (`plain`, `residual`, `input`, `products`, `nothing`). layers: with weights.
    float32: activations are. weights, biases: numbers of them. constants: bytes, given by the row. coded: share of 4-bit weights.
    """

    engine: str
    target: str
    version: str
    family: str
    network: str
    source: str
    activations: float
    layers: float
    float32: bool
    weights: float
    biases: float
    constants: float
    coded: float

    @property
    def width(self) -> int:
        """Bytes of a value."""
        return 4 if self.float32 else 1


def footprint(row: Row, tables: Tables) -> Footprint:
    """Return the facts of a row."""
    ran = runtime(row.runtime)
    kind = core_class(row.core, row.text("isa_fpu_npu"), row.device)
    engine = kind if kind.startswith(("npu", "gpu")) else "mcu"
    float32 = "fp32" in row.precision.lower() or "float" in row.precision.lower()
    hybrid = "hybrid" in row.precision.lower()
    family = structures.family(row.network) or ("float" if float32 else "other")
    layers, believed = _layers(row)
    source, activations = _activations(row, tables, layers, family, engine, 4 if float32 else 1)
    filters = [(la.weights, la.weights / (la.window * la.in_channels)) for la in layers if la.weights and la.in_channels]
    target = f"{engine} {ran.family}"
    return Footprint(
        engine, target, f"{target} {ran.version[0] if ran.version else ''}".strip(), family + (" hybrid" if hybrid else ""),
        structures.canonical(row) + (" hybrid" if hybrid else ""), source, activations, _count(row, layers), float32,
        sum(w for w, _ in filters) if believed else nan, sum(b for _, b in filters) if believed else nan,
        row.number("const_bytes"), (_given(row, "w4_percent_of_weights") or 0.0) / 100,
    )  # fmt: skip


def _layers(row: Row) -> tuple[Sequence[Layer], bool]:
    """Return the layers of the architecture of a row's name, and whether the row's multiply-accumulates are those of it."""
    classes = CLASSES.get(row.text("dataset").lower())
    known = structures.described(row)
    found: Sequence[Layer] | None = named.layers(*known[:3], classes or known[3]) if known is not None else None
    if not found:
        shape = structures.shape_of(row)
        other = named_large.find(row.network, shape[0] if shape else 0, classes or 0)
        found = other.layers if other is not None else None
    if not found:
        return (), False
    macs = sum(layer.macs for layer in found)
    return found, not isfinite(row.macs) or abs(macs / row.macs - 1) < SAME_MACS


def _activations(row: Row, tables: Tables, layers: Sequence[Layer], family: str, engine: str, width: int) -> tuple[str, float]:
    """Return what the bytes of the activations rest on, and the bytes."""
    shape = structures.shape_of(row)
    image = prod(shape) * width if shape and min(shape[:2]) > 1 else nan
    naive = _given(row, "peak_act_bytes_naive") or _naive_elsewhere(row, tables)
    largest = nan
    if layers:
        macs = sum(layer.macs for layer in layers)
        scale = min(1.0, sqrt(row.macs / macs)) if isfinite(row.macs) and macs else 1.0  # narrower than its name says
        made = [image if isfinite(image) else 0.0, *(layer.outputs * width * scale for layer in layers)]
        largest = max(made)
        naive = naive or max(a + b for a, b in pairwise(made))
    if naive and engine == "mcu" and family in PLAIN:
        return "plain", largest if isfinite(largest) else naive * SHARE_OF_PAIR
    if naive:
        return "residual", naive
    if isfinite(image) and family != "mcunet":
        return "input", INPUT_MULTIPLE * image
    if isfinite(row.macs) and row.macs > 0:
        return "products", PRODUCTS_BYTES * (row.macs / 1e7) ** PRODUCTS_POWER
    return ("input", 2 * INPUT_MULTIPLE * image) if isfinite(image) else ("nothing", float(PRODUCTS_BYTES))


def _naive_elsewhere(row: Row, tables: Tables) -> float | None:
    """Return the peak of live activations that another row of the table gives for the same network: structure, not a measurement."""
    name = structures.canonical(row)
    for other in tables.rows(row.table):
        found = _given(other, "peak_act_bytes_naive")
        if found and structures.canonical(other) == name and other.precision == row.precision:
            return found
    return None


def _count(row: Row, layers: Sequence[Layer]) -> float:
    if layers:
        return sum(1.0 for layer in layers if layer.weights)
    operators = _given(row, "n_ops")
    if operators:
        return 0.7 * operators  # the rest pads, adds, pools and reshapes: 10 of 16 to 28 of 31 in the tables
    shape = structures.shape_of(row)
    return FEW_LAYERS if not shape or prod(shape) * 4 < SMALL_INPUT else USUAL_LAYERS


def _given(row: Row, column: str) -> float | None:
    value = row.number(column)
    return value if isfinite(value) and value > 0 else None


SPREAD_WHOLE = 3.0
"""Log standard deviation of the effect that all rows share: the base is an order of magnitude."""


@dataclass(frozen=True)
class Ratios:
    """measured = base x exp(effects)."""

    effects: Effects

    def predict(self, base: float, keys: Mapping[str, str]) -> float:
        """Return the prediction. keys: kind of effect -> name."""
        return base * exp(self.effects.value(dict.fromkeys(keys.items(), 1.0)))

    def knows(self, kind: str, name: str) -> bool:
        """True when some fitted row had this key."""
        return self.effects.known(kind, name)

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        return self.effects.to_json()


def fit_ratios(rows: Iterable[tuple[float, float, Mapping[str, str]]]) -> Ratios | None:
    """Return the ratios of rows of (measured, base, keys), None without rows. The key `all` is shared by every row."""
    given = list(rows)
    if not given:
        return None
    kinds = {kind for _, _, keys in given for kind in keys}
    priors = {kind: Prior(spread=SPREAD_WHOLE) if kind == "all" else Prior() for kind in kinds}
    terms = [dict.fromkeys(keys.items(), 1.0) for _, _, keys in given]
    return Ratios(fit_effects(terms, [log(y / base) for y, base, _ in given], ["row"] * len(given), priors))


def ratios(value: Mapping[str, Any] | None) -> Ratios | None:
    """Return what `to_json` wrote."""
    return None if value is None else Ratios(Effects.load(value))


def read_samples(tables: Tables, names: Sequence[str], of_row: Callable[[Row], Sample | str]) -> Samples:
    """Return what some tables say. of_row: the sample of a row, or why there is none ('' where it does not speak of the quantity)."""
    kept, left_out = [], []
    for row in (row for name in names for row in tables.rows(name)):
        try:
            found = of_row(row)
        except InputError as problem:
            found = str(problem)
        if isinstance(found, Sample):
            kept.append(found)
        elif found:
            left_out.append((row, found))
    return Samples(tuple(kept), tuple(left_out))
