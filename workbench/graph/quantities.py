"""What a layer is, in numbers that the constraints of a profile limit: kernel_h, stride, in_channels, weight_sum, ...

Names and meaning: `workbench.hardware.constraints.Quantities`. One function each; KeyError where an operator has no such quantity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, isinf, prod
from typing import Any

import numpy as np

from workbench.graph.ir import Node, Tensor
from workbench.graph.node_format import weights_of
from workbench.numerics.activation import FUSED_LIMITS, quantized_limit
from workbench.numerics.codings import CODINGS
from workbench.precision import TYPE_BITS
from workbench.tensor import RANGES

Value = int | str | tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A node with its tensors by name."""

    node: Node
    tensors: Mapping[str, Tensor]

    @property
    def inputs(self) -> list[Tensor]:
        """The activations that it reads."""
        found = (self.tensors[name] for name in self.node.inputs if name)
        return [tensor for tensor in found if not tensor.is_constant]

    @property
    def x(self) -> tuple[int, ...]:
        """Shape of the first activation."""
        return self.inputs[0].shape if self.inputs else self.y

    @property
    def y(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.tensors[self.node.outputs[0]].shape

    @property
    def weights(self) -> Tensor:
        """The constant weights."""
        found = weights_of(self.node, self.tensors)
        if found is None:
            raise KeyError("weights")
        return found

    @property
    def kernel(self) -> tuple[int, ...]:
        """Height and width of the window."""
        if hasattr(self.node.attrs, "filter"):
            return tuple(self.node.attrs.filter)
        if not hasattr(self.node.attrs, "stride"):
            raise KeyError("kernel")
        return self.weights.shape[1:3]

    def attribute(self, name: str) -> Any:
        """Return an attribute of the operator."""
        if not hasattr(self.node.attrs, name):
            raise KeyError(name)
        return getattr(self.node.attrs, name)

    def spatial(self, shape: tuple[int, ...], axis: int) -> int:
        """Return the height (1) or width (2) of a feature map."""
        if len(shape) != 4:
            raise KeyError("a height and a width")
        return shape[axis]

    @property
    def groups(self) -> int:
        """Groups of channels of a convolution."""
        return self.x[-1] if self.node.op == "depthwise_conv2d" else int(self.attribute("groups"))


def _weight_sum(layer: Layer) -> int:
    data = layer.weights.data
    assert data is not None
    axis = data.ndim - 1 if layer.node.op == "depthwise_conv2d" else 0
    rows = np.abs(np.moveaxis(data, axis, 0).reshape(data.shape[axis], -1).astype(np.float64))
    return ceil(float(rows.sum(axis=1).max(initial=0.0)))


def _bias_largest(layer: Layer) -> int:
    layer.weights  # noqa: B018  a layer without weights has no bias
    inputs = layer.node.inputs
    bias = layer.tensors[inputs[2]] if len(inputs) > 2 and inputs[2] else None
    return (
        0
        if bias is None or bias.data is None or not bias.data.size
        else ceil(float(np.abs(bias.data.astype(np.float64)).max()))
    )


def _weight_bytes(layer: Layer) -> int:
    bits: float = TYPE_BITS[layer.weights.dtype]
    if layer.weights.coding:
        bits = CODINGS[layer.weights.coding].bits(int(bits))
    return ceil(prod(layer.weights.shape) * bits / 8)


def _activation(layer: Layer) -> str:
    """Return the fused activation, or a simpler one (none, relu) that leaves the same integers: relu6 at a scale below 6 / 127 is relu.

    A relu of its own counts as what a layer before it would have to fuse; limits that no fused activation has are a `clip`.
    """
    if layer.node.op == "relu":
        own = (float(layer.node.attrs.minimum), float(layer.node.attrs.maximum))
    else:
        own = FUSED_LIMITS[layer.attribute("activation")]
    integers = _clamped(layer.tensors[layer.node.outputs[0]], own)
    same = (name for name, limits in FUSED_LIMITS.items() if _clamped(layer.tensors[layer.node.outputs[0]], limits) == integers)
    return next(same, "clip")


def _clamped(output: Tensor, limits: tuple[float, float]) -> tuple[float, float]:
    """Return the stored numbers that real limits leave of a tensor: the limits themselves for floats."""
    if output.quant is None or output.dtype not in RANGES:
        return limits
    scale, zero_point = output.quant.scalar
    low, high = RANGES[output.dtype]
    stored = [v if isinf(v) else quantized_limit(v, float(scale), zero_point) for v in limits]
    return min(max(low, stored[0]), high), max(min(high, stored[1]), low)


def _padded(layer: Layer) -> int:
    if layer.node.op == "space_to_batch_nd":
        return int(any(map(any, layer.attribute("paddings"))))
    return int(any(layer.attribute("pads")))


def _reduced(layer: Layer) -> list[int]:
    return [layer.x[axis] for axis in layer.attribute("axes")]


def _steps(layer: Layer) -> tuple[int, ...]:
    return tuple(layer.attribute("strides"))


QUANTITIES: dict[str, Callable[[Layer], Value]] = {
    "kernel": lambda a: a.kernel,
    "kernel_h": lambda a: a.kernel[0],
    "kernel_w": lambda a: a.kernel[1],
    "kernel_area": lambda a: prod(a.kernel),
    "stride": lambda a: tuple(a.attribute("stride")),
    "stride_h": lambda a: a.attribute("stride")[0],
    "stride_w": lambda a: a.attribute("stride")[1],
    "dilation": lambda a: tuple(a.attribute("dilation")),
    "dilation_h": lambda a: a.attribute("dilation")[0],
    "dilation_w": lambda a: a.attribute("dilation")[1],
    "pad_top": lambda a: a.attribute("pads")[0],
    "pad_left": lambda a: a.attribute("pads")[1],
    "pad_bottom": lambda a: a.attribute("pads")[2],
    "pad_right": lambda a: a.attribute("pads")[3],
    "padded": _padded,
    "splits": lambda a: int(a.attribute("splits")),
    "output_padding": lambda a: tuple(a.attribute("output_padding")),
    "same": lambda a: int(a.attribute("same")),
    "activation": _activation,
    "states_relu": lambda a: int(a.attribute("activation") == "relu"),
    "in_channels": lambda a: a.x[-1],
    "out_channels": lambda a: a.y[-1],
    "groups": lambda a: a.groups,
    "group_channels": lambda a: a.x[-1] // a.groups,
    "depth_multiplier": lambda a: a.y[-1] // a.groups,
    "batch": lambda a: a.x[0],
    "rank": lambda a: len(a.x),
    "in_h": lambda a: a.spatial(a.x, 1),
    "in_w": lambda a: a.spatial(a.x, 2),
    "in_plane": lambda a: prod(a.x[1:-1]),
    "out_h": lambda a: a.spatial(a.y, 1),
    "out_w": lambda a: a.spatial(a.y, 2),
    "out_plane": lambda a: prod(a.y[1:-1]),
    "out_rank": lambda a: len(a.y),
    "in_elements": lambda a: prod(a.x[1:]),
    "out_elements": lambda a: prod(a.y[1:]),
    "largest_dimension": lambda a: max((*a.x[1:], *a.y[1:]), default=1),
    "smallest_dimension": lambda a: min(a.x[1:], default=1),
    "all_but_two": lambda a: prod(sorted(a.x)[2:]),
    "inputs": lambda a: len(a.inputs),
    "from_float": lambda a: int(bool(a.inputs) and "float" in a.inputs[0].dtype),
    "weights": lambda a: prod(a.weights.shape),
    "weight_bytes": _weight_bytes,
    "weight_sum": _weight_sum,
    "bias_largest": _bias_largest,
    "axes": lambda a: tuple(sorted(a.attribute("axes"))),
    "reduced": lambda a: prod(_reduced(a)),
    "largest_reduced": lambda a: max(_reduced(a)),
    "reduces_channels": lambda a: int(len(a.x) - 1 in a.attribute("axes")),
    "smallest_step": lambda a: min(_steps(a)),
    "channel_step": lambda a: _steps(a)[-1],
    "permutation": lambda a: tuple(a.attribute("perm")),
}
"""Name -> function of a layer."""
