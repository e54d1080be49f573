"""Which tensors must share one scale, and the range they get together.

An operator that only moves or selects values (reshape, pad, max pool) keeps its input's scale; a concatenation wants one scale
for all its inputs and its output (TFLite int8 specification: CONCATENATION, MAX_POOL_2D, PAD, RESHAPE, ... "inputs and outputs
must all have same scale/zero_point"). Outputs with a scale fixed by the specification (softmax, logistic, tanh) tie nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.graph.ir import Graph
from workbench.quantize.calibrate import Calibration
from workbench.quantize.ranges import BINS, Observed


def tied_ranges(graph: Graph, calibration: Calibration, output_quant: Callable[[str], str]) -> dict[str, Observed]:
    """Return the range of every activation, equal within each class of tensors that share a scale.

    output_quant: operator -> how its output gets a scale (see `OpSpec.output_quant`).
    """
    parent = {t.name: t.name for t in graph.activations() if not t.is_plain}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    fixed = {out for node in graph.nodes if output_quant(node.op) == "fixed" for out in node.outputs}
    for node in graph.nodes:
        rule = output_quant(node.op)
        inputs = [i for i in node.inputs if i in parent and i not in fixed]
        tied = inputs[:1] if rule == "input" else inputs if rule == "shared" else []
        for name in tied:
            for out in (out for out in node.outputs if out in parent):
                parent[find(name)] = find(out)
    for state in graph.states:  # what one inference writes the next one reads
        if state.read in parent and state.write in parent:
            parent[find(state.read)] = find(state.write)
    classes: dict[str, list[Observed]] = {}
    for name in parent:
        classes.setdefault(find(name), []).append(calibration.observed[name])
    merged = {root: _merge(members) for root, members in classes.items()}
    return {name: merged[find(name)] for name in parent}


def _merge(members: list[Observed]) -> Observed:
    if len(members) == 1:
        return members[0]
    low, high = min(m.low for m in members), max(m.high for m in members)
    counts = np.zeros(BINS, np.int64)
    if low < high:
        for member in members:
            counts += np.histogram(member.centres(), BINS, (low, high), weights=member.counts)[0].astype(np.int64)
    return Observed(low, high, counts)
