"""`ethos_layers`: what the layers of a network cost on an Ethos-U, from the structure of the accelerator.

The model follows the published rules of the Vela compiler, so its figures are meant to be Vela's: cycles of the array, of the output
stage and of every memory, weights as they are compressed and buffered, feature maps in bricks of 16 channels. Vela's are estimates
themselves: nobody measured them. What is left out: cascades (rolling buffers between layers) and the fragments of its allocator.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from workbench.cost.ethos_cycles import Places, channel_rate, copy_cycles, op_cycles
from workbench.cost.ethos_engine import ENGINES, Engine
from workbench.cost.ethos_lower import TABLE_BYTES, lower
from workbench.cost.ethos_memory import fast_maps, peaks
from workbench.cost.ethos_ops import ACTIVATION, NpuOp
from workbench.cost.ethos_schedule import Step, schedule
from workbench.cost.ethos_traffic import Traffic, maps_traffic, weight_reads
from workbench.graph.ir import Graph
from workbench.hardware.costs_ethos import EthosUCosts


@dataclass(frozen=True)
class EthosLayer:
    """One node of the graph on the NPU.

    cycles: of its operations. bound: what takes longest, the array and its output (`compute`) or a memory. sram_bytes,
    storage_bytes: moved. live_bytes: of the SRAM while it runs. weight_bytes: as they are stored, with scales, biases
    and tables. operations: that it is taken apart into (0: it only renames a map).
    """

    layer: str
    cycles: int
    bound: Literal["compute", "memory"]
    macs: int
    sram_bytes: int
    storage_bytes: int
    live_bytes: int
    weight_bytes: int
    operations: int


@dataclass(frozen=True)
class EthosNetwork:
    """A network on the NPU. sram_bytes: peak. storage_map_bytes: peak of the activations in the storage (a DRAM)."""

    layers: Mapping[str, EthosLayer]
    sram_bytes: int
    storage_map_bytes: int

    @property
    def cycles(self) -> int:
        """Cycles of one inference, without the host."""
        return sum(layer.cycles for layer in self.layers.values())

    @property
    def weight_bytes(self) -> int:
        """Weights, scales and biases as they are stored."""
        return sum(layer.weight_bytes for layer in self.layers.values())


def ethos_layers(graph: Graph, costs: EthosUCosts, host: Collection[str] = ()) -> EthosNetwork:
    """Return the cost of the nodes of a graph that run on the NPU, by name. host: names of those that do not."""
    engine = ENGINES[costs.accelerator]
    steps = schedule(engine, lower(graph, engine, host), costs)
    inside = fast_maps(steps, costs)
    home = costs.sram if costs.staging_bytes is None else costs.storage
    places = Places(costs.sram, costs.storage, inside, home)
    live, dram = peaks(steps, inside)
    rows: dict[str, list[tuple[Step, int, bool, Traffic, int]]] = {}
    before: Step | None = None
    for step, held in zip(steps, live, strict=True):
        cycles, bound, traffic = _cost(engine, step, before, places, costs)
        rows.setdefault(step.op.layer, []).append((step, cycles, bound, traffic, held))
        before = step
    on_npu = [node.name for node in graph.nodes if node.name not in host]
    return EthosNetwork({name: _layer(name, rows.get(name, []), costs) for name in on_npu}, max(live, default=0), dram)


def _layer(name: str, found: list[tuple[Step, int, bool, Traffic, int]], costs: EthosUCosts) -> EthosLayer:
    waiting = sum(cycles for _, cycles, memory, _, _ in found if memory)
    total = sum(cycles for _, cycles, _, _, _ in found)
    return EthosLayer(
        name, total, "memory" if 2 * waiting > total else "compute", sum(step.op.macs for step, *_ in found),
        sum(traffic.total(costs.sram) for *_, traffic, _ in found), sum(traffic.total(costs.storage) for *_, traffic, _ in found),
        max((held for *_, held in found), default=0), sum(sum(step.parts) + _table_bytes(step.op) for step, *_ in found), len(found),
    )  # fmt: skip


def _cost(engine: Engine, step: Step, before: Step | None, places: Places, costs: EthosUCosts) -> tuple[int, bool, Traffic]:
    """Return (cycles, whether a memory sets the pace, bytes) of one operation."""
    op, slack = step.op, before.slack if before is not None else 0
    source = costs.sram if step.buffers else costs.storage
    run = op_cycles(engine, op, step.blocks, places, source.read_latency)
    npu = run
    traffic = maps_traffic(engine, op, step.blocks, places)
    table = _table_cycles(engine, op, costs)
    if step.encoded is not None:
        _weights(step, traffic, costs)
    if step.buffers:
        first = copy_cycles(engine, costs.storage, costs.sram, step.parts[0])
        npu = max(step.transfer - slack + step.slack, run + max(first - slack, 0)) + table
    else:
        npu += max(table - slack, 0)
    longest = max(traffic.cycles(costs.sram), traffic.cycles(costs.storage))
    return max(npu, longest), longest > npu or npu > 2 * run, traffic


def _weights(step: Step, traffic: Traffic, costs: EthosUCosts) -> None:
    assert step.encoded is not None
    channel = "fast_weights" if step.fast and step.buffers else "weights"
    often = weight_reads(step.op, step.blocks)
    scales = step.scales
    weights = sum(step.parts) - scales
    if step.buffers:
        rest = max(weights - (step.parts[0] if step.ahead else 0), 0)
        traffic.add(costs.storage, "copy", rest)
        traffic.add(costs.sram, "write", rest)
        traffic.add(costs.sram, channel, weights * often)
    else:
        traffic.add(costs.storage, channel, weights * often)
    traffic.add(costs.storage, "scales", scales * often)


def _table_bytes(op: NpuOp) -> int:
    tables = [op.out.map.bits] * op.table + [link.bits for link in op.links if link.table]
    return sum(TABLE_BYTES.get(bits, 256) for bits in tables)


def _table_cycles(engine: Engine, op: NpuOp, costs: EthosUCosts) -> int:
    """Return the cycles of fetching the table of an activation that is an operation of its own."""
    if not op.table or op.type != ACTIVATION:
        return 0
    return int(TABLE_BYTES[op.out.map.bits] / channel_rate(engine, costs.storage, "copy")) + costs.storage.read_latency
