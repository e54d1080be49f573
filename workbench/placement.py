"""Where a layer runs: on the target, on its host processor when it does not meet the target's constraints, or nowhere; and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from workbench.errors import InputError, ProfileError
from workbench.graph.ir import Node, Tensor
from workbench.graph.node_format import format_of, weights_of
from workbench.graph.quantities import QUANTITIES, Layer
from workbench.hardware.constraints import Constraint, Quantity
from workbench.hardware.profile import HardwareProfile, load_profile
from workbench.numerics.codings import SPARSE, two_of_four
from workbench.precision import PLAIN, format_name, parse_format


@dataclass(frozen=True)
class Place:
    """Where one node runs. runner: the profile whose arithmetic and costs count, None when nothing runs it.

    format: of the node. reason: why the target itself does not run it ('' when it does).
    """

    runner: HardwareProfile | None
    format: str
    reason: str = ""


def host_of(profile: HardwareProfile) -> HardwareProfile | None:
    """Return the profile of the host processor of a target, or None."""
    return None if profile.fallback is None else _load(profile.fallback.profile)


@lru_cache(maxsize=32)
def _load(name: str) -> HardwareProfile:
    return load_profile(name)


def place(node: Node, tensors: Mapping[str, Tensor], profile: HardwareProfile) -> Place:
    """Return where a node runs. tensors: by name, those of the node."""
    return place_in(node, tensors, profile, format_of(node, tensors))


def place_in(node: Node, tensors: Mapping[str, Tensor], profile: HardwareProfile, fmt: str) -> Place:
    """Return where a node would run in a format, whatever its own is."""
    reason = refusal(node, tensors, profile, fmt)
    if not reason:
        return Place(profile, fmt)
    host = host_of(profile)
    if (
        host is not None
        and profile.fallback is not None
        and fmt in profile.fallback.formats
        and not refusal(node, tensors, host, fmt)
    ):
        return Place(host, fmt, reason)
    return Place(None, fmt, reason)


def formats_of(op: str, profile: HardwareProfile) -> tuple[str, ...]:
    """Return the formats in which a target or its host has an operator, the target's own first."""
    host = host_of(profile)
    taken = () if host is None or profile.fallback is None else profile.fallback.formats
    return (
        *profile.formats(op),
        *(f for f in taken if host is not None and host.supports(op, f) and not profile.supports(op, f)),
    )


def computed_in(op: str, profile: HardwareProfile, dtype: str) -> str:
    """Return the type in which an operator without weights computes where its neighbours are `dtype`.

    float32, by conversions before and after it, when the target (or its host) has the operator so and not in `dtype`: softmax in
    a library that writes floats, or in the application. A cast turns numbers into numbers and reads integers as they are stored: it
    always gets floats.
    """
    has = formats_of(op, profile)
    if not dtype.startswith("int" if op != "cast" else ("int", "float8")) or "fp32" not in has:
        return dtype
    return "float32" if op == "cast" or format_name(None, dtype) not in has else dtype


def only_in_float(node: Node, tensors: Mapping[str, Tensor], profile: HardwareProfile) -> bool:
    """Return whether a node of integers breaks the target's constraints, also its host's, and the same node in float32 does not."""
    fmt = format_of(node, tensors)
    broken = bool(refusal(node, tensors, profile, fmt)) and place_in(node, tensors, profile, fmt).runner is None
    return broken and place_in(node, tensors, profile, "fp32").runner is not None


def runner(node: Node, tensors: Mapping[str, Tensor], profile: HardwareProfile) -> HardwareProfile:
    """Return the profile whose arithmetic counts for a node: the target's own unless its host takes the node."""
    return profile if profile.fallback is None else place(node, tensors, profile).runner or profile


def refusal(node: Node, tensors: Mapping[str, Tensor], profile: HardwareProfile, fmt: str) -> str:
    """Return why a target does not run a node in a format, in words, or ''."""
    entry = profile.operators.get(node.op)
    if entry is None:
        return f"'{profile.name}' has no {node.op}"
    if fmt == PLAIN:
        return ""
    if not profile.supports(node.op, fmt):
        return f"'{profile.name}' has it in {', '.join(profile.formats(node.op))}"
    weights = weights_of(node, tensors)
    if fmt.endswith(SPARSE) and (weights is None or not two_of_four(weights.data)):
        return "its weights are not pruned to it (more than two of four neighbours along the input channels differ from 0)"
    layer = Layer(node, tensors)
    for constraint in entry.constraints:
        if _counts(constraint, fmt):
            broken = constraint.violation(lambda name: _value(layer, name, profile))
            if broken:
                return broken + (f" ({constraint.source})" if constraint.source else "")
    return ""


def _counts(constraint: Constraint, fmt: str) -> bool:
    """Return whether a constraint is for a format: one of its own, or of the type of activations that it names."""
    if not constraint.formats or fmt in constraint.formats:
        return True
    try:
        return format_name(None, parse_format(fmt).activation) in constraint.formats
    except InputError:  # an operator without weights, whose formats are types of activations
        return False


def _value(layer: Layer, name: str, profile: HardwareProfile) -> Quantity:
    try:
        return QUANTITIES[name](layer)
    except KeyError as missing:
        raise ProfileError(
            f"profile '{profile.name}': $.operators.{layer.node.op}.constraints: {layer.node.op} has no '{name}' "
            f"(node '{layer.node.name}' has no {missing.args[0]}). Limit something that it has."
        ) from None
