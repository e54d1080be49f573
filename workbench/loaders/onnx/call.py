"""One ONNX node being translated: its operands, its attributes with their defaults, and the table of translators."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.graph.ir import Array
from workbench.loaders.onnx.file import OnnxNode
from workbench.loaders.onnx.fold import axes_of, fold, shape_of
from workbench.loaders.onnx.layout import Builder
from workbench.loaders.onnx.reshape import hide
from workbench.loaders.onnx.values import HIDDEN, Const, Layout, Value, channels_last, identity

Operand = Value | Const
MAX_ATTRIBUTE = 2**20
"""Largest stride, pad, dilation, kernel or axis that is taken seriously."""
MODERN = 21
"""Operator set by whose rules the parts of composed operators are translated."""
_NUMBERS = itertools.count()
"""Makes the names of constants of composed operators differ; they are given others in the graph."""


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

    def axes(self, position: int, rank: int) -> list[int] | None:
        """Return non-negative, different axes from the constant input at `position` (newer sets) or the attribute; None if absent."""
        self.const(position)
        found = axes_of(self.constants(), self.node.attrs, position, rank)
        if found is not None and len(set(found)) < len(found):
            raise self.b.error(f"names an axis twice: {found!r:.60}.")
        return found

    def make(self, op: str, *operands: Operand | None, outputs: int = 1, **attrs: Any) -> Operand:
        """Translate another ONNX operator in this node's name (newest operator set): the parts of an operator that has some."""
        return self.make_all(op, *operands, outputs=outputs, **attrs)[0]

    def make_all(self, op: str, *operands: Operand | None, outputs: int = 1, **attrs: Any) -> list[Operand]:
        """Return all outputs of `make`."""
        names = tuple("" if x is None else f"input {i}" for i, x in enumerate(operands))
        made = tuple(f"{self.node.label}.{op}.{next(_NUMBERS)}" for _ in range(outputs))
        node = replace(self.node, op=op, domain="", inputs=names, outputs=made, attrs=attrs)
        return translate(Call(self.b, node, operands, MODERN))

    def number(self, value: npt.ArrayLike) -> Const:
        """Return a float32 constant with a name of its own."""
        return Const(f"{self.node.label}.{next(_NUMBERS)}", np.array(value, np.float32))

    def whole(self, value: npt.ArrayLike) -> Const:
        """Return an int64 constant with a name of its own."""
        return Const(f"{self.node.label}.{next(_NUMBERS)}", np.array(value, np.int64))

    def axis(self, name: str, default: int, rank: int, end: bool = False) -> int:
        """Return a non-negative axis attribute; with `end`, `rank` itself is legal too."""
        found = self.integer(name, default)
        if not -rank <= found < rank + end:
            raise self.b.error(f"attribute '{name}' is {found}; the tensor has {rank} axes.")
        return found + rank if found < 0 else found


Translate = Callable[[Call], Sequence[Operand]]
TRANSLATORS: dict[str, Translate] = {}
"""ONNX operator type (`OnnxNode.kind`) -> its translation; one entry per supported operator."""


def translate(call: Call) -> list[Operand]:
    """Return the outputs of a node: constants of constants, the shape of a value, or what its translator makes."""
    b, node, first = call.b, call.node, call.optional(0)
    if node.op in ("Shape", "Size") and isinstance(first, Value):
        found = shape_of(first.shape, node.attrs) if node.op == "Shape" else np.array(math.prod(first.shape), np.int64)
        return [Const(node.outputs[0], found)]
    if not any(isinstance(arg, Value) for arg in call.args):
        folded = fold(b.budget, node.kind, call.constants(), node.attrs, call.opset, len(node.outputs))
        return [Const(name, array) for name, array in zip(node.outputs, folded, strict=False)]
    if node.kind not in TRANSLATORS:
        raise b.error("is supported on constants and shapes only, not on values that depend on the model's input.")
    return list(TRANSLATORS[node.kind](call))


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
    new_axis = {old: new for new, old in enumerate(perm)} | {HIDDEN: HIDDEN}
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


def joined(b: Builder, values: Sequence[Value]) -> tuple[list[Value], int | None]:
    """Return values of one rank with the batch axis that they agree on; None (and batches mix) when they do not.

    With one declared sample, which axis of one element counts samples is only a name: the values take that of the first of them.
    """
    if any(v.batch == HIDDEN for v in values) and all(v.samples == 1 and v.batch is not None for v in values):
        return [hide(b, v) for v in values], HIDDEN
    axis = values[0].batch
    made = [_renamed(v, axis) for v in values]
    if axis is None or any(v.batch != axis for v in made):
        b.mix_batch()
        return [b.put(v, identity(v.rank)) if v.batch == HIDDEN else v for v in values], None
    return made, axis


def _renamed(x: Value, axis: int | None) -> Value:
    """Return the value with its batch called `axis`, where both axes have one element."""
    if axis is None or axis == HIDDEN or x.batch in (None, axis, HIDDEN) or x.samples != 1 or x.shape[axis] != 1:
        return x
    assert x.batch is not None
    names = {x.batch: axis, axis: x.batch}
    return replace(x, layout=tuple(names.get(a, a) if a is not None else None for a in x.layout), batch=axis)


INFINITE = ("add", "sub", "select", "maximum", "minimum", "compare")
"""Operators that take infinite constants: what masks are made of."""


def binary(call: Call, op: str, left: Operand, right: Operand, main: bool = True, **fields: Any) -> Value:
    """Translate an operator on two broadcast operands, at least one of which is a value."""
    return broadcast(call, op, [left, right], None, main, **fields)


def broadcast(
    call: Call, op: str, sides: Sequence[Operand], dtype: str | None = None, main: bool = True, kinds: int = 0, **fields: Any
) -> Value:
    """Translate an operator on operands that are broadcast to one shape, at least one of which is a value.

    dtype: of the result, None: that of the operands from number `kinds` on, which must have one type.
    """
    b = call.b
    rank = max(x.rank if isinstance(x, Value) else x.array.ndim for x in sides)
    wide = [with_rank(b, x, rank) if isinstance(x, Value) else x for x in sides]
    values, batch = joined(b, [x for x in wide if isinstance(x, Value)])
    same = iter(values)
    wide = [next(same) if isinstance(x, Value) else x for x in wide]
    common = _common_type(call, wide[kinds:])
    if not rank:  # scalars are stored as one element
        rank, wide = 1, [b.reshape(x, (1,)) if isinstance(x, Value) else x for x in wide]
        made = broadcast(call, op, wide, dtype or common, main, **fields)
        return b.reshape(made, ())
    layout = common_layout(values)
    keys = []
    for side in wide:
        if isinstance(side, Value):
            keys.append(b.store(side, layout))
            continue
        position = None if batch is None or batch == HIDDEN else batch - (rank - side.array.ndim)
        if position is not None and position >= 0 and side.array.shape[position] != 1:
            b.mix_batch()  # the constant differs from sample to sample
        keys.append(b.broadcast_constant(side, rank, layout, op in INFINITE))
    return b.value(b.emit(op, keys, main=main, dtype=dtype or common, **fields), layout, batch)


def _common_type(call: Call, operands: Sequence[Operand]) -> str:
    """Return the type of all operands; ModelError when they differ, as no valid model has it."""
    types = {call.b.dtype(x.key) if isinstance(x, Value) else x.array.dtype.name for x in operands}
    types = {"float32" if t == "float64" else t for t in types}
    if len(types) != 1:
        raise call.b.error(f"has operands of different types: {', '.join(sorted(types))}.")
    return types.pop()


def same_everywhere(array: Array) -> bool:
    """True when all elements of a constant are equal."""
    return bool(array.size) and bool(np.all(array == array.reshape(-1)[0]))
