"""Translators of operators with weights, and of pools: geometry, weights, bias.

SAME padding becomes explicit: output = ceil(input / stride), total = what the windows reach beyond the input, half of it
(rounded down) before, the rest after. Source: TFLite kernels/padding.h.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import tflite

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.tensor import MAX_ELEMENTS
from workbench.ops.batch_matmul import BatchMatmulAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.reshape import ReshapeAttrs
from workbench.ops.transpose_conv2d import TransposeConv2dAttrs

WEIGHT_TYPES = {
    "float32": ("float32", "int8", "int4", "int2"), "int8": ("int8", "int4", "int2"), "int16": ("int8", "int4", "int2"),
    "uint8": ("uint8",),
}  # fmt: skip
"""Activation type -> weight types that fit (integers under float: dynamic range)."""
BIAS_TYPES = {"float32": ("float32",), "int8": ("int32",), "int16": ("int32", "int64"), "uint8": ("int32",)}
LARGEST = 2**20
"""Largest stride, dilation or filter."""


def same_padding(size: int, stride: int, kernel: int, dilation: int) -> tuple[int, int]:
    """Return (before, after) of one dimension."""
    out = -(-size // stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _geometry(call: Call, x: Tensor, kernel: tuple[int, ...]) -> dict[str, Any]:
    """Return stride, dilation and pads of a window operator on NHWC."""
    stride = (call.option("StrideH"), call.option("StrideW"))
    dilation = (call.options.get("DilationHFactor", 1), call.options.get("DilationWFactor", 1))
    if len(x.shape) != 4:
        raise call.error(f"the input must be [N, H, W, C], it is {list(x.shape)}.")
    if not all(1 <= v <= LARGEST for v in (*stride, *dilation, *kernel)):
        raise call.error(f"kernel {kernel}, stride {stride} and dilation {dilation} must be 1 to {LARGEST}.")
    padding = call.option("Padding")
    if padding == tflite.Padding.VALID:
        pads = (0, 0, 0, 0)
    elif padding == tflite.Padding.SAME:
        (top, bottom), (left, right) = (same_padding(x.shape[i + 1], stride[i], kernel[i], dilation[i]) for i in (0, 1))
        pads = (top, left, bottom, right)
    else:
        raise call.error(f"padding {padding} is not supported; expected SAME (0) or VALID (1).")
    padded = (x.shape[1] + pads[0] + pads[2]) * (x.shape[2] + pads[1] + pads[3]) * x.shape[3]
    if padded > MAX_ELEMENTS:
        raise call.error(f"pads {pads} make an input of {padded} elements; at most {MAX_ELEMENTS} fit.")
    return {"stride": stride, "dilation": dilation, "pads": pads}


def _weights(call: Call, rank: int, axis: int, x_input: int = 0, bias_input: int = 2) -> tuple[Tensor, Tensor | None]:
    """Return checked weights (input 1) and bias. axis: of the output channels."""
    x, w = call.input(x_input), call.input(1)
    if x.dtype != call.output.dtype or x.dtype not in WEIGHT_TYPES:
        raise call.error(
            f"types {x.dtype} -> {call.output.dtype}; expected float32, int8, uint8 or int16, the same on both sides."
        )
    if w.data is None and (call.operator.kind != "FULLY_CONNECTED" or {x.dtype, w.dtype} != {"float32"}):
        raise call.error(
            f"the {w.dtype} weights '{w.name[:80]}' are computed by the network; only constant weights are supported, and float32 "
            "ones of FULLY_CONNECTED. BATCH_MATMUL multiplies two activations."
        )
    if w.dtype not in WEIGHT_TYPES[x.dtype] or len(w.shape) != rank:
        fits = " or ".join(WEIGHT_TYPES[x.dtype])
        raise call.error(f"weights are {w.dtype} {list(w.shape)}; {x.dtype} activations fit {fits} of {rank} dimensions.")
    sparse = w.index is not None and call.builder.file.tensors.is_sparse(w.index)
    if sparse and (w.dtype != "float32" or call.operator.kind != "FULLY_CONNECTED"):
        raise call.error(
            f"the {w.dtype} weights are stored sparse and read as they are: few kernels do, and LiteRT's default delegate takes them "
            "for dense ones. Export with DENSIFY before the layer, or dense weights."
        )
    if w.dtype != "float32":
        if w.quant is None or w.quant.axis not in (None, axis):
            found = "no scale" if w.quant is None else f"scales along dimension {w.quant.axis}"
            raise call.error(f"weights have {found}; expected one scale, or one per channel of dimension {axis}.")
        if w.dtype == "uint8" and w.quant.axis is not None:
            raise call.error(f"uint8 weights have {len(w.quant.scale)} scales; expected one scale and one zero point.")
        if w.dtype != "uint8" and w.quant.zero_point.any():
            raise call.error(
                f"weights have zero point {w.quant.zero_point[w.quant.zero_point != 0][0]}; expected 0 (symmetric)."
            )
    return w, _bias(call, x, w.shape[axis], bias_input)


def _bias(call: Call, x: Tensor, channels: int, index: int) -> Tensor | None:
    bias = call.optional(index)
    if bias is None:
        return None
    if bias.data is None:
        raise call.error(f"the bias '{bias.name[:80]}' is computed by the network; only a constant bias is supported.")
    if bias.dtype not in BIAS_TYPES[x.dtype] or math.prod(bias.shape) != channels:
        fits = " or ".join(BIAS_TYPES[x.dtype])
        raise call.error(
            f"the bias is {bias.dtype} {list(bias.shape)}; expected {fits} [{channels}] with {x.dtype} activations."
        )
    if bias.quant is not None and bias.quant.zero_point.any():
        raise call.error("the bias has a zero point other than 0.")
    narrow = x.dtype == "int16" and bias.dtype == "int32" and call.operator.kind != "DEPTHWISE_CONV_2D"
    if narrow and call.options.get("QuantizedBiasType", 0) != tflite.TensorType.INT32:
        raise call.error(
            "the bias is int32 under int16 activations, but quantized_bias_type does not say so: LiteRT then reads it as int64.\n"
            "Set quantized_bias_type to INT32, or make the bias int64."
        )
    if bias.shape == (channels,) or (x.dtype == "int8" and call.operator.kind != "FULLY_CONNECTED"):
        return bias  # a delegate may mind its dimensions
    return call.reshaped(bias, (channels,))


@translates("CONV_2D", (2, 3), "Conv2DOptions")
def _conv2d(call: Call) -> None:
    x = call.input(0)
    w, bias = _weights(call, 4, 0)
    geometry = _geometry(call, x, w.shape[1:3])
    groups, rest = divmod(x.shape[3], w.shape[3])
    if rest or groups < 1 or w.shape[0] % groups:
        raise call.error(
            f"{x.shape[3]} input channels and weights {list(w.shape)} do not fit: C must be a multiple of I, O of C / I."
        )
    call.emit("conv2d", [x, w, bias], Conv2dAttrs(**geometry, groups=groups, activation=call.activation))


@translates("DEPTHWISE_CONV_2D", (2, 3), "DepthwiseConv2DOptions")
def _depthwise(call: Call) -> None:
    x = call.input(0)
    w, bias = _weights(call, 4, 3)
    geometry = _geometry(call, x, w.shape[1:3])
    multiplier = call.options.get("DepthMultiplier", 0)
    if w.shape[3] % x.shape[3] or multiplier not in (0, w.shape[3] // x.shape[3]):
        raise call.error(f"{x.shape[3]} input channels, weights {list(w.shape)} and depth multiplier {multiplier} do not fit.")
    call.emit("depthwise_conv2d", [x, w, bias], DepthwiseConv2dAttrs(**geometry, activation=call.activation))


@translates("TRANSPOSE_CONV", (3, 4), "TransposeConvOptions")
def _transpose_conv(call: Call) -> None:
    """Inputs: the output's shape, weights, x, bias. The padding is that of a convolution from the output to the input."""
    x, shape = call.input(2), call.numbers(0, "the output's shape", 4)
    w, bias = _weights(call, 4, 0, 2, 3)
    stride, padding = (call.option("StrideH"), call.option("StrideW")), call.option("Padding")
    if len(x.shape) != 4 or len(shape) != 4 or padding not in (tflite.Padding.SAME, tflite.Padding.VALID):
        raise call.error(
            f"input {list(x.shape)}, output shape {shape} and padding {padding}; expected 4 sizes each, SAME or VALID."
        )
    if not all(1 <= v <= LARGEST for v in (*stride, *w.shape[1:3])) or w.shape[3] != x.shape[3]:
        raise call.error(f"stride {stride}, weights {list(w.shape)} and {x.shape[3]} input channels do not fit.")
    same, pads, extra = padding == tflite.Padding.SAME, [], []
    for i in (0, 1):
        size, kernel, out = x.shape[i + 1], w.shape[i + 1], shape[i + 1]
        if out < 1 or -(-(out if same else out - kernel + 1) // stride[i]) != size:
            raise call.error(
                f"an output of {shape[1:3]} does not fit input {list(x.shape[1:3])}, kernel {w.shape[1:3]}, stride {stride}."
            )
        beyond = (size - 1) * stride[i] + kernel - out
        cut = max(beyond, 0)
        pads.append((cut // 2, cut - cut // 2))
        extra.append(max(-beyond, 0))
    if math.prod(shape[1:]) > MAX_ELEMENTS:
        raise call.error(f"the output {shape} has more than {MAX_ELEMENTS} elements.")
    attrs = TransposeConv2dAttrs(
        stride, (1, 1), (pads[0][0], pads[1][0], pads[0][1], pads[1][1]), (extra[0], extra[1]), 1, call.activation, same
    )
    call.emit("transpose_conv2d", [x, w, bias], attrs)


@translates("FULLY_CONNECTED", (2, 3), "FullyConnectedOptions")
def _fully_connected(call: Call) -> None:
    x = call.input(0)
    if call.options.get("WeightsFormat", 0) != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise call.error("weights are shuffled for one kernel (SHUFFLED4x16INT8); only the default layout is read.")
    w, bias = _weights(call, 2, 0)
    rows, rest = divmod(math.prod(x.shape), w.shape[1])
    if rest:
        raise call.error(
            f"the input {list(x.shape)} cannot be split into rows of {w.shape[1]}, as the weights {list(w.shape)} want."
        )
    keep = bool(call.options.get("KeepNumDims", False))
    if keep and x.shape[-1:] != (w.shape[1],):
        raise call.error(f"keeps its dimensions, but the last one of {list(x.shape)} is not {w.shape[1]}.")
    output, single = call.output, keep and len(x.shape) == 1
    if single:  # one row: the node has it as one
        call.outputs = (
            replace(call.checked_output((w.shape[0],)), name=call.builder.new_name(f"{output.name}.row"), shape=()),
        )
    if single or (not keep and x.shape != (rows, w.shape[1])):
        x = call.reshaped(x, (rows, w.shape[1]))
    hybrid = x.dtype == "float32" and w.dtype != "float32"
    asymmetric = hybrid and bool(call.options.get("AsymmetricQuantizeInputs", False))
    call.emit("fully_connected", [x, w, bias], FullyConnectedAttrs(call.activation, asymmetric), mixes=w.data is None)
    if single:
        row, call.outputs = call.builder.values[call.operator.outputs[0]], (output,)
        call.emit("reshape", [row], ReshapeAttrs((w.shape[0],)), mixes=True)


@translates("BATCH_MATMUL", (2, 2), "BatchMatMulOptions")
def _batch_matmul(call: Call) -> None:
    x, y = call.input(0), call.input(1)
    adj_x, adj_y = bool(call.options.get("AdjX", False)), bool(call.options.get("AdjY", False))
    hybrid = x.dtype == "float32" and y.dtype != "float32"
    if hybrid:
        _matrix_weights(call, x, y, len(y.shape) - (2 if adj_y else 1))
    else:
        call.same_type(x, y)
    asymmetric = hybrid and bool(call.options.get("AsymmetricQuantizeInputs", False))
    rank = max(len(x.shape), len(y.shape))

    def apart(tensor: Tensor, rows: bool) -> bool:
        """True when dimension 0 of the result is dimension 0 of this operand, or does not depend on it."""
        if tensor.is_constant:
            return len(tensor.shape) < rank or rank == 2 or tensor.shape[0] == 1
        return len(tensor.shape) == rank and (rank > 2 or rows)

    mixes = not (apart(x, not adj_x) and apart(y, False))
    call.emit("batch_matmul", [x, y], BatchMatmulAttrs(adj_x, adj_y, asymmetric), mixes)


def _matrix_weights(call: Call, x: Tensor, y: Tensor, axis: int) -> None:
    """Refuse the second matrix of a float32 product unless it is a symmetric int8 constant. axis: of its columns."""
    if x.is_constant or y.data is None or y.dtype != "int8" or call.output.dtype != "float32":
        raise call.error(
            f"types {x.dtype}, {y.dtype} -> {call.output.dtype}; integers under float32 must be constant int8 weights."
        )
    if y.quant is None or y.quant.axis not in (None, axis) or y.quant.zero_point.any():
        raise call.error(f"weights need symmetric scales: one, or one for each of the columns (dimension {axis}).")


def _pool(call: Call, op: str) -> None:
    x = call.input(0)
    call.same_type(x)
    size = (call.option("FilterHeight"), call.option("FilterWidth"))
    geometry = _geometry(call, x, size)
    call.emit(op, [x], PoolAttrs(size, geometry["stride"], geometry["pads"], call.activation))


@translates("AVERAGE_POOL_2D", (1, 1), "Pool2DOptions")
def _average_pool(call: Call) -> None:
    _pool(call, "avg_pool2d")


@translates("MAX_POOL_2D", (1, 1), "Pool2DOptions")
def _max_pool(call: Call) -> None:
    _pool(call, "max_pool2d")
