"""Masks of attention: numbers far below all others that a softmax turns to zero. Ranges must not be stretched to hold them.

A file says -inf, the lowest float32 or -10000; what counts is that exp(score - largest score) is 0. Integers and float16 store such a
number as what is low enough: on the way to a softmax a range ends at `MASK`, and the input of the softmax itself `MARGIN` below the
lowest score that is no mask, where exp is below 2e-7 of the row's largest share. A mask that is added to integer scores ends where
every sum is below the range of sums: it saturates, as a lower one would, and its scale is not so coarse that an addition overflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.quantize.ranges import Observed

MASK = -10000.0
"""Where a range on the way to a softmax ends: the least of the masks in use (BERT's -10000, half of float16's range, -1e9, -inf)."""
FROM = MASK / 2
"""Numbers from here down are masks, alone or added to a score."""
MARGIN = 16.0
_SOFTMAX = ("softmax", "log_softmax")
_ON_THE_WAY = (
    "add",
    "sub",
    "mul",
    "select",
    "minimum",
    "maximum",
    "reshape",
    "transpose",
    "broadcast_to",
    "cast",
    "concat",
    "strided_slice",
)


@dataclass(frozen=True)
class Masks:
    """Tensors by name. way: they reach nothing but softmaxes, through operators that add and move. scores: only softmaxes read them."""

    way: frozenset[str]
    scores: frozenset[str]

    def lowest(self, name: str, x: Array) -> float:
        """Return the lowest number of an activation that its range has to hold."""
        low = float(x.min())
        if name not in self.way or not low <= FROM:
            return low
        kept = x[x > FROM]
        if name in self.scores and kept.size:
            return float(kept.min()) - MARGIN
        return max(low, MASK)

    def constant(self, tensor: Tensor, dtype: str) -> Tensor:
        """Return a constant on the way to a softmax with its masks as a type of less range than float32 stores them."""
        if tensor.name not in self.way or tensor.data is None or tensor.quant is not None or dtype in ("float32", "tfloat32"):
            return tensor
        return replace(tensor, data=np.maximum(tensor.data, np.float32(MASK)))

    def narrowed(self, graph: Graph, ranges: Mapping[str, Observed]) -> dict[str, Observed]:
        """Return the ranges of activations, those of masks that are added to scores ended at `end_of_mask`.

        ranges: by tensor; tensors that share a scale have the same object.
        """
        classes: dict[int, list[str]] = {}
        for name, seen in ranges.items():
            classes.setdefault(id(seen), []).append(name)
        found = dict(ranges)
        for names in classes.values():
            seen = ranges[names[0]]
            readers = [(name, node) for name in names for node in graph.consumers[name] if node.outputs[0] not in names]
            if seen.low > FROM or not readers or not self.way.issuperset(names):
                continue
            pairs = [(_other(graph, node, name), node.outputs[0]) for name, node in readers]
            if all(other in ranges for other, _ in pairs):
                low = min(end_of_mask(ranges[made].low, ranges[other].high) for other, made in pairs)
                found.update(dict.fromkeys(names, seen.above(low)))
        return found

    def added(self, graph: Graph, tensor: Tensor, node: Node) -> str | None:
        """Return the activation that a constant mask is added to, None where the constant is none."""
        if (
            tensor.name not in self.way
            or tensor.data is None
            or tensor.quant is not None
            or not float(tensor.data.min()) <= FROM
        ):
            return None
        return _other(graph, node, tensor.name) or None


def end_of_mask(lowest_sum: float, highest_score: float) -> float:
    """Return where a mask may end: added to the highest score it is below the lowest sum, by more than half a step."""
    return min(lowest_sum - highest_score - MARGIN, 0.0)


def _other(graph: Graph, node: Node, name: str) -> str:
    """Return the activation that a node adds to a tensor, '' where it does something else."""
    others = [n for n in node.inputs if n != name]
    return others[0] if node.op == "add" and len(others) == 1 and not graph.tensors[others[0]].is_constant else ""


def find_masks(graph: Graph) -> Masks:
    """Return where masks may be in a graph."""
    way: set[str] = set()
    scores: set[str] = set()
    outputs = {*graph.outputs}
    for name in [*(n for node in reversed(graph.nodes) for n in (*node.outputs[::-1], *node.inputs)), *graph.inputs]:
        readers = graph.consumers[name] if name else ()
        if not readers or name in outputs or name in way:
            continue
        if all(reader.op in _SOFTMAX for reader in readers):
            way.add(name)
            scores.add(name)
        elif all(
            reader.op in (*_SOFTMAX, *_ON_THE_WAY) and (reader.op in _SOFTMAX or reader.outputs[0] in way) for reader in readers
        ):
            way.add(name)
    return Masks(frozenset(way), frozenset(scores))
