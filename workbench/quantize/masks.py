"""Masks of attention: numbers far below all others that a softmax turns to zero. Ranges must not be stretched to hold them.

A file says -inf, the lowest float32 or -10000; what counts is that exp(score - largest score) is 0. Integers and float16 store such a
number as what is low enough: on the way to a softmax a range ends at `MASK`, and the input of the softmax itself `MARGIN` below the
lowest score that is no mask, where exp is below 2e-7 of the row's largest share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workbench.graph.ir import Array, Graph, Tensor

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
