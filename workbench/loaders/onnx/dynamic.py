"""DynamicQuantizeLinear -> MatMulInteger or ConvInteger -> Cast -> Mul by both scales: a layer that quantizes activations as it runs.

What onnxruntime.quantization.quantize_dynamic writes. The product of the scales is made first, then the sums are multiplied by it,
as the runtime's own fusions (DynamicQuantizeMatMul, MatMulIntegerToFloat) do. A bias that is added behind stays an addition.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.file import Body, OnnxNode
from workbench.loaders.onnx.net import Net

DYNAMIC = {"MatMulInteger": "DynamicMatMul", "ConvInteger": "DynamicConv"}
"""Integer operator -> the name of the layer (x, weights, weight scale, weight zero point) in the loader's own domain."""


def fuse_dynamic(body: Body, where: str, domain: str) -> Body:
    """Return a graph with such layers in place of their parts. domain: of the new operators."""
    if not any(node.kind == "DynamicQuantizeLinear" for node in body.nodes):
        return body
    net = Net(body, where)
    for key in net.order():
        node = net.nodes.get(key)
        if node is not None and node.kind in DYNAMIC:
            _fuse(net, key, node, domain)
    return net.body()


def _fuse(net: Net, key: int, node: OnnxNode, domain: str) -> None:
    source = net.source(node.inputs[0])
    if source is None or source.kind != "DynamicQuantizeLinear" or net.constant(node, 1) is None:
        return
    if node.inputs[0] != source.outputs[0] or len(node.inputs) < 3 or node.inputs[2] != source.outputs[2]:
        return
    cast = net.only_reader(node.outputs[0])
    if cast is None or net.nodes[cast[0]].kind != "Cast" or net.nodes[cast[0]].attrs.get("to") != 1:
        return
    last = net.only_reader(net.nodes[cast[0]].outputs[0])
    if last is None or net.nodes[last[0]].kind != "Mul":
        return
    product = net.nodes[last[0]]
    scale = _weight_scale(net, product.inputs[1 - last[1]], source.outputs[1])
    if scale is None:
        return
    name = net.new_constant(f"{node.inputs[1]}:scale", scale)
    inputs = (source.inputs[0], node.inputs[1], name, node.inputs[3] if len(node.inputs) > 3 else "")
    net.drop([key, cast[0]])
    net.put(last[0], replace(node, op=DYNAMIC[node.op], domain=domain, inputs=inputs, outputs=product.outputs))


def _weight_scale(net: Net, name: str, x_scale: str) -> Array | None:
    """Return the constant factor of a product with the scale of the activations (None: it is something else)."""
    if name == x_scale:
        return np.ones((), np.float32)
    maker = net.source(name)
    if maker is None or maker.kind != "Mul" or x_scale not in maker.inputs:
        return None
    return net.constants.get(maker.inputs[1 - maker.inputs.index(x_scale)])
