"""Ranges that stand in for calibration where only costs and support are asked for, of which the signs alone matter."""

from __future__ import annotations

from math import isinf

import numpy as np

from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware import HardwareProfile
from workbench.numerics.activation import fused_limits
from workbench.quantize import Calibration, Lowering, PlanFile
from workbench.quantize.ranges import BINS, Observed

NEVER_NEGATIVE = ("softmax", "logistic", "exp", "abs")
KEEP_SIGNS = ("add", "mul", "max_pool2d", "avg_pool2d", "mean", "sum", "reshape", "transpose", "pad", "concat", "strided_slice")


def lowered(graph: Graph, profile: HardwareProfile, file: PlanFile) -> Graph:
    """Return the quantized graph of a plan; a float model gets stand-in ranges, of which costs and support need the signs alone."""
    calibration = Calibration(stand_in_ranges(graph), 0)
    return Lowering(graph, profile, calibration, file.options, file.scales).quantized(file.plan)


def stand_in_ranges(graph: Graph) -> dict[str, Observed]:
    """Return a range for every activation: -1 to 1, from 0 where it cannot be negative, to 6 behind a relu6."""
    lows = dict.fromkeys((t.name for t in graph.activations()), -1.0)
    highs = dict.fromkeys(lows, 1.0)
    for node in graph.nodes:
        low, high = (node.attrs.minimum, node.attrs.maximum) if node.op == "relu" else fused_limits(_fused(node))
        read = [lows.get(n, -1.0 if _negative(graph.tensors[n]) else 0.0) for n in node.inputs if n]
        keeps = node.op in KEEP_SIGNS and min(read, default=-1.0) == 0
        for name in node.outputs:
            lows[name] = 0.0 if low >= 0 or keeps or node.op in NEVER_NEGATIVE else -1.0
            highs[name] = 1.0 if isinf(high) or high <= 0 else high
    return {name: Observed(lows[name], highs[name], np.zeros(BINS, np.int64)) for name in lows}


def _fused(node: Node) -> str:
    return getattr(node.attrs, "activation", "none")


def _negative(constant: Tensor) -> bool:
    return constant.data is not None and bool((constant.data < 0).any())
