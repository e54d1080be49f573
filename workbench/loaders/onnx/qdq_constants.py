"""Float weights and biases of layers between DQ and Q, quantized as ONNX Runtime does while it loads a file.

Source: ONNX Runtime core/optimizer/qdq_transformer/weight_bias_quantization.cc.
"""

from __future__ import annotations

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.file import OnnxNode
from workbench.loaders.onnx.net import Net
from workbench.loaders.onnx.qdq_pair import DQ, Q, is_dq, numbers, zero_name


def quantize_constants(net: Net) -> None:
    """Quantize float weights and biases of Conv, ConvTranspose and Gemm that lie between a DQ and a Q."""
    for key in net.order():
        node = net.nodes[key]
        maker = net.source(node.inputs[0]) if node.kind in ("Conv", "ConvTranspose", "Gemm") else None
        if maker is None or not is_dq(maker) or numbers(net, maker) is None or not _leads_to_q(net, node):
            continue
        behind = net.source(node.inputs[1])
        weights = net.constants.get(node.inputs[1])
        bias = net.constant(node, 2)
        if len(node.inputs) > 2 and node.inputs[2] and (bias is None or bias.ndim != 1):
            continue
        if behind is not None and is_dq(behind):
            scale = net.constant(behind, 1)
            if bias is None or scale is None or not _fits(node, behind, scale, bias):
                continue
        elif weights is not None and weights.dtype == np.float32 and np.isfinite(weights).all():
            scale = _quantize_weights(net, key, node, weights)
        else:
            continue
        x_scale = net.constant(maker, 1)
        if bias is not None and x_scale is not None and bias.dtype == np.float32:
            _quantize_bias(net, key, bias, x_scale.reshape(()), scale)


def _fits(node: OnnxNode, weights: OnnxNode, scale: Array, bias: Array) -> bool:
    """True when weights have one scale, or one for each number of the bias."""
    if scale.ndim == 0 or scale.size == 1:
        return True
    axis = weights.attrs.get("axis", 1)
    wanted = 0 if node.op != "Gemm" or node.attrs.get("transB", 0) else 1
    return scale.shape == bias.shape and not weights.attrs.get("block_size", 0) and axis == wanted


def _leads_to_q(net: Net, node: OnnxNode) -> bool:
    """True when the result goes to one Q alone, perhaps through Relu and Clip."""
    name = node.outputs[0]
    while True:
        readers = net.readers(name)
        if len(readers) != 1:
            return False
        after = net.nodes[readers[0][0]]
        if after.op == Q:
            return True
        if after.kind not in ("Relu", "Clip"):
            return False
        name = after.outputs[0]


def _quantize_weights(net: Net, key: int, node: OnnxNode, weights: Array) -> Array:
    """Let a layer read its weights as int8 over their range, with a zero point; return the scale."""
    low, high = np.float32(weights.min(initial=0.0)), np.float32(weights.max(initial=0.0))
    scale = np.asarray(np.float32(1) if low == high else (high - low) / np.float32(255), np.float32)
    zero = np.rint(np.clip(np.float32(-128) - low / scale, -128, 127))
    stored = np.clip(np.rint(weights / scale) + zero, -128, 127).astype(np.int8)
    name = node.inputs[1]
    inputs = (
        net.new_constant(f"{name}:int8", stored),
        net.new_constant(f"{name}:scale", scale),
        zero_name(net, np.int8, int(zero)),
    )
    real = net.name(f"{name}:real")
    net.add(OnnxNode(DQ, "", "", node.index, inputs, (real,), {}))
    net.redirect((key, 1), real)
    return scale


def _quantize_bias(net: Net, key: int, bias: Array, x_scale: Array, w_scale: Array) -> None:
    """Let a layer read its bias as int32 of the scale of its products."""
    scale = np.asarray(x_scale * w_scale, np.float32)
    with np.errstate(all="ignore"):
        levels = np.nan_to_num(np.rint(bias / scale), nan=0.0)
    stored = np.clip(levels.astype(np.float64), -(2.0**31), 2.0**31 - 1).astype(np.int32)
    node = net.nodes[key]
    name = node.inputs[2]
    inputs = (net.new_constant(f"{name}:int32", stored), net.new_constant(f"{name}:scale", scale))
    real = net.name(f"{name}:real")
    net.add(OnnxNode(DQ, "", "", node.index, inputs, (real,), {"axis": 0} if scale.size > 1 else {}))
    net.redirect((key, 2), real)
