"""`Call`: one operator of the file as its translator sees it. Inputs are checked tensors; every error names the operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.errors import ModelError, WorkbenchError
from workbench.graph.ir import Array, State, Tensor
from workbench.loaders.tflite.build import Builder
from workbench.loaders.tflite.file import STATES, FileOperator
from workbench.loaders.tflite.tensor import MAX_ELEMENTS
from workbench.ops import OPS
from workbench.tensor import STORAGE, dequantize

FUSED = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}
"""TFLite `ActivationFunctionType` -> fused activation."""

MAX_MESSAGE = 1000
"""Characters of one reason; shapes of a hostile file could fill megabytes."""

MOVES = (
    "reshape", "transpose", "concat", "strided_slice", "gather", "gather_nd", "tile", "broadcast_to", "select", "reverse", "mirror_pad",
    "space_to_depth", "depth_to_space", "batch_to_space_nd", "dilate",
)  # fmt: skip
"""Operators that only move values: constants of any type go through them unchanged."""

Translator = Callable[["Call"], None]
TRANSLATORS: dict[str, Translator] = {}
"""TFLite operator -> the function that puts it into the graph."""
OPTION_TYPES: dict[str, str] = {}
ARITIES: dict[str, tuple[int, int]] = {}
OUTPUTS: dict[str, tuple[int, int]] = {}


def translates(
    kind: str, inputs: tuple[int, int], options: str = "", outputs: tuple[int, int] = (1, 1)
) -> Callable[[Translator], Translator]:
    """Register a translator. inputs, outputs: fewest and most. options: member of the options union, '' when it has none to read."""

    def add(function: Translator) -> Translator:
        if kind in TRANSLATORS:
            raise ValueError(f"TFLite operator '{kind}' is registered twice")
        TRANSLATORS[kind], ARITIES[kind], OPTION_TYPES[kind], OUTPUTS[kind] = function, inputs, options, outputs
        return function

    return add


class Call:
    """One operator. `values` are its inputs in order (None for an absent optional one)."""

    def __init__(self, builder: Builder, operator: FileOperator) -> None:
        self.builder = builder
        self.operator = operator
        self.where = f"{builder.file.where}: operator {operator.label}"
        self._check_form()
        states = STATES.get(operator.kind, ())
        self.values = [
            None if i < 0 or j in states or i in builder.handles else builder.operand(i, self.where)
            for j, i in enumerate(operator.inputs)
        ]
        for j, (i, t) in enumerate(zip(operator.inputs, self.values, strict=True)):
            if t is not None and 0 in t.shape and (operator.kind, j) != ("RESHAPE", 1):
                raise self.error(f"tensor #{i} '{t.name[:80]}': shape {list(t.shape)} is empty; only a target shape may be.")
        made = () if operator.kind == "VAR_HANDLE" else operator.outputs
        self.outputs = tuple(builder.declared(i, self.where) for i in made)

    def _check_form(self) -> None:
        op = self.operator
        (fewest, most), (least, last) = ARITIES[op.kind], OUTPUTS[op.kind]
        if not fewest <= len(op.inputs) <= most or not least <= len(op.outputs) <= last or len({*op.outputs}) < len(op.outputs):
            raise self.error(
                f"{len(op.inputs)} inputs and {len(op.outputs)} outputs; expected {_count(fewest, most)} and {_count(least, last)}."
            )
        want = OPTION_TYPES[op.kind]
        own = op.kind.title().replace("_", "").lower()
        if op.options_type != "NONE" and op.options_type != want and (want or own not in op.options_type.lower()):
            raise self.error(f"carries {op.options_type}; expected {want or 'none'}.")

    def error(self, why: str) -> ModelError:
        """Return the error 'file: operator CONV_2D #3: why'."""
        return ModelError(f"{self.where}: {why[:MAX_MESSAGE]}")

    @property
    def output(self) -> Tensor:
        """The first output as the file declares it."""
        return self.outputs[0]

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the file; empty when it has none."""
        return self.operator.options or {}

    def option(self, name: str) -> Any:
        """Return an option that has no safe default (strides, filters); ModelError when the file leaves it out."""
        if name not in self.options:
            raise self.error(f"has no {OPTION_TYPES[self.operator.kind]}, which must state {name}.")
        return self.options[name]

    @property
    def batch(self) -> int:
        """Declared number of samples."""
        return self.builder.batch

    @property
    def activation_code(self) -> int:
        """`ActivationFunctionType` of the operator."""
        return int(self.options.get("FusedActivationFunction", 0))

    @property
    def activation(self) -> str:
        """The fused activation."""
        code = self.activation_code
        if code not in FUSED:
            raise self.error(f"fused activation {code} is not supported; expected one of {', '.join(FUSED.values())}.")
        return FUSED[code]

    def input(self, i: int) -> Tensor:
        """Return input i, which must be there."""
        tensor = self.optional(i)
        if tensor is None:
            raise self.error(f"input {i} is missing.")
        return tensor

    def optional(self, i: int) -> Tensor | None:
        """Return input i, or None when it is absent."""
        return self.values[i] if i < len(self.values) else None

    def numbers(self, i: int, what: str, most: int) -> list[int]:
        """Return the integers of a constant input (axes, shapes, paddings), flat."""
        tensor = self.input(i)
        if tensor.data is None:
            raise self.error(
                f"{what} (input {i}) is computed by the network; only constants are supported.\nExport with fixed sizes."
            )
        if tensor.dtype not in ("int32", "int64") or tensor.data.size > most:
            raise self.error(
                f"{what} (input {i}) is {tensor.dtype} {list(tensor.shape)}; expected at most {most} int32 or int64."
            )
        return [int(v) for v in tensor.data.reshape(-1)]

    def same_type(self, *tensors: Tensor, types: Sequence[str] = ("float32", "int8", "uint8", "int16")) -> None:
        """Refuse tensors (the output is always one of them) of different types or of types without a rule."""
        found = [t.dtype for t in (*tensors, self.output)]
        if len(set(found)) > 1 or found[0] not in types:
            raise self.error(f"types {', '.join(found[:-1])} -> {found[-1]}; expected one type of {', '.join(types)}.")
        for tensor in tensors:
            if tensor.dtype.lstrip("u").startswith("int") and (tensor.quant is None or tensor.quant.axis is not None):
                raise self.error(f"'{tensor.name[:80]}' is {tensor.dtype} and needs one scale and one zero point.")

    def reshaped(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the tensor in another shape, inserting a reshape."""
        return self.builder.reshaped(tensor, shape, self._output_layer(), self.operator.label)

    def _output_layer(self) -> str:
        last = self.output.name.split(";")[0].split("/")
        return (last[-2] if len(last) > 1 else last[-1])[:60] or self.operator.kind.lower()

    # -- results --------------------------------------------------------------------------------------------------------------

    def emit(
        self,
        op: str,
        inputs: Sequence[Tensor | None],
        attrs: Any,
        mixes: bool = False,
        outputs: Sequence[int] = (0,),
        states: Sequence[State] = (),
    ) -> None:
        """Add the node that makes outputs of this operator, or compute them now when all its inputs are constants.

        mixes: the result does not keep every sample apart in dimension 0. outputs: which of the operator's outputs the node makes, in
        the order of its own: an operator with several may be one node, or one for each. states: of `state`, which the node reads after
        its inputs and writes after its outputs.
        """
        inputs = [*inputs, *(self.builder.tensors[s.read] for s in states)]
        shapes = self.infer(op, inputs, attrs, len(outputs) + len(states))
        if all(t is None or t.is_constant for t in inputs):
            self._fold(op, inputs, attrs, shapes, outputs)
            return
        for t in inputs:
            if t is not None and t.is_plain and not t.is_constant and not OPS[op].plain:
                raise self.error(f"reads {t.dtype} values without a scale, which {op} does not take.")
        made = [self.checked_output(shape, i) for shape, i in zip(shapes, outputs, strict=False)]
        for tensor in made:
            self.builder.check_activation(tensor, f"{self.where}: output '{tensor.name[:80]}'")
        self.builder.mixes_batch |= mixes or any(shape[:1] != (self.batch,) for shape in shapes)
        name, writes = self.builder.node_name(op, made[0].name), [*made, *self.next_states(states)]
        self.builder.add_node(name, op, inputs, writes, attrs, self.operator.label)
        for tensor, i in zip(made, outputs, strict=True):
            self.builder.values[self.operator.outputs[i]] = tensor

    def state(self, i: int, shape: tuple[int, ...], dtype: str) -> State:
        """Return the state in input i, a variable tensor of the file, and add the tensor that it is read from.

        The runtimes set it to zero (int8: its zero point) before the first inference.
        """
        builder, index = self.builder, self.operator.inputs[i] if i < len(self.operator.inputs) else -1
        if index < 0 or index in builder.states:
            raise self.error(f"needs a state of its own (input {i}).")
        builder.states.add(index)
        tensor = builder.file.tensors.state(index, self.where)
        if tensor.dtype != dtype or math.prod(tensor.shape) != math.prod(shape):
            raise self.error(
                f"the state (input {i}) is {tensor.dtype} {list(tensor.shape)}; expected {dtype}, {math.prod(shape)} elements, "
                f"{list(shape)}."
            )
        read = replace(tensor, name=builder.tensor_name(tensor), shape=shape, data=None)
        builder.tensors[read.name] = read
        zero = int(tensor.quant.zero_point[0]) if tensor.quant is not None and dtype == "int8" else 0
        return State(read.name, read.name, builder.new_name(f"{read.name}.next"), np.full(shape, zero, STORAGE[dtype]))

    def next_states(self, states: Sequence[State]) -> list[Tensor]:
        """Return the tensors that states are written to; remember the states."""
        self.builder.kept += states
        return [replace(self.builder.tensors[s.read], name=s.write, index=None) for s in states]

    def infer(self, op: str, inputs: Sequence[Tensor | None], attrs: Any, count: int = 1) -> list[tuple[int, ...]]:
        """Return the shapes of `count` outputs; ModelError when attributes and shapes do not fit or the result is absurd."""
        try:
            shapes = OPS[op].infer_shape(attrs, [t.shape for t in inputs if t is not None])[:count]
        except WorkbenchError as problem:
            raise self.error(str(problem)) from None
        if len(shapes) != count:
            raise self.error(f"makes {len(shapes)} outputs; {count} are declared.")
        for shape in shapes:
            if 0 in shape or math.prod(shape) > MAX_ELEMENTS:
                raise self.error(f"makes shape {list(shape)}; expected 1 to {MAX_ELEMENTS} elements.")
        return [tuple(int(d) for d in shape) for shape in shapes]

    def checked_output(self, shape: tuple[int, ...], i: int = 0) -> Tensor:
        """Return output i with the inferred shape, which the declared one must not contradict (it may be left out)."""
        output = self.outputs[i]
        if output.shape and output.shape != shape:
            raise self.error(f"makes shape {list(shape)}, but output '{output.name[:80]}' is declared {list(output.shape)}.")
        return replace(output, shape=shape)

    def constant(self, data: Array, i: int = 0, **changes: Any) -> None:
        """Let output i of this operator be a constant."""
        shape = tuple(int(d) for d in data.shape)
        self.checked_output(shape, i)
        self.builder.file.tensors.charge(data.nbytes, self.where)
        made = replace(self.outputs[i], shape=shape, data=data, **changes)
        self.builder.values[self.operator.outputs[i]] = made

    def _fold(
        self, op: str, inputs: Sequence[Tensor | None], attrs: Any, made: list[tuple[int, ...]], outputs: Sequence[int]
    ) -> None:
        """Compute outputs of constants: movers and plain integers as they are, anything else in float32 as the reference."""
        moves = op in MOVES
        if not moves and not all(self.outputs[i].dtype == "float32" or self.outputs[i].is_plain for i in outputs):
            raise self.error("computes a quantized constant, whose bits depend on the target. Fold constants before export.")
        shapes = [t.shape for t in inputs if t is not None]
        counts = OPS[op].count(attrs, shapes, made)
        first = made[0][0] if made[0] else 1
        self.builder.spend((counts.macs + counts.elements) * max(1, first) + sum(map(math.prod, shapes)), self.where)
        self.builder.file.tensors.charge(sum(map(math.prod, made)) * 8, self.where)
        args: list[Any] = [None if t is None else _real(t) if not moves else t.data for t in inputs]
        try:
            with np.errstate(all="ignore"):
                found = OPS[op].reference(attrs, args)
        except WorkbenchError as problem:
            raise self.error(str(problem)) from None
        for data, shape, i in zip(found, made, outputs, strict=False):
            self.constant(np.ascontiguousarray(data).reshape(shape), i)


def _count(fewest: int, most: int) -> str:
    return str(fewest) if fewest == most else f"{fewest} to {most}" if most < 1000 else f"at least {fewest}"


def _real(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return dequantize(tensor.data, tensor.quant) if tensor.quant is not None else tensor.data
