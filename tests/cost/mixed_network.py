"""A small float network with a residual block and two readers of one tensor, and its spaces of formats on a target."""

from __future__ import annotations

import numpy as np

from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware import load_profile
from workbench.inspection.stand_in import stand_in_ranges
from workbench.ops import OPS
from workbench.quantize import Calibration, Lowering
from workbench.sweep import Space, decision_groups, legal_formats

FORMATS = ("w8a8", "w4a8", "w2a8", "w8a16", "w4a16", "fp16", "fp32", "w8a8-per-tensor")


def network(seed: int = 0) -> Graph:
    """Return conv - conv - conv - add - (conv, conv) - add - depthwise - mean - fully connected - softmax on [8, 8, 4]."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []

    def add(op: str, name: str, inputs: tuple[str, ...], shape: tuple[int, ...], attrs: object = None) -> str:
        tensors[f"{name}/y"] = Tensor(f"{name}/y", (1, *shape), "float32")
        nodes.append(Node(name, op, inputs, (f"{name}/y",), attrs if attrs is not None else OPS[op].attrs()))
        return f"{name}/y"

    def layer(op: str, name: str, x: str, weights: tuple[int, ...], shape: tuple[int, ...], attrs: object) -> str:
        for suffix, size in (("w", weights), ("b", shape[-1:])):
            data = rng.standard_normal(size).astype(np.float32)
            tensors[f"{name}/{suffix}"] = Tensor(f"{name}/{suffix}", size, "float32", data=data)
        return add(op, name, (x, f"{name}/w", f"{name}/b"), shape, attrs)

    same = OPS["conv2d"].attrs(pads=(1, 1, 1, 1), activation="relu")
    tensors["x"] = Tensor("x", (1, 8, 8, 4), "float32")
    stem = layer("conv2d", "stem", "x", (16, 3, 3, 4), (8, 8, 16), same)
    a = layer("conv2d", "a", stem, (16, 3, 3, 16), (8, 8, 16), same)
    b = layer("conv2d", "b", a, (16, 3, 3, 16), (8, 8, 16), same)
    block = add("add", "add0", (stem, b), (8, 8, 16))
    c = layer("conv2d", "c", block, (24, 3, 3, 16), (8, 8, 24), same)
    skip = layer("conv2d", "skip", block, (24, 1, 1, 16), (8, 8, 24), OPS["conv2d"].attrs())
    both = add("add", "add1", (c, skip), (8, 8, 24))
    wide = layer("depthwise_conv2d", "dw", both, (1, 3, 3, 24), (8, 8, 24), OPS["depthwise_conv2d"].attrs(pads=(1, 1, 1, 1)))
    pooled = add("mean", "mean", (wide,), (24,), OPS["mean"].attrs(axes=(1, 2), keep_dims=False))
    scores = layer("fully_connected", "fc", pooled, (10, 24), (10,), OPS["fully_connected"].attrs())
    end = add("softmax", "softmax", (scores,), (10,))
    return Graph("mixed", tuple(nodes), tensors, ("x",), (end,))


def lowered(graph: Graph, profile: str) -> Lowering:
    """Return the lowering of a graph for a target, with ranges that cost nothing."""
    return Lowering(graph, load_profile(profile), Calibration(stand_in_ranges(graph), 0))


def formats_space(lowering: Lowering, tie: bool) -> Space:
    """Return the space of all formats that a target has. tie: layers that meet in an addition are decided together."""
    legal, _ = legal_formats(lowering, FORMATS)
    formats = [f for f, layers in legal.items() if layers]
    groups = decision_groups(lowering.graph, lowering.layers, formats if tie else formats[:1])
    offered = {g.name: [f for f in formats if legal[f].issuperset(g.layers)] for g in groups}
    return Space.of(groups, offered)
