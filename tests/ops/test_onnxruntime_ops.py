"""8-bit operators against ONNX Runtime itself: the rules of x86-vnni-onnxruntime. Operators without weights are alike on every x86 CPU.

Inputs hold all pairs or all values of a byte; our int8 tensors are its uint8 ones, 128 lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sites import tensor
from workbench.errors import UnsupportedError
from workbench.graph.ir import Tensor
from workbench.hardware import load_profile
from workbench.ops import OPS, Site
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.leaky_relu import LeakyReluAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.softmax import SoftmaxAttrs

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

Array = np.ndarray[Any, Any]
Quant = tuple[np.float32, int]
"""Scale, and zero point of an unsigned byte."""
MICROSOFT = "com.microsoft"
PROFILES = ("x86-vnni-onnxruntime", "x86-avx2-onnxruntime")
BYTES = np.arange(256, dtype=np.uint8)


def session(nodes: Sequence[Any], inputs: dict[str, Array], constants: dict[str, Any], output: int = 2) -> Array:
    """Run nodes with the output `y` (2: uint8)."""
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in inputs.items()],
        [helper.make_tensor_value_info("y", output, None)],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)], ir_version=8
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    made = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(made.run(None, inputs)[0])


def quants(rng: np.random.Generator, count: int) -> list[Quant]:
    return [(np.float32(np.exp(rng.uniform(-7, 0))), int(rng.integers(0, 256))) for _ in range(count)]


def parameters(**tensors: Quant) -> dict[str, Any]:
    return {f"{k}{part}": v for k, (s, z) in tensors.items() for part, v in (("s", s), ("z", np.uint8(z)))}


def signed(array: Array) -> Array:
    return (np.ascontiguousarray(array) ^ 0x80).view(np.int8)


def twin(name: str, array: Array, quant: Quant) -> Tensor:
    return tensor(name, array.shape, "int8", (float(quant[0]), quant[1] - 128))


def emulate(op: str, attrs: Any, inputs: list[Tensor], output: Tensor, *arrays: Array) -> Array:
    """Run the operator under both profiles, which must agree."""
    found = []
    for name in PROFILES:
        arithmetic = load_profile(name).arithmetic(op, inputs[0].dtype)
        (y,) = OPS[op].prepare(Site("node", op, attrs, tuple(inputs), (output,), arithmetic))(arrays)
        found.append(np.asarray(y))
    assert np.array_equal(*found)
    return found[0]


def binary(node: Any, op: str, a: Array, b: Array, qa: Quant, qb: Quant, qy: Quant) -> None:
    want = session([node], {"a": a, "b": b}, parameters(a=qa, b=qb, y=qy))
    y = twin("y", want, qy)
    got = emulate(op, BinaryAttrs(), [twin("a", a, qa), twin("b", b, qb)], y, signed(a), signed(b))
    assert np.array_equal(got, signed(want))


def linear_node(op: str, **attributes: Any) -> Any:
    names = ["a", "as", "az", "b", "bs", "bz", "ys", "yz"]
    return onnx.helper.make_node(op, names, ["y"], domain=MICROSOFT, **attributes)


PAIRS = np.repeat(BYTES, 256).reshape(256, 256), np.tile(BYTES, 256).reshape(256, 256)


@pytest.mark.parametrize("seed", range(8))
def test_add_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    qa, qb = quants(rng, 2)
    if seed % 2:  # many ties
        qb = (np.float32(qa[0] * rng.choice([1, 2, 0.5])), qb[1])
    qy = (np.float32((qa[0] + qb[0]) * rng.choice([0.25, 0.5, 1.0])), int(rng.integers(0, 256)))
    binary(linear_node("QLinearAdd"), "add", *PAIRS, qa, qb, qy)


@pytest.mark.parametrize(("a", "b"), [((4, 6, 1), (4, 6, 256)), ((4, 6, 256), (4, 6, 1)), ((1, 6, 256), (4, 6, 256))])
def test_add_broadcasts_as_the_runtime_does(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """A value that stands for a whole row of the other operand changes the order of the sums."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        (qa,) = quants(rng, 1)
        qb = np.float32(qa[0] * rng.choice([1, 2, 3, 5, 1 / 3])), int(rng.integers(0, 256))
        qy = np.float32((qa[0] + qb[0]) * rng.choice([0.25, 0.5, 1.0])), int(rng.integers(0, 256))
        x, y = (rng.integers(0, 256, shape).astype(np.uint8) for shape in (a, b))
        binary(linear_node("QLinearAdd"), "add", x, y, qa, qb, qy)


@pytest.mark.parametrize("seed", range(6))
def test_mul_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    qa, qb = quants(rng, 2)
    step = 2.0 ** rng.integers(3, 8) if seed % 2 else rng.uniform(10, 200)
    binary(linear_node("QLinearMul"), "mul", *PAIRS, qa, qb, (np.float32(qa[0] * qb[0] * step), int(rng.integers(0, 256))))


def dequantized(name: str) -> Any:
    return onnx.helper.make_node("DequantizeLinear", [name, f"{name}s", f"{name}z"], [f"{name}f"])


QUANTIZED = ("QuantizeLinear", ["f", "ys", "yz"], ["y"])


@pytest.mark.parametrize("seed", range(3))
def test_sub_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    qa, qb = quants(rng, 2)
    qy = np.float32((qa[0] + qb[0]) * 0.5), int(rng.integers(0, 256))
    nodes = [
        dequantized("a"),
        dequantized("b"),
        onnx.helper.make_node("Sub", ["af", "bf"], ["f"]),
        onnx.helper.make_node(*QUANTIZED),
    ]
    want = session(nodes, {"a": PAIRS[0], "b": PAIRS[1]}, parameters(a=qa, b=qb, y=qy))
    inputs = [twin("a", PAIRS[0], qa), twin("b", PAIRS[1], qb)]
    got = emulate("sub", BinaryAttrs(), inputs, twin("y", want, qy), *(signed(p) for p in PAIRS))
    assert np.array_equal(got, signed(want))


UNARY: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "Identity": ("quantize", NoAttrs(), {}),
    "Relu": ("relu", ReluAttrs(), {}),
    "LeakyRelu": ("leaky_relu", LeakyReluAttrs(0.1), {"alpha": 0.1}),
    "HardSwish": ("hard_swish", NoAttrs(), {}),
    "Sigmoid": ("logistic", NoAttrs(), {}),
    "Tanh": ("tanh", NoAttrs(), {}),
}
FIXED = {"Sigmoid": (np.float32(1 / 256), 0), "Tanh": (np.float32(1 / 128), 128)}


@pytest.mark.parametrize("op", UNARY)
def test_functions_of_every_value(op: str) -> None:
    ours, attrs, attributes = UNARY[op]
    rng = np.random.default_rng(7)
    for _ in range(25):
        qx, qy = quants(rng, 2)
        qy = FIXED.get(op, qy)
        nodes = [dequantized("x"), onnx.helper.make_node(op, ["xf"], ["f"], **attributes), onnx.helper.make_node(*QUANTIZED)]
        want = session(nodes, {"x": BYTES}, parameters(x=qx, y=qy))
        got = emulate(ours, attrs, [twin("x", BYTES, qx)], twin("y", BYTES, qy), signed(BYTES))
        assert np.array_equal(got, signed(want)), (qx, qy)


def test_clip_has_both_limits() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        qx, qy = quants(rng, 2)
        nodes = [
            dequantized("x"),
            onnx.helper.make_node("Clip", ["xf", "low", "high"], ["f"]),
            onnx.helper.make_node(*QUANTIZED),
        ]
        constants = {**parameters(x=qx, y=qy), "low": np.float32(0), "high": np.float32(6)}
        want = session(nodes, {"x": BYTES}, constants)
        got = emulate("relu", ReluAttrs(0.0, 6.0), [twin("x", BYTES, qx)], twin("y", BYTES, qy), signed(BYTES))
        assert np.array_equal(got, signed(want))


def unary_node(op: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(op, ["x", "xs", "xz", "ys", "yz"], ["y"], domain=MICROSOFT, **attributes)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_softmax(classes: int) -> None:
    rng = np.random.default_rng(classes)
    qy = np.float32(1 / 256), 0
    for _ in range(4):
        qx = np.float32(np.exp(rng.uniform(-7, 0))), int(rng.integers(0, 256))
        x = rng.integers(0, 256, (40, classes)).astype(np.uint8)
        want = session([unary_node("QLinearSoftmax", axis=-1, opset=13)], {"x": x}, parameters(x=qx, y=qy))
        got = emulate("softmax", SoftmaxAttrs(), [twin("x", x, qx)], twin("y", x, qy), signed(x))
        assert np.array_equal(got, signed(want))


@pytest.mark.parametrize("seed", range(12))
def test_average_pools_and_means(seed: int) -> None:
    rng = np.random.default_rng(seed)
    qx, qy = quants(rng, 2)
    height, width, channels = (int(v) for v in rng.integers(3, 12, 3))
    x = rng.integers(0, 256, (2, height, width, channels)).astype(np.uint8)
    whole, pads = bool(seed % 2), (int(rng.integers(0, 2)),) * 4
    window, stride = (int(rng.integers(2, 4)), int(rng.integers(2, 4))), (int(rng.integers(1, 3)),) * 2
    node = unary_node(
        "QLinearAveragePool", channels_last=1, kernel_shape=window, strides=stride, pads=pads, count_include_pad=int(whole)
    )
    want = session([node], {"x": x}, parameters(x=qx, y=qx))
    got = emulate(
        "avg_pool2d", PoolAttrs(window, stride, pads, "none", whole), [twin("x", x, qx)], twin("y", want, qx), signed(x)
    )
    assert np.array_equal(got, signed(want))
    everything = unary_node("QLinearGlobalAveragePool", channels_last=1)
    want = session([everything], {"x": x}, parameters(x=qx, y=qy))
    got = emulate("mean", MeanAttrs((1, 2), True), [twin("x", x, qx)], twin("y", want, qy), signed(x))
    assert np.array_equal(got, signed(want))
    want = session([everything], {"x": x}, parameters(x=qx, y=qx))
    pool = PoolAttrs((height, width))
    assert np.array_equal(emulate("avg_pool2d", pool, [twin("x", x, qx)], twin("y", want, qx), signed(x)), signed(want))


def test_quantize_and_dequantize() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        (qy,) = quants(rng, 1)
        ties = (np.arange(-300, 300) + np.float32(0.5)) * qy[0]
        x = np.concatenate([ties, rng.standard_normal(1001) * qy[0] * 90, [np.nan, np.inf, -np.inf, 1e30]]).astype(np.float32)
        node = onnx.helper.make_node("QuantizeLinear", ["x", "ys", "yz"], ["y"])
        want = session([node], {"x": x}, parameters(y=qy))
        got = emulate("quantize", NoAttrs(), [tensor("x", x.shape, "float32")], twin("y", x, qy), x)
        assert np.array_equal(got, signed(want))
        node = onnx.helper.make_node("DequantizeLinear", ["x", "ys", "yz"], ["y"])
        want = session([node], {"x": BYTES}, parameters(y=qy), output=1)
        got = emulate("dequantize", NoAttrs(), [twin("x", BYTES, qy)], tensor("y", BYTES.shape, "float32"), signed(BYTES))
        assert np.array_equal(got, want)


def conv_relu(zero_point: int) -> Any:
    """Return a QDQ model of a convolution with a Relu; scales of a part in 32, output zero point as given."""
    helper = onnx.helper
    nodes, constants = (
        [],
        {"s": np.float32(1 / 32), "z": np.uint8(0), "yz": np.uint8(zero_point), "w": np.ones((1, 1, 1, 1), np.int8)},
    )
    constants["wz"] = np.int8(0)
    for source, name, zero in (("x", "qx", "z"), ("r", "y", "yz")):
        quantized = helper.make_node("QuantizeLinear", [source, "s", zero], [f"{name}:q"])
        nodes.append((quantized, helper.make_node("DequantizeLinear", [f"{name}:q", "s", zero], [name])))
    layer = [
        helper.make_node("DequantizeLinear", ["w", "s", "wz"], ["wd"]),
        helper.make_node("Conv", ["qx", "wd"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
    ]
    values = [helper.make_tensor_value_info(k, 1, [1, 1, 2, 2]) for k in ("x", "y")]
    initial = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph([*nodes[0], *layer, *nodes[1]], "g", values[:1], values[1:], initial)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("zero_point", "integer"), [(0, True), (100, False)])
def test_a_relu_that_the_output_does_not_imply_is_no_integer_layer(tmp_path: Path, zero_point: int, integer: bool) -> None:
    """ONNX Runtime keeps such a Relu, and the convolution in reals; both profiles refuse the site."""
    options = ort.SessionOptions()
    options.log_severity_level, options.optimized_model_filepath = 3, str(tmp_path / "optimized.onnx")
    ort.InferenceSession(conv_relu(zero_point).SerializeToString(), options, providers=["CPUExecutionProvider"])
    made = {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert ("QLinearConv" in made) is integer
    x, y = (tensor(k, (1, 2, 2, 1), "int8", (1 / 32, z - 128)) for k, z in (("x", 0), ("y", zero_point)))
    w = tensor("w", (1, 1, 1, 1), "int8", (1 / 32, 0), np.ones((1, 1, 1, 1), np.int8))
    for name in PROFILES:
        site = Site(
            "conv", "conv2d", Conv2dAttrs(activation="relu"), (x, w), (y,), load_profile(name).arithmetic("conv2d", "int8")
        )
        if integer:
            OPS["conv2d"].prepare(site)
            continue
        with pytest.raises(UnsupportedError, match="inside the range of its output"):
            OPS["conv2d"].prepare(site)
