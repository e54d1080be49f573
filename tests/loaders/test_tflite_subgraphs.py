"""Several subgraphs, signatures, variables, dynamic sizes of `.tflite` files: what is read, and what is refused, where and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite
from typer.testing import CliRunner

from tests.loaders.tflite_writer import Net, Op, Signature, T, const
from tests.operators.cases_state import branch, conditional
from tests.stream_nets import CALL_ONCE, delay_line, handle, initialization, running_sum, var_handle
from workbench.cli import app
from workbench.errors import InputError, ModelError
from workbench.execute import run_reference
from workbench.graph.ir import Graph
from workbench.loaders import load_model
from workbench.loaders.tflite import load_tflite

X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)


def load(net: Net, signature: str | None = None) -> Graph:
    return load_tflite("model.tflite", net.bytes(), signature)


def relu(name: str = "a") -> Net:
    return Net([T((1, 4), name=name), T((1, 4), name="b")], [Op("RELU", [0], [1])])


def result(graph: Graph) -> np.ndarray:
    (y,) = run_reference(graph, {graph.inputs[0]: X}).values()
    return y


# -- signatures ---------------------------------------------------------------------------------------------------------------

TWO = replace(
    relu(), others=[Net([T((1, 4), name="c"), T((1, 4), name="d")], [Op("TANH", [0], [1])])],
    signatures=[Signature("clip", 0, {"left": 0}, {"y": 1}), Signature("squash", 1, {"left": 0}, {"y": 1})],
)  # fmt: skip


@pytest.mark.parametrize(("signature", "want"), [(None, np.maximum(X, 0)), ("clip", np.maximum(X, 0)), ("squash", np.tanh(X))])
def test_a_signature_names_the_network(signature: str | None, want: np.ndarray) -> None:
    graph = load(TWO, signature)
    np.testing.assert_allclose(result(graph), want, atol=1e-6)
    if signature is not None:
        assert graph.input_names == {"left": graph.inputs[0]}


def test_serving_default_is_the_default() -> None:
    served = replace(TWO, signatures=[Signature("a"), Signature("serving_default", 1)])
    np.testing.assert_allclose(result(load(served)), np.tanh(X), atol=1e-6)


def test_an_unknown_signature_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"has no signature 'squish'\. Did you mean 'squash'") as caught:
        load(TWO, "squish")
    assert "'clip', 'squash'" in str(caught.value)
    with pytest.raises(InputError, match="The file has none"):
        load(relu(), "any")


def test_a_signature_of_a_missing_subgraph_is_refused() -> None:
    with pytest.raises(ModelError, match="subgraph 7 of 1"):
        load(replace(relu(), signatures=[Signature("serving_default", 7)]))


# -- other subgraphs ----------------------------------------------------------------------------------------------------------


def called(others: list[Net], index: int = 1) -> Net:
    tensors = [T((1, 4), name="x"), T((1, 4), name="y")]
    return Net(tensors, [Op("CALL", [0], [1], ("CallOptions", {"Subgraph": index}))], others=others)


def test_a_call_is_put_in_place() -> None:
    inner = Net([T((1, 4)), T((1, 4))], [Op("CALL", [0], [1], ("CallOptions", {"Subgraph": 2}))])
    graph = load(called([inner, branch(lambda x: Op("ABS", x, [1], ("AbsOptions", {})))]))
    np.testing.assert_array_equal(result(graph), np.abs(X))
    assert [n.op for n in graph.nodes] == ["abs"]


@pytest.mark.parametrize("condition", [True, False])
def test_a_constant_condition_chooses_its_branch(condition: bool) -> None:
    graph = load(conditional(condition))
    assert [n.op for n in graph.nodes] == ["tanh" if condition else "abs"]


def test_a_branch_that_is_not_taken_may_hold_anything() -> None:
    net = conditional(True)
    net.others = [net.others[0], branch(lambda x: Op("RFFT2D", x, [1]))]
    assert [n.op for n in load(net).nodes] == ["tanh"]


def _doubling(depth: int) -> Net:
    """Return subgraphs of which each calls the next one 8 times."""
    tensors = [T((1, 4)) for _ in range(9)]
    nets = [
        Net(tensors, [Op("CALL", [i], [i + 1], ("CallOptions", {"Subgraph": d})) for i in range(8)], (0,), (8,))
        for d in range(1, depth)
    ]
    return replace(nets[0], others=[*nets[1:], relu()])


def computed_condition() -> Net:
    net = conditional(True)
    net.tensors[1] = T((1, 1), np.bool_, "c")
    net.inputs = (0, 1)
    return net


REFUSED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "recursion": (lambda: called([called([], 1)]), ("CALL #0", "subgraph 1", "runs itself")),
    "main": (lambda: called([], 0), ("runs subgraph 0", "runs itself")),
    "missing": (lambda: called([], 5), ("subgraph 5 of 1",)),
    "doubling": (lambda: _doubling(8), ("more than 5000 operators of other subgraphs",)),
    "arity": (lambda: called([replace(relu(), inputs=(0, 1))]), ("subgraph 1 has 2 inputs and 1 outputs",)),
    "shape": (lambda: called([Net([T((1, 3)), T((1, 3))], [Op("RELU", [0], [1])])]), ("takes float32 [1, 3]",)),
    "unknown": (lambda: called([branch(lambda x: Op("RFFT2D", x, [1]))]), ("subgraph 1: RFFT2D #0 is not supported",)),
    "while": (
        lambda: Net([T((1, 4), name="x"), T((1, 4))], [Op("WHILE", [0], [1], ("WhileOptions", {}))]), ("WHILE #0", "unroll")
    ),
    "condition": (computed_condition, ("IF #0", "computed by the network", "SELECT_V2")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_subgraphs_refused(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(ModelError) as caught:
        load(make())
    assert all(word in str(caught.value) for word in words), str(caught.value)


# -- variables ----------------------------------------------------------------------------------------------------------------


def test_initial_values_come_from_the_subgraph_that_runs_once() -> None:
    (state,) = load(delay_line(start=0.25)).states
    assert state.name == "frames" and state.initial.tolist() == [[0.25] * 8] and state.initial.dtype == np.float32


def test_a_variable_that_is_never_written_is_a_constant() -> None:
    net = running_sum()
    net.ops = net.ops[:-1]
    graph = load(net)
    assert not graph.states
    (y,) = run_reference(graph, {"x": X[:, :3]}).values()
    np.testing.assert_array_equal(y, X[:, :3] + 1)


def test_a_variable_that_no_output_needs_is_dropped() -> None:
    net = delay_line()
    net.tensors += [T((1, 4), name="z")]
    net.ops += [Op("RELU", [0], [11])]
    net.outputs = (11,)
    graph = load(net)
    assert not graph.states and [n.op for n in graph.nodes] == ["relu"]


def test_what_is_read_after_an_assignment_is_the_new_value() -> None:
    net = running_sum()
    net.tensors += [T((1, 3), name="again"), T((1, 3), name="z")]
    net.ops += [Op("READ_VARIABLE", [1], [4]), Op("RELU", [4], [5])]
    net.outputs = (5,)
    (y,) = run_reference(load(net), {"x": np.ones((3, 3), np.float32)}).values()
    assert y[:, 0].tolist() == [2, 3, 4]


def test_an_input_and_the_state_itself_can_be_kept_and_put_out() -> None:
    """y = the last x: the variable is an output, and an input is assigned to it."""
    tensors = [T((1, 3), name="x"), handle("last"), T((1, 3), name="y")]
    ops = [CALL_ONCE, var_handle(1, "last"), Op("READ_VARIABLE", [1], [2]), Op("ASSIGN_VARIABLE", [1, 0], [])]
    graph = load(Net(tensors, ops, (0,), (2,), others=[initialization({"last": const(np.full((1, 3), 9), np.float32)})]))
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    (y,) = run_reference(graph, {"x": x}).values()
    np.testing.assert_array_equal(y, np.concatenate([np.full((1, 3), 9), x[:-1]]))
    (y,) = run_reference(graph, {"x": np.stack([x, -x])}).values()
    np.testing.assert_array_equal(y[1, 1:], -x[:-1])


def without_initialization() -> Net:
    net = delay_line()
    net.ops = net.ops[1:]
    return net


def other_shape() -> Net:
    return replace(delay_line(), others=[initialization({"frames": const(np.zeros((1, 7)), np.float32)})])


def no_handle() -> Net:
    net = running_sum()
    net.ops = [op for op in net.ops if op.kind != "VAR_HANDLE"]
    net.tensors[1] = T((1, 3), name="v")
    return net


def constant_assigned() -> Net:
    net = running_sum()
    net.tensors += [const(np.zeros((1, 3)), np.float32)]
    net.ops[-1] = Op("ASSIGN_VARIABLE", [1, 4], [])
    return net


VARIABLES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "uninitialized": (without_initialization, ("READ_VARIABLE #1", "'frames' is read before anything is assigned")),
    "shape": (other_shape, ("READ_VARIABLE #2", "[1, 7]", "[1, 8]")),
    "no_handle": (no_handle, ("READ_VARIABLE #1", "")),
    "constant": (constant_assigned, ("ASSIGN_VARIABLE #4", "assigns a constant")),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_refused(name: str) -> None:
    make, words = VARIABLES[name]
    with pytest.raises(ModelError) as caught:
        load(make())
    assert all(word in str(caught.value) for word in words), str(caught.value)


# -- files ----------------------------------------------------------------------------------------------------------------------


def test_a_damaged_subgraph_is_named() -> None:
    data = bytearray(delay_line().bytes())
    model = tflite.Model.GetRootAs(bytes(data), 0)
    position = model.Subgraphs(1)._tab.Pos
    data[position : position + 4] = b"\xff\xff\xff\x7f"
    with pytest.raises(ModelError, match="subgraph #1"):
        load_tflite("model.tflite", bytes(data))


def test_constants_of_any_subgraph_may_lie_behind_the_tables() -> None:
    net = delay_line(start=0.5)
    initial = np.full((1, 8), 0.5, np.float32).tobytes()
    size = len(net.bytes())
    for _ in range(4):  # the offset is part of the file, whose length it may change
        inside = initialization({"frames": T((1, 8), np.float32, behind=(size, len(initial)))})
        moved = replace(net, others=[inside], tail=initial)
        size = len(moved.bytes()) - len(initial)
    assert load(moved).states[0].initial.tolist() == [[0.5] * 8]


def test_a_dynamic_batch_runs_any_number_of_samples_and_other_dynamic_sizes_are_refused() -> None:
    net = relu()
    net.tensors = [replace(t, signature=(-1, 4)) for t in net.tensors]
    np.testing.assert_array_equal(result(load(net)), np.maximum(X, 0))
    net.tensors = [replace(t, signature=(1, -1)) for t in net.tensors]
    with pytest.raises(ModelError, match="Export the model with fixed input sizes"):
        load(net)


def test_unnamed_tensors_get_names() -> None:
    net = delay_line()
    net.tensors = [replace(t, name="") for t in net.tensors]
    graph = load(net)
    assert len(set(graph.tensors)) == len(graph.tensors) and all(graph.tensors)


def test_the_command_line_takes_a_signature(tmp_path: Path) -> None:
    model, data, out = tmp_path / "two.tflite", tmp_path / "x.npz", tmp_path / "y.npz"
    model.write_bytes(TWO.bytes())
    np.savez(data, left=X)
    words = ["emulate", str(model), "--profile", "x86-litert-reference", "--data", str(data), "--out", str(out)]
    found = CliRunner().invoke(app, [*words, "--signature", "squash"])
    assert found.exit_code == 0, found.output
    np.testing.assert_allclose(np.load(out)["d"], np.tanh(X), atol=1e-6)
    assert CliRunner().invoke(app, ["inspect", str(model), "--signature", "clip"]).exit_code == 0
    onnx = tmp_path / "m.onnx"
    onnx.write_bytes(b"")
    with pytest.raises(InputError, match="an ONNX file has one"):
        load_model(onnx, "squash")
