"""What of a target decides about the graphs of plans: targets that agree in it get the same ones."""

from __future__ import annotations

from workbench.graph.ir import Graph
from workbench.graph.node_format import weight_tensor
from workbench.hardware import HardwareProfile
from workbench.ops import OPS
from workbench.placement import computed_in, host_of
from workbench.precision import TYPE_BITS


def rewriting_rules(graph: Graph, profile: HardwareProfile) -> tuple[object, ...]:
    """Return all of a target that decides what the quantized graphs of plans look like (see `quantize.rewrite`).

    Its scales; and, of the operators that compute in the type of their neighbours or whose outputs have a fixed scale, in which type
    they do, and where they have constraints, all of their entries on the target and its host.
    """
    ops = sorted({
        node.op for node in graph.nodes
        if OPS[node.op].fixed_quant or weight_tensor(graph, node) is None
    })  # fmt: skip
    host = host_of(profile)
    types = tuple((op, tuple(computed_in(op, profile, dtype) for dtype in TYPE_BITS)) for op in ops)
    constrained = [op for op in ops if op in profile.operators and profile.operators[op].constraints]
    entries = tuple(
        (op, p.operators[op].model_dump_json() if op in p.operators else "")
        for op in constrained for p in (profile, host) if p is not None
    )  # fmt: skip
    taken = profile.fallback.formats if entries and profile.fallback is not None else ()
    return profile.quantization.model_dump_json(), types, entries, tuple(taken)
