"""An `.onnx` file, read with suspicion: every length, path, name and reference is checked before anything is used.

What leaves this module is plain: nodes in topological order that contribute to an output, constants as NumPy arrays with the
length their shape promises, inputs with fixed shapes. Source of the format: onnx.proto and IR.md of the ONNX project.
"""

from __future__ import annotations

import math
import os
import stat
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from workbench.errors import ModelError
from workbench.graph.ir import Array, Node, topological

OPSETS = range(7, 29)
"""Operator set versions of the default domain that are read: 7 introduced NumPy broadcasting; 28 is the newest one checked."""

MAX_FILE_BYTES = 2**31 - 1
"""Limit of a protobuf message; larger models keep their weights in external files."""

MAX_ELEMENTS = 2**28
"""Largest tensor, for one declared batch (1 GiB of float32)."""

_TYPED_FIELDS: dict[int, tuple[str, str]] = {
    onnx.TensorProto.FLOAT: ("<f4", "float_data"), onnx.TensorProto.DOUBLE: ("<f8", "double_data"),
    onnx.TensorProto.INT8: ("<i1", "int32_data"), onnx.TensorProto.UINT8: ("<u1", "int32_data"),
    onnx.TensorProto.INT16: ("<i2", "int32_data"), onnx.TensorProto.UINT16: ("<u2", "int32_data"),
    onnx.TensorProto.INT32: ("<i4", "int32_data"), onnx.TensorProto.BOOL: ("?", "int32_data"),
    onnx.TensorProto.FLOAT16: ("<f2", "int32_data"), onnx.TensorProto.INT64: ("<i8", "int64_data"),
    onnx.TensorProto.UINT32: ("<u4", "uint64_data"), onnx.TensorProto.UINT64: ("<u8", "uint64_data"),
}  # fmt: skip
"""Element type -> (NumPy type, the field that holds values when `raw_data` does not)."""


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
    """A checked file. inputs: name -> shape, batch first; batch: the declared number of samples (1 when symbolic)."""

    where: str
    name: str
    opset: int
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    batch: int


def printable(text: str, limit: int = 120) -> str:
    """Return a name that can be printed: control characters replaced, length limited."""
    clean = "".join(c if c.isprintable() else "_" for c in text)
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


def read_onnx(path: Path) -> OnnxModel:
    """Return the checked content of a file; ModelError with one clear message for anything else."""
    where = str(path)
    proto = _parse(path, where)
    graph = proto.graph
    opset = _opset(proto, where)
    _check_names(graph, where)
    _refuse_unreadable(proto, where)
    _load_external(graph, path, where)
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
        raise ModelError(f"{where}: is not an ONNX model, or is truncated (protobuf cannot be decoded). Export it again.") from None
    if not proto.HasField("graph") or not proto.opset_import or not proto.graph.output:
        raise ModelError(f"{where}: is not an ONNX model: it has no graph, no operator set or no output. Export it again.")
    return proto


def _opset(proto: onnx.ModelProto, where: str) -> int:
    versions = [o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise ModelError(f"{where}: states {len(versions)} versions of the standard operator set; expected one.")
    if versions[0] not in OPSETS:
        raise ModelError(
            f"{where}: operator set {versions[0]} is not supported; supported are {OPSETS.start} to {OPSETS.stop - 1}.\n"
            "Export again with another opset_version, or convert with onnx.version_converter."
        )
    return versions[0]


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


# -- tensors ---------------------------------------------------------------------------------------------------------------


def decode_tensor(proto: onnx.TensorProto, where: str) -> Array:
    """Return the array of a tensor whose data are inside the file; the length must be what shape and type promise."""
    dims = tuple(proto.dims)
    if any(d < 0 for d in dims) or len(dims) > 32 or math.prod(dims) > MAX_FILE_BYTES:
        raise ModelError(f"{where}: shape {list(dims)[:8]} is negative or too large.")
    if proto.data_type not in _TYPED_FIELDS:
        raise ModelError(f"{where}: element type {type_name(proto.data_type)} is not supported; expected float32 weights.")
    if proto.HasField("segment"):
        raise ModelError(f"{where}: is stored in segments, which are not read. Export it again.")
    code, field = _TYPED_FIELDS[proto.data_type]
    dtype, count = np.dtype(code), math.prod(dims)
    if proto.HasField("raw_data") or not count:
        if len(proto.raw_data) != count * dtype.itemsize:
            raise ModelError(
                f"{where}: shape {list(dims)} of {dtype.name} needs {count * dtype.itemsize} bytes, found {len(proto.raw_data)}."
            )
        return np.frombuffer(proto.raw_data, dtype).reshape(dims)
    values = getattr(proto, field)
    if len(values) != count:
        raise ModelError(f"{where}: shape {list(dims)} needs {count} values, found {len(values)}.")
    wide = np.array(values)
    if dtype == np.float16:  # the bit patterns are stored in int32_data
        return wide.astype(np.uint16).view(np.float16).reshape(dims)
    return wide.astype(dtype).reshape(dims)


def type_name(code: int) -> str:
    """Return the ONNX name of an element type, or its number."""
    known = onnx.TensorProto.DataType
    return str(known.Name(code)) if code in known.values() else f"#{code}"


def _load_external(graph: onnx.GraphProto, path: Path, where: str) -> None:
    """Replace external data by the bytes they name, which must lie in a plain file inside the model's folder."""
    tensors = [*graph.initializer, *(a.t for n in graph.node for a in n.attribute if a.type == onnx.AttributeProto.TENSOR)]
    for tensor in tensors:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            if tensor.external_data:
                raise ModelError(f"{where}: tensor '{printable(tensor.name)}' names external data but says that it has none.")
            continue
        tensor.raw_data = _external_bytes(tensor, path, f"{where}: tensor '{printable(tensor.name)}'")
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def _external_bytes(tensor: onnx.TensorProto, path: Path, where: str) -> bytes:
    entries = {e.key: e.value for e in tensor.external_data}
    location = entries.get("location", "")
    parts = PureWindowsPath(location).parts  # understands both separators, drive letters and UNC paths
    inside = location and not location.startswith(("/", "\\")) and not PureWindowsPath(location).drive and ".." not in parts
    folder = path.parent.resolve()
    target = folder / location if inside and location.isprintable() else None
    if target is None or "\\" in location or not target.is_relative_to(folder) or Path(os.path.realpath(target)) != target:
        raise ModelError(
            f"{where}: external data '{printable(location)}' is outside the model's folder or a link; it is not read.\n"
            "Put the data file beside the model and name it by a plain relative path."
        )
    start, length = (_whole_number(entries.get(key, "0"), key, where) for key in ("offset", "length"))
    if tensor.data_type not in _TYPED_FIELDS:
        raise ModelError(f"{where}: element type {type_name(tensor.data_type)} is not supported; expected float32 weights.")
    if any(d < 0 for d in tensor.dims):
        raise ModelError(f"{where}: shape {list(tensor.dims)[:8]} is negative.")
    need = math.prod(tensor.dims) * np.dtype(_TYPED_FIELDS[tensor.data_type][0]).itemsize
    try:
        handle = os.open(target, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelError(f"{where}: external data '{location}' is not a plain file.")
            if ("length" in entries and length != need) or start + need > status.st_size:
                raise ModelError(
                    f"{where}: needs {need} bytes at {start} of external data '{location}'; the file has {status.st_size} bytes"
                    f"{f' and the model states {length}' if 'length' in entries else ''}."
                )
            file.seek(start)
            return file.read(need)
    except OSError as problem:
        raise ModelError(f"{where}: external data '{location}' cannot be read: {problem.strerror}.") from None


def _whole_number(text: str, key: str, where: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ModelError(f"{where}: external data {key} is '{printable(text)}'; expected a whole number of bytes.")
    return int(text)


# -- graph -----------------------------------------------------------------------------------------------------------------


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


def _inputs(graph: onnx.GraphProto, constants: Mapping[str, Array], where: str) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return the shapes of the inputs and the batch; an initializer that is listed as an input is a constant."""
    shapes: dict[str, tuple[int, ...]] = {}
    symbolic: list[str] = []
    for info in graph.input:
        if info.name in constants:
            continue
        here = f"{where}: input '{printable(info.name)}'"
        if not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
            raise ModelError(f"{here}: is not a tensor with a known shape. Export the model with fixed shapes.")
        kind = info.type.tensor_type.elem_type
        if kind != onnx.TensorProto.FLOAT:
            raise ModelError(
                f"{here}: has type {type_name(kind)}; only float32 models are read. Export it in float32 (formats are chosen here)."
            )
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
        raise ModelError(f"{where}: inputs have different first dimensions {sorted(fixed)}; expected one batch for all of them.")
    batch = max(fixed, default=1)
    return {name: (batch, *shape[1:]) for name, shape in shapes.items()}, batch


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


if sys.byteorder != "little":  # pragma: no cover - raw_data and every packed weight are little endian
    raise ImportError("workbench reads models on little-endian machines only")
