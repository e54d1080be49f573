"""What stored outputs of a runtime say of ours: equal, within a stated tolerance, or different."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from workbench.graph.ir import Array, Graph, Node
from workbench.precision import is_float
from workbench.validate.pairs import Stored

FLOAT_TOLERANCE = 1e-4
"""Largest |difference| / largest |value| of a float output: summation order differs between runtimes."""

LARGEST_SPREAD = 1e-3
"""Runtimes that are further apart than this say nothing about what is exact: one of them is wrong."""

SMALLEST = 1e-3
"""Largest value that float outputs are taken to have at least: a detector that sees nothing gives 1e-7 everywhere, where runtimes' own
approximations of the logistic are off by as much (ONNX Runtime's Sigmoid by 1.4e-7 below -10, measured against float64)."""

MOVES = frozenset({
    "dequantize", "cast", "reshape", "transpose", "concat", "strided_slice", "pad", "mirror_pad", "gather", "gather_nd", "tile",
    "broadcast_to", "select", "reverse", "reverse_sequence", "space_to_depth", "depth_to_space", "space_to_batch_nd",
    "batch_to_space_nd",
})  # fmt: skip
"""Operators whose float outputs have the same bits everywhere, when their inputs have: one rounding of an integer, or none."""

Status = Literal["equal", "within", "differs", "refused", "not run", "crashed", "loaded"]


@dataclass(frozen=True)
class ModelRow:
    """Stored outputs of one runtime. profile: what they were compared with. values: elements; differ: of them. largest: difference,
    in steps for integers and relative to the largest value for floats. detail: the reason, or how many samples differ."""

    file: str
    array: str
    model: str
    profile: str
    values: int
    differ: int
    largest: float
    status: Status
    detail: str = ""

    @property
    def ok(self) -> bool:
        """False when something differs, crashed or could not be compared; a refusal with its reason is no failure."""
        return self.status in ("equal", "within", "refused", "loaded")

    @property
    def verdict(self) -> str:
        """Status and reason in words."""
        return f"{self.status}: {self.detail}" if self.detail else self.status


@dataclass(frozen=True, eq=False)
class Compared:
    """One output. allowed: largest difference, relative to the largest value (floats) or in steps (integers). spread: how far the
    runtimes are from each other, where that is what is allowed."""

    got: Array
    want: Array
    allowed: float
    spread: float = 0.0


def spread_of(stored: Sequence[Stored]) -> dict[str, float]:
    """Return how far the runtimes are from each other: float output -> largest difference relative to the largest value."""
    found: dict[str, float] = {}
    for one, other in combinations(stored, 2):
        for name, x in one.outputs.items():
            y = other.outputs.get(name, x)
            if x.dtype.kind == "f" and x.shape == y.shape:
                found[name] = max(found.get(name, 0.0), differing(x, y)[1])
    return {name: gap for name, gap in found.items() if np.isfinite(gap)}


def has_integers(graph: Graph) -> bool:
    """True when a target's arithmetic decides the outputs: quantized activations, or integer weights under float ones."""
    return graph.has_scales


def exact_outputs(graph: Graph) -> frozenset[str]:
    """Return the outputs that no float arithmetic comes near: integers all the way, real numbers at most behind the last of them."""
    rough: set[str] = set()
    while True:
        before = len(rough)
        for node in graph.nodes:
            if _is_rough(graph, node) or not rough.isdisjoint(node.inputs):
                rough.update(node.outputs)
        rough.update(state.read for state in graph.states if state.write in rough)
        if len(rough) == before:
            return frozenset(name for name in graph.outputs if name not in rough)


def _is_rough(graph: Graph, node: Node) -> bool:
    return node.op not in MOVES and any(is_float(graph.tensors[name].dtype) for name in node.outputs)


def compared(graph: Graph, name: str, got: Array, want: Array, spread: Mapping[str, float]) -> Compared:
    """Return an output with what is allowed of it.

    Integers, and real numbers that come from integers alone: nothing. Floats: FLOAT_TOLERANCE; of a network of floats alone also what
    the runtimes differ by, up to LARGEST_SPREAD: one that magnifies the order of its sums has no more exact outputs than that.
    """
    if want.dtype.kind != "f" or name in exact_outputs(graph):
        return Compared(got, want, 0.0)
    apart = spread.get(name, 0.0)
    if has_integers(graph) or not FLOAT_TOLERANCE < apart <= LARGEST_SPREAD:
        return Compared(got, want, FLOAT_TOLERANCE)
    return Compared(got, want, apart, apart)


def verdict_of(outputs: Sequence[Compared], row: Callable[..., ModelRow]) -> ModelRow:
    """Return the row of all outputs; row: (values, differ, largest, status, detail) -> ModelRow."""
    values, differ, largest, apart_by = 0, 0, 0.0, 0.0
    wrong = np.zeros(len(outputs[0].got), np.bool_)
    short = False
    for one in outputs:
        got, want = one.got, one.want
        if got.shape != want.shape:
            why = f"an output is {list(got.shape)}, the stored one {list(want.shape)}"
            return row(want.size, want.size, 0.0, "differs", why)
        if got.dtype != want.dtype:
            return row(want.size, want.size, 0.0, "differs", f"an output is {got.dtype}, the stored one {want.dtype}")
        count, gap = differing(got, want)
        values, differ, largest = values + want.size, differ + count, max(largest, gap)
        short |= gap > one.allowed
        if gap > FLOAT_TOLERANCE and one.spread:
            apart_by = max(apart_by, one.spread)
        if len(wrong) == len(got):
            wrong |= (gaps(got, want) > one.allowed).reshape(len(got), -1).any(axis=1)
    if not differ:
        return row(values, 0, largest, "equal")
    if short:
        return row(values, differ, largest, "differs", f"in {int(wrong.sum())} of {len(wrong)} samples")
    if apart_by:
        return row(values, differ, largest, "within", f"what the runtimes differ by, {apart_by:.1e} of the largest value")
    return row(values, differ, largest, "within", f"{FLOAT_TOLERANCE:g} of the largest value")


def gaps(got: Array, want: Array) -> Array:
    """Return the difference of every element as float64: in steps for integers; for floats relative to the largest |value|, at least
    SMALLEST, and infinite where only one side is NaN or infinite, or both are so in different ways."""
    if want.dtype.kind != "f":
        return np.abs(got.astype(np.int64) - want.astype(np.int64)).astype(np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    finite = np.isfinite(got) & np.isfinite(want)
    scale = max(float(np.abs(want[finite]).max(initial=0.0)), SMALLEST)
    with np.errstate(invalid="ignore"):
        found = np.abs(got.astype(np.float64) - want.astype(np.float64)) / scale
    return np.where(same, 0.0, np.where(finite, found, np.inf))


def differing(got: Array, want: Array) -> tuple[int, float]:
    """Return (elements that differ, largest of their `gaps`)."""
    found = gaps(got, want)
    return int(np.count_nonzero(found)), float(found.max(initial=0.0))
