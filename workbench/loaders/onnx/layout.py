"""`Builder`: makes graph nodes while tracking, per tensor, where each ONNX axis is stored.

ONNX says NCHW, the graph stores NHWC. Instead of transposing around every convolution, each value carries its *layout*: entry j
names the ONNX axis held by stored axis j, None marks a unit axis that ONNX does not have (a 1-D convolution stored as 2-D).
An operator asks for the layout it needs (`store`); a transpose appears only when what is stored differs. An ONNX Transpose
itself costs nothing until somebody insists on an order.

Batch: ONNX axis `batch` of a value counts samples. While it is stored first, nodes run on any number of samples; whatever
mixes or moves it calls `mix_batch`, and the graph then runs on the declared batch only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.graph.ir import Array, Tensor
from workbench.loaders.onnx.file import MAX_ELEMENTS, OnnxNode
from workbench.ops import OPS
from workbench.tensor import QuantParams

PLAIN_TYPES = ("int64", "int32", "bool", "uint8")
"""Types of values without a scale: token ids, indices, masks, bytes of pictures."""
Shape = tuple[int, ...]
Layout = tuple[int | None, ...]


@dataclass(frozen=True)
class Value:
    """An activation.

    key: which stored tensor. shape: as ONNX sees it. layout: stored axis -> ONNX axis. batch: ONNX axis of samples, or None.
    """

    key: int
    shape: Shape
    layout: Layout
    batch: int | None = 0

    @property
    def rank(self) -> int:
        """Number of ONNX axes."""
        return len(self.shape)

    def stored(self, axis: int) -> int:
        """Return the stored axis of an ONNX axis."""
        return self.layout.index(axis)


@dataclass(frozen=True, eq=False)
class Const:
    """A constant, in ONNX's own axes. name: the ONNX tensor."""

    name: str
    array: Array


@dataclass(frozen=True)
class Emitted:
    """A node before names are given: tensors are keys, None is an absent input.

    owner: the ONNX node, None for a moved layout. main: the node that gets the owner's name (the last one does).
    """

    op: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    attrs: Any
    owner: OnnxNode | None
    main: bool


def identity(rank: int) -> Layout:
    """Return the layout that stores what ONNX says."""
    return tuple(range(rank))


def channels_last(rank: int) -> Layout:
    """Return the layout of convolutions and pools: [N, H, W, C]; one spatial axis is stored as [N, 1, W, C]."""
    return (0, None, 2, 1) if rank == 3 else (0, 2, 3, 1)


class Builder:
    """Collects nodes and tensors. where: the file, for messages. node: the ONNX node being translated."""

    def __init__(self, where: str, batch: int) -> None:
        self.where = where
        self.batch = batch
        self.mixes_batch = False
        self.node: OnnxNode | None = None
        self.tensors: list[Tensor] = []
        self.emitted: list[Emitted] = []
        self._moved: dict[tuple[Any, ...], int] = {}
        self._constants: dict[tuple[str, str], int] = {}

    def error(self, what: str) -> ModelError:
        """Return the error for the node being translated."""
        node = f"node '{self.node.label.partition(' ')[2]}' ({self.node.op})" if self.node else "outputs"
        return ModelError(f"{self.where}: {node}: {what}")

    def mix_batch(self) -> None:
        """Note that samples are mixed or moved: the graph runs on the declared batch only."""
        self.mixes_batch = True

    # -- tensors -------------------------------------------------------------------------------------------------------------

    def add_tensor(
        self, name: str, shape: Shape, data: Array | None = None, dtype: str = "float32", quant: QuantParams | None = None
    ) -> int:
        """Add an activation of a type, or a constant of the type of its data. Names are made unique later."""
        if any(d < 1 for d in shape) or math.prod(shape) > MAX_ELEMENTS or len(shape) > 16:
            raise self.error(f"tensor '{name}' would have shape {list(shape)[:8]}, which is empty or too large.")
        self.tensors.append(Tensor(name, shape, dtype if data is None else data.dtype.name, quant, data))
        return len(self.tensors) - 1

    def constant(self, const: Const, array: Array, use: str) -> int:
        """Return the key of a constant, rearranged for `use`; the same ONNX tensor in the same use is stored once.

        float32, or plain integers and bools (indices, masks), which keep their type.
        """
        if const.array.dtype != np.float32 and const.array.dtype.name not in PLAIN_TYPES:
            raise self.error(f"constant '{const.name}' has type {const.array.dtype.name}; expected float32.")
        if (const.name, use) not in self._constants:
            data = np.array(array, const.array.dtype, order="C")  # a private copy: the file's bytes may be shared or misaligned
            if data.dtype.kind == "f" and not np.isfinite(data).all():
                raise self.error(f"constant '{const.name}' has NaN or infinite values.")
            self._constants[const.name, use] = self.add_tensor(const.name, data.shape, data)
        return self._constants[const.name, use]

    def shape(self, key: int) -> Shape:
        """Return the stored shape."""
        return self.tensors[key].shape

    def emit(
        self,
        op: str,
        inputs: Sequence[int | None],
        main: bool = True,
        moved: bool = False,
        dtype: str | None = None,
        quant: QuantParams | None = None,
        **fields: Any,
    ) -> int:
        """Add a node of one output of an operator of the registry; return the key of its output.

        dtype, quant: of the output; None: those of the first activation input that is not plain, else of the first input.
        """
        return self.emit_all(op, inputs, [(dtype, quant)], main, moved, **fields)[0]

    def emit_all(
        self,
        op: str,
        inputs: Sequence[int | None],
        outputs: Sequence[tuple[str | None, QuantParams | None]],
        main: bool = True,
        moved: bool = False,
        **fields: Any,
    ) -> list[int]:
        """Add a node; return the keys of its outputs. outputs: type and scale of each (None: as `emit` says)."""
        spec = OPS[op]
        attrs = spec.attrs(**fields)
        try:
            shapes = spec.infer_shape(attrs, [() if i is None else self.shape(i) for i in inputs])
        except ModelError as problem:
            raise self.error(str(problem)) from None
        read = [self.tensors[i] for i in inputs if i is not None]
        for t in read:
            if t.is_plain and not t.is_constant and not spec.plain:
                raise self.error(f"reads {t.dtype} values, which {op} does not take; expected numbers (cast them before).")
        like = next((t for t in read if not t.is_constant and not t.is_plain), read[0] if read else None)
        keys = []
        for shape, (dtype, quant) in zip(shapes, outputs, strict=False):
            if dtype is None and like is not None:
                dtype, quant = like.dtype, like.quant
            keys.append(self.add_tensor("", tuple(int(d) for d in shape), None, dtype or "float32", quant))
        self.emitted.append(Emitted(op, tuple(inputs), tuple(keys), attrs, None if moved else self.node, main))
        return keys

    def dtype(self, key: int) -> str:
        """Return the type of a stored tensor."""
        return self.tensors[key].dtype

    def value(self, key: int, layout: Layout, batch: int | None) -> Value:
        """Return the value of a stored tensor: its ONNX shape follows from the layout."""
        stored = self.shape(key)
        rank = sum(axis is not None for axis in layout)
        return Value(key, tuple(stored[layout.index(axis)] for axis in range(rank)), layout, batch)

    # -- layouts -------------------------------------------------------------------------------------------------------------

    def store(self, value: Value, layout: Layout) -> int:
        """Return the key of the value stored in `layout`, moving it (once per layout) when it is stored differently."""
        if layout == value.layout:
            return value.key
        if value.batch is not None and (value.stored(value.batch) or layout.index(value.batch)):
            self.mix_batch()
        real = [axis for axis in value.layout if axis is not None]
        perm = tuple(real.index(axis) for axis in layout if axis is not None)
        shape = tuple(1 if axis is None else value.shape[axis] for axis in layout)
        cached = (value.key, perm, shape)
        if cached not in self._moved:
            key = self._reshaped(value.key, tuple(value.shape[axis] for axis in real), moved=True)
            if perm != identity(len(perm)):
                key = self.emit("transpose", [key], main=False, moved=True, perm=perm)
            self._moved[cached] = self._reshaped(key, shape, moved=True)
        return self._moved[cached]

    def _reshaped(self, key: int, shape: Shape, moved: bool = False) -> int:
        """Reshape the stored tensor; a first axis that stays as long is the batch (or equal to it, when batches are mixed)."""
        if self.shape(key) == shape:
            return key
        first = -1 if shape[0] == self.shape(key)[0] else shape[0]
        return self.emit("reshape", [key], main=False, moved=moved, shape=(first, *shape[1:]))

    def put(self, value: Value, layout: Layout) -> Value:
        """Return the same value stored in `layout`."""
        return replace(value, key=self.store(value, layout), layout=layout)

    def broadcast_constant(self, const: Const, rank: int, layout: Layout) -> int:
        """Return a constant arranged to broadcast against a value of `rank` stored in `layout`: [C, 1, 1] -> [C] for NHWC."""
        wide = const.array.reshape((1,) * (rank - const.array.ndim) + const.array.shape)
        order = [axis for axis in layout if axis is not None]
        shape = [1 if axis is None else wide.shape[axis] for axis in layout]
        while len(shape) > 1 and shape[0] == 1:
            shape.pop(0)
        return self.constant(const, wide.transpose(order).reshape(shape), f"broadcast {rank} {layout}")

    # -- reshape -------------------------------------------------------------------------------------------------------------

    def reshape(self, value: Value, target: Shape) -> Value:
        """Return the value with another ONNX shape, in ONNX's element order.

        When every group of axes that is merged or split is stored side by side, the stored tensor is reshaped as it is;
        otherwise it is first brought into ONNX's order.
        """
        if not target:
            raise self.error("the result is a scalar; expected at least the batch dimension.")
        if target == value.shape:
            return value
        if value.batch != 0 or target[0] != value.shape[0]:
            self.mix_batch()
            return Value(self._reshaped(self.store(value, identity(value.rank)), target), target, identity(len(target)), None)
        order = self._kept_order(value, target) if value.layout[0] == 0 else None
        if order is None:
            return Value(self._reshaped(self.store(value, identity(value.rank)), target), target, identity(len(target)), 0)
        layout = _layout_with_order(target, order)
        shape = tuple(1 if axis is None else target[axis] for axis in layout)
        return Value(self._reshaped(value.key, shape), target, layout, 0)

    @staticmethod
    def _kept_order(value: Value, target: Shape) -> list[int] | None:
        """Return the target's non-unit axes in stored order when no element has to move, else None."""
        stored = [axis for axis in value.layout[1:] if axis is not None and value.shape[axis] != 1]
        made: dict[int, list[int]] = {}
        for sources, results in reshape_groups(value.shape, target):
            start = stored.index(sources[0])
            if stored[start : start + len(sources)] != sources:
                return None
            made[start] = results
        return [axis for start in sorted(made) for axis in made[start]]


def reshape_groups(source: Shape, target: Shape) -> list[tuple[list[int], list[int]]]:
    """Split a reshape that keeps axis 0 into the smallest groups of non-unit axes with equal products.

    (2, 3, 4, 5) -> (2, 12, 5): [([1, 2], [1]), ([3], [2])].
    """
    ins = [i for i in range(1, len(source)) if source[i] != 1]
    outs = [j for j in range(1, len(target)) if target[j] != 1]
    groups: list[tuple[list[int], list[int]]] = []
    while ins or outs:
        taken_in, taken_out = [ins.pop(0)], [outs.pop(0)]
        left, right = source[taken_in[0]], target[taken_out[0]]
        while left != right:
            if left < right:
                taken_in.append(ins.pop(0))
                left *= source[taken_in[-1]]
            else:
                taken_out.append(outs.pop(0))
                right *= target[taken_out[-1]]
        groups.append((taken_in, taken_out))
    return groups


def _layout_with_order(shape: Shape, order: list[int]) -> Layout:
    """Return a layout that stores the non-unit axes (after the batch) in `order`: channels last or ONNX's own when one fits."""
    candidates = [channels_last(4)] if len(shape) == 4 else []
    for layout in (*candidates, identity(len(shape))):
        if [axis for axis in layout[1:] if axis is not None and shape[axis] != 1] == order:
            return layout
    units = [axis for axis in range(1, len(shape)) if shape[axis] == 1]
    return (0, *units, *order)
