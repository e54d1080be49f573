"""Small whole networks of the kinds that people bring, written with onnx.helper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.loaders.onnx_cases import ints, rand

IDS, STEPS, WIDTH, HEADS = 40, 6, 8, 2
Shape = Sequence[int | str]


class Block:
    """Collects nodes and weights; every method returns the name of a tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def op(self, kind: str, *inputs: str | np.ndarray | np.generic, outputs: int = 1, **attrs: Any) -> Any:
        """Add a node; arrays become constants."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        made = [f"{kind.lower()}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, made, f"/{kind}_{len(self.nodes)}", **attrs))
        return made[0] if outputs == 1 else made

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def dense(self, x: str, inputs: int, outputs: int) -> str:
        w = rand(inputs, outputs, seed=len(self.constants)) / np.float32(np.sqrt(inputs))
        return str(self.op("Add", self.op("MatMul", x, w), rand(outputs, seed=len(self.constants)) * np.float32(0.1)))

    def norm(self, x: str) -> str:
        scale = rand(WIDTH, seed=len(self.constants), low=0.5, high=1.5)
        return str(self.op("LayerNormalization", x, scale, rand(WIDTH) * np.float32(0.1), axis=-1))

    def gelu(self, x: str) -> str:
        """Return x * 0.5 * (1 + erf(x / sqrt 2)) of its parts."""
        inner = self.op("Add", self.op("Erf", self.op("Div", x, np.float32(np.sqrt(2.0)))), np.float32(1))
        return str(self.op("Mul", self.op("Mul", x, inner), np.float32(0.5)))

    def attention(self, x: str, mask: str | np.ndarray | None) -> str:
        """Multi-head attention over [N, T, C] with something that is added to the scores."""
        parts = []
        for perm in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)):
            split = self.op("Reshape", self.dense(x, WIDTH, WIDTH), ints(0, -1, HEADS, WIDTH // HEADS))
            parts.append(self.op("Transpose", split, perm=list(perm)))
        q, k, v = parts
        scores = self.op("Mul", self.op("MatMul", q, k), np.float32(1 / np.sqrt(WIDTH // HEADS)))
        scores = scores if mask is None else self.op("Add", scores, mask)
        mixed = self.op("Transpose", self.op("MatMul", self.op("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        return self.dense(str(self.op("Reshape", mixed, ints(0, -1, WIDTH))), WIDTH, WIDTH)

    def transformer_layer(self, x: str, mask: str | np.ndarray | None) -> str:
        x = str(self.op("Add", x, self.attention(self.norm(x), mask)))
        inner = self.gelu(self.dense(self.norm(x), WIDTH, 2 * WIDTH))
        return str(self.op("Add", x, self.dense(inner, 2 * WIDTH, WIDTH)))

    def build(self, y: str, inputs: Mapping[str, tuple[int, Shape]], opset: int = 17) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "block",
            [helper.make_tensor_value_info(n, kind, list(shape)) for n, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(v, n) for n, v in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def mobilenet_block() -> onnx.ModelProto:
    """A MobileNetV3 block: expansion, depthwise, squeeze and excite, projection, residual."""
    b = Block()
    wide = b.op("HardSwish", b.op("Conv", "x", rand(16, 8, 1, 1), rand(16)))
    deep = b.op("HardSwish", b.op("Conv", wide, rand(16, 1, 3, 3), rand(16, seed=1), group=16, pads=[1, 1, 1, 1]))
    squeezed = b.op("Relu", b.op("Conv", b.op("GlobalAveragePool", deep), rand(4, 16, 1, 1), rand(4)))
    gate = b.op("HardSigmoid", b.op("Conv", squeezed, rand(16, 4, 1, 1), rand(16, seed=2)), alpha=1 / 6, beta=0.5)
    out = b.op("Conv", b.op("Mul", deep, gate), rand(8, 16, 1, 1) * np.float32(0.3))
    return b.build(b.op("Add", out, "x"), {"x": (TensorProto.FLOAT, ("N", 8, 6, 6))})


def encoder() -> onnx.ModelProto:
    """Two layers of a transformer encoder: token ids, a mask of 0 and 1, classes from the first token."""
    b = Block()
    x = b.op("Add", b.op("Gather", rand(IDS, WIDTH), "ids"), rand(1, STEPS, WIDTH, seed=1))
    kept = b.op("Cast", b.op("Unsqueeze", "mask", ints(1, 2)), to=TensorProto.FLOAT)
    mask = b.op("Mul", b.op("Sub", np.float32(1), kept), np.finfo(np.float32).min)
    for _ in range(2):
        x = b.transformer_layer(x, mask)
    y = b.dense(b.op("Gather", x, np.int64(0), axis=1), WIDTH, 3)
    kind = TensorProto.INT64
    return b.build(y, {"ids": (kind, ("N", STEPS)), "mask": (kind, ("N", STEPS))})


def decoder() -> onnx.ModelProto:
    """A transformer decoder: the causal mask comes from the shape of its input, as exporters compute it."""
    b = Block()
    x = b.op("Gather", rand(IDS, WIDTH), "ids")
    steps = b.op("Gather", b.op("Shape", "ids"), np.int64(1))
    places = b.op("Range", np.int64(0), steps, np.int64(1))
    x = b.op("Add", x, b.op("Gather", rand(STEPS, WIDTH, seed=1), places))
    later = b.op("Greater", b.op("Unsqueeze", places, ints(0)), b.op("Unsqueeze", places, ints(1)))
    mask = b.op("Where", later, np.float32(-np.inf), np.float32(0))
    for _ in range(2):
        x = b.transformer_layer(x, mask)
    return b.build(b.op("MatMul", b.norm(x), rand(WIDTH, IDS)), {"ids": (TensorProto.INT64, ("N", STEPS))})


def tagger(cell: str) -> onnx.ModelProto:
    """A bidirectional LSTM or GRU over embeddings, one class per step."""
    b, units = Block(), 5
    gates = {"LSTM": 4, "GRU": 3}[cell]
    x = b.op("Transpose", b.op("Gather", rand(IDS, WIDTH), "ids"), perm=[1, 0, 2])
    weights = [rand(2, gates * units, WIDTH), rand(2, gates * units, units), rand(2, 2 * gates * units)]
    y = b.op(cell, x, *weights, hidden_size=units, direction="bidirectional")
    y = b.op("Reshape", b.op("Transpose", y, perm=[2, 0, 1, 3]), ints(0, 0, -1))
    return b.build(b.dense(y, 2 * units, 4), {"ids": (TensorProto.INT64, ("N", STEPS))})


def unet() -> onnx.ModelProto:
    """One level of a U-Net: down, up by a transposed convolution, skip connection, classes per pixel."""
    b = Block()
    fine = b.op(
        "PRelu",
        b.op("InstanceNormalization", b.op("Conv", "x", rand(4, 1, 3, 3), pads=[1] * 4), rand(4), rand(4)),
        rand(4, 1, 1),
    )
    coarse = b.op("LeakyRelu", b.op("Conv", fine, rand(8, 4, 3, 3), strides=[2, 2], pads=[1] * 4), alpha=0.1)
    up = b.op("ConvTranspose", coarse, rand(8, 4, 2, 2), strides=[2, 2])
    classes = b.op("Conv", b.op("Concat", fine, up, axis=1), rand(3, 8, 1, 1))
    return b.build(b.op("Softmax", classes, axis=1), {"x": (TensorProto.FLOAT, ("N", 1, 8, 8))})
