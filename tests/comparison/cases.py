"""Tiny quantized graphs whose differences are known by hand, and profiles that differ in single rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware import HardwareProfile, load_profile
from workbench.ops.add import BinaryAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import QuantParams

TFLM = "stm32l4r5-cortex-m4-tflm"
XCUBEAI = "stm32l4r5-cortex-m4-xcubeai"


def profile(name: str = "other", **rules: Any) -> HardwareProfile:
    """Return the TFLM board with other rules in every operator."""
    base = load_profile(TFLM)
    return base.model_copy(update={"name": name, "arithmetic_base": {**base.arithmetic_base, **rules}})


def with_operator(base: HardwareProfile, op: str, name: str = "other", **rules: Any) -> HardwareProfile:
    """Return a profile with other rules in one operator."""
    entry = base.operators[op].model_copy(update={"arithmetic": rules})
    return base.model_copy(update={"name": name, "operators": {**base.operators, op: entry}})


def activation(name: str, size: int, scale: float) -> Tensor:
    """Return an int8 activation [1, size] with zero point 0."""
    return Tensor(name, (1, size), "int8", QuantParams.per_tensor(scale))


def halving_layers(layers: int = 1, size: int = 2) -> Graph:
    """Return y = round(x / 2) again and again: fully connected layers by the identity, each with twice the scale of its input."""
    tensors = [activation("t0", size, 1.0)]
    nodes = []
    for i in range(layers):
        w = Tensor(f"w{i}", (size, size), "int8", QuantParams.per_tensor(1.0), np.eye(size, dtype=np.int8))
        nodes.append(Node(f"fc{i}", "fully_connected", (f"t{i}", f"w{i}"), (f"t{i + 1}",), FullyConnectedAttrs()))
        tensors += [w, activation(f"t{i + 1}", size, 2.0 ** (i + 1))]
    return Graph("halving", tuple(nodes), {t.name: t for t in tensors}, ("t0",), (f"t{layers}",))


def adding(size: int = 4) -> Graph:
    """Return y = x + x on int8 with three scales that no rule computes exactly."""
    tensors = [activation("x", size, 0.37), activation("y", size, 0.61)]
    node = Node("add0", "add", ("x", "x"), ("y",), BinaryAttrs())
    return Graph("adding", (node,), {t.name: t for t in tensors}, ("x",), ("y",))
