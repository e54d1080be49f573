"""`Builder`: makes graph nodes while tracking, per tensor, where each ONNX axis is stored.

ONNX says NCHW, the graph stores NHWC. Instead of transposing around every convolution, each value carries its *layout*: entry j
names the ONNX axis held by stored axis j, None marks a unit axis that ONNX does not have (a 1-D convolution stored as 2-D).
An operator asks for the layout it needs (`store`); a transpose appears only when what is stored differs. An ONNX Transpose
itself costs nothing until somebody insists on an order.

Batch: ONNX axis `batch` of a value counts samples. While it is stored first, nodes run on any number of samples; whatever
mixes or moves it calls `mix_batch`, and the graph then runs on the declared batch only. With one declared sample, a file may join the
batch with another axis ([1, heads, T, D] -> [heads, T, D]): it stays the first stored axis, HIDDEN from ONNX's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.graph.ir import Array, Tensor
from workbench.loaders.onnx.file import OnnxNode
from workbench.loaders.onnx.fold_budget import Budget
from workbench.loaders.onnx.inputs import MAX_ELEMENTS
from workbench.loaders.onnx.reshape import reshape
from workbench.loaders.onnx.values import HIDDEN, Const, Layout, Shape, Value, identity
from workbench.ops import OPS
from workbench.tensor import QuantParams

PLAIN_TYPES = ("int64", "int32", "bool", "uint8")
"""Types of values without a scale: token ids, indices, masks, bytes of pictures."""


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


class Builder:
    """Collects nodes and tensors. where: the file, for messages. node: the ONNX node being translated. budget: of constants."""

    def __init__(self, where: str, batch: int, budget: Budget) -> None:
        self.where = where
        self.budget = budget
        self.batch = batch
        self.mixes_batch = False
        self.node: OnnxNode | None = None
        self.tensors: list[Tensor] = []
        self.emitted: list[Emitted] = []
        self._moved: dict[tuple[Any, ...], int] = {}
        self.made: dict[tuple[Any, ...], int] = {}
        """What translators made once for all readers."""
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

    def constant(self, const: Const, array: Array, use: str, infinite: bool = False) -> int:
        """Return the key of a constant, rearranged for `use`; the same ONNX tensor in the same use is stored once.

        float32, or plain integers and bools (indices, masks), which keep their type. infinite: infinities are numbers there.
        """
        if const.quant is not None:
            return self._quantized_constant(const, array, use)
        kind = const.array.dtype.name
        if kind not in ("float32", "float64", *PLAIN_TYPES):
            raise self.error(f"constant '{const.name}' has type {kind}; expected float32.")
        if (const.name, use) not in self._constants:
            self.budget.held([array])
            data = np.array(array, order="C")  # a private copy: the file's bytes may be shared or misaligned
            if kind == "float64":
                data = self._narrowed(const.name, data)
            if data.dtype.kind == "f" and (np.isnan(data).any() if infinite else not np.isfinite(data).all()):
                raise self.error(f"constant '{const.name}' has NaN or infinite values.")
            self._constants[const.name, use] = self.add_tensor(const.name, data.shape, data)
        return self._constants[const.name, use]

    def _quantized_constant(self, const: Const, array: Array, use: str) -> int:
        """Return the key of integers with scales; those of depthwise weights [1, KH, KW, O] are per channel along the last axis."""
        quant = const.quant
        assert quant is not None
        if quant.axis is not None:
            quant = replace(quant, axis=3 if use == "depthwise" else 0)
        name = const.name, f"{use} {hash(quant)}"
        if name not in self._constants:
            self.budget.held([array])
            data = np.array(array, order="C")
            self._constants[name] = self.add_tensor(const.name, data.shape, data, quant=quant)
            self.tensors[-1] = replace(self.tensors[-1], dtype=const.dtype)
        return self._constants[name]

    def retype(self, value: Value, dtype: str, quant: QuantParams | None) -> Value:
        """Give the result of the last operator another type and scale, and what it was moved into since."""
        key: int | None = value.key
        for emitted in reversed(self.emitted):
            if key in emitted.outputs:
                for name in emitted.outputs:
                    self.tensors[name] = replace(self.tensors[name], dtype=dtype, quant=quant)
                if emitted.op not in ("reshape", "transpose"):
                    break
                key = emitted.inputs[0]
        return value

    def _narrowed(self, name: str, data: Array) -> Array:
        """Return float64 numbers as float32, which must hold them exactly."""
        with np.errstate(over="ignore", under="ignore"):
            made = data.astype(np.float32)
        if not np.array_equal(made.astype(np.float64), data, equal_nan=True):
            raise self.error(
                f"constant '{name}' has type float64 and numbers that float32 does not hold. Export it in float32."
            )
        return made

    @property
    def quantized(self) -> bool:
        """True when some value so far is stored as integers with a scale."""
        return any(t.quant is not None and not t.is_constant for t in self.tensors)

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
            if like is not None and quant is None and dtype in (None, like.dtype):
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
        rank = sum(axis is not None and axis != HIDDEN for axis in layout)
        return Value(key, tuple(stored[layout.index(axis)] for axis in range(rank)), layout, batch)

    # -- layouts -------------------------------------------------------------------------------------------------------------

    def store(self, value: Value, layout: Layout) -> int:
        """Return the key of the value stored in `layout`, moving it (once per layout) when it is stored differently."""
        layout = layout or (None,)  # a scalar is one element
        if layout == value.layout:
            return value.key
        if value.batch is not None and (value.batch not in layout or value.stored(value.batch) or layout.index(value.batch)):
            self.mix_batch()
        real = [axis for axis in value.layout if axis in layout and axis is not None]  # a hidden batch that is not wanted is 1
        perm = tuple(real.index(axis) for axis in layout if axis is not None)
        shape = tuple(1 if axis is None or axis == HIDDEN else value.shape[axis] for axis in layout)
        cached = (value.key, perm, shape)
        if cached not in self._moved:
            sizes = tuple(1 if axis == HIDDEN else value.shape[axis] for axis in real)
            key = self.reshaped(value.key, sizes, moved=True)
            if perm != identity(len(perm)):
                key = self.emit("transpose", [key], main=False, moved=True, perm=perm)
            self._moved[cached] = self.reshaped(key, shape, moved=True)
        return self._moved[cached]

    def reshaped(self, key: int, shape: Shape, moved: bool = False) -> int:
        """Reshape the stored tensor; a first axis that stays as long is the batch (or equal to it, when batches are mixed)."""
        shape = shape or (1,)
        if self.shape(key) == shape:
            return key
        first = -1 if shape[0] == self.shape(key)[0] else shape[0]
        return self.emit("reshape", [key], main=False, moved=moved, shape=(first, *shape[1:]))

    def put(self, value: Value, layout: Layout) -> Value:
        """Return the same value stored in `layout`."""
        return replace(value, key=self.store(value, layout), layout=layout)

    def broadcast_constant(self, const: Const, rank: int, layout: Layout, infinite: bool = False) -> int:
        """Return a constant arranged to broadcast against a value of `rank` stored in `layout`: [C, 1, 1] -> [C] for NHWC."""
        wide = const.array.reshape((1,) * (rank - const.array.ndim) + const.array.shape)
        order = [axis for axis in layout if axis is not None and axis != HIDDEN]
        shape = [1 if axis is None or axis == HIDDEN else wide.shape[axis] for axis in layout]
        while len(shape) > 1 and shape[0] == 1:
            shape.pop(0)
        return self.constant(const, wide.transpose(order).reshape(shape), f"broadcast {rank} {layout}", infinite)

    def reshape(self, value: Value, target: Shape) -> Value:
        """Return the value with another ONNX shape, in ONNX's element order (see `reshape`)."""
        return reshape(self, value, target)
