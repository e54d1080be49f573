"""An `.onnx` file, read with suspicion: every length, path, name and reference is checked before anything is used.

What leaves this module is plain: nodes in topological order that contribute to an output, constants as NumPy arrays with the
length their shape promises, inputs with fixed shapes. Source of the format: onnx.proto and IR.md of the ONNX project.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

from workbench.errors import ModelError
from workbench.graph.ir import Array, Node, topological
from workbench.loaders.onnx.tensor import MAX_FILE_BYTES, decode_tensor, load_external, printable, type_name

OPSETS = range(7, 29)
"""Operator set versions of the default domain that are read: 7 introduced NumPy broadcasting; 28 is the newest one checked."""

INPUT_TYPES = {
    onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.INT64: "int64", onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.BOOL: "bool", onnx.TensorProto.UINT8: "uint8",
}  # fmt: skip
"""Types of inputs: numbers, and plain integers (token ids, masks, bytes of pictures)."""

MAX_ELEMENTS = 2**28
"""Largest tensor, for one declared batch (1 GiB of float32)."""


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
    def label(self) -> str:
        """Operator type and node name (or position), safe to print."""
        return printable(f"{self.op} {self.name or f'#{self.index}'}")


@dataclass(frozen=True)
class OnnxModel:
    """A checked file. inputs: name -> (shape, batch first; type); batch: the declared number of samples (1 when symbolic)."""

    where: str
    name: str
    opset: int
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    inputs: Mapping[str, tuple[tuple[int, ...], str]]
    outputs: tuple[str, ...]
    batch: int


def read_onnx(path: Path) -> OnnxModel:
    """Return the checked content of a file; ModelError with one clear message for anything else."""
    where = str(path)
    proto = _parse(path, where)
    graph = proto.graph
    opset = _opset(proto, where)
    _check_names(graph, where)
    _refuse_unreadable(proto, where)
    load_external(graph, path, where)
    constants = {t.name: decode_tensor(t, f"{where}: tensor '{printable(t.name)}'") for t in graph.initializer}
    positions = _order(graph, constants, where)
    _run_checker(proto, where)
    inputs, batch = _inputs(graph, constants, where)
    nodes = tuple(_node(n, i, where) for n, i in zip(graph.node, positions, strict=True))
    return OnnxModel(
        where, printable(graph.name) or path.stem, opset, nodes, constants, inputs, tuple(o.name for o in graph.output), batch
    )


def _parse(path: Path, where: str) -> onnx.ModelProto:
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
    initializers = [t.name for t in graph.initializer]
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


def _refuse_unreadable(proto: onnx.ModelProto, where: str) -> None:
    if proto.functions:
        raise ModelError(
            f"{where}: has model-local functions ('{printable(proto.functions[0].name)}'), which are not read.\n"
            "Inline them first: onnx.inliner.inline_local_functions(model)."
        )
    if proto.graph.sparse_initializer:
        raise ModelError(f"{where}: has sparse initializers, which are not read. Export dense weights.")
    for index, node in enumerate(proto.graph.node):
        for attribute in node.attribute:
            if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
                raise ModelError(
                    f"{where}: node '{printable(node.name) or f'#{index}'}' ({printable(node.op_type)}) contains a subgraph "
                    "(If, Loop, Scan), which is not supported.\nExport the model with fixed control flow (trace it)."
                )


def _order(graph: onnx.GraphProto, constants: Mapping[str, Array], where: str) -> list[int]:
    """Sort the nodes (a cycle or a missing tensor is an error), drop those that no output needs; return their positions."""
    available = [*constants, *(i.name for i in graph.input)]
    proxies = [
        Node(printable(n.name) or f"{printable(n.op_type)} #{i}", n.op_type, tuple(n.input), tuple(o for o in n.output if o), i)
        for i, n in enumerate(graph.node)
    ]
    needed = {o.name for o in graph.output}
    live: list[int] = []
    for proxy in reversed(topological(proxies, available, where)):
        if not needed.isdisjoint(proxy.outputs):
            needed.update(proxy.inputs)
            live.append(proxy.attrs)
    live.reverse()
    kept = [onnx.NodeProto.FromString(graph.node[i].SerializeToString()) for i in live]
    del graph.node[:]
    graph.node.extend(kept)
    return live


def _run_checker(proto: onnx.ModelProto, where: str) -> None:
    custom = {n.domain for n in proto.graph.node} - {"", "ai.onnx"}
    for domain in custom - {o.domain for o in proto.opset_import}:
        raise ModelError(f"{where}: uses operators of domain '{printable(domain)}' but does not import it.")
    del proto.graph.value_info[:]  # declared shapes of inner tensors are not used: they are computed
    for output in proto.graph.output:
        output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        output.type.tensor_type.shape.SetInParent()  # many exporters leave it out, which the checker would refuse
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as problem:
        lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
        raise ModelError(f"{where}: is not valid ONNX: {printable(lines[0] if lines else 'unknown reason', 300)}") from None
    except (ValueError, RuntimeError, TypeError, UnicodeDecodeError) as problem:
        raise ModelError(f"{where}: is not valid ONNX: {printable(str(problem), 300)}") from None


def _inputs(
    graph: onnx.GraphProto, constants: Mapping[str, Array], where: str
) -> tuple[dict[str, tuple[tuple[int, ...], str]], int]:
    """Return shapes and types of the inputs and the batch; an initializer that is listed as an input is a constant."""
    shapes: dict[str, tuple[int, ...]] = {}
    types: dict[str, str] = {}
    symbolic: list[str] = []
    for info in graph.input:
        if info.name in constants:
            continue
        here = f"{where}: input '{printable(info.name)}'"
        if not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
            raise ModelError(f"{here}: is not a tensor with a known shape. Export the model with fixed shapes.")
        kind = info.type.tensor_type.elem_type
        if kind not in INPUT_TYPES:
            fits = ", ".join(INPUT_TYPES.values())
            raise ModelError(f"{here}: is {type_name(kind)}; expected {fits}. Export it in float32: formats are chosen here.")
        types[info.name] = INPUT_TYPES[kind]
        dims = info.type.tensor_type.shape.dim
        if not dims:
            raise ModelError(f"{here}: is a scalar; expected a batch of samples.")
        if not dims[0].HasField("dim_value") or dims[0].dim_value == -1:
            symbolic.append(info.name)
        for axis, dim in enumerate(dims[1:], 1):
            if not dim.HasField("dim_value") or dim.dim_value < 1:
                what = f"symbolic ('{printable(dim.dim_param)}')" if dim.dim_param else str(dim.dim_value)
                raise ModelError(
                    f"{here}: dimension {axis} is {what}; only the batch (dimension 0) may be open. "
                    "Fix it, for example with onnx.tools.update_model_dims."
                )
        first = 1 if info.name in symbolic else dims[0].dim_value
        shapes[info.name] = (first, *(d.dim_value for d in dims[1:]))
        if first < 1 or math.prod(shapes[info.name]) > MAX_ELEMENTS:
            raise ModelError(f"{here}: shape {list(shapes[info.name])[:8]} is empty, negative or too large.")
    if not shapes:
        raise ModelError(f"{where}: has no input.")
    fixed = {s[0] for name, s in shapes.items() if name not in symbolic}
    if len(fixed) > 1:
        raise ModelError(f"{where}: inputs have different first dimensions {sorted(fixed)}; expected one batch.")
    batch = max(fixed, default=1)
    return {name: ((batch, *shape[1:]), types[name]) for name, shape in shapes.items()}, batch


def _node(proto: onnx.NodeProto, index: int, where: str) -> OnnxNode:
    here = f"{where}: node '{printable(proto.name) or f'#{index}'}' ({printable(proto.op_type)})"
    attrs: dict[str, Any] = {}
    for attribute in proto.attribute:
        if attribute.name in attrs:
            raise ModelError(f"{here}: attribute '{printable(attribute.name)}' is given twice.")
        if attribute.type == onnx.AttributeProto.TENSOR:
            attrs[attribute.name] = decode_tensor(attribute.t, f"{here}: attribute '{printable(attribute.name)}'")
            continue
        value = onnx.helper.get_attribute_value(attribute)
        attrs[attribute.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    return OnnxNode(proto.op_type, domain, proto.name, index, tuple(proto.input), tuple(proto.output), attrs)
