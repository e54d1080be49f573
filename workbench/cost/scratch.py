"""Working memory that a kernel asks for while one layer runs, by the library that it comes from.

Sources: `arm_*_get_buffer_size` of CMSIS-NN 7 (Source/ConvolutionFunctions, PoolingFunctions, SVDFunctions) and the calls of
`RequestScratchBufferInArena` in the kernels of TFLite Micro (tensorflow/lite/micro/kernels). Float layers ask for none.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from workbench.cost.counts import LayerWork
from workbench.graph.ir import Graph, Node
from workbench.graph.node_format import weight_tensor
from workbench.hardware.costs import Library

MVE_CHANNELS = 124
"""CH_IN_BLOCK_MVE: channels that a depthwise convolution with MVE takes at a time."""
ONE_TO_MANY = 8
"""Depthwise convolutions of one input channel and more outputs than this run as convolutions with MVE."""
REVERSED_FROM = 16
"""REVERSE_TCOL_EFFICIENT_THRESHOLD: input channels above which a transposed convolution runs as a convolution."""


class _Site(NamedTuple):
    """What the formulas read. shape: of the first input (NHWC). window: of the weights (height, width). core: of the library's name.

    width: bytes of an activation. rank: dimensions of the output.
    """

    node: Node
    work: LayerWork
    shape: tuple[int, ...]
    window: tuple[int, ...]
    core: str
    width: int
    rank: int


def scratch_bytes(graph: Graph, node: Node, work: LayerWork, library: Library) -> int:
    """Return the scratch bytes of one node (0 for operators and types that ask for none)."""
    if library == "none":
        return 0
    if library == "im2col_int16":
        return 4 * work.window * work.in_channels if work.op == "conv2d" and work.window > 1 else 0
    first = graph.tensors[node.inputs[0]] if node.inputs and node.inputs[0] else None
    if first is None or first.dtype not in ("int8", "int16", "uint8"):
        return 0
    weights, rank = weight_tensor(graph, node), len(graph.tensors[node.outputs[0]].shape)
    core, width = library.removeprefix("cmsis_nn").lstrip("_"), 2 if first.dtype == "int16" else 1
    site = _Site(node, work, first.shape, weights.shape[1:3] if weights is not None else (), core, width, rank)
    reference = _REFERENCE.get(node.op)
    optimised = _CMSIS_NN.get(node.op) if library != "tflm" else None
    found = optimised or reference
    return found(site) if found is not None else 0


def _column(site: _Site) -> int:
    return site.work.window * site.work.in_channels


def _conv(site: _Site) -> int:
    """im2col: two columns of int16, four of int8 with MVE; a pointwise one with stride 1 of bytes needs none."""
    attrs, column = site.node.attrs, _column(site)
    if site.width == 2:
        return 4 * _up(column, 8) * 2 if site.core == "mve" else 2 * column * 2
    if site.work.window == 1 and attrs.dilation == (1, 1) and not any(attrs.pads) and attrs.groups == 1:
        return 0
    if site.core == "mve":
        return 4 * _up(column, 16)
    return 2 * _up(column, 4) * 2


def _depthwise(site: _Site) -> int:
    """One column of all channels as int16 (DSP), blocks of channels (MVE); 3x3 with a border of at most 1 needs none with DSP."""
    attrs, work = site.node.attrs, site.work
    same = site.shape[-1] == work.out_channels and attrs.dilation == (1, 1)
    column = work.out_channels * work.window
    if site.width == 2:
        return 0 if not same or not site.core else 4 * column * 2 + 8 if site.core == "mve" else column * 2
    if site.core == "mve":
        if site.shape[-1] == 1 and work.out_channels > ONE_TO_MANY:
            return 4 * _up(work.window, 16) + column
        return 4 * MVE_CHANNELS * work.window if same else 0
    narrow = work.weight_bits < 8  # the kernels of 4-bit weights have no 3x3 one
    if not same or not site.core or (work.window == 9 and max(attrs.pads[:2]) <= 1 and not narrow):
        return 0
    return column * 2


def _fully_connected(site: _Site) -> int:
    """Sums of the weights with MVE. On more than two dimensions a pointwise convolution runs: multipliers for each channel."""
    if site.width == 2 or site.work.weight_bits < 8:
        return 0
    if site.rank > 2 and site.work.in_channels % 4 == 0:
        return 8 * site.work.out_channels if site.work.channels <= 1 else 0
    return 4 * site.work.out_channels if site.core == "mve" else 0


def _avg_pool(site: _Site) -> int:
    return 4 * site.shape[-1] if site.core == "dsp" else 0


def _transpose_conv(site: _Site) -> int:
    """A convolution of the stretched input, else sums in int32 over the rows under the window; int16: sums of the whole output."""
    if site.width == 2:
        return 8 * site.work.outputs
    work, stride = site.work, (int(site.node.attrs.stride[0]), int(site.node.attrs.stride[1]))
    if max(stride) <= 2 and site.shape[-1] > REVERSED_FROM:
        columns = 4 * _up(_column(site), 16) if site.core == "mve" else 2 * _up(_column(site), 4) * 2
        return columns + work.weights  # the turned weights
    height, width = site.window
    row = ((site.shape[2] - 1) * stride[1] + max(width, stride[0])) * work.out_channels
    return 4 * row * max(height, stride[0])


def _weights_unpacked(site: _Site) -> int:
    return site.work.weights if site.work.weight_bits == 4 else 0


def _lstm(site: _Site) -> int:
    """Gates and cell: four buffers of one step, in int16."""
    return 4 * 2 * (site.work.out_channels // 4)


_REFERENCE: dict[str, Callable[[_Site], int]] = {
    "conv2d": _weights_unpacked,
    "depthwise_conv2d": _weights_unpacked,
    "transpose_conv2d": lambda s: (8 if s.width == 2 else 4) * s.work.outputs,
    "mean": lambda s: 4 * s.work.outputs,
    "sum": lambda s: 4 * s.work.outputs,
    "svdf": lambda s: 4 * (s.work.out_channels + s.work.outputs),
    "lstm": _lstm,
    "batch_matmul": lambda s: s.width * prod(s.shape[1:]),
}
_CMSIS_NN: dict[str, Callable[[_Site], int]] = {
    "conv2d": _conv,
    "depthwise_conv2d": _depthwise,
    "fully_connected": _fully_connected,
    "avg_pool2d": _avg_pool,
    "transpose_conv2d": _transpose_conv,
}


def _up(count: int, block: int) -> int:
    return -(-count // block) * block
