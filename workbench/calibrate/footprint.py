"""`Footprint`: what a row says about the memory of a network: structure from its columns, else from its name, else from its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan, prod

from workbench.calibrate import named, named_large, structures
from workbench.calibrate.activations import GENERATOR, KEEPS_INPUT, Kept, Network, hybrid, kept, number, value_bytes
from workbench.calibrate.cores import core_class
from workbench.calibrate.family import Sample, Samples
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.runtimes import runtime
from workbench.calibrate.work import Layer
from workbench.errors import InputError

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
    of architectures. kept: activations. layers: with weights. float32: activations are. weights, biases: numbers of them. constants:
    bytes, given by the row. coded: share of 4-bit weights.
    """

    engine: str
    target: str
    version: str
    family: str
    network: str
    kept: Kept
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
    float32, mixed = value_bytes(row) > 1, " hybrid" if hybrid(row) else ""
    family = structures.family(row.network) or ("float" if float32 else "other")
    layers, believed = _layers(row)
    newest = ran.family == GENERATOR and (ran.version or (0,))[0] >= KEEPS_INPUT
    known = structures.described(row)
    network = Network(layers, known[0] if known else "", family, engine, ran.family, newest, value_bytes(row))
    filters = [(la.weights, la.weights / (la.window * la.in_channels)) for la in layers if la.weights and la.in_channels]
    target = f"{engine} {ran.family}"
    return Footprint(
        engine, target, f"{target} {ran.version[0] if ran.version else ''}".strip(), family + mixed,
        structures.canonical(row) + mixed, kept(row, tables, network), _count(row, layers), float32,
        sum(w for w, _ in filters) if believed else nan, sum(b for _, b in filters) if believed else nan,
        row.number("const_bytes"), (number(row, "w4_percent_of_weights") or 0.0) / 100,
    )  # fmt: skip


def _layers(row: Row) -> tuple[Sequence[Layer], bool]:
    """Return the layers of the architecture of a row's name, and whether the row's multiply-accumulates are those of it."""
    classes = CLASSES.get(row.text("dataset").lower())
    known = structures.described(row)
    found: Sequence[Layer] | None = None
    if known is not None:
        kind = HYBRIDS.get(known[0], known[0]) if hybrid(row) else known[0]
        found = named.layers(kind, *known[1:3], classes or known[3])
    if not found:
        shape = structures.shape_of(row)
        other = named_large.find(row.network, shape[0] if shape else 0, classes or 0)
        found = other.layers if other is not None else None
    if not found:
        return (), False
    macs = sum(layer.macs for layer in found)
    return found, structures.alike(macs, row.macs)


def _count(row: Row, layers: Sequence[Layer]) -> float:
    if layers:
        return sum(1.0 for layer in layers if layer.weights)
    operators = number(row, "n_ops")
    if operators:
        return 0.7 * operators  # the rest pads, adds, pools and reshapes: 10 of 16 to 28 of 31 in the tables
    shape = structures.shape_of(row)
    return FEW_LAYERS if not shape or prod(shape) * 4 < SMALL_INPUT else USUAL_LAYERS


def read_samples(tables: Tables, names: Sequence[str], of_row: Callable[[Row], Sample | str]) -> Samples:
    """Return what some tables say. of_row: the sample of a row, or why there is none ('' where it does not speak of the quantity)."""
    taken, left_out = [], []
    for row in (row for name in names for row in tables.rows(name)):
        try:
            found = of_row(row)
        except InputError as problem:
            found = str(problem)
        if isinstance(found, Sample):
            taken.append(found)
        elif found:
            left_out.append((row, found))
    return Samples(tuple(taken), tuple(left_out))
