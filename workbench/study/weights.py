"""How many bits the weights of a plan have on average."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.graph.ir import Graph
from workbench.ops import OPS
from workbench.precision import parse_format
from workbench.sweep import Codes, Space


def mean_weight_bits(graph: Graph, space: Space, codes: Codes) -> npt.NDArray[np.float64]:
    """Return the mean bits of a weight of plans [P, G], [P]; weights that several layers read count once."""
    sizes = np.array([_weights(graph, group.layers) for group in space.groups], np.float64)
    total = np.zeros(len(codes))
    for g, names in enumerate(space.formats):
        bits = np.array([parse_format(name).weight_bits for name in names], np.float64)
        total += sizes[g] * bits[codes[:, g]]
    return np.asarray(total / max(float(sizes.sum()), 1.0))


def _weights(graph: Graph, layers: tuple[str, ...]) -> int:
    read = set()
    for name in layers:
        node = graph.node(name)
        spec = OPS[node.op].weights
        if spec is not None:
            read.add(node.inputs[spec.index])
    return sum(int(np.prod(graph.tensors[tensor].shape, dtype=np.int64)) for tensor in read)
