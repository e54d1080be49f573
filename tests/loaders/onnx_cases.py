"""Small ONNX models for tests, and the comparison with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from workbench.execute import run_reference
from workbench.graph.ir import Graph
from workbench.loaders.onnx import load_onnx

Shape = Sequence[int | str]


def rand(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Return float32 numbers, the same for the same arguments."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    """Return an int64 constant."""
    return np.array(values, np.int64)


def node(op: str, inputs: str, outputs: str, name: str = "", **attrs: Any) -> onnx.NodeProto:
    """Return a node; names are separated by spaces, `_` stands for an absent input."""
    absent = ["" if i == "_" else i for i in inputs.split()]
    return helper.make_node(op, absent, outputs.split(), name, **attrs)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    constants: Mapping[str, np.ndarray] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> onnx.ModelProto:
    """Return a model; inputs are float32, outputs have no declared shape."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, list(v)) for k, v in inputs.items()],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, None) for k in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def load(proto: onnx.ModelProto, folder: Path) -> Graph:
    """Write a model to a file and load it."""
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return load_onnx(path)


def runtime(proto: onnx.ModelProto, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Return what ONNX Runtime gives."""
    ort = pytest.importorskip("onnxruntime", reason="needs the extra 'verify' (onnxruntime)")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(y) for y in session.run(None, feed)]


def compare(proto: onnx.ModelProto, folder: Path, tolerance: float = 1e-5, low: float = -1.0, high: float = 1.0) -> Graph:
    """Load a model, run its reference and ONNX Runtime on the same numbers; return the graph.

    ONNX Runtime gets one declared batch at a time, the reference three of them at once unless the batch is fixed.
    tolerance: largest absolute difference relative to the largest absolute output (float32 sums in another order).
    """
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: no float results to compare with")
    graph = load(proto, folder)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    shapes = {name: graph.tensors[graph.input_names.get(name, name)].shape for name in (i.name for i in session.get_inputs())}
    batch = next(iter(shapes.values()))[0]
    rounds = 1 if graph.fixed_batch else 3
    feed = {k: rand(batch * rounds, *s[1:], seed=7 + i, low=low, high=high) for i, (k, s) in enumerate(shapes.items())}
    want = [session.run(None, {k: v[r * batch : (r + 1) * batch] for k, v in feed.items()}) for r in range(rounds)]
    got = run_reference(graph, {graph.input_names.get(k, k): v for k, v in feed.items()})
    for i, name in enumerate(graph.outputs):
        expected = np.concatenate([w[i] for w in want])
        assert got[name].shape == expected.shape, name
        assert got[name].dtype == np.float32
        assert graph.tensors[name].shape == want[0][i].shape
        scale = max(float(np.abs(expected).max()), 1e-3)
        np.testing.assert_allclose(got[name], expected, rtol=0, atol=tolerance * scale, err_msg=name)
    check_declared_shapes(graph, feed)
    return graph


def check_declared_shapes(graph: Graph, feed: Mapping[str, np.ndarray]) -> None:
    """Every tensor has its declared shape (but for the batch) when the graph runs."""
    values = run_reference(graph, {graph.input_names.get(k, k): v for k, v in feed.items()}, keep_all=True)
    for name, value in values.items():
        assert value.shape[1:] == graph.tensors[name].shape[1:], name
        assert graph.fixed_batch is None or value.shape == graph.tensors[name].shape, name


def ops(graph: Graph) -> list[str]:
    """Return the operators in order."""
    return [n.op for n in graph.nodes]
