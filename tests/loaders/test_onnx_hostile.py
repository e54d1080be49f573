"""Damaged, hostile and unsupported ONNX files: one clear ModelError, nothing on the terminal, no partial result."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from tests.loaders.onnx_cases import ints, load, model, node, rand
from workbench.errors import ModelError
from workbench.graph.ir import Graph
from workbench.loaders.onnx import load_onnx

VECTOR = {"x": ("N", 4)}
IMAGE = {"x": ("N", 3, 6, 6)}


def gemm() -> onnx.ModelProto:
    return model([node("Gemm", "x w", "y", "dense")], VECTOR, {"w": rand(4, 2)})


def network() -> onnx.ModelProto:
    """A network that touches most of the loader; small enough to mutate often."""
    nodes = [
        node("Conv", "x w b", "c", "/conv/Conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c s s s v", "n", "/bn/BatchNormalization"),
        node("Clip", "n lo hi", "r"),
        node("Conv", "r d", "e", group=4, strides=[2, 2]),
        node("MaxPool", "e", "m", kernel_shape=[2, 2], ceil_mode=1),
        node("Concat", "m m", "k", axis=1),
        node("Shape", "k", "k1"),
        node("Gather", "k1 zero", "k2"),
        node("Concat", "k2 minus", "k3", axis=0),
        node("Reshape", "k k3", "f"),
        node("Gemm", "f g h", "o", transB=1),
        node("Softmax", "o", "y"),
    ]
    constants = {
        "w": rand(4, 3, 3, 3), "b": rand(4), "s": rand(4), "v": rand(4, low=0.5), "lo": np.float32(0), "hi": np.float32(6),
        "d": rand(4, 1, 2, 2), "zero": ints(0), "minus": ints(-1), "g": rand(3, 32), "h": rand(3),
    }  # fmt: skip
    return model(nodes, IMAGE, constants)


def refuse(proto: onnx.ModelProto, folder: Path, *words: str) -> str:
    with pytest.raises(ModelError) as problem:
        load(proto, folder)
    text = str(problem.value)
    assert text.startswith(str(folder / "model.onnx"))
    for word in words:
        assert word in text, text
    assert "\x1b" not in text
    return text


# -- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"not a model", b"\x08" * 40, b"PK\x03\x04" + b"z" * 100, bytes(range(256)) * 20]
)
def test_file_that_is_not_onnx_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx"):
        load_onnx(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(ModelError, match="is not a file"):
            load_onnx(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = network().SerializeToString()
    path = tmp_path / "m.onnx"
    for length in range(0, len(data) - 20, 37):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            load_onnx(path)


# -- structure -------------------------------------------------------------------------------------------------------------


def test_cycle_is_refused(tmp_path: Path) -> None:
    proto = model([node("Add", "x b", "a", "first"), node("Relu", "a", "b"), node("Relu", "b", "y")], VECTOR)
    refuse(proto, tmp_path, "cycle", "first")


def test_missing_initializer_is_refused(tmp_path: Path) -> None:
    proto = gemm()
    del proto.graph.initializer[:]
    refuse(proto, tmp_path, "'w'", "nothing produces it", "dense")


def test_output_that_nothing_makes_is_refused(tmp_path: Path) -> None:
    refuse(model([node("Relu", "x", "a")], VECTOR), tmp_path, "output 'y'", "made by no node")


def test_tensor_made_twice_is_refused(tmp_path: Path) -> None:
    refuse(model([node("Relu", "x", "y"), node("Tanh", "x", "y")], VECTOR), tmp_path, "'y'", "twice")


def test_tensor_that_is_both_weight_and_result_is_refused(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "w"), node("Gemm", "x w", "y")], VECTOR, {"w": rand(4, 2)})
    refuse(proto, tmp_path, "'w'", "also an input or an initializer")


def test_initializer_given_twice_is_refused(tmp_path: Path) -> None:
    proto = gemm()
    proto.graph.initializer.append(proto.graph.initializer[0])
    refuse(proto, tmp_path, "initializer 'w'", "twice")


def test_constant_output_is_refused(tmp_path: Path) -> None:
    refuse(model([node("Identity", "w", "y")], VECTOR, {"w": rand(4)}), tmp_path, "'y' is a constant")


def test_model_without_input_is_refused(tmp_path: Path) -> None:
    refuse(model([node("Identity", "w", "y")], {}, {"w": rand(4)}), tmp_path, "no input")


@pytest.mark.parametrize("opset", [1, 6, 29, 10**9])
def test_operator_set_out_of_range_is_refused(opset: int, tmp_path: Path) -> None:
    refuse(model([node("Relu", "x", "y")], VECTOR, opset=opset), tmp_path, f"operator set {opset}", "7 to 28")


def with_function(*bodies: tuple[str, list[onnx.NodeProto]]) -> onnx.ModelProto:
    proto = model([node("F", "x", "y", domain="mine")], VECTOR)
    for name, body in bodies:
        sets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
        proto.functions.append(helper.make_function("mine", name, ["a"], ["b"], body, sets))
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    return proto


def test_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    refuse(with_function(("F", [node("F", "a", "b", domain="mine")])), tmp_path, "calls itself")
    both = ("F", [node("G", "a", "b", domain="mine")]), ("G", [node("F", "a", "b", domain="mine")])
    refuse(with_function(*both), tmp_path, "calls itself")


def test_functions_that_expand_to_millions_of_nodes_are_refused(tmp_path: Path) -> None:
    names = [chr(ord("F") + i) for i in range(20)]
    double = [
        (name, [node(next_one, "a", "m", domain="mine"), node(next_one, "m", "b", domain="mine")])
        for name, next_one in itertools.pairwise(names)
    ]
    refuse(with_function(*double, (names[-1], [node("Relu", "a", "b")])), tmp_path, "expand to", "100000")


def test_function_defined_twice_is_refused(tmp_path: Path) -> None:
    refuse(with_function(*(("F", [node("Relu", "a", "b")]),) * 2), tmp_path, "twice")


def branch(*nodes: onnx.NodeProto, out: str = "o") -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "body", [], [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)])


def test_condition_that_depends_on_the_input_is_refused(tmp_path: Path) -> None:
    body = branch(node("Relu", "x", "o"))
    nodes = [
        node("ReduceMax", "x", "m", keepdims=0), node("Greater", "m zero", "c"),
        helper.make_node("If", ["c"], ["y"], "branch", then_branch=body, else_branch=body),
    ]  # fmt: skip
    refuse(model(nodes, VECTOR, {"zero": np.float32(0)}), tmp_path, "'branch' (If)", "depends on the model's input")


def test_branch_that_reads_what_nothing_makes_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node(
            "If", ["c"], ["y"], then_branch=branch(node("Relu", "ghost", "o")), else_branch=branch(node("Relu", "x", "o"))
        )
    ]
    refuse(model(nodes, VECTOR, {"c": np.array(True)}), tmp_path, "ghost", "nothing produces it")


def test_loops_are_refused(tmp_path: Path) -> None:
    body = helper.make_graph(
        [node("Identity", "k", "q")],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("k", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("q", TensorProto.BOOL, [])],
    )
    nodes = [helper.make_node("Loop", ["n", "c"], [], "loop", body=body), node("Relu", "x", "y")]
    refuse(model(nodes, VECTOR, {"n": np.int64(3), "c": np.array(True)}), tmp_path, "'loop' (Loop)", "fixed control flow")


def sparse(indices: np.ndarray, dims: list[int]) -> onnx.ModelProto:
    proto = gemm()
    del proto.graph.initializer[:]
    values = numpy_helper.from_array(np.ones(len(indices), np.float32), "w")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, numpy_helper.from_array(indices), dims))
    return proto


@pytest.mark.parametrize(
    ("indices", "dims", "word"),
    [
        (ints(0, 8), [4, 2], "outside"), (ints(0, -1), [4, 2], "outside"), (np.array([[0, 2]]), [4, 2], "outside"),
        (np.zeros((2, 3), np.int64), [4, 2], "places"), (ints(0), [2**20, 2**20], "too large"),
    ],
)  # fmt: skip
def test_sparse_weights_outside_of_their_shape_are_refused(
    indices: np.ndarray, dims: list[int], word: str, tmp_path: Path
) -> None:
    refuse(sparse(indices, dims), tmp_path, "'w'", word)


# -- operators -------------------------------------------------------------------------------------------------------------


def test_unknown_operator_names_itself_and_what_is_supported(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "a"), node("Det", "a", "y", "/solve/Det")]
    refuse(model(nodes, VECTOR), tmp_path, "'/solve/Det' (Det)", "not supported", "operators are read")


def test_operator_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    refuse(model([node("Frobnicate", "x", "y")], VECTOR), tmp_path, "Frobnicate")


def test_custom_operator_is_refused(tmp_path: Path) -> None:
    proto = model([node("FusedConv", "x", "y", "fused", domain="com.microsoft")], VECTOR)
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    refuse(proto, tmp_path, "'fused'", "com.microsoft", "standard ONNX operators")
    del proto.opset_import[1:]
    refuse(proto, tmp_path, "com.microsoft", "does not import")


@pytest.mark.parametrize(
    ("nodes", "inputs", "constants", "words"),
    [
        ([node("Conv", "x w", "y")], {**IMAGE, "w": (1, 3, 3, 3)}, {}, ("constant",)),
        ([node("Conv", "x w", "y")], IMAGE, {"w": rand(4, 2, 3, 3)}, ("do not fit 3 input channels",)),
        ([node("Conv", "x w", "y", group=2)], IMAGE, {"w": rand(4, 3, 3, 3)}, ("groups",)),
        ([node("Conv", "x w", "y")], IMAGE, {"w": rand(4, 3, 7, 7)}, ("nothing is left",)),
        ([node("Conv", "x w", "y", strides=[0, 1])], IMAGE, {"w": rand(4, 3, 3, 3)}, ("strides",)),
        ([node("Conv", "x w", "y", pads=[-1, 0, 0, 0])], IMAGE, {"w": rand(4, 3, 3, 3)}, ("pads",)),
        ([node("Conv", "x w", "y", pads=[2**40] * 4)], IMAGE, {"w": rand(4, 3, 3, 3)}, ("pads",)),
        ([node("Conv", "x w", "y", pads=[2**19] * 4)], IMAGE, {"w": rand(4, 3, 3, 3)}, ("too large",)),
        ([node("Conv", "x w", "y", dilations=[1])], IMAGE, {"w": rand(4, 3, 3, 3)}, ("dilations",)),
        ([node("Conv", "x w", "y", kernel_shape=[5, 5])], IMAGE, {"w": rand(4, 3, 3, 3)}, ("kernel_shape",)),
        ([node("Conv", "x w", "y", auto_pad="MAYBE")], IMAGE, {"w": rand(4, 3, 3, 3)}, ("auto_pad", "MAYBE")),
        ([node("Conv", "x w b", "y")], IMAGE, {"w": rand(4, 3, 3, 3), "b": rand(5)}, ("bias",)),
        ([node("Conv", "x w", "y")], {"x": ("N", 3, 6, 6, 6)}, {"w": rand(4, 3, 3, 3, 3)}, ("3 spatial axes",)),
        ([node("MaxPool", "x", "y", kernel_shape=[9, 9], dilations=[2, 2])], {"x": ("N", 3, 20, 20)}, {}, ("81 positions",)),
        ([node("MaxPool", "x", "z y", kernel_shape=[2, 2])], IMAGE, {}, ("indices",)),
        ([node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[2, 0, 0, 0])], IMAGE, {}, ("pads",)),
        ([node("Add", "x c", "y")], VECTOR, {"c": rand(3)}, ("Add",)),
        ([node("Add", "x c", "y")], VECTOR, {"c": np.full(4, 0.1)}, ("float64",)),
        ([node("Add", "x c", "y")], VECTOR, {"c": ints(1, 2, 3, 4)}, ("different types",)),
        ([node("Mul", "x c", "y")], VECTOR, {"c": np.array([1, np.inf, 0, 0], np.float32)}, ("NaN or infinite",)),
        ([node("Gemm", "x w", "y")], VECTOR, {"w": np.full((4, 2), np.nan, np.float32)}, ("NaN or infinite", "'w'")),
        ([node("Gemm", "x w", "y")], VECTOR, {"w": rand(3, 2)}, ("weights for 3 inputs",)),
        ([node("Gemm", "x w", "y")], IMAGE, {"w": rand(4, 2)}, ("two axes",)),
        ([node("Clip", "x lo hi", "y")], VECTOR, {"lo": np.float32(2), "hi": np.float32(1)}, ("bounds",)),
        ([node("BatchNormalization", "x s s s s", "y")], IMAGE, {"s": rand(2)}, ("3 channels",)),
        ([node("BatchNormalization", "x s s s s", "y", training_mode=1)], IMAGE, {"s": rand(3)}, ("training",)),
        ([node("BatchNormalization", "x s s s v", "y")], IMAGE, {"s": rand(3), "v": -rand(3, low=1, high=2)}, ("variance",)),
        ([node("Reshape", "x s", "y")], VECTOR, {"s": ints(3, -1)}, ("number of elements",)),
        ([node("Reshape", "x s", "y")], VECTOR, {"s": ints(-1, -1)}, ("not a shape",)),
        ([node("Reshape", "x s", "y")], VECTOR, {"s": ints(1, 2**62, 4)}, ("number of elements",)),
        ([node("Reshape", "x x", "y")], VECTOR, {}, ("constant",)),
        ([node("Transpose", "x", "y", perm=[0, 0])], VECTOR, {}, ("perm",)),
        ([node("Concat", "x z", "y", axis=1)], {**VECTOR, "z": ("N", 4, 1)}, {}, ("numbers of axes",)),
        ([node("Concat", "x z", "y", axis=2)], {**VECTOR, "z": ("N", 4)}, {}, ("axis",)),
        ([node("Pad", "x p", "y", mode="reflect")], VECTOR, {"p": ints(0, 4, 0, 1)}, ("reflect",)),
        ([node("Pad", "x p", "y", mode="wrap")], VECTOR, {"p": ints(0, 5, 0, 1)}, ("wraps",)),
        ([node("Pad", "x p", "y")], VECTOR, {"p": ints(0, -5, 0, 0)}, ("nothing",)),
        ([node("Pad", "x p", "y")], VECTOR, {"p": ints(1, 0, 0, 0)}, ("batch",)),
        ([node("Pad", "x p", "y")], VECTOR, {"p": ints(0, 1)}, ("pads",)),
        ([node("Pad", "x p v", "y")], VECTOR, {"p": ints(0, 1, 0, 1), "v": np.float32(np.inf)}, ("finite",)),
        ([node("Slice", "x s e a", "y")], VECTOR, {"s": ints(3), "e": ints(2), "a": ints(1)}, ("nothing",)),
        ([node("Slice", "x s e a", "y")], VECTOR, {"s": ints(0), "e": ints(2), "a": ints(5)}, ("axis 5",)),
        ([node("Split", "x n", "y z", axis=1)], VECTOR, {"n": ints(1, 1)}, ("splits",)),
        ([node("Squeeze", "x a", "y")], VECTOR, {"a": ints(1)}, ("not all 1",)),
        ([node("Softmax", "x", "y", axis=7)], VECTOR, {}, ("axis",)),
        ([node("Gather", "x i", "y", axis=1)], VECTOR, {"i": np.float32([0, 2])}, ("indices",)),
        ([node("Gather", "x i", "y", axis=1)], VECTOR, {"i": np.int64(9)}, ("position 9",)),
        ([node("Cast", "x", "y", to=int(TensorProto.STRING))], VECTOR, {}, ("float32",)),
        ([node("Acos", "x", "y")], VECTOR, {}, ("constants and shapes only",)),
        ([node("ConstantOfShape", "n", "a"), node("Reshape", "x a", "y")], VECTOR, {"n": ints(2**40, 2**20)}, ("too large",)),
        ([node("Range", "a b c", "n"), node("Reshape", "x n", "y")], VECTOR,
         {"a": np.int64(0), "b": np.int64(2**62), "c": np.int64(1)}, ("too large",)),
        ([node("Expand", "w n", "a"), node("Add", "x a", "y")], VECTOR, {"w": rand(1), "n": ints(2**20, 2**20)},
         ("too large",)),
        ([node("Gather", "w i", "a"), node("Add", "x a", "y")], VECTOR, {"w": rand(4), "i": ints(77)}, ("constants",)),
        ([node("Expand", "x n", "y")], VECTOR, {"n": ints(1, 3)}, ("broadcast",)),
        ([node("Expand", "x n", "y")], VECTOR, {"n": ints(2**20, 2**20, 4)}, ("too large",)),
        ([node("Tile", "x n", "y")], VECTOR, {"n": ints(1, 2**40)}, ("too large",)),
        ([node("TopK", "x n", "y z", axis=1)], VECTOR, {"n": ints(5)}, ("top_k",)),
        ([node("OneHot", "x n v", "y")], VECTOR, {"n": ints(2**40), "v": rand(2)}, ("too large",)),
        ([node("Where", "x x x", "y")], VECTOR, {}, ("condition",)),
        ([node("Einsum", "x x", "y", equation="ij,jk->il")], VECTOR, {}, ("equation",)),
        ([node("Einsum", "x", "y", equation="ii->i")], VECTOR, {}, ("term 'ii'",)),
        ([node("LSTM", "x w w", "y", hidden_size=2)], {"x": ("N", 3, 4)}, {"w": rand(1, 8, 4)}, ("4 gates",)),
        ([node("GRU", "x w r", "y", hidden_size=2, activations=["Affine", "Tanh"])], {"x": ("N", 3, 4)},
         {"w": rand(1, 6, 4), "r": rand(1, 6, 2)}, ("affine",)),
        ([node("GRU", "x w r _ n", "y", hidden_size=2)], {"x": (3, 1, 4)},
         {"w": rand(1, 6, 4), "r": rand(1, 6, 2), "n": np.array([2], np.int32)}, ("sequence_lens",)),
        ([node("LayerNormalization", "x s", "y", axis=5)], VECTOR, {"s": rand(4)}, ("axis",)),
        ([node("LRN", "x", "y", size=2)], IMAGE, {}, ("odd size",)),
        ([node("GatherElements", "x i", "y", axis=1)], VECTOR, {"i": ints(0, 4).reshape(1, 2)}, ("position outside of 4",)),
        ([node("Dropout", "x r t", "y")], VECTOR, {"r": np.float32(0.5), "t": np.array(True)}, ("training",)),
    ],
)  # fmt: skip
def test_operator_that_cannot_be_translated_exactly_is_refused(
    nodes: list[onnx.NodeProto], inputs: dict, constants: dict, words: tuple[str, ...], tmp_path: Path
) -> None:
    text = refuse(model(nodes, inputs, constants), tmp_path, *words)
    assert "node '" in text
    assert "TypeError" not in text
    assert "KeyError" not in text


def test_missing_attribute_becomes_one_line_of_the_checker(tmp_path: Path) -> None:
    text = refuse(model([node("Concat", "x x", "y")], VECTOR), tmp_path, "axis")
    assert len(text.splitlines()) == 1


# -- tensors ---------------------------------------------------------------------------------------------------------------


def edit(change: Callable[[TensorProto], object]) -> onnx.ModelProto:
    proto = gemm()
    change(proto.graph.initializer[0])
    return proto


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t: setattr(t, "raw_data", t.raw_data[:-1]), "32 bytes, has 31"),
        (lambda t: setattr(t, "raw_data", t.raw_data + b"z" * 4), "has 36"),
        (lambda t: t.dims.__setitem__(0, -4), "negative"),
        (lambda t: t.dims.__setitem__(0, 2**62), "too large"),
        (lambda t: t.dims.extend([2**31, 2**31]), "too large"),
        (lambda t: setattr(t, "data_type", 0), "UNDEFINED"),
        (lambda t: setattr(t, "data_type", 99), "#99"),
        (lambda t: setattr(t, "data_type", int(TensorProto.BFLOAT16)), "bfloat16 needs 16 bytes, has 32"),
        (lambda t: setattr(t, "data_type", int(TensorProto.STRING)), "STRING"),
        (lambda t: t.ClearField("raw_data"), "needs 8 values, found 0"),
        (lambda t: t.segment.SetInParent(), "segments"),
    ],
)
def test_weight_with_wrong_shape_type_or_length_is_refused(
    change: Callable[[TensorProto], object], word: str, tmp_path: Path
) -> None:
    refuse(edit(change), tmp_path, "'w'", word)


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        (("N", "C", 4), "symbolic ('C')"), (("N", -1), "dimension 1 is symbolic"), (("N", 0), "dimension 1 is 0"), ((0, 4), "empty"),
        ((-3, 4), "negative"), (("N", 2**40), "too large"), ((1, 2**20, 2**20), "too large"),
    ],
)  # fmt: skip
def test_input_with_unusable_shape_is_refused(shape: tuple, word: str, tmp_path: Path) -> None:
    refuse(model([node("Relu", "x", "y")], {"x": shape}), tmp_path, "input 'x'", word)


def test_input_of_an_unknown_type_is_refused(tmp_path: Path) -> None:
    for kind in (TensorProto.COMPLEX64, TensorProto.STRING, 0, 77):
        proto = model([node("Relu", "x", "y")], VECTOR)
        proto.graph.input[0].type.tensor_type.elem_type = kind
        refuse(proto, tmp_path, "input 'x'", "float32")


def test_operator_on_numbers_refuses_plain_integers(tmp_path: Path) -> None:
    for kind, word in ((TensorProto.INT64, "int64"), (TensorProto.UINT8, "uint8")):
        proto = model([node("Relu", "x", "y")], VECTOR)
        proto.graph.input[0].type.tensor_type.elem_type = kind
        refuse(proto, tmp_path, "Relu", word)


def test_inputs_with_different_batches_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    refuse(model([node("Add", "x z", "y")], {"x": (2, 4), "z": (3, 4)}), tmp_path, "broadcast")
    refuse(model([node("Add", "x z", "y")], {"x": ("N", 4), "z": (3, 4), "s": (2, 4)}), tmp_path, "dimension 0 is open")


# -- external data ---------------------------------------------------------------------------------------------------------


def external(location: str, offset: str | None = "0", length: str | None = "32") -> onnx.ModelProto:
    proto = gemm()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    return proto


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "model"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(rand(4, 2).tobytes())
    (inside / "w.bin").write_bytes(rand(4, 2).tobytes() + b"tail")
    (inside / "sub" / "w.bin").write_bytes(rand(4, 2).tobytes())
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "inner_link.bin").symlink_to(inside / "w.bin")
    (inside / "linked").symlink_to(tmp_path)
    os.mkfifo(inside / "pipe")
    return inside


@pytest.mark.parametrize("location", ["w.bin", "sub/w.bin", "./w.bin"])
def test_external_data_inside_the_folder_are_read(location: str, folder: Path) -> None:
    assert isinstance(load(external(location), folder), Graph)
    assert isinstance(load(external(location, None, None), folder), Graph)


@pytest.mark.parametrize(
    "location",
    [
        "", "/etc/hostname", "../secret.bin", "sub/../../secret.bin", "sub/../w.bin", "link.bin", "inner_link.bin",
        "linked/secret.bin", "C:\\secret.bin", "\\\\host\\share", "..\\secret.bin", "sub\\w.bin", "w.bin\x00", "//w.bin", ".",
    ],
)  # fmt: skip
def test_external_data_outside_the_folder_or_through_links_are_refused(location: str, folder: Path) -> None:
    refuse(external(location), folder, "external data", "'w'")


@pytest.mark.parametrize(
    ("offset", "length", "word"),
    [
        ("8", "32", "36 bytes"), ("0", "28", "model states 28"), ("-1", "32", "whole number"), ("0", "1e3", "whole number"),
        ("9" * 30, "32", "whole number"), ("0", "9" * 18, "needs 32"), ("0x10", "32", "whole number"),
    ],
)  # fmt: skip
def test_external_data_with_bounds_that_do_not_fit_are_refused(offset: str, length: str, word: str, folder: Path) -> None:
    refuse(external("w.bin", offset, length), folder, word)


@pytest.mark.parametrize("location", ["absent.bin", "sub", "pipe"])
def test_external_data_that_are_no_plain_file_are_refused(location: str, folder: Path) -> None:
    refuse(external(location), folder, "external data")


def test_external_data_of_a_constant_node_are_checked_too(folder: Path) -> None:
    proto = model([node("Constant", "", "w"), node("Gemm", "x w", "y")], VECTOR)
    attribute = proto.graph.node[0].attribute.add(name="value", type=AttributeProto.TENSOR)
    attribute.t.CopyFrom(external("../secret.bin").graph.initializer[0])
    refuse(proto, folder, "outside the model's folder")
    attribute.t.CopyFrom(numpy_helper.from_array(rand(4, 2), "w"))
    assert isinstance(load(proto, folder), Graph)


# -- random damage ---------------------------------------------------------------------------------------------------------


def fuzz(folder: Path, count: int, seed: int) -> tuple[int, int]:
    """Load `count` damaged files; return (loaded, refused). Anything but a graph or a ModelError is a failure."""
    rng = np.random.default_rng(seed)
    clean = np.frombuffer(network().SerializeToString(), np.uint8)
    path = folder / "m.onnx"
    loaded = refused = 0
    for _ in range(count):
        data = clean.copy()
        for _ in range(int(rng.integers(1, 6))):
            at, kind = int(rng.integers(len(data))), rng.integers(4)
            if kind == 0:
                data[at] = rng.integers(256)
            elif kind == 1:
                data[at] ^= np.uint8(1 << int(rng.integers(8)))
            elif kind == 2:
                data = np.delete(data, slice(at, at + int(rng.integers(1, 9))))
            else:
                data = np.insert(data, at, rng.integers(0, 256, int(rng.integers(1, 9))).astype(np.uint8))
        path.write_bytes(data.tobytes())
        try:
            assert isinstance(load_onnx(path), Graph)
            loaded += 1
        except ModelError as problem:
            assert str(problem)
            refused += 1
    return loaded, refused


def test_damaged_files_never_end_in_a_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, refused = fuzz(tmp_path, 300, seed=1)
    assert refused > 100
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


NUMBERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 7, 100, 2**31, 2**62, 2**63 - 1)


def disturb(proto: onnx.ModelProto, rng: np.random.Generator) -> None:
    """Change one thing so that the file stays valid protobuf but means something else."""
    graph = proto.graph
    item = graph.node[int(rng.integers(len(graph.node)))]
    number = NUMBERS[int(rng.integers(len(NUMBERS)))]
    kind = int(rng.integers(6))
    if kind == 0:
        for attribute in item.attribute:
            if attribute.type == AttributeProto.INTS and attribute.ints:
                attribute.ints[int(rng.integers(len(attribute.ints)))] = number
            elif attribute.type == AttributeProto.INT:
                attribute.i = number
    elif kind == 1:
        tensor = graph.initializer[int(rng.integers(len(graph.initializer)))]
        tensor.dims[:] = [*tensor.dims[:-1], number]
    elif kind == 2:
        tensor = next(t for t in graph.initializer if t.data_type == TensorProto.INT64)
        tensor.raw_data = np.array([number], np.int64).tobytes()
    elif kind == 3 and item.input:
        item.input[int(rng.integers(len(item.input)))] = ["", "x", "w", "minus", "m"][int(rng.integers(5))]
    elif kind == 4:
        item.op_type = graph.node[int(rng.integers(len(graph.node)))].op_type
    else:
        dims = graph.input[0].type.tensor_type.shape.dim
        dims[int(rng.integers(len(dims)))].dim_value = number


@pytest.mark.filterwarnings("ignore::workbench.errors.ModelWarning")
def test_wrong_numbers_never_end_in_a_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for _ in range(400):
        proto = network()
        for _ in range(int(rng.integers(1, 4))):
            disturb(proto, rng)
        try:
            assert isinstance(load(proto, tmp_path), Graph)
        except ModelError as problem:
            assert "Error:" not in str(problem)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::workbench.errors.ModelWarning")
def test_many_damaged_files_never_end_in_a_traceback(tmp_path: Path) -> None:
    fuzz(tmp_path, 20000, seed=2)


def test_the_undamaged_network_of_these_tests_loads(tmp_path: Path) -> None:
    assert [n.op for n in load(network(), tmp_path).nodes][-1] == "softmax"


def test_long_chain_in_reverse_order_is_read_in_reasonable_time(tmp_path: Path) -> None:
    count = 3000
    nodes = [node("Tanh", "x" if i == 0 else f"t{i}", "y" if i == count - 1 else f"t{i + 1}") for i in range(count)]
    assert len(load(model(nodes[::-1], VECTOR), tmp_path).nodes) == count


@pytest.mark.parametrize(
    ("made", "constants"),
    [
        (node("Mod", "a b", "c"), {"a": np.ones((2**20, 1), np.int64), "b": np.ones((1, 2**20), np.int64)}),
        (node("GatherND", "a b", "c"), {"a": np.ones((1, 2**20), np.int64), "b": np.zeros((2**20, 1), np.int64)}),
        (node("MatMul", "a b", "c"), {"a": np.ones((2**20, 1), np.float32), "b": np.ones((1, 2**20), np.float32)}),
        (node("Tile", "a b", "c"), {"a": np.ones(4, np.int64), "b": ints(2**40)}),
        (node("Pad", "a b", "c"), {"a": np.ones(4, np.int64), "b": ints(0, 2**40)}),
        (node("OneHot", "a b d", "c"), {"a": np.ones(4, np.int64), "b": ints(2**40), "d": ints(0, 1)}),
    ],
)
def test_small_constants_that_make_large_ones_are_refused(made: onnx.NodeProto, constants: dict, tmp_path: Path) -> None:
    nodes = [made, node("Cast", "c", "f", to=1), node("ReduceSum", "f", "s"), node("Add", "x s", "y")]
    text = refuse(model(nodes, VECTOR, constants), tmp_path, made.op_type)
    assert "too large" in text or "ahead" in text


def test_causal_mask_of_a_long_sequence_is_refused_before_it_is_made(tmp_path: Path) -> None:
    shape = ("N", 1, 2**20, 1)
    proto = model([node("Attention", "q k v", "y", is_causal=1)], dict.fromkeys("qkv", shape), opset=23)
    proto.ir_version = 11
    refuse(proto, tmp_path, "Attention", "too large")
