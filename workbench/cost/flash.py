"""Flash: weights at their width, parameters, lookup tables, and the code of the kernels that a network pulls in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, hypot
from weakref import WeakKeyDictionary

from workbench.cost.counts import LayerWork, constant_bytes, layer_work
from workbench.cost.interval import Interval
from workbench.graph.ir import Graph, Node
from workbench.graph.node_format import weight_tensor
from workbench.hardware.costs import Constant, MemoryCosts
from workbench.hardware.profile import HardwareProfile
from workbench.placement import place

BYTE_TABLES = frozenset(
    {"elu", "exp", "gelu", "log", "logistic", "tanh", "softplus", "softsign", "mish", "selu", "celu", "erf"}
)
"""Operators of bytes that runtimes compute by a table of 256 entries, one for each pair of scales."""
INT16_TABLES = {"softmax": 2 * 513 * 2, "logistic": 256 * 2, "tanh": 256 * 2, "lstm": 256 * 2, "exp": 513 * 2, "log": 513 * 2}
"""Operator -> bytes of the tables of its int16 kernel, shared by all its layers (TFLite: exp and 1 / (1 + x) of 513 int16 each for
softmax; `sigmoid_table_uint16` of 256 for logistic, tanh and the gates of an LSTM)."""


@dataclass(frozen=True)
class FlashParts:
    """What a network takes in flash, in bytes, each part with its 80 % interval. code: of the runtime and its kernels."""

    weights: Interval
    parameters: Interval
    tables: Interval
    code: Interval

    @property
    def runtime(self) -> Interval:
        """Code and tables: what is not stored per layer."""
        value = self.code.value + self.tables.value
        return Interval(value, self.code.value * self.code.relative / value if value else 0.0)

    @property
    def total(self) -> Interval:
        """All of them; their errors are independent."""
        parts = (self.weights, self.parameters, self.tables, self.code)
        value = sum(p.value for p in parts)
        half = hypot(*(p.value * p.relative for p in parts))
        return Interval(value, half / value if value else 0.0)


def weight_bytes(graph: Graph, node: Node, work: LayerWork, profile: HardwareProfile, memory: MemoryCosts) -> int:
    """Return the flash bytes of the weights of one node, as this target stores them.

    Packed at their width; at 8 bits where the target widens them.
    """
    if not _constants(graph, node)[0]:
        return 0
    widened = work.weights if profile.emulation(work.op, work.format) == "widen" else 0
    return max(work.weight_bytes, widened)


def parameter_bytes(graph: Graph, node: Node, work: LayerWork, memory: MemoryCosts) -> int:
    """Return the other flash bytes of one node: bias, scales or multipliers, other constants, descriptors."""
    weights, constants = _constants(graph, node)
    others = sum(size for name, size in constants.items() if name != weights)
    return others + ceil(work.channels * memory.channel_flash_bytes.value + memory.layer_flash_bytes.value)


_CONSTANTS: WeakKeyDictionary[Graph, dict[str, tuple[str, dict[str, int]]]] = WeakKeyDictionary()
"""Graph -> what `_constants` found of its nodes: the estimates of all targets ask for it."""


def _constants(graph: Graph, node: Node) -> tuple[str, dict[str, int]]:
    """Return the name of a node's weights ('' = none), and the bytes of each of its constants by name."""
    known = _CONSTANTS.setdefault(graph, {})
    if node.name not in known:
        weights = weight_tensor(graph, node)
        sizes = {n: constant_bytes(graph.tensors[n]) for n in node.inputs if n and graph.tensors[n].is_constant}
        known[node.name] = "" if weights is None else weights.name, sizes
    return known[node.name]


def flash_parts(
    graph: Graph,
    profile: HardwareProfile,
    works: Sequence[LayerWork] | None = None,
    runners: Sequence[HardwareProfile | None] | None = None,
    stored: Sequence[tuple[int, int]] | None = None,
) -> FlashParts:
    """Return the flash of a graph on a target, without layers that a host with a flash of its own runs. The profile must have costs.

    works, runners, stored: counts of the nodes, who runs them, and bytes of their weights and parameters, found here unless given.
    Layers that nothing runs count as the target's. A constant that several layers share is there once.
    """
    assert profile.costs is not None
    memory = profile.costs.memory
    works = [layer_work(graph, node) for node in graph.nodes] if works is None else works
    runners = [place(node, graph.tensors, profile).runner for node in graph.nodes] if runners is None else runners
    if stored is None:
        stored = [stored_bytes(graph, *each, profile) for each in zip(graph.nodes, works, runners, strict=True)]
    apart = profile.fallback is not None and profile.fallback.flash_bytes is not None
    here = [i for i, runner in enumerate(runners) if not apart or runner in (profile, None)]
    nodes = [graph.nodes[i] for i in here]
    weights, parameters = stored_once(graph, nodes, [stored[i] for i in here])
    per_channel, per_layer = memory.channel_flash_bytes, memory.layer_flash_bytes
    described = [i for i in here if any(stored[i])]
    channels = sum(works[i].channels for i in described)
    half = hypot(
        channels * per_channel.value * per_channel.uncertainty, len(described) * per_layer.value * per_layer.uncertainty
    )
    return FlashParts(
        Interval(weights, 0.0),
        Interval(parameters, half / parameters if parameters else 0.0),
        Interval(table_bytes(graph, nodes), 0.0),
        code_bytes(memory, {node.op for node in nodes}),
    )


def stored_bytes(
    graph: Graph, node: Node, work: LayerWork, runner: HardwareProfile | None, profile: HardwareProfile
) -> tuple[int, int]:
    """Return the bytes of the weights and of the parameters of a layer, as the target that runs it stores them."""
    where = runner or profile
    memory = next(p.costs.memory for p in (where, profile) if p.costs is not None)
    return weight_bytes(graph, node, work, where, memory), parameter_bytes(graph, node, work, memory)


def stored_once(graph: Graph, nodes: Sequence[Node], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the bytes of the weights and of the parameters of layers that lie in one memory, each constant once.

    sizes: of every layer by itself. Layers of size (0, 0) keep nothing here.
    """
    seen: set[str] = set()
    weights = parameters = 0
    for node, (own, others) in zip(nodes, sizes, strict=True):
        if not own and not others:
            continue
        name, constants = _constants(graph, node)
        weights += 0 if name in seen else own
        parameters += others - sum(size for n, size in constants.items() if n in seen and n != name)
        seen.update(constants)
    return weights, parameters


def code_bytes(memory: MemoryCosts, operators: set[str]) -> Interval:
    """Return the flash bytes of a runtime with the kernels of some operators; its constants are wrong together."""
    kernels = [memory.kernel_flash_bytes.get(op, memory.kernel_flash_bytes.get("any")) for op in sorted(operators)]
    constants: list[Constant] = [memory.runtime_flash_bytes, *(k for k in kernels if k is not None)]
    value = sum(c.value for c in constants)
    return Interval(value, sum(c.value * c.uncertainty for c in constants) / value if value else 0.0)


def table_bytes(graph: Graph, nodes: list[Node]) -> int:
    """Return the bytes of lookup tables: one per layer for bytes, one per operator for int16."""
    own, shared = 0, dict[str, int]()
    for node in nodes:
        alone, together = tables_of(node.op, graph.tensors[node.outputs[0]].dtype)
        own += alone
        shared |= together
    return own + sum(shared.values())


def tables_of(op: str, dtype: str) -> tuple[int, dict[str, int]]:
    """Return the bytes of a layer's own lookup tables, and of those that it shares, by name. dtype: of its output."""
    own = 256 if dtype in ("int8", "uint8") and op in BYTE_TABLES else 0
    if dtype == "int16" and op in INT16_TABLES:
        return own, {"logistic" if op in ("tanh", "lstm") else op: INT16_TABLES[op]}
    return own, {}
