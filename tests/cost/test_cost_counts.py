"""Counts against the published layer lists, formats from tensor types, bytes at their width."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.layer_graph import OPERATORS, network_graph
from tests.cost.graphs import activation, dense, weight
from workbench.cost.counts import constant_bytes, layer_work
from workbench.graph.ir import Graph, Node
from workbench.graph.node_format import WEIGHT_INPUT, node_format
from workbench.ops import OPS


@pytest.mark.parametrize("network", ["kws", "ad", "ic", "vww", "sww"])
def test_counts_of_every_layer_equal_the_published_list(ground_truth: Path, network: str) -> None:
    table = pd.read_csv(ground_truth / "mlperf_tiny_model_layers.csv")
    table = table[table.model == f"{network}_int8"]
    graph = network_graph(ground_truth, network)
    works = [layer_work(graph, node) for node in graph.nodes]
    assert [w.op for w in works] == [OPERATORS[t] for t in table.type]
    assert [w.macs for w in works] == table.macs.tolist()
    assert [w.weights for w in works] == table.weights.tolist()
    assert [w.outputs for w in works] == table.out_elems.tolist()


def test_weighted_operators_are_those_of_the_registry() -> None:
    assert {op: spec.weights.index for op, spec in OPS.items() if spec.weights is not None} == WEIGHT_INPUT


@pytest.mark.parametrize(
    ("kind", "act", "per_channel", "name"),
    [
        ("int8", "int8", True, "w8a8"), ("int4", "int8", True, "w4a8"), ("int2", "int8", False, "w2a8-per-tensor"),
        ("int8", "int16", True, "w8a16"), ("float16", "float16", True, "fp16"), ("float32", "float32", True, "fp32"),
        ("int8", "float32", False, "w8a8-dynamic-per-tensor"),
    ],
)  # fmt: skip
def test_format_of_a_weighted_node(kind: str, act: str, per_channel: bool, name: str) -> None:
    graph = dense(kind, act, per_channel)
    assert node_format(graph, graph.nodes[0]) == name


@pytest.mark.parametrize(
    ("op", "x", "y", "name"),
    [
        ("quantize", "float32", "int8", "a8"), ("quantize", "int8", "int16", "a8"), ("dequantize", "int16", "float32", "a16"),
        ("cast", "float32", "float16", "fp16"), ("cast", "float16", "float32", "fp16"), ("softmax", "int8", "int8", "a8"),
        ("tanh", "float32", "float32", "fp32"),
    ],
)  # fmt: skip
def test_format_of_a_node_without_weights_is_that_of_its_narrow_side(op: str, x: str, y: str, name: str) -> None:
    tensors = {"x": activation("x", (1, 4), x), "y": activation("y", (1, 4), y)}
    node = Node("n", op, ("x",), ("y",), OPS[op].attrs())
    assert node_format(Graph("g", (node,), tensors, ("x",), ("y",)), node) == name


@pytest.mark.parametrize(
    ("dtype", "count", "size"), [("int2", 9, 3), ("int4", 9, 5), ("int8", 9, 9), ("int32", 9, 36), ("float16", 9, 18)]
)
def test_constants_are_stored_at_their_width_rounded_up(dtype: str, count: int, size: int) -> None:
    assert constant_bytes(weight("w", (count,), dtype)) == size
