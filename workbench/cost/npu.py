"""Layers of a target whose compiler's rules are known (`costs.ethos_u`), in the terms of an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot

from workbench.cost.ethos_u import EthosNetwork, ethos_layers
from workbench.cost.flash import FlashParts
from workbench.cost.interval import Interval, Term
from workbench.cost.latency import LayerTime
from workbench.graph.ir import Graph
from workbench.hardware.costs import Costs
from workbench.hardware.profile import HardwareProfile

CODE_UNCERTAINTY, MEMORY_UNCERTAINTY = 0.05, 0.1
"""Of the encoded weights and of the SRAM: how far both were from the compiler's on networks that shaped nothing here, as 80 % factor
- 1 (docs/ethos.md)."""


@dataclass(frozen=True)
class Scheduled:
    """What the compiler's rules say about the layers of a network that run on the NPU."""

    network: EthosNetwork
    costs: Costs

    def stored(self, layer: str, elsewhere: tuple[int, int]) -> tuple[int, int]:
        """Return the bytes of the weights of a layer with their scales, and of its commands. elsewhere: where it is not on the NPU."""
        found = self.network.layers.get(layer)
        if found is None:
            return elsewhere
        return found.weight_bytes, round(found.operations * self.costs.memory.layer_flash_bytes.value)

    def time(self, layer: str) -> LayerTime:
        """Return the cycles of a layer: one term, whose error all layers share."""
        found = self.network.layers[layer]
        assert self.costs.ethos_u is not None
        term = Term("ethos_u", float(found.cycles), "data sheet", self.costs.ethos_u.uncertainty, found.bound)
        return LayerTime((term,), found.bound, found.sram_bytes + found.storage_bytes)

    def elsewhere(self, layers: Sequence[str], stored: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the bytes of layers by themselves, (0, 0) for those of the NPU: the compiler keeps them."""
        return [(0, 0) if layer in self.network.layers else size for layer, size in zip(layers, stored, strict=True)]

    def flash(self, host: FlashParts) -> FlashParts:
        """Return the flash of a network with the weights as the compiler codes them, tables included.

        host: weights and parameters of the other layers (they lie in the same flash), and the code of all.
        """
        layer = self.costs.memory.layer_flash_bytes
        commands = layer.value * sum(found.operations for found in self.network.layers.values())
        return replace(
            host,
            weights=_sum(Interval(self.network.weight_bytes, CODE_UNCERTAINTY), host.weights),
            parameters=_sum(Interval(commands, layer.uncertainty), host.parameters),
            tables=Interval(0.0, 0.0),
        )

    def ram(self, live: Sequence[int]) -> Interval:
        """Return the peak of the SRAM. live: bytes while each layer runs, those of the host's kernels included."""
        return Interval(max([self.network.sram_bytes, *live]), MEMORY_UNCERTAINTY)

    def live(self, layer: str, elsewhere: int) -> int:
        """Return the bytes of the SRAM in use while a layer runs. elsewhere: where it is not on the NPU."""
        found = self.network.layers.get(layer)
        return elsewhere if found is None else found.live_bytes


def _sum(a: Interval, b: Interval) -> Interval:
    """Return the sum of two sizes whose errors are independent."""
    value = a.value + b.value
    return Interval(value, hypot(a.value * a.relative, b.value * b.relative) / value if value else 0.0)


def scheduled(
    graph: Graph, costs: Costs, profile: HardwareProfile, runners: Sequence[HardwareProfile | None]
) -> Scheduled | None:
    """Return the layers as the compiler of the target runs them, None for a target without such rules."""
    if costs.ethos_u is None:
        return None
    elsewhere = {node.name for node, runner in zip(graph.nodes, runners, strict=True) if runner is not profile}
    return Scheduled(ethos_layers(graph, costs.ethos_u, elsewhere), costs)
