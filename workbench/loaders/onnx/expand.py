"""What a file may leave to its reader: functions of its own, which are put in place of their calls.

Sizes are counted before anything is expanded: a few functions that call each other twice make millions of nodes.
Source: IR.md of the ONNX project, "Functions".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx
import onnx.inliner

from workbench.errors import ModelError
from workbench.loaders.onnx.tensor import printable

MAX_NODES = 100_000
"""Most nodes of a graph once its functions are in place."""

Key = tuple[str, str, str]


def inline_functions(proto: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Return the model with every call of a function of its own replaced by the function's nodes."""
    if not proto.functions:
        return proto
    functions = {(f.domain, f.name, f.overload): f for f in proto.functions}
    if len(functions) < len(proto.functions):
        raise ModelError(f"{where}: defines a function twice. Export the model again.")
    total = _count(proto.graph.node, functions, {}, where)
    if total > MAX_NODES:
        raise ModelError(f"{where}: its functions expand to {total} nodes; at most {MAX_NODES} are read.")
    try:
        made = onnx.inliner.inline_local_functions(proto, convert_version=True)
    except Exception as problem:  # the native inliner raises errors of its own, of the parser and of the standard library
        text = next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
        raise ModelError(f"{where}: its functions cannot be put in place: {printable(text, 300)}.") from None
    if made.functions:
        raise ModelError(
            f"{where}: function '{printable(made.functions[0].name)}' cannot be put in place: it is written for another operator set."
        )
    return made


def _count(
    nodes: Iterable[onnx.NodeProto], functions: Mapping[Key, onnx.FunctionProto], known: dict[Key, int], where: str
) -> int:
    """Return the number of nodes after expansion, over MAX_NODES when there are more; ModelError for a function that calls itself."""
    total = 0
    for node in nodes:
        key = (node.domain, node.op_type, node.overload)
        if key in functions:
            if known.get(key) == -1 or len(known) > MAX_NODES:
                raise ModelError(f"{where}: function '{printable(node.op_type)}' calls itself. Export the model without it.")
            if key not in known:
                known[key] = -1  # being counted
                known[key] = _count(functions[key].node, functions, known, where)
            total += known[key]
        total += 1 + sum(_count(inner.node, functions, known, where) for inner in branches(node))
        total = min(total, 2**62)
    return total


def branches(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that a node carries (the branches of If)."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
