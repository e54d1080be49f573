"""Whole small networks: equal to ONNX Runtime, then in w8a8 and fp16 under a profile; and what files may leave to their reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.loaders.onnx_blocks import IDS, STEPS, Block, decoder, encoder, mobilenet_block, tagger, unet
from tests.loaders.onnx_cases import ints, load, model, node, rand, runtime
from workbench.api import emulate
from workbench.errors import InputError, ModelError
from workbench.execute import check_inputs, run_reference
from workbench.graph.ir import Graph
from workbench.loaders import load_model
from workbench.loaders.onnx import load_onnx

NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "mobilenet": mobilenet_block, "encoder": encoder, "decoder": decoder, "lstm": lambda: tagger("LSTM"), "gru": lambda: tagger("GRU"),
    "unet": unet,
}  # fmt: skip


def feeds(graph: Graph, count: int) -> dict[str, np.ndarray]:
    """Return random numbers, token ids, and masks whose first places count."""
    found = {}
    for i, name in enumerate(graph.inputs):
        shape = (count, *graph.tensors[name].shape[1:])
        random = np.random.default_rng(i)
        if name == "mask":
            found[name] = (np.arange(STEPS) < random.integers(2, STEPS + 1, (count, 1))).astype(np.int64)
        elif graph.tensors[name].is_plain:
            found[name] = random.integers(0, IDS, shape)
        else:
            found[name] = random.uniform(-1, 1, shape).astype(np.float32)
    return found


def close(got: np.ndarray, want: np.ndarray, tolerance: float = 1e-5) -> None:
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * float(np.abs(want).max()))


def sqnr_db(got: np.ndarray, want: np.ndarray) -> float:
    error = float(((got.astype(np.float64) - want) ** 2).sum())
    return 10 * float(np.log10(float((want.astype(np.float64) ** 2).sum()) / error))


@pytest.mark.parametrize("name", NETWORKS)
def test_network_equals_onnxruntime_and_keeps_samples_apart(name: str, tmp_path: Path) -> None:
    proto = NETWORKS[name]()
    graph = load(proto, tmp_path)
    assert graph.fixed_batch is None
    feed = feeds(graph, 4)
    close(run_reference(graph, feed)[graph.outputs[0]], runtime(proto, feed)[0])


TARGETS = [("x86-vnni-onnxruntime", "w8a8", 12.0), ("nvidia-h100", "fp16", 45.0)]


@pytest.mark.parametrize(
    ("name", "profile", "plan", "least_db"),
    [(name, *target) for name in NETWORKS for target in TARGETS if (name, target[0]) != ("unet", "nvidia-h100")],
)
def test_network_runs_in_a_format_of_a_target(name: str, profile: str, plan: str, least_db: float, tmp_path: Path) -> None:
    graph = load(NETWORKS[name](), tmp_path)
    feed = feeds(graph, 16)
    layers = {n.name: "fp32" for n in graph.nodes if n.op == "transpose_conv2d"}  # no integer kernel there
    got = emulate(graph, feed, profile, {"default": plan, "layers": layers}, calibration=feed)
    want = run_reference(graph, feed)[graph.outputs[0]]
    assert sqnr_db(next(iter(got.values())).astype(np.float32), want) > least_db


# -- types of floats -------------------------------------------------------------------------------------------------------


def narrow(kind: int, array: np.ndarray, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(array.astype(helper.tensor_dtype_to_np_dtype(kind)), name)


def test_float16_file_becomes_float32_with_the_stored_values_and_keeps_its_inputs_and_outputs(tmp_path: Path) -> None:
    weights = rand(4, 8)
    kind = TensorProto.FLOAT16
    infos = [helper.make_tensor_value_info(n, kind, s) for n, s in (("x", ["N", 4]), ("y", None))]
    nodes = [node("MatMul", "x w", "a"), node("Cast", "a", "b", to=1), node("Cast", "b", "c", to=10), node("Tanh", "c", "y")]
    proto = helper.make_model(
        helper.make_graph(nodes, "half", infos[:1], infos[1:], [narrow(kind, weights, "w")]),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip
    graph = load(proto, tmp_path)
    assert graph.tensors["x"].dtype == graph.tensors["y"].dtype == "float16"
    layer = next(n for n in graph.nodes if n.op == "fully_connected")
    np.testing.assert_array_equal(graph.tensors[layer.inputs[1]].data, weights.astype(np.float16).astype(np.float32).T)
    x = rand(3, 4).astype(np.float16)
    got = run_reference(graph, check_inputs(graph, {"x": x}))["y"]
    assert got.dtype == np.float16
    close(got.astype(np.float32), runtime(proto, {"x": x})[0].astype(np.float32), 2e-3)
    for profile, plan in (("x86-vnni-onnxruntime", "w8a8"), ("nvidia-h100", "fp16")):
        made = emulate(graph, {"x": x}, profile, plan, calibration={"x": x})["y"]
        assert made.dtype == np.float16
        close(made.astype(np.float32), got.astype(np.float32), 0.1)


def test_bfloat16_and_exact_double_constants_are_read(tmp_path: Path) -> None:
    proto = model([node("Add", "x a", "b"), node("Mul", "b c", "y")], {"x": ("N", 4)}, {"c": np.array([0.5, 2.0, -4.0, 1.0])})
    proto.graph.initializer.append(narrow(TensorProto.BFLOAT16, np.array([0.1, 1, 2, 3], np.float32), "a"))
    graph = load(proto, tmp_path)
    x = rand(2, 4)
    want = (x + np.array([0.10009765625, 1, 2, 3], np.float32)) * np.array([0.5, 2.0, -4.0, 1.0], np.float32)
    np.testing.assert_array_equal(run_reference(graph, {"x": x})["y"], want)


# -- dimensions ------------------------------------------------------------------------------------------------------------


def sequence_model() -> onnx.ModelProto:
    return model(
        [node("Shape", "x", "s"), node("Softmax", "x", "p", axis=1), node("Reshape", "p s", "y")], {"x": ("batch", "seq", 4)}
    )


def test_symbolic_dimension_is_fixed_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(sequence_model().SerializeToString())
    graph = load_model(path, dims={"seq": 7})
    assert graph.tensors["x"].shape == (1, 7, 4)
    assert graph.fixed_batch is None
    x = rand(3, 7, 4)
    close(run_reference(graph, {"x": x})["y"], runtime(sequence_model(), {"x": x})[0])
    with pytest.raises(ModelError, match=r"symbolic \('seq'\).*dims.*--dim seq=16"):
        load_model(path)
    with pytest.raises(InputError, match=r"no dimension 'sequence'.*batch, seq"):
        load_model(path, dims={"sequence": 7})
    for size in (-1, 2**40, True, "7"):
        with pytest.raises(InputError, match="dims"):
            load_model(path, dims={"seq": size})  # type: ignore[dict-item]
    with pytest.raises(ModelError, match="dimension 1 is 0"):
        load_model(path, dims={"seq": 0})


def test_tflite_files_have_no_dimensions_to_fix(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\0" * 64)
    with pytest.raises(InputError, match="dims"):
        load_model(path, dims={"seq": 7})


def stateful() -> onnx.ModelProto:
    """A recurrent step as voice detectors have it: sound, a state [2, N, 3], and the sampling rate, which a condition reads."""
    b = Block()
    rate = b.op("Equal", "rate", np.int64(16000))
    branches = []
    for scale in (1.0, 0.5):
        inner = helper.make_node("Mul", ["sound", f"k{scale}"], ["scaled"])
        out = [helper.make_tensor_value_info("scaled", TensorProto.FLOAT, None)]
        branches.append(helper.make_graph([inner], "body", [], out, [numpy_helper.from_array(np.float32(scale), f"k{scale}")]))
    x = b.op("If", rate, then_branch=branches[0], else_branch=branches[1])
    h, c = b.op("Split", "state", ints(1, 1), outputs=2, axis=0)
    weights = [rand(1, 12, 5), rand(1, 12, 3), rand(1, 24)]
    _, h, c = b.op("LSTM", b.op("Unsqueeze", x, ints(0)), *weights, "", h, c, outputs=3, hidden_size=3)
    new = b.op("Concat", h, c, axis=0)
    b.nodes.append(helper.make_node("Identity", [new], ["state_out"]))
    y = b.op("Sigmoid", b.op("MatMul", h, rand(3, 1)))
    kinds = {"sound": (TensorProto.FLOAT, ("N", 5)), "state": (TensorProto.FLOAT, (2, "N", 3)), "rate": (TensorProto.INT64, ())}
    proto = b.build(y, kinds)
    proto.graph.output.append(helper.make_tensor_value_info("state_out", TensorProto.FLOAT, None))
    return proto


@pytest.mark.parametrize("rate", [16000, 8000])
def test_inputs_without_a_common_batch_make_one_run_a_sample(rate: int, tmp_path: Path) -> None:
    proto = stateful()
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    graph = load_onnx(path, {"N": 1, "rate": rate})
    assert graph.fixed_batch == 1
    assert graph.inputs == ("sound", "state")
    sound, state = rand(1, 5), rand(2, 1, 3)
    got = run_reference(graph, {"sound": sound[None], "state": state[None]})
    want = runtime(proto, {"sound": sound, "state": state, "rate": np.array(rate)})
    for name, expected in zip(graph.outputs, want, strict=True):
        close(got[name], expected[None])
    with pytest.raises(ModelError, match=r"'state'.*dimension 1 is symbolic"):
        load_onnx(path)
    with pytest.raises(ModelError, match=r"If.*depends on the model's input"):
        load_onnx(path, {"N": 1})


# -- branches, functions, sparse weights -----------------------------------------------------------------------------------


def chosen(condition: bool) -> onnx.ModelProto:
    """An If inside of an If; the inner branches read values of the graphs around them."""

    def graph(nodes: list[onnx.NodeProto], out: str, *constants: onnx.TensorProto) -> onnx.GraphProto:
        return helper.make_graph(nodes, "body", [], [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)], constants)

    inner = helper.make_node(
        "If", ["no"], ["i"], then_branch=graph([node("Neg", "t", "p")], "p"), else_branch=graph([node("Mul", "t k", "q")], "q")
    )
    three = numpy_helper.from_array(np.float32(3), "k")
    then = graph([node("Relu", "a", "t"), inner], "i", three)
    other = graph([node("Loud", "a", "z", domain="nobody.has.it")], "z") if condition else graph([node("Tanh", "a", "z")], "z")
    nodes = [node("Add", "x x", "a"), helper.make_node("If", ["c"], ["y"], "choice", then_branch=then, else_branch=other)]
    proto = model(nodes, {"x": ("N", 4)}, {"c": np.array(condition), "no": np.array(False)})
    proto.opset_import.append(helper.make_opsetid("nobody.has.it", 1))
    return proto


@pytest.mark.parametrize("condition", [True, False])
def test_branch_of_a_constant_condition_is_put_in_place(condition: bool, tmp_path: Path) -> None:
    graph = load(chosen(condition), tmp_path)
    x = rand(3, 4)
    want = np.maximum(x + x, 0) * np.float32(3) if condition else np.tanh(x + x)
    close(run_reference(graph, {"x": x})["y"], want)
    assert len({n.name for n in graph.nodes}) == len(graph.nodes)


def test_functions_of_the_file_are_put_in_place(tmp_path: Path) -> None:
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    twice = helper.make_function("mine", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], sets)
    scaled = helper.make_node("LeakyRelu", ["m"], ["b"])
    scaled.attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="slope"))
    body = [helper.make_node("Twice", ["a"], ["m"], domain="mine"), scaled]
    outer = helper.make_function("mine", "Outer", ["a"], ["b"], body, sets, ["slope"])
    nodes = [
        helper.make_node("Outer", ["x"], ["h"], domain="mine", slope=0.25),
        helper.make_node("Twice", ["h"], ["y"], domain="mine"),
    ]
    proto = model(nodes, {"x": ("N", 4)})
    proto.functions.extend([twice, outer])
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    x = rand(3, 4)
    graph = load(proto, tmp_path)
    close(run_reference(graph, {"x": x})["y"], runtime(proto, {"x": x})[0])


@pytest.mark.parametrize("flat", [True, False])
def test_sparse_weights_are_decoded(flat: bool, tmp_path: Path) -> None:
    dense = np.zeros((4, 3), np.float32)
    dense[[0, 1, 3], [2, 0, 1]] = [1.5, -2, 4]
    places = np.array([2, 3, 10]) if flat else np.array([[0, 2], [1, 0], [3, 1]])
    proto = model([node("MatMul", "x w", "y")], {"x": ("N", 4)})
    values = numpy_helper.from_array(np.array([1.5, -2, 4], np.float32), "w")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, numpy_helper.from_array(places), [4, 3]))
    x = rand(3, 4)
    close(run_reference(load(proto, tmp_path), {"x": x})["y"], x @ dense)


# -- gelu written out ------------------------------------------------------------------------------------------------------


def written_out(order: str, root: float, half: float) -> onnx.ModelProto:
    b = Block()
    inner = b.op("Add", b.op("Erf", b.op("Div", "x", np.float32(root))), np.float32(1))
    products = {
        "x first": lambda: b.op("Mul", b.op("Mul", "x", inner), np.float32(half)),
        "half x": lambda: b.op("Mul", b.op("Mul", "x", np.float32(half)), inner),
        "half first": lambda: b.op("Mul", b.op("Mul", inner, np.float32(half)), "x"),
        "read again": lambda: b.op("Add", b.op("Mul", b.op("Mul", "x", inner), np.float32(half)), inner),
    }  # fmt: skip
    return b.build(products[order](), {"x": (TensorProto.FLOAT, ("N", 7))})


@pytest.mark.parametrize(
    ("order", "root", "half", "fused"),
    [
        ("x first", np.sqrt(2.0), 0.5, True), ("half x", np.sqrt(2.0), 0.5, True), ("half first", np.sqrt(2.0), 0.5, True),
        ("x first", 1.4142, 0.5, False), ("half x", np.sqrt(2.0), 0.50001, False), ("read again", np.sqrt(2.0), 0.5, False),
    ],
)  # fmt: skip
def test_gelu_of_its_parts_becomes_one_operator_when_it_is_exactly_that(
    order: str, root: float, half: float, fused: bool, tmp_path: Path
) -> None:
    proto = written_out(order, root, half)
    graph = load(proto, tmp_path)
    assert ([n.op for n in graph.nodes] == ["gelu"]) is fused
    x = rand(5, 7, low=-4.0, high=4.0)
    close(run_reference(graph, {"x": x})[graph.outputs[0]], runtime(proto, {"x": x})[0])
