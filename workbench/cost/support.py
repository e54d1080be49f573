"""Which layers of a graph a target cannot run and why, what comes nearest, and which layers its host runs instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from workbench.cost.nearest import nearest_format
from workbench.errors import ProfileError, UnsupportedError, nearest
from workbench.execute import prepare_step
from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.graph.node_format import weight_tensor
from workbench.hardware.profile import HardwareProfile, Scheme
from workbench.ops import OPS
from workbench.placement import Place, formats_of, place, place_in
from workbench.tensor import RANGES


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
    return list(unsupported(graph, profile))


def unsupported(graph: Graph, profile: HardwareProfile, places: Iterable[Place] | None = None) -> Iterator[Unsupported]:
    """Yield the nodes of a graph that neither the target nor its host runs, in network order. places: of its nodes, where known."""
    found = (place(node, graph.tensors, profile) for node in graph.nodes) if places is None else places
    for node, where in zip(graph.nodes, found, strict=True):
        if where.runner is None:
            yield _unsupported(graph, node, profile, where.format, where.reason)
        elif where.runner is profile and (reason := foreign_number(graph, node, profile)):
            yield Unsupported(node.name, node.op, where.format, reason, formats_of(node.op, profile), "", OWN_NUMBERS)


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
    elif weight_tensor(graph, node) is None:
        hint = f"Nearest: {close}. {_way_to(close)}"
    else:
        hint = f"Nearest: {close}. Use that, or {'change the layer' if fmt in has else f'add {fmt} to the profile'}."
    return Unsupported(node.name, node.op, fmt, reason, has, close, hint)


def _way_to(fmt: str) -> str:
    """Return how an operator without weights, whose type follows the layers before it, comes to a format."""
    if fmt == "fp32":
        return "Give a plan (--plan FORMAT): the operator then computes in float32 between conversions; or change the layer."
    return f"Its type follows the layers before it: put those in a format with {fmt} activations, or change the layer."


OWN_NUMBERS = "Give the float model: its numbers are then chosen as this target holds them."


def foreign_number(graph: Graph, node: Node, profile: HardwareProfile) -> str:
    """Return the first number of a node that the scheme of a target does not hold, in words, or '' (also where it holds any).

    Conversions are the application's, between whatever numbers stand on their sides.
    """
    scheme = profile.quantization
    if not scheme.only or node.op in ("quantize", "dequantize"):
        return ""
    spec = OPS[node.op].weights
    bias = node.inputs[spec.bias] if spec is not None and spec.bias < len(node.inputs) else ""
    for name in (n for n in (*node.inputs, *node.outputs) if n and n != bias):
        tensor = graph.tensors[name]
        if tensor.quant is not None and tensor.dtype in RANGES:
            found = _foreign_scale(tensor, scheme)
            if found:
                return f"{found}, and '{profile.name}' holds {_HELD[scheme.activations]}{_POWERS[scheme.scales]} only"
    data = graph.tensors[bias].data if bias else None
    return "" if data is None or data.dtype.kind != "i" else _foreign_bias(bias, data, scheme)


_HELD = {"asymmetric": "any zero point", "symmetric": "zero point 0", "unsigned": "zero points 0 and the lowest integer"}
_POWERS = {"float32": "", "power_of_two": " and scales that are powers of two"}


def _foreign_scale(tensor: Tensor, scheme: Scheme) -> str:
    assert tensor.quant is not None
    lowest = RANGES[tensor.dtype][0] if scheme.activations == "unsigned" and not tensor.is_constant else 0
    held = {0, lowest}
    zero_points = {int(z) for z in tensor.quant.zero_point}
    if scheme.activations != "asymmetric" and not zero_points <= held:
        return f"the zero point of '{tensor.name}' is {max(zero_points - held, key=abs)}"
    scales = tensor.quant.scale
    if scheme.scales == "power_of_two" and (np.frexp(scales)[0] != 0.5).any():
        return f"the scale of '{tensor.name}' is {float(scales[np.frexp(scales)[0] != 0.5][0]):.6g}"
    return ""


def _foreign_bias(name: str, data: Array, scheme: Scheme) -> str:
    unit, most = 1 << scheme.bias_shift, 1 << (scheme.bias_bits - 1)
    wide = data.astype(np.int64)
    wrong = wide[(wide % unit != 0) | (wide // unit < -most) | (wide // unit >= most)]
    if not wrong.size:
        return ""
    units = f" in units of {unit}" if unit > 1 else ""
    return f"the bias '{name}' has {int(wrong.flat[0]):,}; biases have {scheme.bias_bits} bits{units}"


def unprepared(graph: Graph, profile: HardwareProfile) -> list[str]:
    """Return why the target has no bit-exact rule for nodes that it otherwise supports (a shift that its shifter lacks, ...)."""
    found = []
    for node in graph.nodes:
        try:
            prepare_step(node, graph.tensors, profile)
        except UnsupportedError as problem:
            found.append(str(problem))
    return found


def check_operators(profile: HardwareProfile, where: str = "") -> None:
    """Raise ProfileError when a profile names an operator that the workbench does not have."""
    for name in profile.operators:
        if name not in OPS:
            hint = nearest(name, OPS)
            raise ProfileError(
                f"{where or profile.name}: $.operators.{name} is not a known operator.{hint}\nKnown: {', '.join(OPS)}."
            )
