"""RAM: what is live while each layer runs, the arena that a runtime lays it out in, and what the runtime keeps all along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, prod

from workbench.cost.arena import Arena, peak, plan
from workbench.cost.counts import LayerWork, layer_work, sample_bytes
from workbench.cost.interval import Interval
from workbench.cost.lifetimes import Buffer, activation_buffers
from workbench.cost.scratch import scratch_bytes as kernel_bytes
from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware.costs import Banks, MemoryCosts
from workbench.hardware.profile import HardwareProfile
from workbench.precision import parse_format

OPERANDS = 3
"""Of an elementwise operator: two inputs and the output."""
PER_CHANNEL = frozenset({"conv2d", "depthwise_conv2d", "transpose_conv2d"})
"""Operators that have a multiplier for each channel whatever their scales are (also TFLite Micro's float kernels)."""


def scratch_bytes(graph: Graph, node: Node, work: LayerWork, profile: HardwareProfile, memory: MemoryCosts) -> int:
    """Return the working memory of one layer: its kernel's own, and weights where a custom kernel unpacks or decodes them."""
    scratch = kernel_bytes(graph, node, work, memory.scratch)
    how = profile.emulation(work.op, work.format)
    if how == "unpack":
        scratch += work.weights
    if how == "decode":
        scratch += work.weights * parse_format(work.format).activation_bits // 8
    return scratch


def arena_buffers(graph: Graph, works: Sequence[LayerWork], profile: HardwareProfile, memory: MemoryCosts) -> list[Buffer]:
    """Return the buffers that a target's runtime needs for a graph: activations, then the scratch of its layers.

    Activations are those of one sample; of all that run together where the graph mixes samples (`Graph.fixed_batch`).
    """
    ends = {*graph.inputs, *graph.outputs}  # exchanged with the caller as plain channels-last arrays

    def room(tensor: Tensor) -> int:
        together = 1 if graph.fixed_batch is None else prod(tensor.shape[:1])
        return together * sample_bytes(tensor, 1 if tensor.name in ends else memory.channel_block)

    found = activation_buffers(
        graph,
        room,
        frozenset() if memory.reshape_copies else frozenset({"reshape"}),
        frozenset(memory.in_place),
    )
    for i, (node, work) in enumerate(zip(graph.nodes, works, strict=True)):
        size = scratch_bytes(graph, node, work, profile, memory)
        if size:
            found.append(Buffer(node.name, size, i, i, "scratch"))
    if memory.banks is not None:
        found += _beside(graph, room, memory.banks)
    return found


def _beside(graph: Graph, room: Callable[[Tensor], int], banks: Banks) -> list[Buffer]:
    """Return the room of an elementwise operator's operands that a bank does not hold: it is not used again for anything else.

    So it is in the networks of `stm32n6_npu_w4w8.csv` whose elementwise operators work on much (EfficientNetV2, ResNet50v2): they need
    that much more than a chain of the same activations, within 19 %. No document tells the rule.
    """
    outputs = [graph.tensors[node.outputs[0]] for node in graph.nodes if _joins(graph, node)]
    most = OPERANDS * max(map(room, outputs), default=0)
    if most <= banks.size_bytes:
        return []
    return [Buffer("operands of elementwise operators", most, 0, len(graph.nodes) - 1, "scratch")]


def _joins(graph: Graph, node: Node) -> bool:
    """Return whether a node makes one tensor of several of its shape."""
    shape = graph.tensors[node.outputs[0]].shape
    return sum(graph.tensors[name].shape == shape for name in node.inputs if name in graph.tensors) > 1


def persistent_bytes(works: Sequence[LayerWork], memory: MemoryCosts) -> int:
    """Return the RAM bytes held during the whole inference: per-channel multipliers, per-layer records."""
    return ceil(records_bytes(works, memory))


def records_bytes(works: Sequence[LayerWork], memory: MemoryCosts) -> float:
    """Return the same before it is rounded up: a sum over layers."""
    channels = sum(max(work.channels, work.out_channels if work.op in PER_CHANNEL else 0) for work in works)
    return channels * memory.channel_ram_bytes.value + len(works) * memory.layer_ram_bytes.value


def plan_arena(
    graph: Graph, profile: HardwareProfile, works: Sequence[LayerWork] | None = None, buffers: Sequence[Buffer] | None = None
) -> Arena:
    """Return where a target's runtime puts the activations and the scratch of a graph: see `arena_buffers`.

    The profile must have costs. works, buffers: counts of the nodes and `arena_buffers`, made here unless given. The persistent bytes
    are the runtime's records, behind the planned block.
    """
    assert profile.costs is not None
    memory = profile.costs.memory
    works = [layer_work(graph, node) for node in graph.nodes] if works is None else works
    buffers = arena_buffers(graph, works, profile, memory) if buffers is None else buffers
    return plan(buffers, memory.planner, memory.alignment, persistent_bytes(works, memory), memory.banks)


def ram_peak(buffers: Sequence[Buffer], works: Sequence[LayerWork], memory: MemoryCosts) -> Interval:
    """Return the RAM that the runtime reports: of its arena (`plan_arena`) and its records, with its 80 % interval.

    There is no interval where nothing is fitted.
    """
    arena, records = peak(buffers, memory.planner, memory.alignment, memory.banks), persistent_bytes(works, memory)
    factor = memory.arena_factor
    if factor is None:
        return Interval(arena + records, 0.0)
    total = arena * factor.value + records
    return Interval(total, arena * factor.value * factor.uncertainty / total if total else 0.0)
