"""A verifier of FlatBuffers for the part of the TFLite schema that is read.

The Python FlatBuffers runtime trusts every offset. This module walks the file once before anything else touches it and proves
that each table, vector and string that will be read lies inside of the file. Offsets between objects are unsigned, hence always
point forward: there are no cycles, but many references can share one object, so the walk has a budget.
Source: FlatBuffers internals ("Encoding"), `flatbuffers/verifier.h`; field numbers: TFLite schema.fbs, schema version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from workbench.errors import ModelError

IDENTIFIER = b"TFL3"
MAX_TABLES = 30_000
"""Tables reached from the root, counted once per reference: about five for an operator; the largest networks have 10,000."""
MAX_STRING = 16 * 1024
"""Bytes of a name; the converter joins the names of what it fused, which makes hundreds."""


class Field(NamedTuple):
    """How a field is stored.

    kind: `scalar` or `vector` of `width` bytes per element, `string`, one `table`, a vector of `tables`, or a `union` whose type is
        the field of number `width`.
    accessor: method of the generated reader, for option tables that are copied field by field.
    """

    kind: str
    width: int = 4
    table: str = ""
    accessor: str = ""


def _scalar(accessor: str, width: int = 4) -> Field:
    return Field("scalar", width, accessor=accessor)


_BYTE, _INT, _LONG = Field("scalar", 1), Field("scalar", 4), Field("scalar", 8)
_STRING, _BYTES, _INTS, _LONGS = Field("string", 1), Field("vector", 1), Field("vector", 4), Field("vector", 8)
_FUSED = _scalar("FusedActivationFunction", 1)

OPTIONS: Mapping[str, Mapping[int, Field]] = {
    "Conv2DOptions": {
        0: _scalar("Padding", 1), 1: _scalar("StrideW"), 2: _scalar("StrideH"), 3: _FUSED,
        4: _scalar("DilationWFactor"), 5: _scalar("DilationHFactor"), 6: _scalar("QuantizedBiasType", 1),
    },
    "DepthwiseConv2DOptions": {
        0: _scalar("Padding", 1), 1: _scalar("StrideW"), 2: _scalar("StrideH"), 3: _scalar("DepthMultiplier"), 4: _FUSED,
        5: _scalar("DilationWFactor"), 6: _scalar("DilationHFactor"),
    },
    "Pool2DOptions": {
        0: _scalar("Padding", 1), 1: _scalar("StrideW"), 2: _scalar("StrideH"), 3: _scalar("FilterWidth"),
        4: _scalar("FilterHeight"), 5: _FUSED,
    },
    "FullyConnectedOptions": {
        0: _FUSED, 1: _scalar("WeightsFormat", 1), 2: _scalar("KeepNumDims", 1), 3: _scalar("AsymmetricQuantizeInputs", 1),
        4: _scalar("QuantizedBiasType", 1),
    },
    "SoftmaxOptions": {0: _scalar("Beta")},
    "ConcatenationOptions": {0: _scalar("Axis"), 1: _FUSED},
    "AddOptions": {0: _FUSED, 1: _scalar("PotScaleInt16", 1)},
    "SubOptions": {0: _FUSED, 1: _scalar("PotScaleInt16", 1)},
    "MulOptions": {0: _FUSED},
    "DivOptions": {0: _FUSED},
    "L2NormOptions": {0: _FUSED},
    "LocalResponseNormalizationOptions": {0: _scalar("Radius"), 1: _scalar("Bias"), 2: _scalar("Alpha"), 3: _scalar("Beta")},
    "ReshapeOptions": {0: Field("vector", 4, accessor="NewShape")},
    "SqueezeOptions": {0: Field("vector", 4, accessor="SqueezeDims")},
    "ReducerOptions": {0: _scalar("KeepDims", 1)},
    "StridedSliceOptions": {
        0: _scalar("BeginMask"), 1: _scalar("EndMask"), 2: _scalar("EllipsisMask"), 3: _scalar("NewAxisMask"),
        4: _scalar("ShrinkAxisMask"), 5: _scalar("Offset", 1),
    },
    "LeakyReluOptions": {0: _scalar("Alpha")},
    "BatchMatMulOptions": {0: _scalar("AdjX", 1), 1: _scalar("AdjY", 1), 2: _scalar("AsymmetricQuantizeInputs", 1)},
    "PackOptions": {0: _scalar("ValuesCount"), 1: _scalar("Axis")},
    "UnpackOptions": {0: _scalar("Num"), 1: _scalar("Axis")},
    "SplitOptions": {0: _scalar("NumSplits")},
    "SplitVOptions": {0: _scalar("NumSplits")},
    "GatherOptions": {0: _scalar("Axis"), 1: _scalar("BatchDims")},
    "ArgMaxOptions": {0: _scalar("OutputType", 1)},
    "ArgMinOptions": {0: _scalar("OutputType", 1)},
    "OneHotOptions": {0: _scalar("Axis")},
    "CumsumOptions": {0: _scalar("Exclusive", 1), 1: _scalar("Reverse", 1)},
    "ReverseSequenceOptions": {0: _scalar("SeqDim"), 1: _scalar("BatchDim")},
    "SpaceToDepthOptions": {0: _scalar("BlockSize")},
    "DepthToSpaceOptions": {0: _scalar("BlockSize")},
    "MirrorPadOptions": {0: _scalar("Mode", 1)},
    "TransposeConvOptions": {
        0: _scalar("Padding", 1), 1: _scalar("StrideW"), 2: _scalar("StrideH"), 3: _FUSED, 4: _scalar("QuantizedBiasType", 1),
    },
    "ResizeBilinearOptions": {2: _scalar("AlignCorners", 1), 3: _scalar("HalfPixelCenters", 1)},
    "ResizeNearestNeighborOptions": {0: _scalar("AlignCorners", 1), 1: _scalar("HalfPixelCenters", 1)},
    "GeluOptions": {0: _scalar("Approximate", 1)},
    "UnidirectionalSequenceLSTMOptions": {
        0: _FUSED, 1: _scalar("CellClip"), 2: _scalar("ProjClip"), 3: _scalar("TimeMajor", 1),
        5: _scalar("DiagonalRecurrentTensors", 1),
    },
    "BidirectionalSequenceLSTMOptions": {
        0: _FUSED, 1: _scalar("CellClip"), 2: _scalar("ProjClip"), 3: _scalar("MergeOutputs", 1), 4: _scalar("TimeMajor", 1),
    },
    "LSTMOptions": {0: _FUSED, 1: _scalar("CellClip"), 2: _scalar("ProjClip"), 3: _scalar("KernelType", 1)},
    "RNNOptions": {0: _FUSED},
    "SequenceRNNOptions": {0: _scalar("TimeMajor", 1), 1: _FUSED},
    "BidirectionalSequenceRNNOptions": {0: _scalar("TimeMajor", 1), 1: _FUSED, 2: _scalar("MergeOutputs", 1)},
    "SVDFOptions": {0: _scalar("Rank"), 1: _FUSED},
    "VarHandleOptions": {0: Field("string", 1, accessor="Container"), 1: Field("string", 1, accessor="SharedName")},
    "CallOnceOptions": {0: _scalar("InitSubgraphIndex")},
    "CallOptions": {0: _scalar("Subgraph")},
    "IfOptions": {0: _scalar("ThenSubgraphIndex"), 1: _scalar("ElseSubgraphIndex")},
    "WhileOptions": {0: _scalar("CondSubgraphIndex"), 1: _scalar("BodySubgraphIndex")},
}  # fmt: skip
"""Members of the union `BuiltinOptions` that carry something: field number -> how it is stored."""

SCHEMA: Mapping[str, Mapping[int, Field]] = {
    "Model": {
        0: _INT, 1: Field("tables", table="OperatorCode"), 2: Field("tables", table="SubGraph"),
        4: Field("tables", table="Buffer"), 7: Field("tables", table="SignatureDef"),
    },
    "SignatureDef": {0: Field("tables", table="TensorMap"), 1: Field("tables", table="TensorMap"), 2: _STRING, 4: _INT},
    "TensorMap": {0: _STRING, 1: _INT},
    "OperatorCode": {0: _BYTE, 1: _STRING, 2: _INT, 3: _INT},
    "SubGraph": {0: Field("tables", table="Tensor"), 1: _INTS, 2: _INTS, 3: Field("tables", table="Operator"), 4: _STRING},
    "Tensor": {
        0: _INTS, 1: _BYTE, 2: _INT, 3: _STRING, 4: Field("table", table="QuantizationParameters"), 5: _BYTE,
        6: Field("table", table="SparsityParameters"), 7: _INTS, 8: _BYTE,
    },
    "QuantizationParameters": {2: _INTS, 3: _LONGS, 4: _BYTE, 6: _INT},
    "SparsityParameters": {0: _INTS, 1: _INTS, 2: Field("tables", table="DimensionMetadata")},
    "DimensionMetadata": {
        0: _BYTE, 1: _INT, 2: _BYTE, 3: Field("union", 2, "SparseIndexVector"), 4: _BYTE, 5: Field("union", 4, "SparseIndexVector"),
    },
    "Int32Vector": {0: _INTS},
    "Uint16Vector": {0: Field("vector", 2)},
    "Uint8Vector": {0: _BYTES},
    "Buffer": {0: _BYTES, 1: _LONG, 2: _LONG},
    "Operator": {0: _INT, 1: _INTS, 2: _INTS, 3: _BYTE, 4: Field("table", table="(options)"), 7: _BYTES, 8: _INTS, 11: _BYTE},
    "(options)": {},
    **OPTIONS,
}  # fmt: skip

UNIONS: Mapping[str, Mapping[int, str]] = {"SparseIndexVector": {1: "Int32Vector", 2: "Uint16Vector", 3: "Uint8Vector"}}
"""Union -> type number -> table."""

_NAMES: Mapping[tuple[str, int], str] = {
    ("Model", 1): "operator codes", ("Model", 2): "subgraphs", ("Model", 4): "buffers", ("SubGraph", 0): "tensors",
    ("SubGraph", 1): "inputs", ("SubGraph", 2): "outputs", ("SubGraph", 3): "operators", ("Tensor", 0): "shape",
    ("Tensor", 3): "name", ("Tensor", 4): "quantization", ("Tensor", 7): "shape signature", ("Operator", 1): "inputs",
    ("Operator", 2): "outputs", ("Operator", 4): "options", ("Operator", 8): "intermediates", ("QuantizationParameters", 2): "scales",
    ("QuantizationParameters", 3): "zero points", ("Buffer", 0): "data", ("OperatorCode", 1): "custom code",
    ("Model", 7): "signatures", ("SignatureDef", 0): "inputs", ("SignatureDef", 1): "outputs", ("SignatureDef", 2): "key",
    ("Tensor", 6): "sparsity", ("SparsityParameters", 0): "traversal order", ("SparsityParameters", 1): "block map",
    ("SparsityParameters", 2): "dimensions", ("DimensionMetadata", 3): "segments", ("DimensionMetadata", 5): "indices",
}  # fmt: skip
_ITEM = {
    "OperatorCode": "operator code",
    "SubGraph": "subgraph",
    "Tensor": "tensor",
    "Buffer": "buffer",
    "Operator": "operator",
    "DimensionMetadata": "dimension",
    "SignatureDef": "signature",
    "TensorMap": "name",
}


class Verifier:
    """Checks of one file. data: all of its bytes. where: its name, for messages."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data = data
        self.where = where
        self._tables = 0
        self._known: set[tuple[int, str]] = set()

    def model(self) -> None:
        """Verify everything that is read, from the root; ModelError names the part that is damaged."""
        if len(self.data) < 8 or self.data[4:8] != IDENTIFIER:
            raise ModelError(
                f"{self.where}: is not a .tflite model (no identifier TFL3 at byte 4). Give the path of a TFLite file."
            )
        self._table(self._forward(0, "root"), "Model", "")

    def options(self, position: int, table: str, path: str) -> None:
        """Verify one option table whose type the operator determines."""
        self._table(position, table, path)

    def _number(self, position: int, code: str, width: int, path: str) -> int:
        if position < 0 or position + width > len(self.data):
            raise self._error(path, f"{width} bytes at {position} are outside of the file of {len(self.data)} bytes")
        return int(struct.unpack_from(code, self.data, position)[0])

    def _forward(self, position: int, path: str) -> int:
        offset = self._number(position, "<I", 4, path)
        if offset == 0 or position + offset + 4 > len(self.data):
            raise self._error(path, f"offset {offset} at {position} leaves the file of {len(self.data)} bytes")
        return position + offset

    def _table(self, position: int, table: str, path: str) -> None:
        self._tables += 1
        if self._tables > MAX_TABLES:
            raise ModelError(f"{self.where}: has more than {MAX_TABLES} tensors, operators and buffers; this is not a network.")
        if (position, table) in self._known:
            return
        self._known.add((position, table))
        vtable = position - self._number(position, "<i", 4, path)
        size, room = self._number(vtable, "<H", 2, path), self._number(vtable + 2, "<H", 2, path)
        if size < 4 or size % 2 or vtable + size > len(self.data) or room < 4 or position + room > len(self.data):
            raise self._error(
                path, f"the table at {position} has a field list of {size} bytes at {vtable} and {room} bytes itself"
            )
        for number, field in SCHEMA[table].items():
            offset = self._offset(vtable, size, number, path)
            if offset and field.kind == "union":
                field = self._member(position, self._offset(vtable, size, field.width, path), room, field, path)
            if offset:
                name = field.accessor or _NAMES.get((table, number), f"field {number}")
                self._field(position, offset, room, field, f"{path} {name}".strip())

    def _offset(self, vtable: int, size: int, number: int, path: str) -> int:
        """Return where a field is in its table, 0 when it is absent."""
        at = 4 + 2 * number
        return self._number(vtable + at, "<H", 2, path) if at + 2 <= size else 0

    def _member(self, position: int, offset: int, room: int, field: Field, path: str) -> Field:
        """Return the table that a union holds. offset: of its type."""
        kind = self._number(position + offset, "<B", 1, path) if 4 <= offset < room else 0
        if kind not in UNIONS[field.table]:
            raise self._error(path, f"a {field.table} of type {kind}")
        return Field("table", table=UNIONS[field.table][kind])

    def _field(self, position: int, offset: int, room: int, field: Field, path: str) -> None:
        width = field.width if field.kind == "scalar" else 4
        if offset < 4 or offset + width > room:
            raise self._error(path, f"{width} bytes at {offset} are outside of their table of {room} bytes")
        if field.kind == "scalar":
            return
        target = self._forward(position + offset, path)
        if field.kind == "table":
            self._table(target, field.table, path)
            return
        count = self._number(target, "<I", 4, path)
        if target + 4 + count * field.width > len(self.data):
            what = f"{count} elements of {field.width} bytes at {target + 4}"
            raise self._error(path, f"{what} are outside of the file of {len(self.data)} bytes")
        if field.kind == "string" and count > MAX_STRING:
            raise self._error(path, f"a name of {count} bytes; at most {MAX_STRING} are read")
        if field.kind == "tables":
            self._items(target + 4, count, field.table, path)

    def _items(self, start: int, count: int, table: str, path: str) -> None:
        if count > MAX_TABLES:
            raise self._error(path, f"{count} entries; at most {MAX_TABLES} are read")
        item: Callable[[int], str] = lambda i: f"{_ITEM[table]} #{i}"  # noqa: E731
        for i in range(count):
            self._table(self._forward(start + 4 * i, item(i)), table, item(i))

    def _error(self, path: str, why: str) -> ModelError:
        what = f"{path}: " if path else ""
        return ModelError(f"{self.where}: {what}{why}.\nThe file is damaged or truncated; export or copy it again.")
