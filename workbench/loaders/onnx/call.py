"""One ONNX node being translated: its operands, its attributes with their defaults, and the table of translators."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.file import OnnxNode
from workbench.loaders.onnx.layout import Builder, Const, Layout, Value, channels_last, identity

Operand = Value | Const
MAX_ATTRIBUTE = 2**20
"""Largest stride, pad, dilation, kernel or axis that is taken seriously."""


@dataclass(frozen=True)
class Call:
    """A node with its operands (None for an absent one)."""

    b: Builder
    node: OnnxNode
    args: Sequence[Operand | None]
    opset: int

    def optional(self, i: int) -> Operand | None:
        """Return operand i or None."""
        return self.args[i] if i < len(self.args) else None

    def operand(self, i: int) -> Operand:
        """Return operand i, which must be there."""
        found = self.optional(i)
        if found is None:
            raise self.b.error(f"input {i} is missing.")
        return found

    def value(self, i: int = 0) -> Value:
        """Return operand i, which must depend on the model's input."""
        found = self.operand(i)
        if isinstance(found, Const):
            raise self.b.error(f"input {i} ('{found.name}') is a constant; expected a value that depends on the model's input.")
        return found

    def const(self, i: int) -> Const | None:
        """Return the constant operand i or None; refuses one that depends on the model's input."""
        found = self.optional(i)
        if isinstance(found, Value):
            raise self.b.error(f"input {i} ('{self.node.inputs[i]}') depends on the model's input; expected a constant.")
        return found

    def constants(self) -> list[Array | None]:
        """Return the arrays of the constant operands (None for others), for shape rules shared with constant folding."""
        return [arg.array if isinstance(arg, Const) else None for arg in self.args]

    def scalar(self, i: int, name: str, default: float) -> float:
        """Return a number that is input i (newer operator sets) or attribute `name` (older ones)."""
        const = self.const(i)
        if const is None:
            return self.real(name, default)
        if const.array.size != 1 or const.array.dtype.kind not in "fiu":
            raise self.b.error(f"input {i} ('{const.name}') has shape {const.array.shape}; expected one number.")
        return float(const.array.reshape(()))

    def integer(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        found = self.node.attrs.get(name, default)
        if not isinstance(found, int) or abs(found) > MAX_ATTRIBUTE:
            raise self.b.error(f"attribute '{name}' is {found!r:.40}; expected a whole number.")
        return found

    def real(self, name: str, default: float) -> float:
        """Return a float attribute."""
        found = self.node.attrs.get(name, default)
        if not isinstance(found, int | float) or math.isnan(found):
            raise self.b.error(f"attribute '{name}' is {found!r:.40}; expected a number.")
        return float(found)

    def text(self, name: str, default: str) -> str:
        """Return a text attribute."""
        return str(self.node.attrs.get(name, default))

    def integers(self, name: str, count: int, default: int, least: int) -> tuple[int, ...]:
        """Return `count` integers >= least (all `default` when the attribute is absent or empty)."""
        found = self.node.attrs.get(name) or [default] * count
        fits = isinstance(found, list) and len(found) == count
        if not fits or not all(isinstance(v, int) and least <= v <= MAX_ATTRIBUTE for v in found):
            raise self.b.error(f"attribute '{name}' is {found!r:.60}; expected {count} whole numbers >= {least}.")
        return tuple(found)

    def axis(self, name: str, default: int, rank: int, end: bool = False) -> int:
        """Return a non-negative axis attribute; with `end`, `rank` itself is legal too."""
        found = self.integer(name, default)
        if not -rank <= found < rank + end:
            raise self.b.error(f"attribute '{name}' is {found}; the tensor has {rank} axes.")
        return found + rank if found < 0 else found


Translate = Callable[[Call], list[Value]]
TRANSLATORS: dict[str, Translate] = {}
"""ONNX operator type -> its translation; one entry per supported operator."""


def onnx_op(*types: str) -> Callable[[Translate], Translate]:
    """Register the translation of one or more operator types."""

    def register(function: Translate) -> Translate:
        for kind in types:
            if kind in TRANSLATORS:
                raise ValueError(f"ONNX operator '{kind}' is registered twice")
            TRANSLATORS[kind] = function
        return function

    return register


def unary(call: Call, op: str, **fields: Any) -> list[Value]:
    """Translate an operator that works element by element: any layout will do."""
    x = call.value(0)
    return [replace(x, key=call.b.emit(op, [x.key], **fields))]


def transposed(x: Value, perm: Sequence[int]) -> Value:
    """Return ONNX's Transpose of a value: nothing moves, only the meaning of the stored axes changes."""
    new_axis = {old: new for new, old in enumerate(perm)}
    layout = tuple(None if axis is None else new_axis[axis] for axis in x.layout)
    shape = tuple(x.shape[old] for old in perm)
    return replace(x, shape=shape, layout=layout, batch=None if x.batch is None else new_axis[x.batch])


def with_rank(b: Builder, x: Value, rank: int) -> Value:
    """Return the value with unit axes in front, as broadcasting sees it.

    With one declared sample the batch stays first: of the unit axes it may be any. Otherwise it moves, and batches mix.
    """
    return b.reshape(x, (1,) * (rank - x.rank) + x.shape) if x.rank < rank else x


def common_layout(values: Sequence[Value]) -> Layout:
    """Return the layout in which values of one rank meet: channels last when one of them has it, else the first's."""
    layouts = [v.layout for v in values]
    preferred = channels_last(values[0].rank) if values[0].rank in (3, 4) else identity(values[0].rank)
    return preferred if preferred in layouts else layouts[0]


def joint_batch(b: Builder, values: Sequence[Value]) -> int | None:
    """Return the batch axis that the values agree on; None (and batches mix) when they do not."""
    axes = {v.batch for v in values}
    if len(axes) == 1:
        return axes.pop()
    b.mix_batch()
    return None


def binary(call: Call, op: str, left: Operand, right: Operand, main: bool = True) -> Value:
    """Translate an operator on two broadcast operands, at least one of which is a value."""
    b = call.b
    rank = max(x.rank if isinstance(x, Value) else x.array.ndim for x in (left, right))
    sides = [with_rank(b, x, rank) if isinstance(x, Value) else x for x in (left, right)]
    values = [x for x in sides if isinstance(x, Value)]
    layout, batch = common_layout(values), joint_batch(b, values)
    keys = []
    for side in sides:
        if isinstance(side, Value):
            keys.append(b.store(side, layout))
            continue
        position = None if batch is None else batch - (rank - side.array.ndim)
        if position is not None and position >= 0 and side.array.shape[position] != 1:
            b.mix_batch()  # the constant differs from sample to sample
        keys.append(b.broadcast_constant(side, rank, layout))
    return b.value(b.emit(op, keys, main=main), layout, batch)


def same_everywhere(array: Array) -> bool:
    """True when all elements of a constant are equal."""
    return bool(array.size) and bool(np.all(array == array.reshape(-1)[0]))
