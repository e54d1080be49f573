"""Graphs made of the layer lists of mlperf_tiny_model_layers.csv: right shapes and types, weights of zeros.

Enough for counts, latency and energy; not for memory (the chain has no branches) nor for anything that looks at values.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workbench.graph.ir import Graph, Node, Tensor
from workbench.ops import OPS
from workbench.tensor import STORAGE, QuantParams

OPERATORS = {
    "conv": "conv2d", "conv1x1": "conv2d", "dw": "depthwise_conv2d", "fc": "fully_connected", "ADD": "add",
    "AVERAGE_POOL_2D": "avg_pool2d", "RESHAPE": "reshape", "SOFTMAX": "softmax",
}  # fmt: skip


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(v) for v in text.split("x"))


def _attrs(op: str, in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> object:
    fields = {"avg_pool2d": {"filter": in_shape[1:3]}, "reshape": {"shape": (-1, *out_shape[1:])}}
    return OPS[op].attrs(**fields.get(op, {}))


def network_graph(data: Path, network: str, weight: str = "int8", activation: str = "int8", per_tensor: bool = False) -> Graph:
    """Return the chain of layers of 'kws', 'ad', 'ic', 'vww' or 'sww' in the given types (both 'float32': a float graph)."""
    layers = pd.read_csv(data / "mlperf_tiny_model_layers.csv")
    tensors: dict[str, Tensor] = {}
    nodes = []
    integer = activation.startswith("int")
    quant = QuantParams.per_tensor(0.1) if integer else None

    def activation_tensor(name: str, shape: tuple[int, ...]) -> str:
        tensors[name] = Tensor(name, shape, activation, quant)
        return name

    rows = list(layers[layers.model == f"{network}_int8"].itertuples())
    current = activation_tensor("input", _shape(rows[0].in_shape))
    for i, row in enumerate(rows):
        op, in_shape, out_shape = OPERATORS[row.type], _shape(row.in_shape), _shape(row.out_shape)
        inputs = [current]
        if op == "add":
            inputs.append(current)
        if isinstance(row.w_shape, str):
            shape = _shape(row.w_shape)
            out = shape[-1] if op == "depthwise_conv2d" else shape[0]
            axis = 3 if op == "depthwise_conv2d" else 0
            scale = (
                None
                if not integer
                else QuantParams.per_tensor(0.1)
                if per_tensor
                else QuantParams.per_channel(np.full(out, 0.1), axis)
            )
            bias = "int64" if activation == "int16" else "int32" if integer else "float32"
            for name, kind, dims in ((f"w{i}", weight, shape), (f"b{i}", bias, (out,))):
                tensors[name] = Tensor(name, dims, kind, scale, np.zeros(dims, STORAGE[kind]))
                inputs.append(name)
        current = activation_tensor(f"t{i}", out_shape)
        nodes.append(Node(f"{op}_{i}", op, tuple(inputs), (current,), _attrs(op, in_shape, out_shape)))
    return Graph(network, tuple(nodes), tensors, ("input",), (current,))
