"""Which layers of a graph a target cannot run, and what it has instead."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import ProfileError, nearest
from workbench.graph.ir import Graph
from workbench.graph.node_format import node_format, weight_tensor
from workbench.hardware.profile import HardwareProfile
from workbench.numerics.codings import SPARSE, two_of_four
from workbench.ops import OPS


@dataclass(frozen=True)
class Unsupported:
    """One node that the target does not run. has: the formats that it runs this operator in. hint: the way out."""

    node: str
    op: str
    format: str
    has: tuple[str, ...]
    hint: str

    def __str__(self) -> str:
        has = ", ".join(self.has) or "none"
        return f"node '{self.node}': {self.op} in {self.format} is not supported (has {has}). {self.hint}"


def support(graph: Graph, profile: HardwareProfile) -> list[Unsupported]:
    """Return the nodes of a graph that the profile does not support, in network order (empty: all supported)."""
    found = []
    for node in graph.nodes:
        fmt = node_format(graph, node)
        has = profile.formats(node.op)
        if profile.supports(node.op, fmt):
            weights = weight_tensor(graph, node)
            if weights is not None and weights.coding == SPARSE and not two_of_four(weights.data):
                found.append(
                    Unsupported(node.name, node.op, fmt, has, "Its weights are not pruned to 2:4: prune them, or use another.")
                )
            continue
        if has:
            hint = f"Use one of these in the plan, or add {fmt} to $.operators.{node.op}.formats of the profile."
        else:
            hint = f"'{profile.name}' has no {node.op}: replace it in the model, or add it to $.operators of the profile."
        found.append(Unsupported(node.name, node.op, fmt, has, hint))
    return found


def check_operators(profile: HardwareProfile, where: str = "") -> None:
    """Raise ProfileError when a profile names an operator that the workbench does not have."""
    for name in profile.operators:
        if name not in OPS:
            hint = nearest(name, OPS)
            raise ProfileError(
                f"{where or profile.name}: $.operators.{name} is not a known operator.{hint}\nKnown: {', '.join(OPS)}."
            )
