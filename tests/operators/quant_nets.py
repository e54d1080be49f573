"""Quantized ONNX networks of one operator: QLinear operators, operators between DequantizeLinear and QuantizeLinear, dynamic ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.operators.case import rng

Array = np.ndarray[Any, Any]
MICROSOFT = "com.microsoft"
QONNX = "qonnx.custom_op.general"
DOMAINS = {MICROSOFT: 1, QONNX: 1}


class Net:
    """A network as it is written: nodes and constants."""

    def __init__(self, opset: int = 17) -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def const(self, value: Any, dtype: Any = None) -> str:
        """Add a constant; return its name. dtype: NumPy type, or an ONNX element type (4-bit integers)."""
        name = f"c{len(self.constants)}"
        if isinstance(dtype, int):
            array = np.asarray(value)
            self.constants.append(helper.make_tensor(name, dtype, array.shape, array.reshape(-1).tolist()))
        else:
            self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op: str, inputs: Sequence[str], domain: str = "", outputs: int = 1, **attrs: Any) -> str:
        """Add a node; return its (first) output."""
        names = [f"t{len(self.nodes)}" if i == 0 else f"t{len(self.nodes)}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"{op}_{len(self.nodes)}", domain=domain, **attrs))
        return names[0]

    def pair(self, scale: Any, zero: Any) -> list[str]:
        """Add a scale and a zero point (with its own type)."""
        return [self.const(scale, np.float32), self.const(zero)]

    def q(self, x: str, scale: Any, zero: Any, **attrs: Any) -> str:
        """Quantize."""
        return self.node("QuantizeLinear", [x, *self.pair(scale, zero)], **attrs)

    def dq(self, x: str, scale: Any, zero: Any, **attrs: Any) -> str:
        """Dequantize."""
        return self.node("DequantizeLinear", [x, *self.pair(scale, zero)], **attrs)

    def qdq(self, x: str, scale: Any, zero: Any) -> str:
        """Quantize and dequantize."""
        return self.dq(self.q(x, scale, zero), scale, zero)

    def bytes(self, inputs: dict[str, tuple[Any, Sequence[Any]]], outputs: dict[str, Any]) -> bytes:
        """Return the file. inputs: name -> (NumPy type, shape); outputs: name -> NumPy type."""
        ends = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(t)), s) for n, (t, s) in inputs.items()
        ]
        results = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(t)), None) for n, t in outputs.items()
        ]
        graph = helper.make_graph(self.nodes, "net", ends, results, self.constants)
        imports = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, v) for d, v in DOMAINS.items())]
        model = helper.make_model(graph, opset_imports=imports, ir_version=10)
        return bytes(model.SerializeToString())


def quant(generator: np.random.Generator, kind: Any = np.uint8) -> tuple[np.float32, Any]:
    """Return a scale and a zero point."""
    limits = np.iinfo(kind)
    return np.float32(np.exp(generator.uniform(-5, -1))), kind(generator.integers(limits.min, limits.max + 1))


def integers(generator: np.random.Generator, shape: Sequence[int], kind: Any = np.uint8) -> Array:
    """Return integers over the whole range of their type, the ends among them."""
    limits = np.iinfo(kind)
    x = generator.integers(limits.min, limits.max + 1, tuple(shape)).astype(kind)
    flat = x.reshape(-1)
    flat[:2] = limits.min, limits.max
    return x


__all__ = ["MICROSOFT", "QONNX", "Net", "integers", "onnx", "quant", "rng"]
