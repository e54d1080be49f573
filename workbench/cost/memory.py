"""Flash and RAM: weights at their width, parameters, and the peak of the live activations."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from workbench.cost.counts import LayerWork, constant_bytes, entropy_bits, sample_bytes
from workbench.execute import last_uses
from workbench.graph.ir import Graph, Node
from workbench.graph.node_format import weight_tensor
from workbench.hardware.costs import MemoryCosts
from workbench.hardware.profile import HardwareProfile
from workbench.precision import parse_format


def weight_bytes(graph: Graph, node: Node, work: LayerWork, profile: HardwareProfile, memory: MemoryCosts) -> int:
    """Return the flash bytes of the weights of one node, as this target stores them.

    Packed at their width; at 8 bits where the target widens them; entropy_factor x entropy where a compressor codes them.
    """
    weights = weight_tensor(graph, node)
    if weights is None:
        return 0
    if memory.weight_coding == "entropy":
        factor = memory.entropy_factor.value if memory.entropy_factor else 1.0
        return ceil(factor * entropy_bits(weights) * work.weights / 8)
    widened = work.weights if profile.emulation(work.op, work.format) == "widen" else 0
    return max(work.weight_bytes, widened)


def parameter_bytes(graph: Graph, node: Node, work: LayerWork, memory: MemoryCosts) -> int:
    """Return the other flash bytes of one node: bias, scales or multipliers, other constants, descriptors."""
    weights = weight_tensor(graph, node)
    constants = {n for n in node.inputs if n and graph.tensors[n].is_constant}
    others = sum(constant_bytes(graph.tensors[n]) for n in constants if weights is None or n != weights.name)
    return others + ceil(work.channels * memory.channel_flash_bytes.value + memory.layer_flash_bytes.value)


def scratch_bytes(work: LayerWork, profile: HardwareProfile, memory: MemoryCosts) -> int:
    """Return the working memory of one layer: im2col columns, and weights where a custom kernel unpacks or decodes them."""
    scratch = 0
    if memory.scratch == "im2col_int16" and work.op == "conv2d" and work.window > 1:
        scratch = 2 * 2 * work.window * work.in_channels  # two columns, two bytes an element
    how = profile.emulation(work.op, work.format)
    if how == "unpack":
        scratch += work.weights
    if how == "decode":
        scratch += work.weights * parse_format(work.format).activation_bits // 8
    return scratch


def buffers(graph: Graph, memory: MemoryCosts) -> dict[str, str]:
    """Return activation -> the activation whose buffer holds it (a reshape in place shares that of its input)."""
    owner = {name: name for name in graph.sources}
    read = {state.write: state.read for state in graph.states}
    for node in graph.nodes:
        for out in node.outputs:
            source = node.inputs[0] if node.op == "reshape" and not memory.reshape_copies else ""
            if out != node.outputs[0] and out in read and read[out] in node.inputs:
                source = read[out]  # an operator that keeps its state changes it in place
            owner[out] = owner.get(source, out) if source else out
    return owner


def live_bytes(graph: Graph, works: Sequence[LayerWork], profile: HardwareProfile, memory: MemoryCosts) -> list[int]:
    """Return the RAM bytes live while each node runs: activations still needed, inputs, outputs, scratch.

    A lower bound of what an allocator needs (no fragmentation); no operator overwrites its input.
    """
    owner = buffers(graph, memory)
    first: dict[str, int] = {owner[name]: 0 for name in graph.sources}
    last: dict[str, int] = {}
    for i, node in enumerate(graph.nodes):
        for name in node.outputs:
            first.setdefault(owner[name], i)
    for name, end in last_uses(graph).items():
        last[owner[name]] = max(last.get(owner[name], 0), end)
    last.update({owner[state.read]: len(graph.nodes) for state in graph.states})  # held from inference to inference
    ends = {*graph.inputs, *graph.outputs}  # exchanged with the caller as plain channels-last arrays
    size = {name: sample_bytes(graph.tensors[name], 1 if name in ends else memory.channel_block) for name in first}
    return [
        sum(size[name] for name, start in first.items() if start <= i <= last.get(name, start))
        + scratch_bytes(work, profile, memory)
        for i, work in enumerate(works)
    ]


def persistent_bytes(works: Sequence[LayerWork], memory: MemoryCosts) -> int:
    """Return the RAM bytes held during the whole inference: per-channel multipliers, per-layer records."""
    channels = sum(work.channels for work in works)
    return ceil(channels * memory.channel_ram_bytes.value + len(works) * memory.layer_ram_bytes.value)
