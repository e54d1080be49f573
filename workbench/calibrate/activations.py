"""What a network keeps in RAM while it runs, counted from its structure: `Kept`.

Three sorts of planners. A code generator writes a layer's output over its input: a chain of layers needs its largest activation and a
few rows more, of what has been read but not yet used up and of the kernels' scratch. An interpreter keeps input and output of every
layer. An accelerator with several memories places each activation whole in one of them (`banks`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, nan, prod, sqrt

from workbench.calibrate import structures
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.work import Layer
from workbench.cost.arena import peak
from workbench.cost.lifetimes import Buffer
from workbench.cost.memory import OPERANDS
from workbench.hardware.costs import Banks

PLAIN = frozenset(
    {"mobilenetv1", "fdmobilenet", "stfdmobilenet", "ssdmobilenet", "tinyyolov2", "ign", "gmp", "handposture", "stmnist"}
)
"""Architectures without skip connections, whose largest activation bounds the plan of a code generator that writes a layer's output
over its input. The others keep a second one: their base is the sum of a layer's input and output."""
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
BANKED = {"npu-neural-art": Banks(count=4, size_bytes=448 * 1024, next_bytes=1024 * 1024)}
"""Accelerator with memories of its own -> these (STM32N6: AXISRAM3 to 6, which ST's notes on Neural-ART call NPURAM, at 0x34200000 in
steps of 0x70000 bytes, then AXISRAM2: RM0486, seen through public headers that quote it)."""
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
ROW_CHANNELS = 16.0
"""Channels of the largest activation of a network of which nothing is known, for its rows: those of small image classifiers."""


@dataclass(frozen=True)
class Kept:
    """source: what the bytes rest on (`plain`, `residual`, `banks`, `operands`, `input`, `products`, `nothing`). activations: bytes of
    a plan. row: bytes of the widest row of positions of an activation.
    """

    source: str
    activations: float
    row: float

    @property
    def counted(self) -> bool:
        """True where layers give the bytes, not an order of magnitude."""
        return self.source in ("plain", "residual", "banks", "operands")


@dataclass(frozen=True)
class Network:
    """What is known of a row's network. layers: () = none. kind: its architecture ('' = none known), else its family. engine: `mcu` or
    the class of the accelerator. runtime: family. newest: its version keeps the input. width: bytes of a value.
    """

    layers: Sequence[Layer]
    kind: str
    family: str
    engine: str
    runtime: str
    newest: bool
    width: int


def kept(row: Row, tables: Tables, network: Network) -> Kept:
    """Return what a network keeps on the target of a row."""
    n, shape = network, structures.shape_of(row)
    image = prod(shape) * n.width if shape and min(shape[:2]) > 1 else nan
    if n.layers and n.engine in BANKED:
        return _banked(n.layers, 0.0 if not isfinite(image) else image, BANKED[n.engine])
    largest, pair, line = _counted(row, n, image) if n.layers else (nan, None, 0.0)
    given = number(row, "peak_act_bytes_naive") or _given_elsewhere(row, tables, n.width) or pair
    if given and n.engine == "mcu" and not {n.kind, n.family}.isdisjoint(PLAIN):
        source, size = "plain", largest if isfinite(largest) else given * SHARE_OF_PAIR
    elif given:
        source, size = "residual", given
    else:
        source, size = _guessed(row, n.family, image)
    return Kept(source, size, line or sqrt(size * n.width * ROW_CHANNELS))


def _counted(row: Row, n: Network, image: float) -> tuple[float, float | None, float]:
    """Return bytes of the largest activation, of the largest input and output of a layer together (None where that is no base, see
    IN_PLACE), and of the widest row.
    """
    macs = sum(layer.macs for layer in n.layers)
    scale = min(1.0, sqrt(row.macs / macs)) if isfinite(row.macs) and macs else 1.0  # narrower than its name says
    pooled = n.runtime == GENERATOR and n.width == 1
    layers = [a for a, b in pairwise(n.layers) if not (pooled and a.macs and b.pools)] + [n.layers[-1]]
    made = [image if isfinite(image) else 0.0, *(layer.outputs * n.width * scale for layer in layers)]
    largest = max([*made, made[0] + made[1]] if n.newest else made)
    searched = n.family == "mcunet" and n.runtime not in IN_PLACE
    pair = None if searched else _pairs(made, layers, n.runtime in IN_PLACE and n.engine == "mcu")
    return largest, pair, max(layer.row for layer in n.layers) * n.width * scale


def _guessed(row: Row, family: str, image: float) -> tuple[str, float]:
    """Return what the bytes rest on where no layers give them, and the bytes."""
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


def _banked(layers: Sequence[Layer], image: float, banks: Banks) -> Kept:
    """Return what an accelerator with memories of its own keeps: a chain of activations in them, beside the operands of its largest
    elementwise operator where a bank does not hold these (`workbench.cost.memory`). Kernels' scratch is inside of it: no rows.
    """
    made = [image, *(float(layer.outputs) for layer in layers)]
    chain = peak([Buffer(str(i), int(size), i, i + 1) for i, size in enumerate(made)], "banks", banks=banks)
    element = max((layer.outputs for layer in layers if layer.op == "other" and not layer.pools), default=0.0)
    if OPERANDS * element > banks.size_bytes:
        return Kept("operands", float(chain + OPERANDS * element), 0.0)
    return Kept("banks", float(chain), 0.0)


def _given_elsewhere(row: Row, tables: Tables, width: int) -> float | None:
    """Return the peak of live activations that another row of the table gives for the same network: structure, not a measurement.

    A row of another precision has as many live values of another width (bytes of a value); hybrids are networks of their own.
    """
    name, mixed, other_width = structures.canonical(row), hybrid(row), None
    for other in tables.rows(row.table):
        found = number(other, "peak_act_bytes_naive")
        if found and structures.canonical(other) == name and hybrid(other) == mixed:
            if other.precision == row.precision:
                return found
            other_width = other_width or found / value_bytes(other) * width
    return other_width


def hybrid(row: Row) -> bool:
    """Return whether some layers have fewer bits than the others."""
    return "hybrid" in row.precision.lower()


def value_bytes(row: Row) -> int:
    """Return the bytes of a value: hybrids are counted as 8 bits."""
    return 4 if "fp32" in row.precision.lower() or "float" in row.precision.lower() else 1


def number(row: Row, column: str) -> float | None:
    """Return a positive number of a row, None where it has none."""
    value = row.number(column)
    return value if isfinite(value) and value > 0 else None
