"""Writes small `.tflite` files from plain records, well formed or broken on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

TYPES = {
    np.dtype(np.float32): tflite.TensorType.FLOAT32, np.dtype(np.float16): tflite.TensorType.FLOAT16,
    np.dtype(np.int8): tflite.TensorType.INT8, np.dtype(np.int16): tflite.TensorType.INT16,
    np.dtype(np.int32): tflite.TensorType.INT32, np.dtype(np.int64): tflite.TensorType.INT64,
    np.dtype(np.uint8): tflite.TensorType.UINT8, np.dtype(np.bool_): tflite.TensorType.BOOL,
}  # fmt: skip
OPTIONS = {name: number for name, number in vars(tflite.BuiltinOptions).items() if not name.startswith("_")}


@dataclass
class T:
    """One tensor. data: a constant; raw: its bytes, when they should not be those of `data`."""

    shape: Sequence[int] = ()
    dtype: Any = np.float32
    name: str = ""
    data: Any = None
    raw: bytes | None = None
    scale: Sequence[float] = ()
    zero: Sequence[int] = ()
    axis: int = 0
    details: int = 0
    signature: Sequence[int] | None = None
    code: int | None = None
    variable: bool = False
    buffer: int | None = None
    behind: tuple[int, int] | None = None
    """Buffer.offset and .size, for data behind the FlatBuffer."""
    sparsity: tuple[Sequence[int], Sequence[int], Sequence[Any]] | None = None
    """Traversal order, block map, and dimensions: a dense size, or (segments, indices) of arrays whose type is kept."""


def const(data: Any, dtype: Any = None, **more: Any) -> T:
    """Return a constant tensor."""
    array = np.asarray(data, dtype)
    return T(array.shape, array.dtype, data=array, **more)


@dataclass
class Op:
    """One operator. options: (union member, {field: value}); union: the type number to state instead."""

    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: tuple[str, dict[str, Any]] | None = None
    union: int | None = None
    custom: str | None = None
    code: int | None = None
    mutating: Sequence[bool] | None = None
    intermediates: Sequence[int] = ()
    version: int = 1


@dataclass
class Signature:
    """One signature: which subgraph it names, and its tensors by name."""

    key: str
    subgraph: int = 0
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)


@dataclass
class Net:
    """One subgraph, or the first of several: `others` are the next ones (their own `others` do not count)."""

    tensors: list[T]
    ops: list[Op]
    inputs: Sequence[int] = (0,)
    outputs: Sequence[int] = ()
    version: int = 3
    subgraphs: int = 1
    tail: bytes = field(default=b"")
    others: Sequence[Net] = ()
    signatures: Sequence[Signature] = ()

    def __post_init__(self) -> None:
        self.outputs = self.outputs or tuple(self.ops[-1].outputs[:1] if self.ops else ())

    def bytes(self) -> bytes:
        """Return the file."""
        return _Writer(self).write()


class _Writer:
    def __init__(self, net: Net) -> None:
        self.net = net
        self.b = flatbuffers.Builder(1024)

    def write(self) -> bytes:
        b, net = self.b, self.net
        self.buffers, self.codes = [self._buffer(None)], list[int]()
        graphs = [g for part in (net, *net.others) for g in self._subgraphs(part)]
        signatures = self._tables([self._signature(s) for s in net.signatures]) if net.signatures else None
        graph_vector, code_vector, buffer_vector = self._tables(graphs), self._tables(self.codes), self._tables(self.buffers)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, net.version)
        tflite.ModelAddOperatorCodes(b, code_vector)
        tflite.ModelAddSubgraphs(b, graph_vector)
        tflite.ModelAddBuffers(b, buffer_vector)
        if signatures is not None:
            tflite.ModelAddSignatureDefs(b, signatures)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output()) + net.tail

    def _subgraphs(self, net: Net) -> list[int]:
        b, buffers = self.b, self.buffers
        tensors = []
        for t in net.tensors:
            raw = t.raw if t.raw is not None else None if t.data is None else np.ascontiguousarray(t.data).tobytes()
            index = 0
            if raw is not None or t.behind:
                index = len(buffers)
                buffers.append(self._buffer(raw, t.behind))
            tensors.append(self._tensor(t, index if t.buffer is None else t.buffer))
        first = len(self.codes)
        self.codes += [self._code(op) for op in net.ops]
        ops = [self._op(op, first + i) for i, op in enumerate(net.ops)]
        tensor_vector, op_vector = self._tables(tensors), self._tables(ops)
        ins, outs = self._ints(net.inputs), self._ints(net.outputs)
        graphs = []
        for _ in range(net.subgraphs):
            tflite.SubGraphStart(b)
            tflite.SubGraphAddTensors(b, tensor_vector)
            tflite.SubGraphAddInputs(b, ins)
            tflite.SubGraphAddOutputs(b, outs)
            tflite.SubGraphAddOperators(b, op_vector)
            graphs.append(int(tflite.SubGraphEnd(b)))
        return graphs

    def _signature(self, signature: Signature) -> int:
        b = self.b
        maps = [self._tables([self._map(n, i) for n, i in ends.items()]) for ends in (signature.inputs, signature.outputs)]
        key = b.CreateString(signature.key)
        tflite.SignatureDefStart(b)
        tflite.SignatureDefAddInputs(b, maps[0])
        tflite.SignatureDefAddOutputs(b, maps[1])
        tflite.SignatureDefAddSignatureKey(b, key)
        tflite.SignatureDefAddSubgraphIndex(b, signature.subgraph)
        return int(tflite.SignatureDefEnd(b))

    def _map(self, name: str, index: int) -> int:
        text = self.b.CreateString(name)
        tflite.TensorMapStart(self.b)
        tflite.TensorMapAddName(self.b, text)
        tflite.TensorMapAddTensorIndex(self.b, index)
        return int(tflite.TensorMapEnd(self.b))

    def _tables(self, offsets: Sequence[int]) -> int:
        self.b.StartVector(4, len(offsets), 4)
        for o in reversed(offsets):
            self.b.PrependUOffsetTRelative(o)
        return int(self.b.EndVector())

    def _ints(self, values: Sequence[int]) -> int:
        return int(self.b.CreateNumpyVector(np.asarray(values, np.int32)))

    def _buffer(self, raw: bytes | None, behind: tuple[int, int] | None = None) -> int:
        vector = None
        if raw is not None:
            self.b.StartVector(1, len(raw), 16)
            self.b.head -= len(raw)
            self.b.Bytes[self.b.head : self.b.head + len(raw)] = raw
            vector = self.b.EndVector()
        tflite.BufferStart(self.b)
        if vector is not None:
            tflite.BufferAddData(self.b, vector)
        if behind:
            tflite.BufferAddOffset(self.b, behind[0])
            tflite.BufferAddSize(self.b, behind[1])
        return int(tflite.BufferEnd(self.b))

    def _tensor(self, t: T, buffer: int) -> int:
        b = self.b
        name, shape = b.CreateString(t.name), self._ints(t.shape)
        signature = None if t.signature is None else self._ints(t.signature)
        quant = None
        if len(t.scale):
            scale = b.CreateNumpyVector(np.asarray(t.scale, np.float32))
            zero = b.CreateNumpyVector(np.asarray(t.zero if len(t.zero) else [0] * len(t.scale), np.int64))
            tflite.QuantizationParametersStart(b)
            tflite.QuantizationParametersAddScale(b, scale)
            tflite.QuantizationParametersAddZeroPoint(b, zero)
            tflite.QuantizationParametersAddQuantizedDimension(b, t.axis)
            tflite.QuantizationParametersAddDetailsType(b, t.details)
            quant = tflite.QuantizationParametersEnd(b)
        sparsity = None if t.sparsity is None else self._sparsity(*t.sparsity)
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, shape)
        tflite.TensorAddType(b, TYPES[np.dtype(t.dtype)] if t.code is None else t.code)
        tflite.TensorAddBuffer(b, buffer)
        tflite.TensorAddName(b, name)
        tflite.TensorAddIsVariable(b, t.variable)
        if signature is not None:
            tflite.TensorAddShapeSignature(b, signature)
        if quant is not None:
            tflite.TensorAddQuantization(b, quant)
        if sparsity is not None:
            tflite.TensorAddSparsity(b, sparsity)
        return int(tflite.TensorEnd(b))

    def _sparsity(self, order: Sequence[int], blocks: Sequence[int], dimensions: Sequence[Any]) -> int:
        b, made = self.b, []
        for dimension in dimensions:
            parts = None if isinstance(dimension, int) else [self._indices(np.asarray(v)) for v in dimension]
            tflite.DimensionMetadataStart(b)
            tflite.DimensionMetadataAddFormat(b, 0 if parts is None else 1)
            if parts is None:
                tflite.DimensionMetadataAddDenseSize(b, dimension)
            else:
                tflite.DimensionMetadataAddArraySegmentsType(b, parts[0][0])
                tflite.DimensionMetadataAddArraySegments(b, parts[0][1])
                tflite.DimensionMetadataAddArrayIndicesType(b, parts[1][0])
                tflite.DimensionMetadataAddArrayIndices(b, parts[1][1])
            made.append(tflite.DimensionMetadataEnd(b))
        traversal, block_map, metadata = self._ints(order), self._ints(blocks) if len(blocks) else None, self._tables(made)
        tflite.SparsityParametersStart(b)
        tflite.SparsityParametersAddTraversalOrder(b, traversal)
        if block_map is not None:
            tflite.SparsityParametersAddBlockMap(b, block_map)
        tflite.SparsityParametersAddDimMetadata(b, metadata)
        return int(tflite.SparsityParametersEnd(b))

    def _indices(self, values: Any) -> tuple[int, int]:
        """Return (union type, table) of a vector of indices; its type is uint8, uint16 or else int32."""
        name = {np.dtype(np.uint8): "Uint8Vector", np.dtype(np.uint16): "Uint16Vector"}.get(values.dtype, "Int32Vector")
        kind = values.dtype if name != "Int32Vector" else np.int32
        vector = self.b.CreateNumpyVector(values.astype(kind))
        getattr(tflite, f"{name}Start")(self.b)
        getattr(tflite, f"{name}AddValues")(self.b, vector)
        return {"Int32Vector": 1, "Uint16Vector": 2, "Uint8Vector": 3}[name], int(getattr(tflite, f"{name}End")(self.b))

    def _code(self, op: Op) -> int:
        b = self.b
        number = getattr(tflite.BuiltinOperator, op.kind, 0) if op.code is None else op.code
        custom = b.CreateString(op.custom) if op.custom is not None else None
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
        tflite.OperatorCodeAddBuiltinCode(b, number)
        tflite.OperatorCodeAddVersion(b, op.version)
        if custom is not None:
            tflite.OperatorCodeAddCustomCode(b, custom)
        return int(tflite.OperatorCodeEnd(b))

    def _op(self, op: Op, i: int) -> int:
        b = self.b
        ins, outs = self._ints(op.inputs), self._ints(op.outputs)
        options = None
        if op.options is not None:
            name, values = op.options
            vectors = {k: self._ints(v) for k, v in values.items() if isinstance(v, (list, tuple))}
            vectors |= {k: b.CreateString(v) for k, v in values.items() if isinstance(v, str)}
            getattr(tflite, f"{name}Start")(b)
            for key, value in values.items():
                getattr(tflite, f"{name}Add{key}")(b, vectors.get(key, value))
            options = getattr(tflite, f"{name}End")(b)
        mutating = None if op.mutating is None else b.CreateNumpyVector(np.asarray(op.mutating, np.bool_))
        intermediates = self._ints(op.intermediates) if op.intermediates else None
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, i)
        tflite.OperatorAddInputs(b, ins)
        tflite.OperatorAddOutputs(b, outs)
        if op.options is not None or op.union is not None:
            tflite.OperatorAddBuiltinOptionsType(b, OPTIONS[op.options[0]] if op.union is None and op.options else op.union)
        if options is not None:
            tflite.OperatorAddBuiltinOptions(b, options)
        if mutating is not None:
            tflite.OperatorAddMutatingVariableInputs(b, mutating)
        if intermediates is not None:
            tflite.OperatorAddIntermediates(b, intermediates)
        return int(tflite.OperatorEnd(b))
