"""`Work`: what a network has to do, by kinds that constants belong to. Counts only; nothing here depends on a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.cost.counts import LayerWork

KINDS = ("pointwise", "convolution", "shallow", "depthwise", "fully_connected", "output", "element", "layer", "inference")
"""What a constant is per: multiply-accumulates of five sorts of layers, output elements of layers with weights, elements that
other operators work on, layers, inferences. `shallow`: convolutions of fewer than 4 input channels, which are counted as 4 (a
MobileNet on grey images is no faster than on colours: st_modelzoo_mcu.csv)."""
SHALLOW = 4
"""Input channels below which a convolution cannot load a 32-bit word of int8 channels."""


@dataclass(frozen=True)
class Layer:
    """One layer. op: convolution, depthwise, fully_connected or other. in_channels: per group. window: kernel positions. row: outputs
    of one row of positions (0: not known).
    """

    op: str
    macs: float = 0.0
    outputs: float = 0.0
    weights: float = 0.0
    in_channels: int = 0
    window: int = 1
    elements: float = 0.0
    row: float = 0.0

    @property
    def pools(self) -> bool:
        """True where a window of elements becomes one."""
        return self.op == "other" and self.window > 1

    @property
    def kind(self) -> str:
        """The kind of its multiply-accumulates ('' without any)."""
        if self.op != "convolution":
            return self.op if self.op in KINDS else ""
        return "shallow" if self.in_channels < SHALLOW else "pointwise" if self.window == 1 else "convolution"


@dataclass(frozen=True)
class Work:
    """Counts by kind for one inference. macs: multiply-accumulates as they are. weights: number of them. spread: log standard
    deviation of what had to be guessed.
    """

    counts: Mapping[str, float]
    macs: float
    weights: float = 0.0
    spread: float = 0.0

    def vector(self) -> list[float]:
        """Counts in the order of KINDS."""
        return [float(self.counts.get(k, 0.0)) for k in KINDS]


def of_layers(layers: Iterable[Layer], inferences: float = 1.0) -> Work:
    """Return the work of some layers, of a whole network with inferences = 1."""
    counts = dict.fromkeys(KINDS, 0.0)
    macs = weights = 0.0
    for layer in layers:
        counts["layer"] += 1
        macs += layer.macs
        weights += layer.weights
        if layer.kind:
            counts[layer.kind] += layer.macs * (SHALLOW / max(layer.in_channels, 1) if layer.kind == "shallow" else 1.0)
            counts["output"] += layer.outputs
        else:
            counts["element"] += layer.elements
    counts["inference"] = inferences
    return Work(counts, macs, weights)


OPERATORS = {"conv2d": "convolution", "depthwise_conv2d": "depthwise", "fully_connected": "fully_connected"}


def operator(work: LayerWork) -> str:
    """Return the sort of a layer of a graph: one with products that is no convolution multiplies matrices."""
    return OPERATORS.get(work.op) or ("other" if not work.macs else "convolution" if work.window > 1 else "fully_connected")


def of_graph(works: Iterable[LayerWork]) -> Work:
    """Return the work of the layers of a graph, as `workbench.cost.counts` counts them: the same kinds as the published rows."""
    return of_layers(Layer(operator(w), w.macs, w.outputs, w.weights, w.in_channels, w.window, w.elements) for w in works)
