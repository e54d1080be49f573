"""Whole small networks as exporters write them: equal to ONNX Runtime, no inner transposes, names that people recognize."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.loaders.onnx_cases import compare, ints, load, model, node, ops, rand

Parts = tuple[list[onnx.NodeProto], dict[str, np.ndarray]]


class Net:
    """Writes a network the way an exporter does: '/block/conv/Conv' nodes, 'block.conv.weight' tensors."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, op: str, scope: str, *inputs: str, **attrs: Any) -> str:
        out = f"/{scope}/{op}_output_0"
        self.nodes.append(helper.make_node(op, inputs, [out], f"/{scope}/{op}", **attrs))
        return out

    def weight(self, name: str, *shape: int, **limits: Any) -> str:
        self.constants[name] = rand(*shape, seed=len(self.constants), **limits)
        return name

    def conv(self, x: str, scope: str, o: int, i: int, k: int, bias: bool = False, **attrs: Any) -> str:
        inputs = [self.weight(f"{scope}.weight", o, i // attrs.get("group", 1), k, k)]
        if bias:
            inputs.append(self.weight(f"{scope}.bias", o))
        return self.add("Conv", scope, x, *inputs, pads=[k // 2] * 4, **attrs)

    def norm(self, x: str, scope: str, c: int) -> str:
        parts = [self.weight(f"{scope}.{p}", c, low=0.2, high=1.5) for p in ("weight", "bias", "running_mean", "running_var")]
        return self.add("BatchNormalization", scope, x, *parts)

    def dense(self, x: str, scope: str, o: int, i: int) -> str:
        return self.add("Gemm", scope, x, self.weight(f"{scope}.weight", o, i), self.weight(f"{scope}.bias", o), transB=1)

    def const(self, name: str, value: Any) -> str:
        self.constants[name] = np.asarray(value)
        return name

    def build(self, out: str, shape: tuple[Any, ...], opset: int = 17) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [out], ["y"]))
        return model(self.nodes, {"input": shape}, self.constants, opset=opset)


def conv_bn_relu() -> onnx.ModelProto:
    n = Net()
    x = n.add("Relu", "features/2", n.norm(n.conv("input", "features/0", 8, 3, 3), "features/1", 8))
    x = n.add("MaxPool", "features/3", x, kernel_shape=[2, 2], strides=[2, 2])
    lo, hi = n.const("lo", np.float32(0)), n.const("hi", np.float32(6))
    x = n.add(
        "Clip", "features/6", n.norm(n.conv(x, "features/4", 12, 8, 3, bias=True, strides=[2, 2]), "features/5", 12), lo, hi
    )
    x = n.add("Flatten", "flatten", n.add("GlobalAveragePool", "pool", x))
    return n.build(n.add("Softmax", "softmax", n.dense(x, "classifier", 10, 12), axis=1), ("N", 3, 17, 16))


def residual() -> onnx.ModelProto:
    n = Net()
    x = n.add("Relu", "stem/relu", n.norm(n.conv("input", "stem/conv", 8, 3, 3), "stem/bn", 8))
    for i, (o, stride) in enumerate(((8, 1), (16, 2))):
        c = 8
        y = n.add("Relu", f"b{i}/relu", n.norm(n.conv(x, f"b{i}/conv1", o, c, 3, strides=[stride] * 2), f"b{i}/bn1", o))
        y = n.norm(n.conv(y, f"b{i}/conv2", o, o, 3), f"b{i}/bn2", o)
        skip = x if o == c else n.norm(n.conv(x, f"b{i}/down/0", o, c, 1, strides=[stride] * 2), f"b{i}/down/1", o)
        x = n.add("Relu", f"b{i}/out", n.add("Add", f"b{i}/add", y, skip))
    x = n.add("ReduceMean", "pool", x, axes=[2, 3], keepdims=0)
    return n.build(n.dense(x, "fc", 10, 16), (1, 3, 12, 12))


def depthwise_separable() -> onnx.ModelProto:
    n = Net()
    x = n.add("HardSwish", "stem/act", n.norm(n.conv("input", "stem/conv", 8, 1, 3, strides=[2, 2]), "stem/bn", 8))
    for i, c in enumerate((8, 16)):
        x = n.add("Relu", f"b{i}/act1", n.norm(n.conv(x, f"b{i}/dw", c, c, 3, group=c), f"b{i}/bn1", c))
        x = n.add("Relu", f"b{i}/act2", n.norm(n.conv(x, f"b{i}/pw", 2 * c, c, 1), f"b{i}/bn2", 2 * c))
    x = n.add("AveragePool", "pool", x, kernel_shape=[7, 5], strides=[7, 5])
    shape = n.add("Shape", "shape", x)
    batch = n.add("Gather", "gather", shape, n.const("zero", np.int64(0)), axis=0)
    batch = n.add("Unsqueeze", "unsqueeze", batch, n.const("axes", ints(0)))
    target = n.add("Concat", "concat", batch, n.const("rest", ints(-1)), axis=0)
    return n.build(n.dense(n.add("Reshape", "reshape", x, target), "fc", 12, 32), ("N", 1, 14, 10))


def branches() -> onnx.ModelProto:
    n = Net()
    a = n.add("Relu", "a/relu", n.conv("input", "a/conv", 4, 6, 1, bias=True))
    b = n.add("Relu", "b/relu", n.conv("input", "b/conv", 6, 6, 3, bias=True))
    c = n.conv(n.add("AveragePool", "c/pool", "input", kernel_shape=[3, 3], pads=[1] * 4), "c/conv", 4, 6, 1, bias=True)
    x = n.add("Concat", "cat", a, b, c, axis=1)
    first = n.add("Slice", "left", x, n.const("s", ints(0)), n.const("e", ints(7)), n.const("ax", ints(1)))
    second = n.add("Slice", "right", x, "e", n.const("e2", ints(14)), "ax")
    x = n.add("Mul", "gate", first, n.add("Sigmoid", "sigmoid", second))
    return n.build(n.conv(x, "head", 5, 7, 1, bias=True), ("batch", 6, 8, 9))


def flatten_gemm() -> onnx.ModelProto:
    n = Net()
    x = n.add("Tanh", "tanh1", n.conv("input", "conv1", 6, 2, 5, bias=True))
    x = n.add("MaxPool", "pool1", x, kernel_shape=[2, 2], strides=[2, 2])
    x = n.add("Flatten", "flatten", n.add("LeakyRelu", "leaky", n.conv(x, "conv2", 10, 6, 3, bias=True), alpha=0.1))
    x = n.add("Dropout", "drop", n.add("Relu", "relu1", n.dense(n.norm(x, "bn", 240), "fc1", 20, 240)))
    return n.build(n.dense(x, "fc2", 10, 20), (-1, 2, 8, 13), opset=14)


def channel_shuffle() -> onnx.ModelProto:
    n = Net()
    x = n.conv("input", "conv", 8, 4, 1, bias=True, group=2)
    x = n.add("Reshape", "split", x, n.const("to5", ints(0, 2, 4, 6, 6)))
    x = n.add("Reshape", "join", n.add("Transpose", "shuffle", x, perm=[0, 2, 1, 3, 4]), n.const("to4", ints(0, 8, 6, 6)))
    return n.build(n.conv(x, "out", 8, 8, 3, bias=True, group=8), ("N", 4, 6, 6))


def transformer_block() -> onnx.ModelProto:
    n = Net()
    x = n.conv("input", "patch", 8, 3, 3, bias=True, strides=[3, 3])
    tokens = n.add("Transpose", "tokens", n.add("Reshape", "flat", x, n.const("to3", ints(0, 8, -1))), perm=[0, 2, 1])
    q, k, v = (
        n.add("Transpose", f"{p}/heads", n.add("Reshape", f"{p}/split", n.add("Add", f"{p}/bias", n.add(
            "MatMul", f"{p}/matmul", tokens, n.weight(f"{p}.weight", 8, 8)), n.weight(f"{p}.bias", 8)),
            n.const("to_heads", ints(0, 0, 2, 4))), perm=perm)
        for p, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3]))
    )  # fmt: skip
    scores = n.add("Softmax", "softmax", n.add("Div", "scale", n.add("MatMul", "qk", q, k), n.const("two", np.float32(2))))
    y = n.add("Transpose", "merge", n.add("MatMul", "av", scores, v), perm=[0, 2, 1, 3])
    y = n.add("Add", "skip", n.add("Reshape", "flat2", y, n.const("to_flat", ints(0, 0, 8))), tokens)
    y = n.add("ReduceMean", "pool", y, axes=[1], keepdims=0)
    return n.build(n.dense(y, "head", 5, 8), ("N", 3, 12, 9))


def sequence_1d() -> onnx.ModelProto:
    n = Net()
    x = n.add("Conv", "conv1", "input", n.weight("w1", 8, 4, 5), n.weight("b1", 8), pads=[2, 2])
    x = n.add("MaxPool", "pool", n.add("Relu", "relu", n.norm(x, "bn", 8)), kernel_shape=[2], strides=[2])
    x = n.add("Relu", "relu2", n.add("Conv", "conv2", x, n.weight("w2", 8, 1, 3), group=8, pads=[1, 1]))
    return n.build(n.dense(n.add("Flatten", "flatten", x), "fc", 3, 64), ("N", 4, 16))


NETWORKS = [
    conv_bn_relu,
    residual,
    depthwise_separable,
    branches,
    flatten_gemm,
    channel_shuffle,
    transformer_block,
    sequence_1d,
]


@pytest.mark.parametrize("make", NETWORKS, ids=lambda m: m.__name__)
def test_network_equals_onnxruntime(make: Any, tmp_path: Path) -> None:
    graph = compare(make(), tmp_path, tolerance=2e-5)
    assert graph.fixed_batch is None


@pytest.mark.parametrize(
    "make", [conv_bn_relu, residual, depthwise_separable, flatten_gemm, sequence_1d], ids=lambda m: m.__name__
)
def test_classifier_has_at_most_the_input_transpose(make: Any, tmp_path: Path) -> None:
    kinds = ops(load(make(), tmp_path))
    assert "transpose" not in kinds[1:]
    assert not {"mul", "relu"} & set(kinds) or make is flatten_gemm  # it normalizes after Flatten, where no layer is before


def test_picture_output_has_the_transposes_of_its_two_ends_only(tmp_path: Path) -> None:
    kinds = ops(load(branches(), tmp_path))
    assert kinds.count("transpose") == 2
    assert kinds[0] == kinds[-1] == "transpose"


def test_names_are_those_of_the_exporter_without_slashes(tmp_path: Path) -> None:
    graph = load(residual(), tmp_path)
    assert [n.name for n in graph.nodes] == [
        "input.transpose", "stem.conv", "b0.conv1", "b0.conv2", "b0.add", "b1.conv1", "b1.conv2", "b1.down.0", "b1.add",
        "pool", "fc",
    ]  # fmt: skip
    first = graph.node("stem.conv")
    assert first.source == "Conv /stem/conv/Conv"
    assert first.outputs == ("/stem/relu/Relu_output_0",)
    assert first.attrs.activation == "relu"
    assert graph.inputs == ("input",)
    assert graph.outputs == ("y",)


def test_names_fall_back_to_operator_and_number_and_are_unique(tmp_path: Path) -> None:
    nodes = [node("Tanh", "x", "a"), node("Sigmoid", "a", "b", "act"), node("Tanh", "b", "c"), node("Sigmoid", "c", "y", "act")]
    assert [n.name for n in load(model(nodes, {"x": ("N", 4)}), tmp_path).nodes] == ["tanh_0", "act", "tanh_1", "act_2"]


def test_names_that_cannot_be_printed_are_replaced_and_the_input_keeps_its_public_name(tmp_path: Path) -> None:
    graph = load(model([node("Relu", "x\x1b[2J", "y\x08", "evil\x07")], {"x\x1b[2J": ("N", 4)}, outputs=["y\x08"]), tmp_path)
    assert graph.input_names == {"x\x1b[2J": "x_[2J"}
    assert graph.outputs == ("y_",)
    assert graph.nodes[0].name == "evil_"


def test_loading_twice_gives_the_same_graph(tmp_path: Path) -> None:
    proto = depthwise_separable()
    assert load(proto, tmp_path).digest == load(proto, tmp_path).digest


def test_nodes_in_any_order_give_the_same_results(tmp_path: Path) -> None:
    proto = residual()
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes[::-1])
    graph = load(proto, tmp_path)
    assert sorted(n.name for n in graph.nodes) == sorted(n.name for n in load(residual(), tmp_path).nodes)


def test_initializers_listed_as_inputs_are_constants(tmp_path: Path) -> None:
    proto = model([node("Gemm", "x w", "y")], {"x": ("N", 4), "w": (4, 2)}, {"w": rand(4, 2)})
    assert load(proto, tmp_path).inputs == ("x",)


def test_nodes_that_no_output_needs_do_not_matter(tmp_path: Path) -> None:
    graph = load(model([node("Relu", "x", "y"), node("NonZero", "x", "unused")], {"x": ("N", 4)}), tmp_path)
    assert ops(graph) == ["relu"]


@pytest.mark.parametrize("op", ["Identity", "Transpose"])
def test_output_that_is_an_input_gets_a_tensor_of_its_own(op: str, tmp_path: Path) -> None:
    proto = model(
        [node("Identity", "x", "y"), node("Identity", "x", "z"), node(op, "x", "t")], {"x": (3, 4)}, outputs=["y", "z", "t"]
    )
    assert compare(proto, tmp_path).outputs == ("y", "z", "t")


def test_one_value_as_two_outputs_and_inside(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "y"), node("Identity", "c", "z")]
    graph = compare(model(nodes, {"x": ("N", 3, 5, 6)}, {"w": rand(4, 3, 3, 3)}, outputs=["y", "c", "z"]), tmp_path)
    assert graph.node("relu_0").attrs.minimum == 0.0


def test_two_inputs_have_one_batch(tmp_path: Path) -> None:
    proto = model(
        [node("Conv", "x w", "c"), node("Add", "c z", "y")], {"x": ("N", 3, 5, 6), "z": ("N", 4, 3, 4)}, {"w": rand(4, 3, 3, 3)}
    )
    compare(proto, tmp_path)


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22])
def test_every_operator_set_is_read(opset: int, tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c s s s v", "n"), node("Relu", "n", "r"),
             node("GlobalAveragePool", "r", "g"), node("Flatten", "g", "f"),
             node("Gemm", "f k b", "h"), node("Softmax", "h", "y")]  # fmt: skip
    constants = {"w": rand(4, 3, 3, 3), "s": rand(4), "v": rand(4, low=0.5), "k": rand(4, 5), "b": rand(5)}
    compare(model(nodes, {"x": ("N", 3, 5, 6)}, constants, opset=opset), tmp_path)


def test_weights_in_every_storage_are_read(tmp_path: Path) -> None:
    proto = model([node("Gemm", "x w", "y")], {"x": ("N", 4)}, {"w": rand(4, 2)})
    want = load(proto, tmp_path).digest
    values = rand(4, 2)
    del proto.graph.initializer[:]
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [4, 2], values.reshape(-1).tolist()))
    assert load(proto, tmp_path).digest == want


def test_external_data_beside_the_model_are_read(tmp_path: Path) -> None:
    proto = conv_bn_relu()
    want = load(proto, tmp_path).digest
    onnx.save(proto, tmp_path / "big.onnx", save_as_external_data=True, location="big.bin", size_threshold=0)
    from workbench.loaders.onnx import load_onnx

    assert load_onnx(tmp_path / "big.onnx").digest == want
