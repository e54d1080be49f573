"""Transposed convolutions and LSTMs of `.tflite` files: what is read, and what is refused, where and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.lstm_nets import LstmNet
from workbench.errors import ModelError, UnsupportedError
from workbench.execute import prepare, run_reference
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite
from workbench.ops.lstm import LstmAttrs
from workbench.ops.transpose_conv2d import TransposeConv2dAttrs

WEIGHTS = np.random.default_rng(1).normal(size=(6, 3, 2, 4)).astype(np.float32)


def transposed(shape: Any, padding: int = 0, stride: tuple[int, int] = (2, 2), x: Any = (1, 4, 5, 4), code: int = 0) -> Net:
    options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1], "FusedActivationFunction": code}
    tensors = [const(shape, np.int32), const(WEIGHTS), T(x, name="x"), T(tuple(shape), name="y")]
    return Net(tensors, [Op("TRANSPOSE_CONV", [0, 1, 2], [3], ("TransposeConvOptions", options))], [2])


def load(net: Net) -> Graph:
    return load_tflite("model.tflite", net.bytes())


@pytest.mark.parametrize(
    ("net", "attrs"),
    [
        (transposed((1, 8, 10, 6)), TransposeConv2dAttrs((2, 2), (1, 1), (0, 0, 1, 0), (0, 0), same=True)),
        (transposed((1, 7, 9, 6)), TransposeConv2dAttrs((2, 2), (1, 1), (1, 0, 1, 1), (0, 0), same=True)),
        (transposed((1, 9, 10, 6), 1), TransposeConv2dAttrs((2, 2))),
        (transposed((1, 10, 11, 6), 1), TransposeConv2dAttrs((2, 2), output_padding=(1, 1))),
        (transposed((1, 4, 15, 6), 0, (1, 3)), TransposeConv2dAttrs((1, 3), (1, 1), (1, 0, 1, 0), (0, 1), same=True)),
        (transposed((1, 8, 10, 6), code=3), TransposeConv2dAttrs((2, 2), (1, 1), (0, 0, 1, 0), activation="relu6", same=True)),
    ],
    ids=["same", "same_smaller", "valid", "valid_larger", "same_kernel_below_stride", "relu6"],
)
def test_transposed_geometry(net: Net, attrs: TransposeConv2dAttrs) -> None:
    graph = load(net)
    assert graph.nodes[0].attrs == attrs and graph.fixed_batch is None
    (y,) = run_reference(graph, {"x": np.ones((3, *graph.tensors["x"].shape[1:]), np.float32)}).values()
    assert y.shape == (3, *net.tensors[3].shape[1:])


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (transposed((1, 11, 10, 6)), ("output of [11, 10]", "stride (2, 2)")),
        (transposed((1, 8, 12, 6), 1), ("output of [8, 12]",)),
        (transposed((1, 8, 10, 6), 7), ("padding 7", "SAME or VALID")),
        (transposed((1, 8, 10, 6), stride=(0, 2)), ("stride (0, 2)",)),
        (transposed((1, 8, 10, 6), x=(1, 4, 5, 3)), ("3 input channels",)),
        (transposed((1, 8, 10, 5)), ("[1, 8, 10, 6]", "[1, 8, 10, 5]")),
    ],
)
def test_transposed_refusals(net: Net, words: tuple[str, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        load(net)
    assert all(word in str(caught.value) for word in (*words, "TRANSPOSE_CONV #0"))


INT8 = LstmNet((2, 5, 3), 4, cell_log2=-12, clip=2.0)
FLOAT = LstmNet((2, 5, 3), 4, "float32")


def test_lstm_becomes_one_layer() -> None:
    graph = load(INT8.net())
    (node,) = graph.nodes
    assert node.attrs == LstmAttrs(False, 2.0, -12, float(np.float32(0.0065)), 5)
    x, w, bias, r, h, c = (graph.tensors[name] for name in node.inputs)
    assert (w.shape, bias.shape, r.shape) == ((16, 3), (16,), (16, 4))
    assert w.quant is not None and w.quant.axis == 0 and len(np.unique(w.quant.scale)) == 4
    assert graph.fixed_batch == 2 and graph.inputs == ("x",) and x.shape == (2, 5, 3)
    assert (h.shape, c.shape) == ((2, 4), (2, 4)) and node.outputs[1:] == tuple(s.write for s in graph.states)
    assert [s.initial.tolist() for s in graph.states] == [[[-4] * 4] * 2, [[0] * 4] * 2]


def test_lstm_of_time_major_runs_in_its_declared_shape() -> None:
    assert load(LstmNet((5, 2, 3), 4, time_major=True).net()).fixed_batch == 5


def test_lstm_states_begin_at_zero_for_every_stream_and_stay_within_it() -> None:
    graph = load(replace(FLOAT, shape=(1, 5, 3)).net())
    x = np.random.default_rng(2).normal(size=(1, 5, 3)).astype(np.float32)
    (y,) = run_reference(graph, {"x": np.repeat(x, 6, axis=0)[:, np.newaxis]}).values()
    assert y.shape == (6, 1, 5, 4) and (y == y[:1]).all()
    (y,) = run_reference(graph, {"x": np.repeat(x, 6, axis=0)}).values()
    assert (y[1:] != y[:-1]).any(axis=(1, 2)).all()


def vector(dtype: Any = np.int16, *shape: int) -> T:
    return const(np.ones(shape or (4,)), dtype, scale=[0.1], zero=[0])


STATE = T((2, 4), np.int8, "h", scale=[0.5], zero=[0], variable=True)
REFUSED = {
    "peephole": (INT8, {10: vector()}, ("peephole",)),
    "projection": (INT8, {16: vector(np.int8, 4, 4)}, ("projection",)),
    "layer_norm": (INT8, {21: vector()}, ("layer normalization",)),
    "coupled": (INT8, {1: None, 5: None, 12: None}, ("input gate",)),
    "weights_shape": (INT8, {2: vector(np.int8, 4, 2)}, ("[4, 2]", "[4, 3]")),
    "weights_type": (FLOAT, {3: const(np.ones((4, 3)), np.float16)}, ("float16",)),
    "bias_type": (INT8, {13: const(np.ones(4), np.int64)}, ("int64", "int32")),
    "no_state": (INT8, {18: None}, ("a state of its own (input 18)",)),
    "constant_state": (INT8, {19: T((2, 4), np.int16, "c", scale=[2.0**-11], zero=[0])}, ("not declared a variable",)),
    "cell_type": (INT8, {19: T((2, 4), np.int8, "c", scale=[2.0**-11], zero=[0], variable=True)}, ("expected int16",)),
    "cell_scale": (INT8, {19: T((2, 4), np.int16, "c", scale=[0.001], zero=[0], variable=True)}, ("power of two",)),
    "hidden_shape": (INT8, {18: replace(STATE, shape=(9, 9))}, ("[9, 9]", "8 elements")),
    "cell_shape": (FLOAT, {19: T((7,), np.float32, "c", variable=True)}, ("[7]", "8 elements")),
    "hidden_scale": (INT8, {18: STATE}, ("scale and zero point of the output",)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_lstm_refusals(name: str) -> None:
    net, changes, words = REFUSED[name]
    with pytest.raises(ModelError) as caught:
        load(replace(net, changes=changes).net())
    assert all(word in str(caught.value) for word in (*words, "UNIDIRECTIONAL_SEQUENCE_LSTM #0"))


@pytest.mark.parametrize("shape", [(), (4,), (2, 2, 4)])
def test_recurrent_weights_are_matrices(shape: tuple[int, ...]) -> None:
    changed = dict.fromkeys((5, 6, 7, 8), T(shape, np.int8, "r", scale=[0.1], zero=[0], data=np.ones(shape, np.int8)))
    with pytest.raises(ModelError, match="expected a matrix"):
        load(replace(INT8, changes=changed).net())


@pytest.mark.parametrize(("count", "fits"), [(0, True), (2, False), (5, True), (12, False)])
def test_an_integer_lstm_has_five_intermediates_or_none(count: int, fits: bool) -> None:
    net = INT8.net()
    every = [*net.ops[0].intermediates]
    net.ops[0].intermediates = (every * 3)[:count]
    if not fits:
        with pytest.raises(ModelError, match=f"has {count} intermediates; expected 5"):
            load(net)
        return
    graph = load(net)
    assert (graph.nodes[0].attrs.hidden_scale == 0) == (count == 0)
    prepare(graph, load_profile("stm32l4r5-cortex-m4-tflm"))
    if count == 0:
        with pytest.raises(UnsupportedError, match="hidden state has scale 0"):
            prepare(graph, load_profile("x86-litert-reference"))


def test_two_lstms_cannot_share_a_state() -> None:
    net = FLOAT.net()
    op, last = net.ops[0], len(net.tensors)
    net.tensors.append(T((2, 5, 4), name="z"))
    first = net.tensors[op.inputs[0]]
    again = Op(op.kind, list(op.inputs), [last], op.options)
    both = Net(net.tensors, [op, again], [op.inputs[0]], [op.outputs[0], last])
    assert first.name == "x"
    with pytest.raises(ModelError, match="a state of its own"):
        load(both)


def test_other_operators_do_not_see_a_state() -> None:
    net = FLOAT.net()
    op, last = net.ops[0], len(net.tensors)
    net.tensors.append(T((2, 4), name="z"))
    net.ops.append(Op("TANH", [op.inputs[18]], [last]))
    net.outputs = (op.outputs[0], last)
    with pytest.raises(ModelError, match="is a variable"):
        load(net)
