"""Tensors of a verified TFLite file: shapes, types, scales and constants, each checked before it is used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tflite

from workbench.errors import ModelError
from workbench.graph.ir import Array, Tensor
from workbench.loaders.tflite.densify import SPARSE_TYPES, dense, positions, read_layout
from workbench.loaders.tflite.quant import quantization
from workbench.precision import is_float
from workbench.tensor import STORAGE, QuantParams

MAX_ELEMENTS = 2**28
"""Largest tensor for the declared batch (1 GiB of float32)."""
MAX_RANK = 8
SPARE_BYTES = 64 * 1024 * 1024
MAX_NAME = 1000

INT2 = 19
"""Number of the type of 2-bit weights: newer than the `tflite` package. Source: schema of ai-edge-litert 2.3.0."""
PACKED = {"int4": 4, "int2": 2}
"""Types of several values in a byte -> bits of one."""
TYPES: Mapping[int, str] = {
    tflite.TensorType.FLOAT32: "float32", tflite.TensorType.FLOAT16: "float16", tflite.TensorType.INT32: "int32",
    tflite.TensorType.UINT8: "uint8", tflite.TensorType.INT64: "int64", tflite.TensorType.BOOL: "bool",
    tflite.TensorType.INT16: "int16", tflite.TensorType.INT8: "int8", tflite.TensorType.INT4: "int4",
    INT2: "int2",
}  # fmt: skip
"""TFLite tensor types that can be stored here -> their names in a graph."""


_TYPE_NAMES = {v: k for k, v in vars(tflite.TensorType).items() if isinstance(v, int)}


class TensorReader:
    """Decodes the tensors of one subgraph when they are first asked for.

    data: the whole file. model, graph: its verified root and subgraph.
    """

    def __init__(self, data: bytes, model: Any, graph: Any) -> None:
        self.data, self._model, self._graph = data, model, graph
        self.count = int(graph.TensorsLength())
        self._tensors: dict[int, Tensor] = {}
        self._spent = [0]

    def share(self, other: TensorReader) -> None:
        """Count bytes together with another subgraph of the file."""
        self._spent = other._spent

    def charge(self, size: int, where: str) -> None:
        """Count bytes of constants made from the file; ModelError when they outgrow it: one buffer read in a thousand ways."""
        self._spent[0] += size
        if self._spent[0] > 4 * len(self.data) + SPARE_BYTES:
            raise ModelError(
                f"{where}: the constants need {self._spent[0]} bytes, out of proportion to a file of {len(self.data)}."
            )

    def name(self, index: int) -> str:
        """Return the name of a tensor as the file states it, safe to print; may be empty."""
        return printable(self._graph.Tensors(index).Name() or b"", MAX_NAME)

    def tensor(self, index: int, where: str) -> Tensor:
        """Return a tensor, checked. where: who asks, for messages. The name is not yet unique in the graph."""
        if index not in self._tensors:
            self._tensors[index] = self._decode(index, f"{where}: tensor #{index} '{self.name(index)[:80]}'")
        return self._tensors[index]

    def redeclare(self, index: int, shape: tuple[int, ...], where: str) -> None:
        """Let a tensor have another shape: operators are put together to what makes it so."""
        self._tensors[index] = replace(self.tensor(index, where), shape=shape)

    def state(self, index: int, where: str) -> Tensor:
        """Return a variable tensor, checked; ModelError for a tensor that does not keep its value."""
        where = f"{where}: tensor #{index} '{self.name(index)[:80]}'"
        if not self._graph.Tensors(index).IsVariable():
            raise ModelError(f"{where}: is a state of the operator, but not declared a variable.")
        return self._decode(index, where, variable=True)

    def parameters(self, index: int, where: str) -> tuple[str, QuantParams | None]:
        """Return type and scales of a tensor that has no values of its own, '' for a type that has none here."""
        raw = self._graph.Tensors(index)
        dtype = TYPES.get(raw.Type(), "")
        if not dtype.startswith("int"):
            return dtype, None
        return dtype, quantization(raw.Quantization(), (), dtype, f"{where}: tensor #{index} '{self.name(index)[:80]}'")

    def _decode(self, index: int, where: str, variable: bool = False) -> Tensor:
        raw = self._graph.Tensors(index)
        if raw.Type() not in TYPES:
            name = _TYPE_NAMES.get(raw.Type(), f"#{raw.Type()}")
            raise ModelError(f"{where}: type {name} is not supported; supported are {', '.join(TYPES.values())}.")
        if raw.IsVariable() and not variable:
            raise ModelError(f"{where}: is a variable, which only operators with a state have, and only as their state.")
        dtype, shape = TYPES[raw.Type()], self._shape(raw, where)
        content = self._content(raw, where)
        if shape == (0,) and dtype in ("int32", "int64") and content is None and not variable:
            return Tensor(self.name(index), shape, dtype, None, np.zeros(0, STORAGE[dtype]), index)  # a list of no sizes
        if 0 in shape:
            raise ModelError(f"{where}: shape {list(shape)} is empty.")
        if raw.Quantization() is not None:
            self.charge(12 * raw.Quantization().ScaleLength(), where)
        quant = None if is_float(dtype) or dtype == "bool" else quantization(raw.Quantization(), shape, dtype, where)
        read = self._constant if raw.Sparsity() is None else partial(self._sparse, raw.Sparsity())
        data = None if content is None else read(content, shape, dtype, where)
        return Tensor(self.name(index), shape, dtype, quant, data, index)

    def _shape(self, raw: Any, where: str) -> tuple[int, ...]:
        for what, length in (("shape", raw.ShapeLength()), ("shape signature", raw.ShapeSignatureLength())):
            if length > MAX_RANK:
                raise ModelError(f"{where}: {what} has {length} dimensions; at most {MAX_RANK} fit.")
        shape, signature = tuple(integers(raw.ShapeAsNumpy())), tuple(integers(raw.ShapeSignatureAsNumpy()))
        if any(d < 0 for d in shape):
            raise ModelError(f"{where}: shape {list(shape)} has a negative size.")
        if math.prod(shape) > MAX_ELEMENTS:
            raise ModelError(f"{where}: shape {list(shape)} has more than {MAX_ELEMENTS} elements.")
        if any(d < 0 for d in signature[1:]):
            raise ModelError(
                f"{where}: shape {list(signature)} is not fixed (-1 beyond the batch).\n"
                "Export the model with fixed input sizes."
            )
        return shape

    def _content(self, raw: Any, where: str) -> memoryview | None:
        """Return the bytes of a constant, or None for an activation. Bytes may lie behind the FlatBuffer (large models)."""
        index, count = raw.Buffer(), self._model.BuffersLength()
        if index == 0 and count == 0:
            return None
        if index >= count:
            raise ModelError(f"{where}: buffer {index} does not exist; the file has {count}.")
        buffer = self._model.Buffers(index)
        start, size = buffer.Offset(), buffer.Size()
        if start > 1 or size > 1:  # 0 and 1 are place holders of the converter
            if start + size > len(self.data):
                raise ModelError(
                    f"{where}: buffer {index} is {size} bytes at {start}, outside of the file of {len(self.data)} bytes.\n"
                    "The file is damaged or truncated; export or copy it again."
                )
            return memoryview(self.data)[start : start + size] if size else None
        length = buffer.DataLength()
        if not length:
            return None
        data = buffer.DataAsNumpy()
        return memoryview(data)

    def is_sparse(self, index: int) -> bool:
        """Return whether a tensor of the file is stored sparse; what is read is dense all the same."""
        return self._graph.Tensors(index).Sparsity() is not None

    def _sparse(self, raw: Any, content: memoryview, shape: tuple[int, ...], dtype: str, where: str) -> Array:
        """Return the dense values of a constant that is stored sparse. raw: its verified `SparsityParameters`."""
        if dtype not in SPARSE_TYPES:
            raise ModelError(f"{where}: is {dtype} and stored sparse; expected {', '.join(SPARSE_TYPES)}.")
        size = np.dtype(STORAGE[dtype]).itemsize
        self.charge(math.prod(shape) * size, where)
        count, rest = divmod(len(content), size)

        def refuse(why: str) -> ModelError:
            return ModelError(f"{where}: {why}")

        found = positions(read_layout(raw, shape, refuse), shape, count, refuse)
        if rest or len(found) != count:
            raise refuse(f"its sparsity states {len(found)} values, its buffer has {len(content)} bytes.")
        return dense(self._constant(content, (count,), dtype, where), found, shape)

    def _constant(self, content: memoryview, shape: tuple[int, ...], dtype: str, where: str) -> Array:
        count = math.prod(shape)
        storage = np.dtype(STORAGE[dtype])
        need = -(-count * PACKED[dtype] // 8) if dtype in PACKED else count * storage.itemsize
        if len(content) != need:
            raise ModelError(f"{where}: shape {list(shape)} of {dtype} needs {need} bytes, its buffer has {len(content)}.")
        self.charge(count * storage.itemsize, where)
        if dtype in PACKED:
            return unpack(np.frombuffer(content, np.uint8), PACKED[dtype], count).reshape(shape)
        if dtype == "bool":
            flags: Array = np.frombuffer(content, np.uint8) != 0
            return flags.reshape(shape)
        values: Array = np.frombuffer(content, storage.newbyteorder("<")).astype(storage, copy=True)
        return values.reshape(shape)


def unpack(packed: Array, bits: int, count: int) -> Array:
    """Return `count` signed values of `bits` bits, one per int8, of bytes that hold 8 / bits each, lowest bits first (TFLite)."""
    values = np.empty((len(packed), 8 // bits), np.int8)
    for i in range(8 // bits):
        values[:, i] = (packed << np.uint8(8 - bits * (i + 1))).view(np.int8) >> (8 - bits)
    found: Array = values.reshape(-1)[:count]
    return found


def printable(raw: bytes, limit: int) -> str:
    """Return text that can be printed: bad bytes and control characters replaced, length limited."""
    text = bytes(raw[:limit]).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "_" for c in text)


def integers(raw: Any) -> list[int]:
    """Return a vector as Python integers; the reader gives the number 0 for an absent one."""
    return [] if isinstance(raw, int) else [int(v) for v in raw]
