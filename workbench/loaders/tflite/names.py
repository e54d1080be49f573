"""Short names of operators, from the names that converters give to their outputs: '.../conv2d_3/BiasAdd;...' -> 'conv2d_3'."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FRAMEWORK = (
    "Relu6?|BiasAdd|Conv2D|depthwise|MatMul|FusedBatchNorm(V[23])?|batchnorm|add|Add(V2)?|sub|Sub|mul|Mul|Reshape|AvgPool|MaxPool"
    "|Mean|Softmax|Sigmoid|Tanh|concat|Pad(V2)?|transpose|Transpose|LeakyRelu|strided_slice|StridedSlice"
    "|Identity|Rsqrt|ExpandDims|Squeeze|Shape|Tensordot|FakeQuantWithMinMaxVars(PerChannel)?|quant|dequantize"
)
_LEAF = re.compile(rf"({_FRAMEWORK})(\d*|_\d+)")
"""Last parts of a path that name a framework's operation, not the layer; converters append digits to make them unique."""
_VARIABLE = re.compile(r"(ReadVariableOp|resource)\d*")
_NO_NAME = re.compile(r"(Identity|(Stateful)?PartitionedCall|tensor|tfl|output|serving_default|arith|main)[\w.:]*|[\d:;._\W]*")

_OWN_LEAVES = {
    "conv2d": r"BiasAdd|Conv2D", "depthwise_conv2d": r"BiasAdd|depthwise", "fully_connected": r"BiasAdd|MatMul|Tensordot",
    "add": r"add|Add|AddV2", "sub": r"sub|Sub", "mul": r"mul|Mul",
}  # fmt: skip
"""Operator -> leaves that belong to its own layer; the other parts of a joined name belong to what was fused into it."""


def layer_name(tensor: str, op: str) -> str:
    """Return the layer that a tensor's name states for the operator that makes it, or '' when it states none.

    tensor: paths joined by ';' (one per fused operation), each scopes joined by '/'.
    """
    found: list[tuple[str, str]] = []
    for path in tensor.split(";"):
        parts = [p for p in path.split("/") if p and not _VARIABLE.fullmatch(p)]
        leaf = parts.pop() if len(parts) > 1 and _LEAF.fullmatch(parts[-1]) else ""
        if parts and not _NO_NAME.fullmatch(parts[-1]) and (leaf or not _LEAF.fullmatch(parts[-1])):
            found.append((leaf, parts[-1]))
    own = re.compile(rf"({_OWN_LEAVES.get(op, '.*')})(\d*|_\d+)|")  # no leaf at all: the path is the layer
    for leaf, name in found:
        if own.fullmatch(leaf):
            return re.sub(r"[^\w.\-]+", "_", name)[:60].strip("_.")
    return ""


class Names:
    """Hands out names that were not given before."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {"", *taken}
        self._next: dict[str, int] = {}

    def unique(self, *wishes: str) -> str:
        """Return the first wish that is free, else the last one with a number."""
        for wish in wishes:
            if wish not in self._taken:
                self._taken.add(wish)
                return wish
        last = wishes[-1]
        number = self._next.get(last, 1)
        while f"{last}_{number}" in self._taken:
            number += 1
        self._next[last] = number + 1
        self._taken.add(f"{last}_{number}")
        return f"{last}_{number}"
