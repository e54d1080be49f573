"""`Footprint`: what a row says about the memory of a network: structure from its columns, else from its name, else from its input.

And `Ratios`, the model of everything that is measured in bytes: measured = base x exp(sum of effects). The base is counted from the
structure; effects of the runtime, its version, the architecture and the network, with normal priors (`effects`), say what a runtime
makes of it.
"""

from __future__ import annotations

import re
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

PLAIN = frozenset({"mobilenetv1", "fdmobilenet", "ssdmobilenet", "tinyyolov2"})
"""Families without skip connections, whose largest activation bounds the plan of a code generator that writes a layer's output over
its input. The others keep a second one: their base is the sum of a layer's input and output."""
GENERATOR = "st-ai"
"""Family of runtimes, a code generator, whose 8-bit convolutions pool what they make: ST's layers are called `conv2d_nl_pool`, after
convolution, nonlinearity and pooling (network.c as X-CUBE-AI writes it)."""
KEEPS_INPUT = 11
"""Its major version (ST Edge AI 3.0 counts as 11) from which the first convolution is not written over the input, so that a plain
chain needs at least both; before, FdMobileNet 0.25 needed little more than its input."""
IN_PLACE = frozenset({GENERATOR, "tinyengine"})
"""Families of runtimes that write the output of a depthwise convolution over its input (TinyEngine: arXiv 2007.10319, section 3.2 and
figure 7; of ST's generator it is inferred from its RAM, no document says it). What an
interpreter needs for a searched network is mostly records of channels and layers, which go with the products."""
BANKED, BANK_BYTES = "npu-neural-art", 448 * 1024
"""Accelerator with memories of its own and the size of each (STM32N6: AXISRAM3 to 6, which ST's notes on Neural-ART call NPURAM, at
0x34200000 in steps of 0x70000 bytes: RM0486, seen through public headers that quote it). A network that fits one is planned as
a whole; what lies in several is not used again at once, as if a third activation were kept."""
SHARE_OF_PAIR = 1 / 1.5
"""Largest activation over the largest input plus output in a MobileNetV1 (arXiv 1704.04861: a pointwise layer doubles its input)."""
INPUT_MULTIPLE = 4.0
"""Activations over the input of a network of which nothing else is known: 3 to 6 for the image classifiers of the tables."""
PRODUCTS_POWER = 0.45
"""RAM of networks of one family against their multiply-accumulates: half of more products come from more pixels."""
PRODUCTS_BYTES = 140 * 1024
"""RAM at 10**7 multiply-accumulates with that power; only the order of magnitude matters, effects adjust it."""
VECTOR_BYTES = 4.0
"""What a support vector machine keeps of each of its vectors: the value of the kernel, float32. Products: one per value of a vector."""
SAME_MACS = 0.05
"""A name is believed when its architecture has the multiply-accumulates of the row within this."""
HYBRIDS = {"resnet8": "stresnet8hybrid"}
"""Family -> the architecture of its release with binary layers. Its activations are counted; its time is not that of 8-bit products."""
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
    float32 = _width(row) > 1
    hybrid = _hybrid(row)
    family = structures.family(row.network) or ("float" if float32 else "other")
    layers, believed = _layers(row)
    newest = ran.family == GENERATOR and (ran.version or (0,))[0] >= KEEPS_INPUT
    source, activations = _activations(row, tables, layers, family, (engine, ran.family), newest, _width(row))
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
    found: Sequence[Layer] | None = None
    if known is not None:
        kind = HYBRIDS.get(known[0], known[0]) if _hybrid(row) else known[0]
        found = named.layers(kind, *known[1:3], classes or known[3])
    if not found:
        shape = structures.shape_of(row)
        other = named_large.find(row.network, shape[0] if shape else 0, classes or 0)
        found = other.layers if other is not None else None
    if not found:
        return (), False
    macs = sum(layer.macs for layer in found)
    return found, not isfinite(row.macs) or abs(macs / row.macs - 1) < SAME_MACS


def _activations(
    row: Row, tables: Tables, layers: Sequence[Layer], family: str, target: tuple[str, str], newest: bool, width: int
) -> tuple[str, float]:
    """Return what the bytes of the activations rest on, and the bytes. target: engine and family of runtimes; newest: its version
    keeps the input; width: bytes of a value.
    """
    engine, ran = target
    shape = structures.shape_of(row)
    image = prod(shape) * width if shape and min(shape[:2]) > 1 else nan
    naive = _given(row, "peak_act_bytes_naive") or _naive_elsewhere(row, tables, width)
    largest = nan
    if layers:
        macs = sum(layer.macs for layer in layers)
        scale = min(1.0, sqrt(row.macs / macs)) if isfinite(row.macs) and macs else 1.0  # narrower than its name says
        pooled = ran == GENERATOR and width == 1
        kept = [a for a, b in pairwise(layers) if not (pooled and a.macs and b.pools)] + [layers[-1]]
        made = [image if isfinite(image) else 0.0, *(layer.outputs * width * scale for layer in kept)]
        largest = max([*made, made[0] + made[1]] if newest else made)
        if ran in IN_PLACE or family != "mcunet":
            naive = naive or _pairs(made, kept, ran in IN_PLACE and engine == "mcu")
            if engine == BANKED and naive > BANK_BYTES:
                naive = max(a + b + c for a, b, c in zip(made, made[1:], made[2:], strict=False))
    if naive and engine == "mcu" and family in PLAIN:
        return "plain", largest if isfinite(largest) else naive * SHARE_OF_PAIR
    if naive:
        return "residual", naive
    if isfinite(image) and family != "mcunet":
        return "input", INPUT_MULTIPLE * image
    if family == "svc" and isfinite(row.macs):
        return "products", VECTOR_BYTES * row.macs / (prod(map(int, re.findall(r"\d+", row.text("resolution")))) or 1)
    if isfinite(row.macs) and row.macs > 0:
        return "products", PRODUCTS_BYTES * (row.macs / 1e7) ** PRODUCTS_POWER
    return ("input", 2 * INPUT_MULTIPLE * image) if isfinite(image) else ("nothing", float(PRODUCTS_BYTES))


def _pairs(made: Sequence[float], layers: Sequence[Layer], in_place: bool) -> float:
    """Return the largest input and output of a layer together. made: bytes of the image and of what each layer makes. in_place: a
    depthwise layer writes over its input.
    """
    return max(
        a + (0.0 if in_place and layer.op == "depthwise" else b) for (a, b), layer in zip(pairwise(made), layers, strict=True)
    )


def _naive_elsewhere(row: Row, tables: Tables, width: int) -> float | None:
    """Return the peak of live activations that another row of the table gives for the same network: structure, not a measurement.

    A row of another precision has as many live values of another width (bytes of a value); hybrids are networks of their own.
    """
    name, hybrid, other_width = structures.canonical(row), _hybrid(row), None
    for other in tables.rows(row.table):
        found = _given(other, "peak_act_bytes_naive")
        if found and structures.canonical(other) == name and _hybrid(other) == hybrid:
            if other.precision == row.precision:
                return found
            other_width = other_width or found / _width(other) * width
    return other_width


def _hybrid(row: Row) -> bool:
    """Return whether some layers have fewer bits than the others."""
    return "hybrid" in row.precision.lower()


def _width(row: Row) -> int:
    """Return the bytes of a value: hybrids are counted as 8 bits."""
    return 4 if "fp32" in row.precision.lower() or "float" in row.precision.lower() else 1


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
