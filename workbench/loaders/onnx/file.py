"""An `.onnx` file, read with suspicion: every length, path, name and reference is checked before anything is used.

What leaves this module is plain: nodes in topological order that contribute to an output, constants as NumPy arrays with the
length their shape promises, inputs with fixed shapes. Source of the format: onnx.proto and IR.md of the ONNX project.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

from workbench.errors import ModelError
from workbench.graph.ir import Array, Node, topological
from workbench.loaders.onnx.expand import branches, inline_functions
from workbench.loaders.onnx.inputs import Inputs, check_dims, read_inputs
from workbench.loaders.onnx.tensor import MAX_FILE_BYTES, decode_sparse, decode_tensor, load_external, printable

OPSETS = range(7, 29)
"""Operator set versions of the default domain that are read: 7 introduced NumPy broadcasting; 28 is the newest one checked."""

CONTRIB = "com.microsoft"
"""Domain of the operators that ONNX Runtime adds."""


@dataclass(frozen=True)
class OnnxNode:
    """One operator as the file states it. label: 'Conv /features/0/Conv', for messages; index: position in the file."""

    op: str
    domain: str
    name: str
    index: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Key of the table of translators: the operator's type, with its domain in front when that is not the standard one."""
        return f"{self.domain}.{self.op}" if self.domain else self.op

    @property
    def label(self) -> str:
        """Operator type and node name (or position), safe to print."""
        return printable(f"{self.op} {self.name or f'#{self.index}'}")


@dataclass(frozen=True)
class Body:
    """Nodes in topological order that contribute to an output, and constants: of a file, or of a branch of If."""

    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class OnnxModel:
    """A checked file. output_types: the element type that the file gives each output. size: in bytes, with external data."""

    where: str
    name: str
    opset: int
    body: Body
    inputs: Inputs
    output_types: tuple[int, ...]
    size: int


def read_onnx(path: Path, dims: Mapping[str, int] | None = None) -> OnnxModel:
    """Return the checked content of a file; ModelError with one clear message for anything else. dims: see `read_inputs`."""
    where = str(path)
    given = check_dims(dims)
    proto = parse(path, where)
    opset = _opset(proto, where)
    proto = inline_functions(proto, where)
    graph = proto.graph
    _check_names(graph, where)
    _refuse_unreadable(graph, where)
    size = path.stat().st_size + load_external(graph, path, where)
    constants = _constants(graph, where)
    positions = _order(graph, constants, where)
    output_types = tuple(o.type.tensor_type.elem_type for o in graph.output)
    _run_checker(proto, where)
    inputs = read_inputs(graph, constants, where, given)
    count = itertools.count(max(positions, default=0) + 1)
    nodes = tuple(_node(n, i, where, count) for n, i in zip(graph.node, positions, strict=True))
    body = Body(nodes, constants, tuple(o.name for o in graph.output))
    return OnnxModel(where, printable(graph.name) or path.stem, opset, body, inputs, output_types, size)


def parse(path: Path, where: str) -> onnx.ModelProto:
    """Return a file as it stands; ModelError when it is no ONNX model."""
    try:
        if not path.is_file():
            raise ModelError(f"{where}: is not a file. Give the path of an .onnx model.")
        size = path.stat().st_size
        if not 0 < size <= MAX_FILE_BYTES:
            raise ModelError(f"{where}: has {size} bytes; an .onnx file has 1 to {MAX_FILE_BYTES}.")
        data = path.read_bytes()
    except (OSError, ValueError) as problem:
        raise ModelError(f"{where}: cannot be read: {getattr(problem, 'strerror', None) or problem}.") from None
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except (DecodeError, RecursionError, ValueError, RuntimeError):
        raise ModelError(f"{where}: is not an ONNX model, or is truncated (protobuf error). Export it again.") from None
    if not _text_is_valid(proto):
        raise ModelError(f"{where}: is damaged: a name in it is not valid UTF-8. Export it again.")
    if not proto.HasField("graph") or not proto.opset_import or not proto.graph.output:
        raise ModelError(f"{where}: is not an ONNX model: it has no graph, no operator set or no output. Export it again.")
    return proto


def _text_is_valid(message: Message) -> bool:
    """False when a text field is not UTF-8: protobuf then hands out bytes instead of text."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            if not all(isinstance(v, str) for v in ([value] if isinstance(value, str | bytes) else value)):
                return False
        elif field.type == field.TYPE_MESSAGE and not all(
            _text_is_valid(v) for v in ([value] if isinstance(value, Message) else value)
        ):
            return False
    return True


def _opset(proto: onnx.ModelProto, where: str) -> int:
    versions = [o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise ModelError(f"{where}: states {len(versions)} versions of the standard operator set; expected one.")
    if versions[0] not in OPSETS:
        raise ModelError(
            f"{where}: operator set {versions[0]} is not supported; supported are {OPSETS.start} to {OPSETS.stop - 1}.\n"
            "Export again with another opset_version, or convert with onnx.version_converter."
        )
    return int(versions[0])


def _check_names(graph: onnx.GraphProto, where: str) -> None:
    initializers = [*(t.name for t in graph.initializer), *(t.values.name for t in graph.sparse_initializer)]
    made = [out for node in graph.node for out in node.output if out]
    inputs = [i.name for i in graph.input]
    for kind, names in (("initializer", initializers), ("node output", made), ("input", inputs)):
        _unique(names, f"{where}: {kind}")
    if "" in inputs or "" in initializers:
        raise ModelError(f"{where}: an input or initializer has no name.")
    both = {*made} & {*initializers, *inputs}
    if both:
        raise ModelError(f"{where}: tensor '{printable(min(both))}' is made by a node and is also an input or an initializer.")
    outputs = [o.name for o in graph.output]
    _unique(outputs, f"{where}: output")
    for name in outputs:
        if name not in {*made, *inputs, *initializers}:
            raise ModelError(f"{where}: output '{printable(name)}' is made by no node.")


def _unique(names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ModelError(f"{where} '{printable(name)}' is defined twice.")
        seen.add(name)


def _refuse_unreadable(graph: onnx.GraphProto, where: str) -> None:
    """Refuse control flow but If, whose condition may turn out to be a constant."""
    for index, node in enumerate(graph.node):
        if not any(True for _ in branches(node)):
            continue
        if node.op_type != "If" or node.domain not in ("", "ai.onnx"):
            raise ModelError(
                f"{where}: node '{printable(node.name) or f'#{index}'}' ({printable(node.op_type)}) contains a subgraph "
                "(Loop, Scan), which is not supported.\nExport the model with fixed control flow (trace it)."
            )
        for inner in branches(node):
            _check_names(inner, where)
            _refuse_unreadable(inner, where)


def _constants(graph: onnx.GraphProto, where: str) -> dict[str, Array]:
    found = {t.name: decode_tensor(t, f"{where}: tensor '{printable(t.name)}'") for t in graph.initializer}
    for sparse in graph.sparse_initializer:
        found[sparse.values.name] = decode_sparse(sparse, f"{where}: tensor '{printable(sparse.values.name)}'")
    return found


def _order(graph: onnx.GraphProto, available: Iterable[str], where: str) -> list[int]:
    """Sort the nodes (a cycle or a missing tensor is an error), drop those that no output needs; return their positions."""
    known = [*available, *(i.name for i in graph.input)]
    proxies = [
        Node(
            printable(n.name) or f"{printable(n.op_type)} #{i}", n.op_type, tuple(_reads(n)), tuple(o for o in n.output if o), i
        )
        for i, n in enumerate(graph.node)
    ]
    needed = {o.name for o in graph.output}
    live: list[int] = []
    for proxy in reversed(topological(proxies, known, where)):
        if not needed.isdisjoint(proxy.outputs):
            needed.update(proxy.inputs)
            live.append(proxy.attrs)
    live.reverse()
    kept = [onnx.NodeProto.FromString(graph.node[i].SerializeToString()) for i in live]
    del graph.node[:]
    graph.node.extend(kept)
    return live


def _reads(node: onnx.NodeProto) -> list[str]:
    """Return what a node reads: its inputs, and what its branches take from outside."""
    return [*node.input, *(name for inner in branches(node) for name in _free(inner))]


def _free(graph: onnx.GraphProto) -> list[str]:
    """Return the names that a branch reads and does not define."""
    defined = {*(t.name for t in graph.initializer), *(s.values.name for s in graph.sparse_initializer)}
    defined.update(out for node in graph.node for out in node.output)
    read = [name for node in graph.node for name in _reads(node)] + [o.name for o in graph.output]
    return [name for name in dict.fromkeys(read) if name and name not in defined]


def _run_checker(proto: onnx.ModelProto, where: str) -> None:
    _name_contributed(proto)
    custom = {n.domain for n in proto.graph.node} - {"", "ai.onnx"}
    for domain in custom - {o.domain for o in proto.opset_import}:
        raise ModelError(f"{where}: uses operators of domain '{printable(domain)}' but does not import it.")
    _forget_types(proto.graph)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as problem:
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        raise ModelError(f"{where}: is not valid ONNX: {printable(lines[0] if lines else 'unknown reason', 300)}") from None
    except (ValueError, RuntimeError, TypeError, UnicodeDecodeError) as problem:
        raise ModelError(f"{where}: is not valid ONNX: {printable(str(problem), 300)}") from None


def _name_contributed(proto: onnx.ModelProto) -> None:
    """Move operators that ONNX Runtime's optimizers write without a domain, and that the standard does not have, to theirs."""
    opset = _opset(proto, "")
    names = {"SimplifiedLayerNormalization", *(("LayerNormalization",) if opset < 17 else ())}
    found = [n for n in proto.graph.node if n.domain in ("", "ai.onnx") and n.op_type in names]
    for node in found:
        node.domain = CONTRIB
    if found and not any(o.domain == CONTRIB for o in proto.opset_import):
        proto.opset_import.append(onnx.helper.make_opsetid(CONTRIB, 1))


def _forget_types(graph: onnx.GraphProto) -> None:
    """Drop what the file says about the types of inner tensors and outputs: it is computed, and often left out or wrong."""
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        output.type.tensor_type.shape.SetInParent()  # many exporters leave it out, which the checker would refuse
    for node in graph.node:
        for inner in branches(node):
            _forget_types(inner)


def _node(proto: onnx.NodeProto, index: int, where: str, count: Iterator[int]) -> OnnxNode:
    """Return a node; count: gives the nodes of branches numbers of their own."""
    here = f"{where}: node '{printable(proto.name) or f'#{index}'}' ({printable(proto.op_type)})"
    attrs: dict[str, Any] = {}
    for attribute in proto.attribute:
        if attribute.name in attrs:
            raise ModelError(f"{here}: attribute '{printable(attribute.name)}' is given twice.")
        if attribute.type == onnx.AttributeProto.TENSOR:
            attrs[attribute.name] = decode_tensor(attribute.t, f"{here}: attribute '{printable(attribute.name)}'")
            continue
        if attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
            attrs[attribute.name] = decode_sparse(attribute.sparse_tensor, f"{here}: attribute '{printable(attribute.name)}'")
        elif attribute.type == onnx.AttributeProto.GRAPH:
            attrs[attribute.name] = _branch(attribute.g, where, count)
        else:
            attrs[attribute.name] = _text(onnx.helper.get_attribute_value(attribute))
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    return OnnxNode(proto.op_type, domain, proto.name, index, tuple(proto.input), tuple(proto.output), attrs)


def _text(value: Any) -> Any:
    """Return the value of an attribute with its texts decoded, lists of numbers as they are."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_text(v) for v in value] if isinstance(value, list) and value and isinstance(value[0], bytes) else value


def _branch(graph: onnx.GraphProto, where: str, count: Iterator[int]) -> Body:
    """Return a branch of If; what it reads from outside was checked with the graph around it."""
    constants = _constants(graph, where)
    _order(graph, [*constants, *_free(graph)], where)
    nodes = tuple(_node(n, next(count), where, count) for n in graph.node)
    return Body(nodes, constants, tuple(o.name for o in graph.output))
