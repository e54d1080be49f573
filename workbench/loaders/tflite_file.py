"""A `.tflite` file, read with suspicion: verified first, then every number is checked before it is used.

What leaves this module is plain: operators with their options as dictionaries, tensors as `Tensor` records whose constants have
exactly the length that their shape promises. Source of the format: TFLite schema.fbs, version 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from workbench.errors import ModelError
from workbench.graph.ir import Array, Tensor
from workbench.loaders.tflite_quant import quantization
from workbench.loaders.tflite_verify import OPTIONS, Verifier
from workbench.tensor import STORAGE

SCHEMA_VERSION = 3
MAX_ELEMENTS = 2**28
"""Largest tensor for the declared batch (1 GiB of float32)."""
MAX_RANK = 8
MAX_OPERATORS = 5000
MAX_REFERENCES = 100_000
"""Inputs and outputs of all operators together."""
SPARE_BYTES = 64 * 1024 * 1024
MAX_NAME = 1000

TYPES: Mapping[int, str] = {
    tflite.TensorType.FLOAT32: "float32", tflite.TensorType.FLOAT16: "float16", tflite.TensorType.INT32: "int32",
    tflite.TensorType.UINT8: "uint8", tflite.TensorType.INT64: "int64", tflite.TensorType.BOOL: "bool",
    tflite.TensorType.INT16: "int16", tflite.TensorType.INT8: "int8", tflite.TensorType.INT4: "int4",
}  # fmt: skip
"""TFLite tensor types that can be stored here -> their names in a graph."""


def _names(enumeration: type) -> Mapping[int, str]:
    return {v: k for k, v in vars(enumeration).items() if isinstance(v, int) and not k.startswith("_")}


OPERATORS = _names(tflite.BuiltinOperator)
_TYPE_NAMES = _names(tflite.TensorType)
_OPTION_NAMES = _names(tflite.BuiltinOptions)


@dataclass(frozen=True)
class FileOperator:
    """One operator of the file.

    kind: 'CONV_2D', or 'CUSTOM' with its `custom` code. options: field -> value, None when the file has none or nothing is read.
    """

    kind: str
    index: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: str
    options: Mapping[str, Any] | None
    custom: str = ""

    @property
    def label(self) -> str:
        """Kind and position, for messages and `Node.source`."""
        return f"{self.kind} #{self.index}"


@dataclass(eq=False)
class TfliteFile:
    """A verified file. Tensors are decoded when they are first asked for."""

    where: str
    data: bytes
    operators: list[FileOperator] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    _tensors: dict[int, Tensor] = field(default_factory=dict)
    _kinds: dict[int, tuple[str, str]] = field(default_factory=dict)
    _count: int = 0
    _spent: int = 0

    def __post_init__(self) -> None:
        verifier = Verifier(self.data, self.where)
        verifier.model()
        self._model = tflite.Model.GetRootAs(self.data, 0)
        if self._model.Version() != SCHEMA_VERSION:
            raise ModelError(f"{self.where}: schema version {self._model.Version()}; expected {SCHEMA_VERSION}.")
        if self._model.SubgraphsLength() < 1:
            raise ModelError(f"{self.where}: has no subgraph, so no network. Export it again.")
        self._graph = self._model.Subgraphs(0)
        self._count = self._graph.TensorsLength()
        self._read_operators(verifier)
        self.inputs = self._ends(self._graph.InputsAsNumpy(), "input")
        self.outputs = self._ends(self._graph.OutputsAsNumpy(), "output")

    def charge(self, size: int, where: str) -> None:
        """Count bytes of constants made from the file; ModelError when they outgrow it: one buffer read in a thousand ways."""
        self._spent += size
        if self._spent > 4 * len(self.data) + SPARE_BYTES:
            raise ModelError(
                f"{where}: the constants need {self._spent} bytes, out of proportion to a file of {len(self.data)}."
            )

    # -- operators ------------------------------------------------------------------------------------------------------------

    def _read_operators(self, verifier: Verifier) -> None:
        references, count = 0, self._graph.OperatorsLength()
        if count > MAX_OPERATORS:
            raise ModelError(f"{self.where}: has {count} operators; at most {MAX_OPERATORS} are read.")
        for i in range(count):
            raw = self._graph.Operators(i)
            references += raw.InputsLength() + raw.OutputsLength()
            if references > MAX_REFERENCES:
                raise ModelError(
                    f"{self.where}: operators have more than {MAX_REFERENCES} inputs and outputs; this is not a network."
                )
            self.operators.append(self._operator(raw, i, verifier))

    def _kind(self, index: int, where: str) -> tuple[str, str]:
        """Return the name of an operator code, and its custom code."""
        if index not in self._kinds:
            count = self._model.OperatorCodesLength()
            if index >= count:
                raise ModelError(f"{where}: operator code {index} does not exist; the file has {count}.")
            code = self._model.OperatorCodes(index)
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # files before 2020 have the second one only
            kind = OPERATORS.get(number, f"operator code {number}")
            self._kinds[index] = kind, printable(code.CustomCode() or b"", 80) if kind == "CUSTOM" else ""
        return self._kinds[index]

    def _operator(self, raw: Any, i: int, verifier: Verifier) -> FileOperator:
        kind, custom = self._kind(raw.OpcodeIndex(), f"{self.where}: operator #{i}")
        where = f"{self.where}: operator {kind} #{i}"
        tensors = self._count
        inputs, outputs = (tuple(_ints(v)) for v in (raw.InputsAsNumpy(), raw.OutputsAsNumpy()))
        for what, found, lowest in (("input", inputs, -1), ("output", outputs, 0)):
            for t in found:
                if not lowest <= t < tensors:
                    raise ModelError(f"{where}: {what} tensor {t} does not exist; the file has tensors 0 to {tensors - 1}.")
        if any(raw.MutatingVariableInputs(j) for j in range(min(raw.MutatingVariableInputsLength(), len(inputs)))):
            raise ModelError(f"{where}: changes a variable tensor. Stateful models are not supported; export a stateless one.")
        options_type = _OPTION_NAMES.get(raw.BuiltinOptionsType(), f"options type {raw.BuiltinOptionsType()}")
        options = None
        if options_type != "NONE":
            table = raw.BuiltinOptions()
            if table is None:
                raise ModelError(f"{where}: states {options_type} but carries no options. Export the model again.")
            if options_type in OPTIONS:
                verifier.options(table.Pos, options_type, f"operator {kind} #{i} {options_type}")
                options = _read_options(table, options_type)
        return FileOperator(kind, i, inputs, outputs, options_type, options, custom)

    def _ends(self, raw: Any, what: str) -> tuple[int, ...]:
        found, tensors = tuple(_ints(raw)), self._count
        if not found:
            raise ModelError(f"{self.where}: the network has no {what}.")
        if len(found) > 1000 or len(set(found)) < len(found):
            raise ModelError(
                f"{self.where}: {len(found)} {what}s of the network, {len(set(found))} different; expected each once."
            )
        for t in found:
            if not 0 <= t < tensors:
                raise ModelError(f"{self.where}: {what} tensor {t} does not exist; the file has tensors 0 to {tensors - 1}.")
        return found

    # -- tensors --------------------------------------------------------------------------------------------------------------

    def name(self, index: int) -> str:
        """Return the name of a tensor as the file states it, safe to print; may be empty."""
        return printable(self._graph.Tensors(index).Name() or b"", MAX_NAME)

    def tensor(self, index: int, where: str) -> Tensor:
        """Return a tensor, checked. where: who asks, for messages. The name is not yet unique in the graph."""
        if index not in self._tensors:
            self._tensors[index] = self._decode(index, f"{where}: tensor #{index} '{self.name(index)[:80]}'")
        return self._tensors[index]

    def _decode(self, index: int, where: str) -> Tensor:
        raw = self._graph.Tensors(index)
        if raw.Type() not in TYPES:
            name = _TYPE_NAMES.get(raw.Type(), f"#{raw.Type()}")
            raise ModelError(f"{where}: type {name} is not supported; supported are {', '.join(TYPES.values())}.")
        if raw.IsVariable():
            raise ModelError(f"{where}: is a variable. Stateful models are not supported; export a stateless one.")
        if raw.Sparsity() is not None:
            raise ModelError(f"{where}: is stored sparse, which is not read. Export dense weights.")
        dtype, shape = TYPES[raw.Type()], self._shape(raw, where)
        content = self._content(raw, where)
        if 0 in shape:
            raise ModelError(f"{where}: shape {list(shape)} is empty.")
        if raw.Quantization() is not None:
            self.charge(12 * raw.Quantization().ScaleLength(), where)
        quant = None if dtype.startswith("float") or dtype == "bool" else quantization(raw.Quantization(), shape, dtype, where)
        data = None if content is None else self._constant(content, shape, dtype, where)
        return Tensor(self.name(index), shape, dtype, quant, data, index)

    def _shape(self, raw: Any, where: str) -> tuple[int, ...]:
        for what, length in (("shape", raw.ShapeLength()), ("shape signature", raw.ShapeSignatureLength())):
            if length > MAX_RANK:
                raise ModelError(f"{where}: {what} has {length} dimensions; at most {MAX_RANK} fit.")
        shape, signature = tuple(_ints(raw.ShapeAsNumpy())), tuple(_ints(raw.ShapeSignatureAsNumpy()))
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

    def _constant(self, content: memoryview, shape: tuple[int, ...], dtype: str, where: str) -> Array:
        count = math.prod(shape)
        storage = np.dtype(STORAGE[dtype])
        need = (count + 1) // 2 if dtype == "int4" else count * storage.itemsize
        if len(content) != need:
            raise ModelError(f"{where}: shape {list(shape)} of {dtype} needs {need} bytes, its buffer has {len(content)}.")
        self.charge(count * storage.itemsize, where)
        if dtype == "int4":
            return unpack_int4(np.frombuffer(content, np.uint8), count).reshape(shape)
        if dtype == "bool":
            return (np.frombuffer(content, np.uint8) != 0).reshape(shape)
        values: Array = np.frombuffer(content, storage.newbyteorder("<")).astype(storage, copy=True)
        return values.reshape(shape)


def unpack_int4(packed: Array, count: int) -> Array:
    """Return `count` int4 values, one per int8, of bytes that hold two each, low nibble first (TFLite's dense int4)."""
    nibbles = np.empty(2 * len(packed), np.int8)
    nibbles[0::2] = (packed << 4).astype(np.int8) >> 4
    nibbles[1::2] = packed.astype(np.int8) >> 4
    return nibbles[:count]


def printable(raw: bytes, limit: int) -> str:
    """Return text that can be printed: bad bytes and control characters replaced, length limited."""
    text = bytes(raw[:limit]).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "_" for c in text)


def _ints(raw: Any) -> list[int]:
    """Return a vector as Python integers; the reader gives the number 0 for an absent one."""
    return [] if isinstance(raw, int) else [int(v) for v in raw]


def _read_options(table: Any, name: str) -> dict[str, Any]:
    reader = getattr(tflite, name)()
    reader.Init(table.Bytes, table.Pos)
    found: dict[str, Any] = {}
    for spec in OPTIONS[name].values():
        if spec.kind == "vector":
            length = getattr(reader, f"{spec.accessor}Length")()
            found[spec.accessor] = tuple(_ints(getattr(reader, f"{spec.accessor}AsNumpy")())) if length <= MAX_RANK else None
        else:
            found[spec.accessor] = getattr(reader, spec.accessor)()
    return found


def read_tflite(path: Path, data: bytes) -> TfliteFile:
    """Return the checked content of a file; ModelError with one clear message for anything else."""
    return TfliteFile(str(path), data)
