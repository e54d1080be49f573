"""Which layers of a graph a target cannot run and why, what comes nearest, and which layers its host runs instead."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.cost.nearest import nearest_format
from workbench.errors import ProfileError, nearest
from workbench.graph.ir import Graph, Node
from workbench.hardware.profile import HardwareProfile
from workbench.ops import OPS
from workbench.placement import formats_of, place, place_in


@dataclass(frozen=True)
class Unsupported:
    """One node that neither the target nor its host runs.

    reason: in words. has: the formats that the target runs this operator in. nearest: the one of them that comes nearest and that
    runs this very node ('' when there is none, see `nearest_format`). hint: the way out.
    """

    node: str
    op: str
    format: str
    reason: str
    has: tuple[str, ...]
    nearest: str
    hint: str

    def __str__(self) -> str:
        return f"node '{self.node}': {self.op} in {self.format} is not supported: {self.reason}. {self.hint}"


@dataclass(frozen=True)
class OnHost:
    """One node that runs on the host processor, and why the target does not run it."""

    node: str
    op: str
    format: str
    host: str
    reason: str

    def __str__(self) -> str:
        return f"node '{self.node}': {self.op} in {self.format} runs on the host ({self.host}): {self.reason}."


def support(graph: Graph, profile: HardwareProfile) -> list[Unsupported]:
    """Return the nodes of a graph that neither the target nor its host runs, in network order (empty: all supported)."""
    found = []
    for node in graph.nodes:
        where = place(node, graph.tensors, profile)
        if where.runner is None:
            found.append(_unsupported(graph, node, profile, where.format, where.reason))
    return found


def on_host(graph: Graph, profile: HardwareProfile) -> list[OnHost]:
    """Return the nodes of a graph that fall back to the host of a target, in network order."""
    if profile.fallback is None:
        return []
    found = []
    for node in graph.nodes:
        where = place(node, graph.tensors, profile)
        if where.runner is not None and where.reason:
            found.append(OnHost(node.name, node.op, where.format, where.runner.name, where.reason))
    return found


def _unsupported(graph: Graph, node: Node, profile: HardwareProfile, fmt: str, reason: str) -> Unsupported:
    has = formats_of(node.op, profile)
    known = [f for f in has if f != fmt and place_in(node, graph.tensors, profile, f).runner is not None]
    close = nearest_format(fmt, known)
    if not has:
        hint = f"It has {', '.join(profile.operators)}. Replace the operator in the model, or add it to the profile."
    elif not close:
        hint = f"No other format helps ({', '.join(has)}): change the layer."
    else:
        hint = f"Nearest: {close}. Use that, or {'change the layer' if fmt in has else f'add {fmt} to the profile'}."
    return Unsupported(node.name, node.op, fmt, reason, has, close, hint)


def check_operators(profile: HardwareProfile, where: str = "") -> None:
    """Raise ProfileError when a profile names an operator that the workbench does not have."""
    for name in profile.operators:
        if name not in OPS:
            hint = nearest(name, OPS)
            raise ProfileError(
                f"{where or profile.name}: $.operators.{name} is not a known operator.{hint}\nKnown: {', '.join(OPS)}."
            )
