"""`ai8x_max78000`: outputs of the layer simulator of Analog Devices' ai8x-synthesis, each layer as operators of the profile.

Integers have no scales there: weights and inputs get scale 1, and the output the power of two that the layer's shift stands for
(total_shift t: 2**(7 - t)). Biases are in units of 128. Depthwise layers are those of the MAX78002.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from workbench.execute import prepare
from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.hardware import HardwareProfile, load_profile
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.transpose_conv2d import TransposeConv2dAttrs
from workbench.tensor import QuantParams
from workbench.validate.cases import CaseFile
from workbench.validate.golden_base import CHECKS, Row, count, make_row

Case = Mapping[str, Any]
Arrays = Mapping[str, Array]
PRODUCER = "ai8x_synthesis"
WEIGHTS = {8: "int8", 4: "int4", 2: "int2", 1: "int1"}
BIAS_UNIT = 128
ROUNDED = ", averages rounded"
"""After the name of a profile: --avg-pool-rounding of the tools, another rule in the same silicon."""


@dataclass
class Chain:
    """Nodes one after another. y: the last tensor; feeds: what is put in."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    feeds: dict[str, Array] = field(default_factory=dict)
    y: str = ""

    def feed(self, name: str, x: Array) -> Tensor:
        """Return a new input."""
        self.feeds[name] = np.ascontiguousarray(x)
        return self.tensor(Tensor(name, x.shape, x.dtype.name, QuantParams.per_tensor(1.0)))

    def tensor(self, tensor: Tensor) -> Tensor:
        """Add a tensor."""
        self.tensors[tensor.name] = tensor
        return tensor

    def add(self, op: str, attrs: Any, inputs: list[Tensor], shape: tuple[int, ...], dtype: str, scale: float) -> Tensor:
        """Add a node and return its output."""
        y = self.tensor(Tensor(f"y{len(self.nodes)}", shape, dtype, QuantParams.per_tensor(scale)))
        self.nodes.append(Node(y.name, op, tuple(t.name for t in inputs), (y.name,), attrs))
        self.y = y.name
        return y

    def run(self, profile: HardwareProfile) -> Array:
        """Return the last tensor as the target computes it."""
        graph = Graph("golden", tuple(self.nodes), self.tensors, tuple(self.feeds), (self.y,))
        return prepare(graph, profile).run(self.feeds)[self.y]


def _channels_last(x: Array) -> Array:
    """CHW, CL or C -> [1, H, W, C]; a line is an image of one row."""
    return x.reshape(x.shape[0], 1, -1).transpose(1, 2, 0)[None] if x.ndim < 3 else x.transpose(1, 2, 0)[None]


def _layer(case: Case, arrays: Arrays) -> tuple[str, Chain, Array]:
    """Return (profile, chain, expected) of a convolution with its activation."""
    chain, op = Chain(), case["op"]
    x = chain.feed("x", _channels_last(arrays["x"]))
    stored = arrays["w"] if arrays["w"].ndim == 4 else arrays["w"][:, :, None]  # [O, I, KH, KW]; a line has KH 1
    attrs, name, w = _window(case, stored)
    tensors = [
        x,
        chain.tensor(Tensor("w", w.shape, WEIGHTS[case["weight_bits"]], QuantParams.per_tensor(1.0), np.ascontiguousarray(w))),
    ]
    if case["has_bias"]:
        bias = arrays["b"].astype(np.int32) * BIAS_UNIT
        tensors.append(chain.tensor(Tensor("b", bias.shape, "int32", None, bias)))
    want = _channels_last(arrays["y"].reshape(arrays["y"].shape[0], -1) if op == "conv1d" else arrays["y"])
    unshifted = case["output_width"] == 32
    if unshifted and case["activation"] != "none":  # an activation clamps to 8 bits, whatever the width of what is stored
        want = want.astype(np.int8)
    scale = 1.0 if unshifted else 2.0 ** (7 - case["total_shift"])
    y = chain.add(name, attrs, tensors, want.shape, want.dtype.name, scale)
    if case["activation"] == "abs":
        chain.add("abs", NoAttrs(), [y], want.shape, y.dtype, scale)
    return "max78002" if op == "conv2d_dw" else "max78000", chain, want


def _window(case: Case, w: Array) -> tuple[Any, str, Array]:
    """Return (attributes, operator, weights in its layout)."""
    pads, dilation = ([0, *case[k]] if len(case[k]) == 1 else list(case[k]) for k in ("padding", "dilation"))
    dilation[0] = max(dilation[0], 1)
    activation = "relu" if case["activation"] == "relu" else "none"
    common: dict[str, Any] = {"dilation": tuple(dilation), "pads": (*pads, *pads), "activation": activation}
    if case["op"] == "conv2d_dw":
        return DepthwiseConv2dAttrs(**common), "depthwise_conv2d", w.transpose(1, 2, 3, 0)
    if case["op"] != "convtranspose2d":
        return Conv2dAttrs(**common), "conv2d", w.transpose(0, 2, 3, 1)
    extra: dict[str, Any] = {"stride": tuple(case["fractional_stride"]), "output_padding": tuple(case["output_padding"])}
    # The chip spreads the input and convolves it: that is the transposed convolution by the kernel turned around.
    return TransposeConv2dAttrs(**common, **extra), "transpose_conv2d", w[:, :, ::-1, ::-1].transpose(0, 2, 3, 1)


def _elementwise(case: Case, arrays: Arrays) -> tuple[str, Chain, Array]:
    """Operands one after another; sums of more than two are clipped at the last one."""
    chain, operator = Chain(), case["operator"]
    values = [chain.feed(f"x{i}", _channels_last(x)) for i, x in enumerate(arrays["x"])]
    want = _channels_last(arrays["y"])
    total = values[0]
    for i, operand in enumerate(values[1:], start=2):
        if operator in ("or", "xor"):
            total = chain.add(f"bitwise_{operator}", NoAttrs(), [total, operand], want.shape, "int8", 1.0)
        elif operator == "mul":
            total = chain.add("mul", BinaryAttrs(), [total, operand], want.shape, "int8", 2.0 ** (7 - case["output_shift"]))
        else:
            total = chain.add(
                operator, BinaryAttrs(), [total, operand], want.shape, "int8" if i == len(values) else "int16", 1.0
            )
    return "max78000", chain, want


def _pool(case: Case, arrays: Arrays) -> tuple[str, Chain, Array]:
    chain, want = Chain(), _channels_last(arrays["y"])
    x = chain.feed("x", _channels_last(arrays["x"]))
    op = "avg_pool2d" if case["average"] else "max_pool2d"
    chain.add(op, PoolAttrs(tuple(case["pool"]), tuple(case["stride"])), [x], want.shape, "int8", 1.0)
    return f"max78000{ROUNDED if case['average'] and case['rounding'] else ''}", chain, want


def _linear(case: Case, arrays: Arrays) -> tuple[str, Chain, Array]:
    """The linear layer in software: int16 outputs, a bias in the accumulator's own unit."""
    chain, want = Chain(), arrays["y"][None]
    x = chain.feed("x", arrays["x"][None])
    w = chain.tensor(Tensor("w", arrays["w"].shape, "int8", QuantParams.per_tensor(1.0), arrays["w"]))
    b = chain.tensor(Tensor("b", arrays["b"].shape, "int32", None, arrays["b"]))
    chain.add("fully_connected", FullyConnectedAttrs(), [x, w, b], want.shape, f"int{case['bits']}", 128.0)
    return "max78000", chain, want


CASES: dict[str, Callable[[Case, Arrays], tuple[str, Chain, Array]]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv2d_dw", "convtranspose2d"), _layer),
    "eltwise": _elementwise,
    "pool2d": _pool,
    "linear_sw": _linear,
}
"""Kind of a case -> (profile, operators, expected)."""


@lru_cache(maxsize=8)
def _target(name: str) -> HardwareProfile:
    """Return the accelerator alone: what it could not run would otherwise be its host's."""
    profile = load_profile(name.removesuffix(ROUNDED))
    arithmetic = profile.arithmetic_base | ({"avg_pool": "half_away"} if name.endswith(ROUNDED) else {})
    return profile.model_copy(update={"name": name, "fallback": None, "arithmetic_base": arithmetic})


def check_ai8x(path: Path) -> list[Row]:
    """Return one row per profile and kind of layer; kinds that are not known and layers that are refused fail."""
    totals: dict[tuple[str, str], list[int]] = {}
    file = CaseFile(path)
    for case, arrays in file.cases:
        build = CASES.get(case["op"])
        if build is None:
            file.add(f"no rule for {case['op']}", case["id"])
            continue
        with file.attempt(case["id"]):
            profile, chain, want = build(case, arrays)
            count(totals.setdefault((profile, case["op"]), [0, 0, 0, 0]), chain.run(_target(profile)), want)
    rows = [make_row(path.stem, f"{PRODUCER} {op}", profile, total) for (profile, op), total in sorted(totals.items())]
    return rows + file.rows()


CHECKS.add("ai8x_max78000", check_ai8x)
