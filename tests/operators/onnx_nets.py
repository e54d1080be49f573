"""Cases of single ONNX operators (or few), compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.operators.case import Case, rng

Constants = Mapping[str, Any]


@dataclass(frozen=True)
class Fed:
    """An input: its shape (text: open), type, and the range of its numbers (integers: high is not reached)."""

    shape: tuple[int | str, ...]
    dtype: str = "float32"
    low: float = -1.0
    high: float = 1.0


def node(op: str, inputs: str, outputs: str = "y", domain: str = "", **attrs: Any) -> onnx.NodeProto:
    """Return a node; names are separated by spaces, `_` stands for an absent one."""
    names = [["" if n == "_" else n for n in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op, *names, domain=domain, **attrs)


def ints(*values: int) -> np.ndarray:
    """Return an int64 constant."""
    return np.array(values, np.int64)


def floats(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Return float32 numbers, the same for the same arguments."""
    return rng("floats", seed, *shape).uniform(low, high, shape).astype(np.float32)


def proto(
    nodes: Sequence[onnx.NodeProto], inputs: Mapping[str, Fed], constants: Constants, outputs: Mapping[str, str], opset: int
) -> onnx.ModelProto:
    """Return a model. outputs: name -> type."""

    def info(name: str, dtype: str, shape: Sequence[int | str] | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    graph = helper.make_graph(
        list(nodes),
        "case",
        [info(name, fed.dtype, fed.shape) for name, fed in inputs.items()],
        [info(name, dtype, None) for name, dtype in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    domains = sorted({n.domain for n in nodes} - {""})
    sets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=sets, ir_version=10)


def case(
    operator: str,
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Fed | tuple[int | str, ...]],
    constants: Constants | None = None,
    outputs: Mapping[str, str] | None = None,
    types: str = "",
    opset: int = 17,
    rounds: int = 3,
    tolerance: float = 1e-5,
) -> Case:
    """Return a case on `rounds` declared batches of random numbers."""
    fed = {k: v if isinstance(v, Fed) else Fed(v) for k, v in inputs.items()}
    kind = types or next(iter(fed.values())).dtype

    def model() -> bytes:
        return proto(nodes, fed, constants or {}, outputs or {"y": "float32"}, opset).SerializeToString()

    def feeds() -> list[np.ndarray]:
        return [_numbers(v, rng("onnx", operator, name, i), rounds) for i, v in enumerate(fed.values())]

    return Case(operator, "onnx", kind, name, model, feeds, ("onnxruntime",), tolerance)


def _numbers(fed: Fed, random: np.random.Generator, rounds: int) -> np.ndarray:
    shape = [1 if isinstance(d, str) else d for d in fed.shape]
    shape[0] *= rounds
    if fed.dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    if np.dtype(fed.dtype).kind == "f":
        return random.uniform(fed.low, fed.high, shape).astype(fed.dtype)
    return random.integers(int(fed.low), int(fed.high), shape).astype(fed.dtype)
