"""Graph passes: each keeps the numbers; what it must not touch it leaves alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from workbench.execute import run_reference
from workbench.graph.ir import Graph, Node, Tensor
from workbench.loaders.passes import (
    absorb_transposes,
    fold_batch_norm,
    fold_constants,
    fuse_activations,
    merge_reshapes,
    merge_transposes,
    remove_no_ops,
    simplify,
)
from workbench.ops import OPS
from workbench.tensor import QuantParams

RNG = np.random.default_rng(5)


class Draft:
    """A graph written line by line; shapes come from the operators."""

    def __init__(self, **inputs: tuple[int, ...]) -> None:
        self.tensors = {name: Tensor(name, shape, "float32") for name, shape in inputs.items()}
        self.inputs = tuple(inputs)
        self.nodes: list[Node] = []

    def const(self, name: str, *shape: int) -> str:
        data = RNG.uniform(-1, 1, shape).astype(np.float32)
        self.tensors[name] = Tensor(name, shape, "float32", data=data)
        return name

    def add(self, out: str, op: str, *inputs: str, **fields: Any) -> str:
        attrs = OPS[op].attrs(**fields)
        shape = OPS[op].infer_shape(attrs, [self.tensors[i].shape if i else () for i in inputs])[0]
        self.tensors[out] = Tensor(out, tuple(shape), "float32")
        self.nodes.append(Node(f"n_{out}", op, inputs, (out,), attrs))
        return out

    def graph(self, *outputs: str) -> Graph:
        return Graph("draft", tuple(self.nodes), self.tensors, self.inputs, outputs)


def same_numbers(before: Graph, after: Graph, tolerance: float = 1e-6) -> None:
    """Both graphs give the same outputs, under the same names and declared shapes, for three samples."""
    feed = {n: RNG.uniform(-1, 1, (3, *before.tensors[n].shape[1:])).astype(np.float32) for n in before.inputs}
    want, got = run_reference(before, feed), run_reference(after, feed)
    assert list(want) == list(got)
    for name, array in want.items():
        assert array.shape == got[name].shape
        np.testing.assert_allclose(got[name], array, rtol=0, atol=tolerance * max(1.0, float(np.abs(array).max())))
    assert {n for node in after.nodes for n in (*node.inputs, *node.outputs) if n} <= set(after.tensors)


def ops(graph: Graph) -> list[str]:
    return [n.op for n in graph.nodes]


LAYERS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "conv2d": ((6, 3, 3, 4), {}),
    "depthwise_conv2d": ((1, 3, 3, 8), {}),
    "transpose_conv2d": ((6, 3, 3, 4), {"stride": (2, 2)}),
    "fully_connected": ((5, 4), {}),
}


def layer(op: str, bias: bool = True) -> tuple[Draft, int]:
    d = Draft(x=(1, 6, 5, 4))
    shape, fields = LAYERS[op]
    channels = shape[3] if op == "depthwise_conv2d" else shape[0]
    d.add("c", op, "x", d.const("w", *shape), d.const("b", channels) if bias else "", **fields)
    return d, channels


# -- fuse_activations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high", "name"), [(0, math.inf, "relu"), (0, 6, "relu6"), (-1, 1, "relu_n1_to_1")])
@pytest.mark.parametrize("op", LAYERS)
def test_activation_moves_into_the_layer_before_it(op: str, low: float, high: float, name: str) -> None:
    d, _ = layer(op)
    d.add("r", "relu", "c", minimum=float(low), maximum=float(high))
    before = d.graph("r")
    after = fuse_activations(before)
    assert [(n.name, n.outputs, n.attrs.activation) for n in after.nodes] == [("n_c", ("r",), name)]
    assert "c" not in after.tensors
    same_numbers(before, after)


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
def test_activation_moves_into_elementwise_operators(op: str) -> None:
    d = Draft(x=(1, 4), z=(1, 4))
    d.add("r", "relu", d.add("s", op, "x", "z"))
    before = d.graph("r")
    after = fuse_activations(before)
    assert ops(after) == [op]
    same_numbers(before, after)


@pytest.mark.parametrize("op", ["avg_pool2d", "max_pool2d"])
def test_activation_moves_into_pools(op: str) -> None:
    d = Draft(x=(1, 6, 6, 4))
    d.add("r", "relu", d.add("p", op, "x", filter=(2, 2), stride=(2, 2), pads=(0, 0, 0, 0)))
    before = d.graph("r")
    after = fuse_activations(before)
    assert ops(after) == [op]
    same_numbers(before, after)


def test_activation_stays_when_others_read_what_is_before_it() -> None:
    d, _ = layer("conv2d")
    d.add("y", "add", d.add("r", "relu", "c"), "c")
    assert ops(fuse_activations(d.graph("y"))) == ["conv2d", "relu", "add"]


def test_activation_stays_when_what_is_before_it_is_an_output() -> None:
    d, _ = layer("conv2d")
    d.add("r", "relu", "c")
    assert ops(fuse_activations(d.graph("r", "c"))) == ["conv2d", "relu"]


def test_activation_stays_after_another_activation_or_with_other_limits() -> None:
    d, _ = layer("conv2d")
    d.add("s", "relu", d.add("r", "relu", "c", minimum=0.0, maximum=5.0))
    assert ops(fuse_activations(d.graph("s"))) == ["conv2d", "relu", "relu"]
    d, _ = layer("conv2d")
    d.add("s", "relu", d.add("r", "relu", "c"), minimum=0.0, maximum=6.0)
    after = fuse_activations(d.graph("s"))
    assert ops(after) == ["conv2d", "relu"]
    same_numbers(d.graph("s"), after)


def test_activation_of_a_quantized_graph_stays() -> None:
    d, _ = layer("conv2d")
    d.add("r", "relu", "c")
    d.tensors["r"] = Tensor("r", d.tensors["r"].shape, "int8", QuantParams.per_tensor(0.1))
    assert ops(fuse_activations(d.graph("r"))) == ["conv2d", "relu"]


# -- fold_batch_norm -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("op", LAYERS)
def test_batch_norm_folds_into_the_layer_before_it(op: str, bias: bool) -> None:
    d, channels = layer(op, bias)
    d.add("m", "mul", "c", d.const("a", channels))
    d.add("y", "add", d.const("s", channels), "m", activation="relu6")
    before = d.graph("y")
    after = fold_batch_norm(before)
    assert [(n.name, n.op, n.outputs, n.attrs.activation) for n in after.nodes] == [("n_c", op, ("y",), "relu6")]
    assert len(after.tensors) == 4
    same_numbers(before, after)


@pytest.mark.parametrize(("op", "swap"), [("sub", False), ("sub", True), ("mul", True), ("add", False)])
@pytest.mark.parametrize("shape", [(6,), (1,), (1, 1, 1, 6), (1, 1)])
def test_every_affine_form_folds(op: str, swap: bool, shape: tuple[int, ...]) -> None:
    d, _ = layer("conv2d")
    inputs = ("c", d.const("k", *shape))
    d.add("y", op, *(inputs[::-1] if swap else inputs))
    before = d.graph("y")
    after = fold_batch_norm(before)
    assert ops(after) == ["conv2d"]
    same_numbers(before, after)


@pytest.mark.parametrize("shape", [(5, 1), (4, 1, 1), (4, 3, 6), (2, 1, 1, 6)])
def test_constant_that_is_not_per_channel_does_not_fold(shape: tuple[int, ...]) -> None:
    d, _ = layer("conv2d")
    shape = tuple(3 if s == 5 else s for s in shape)
    d.add("y", "mul", "c", d.const("k", *shape))
    assert ops(fold_batch_norm(d.graph("y"))) == ["conv2d", "mul"]


def test_batch_norm_does_not_fold_past_an_activation_a_second_reader_or_an_output() -> None:
    d, _ = layer("conv2d")
    d.add("m", "mul", "c", d.const("a", 6))
    d.add("y", "add", "m", "c")
    assert ops(fold_batch_norm(d.graph("y"))) == ["conv2d", "mul", "add"]
    assert ops(fold_batch_norm(d.graph("m", "c"))) == ["conv2d", "mul"]
    d = Draft(x=(1, 6, 5, 4))
    d.add("c", "conv2d", "x", d.const("w", 6, 3, 3, 4), "", activation="relu")
    d.add("y", "mul", "c", d.const("a", 6))
    assert ops(fold_batch_norm(d.graph("y"))) == ["conv2d", "mul"]


def test_weights_shared_by_two_layers_are_not_changed_for_the_other() -> None:
    d, _ = layer("conv2d")
    d.add("e", "conv2d", "x", "w", "b")
    d.add("y", "add", d.add("m", "mul", "c", d.const("a", 6)), "e")
    before = d.graph("y")
    after = fold_batch_norm(before)
    assert ops(after).count("mul") == 0
    same_numbers(before, after)


def test_folding_that_would_overflow_is_left_alone() -> None:
    d, _ = layer("conv2d")
    d.tensors["k"] = Tensor("k", (1,), "float32", data=np.array([3e38], np.float32))
    d.tensors["w"] = Tensor("w", (6, 3, 3, 4), "float32", data=np.full((6, 3, 3, 4), 10, np.float32))
    d.add("y", "mul", "c", "k")
    assert ops(fold_batch_norm(d.graph("y"))) == ["conv2d", "mul"]


# -- shapes ----------------------------------------------------------------------------------------------------------------


def test_transpose_pairs_cancel() -> None:
    d = Draft(x=(1, 3, 4, 5))
    d.add("b", "transpose", d.add("a", "transpose", "x", perm=(0, 2, 3, 1)), perm=(0, 3, 1, 2))
    d.add("y", "relu", "b")
    before = d.graph("y")
    after = merge_transposes(before)
    assert ops(after) == ["relu"]
    same_numbers(before, after)


def test_transposes_in_a_row_become_one_and_the_first_stays_for_others() -> None:
    d = Draft(x=(1, 3, 4, 5))
    d.add("b", "transpose", d.add("a", "transpose", "x", perm=(0, 2, 3, 1)), perm=(0, 2, 1, 3))
    before = d.graph("b")
    after = merge_transposes(before)
    assert [n.attrs.perm for n in after.nodes] == [(0, 3, 2, 1)]
    same_numbers(before, after)
    both = d.graph("b", "a")
    assert ops(merge_transposes(both)) == ["transpose", "transpose"]
    same_numbers(both, merge_transposes(both))


def test_transpose_of_unit_axes_is_a_reshape_but_never_of_the_batch() -> None:
    d = Draft(x=(1, 1, 4, 5))
    before = d.graph(d.add("y", "transpose", "x", perm=(0, 2, 3, 1)))
    after = merge_transposes(before)
    assert ops(after) == ["reshape"]
    same_numbers(before, after)
    d = Draft(x=(1, 1, 4, 5))
    assert ops(merge_transposes(d.graph(d.add("y", "transpose", "x", perm=(1, 0, 2, 3))))) == ["transpose"]


def test_reshapes_in_a_row_become_one_and_same_shape_disappears() -> None:
    d = Draft(x=(1, 3, 4))
    d.add("c", "tanh", d.add("b", "reshape", d.add("a", "reshape", "x", shape=(-1, 12)), shape=(-1, 4, 3)))
    before = d.graph("c")
    after = merge_reshapes(before)
    assert ops(after) == ["reshape", "tanh"]
    same_numbers(before, after)
    d = Draft(x=(1, 3, 4))
    d.add("c", "tanh", d.add("b", "reshape", d.add("a", "reshape", "x", shape=(-1, 12)), shape=(-1, 3, 4)))
    assert ops(merge_reshapes(d.graph("c"))) == ["tanh"]


def test_no_op_that_is_an_output_gives_its_name_to_the_node_before() -> None:
    d = Draft(x=(1, 3, 4))
    d.add("y", "reshape", d.add("a", "tanh", "x"), shape=(-1, 3, 4))
    before = d.graph("y")
    after = remove_no_ops(before)
    assert [(n.op, n.outputs) for n in after.nodes] == [("tanh", ("y",))]
    same_numbers(before, after)


def test_no_op_between_an_input_and_an_output_stays() -> None:
    d = Draft(x=(1, 3, 4))
    before = d.graph(d.add("y", "reshape", "x", shape=(-1, 3, 4)))
    assert ops(remove_no_ops(before)) == ["reshape"]


def test_transpose_before_flatten_goes_into_the_weights() -> None:
    d = Draft(x=(1, 3, 4, 5))
    d.add("f", "reshape", d.add("t", "transpose", "x", perm=(0, 3, 1, 2)), shape=(-1, 60))
    d.add("s", "mul", d.add("a", "tanh", "f"), d.const("k", 60))
    d.add("y", "fully_connected", "s", d.const("w", 7, 60), d.const("b", 7))
    before = d.graph("y")
    after = absorb_transposes(before)
    assert ops(after) == ["reshape", "tanh", "mul", "fully_connected"]
    same_numbers(before, after)


@pytest.mark.parametrize("other", ["softmax", "mean", "output"])
def test_transpose_before_flatten_stays_when_somebody_sees_the_order(other: str) -> None:
    d = Draft(x=(1, 3, 4, 5))
    d.add("f", "reshape", d.add("t", "transpose", "x", perm=(0, 3, 1, 2)), shape=(-1, 60))
    d.add("y", "fully_connected", "f", d.const("w", 7, 60), "")
    if other == "softmax":
        d.add("z", "softmax", "f")
    elif other == "mean":
        d.add("z", "mean", "f", axes=(1,), keep_dims=True)
    before = d.graph("y", "f" if other == "output" else "z")
    after = absorb_transposes(before)
    assert "transpose" in ops(after)
    same_numbers(before, after)


def test_constants_are_folded() -> None:
    d = Draft(x=(1, 4))
    d.add("k", "add", d.const("a", 4), d.const("b", 4))
    d.add("y", "mul", "x", d.add("l", "tanh", "k"))
    before = d.graph("y")
    after = fold_constants(before)
    assert ops(after) == ["mul"]
    same_numbers(before, after)


def test_dequantize_of_a_constant_is_folded() -> None:
    d = Draft(x=(1, 4))
    q = QuantParams.per_tensor(0.5, 1)
    d.tensors["q"] = Tensor("q", (4,), "int8", q, np.array([1, 3, -5, 7], np.int8))
    d.add("y", "mul", "x", d.add("k", "dequantize", "q"))
    after = fold_constants(d.graph("y"))
    assert ops(after) == ["mul"]
    constant = after.tensors["k"].data
    assert constant is not None
    np.testing.assert_array_equal(constant, np.array([0, 1, -3, 3], np.float32))


def test_simplify_keeps_names_order_and_numbers_of_a_network() -> None:
    d = Draft(x=(1, 4, 6, 5))
    d.add("t", "transpose", "x", perm=(0, 2, 3, 1))
    d.add("c", "conv2d", "t", d.const("w", 6, 3, 3, 4), d.const("b", 6))
    d.add("r", "relu", d.add("n", "add", d.add("m", "mul", "c", d.const("a", 6)), d.const("s", 6)))
    d.add("f", "reshape", d.add("u", "transpose", "r", perm=(0, 3, 1, 2)), shape=(-1, 72))
    d.add("y", "fully_connected", "f", d.const("v", 3, 72), "")
    before = d.graph("y")
    after = simplify(before)
    assert [n.name for n in after.nodes] == ["n_t", "n_c", "n_f", "n_y"]
    same_numbers(before, after)
