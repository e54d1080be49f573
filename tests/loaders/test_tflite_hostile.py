"""Damaged and hostile files: one message says where, what came and what fits; never a crash, a hang or a large allocation."""

from __future__ import annotations

import resource
import struct
import time
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite

from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.errors import ModelError
from workbench.loaders.tflite import load_tflite
from workbench.loaders.tflite.verify import MAX_TABLES

SECONDS = 10.0
"""Generous: a second or two on a free core."""
RNG = np.random.default_rng(5)
CONV = {"Padding": 0, "StrideW": 1, "StrideH": 1, "DilationHFactor": 1, "DilationWFactor": 1}
Q = {"scale": [0.05], "zero": [0]}


def weights(**more: Any) -> T:
    return const(RNG.integers(-127, 128, (4, 3, 3, 3)), np.int8, name="w", **({"scale": [0.01] * 4} | more))


def conv(**parts: Any) -> Net:
    """An int8 convolution; `parts` replaces x, w, b, y, options, op or network fields."""
    x = parts.pop("x", T((1, 6, 6, 3), np.int8, "x", **Q))
    w = parts.pop("w", weights())
    b = parts.pop("b", const(np.zeros(4), np.int32, name="b"))
    y = parts.pop("y", T((1, 6, 6, 4), np.int8, "y", **Q))
    op: dict[str, Any] = {"kind": "CONV_2D", "inputs": [0, 1, 2], "outputs": [3], "options": ("Conv2DOptions", CONV)}
    op |= parts.pop("op", {})
    op["options"] = parts.pop("options", op["options"])
    return Net([x, w, b, y], [Op(**op)], **({"outputs": (3,)} | parts))


def one(kind: str, shape: Any, out: Any, options: Any = None, *constants: T) -> Net:
    tensors = [T(shape, name="x"), *constants, T(out, name="y")]
    return Net(tensors, [Op(kind, list(range(len(tensors) - 1)), [len(tensors) - 1], options)])


def i32(*values: Any) -> T:
    return const(values[0] if len(values) == 1 else list(values), np.int32)


def refused(data: bytes) -> str:
    with pytest.raises(ModelError) as problem:
        load_tflite("m.tflite", data)
    text = str(problem.value)
    assert text.startswith("m.tflite: ")
    return text


def test_the_unbroken_network_loads() -> None:
    assert [n.op for n in load_tflite("m.tflite", conv().bytes()).nodes] == ["conv2d"]


BROKEN: dict[str, tuple[Net, str]] = {
    "shape-negative": (conv(w=T((4, 3, -3, 3), np.int8, "w", raw=b"\0" * 108, **Q)), "shape [4, 3, -3, 3] has a negative size"),
    "shape-overflow": (conv(x=T((1, 2**30, 2**30, 2**30), np.int8, "x", **Q)), "has more than 268435456 elements"),
    "shape-wraps-64-bits": (conv(x=T((2**31 - 1,) * 8, np.int8, "x", **Q)), "has more than"),
    "shape-empty": (conv(x=T((1, 0, 6, 3), np.int8, "x", **Q)), "is empty"),
    "shape-rank": (conv(x=T((1,) * 9, np.int8, "x", **Q)), "has 9 dimensions; at most 8 fit"),
    "shape-not-fixed": (conv(x=T((1, 6, 6, 3), np.int8, "x", signature=(-1, -1, -1, 3), **Q)), "is not fixed"),
    "shape-declared-wrong": (
        conv(y=T((1, 5, 6, 4), np.int8, "y", **Q)),
        "makes shape [1, 6, 6, 4], but output 'y' is declared [1, 5, 6, 4]",
    ),
    "buffer-too-short": (
        conv(w=weights(raw=b"\1" * 107)),
        "tensor #1 'w': shape [4, 3, 3, 3] of int8 needs 108 bytes, its buffer has 107",
    ),
    "buffer-too-long": (conv(w=weights(raw=b"\1" * 109)), "needs 108 bytes, its buffer has 109"),
    "buffer-index": (conv(w=weights(buffer=77)), "buffer 77 does not exist"),
    "buffer-behind-the-file": (conv(w=T((4, 3, 3, 3), np.int8, "w", behind=(10_000, 108), **Q)), "outside of the file of"),
    "buffer-behind-overflow": (conv(w=T((4, 3, 3, 3), np.int8, "w", behind=(2**64 - 8, 108), **Q)), "outside of the file of"),
    "tensor-index": (
        conv(op={"inputs": [0, 9, 2]}),
        "operator CONV_2D #0: input tensor 9 does not exist; the file has tensors 0 to 3",
    ),
    "tensor-index-negative": (conv(op={"inputs": [0, -7, 2]}), "input tensor -7 does not exist"),
    "output-index": (conv(op={"outputs": [-1]}), "output tensor -1 does not exist"),
    "network-input-index": (conv(inputs=(11,)), "input tensor 11 does not exist"),
    "network-input-twice": (conv(inputs=(0, 0)), "every input once"),
    "network-outputs-many": (conv(outputs=(3,) * 1001), "1001 outputs of the network, 1 different; expected at most 1000"),
    "no-inputs": (conv(inputs=()), "the network has no input"),
    "inputs-missing": (conv(op={"inputs": [0]}), "operator CONV_2D #0: 1 inputs and 1 outputs; expected 2 to 3 and 1"),
    "outputs-too-many": (conv(op={"outputs": [3, 2]}), "3 inputs and 2 outputs"),
    "weights-absent": (conv(op={"inputs": [0, -1, 2]}), "input 1 is missing"),
    "cycle": (conv(op={"inputs": [3, 1, 2]}), "reads tensor #3 'y', which is not an input"),
    "writes-input": (conv(op={"outputs": [0]}, outputs=(0,)), "writes tensor #0 'x', which already has a value"),
    "writes-constant": (conv(op={"outputs": [1]}, outputs=(1,)), "writes tensor #1 'w'"),
    "weights-computed": (conv(op={"inputs": [0, 0, 2]}), "the int8 weights 'x' are computed by the network"),
    "bias-size": (conv(b=const(np.zeros(3), np.int32, name="b")), "the bias is int32 [3]; expected int32 [4]"),
    "bias-type": (conv(b=const(np.zeros(4), np.float32, name="b")), "the bias is float32 [4]; expected int32 [4]"),
    "weights-rank": (conv(w=const(np.zeros((4, 27)), np.int8, name="w", scale=[1.0])), "weights are int8 [4, 27]"),
    "channels": (
        conv(w=const(np.zeros((4, 3, 3, 2)), np.int8, name="w", scale=[1.0])),
        "3 input channels and weights [4, 3, 3, 2] do not fit",
    ),
    "types": (conv(y=T((1, 6, 6, 4), np.float32, "y")), "types int8 -> float32"),
    "union-of-another-operator": (
        conv(options=("Pool2DOptions", {"Padding": 0, "StrideW": 1, "StrideH": 1})),
        "operator CONV_2D #0: carries Pool2DOptions; expected Conv2DOptions",
    ),
    "union-type-unknown": (conv(op={"union": 250}), "expected Conv2DOptions"),
    "union-without-value": (conv(options=None, op={"union": 1}), "states Conv2DOptions but carries no options"),
    "options-missing": (conv(options=None), "has no Conv2DOptions, which must state StrideH"),
    "stride-zero": (conv(options=("Conv2DOptions", CONV | {"StrideW": 0})), "stride (1, 0)"),
    "stride-negative": (conv(options=("Conv2DOptions", CONV | {"StrideH": -3})), "stride (-3, 1)"),
    "dilation-huge": (conv(options=("Conv2DOptions", CONV | {"DilationHFactor": 2**31 - 1})), "must be 1 to 1048576"),
    "padding-huge": (
        conv(options=("Conv2DOptions", CONV | {"DilationHFactor": 2**20, "DilationWFactor": 2**20})),
        "make an input of",
    ),
    "padding-unknown": (conv(options=("Conv2DOptions", CONV | {"Padding": 7})), "padding 7 is not supported"),
    "kernel-larger-than-input": (
        conv(options=("Conv2DOptions", CONV | {"Padding": 1, "DilationHFactor": 9})),
        "larger than the padded input",
    ),
    "activation-unknown": (
        conv(options=("Conv2DOptions", CONV | {"FusedActivationFunction": 4})),
        "fused activation 4 is not supported",
    ),
    "scale-zero": (conv(w=weights(scale=[0.1, 0.0, 0.1, 0.1])), "scale 0.0 (channel 1); every scale must be finite and > 0"),
    "scale-nan": (conv(w=weights(scale=[float("nan")])), "scale nan"),
    "scale-inf": (conv(x=T((1, 6, 6, 3), np.int8, "x", scale=[float("inf")], zero=[0])), "scale inf"),
    "scale-negative": (conv(x=T((1, 6, 6, 3), np.int8, "x", scale=[-1.0], zero=[0])), "scale -1.0"),
    "scales-too-many": (conv(w=weights(scale=[0.1] * 5)), "5 scales for 4 channels of dimension 0"),
    "zero-points-too-few": (conv(w=weights(zero=[0, 0])), "4 scales and 2 zero points"),
    "zero-point-range": (
        conv(x=T((1, 6, 6, 3), np.int8, "x", scale=[1.0], zero=[128])),
        "zero point 128 is outside of int8: [-128, 127]",
    ),
    "zero-point-huge": (conv(x=T((1, 6, 6, 3), np.int8, "x", scale=[1.0], zero=[2**62])), "is outside of int8"),
    "weights-asymmetric": (conv(w=weights(zero=[0, 0, 5, 0])), "weights have zero point 5; expected 0"),
    "quantized-dimension": (conv(w=weights(axis=7)), "quantized dimension 7 of shape [4, 3, 3, 3] does not exist"),
    "quantized-dimension-negative": (conv(w=weights(axis=-1)), "quantized dimension -1"),
    "quantized-dimension-other": (conv(w=weights(axis=1, scale=[0.1] * 3)), "weights have scales along dimension 1"),
    "quantization-custom": (conv(w=weights(details=1)), "custom or blockwise quantization"),
    "scale-absent": (conv(x=T((1, 6, 6, 3), np.int8, "x")), "is int8 without a scale"),
    "weights-scale-absent": (conv(w=weights(scale=[])), "weights have no scale"),
    "activation-per-channel": (conv(x=T((1, 6, 6, 3), np.int8, "x", scale=[1.0] * 3, axis=3)), "an activation has 3 scales"),
    "type-unknown": (conv(x=T((1, 6, 6, 3), np.int8, "x", code=99, **Q)), "type #99 is not supported"),
    "type-string": (conv(w=T((4,), np.int8, "w", raw=b"abcd", code=tflite.TensorType.STRING)), "type STRING is not supported"),
    "type-uint8": (conv(x=T((1, 6, 6, 3), np.uint8, "x", **Q)), "types uint8 -> int8"),
    "variable": (
        conv(x=T((1, 6, 6, 3), np.int8, "x", variable=True, **Q)),
        "is a variable, which only operators with a state have",
    ),
    "mutating": (conv(op={"mutating": [False, True, False]}), "changes an input that is no state"),
    "version": (conv(version=2), "schema version 2; expected 3"),
    "no-subgraph": (conv(subgraphs=0), "has no subgraph"),
    "custom": (
        conv(op={"kind": "CUSTOM", "custom": "MyOp", "options": None}),
        "operator CUSTOM #0: custom operator 'MyOp' is not supported",
    ),
    "unknown-operator": (conv(op={"kind": "?", "code": 9999}), "operator code 9999 is not supported"),
    "unsupported-operator": (one("RFFT2D", (1, 4), (1, 4), None, i32(1)), "operator RFFT2D #0: RFFT2D is not supported"),
    "control-flow": (one("WHILE", (1, 4), (1, 4)), "loops are not supported"),
    "scalar-input": (one("RELU", (), ()), "has no dimensions; the first one must be the batch"),
    "batches-differ": (
        Net([T((1, 3), name="x"), T((2, 3), name="z"), T((2, 3), name="y")], [Op("ADD", [0, 1], [2])], inputs=(0, 1)),
        "another input 1",
    ),
    "output-constant": (
        Net(
            [T((1, 3), name="x"), const([[1.0]], np.float32, name="c"), T((1, 3), name="y")],
            [Op("RELU", [0], [2])],
            outputs=(1,),
        ),
        "output 'c' is a constant",
    ),
    "output-scalar": (one("MEAN", (1, 3), (), ("ReducerOptions", {}), i32(0, 1)), "is a single number for the whole batch"),
    "shuffled-weights": (
        one("FULLY_CONNECTED", (1, 4), (1, 4), ("FullyConnectedOptions", {"WeightsFormat": 1}), const(np.eye(4), np.float32)),
        "SHUFFLED4x16INT8",
    ),
    "fc-size": (
        one("FULLY_CONNECTED", (1, 5), (1, 4), ("FullyConnectedOptions", {}), const(np.eye(4), np.float32)),
        "cannot be split into rows of 4",
    ),
    "reshape-size": (one("RESHAPE", (1, 12), (1, 5), None, i32(1, 5)), "has 12 elements and cannot become [1, 5]"),
    "reshape-two-free": (one("RESHAPE", (1, 12), (1, 12), None, i32(-1, -1)), "at most one -1"),
    "reshape-huge": (one("RESHAPE", (1, 12), (1, 12), None, i32(2**31 - 1, 2**31 - 1, 2**31 - 1)), "cannot become"),
    "reshape-float-shape": (
        one("RESHAPE", (1, 12), (1, 12), None, const([1.0, 12.0], np.float32)),
        "the target shape (input 1) is float32",
    ),
    "reshape-computed": (one("RESHAPE", (1, 2), (1, 2), None), "has no ReshapeOptions, which must state NewShape"),
    "transpose-repeats": (one("TRANSPOSE", (1, 2, 3), (1, 2, 3), None, i32(0, 1, 1)), "is not a permutation"),
    "transpose-range": (one("TRANSPOSE", (1, 2, 3), (1, 2, 3), None, i32(0, 1, 9)), "axis 9 is outside of 3 dimensions"),
    "pad-negative": (one("PAD", (1, 2), (1, 2), None, i32([[0, 0], [-1, 0]])), "must be 0 to"),
    "pad-batch": (one("PAD", (1, 2), (2, 2), None, i32([[1, 0], [0, 0]])), "pads the batch"),
    "pad-huge": (
        one("PAD", (1, 2, 2), (1, 2, 2), None, i32([[0, 0], [2**28 - 1, 0], [2**28 - 1, 0]])),
        "expected 1 to 268435456 elements",
    ),
    "pad-rank": (one("PAD", (1, 2, 2), (1, 2, 2), None, i32([[0, 0], [1, 1]])), "paddings are [2, 2]; expected [3, 2]"),
    "mean-axis": (one("MEAN", (1, 3), (1,), ("ReducerOptions", {}), i32(5)), "axis 5 is outside of 2 dimensions"),
    "mean-no-axis": (one("MEAN", (1, 3), (1, 3), ("ReducerOptions", {}), const(np.zeros(0), np.int32)), "is empty"),
    "concat-axis": (
        one("CONCATENATION", (1, 3), (1, 3), ("ConcatenationOptions", {"Axis": 4})),
        "axis 4 is outside of 2 dimensions",
    ),
    "broadcast": (one("ADD", (1, 3), (1, 3), ("AddOptions", {}), const(np.ones((1, 4)), np.float32)), "cannot be broadcast"),
    "broadcast-explodes": (
        one("ADD", (1, 1, 2**20), (1, 1), ("AddOptions", {}), const(np.ones((1, 512, 1)), np.float32)),
        "expected 1 to 268435456 elements",
    ),
    "pool-filter": (
        one(
            "MAX_POOL_2D",
            (1, 4, 4, 1),
            (1, 1, 1, 1),
            ("Pool2DOptions", {"Padding": 1, "StrideW": 1, "StrideH": 1, "FilterWidth": 0, "FilterHeight": 2}),
        ),
        "must be 1 to",
    ),
    "softmax-beta": (one("SOFTMAX", (1, 4), (1, 4), ("SoftmaxOptions", {"Beta": float("nan")})), "beta is nan"),
    "alpha": (one("LEAKY_RELU", (1, 4), (1, 4), ("LeakyReluOptions", {"Alpha": float("inf")})), "alpha is inf"),
    "bmm": (
        one("BATCH_MATMUL", (1, 3, 4), (1, 3, 5), ("BatchMatMulOptions", {}), const(np.ones((3, 5)), np.float32)),
        "do not fit",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_defect_is_named(name: str) -> None:
    net, message = BROKEN[name]
    assert message in refused(net.bytes())


def _offset_of(data: bytes, *path: str) -> int:
    """Return the position of a field: first the table's accessor chain, then the field's vtable slot number."""
    table: Any = tflite.Model.GetRootAs(data, 0)
    for step in path[:-1]:
        table = (
            getattr(table, step)(0)
            if step in ("Subgraphs", "Operators", "Tensors", "Buffers", "OperatorCodes")
            else getattr(table, step)()
        )
    tab = table._tab
    return int(tab.Pos + tab.Offset(4 + 2 * int(path[-1])))


POINTERS = {
    "operator codes": ("1",),
    "subgraphs": ("2",),
    "buffers": ("4",),
    "tensors": ("Subgraphs", "0"),
    "inputs": ("Subgraphs", "1"),
    "operators": ("Subgraphs", "3"),
    "shape": ("Subgraphs", "Tensors", "0"),
    "name": ("Subgraphs", "Tensors", "3"),
    "quantization": ("Subgraphs", "Tensors", "4"),
    "scales": ("Subgraphs", "Tensors", "Quantization", "2"),
    "zero points": ("Subgraphs", "Tensors", "Quantization", "3"),
    "operator inputs": ("Subgraphs", "Operators", "1"),
    "options": ("Subgraphs", "Operators", "4"),
}


@pytest.mark.parametrize("value", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0, 100_000])
@pytest.mark.parametrize("field", POINTERS)
def test_offset_out_of_range_is_refused(field: str, value: int) -> None:
    data = bytearray(conv().bytes())
    struct.pack_into("<I", data, _offset_of(bytes(data), *POINTERS[field]), value)
    assert "leaves the file of" in refused(bytes(data))


@pytest.mark.parametrize("count", [0x7FFFFFFF, 0xFFFFFFFF, 5000])
@pytest.mark.parametrize("field", [k for k in POINTERS if k not in ("quantization", "options")])
def test_vector_longer_than_the_file_is_refused(field: str, count: int) -> None:
    data = bytearray(conv().bytes())
    at = _offset_of(bytes(data), *POINTERS[field])
    struct.pack_into("<I", data, at + struct.unpack_from("<I", data, at)[0], count)
    text = refused(bytes(data))
    assert "are outside of the file of" in text or "leaves the file of" in text


@pytest.mark.parametrize("value", [0x7FFFFFFF, -0x80000000, 0, 3, -100_000])
def test_table_with_a_wild_field_list_is_refused(value: int) -> None:
    data = bytearray(conv().bytes())
    root = struct.unpack_from("<I", data, 0)[0]
    struct.pack_into("<i", data, root, value)
    refused(bytes(data))


def test_other_files_and_empty_ones_are_refused() -> None:
    for data in (b"", b"TFL3", b"\0" * 8, b"PK\x03\x04" + b"\0" * 100, b"\x1c\0\0\0TFL3", b"\0\0\0\0TFL3" + b"\0" * 64):
        refused(data)


def test_data_behind_the_flatbuffer_are_read() -> None:
    behind = Net(
        [T((1, 6), name="x"), T((5, 6), name="w", behind=(1 << 20, 120)), T((1, 5), name="y")],
        [Op("FULLY_CONNECTED", [0, 1, -1], [2], ("FullyConnectedOptions", {}))],
    )
    w = RNG.normal(size=(5, 6)).astype(np.float32)
    data = behind.bytes()
    data = data + b"\0" * ((1 << 20) - len(data)) + w.tobytes()
    np.testing.assert_array_equal(load_tflite("m.tflite", data).tensors["w"].data, w)
    assert "outside of the file" in refused(data[:-1])


def test_names_are_unique_and_printable() -> None:
    net = Net(
        [T((1, 3), name="a\n\x1b[31m"), T((1, 3), name="same"), T((1, 3), name="same"), T((1, 3), name="")],
        [Op("RELU", [0], [1]), Op("TANH", [1], [2]), Op("RELU6", [2], [3])],
    )
    graph = load_tflite("m.tflite", net.bytes())
    assert list(graph.inputs) == ["a__[31m"] and set(graph.tensors) == {"a__[31m", "same", "same#2", "#3"}
    assert len({n.name for n in graph.nodes}) == 3


def test_only_the_first_subgraph_is_read() -> None:
    assert len(load_tflite("m.tflite", conv(subgraphs=3).bytes()).nodes) == 1


def test_an_output_that_is_an_input_gets_a_tensor_of_its_own() -> None:
    graph = load_tflite(
        "m.tflite", Net([T((1, 3), name="x"), T((1, 3), name="y")], [Op("RELU", [0], [1])], outputs=(1, 0)).bytes()
    )
    assert len(set(graph.outputs)) == 2 and not set(graph.outputs) & set(graph.inputs)


class Bomb:
    """A file in which many references share one object."""

    def __init__(self) -> None:
        self.b = flatbuffers.Builder(1 << 20)

    def vector(self, offset: int, count: int) -> int:
        self.b.StartVector(4, count, 4)
        for _ in range(count):
            self.b.PrependUOffsetTRelative(offset)
        return int(self.b.EndVector())

    def finish(self, tensors: int, operators: int, buffers: int, inputs: int, outputs: int) -> bytes:
        b = self.b
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddBuiltinCode(b, tflite.BuiltinOperator.CONCATENATION)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, tflite.BuiltinOperator.CONCATENATION)
        codes = self.vector(tflite.OperatorCodeEnd(b), 1)
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors)
        tflite.SubGraphAddInputs(b, inputs)
        tflite.SubGraphAddOutputs(b, outputs)
        tflite.SubGraphAddOperators(b, operators)
        graphs = self.vector(tflite.SubGraphEnd(b), 1)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, codes)
        tflite.ModelAddSubgraphs(b, graphs)
        tflite.ModelAddBuffers(b, buffers)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())


def bomb(copies: int, references: int, name: int, scales: int) -> bytes:
    """`copies` operators that share one vector of `references` inputs; as many tensors that share one name and its scales."""
    bomb = Bomb()
    b = bomb.b
    text, scale = b.CreateString("n" * name), b.CreateNumpyVector(np.ones(scales, np.float32))
    shape = b.CreateNumpyVector(np.array([1, scales], np.int32))
    tflite.QuantizationParametersStart(b)
    tflite.QuantizationParametersAddScale(b, scale)
    tflite.QuantizationParametersAddQuantizedDimension(b, 1)
    quant = tflite.QuantizationParametersEnd(b)
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, tflite.TensorType.INT8)
    tflite.TensorAddName(b, text)
    tflite.TensorAddQuantization(b, quant)
    tflite.TensorAddBuffer(b, 1)
    tensors = bomb.vector(tflite.TensorEnd(b), copies)
    many = b.CreateNumpyVector(np.arange(references, dtype=np.int32) % copies)
    zero = b.CreateNumpyVector(np.array([0], np.int32))
    last = b.CreateNumpyVector(np.array([copies - 1], np.int32))
    tflite.OperatorStart(b)
    tflite.OperatorAddInputs(b, many)
    tflite.OperatorAddOutputs(b, last)
    operators = bomb.vector(tflite.OperatorEnd(b), copies)
    data = b.CreateNumpyVector(np.zeros(scales, np.uint8))
    tflite.BufferStart(b)
    tflite.BufferAddData(b, data)
    buffers = bomb.vector(tflite.BufferEnd(b), 2)
    return bomb.finish(tensors, operators, buffers, zero, last)


BOMBS = [
    (MAX_TABLES // 2 - 100, 10, 4, 1),
    (5000, 10, 16_000, 4),
    (5000, 20, 16_000, 100_000),
    (MAX_TABLES, 2, 4, 1),
    (10, 90_000, 16_000, 1),
]


@pytest.mark.parametrize(("copies", "references", "name", "scales"), BOMBS)
def test_shared_objects_do_not_multiply_work(copies: int, references: int, name: int, scales: int) -> None:
    data = bomb(copies, references, name, scales)
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(data)
    assert time.monotonic() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_the_longest_network_loads_in_time() -> None:
    count = 4900
    tensors = [T((1, 3), name=f"block/t{i}") for i in range(count + 1)]
    data = Net(tensors, [Op("ADD", [i, i], [i + 1], ("AddOptions", {})) for i in range(count)]).bytes()
    start = time.monotonic()
    assert len(load_tflite("m.tflite", data).nodes) == count
    assert time.monotonic() - start < SECONDS


def test_folding_constants_has_a_budget() -> None:
    big = const(np.ones((1, 2048, 1)), np.float32)
    tensors = [
        T((1, 3), name="x"),
        big,
        const(np.ones((1, 1, 2048)), np.float32),
        T((1, 2048, 2048), name="t0"),
        T((1, 3), name="y"),
    ]
    ops = [Op("ADD", [1, 2], [3], ("AddOptions", {}))]
    for i in range(40):
        tensors.append(T((1, 2048, 2048), name=f"t{i + 1}"))
        ops.append(Op("ADD", [len(tensors) - 2 if i else 3, 1], [len(tensors) - 1], ("AddOptions", {})))
    ops.append(Op("RELU", [0], [4]))
    text = refused(Net(tensors, ops, outputs=(4,)).bytes())
    assert "constants" in text
