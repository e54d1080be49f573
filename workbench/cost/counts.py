"""`LayerWork`: what one layer has to do for one sample. Counts only; nothing here depends on a device."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from workbench.graph.ir import Graph, Node, Tensor
from workbench.graph.node_format import node_format, weight_tensor
from workbench.hardware.costs import Array
from workbench.numerics.codings import CODINGS, SPARSE
from workbench.ops import OPS
from workbench.precision import TYPE_BITS


@dataclass(frozen=True)
class LayerWork:
    """Work of one node for one sample.

    macs: multiply-accumulates. elements: max(outputs, inputs, elementary operations), 0 where nothing moves (reshape).
    outputs: output elements. weights: number of weights. weight_bits: width of one. weight_bytes: all of them as they are stored,
    padded to whole blocks where their coding has blocks. channels: output channels with scales of their own. bias_bytes: bias at its
    width. in_channels: input channels per group of a convolution. window: kernel positions. pixels: output positions. groups: of a
    convolution. input_bytes, output_bytes: activations at their width.
    """

    layer: str
    op: str
    format: str
    macs: int
    elements: int
    outputs: int
    weights: int = 0
    weight_bits: float = 8
    weight_bytes: int = 0
    channels: int = 0
    bias_bytes: int = 0
    out_channels: int = 0
    in_channels: int = 0
    window: int = 1
    pixels: int = 1
    groups: int = 1
    input_bytes: int = 0
    output_bytes: int = 0

    def padded_macs(self, array: Array) -> int:
        """Return the multiply-accumulates with every side padded to whole blocks of a multiplier array."""
        pixels = ceil(self.pixels / array.pixels) * array.pixels
        out = ceil(self.out_channels / array.out_channels) * array.out_channels
        if self.op == "depthwise_conv2d":
            return pixels * out * self.window
        inputs = ceil(self.in_channels / array.in_channels) * array.in_channels
        if self.op == "lstm":  # the input of all steps at once, the hidden state one step at a time
            units = self.out_channels // 4
            steps = self.outputs // units
            hidden = ceil(units / array.in_channels) * array.in_channels
            return out * (ceil(steps / array.pixels) * inputs + steps * hidden) * array.pixels
        per_group = ceil(self.out_channels / self.groups / array.out_channels) * array.out_channels
        return pixels * per_group * self.groups * inputs * self.window


def sample_bytes(tensor: Tensor, channel_block: int = 1) -> int:
    """Return the bytes of an activation of one sample, at the width of its type.

    channel_block: feature maps are stored with their channels rounded up to it.
    """
    shape = tensor.shape[1:]
    if len(shape) >= 2:
        shape = (*shape[:-1], ceil(shape[-1] / channel_block) * channel_block)
    return ceil(prod(shape) * TYPE_BITS[tensor.dtype] / 8)


def constant_bytes(tensor: Tensor, axis: int = 0) -> int:
    """Return the bytes of a constant as it is stored: sub-byte values packed; coded weights by rows, one per channel of `axis`."""
    size = prod(tensor.shape)
    if not tensor.coding:
        return ceil(size * TYPE_BITS[tensor.dtype] / 8)
    coding, width = CODINGS[tensor.coding], TYPE_BITS[tensor.dtype]
    if tensor.coding == SPARSE:  # fours of input channels, without a gap
        fours = size // tensor.shape[-1] * ceil(tensor.shape[-1] / coding.block)
        return coding.stored_bytes(1, fours * coding.block, width)
    return coding.stored_bytes(tensor.shape[axis], size // tensor.shape[axis], width)


def stored_bits(tensor: Tensor) -> float:
    """Return the bits that one element of a constant takes, in its coding (whole blocks) or its type."""
    bits = TYPE_BITS[tensor.dtype]
    return CODINGS[tensor.coding].bits(bits) if tensor.coding else float(bits)


def layer_work(graph: Graph, node: Node) -> LayerWork:
    """Return the counts of one node."""
    inputs = [graph.tensors[n] for n in node.inputs if n]
    kept = {state.write for state in graph.states}
    outputs = [graph.tensors[n] for i, n in enumerate(node.outputs) if i == 0 or n not in kept]  # states stay where they are
    activations = [t for t in inputs if not t.is_constant]
    counts = OPS[node.op].count(node.attrs, [t.shape for t in inputs], [graph.tensors[n].shape for n in node.outputs])
    made = sum(prod(t.shape[1:]) for t in outputs)
    moved = 0 if node.op == "reshape" else max([made, counts.elements, *(prod(t.shape[1:]) for t in activations)])
    work = {
        "layer": node.name, "op": node.op, "format": node_format(graph, node), "macs": counts.macs, "elements": moved,
        "outputs": made, "input_bytes": sum(map(sample_bytes, activations)), "output_bytes": sum(map(sample_bytes, outputs)),
    }  # fmt: skip
    weights = weight_tensor(graph, node)
    if weights is None:
        return LayerWork(**work)  # type: ignore[arg-type]
    shape = weights.shape
    depthwise = node.op == "depthwise_conv2d"
    axis = len(shape) - 1 if depthwise else 0
    bias = graph.tensors[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    quantized = weights.quant is not None
    return LayerWork(
        **work,  # type: ignore[arg-type]
        weights=prod(shape),
        weight_bits=stored_bits(weights),
        weight_bytes=constant_bytes(weights, axis),
        channels=len(weights.quant.scale) if weights.quant is not None and quantized else 0,
        bias_bytes=constant_bytes(bias) if bias is not None and bias.is_constant else 0,
        out_channels=shape[axis],
        in_channels=1 if depthwise else shape[-1],
        window=prod(shape[1:-1]),
        pixels=max(1, made // shape[axis]),
        groups=int(getattr(node.attrs, "groups", 1)),
    )
