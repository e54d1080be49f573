"""Tensors of an `.onnx` file: from bytes inside it, or from a plain file in the same folder; every length is checked first."""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import ml_dtypes
import numpy as np
import onnx

from workbench.errors import ModelError
from workbench.graph.ir import Array

MAX_FILE_BYTES = 2**31 - 1
"""Limit of a protobuf message; larger models keep their weights in external files."""
MAX_SPARSE = 2**26
"""Most elements of a tensor that is stored sparsely: few bytes of a file make many of memory."""

_TYPED_FIELDS: dict[int, tuple[Any, str]] = {
    onnx.TensorProto.FLOAT: ("<f4", "float_data"), onnx.TensorProto.DOUBLE: ("<f8", "double_data"),
    onnx.TensorProto.INT8: ("<i1", "int32_data"), onnx.TensorProto.UINT8: ("<u1", "int32_data"),
    onnx.TensorProto.INT16: ("<i2", "int32_data"), onnx.TensorProto.UINT16: ("<u2", "int32_data"),
    onnx.TensorProto.INT32: ("<i4", "int32_data"), onnx.TensorProto.BOOL: ("?", "int32_data"),
    onnx.TensorProto.FLOAT16: ("<f2", "int32_data"), onnx.TensorProto.INT64: ("<i8", "int64_data"),
    onnx.TensorProto.BFLOAT16: (ml_dtypes.bfloat16, "int32_data"),
    onnx.TensorProto.UINT32: ("<u4", "uint64_data"), onnx.TensorProto.UINT64: ("<u8", "uint64_data"),
}  # fmt: skip
"""Element type -> (NumPy type, the field that holds values when `raw_data` does not)."""

_PACKED: dict[int, tuple[Any, int]] = {
    onnx.TensorProto.INT4: (ml_dtypes.int4, 4), onnx.TensorProto.UINT4: (ml_dtypes.uint4, 4),
    onnx.TensorProto.INT2: (ml_dtypes.int2, 2), onnx.TensorProto.UINT2: (ml_dtypes.uint2, 2),
}  # fmt: skip
"""Element type -> (NumPy type, bits): several elements to a byte, the first in the lowest bits."""


def printable(text: str, limit: int = 120) -> str:
    """Return a name that can be printed: control characters replaced, length limited."""
    clean = "".join(c if c.isprintable() else "_" for c in text)
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."


def decode_tensor(proto: onnx.TensorProto, where: str) -> Array:
    """Return the array of a tensor whose data are inside the file; the length must be what shape and type promise.

    float16 and bfloat16 become float32, which holds all of their values.
    """
    array = _decode(proto, where)
    return array.astype(np.float32) if array.dtype in (np.float16, ml_dtypes.bfloat16) else array


def decode_sparse(proto: onnx.SparseTensorProto, where: str) -> Array:
    """Return the dense array of a sparse tensor: values [N] at indices [N] (flat) or [N, rank]."""
    dims = tuple(proto.dims)
    if any(d < 0 for d in dims) or len(dims) > 32 or math.prod(dims) > MAX_SPARSE:
        raise ModelError(f"{where}: shape {list(dims)[:8]} is negative or too large.")
    values, places = decode_tensor(proto.values, where), decode_tensor(proto.indices, where)
    if values.ndim != 1 or places.dtype != np.int64 or places.shape not in ((len(values),), (len(values), len(dims))):
        raise ModelError(f"{where}: has {values.shape} sparse values at {places.shape} places of {len(dims)} dimensions.")
    if places.ndim == 2:
        if (places < 0).any() or (places >= np.array(dims)).any():
            raise ModelError(f"{where}: a sparse value lies outside of shape {list(dims)}.")
        places = np.ravel_multi_index(tuple(places.T), dims) if len(values) else places[:, 0]
    if len(places) and not 0 <= places.min() <= places.max() < math.prod(dims):
        raise ModelError(f"{where}: a sparse value lies outside of shape {list(dims)}.")
    dense = np.zeros(math.prod(dims), values.dtype)
    dense[places] = values
    return dense.reshape(dims)


def _decode(proto: onnx.TensorProto, where: str) -> Array:
    dims = tuple(proto.dims)
    if any(d < 0 for d in dims) or len(dims) > 32 or math.prod(dims) > MAX_FILE_BYTES:
        raise ModelError(f"{where}: shape {list(dims)[:8]} is negative or too large.")
    if proto.data_type not in _TYPED_FIELDS and proto.data_type not in _PACKED:
        raise ModelError(f"{where}: element type {type_name(proto.data_type)} is not supported; expected float32 weights.")
    if proto.HasField("segment"):
        raise ModelError(f"{where}: is stored in segments, which are not read. Export it again.")
    if proto.data_type in _PACKED:
        return _unpacked(proto, dims, where)
    code, field = _TYPED_FIELDS[proto.data_type]
    dtype, count = np.dtype(code), math.prod(dims)
    if proto.HasField("raw_data") or not count:
        if len(proto.raw_data) != count * dtype.itemsize:
            raise ModelError(
                f"{where}: shape {list(dims)} of {dtype.name} needs {count * dtype.itemsize} bytes, has {len(proto.raw_data)}."
            )
        return np.frombuffer(proto.raw_data, dtype).reshape(dims)
    values = getattr(proto, field)
    if len(values) != count:
        raise ModelError(f"{where}: shape {list(dims)} needs {count} values, found {len(values)}.")
    wide = np.array(values)
    if dtype in (np.float16, ml_dtypes.bfloat16):  # the bit patterns are stored in int32_data
        return np.asarray(wide.astype(np.uint16).view(dtype).reshape(dims))
    return wide.astype(dtype).reshape(dims)


def _unpacked(proto: onnx.TensorProto, dims: tuple[int, ...], where: str) -> Array:
    """Return elements of 4 or 2 bits, one per byte."""
    kind, bits = _PACKED[proto.data_type]
    count = math.prod(dims)
    need = -(-count * bits // 8)
    stored = np.frombuffer(proto.raw_data, np.uint8) if proto.HasField("raw_data") else np.array(proto.int32_data, np.int64)
    if len(stored) != need or (count and not 0 <= stored.min() <= stored.max() < 256):
        raise ModelError(f"{where}: shape {list(dims)} of {bits} bits needs {need} bytes, has {len(stored)}.")
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = ((stored.astype(np.uint8)[:, None] >> shifts) & (2**bits - 1)).reshape(-1)[:count]
    if proto.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.INT2):
        codes = (codes ^ (1 << (bits - 1))).astype(np.int8) - (1 << (bits - 1))
    return np.asarray(codes.astype(kind).reshape(dims))


def type_name(code: int) -> str:
    """Return the ONNX name of an element type, or its number."""
    known = onnx.TensorProto.DataType
    return str(known.Name(code)) if code in known.values() else f"#{code}"


def load_external(graph: onnx.GraphProto, path: Path, where: str) -> int:
    """Replace external data by the bytes they name, which must lie in a plain file inside the model's folder; return how many."""
    count = 0
    for tensor in _tensors(graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            if tensor.external_data:
                raise ModelError(f"{where}: tensor '{printable(tensor.name)}' names external data but says that it has none.")
            continue
        tensor.raw_data = _external_bytes(tensor, path, f"{where}: tensor '{printable(tensor.name)}'")
        count += len(tensor.raw_data)
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
    return count


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that a graph and the branches in it carry."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from _tensors(attribute.g)


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
    if tensor.data_type not in _TYPED_FIELDS and tensor.data_type not in _PACKED:
        raise ModelError(f"{where}: element type {type_name(tensor.data_type)} is not supported; expected float32 weights.")
    if any(d < 0 for d in tensor.dims):
        raise ModelError(f"{where}: shape {list(tensor.dims)[:8]} is negative.")
    bits = (
        _PACKED[tensor.data_type][1]
        if tensor.data_type in _PACKED
        else 8 * np.dtype(_TYPED_FIELDS[tensor.data_type][0]).itemsize
    )
    need = -(-math.prod(tensor.dims) * bits // 8)
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


if sys.byteorder != "little":  # pragma: no cover - raw_data and every packed weight are little endian
    raise ImportError("workbench reads models on little-endian machines only")
