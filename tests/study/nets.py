"""Tiny ONNX networks that are no classifiers, and studies of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TARGET = "stm32l4r5-cortex-m4-tflm"


def weight(name: str, *shape: int, seed: int = 0) -> onnx.TensorProto:
    """Return random weights."""
    rng = np.random.default_rng([seed, *map(ord, name)])
    return numpy_helper.from_array((rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32), name)


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
    weights: Sequence[onnx.TensorProto],
) -> None:
    """Write a model."""
    graph = helper.make_graph(
        list(nodes), "net",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        list(weights),
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def dense(path: Path, sizes: Sequence[int]) -> None:
    """Write Gemm - Relu - ... - Gemm on [N, sizes[0]]."""
    nodes, weights, last = [], [], "x"
    for i, (a, b) in enumerate(pairwise(sizes)):
        end = i == len(sizes) - 2
        weights += [weight(f"w{i}", b, a), weight(f"b{i}", b)]
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], ["y" if end else f"g{i}"], f"fc{i}", transB=1))
        last = f"g{i}"
        if not end:
            nodes.append(helper.make_node("Relu", [last], [f"r{i}"], f"relu{i}"))
            last = f"r{i}"
    save(path, nodes, {"x": ["N", sizes[0]]}, {"y": ["N", sizes[-1]]}, weights)


def maps(path: Path, classes: int = 3) -> None:
    """Write Conv(3x3) - Relu - Conv(1x1) on [N, 1, 8, 8]: a class per pixel, channels first."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["y"], "conv2"),
    ]
    weights = [weight("w1", 6, 1, 3, 3), weight("b1", 6), weight("w2", classes, 6, 1, 1), weight("b2", classes)]
    save(path, nodes, {"x": ["N", 1, 8, 8]}, {"y": ["N", classes, 8, 8]}, weights)


def two_heads(path: Path) -> None:
    """Write Gemm - Relu, and two Gemms on it: classes [N, 5] and a box [N, 4]; a second input is added in front."""
    nodes = [
        helper.make_node("Add", ["x", "z"], ["s"], "add0"),
        helper.make_node("Gemm", ["s", "w1", "b1"], ["g1"], "fc1", transB=1),
        helper.make_node("Relu", ["g1"], ["r1"], "relu1"),
        helper.make_node("Gemm", ["r1", "w2", "b2"], ["classes"], "fc2", transB=1),
        helper.make_node("Gemm", ["r1", "w3", "b3"], ["box"], "fc3", transB=1),
    ]
    weights = [
        weight("w1", 16, 8),
        weight("b1", 16),
        weight("w2", 5, 16),
        weight("b2", 5),
        weight("w3", 4, 16),
        weight("b3", 4),
    ]
    save(path, nodes, {"x": ["N", 8], "z": ["N", 8]}, {"classes": ["N", 5], "box": ["N", 4]}, weights)


def study(folder: Path, name: str, evaluation: dict[str, Any], subject_to: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a study of `<name>.onnx` on arrays of `d.npz`."""
    source = {"file": str(folder / "d.npz"), "inputs": "x", **evaluation}
    calibration = {k: v for k, v in source.items() if k in ("file", "preprocess")}
    own = source["inputs"]
    calibration["inputs"] = {k: f"cal_{v}" for k, v in own.items()} if isinstance(own, dict) else f"cal_{own}"
    return {
        "study": name, "model": str(folder / f"{name}.onnx"), "data": {"calibration": calibration, "evaluation": source},
        "hardware": [TARGET], "formats": {"search": ["w8a8", "w4a8"], "baseline": "w8a8"},
        "choose": {"minimize": "flash", "subject_to": subject_to}, "report": ["csv"], **keys,
    }  # fmt: skip
