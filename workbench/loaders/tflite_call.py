"""`Call`: one operator of the file as its translator sees it. Inputs are checked tensors; every error names the operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.errors import ModelError, WorkbenchError
from workbench.graph.ir import Array, Tensor
from workbench.loaders.tflite_build import Builder
from workbench.loaders.tflite_file import STATES, FileOperator
from workbench.loaders.tflite_tensor import MAX_ELEMENTS
from workbench.ops import OPS
from workbench.tensor import dequantize

FUSED = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}
"""TFLite `ActivationFunctionType` -> fused activation."""

MAX_MESSAGE = 1000
"""Characters of one reason; shapes of a hostile file could fill megabytes."""

MOVES = ("reshape", "transpose", "concat")
"""Operators that only move values: constants of any type go through them unchanged."""

Translator = Callable[["Call"], None]
TRANSLATORS: dict[str, Translator] = {}
"""TFLite operator -> the function that puts it into the graph."""
OPTION_TYPES: dict[str, str] = {}
ARITIES: dict[str, tuple[int, int]] = {}


def translates(kind: str, inputs: tuple[int, int], options: str = "") -> Callable[[Translator], Translator]:
    """Register a translator. inputs: fewest and most. options: member of the options union, '' when it has none to read."""

    def add(function: Translator) -> Translator:
        TRANSLATORS[kind], ARITIES[kind], OPTION_TYPES[kind] = function, inputs, options
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
        self.values = [None if i < 0 or j in states else builder.operand(i, self.where) for j, i in enumerate(operator.inputs)]
        self.output = builder.declared(operator.outputs[0], self.where)

    def _check_form(self) -> None:
        op = self.operator
        fewest, most = ARITIES[op.kind]
        if not fewest <= len(op.inputs) <= most or len(op.outputs) != 1:
            fits = str(fewest) if fewest == most else f"{fewest} to {most}" if most < 1000 else f"at least {fewest}"
            raise self.error(f"{len(op.inputs)} inputs and {len(op.outputs)} outputs; expected {fits} and 1.")
        want = OPTION_TYPES[op.kind]
        own = op.kind.title().replace("_", "").lower()
        if op.options_type != "NONE" and op.options_type != want and (want or own not in op.options_type.lower()):
            raise self.error(f"carries {op.options_type}; expected {want or 'none'}.")

    def error(self, why: str) -> ModelError:
        """Return the error 'file: operator CONV_2D #3: why'."""
        return ModelError(f"{self.where}: {why[:MAX_MESSAGE]}")

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

    def same_type(self, *tensors: Tensor, types: Sequence[str] = ("float32", "int8", "int16")) -> None:
        """Refuse tensors (the output is always one of them) of different types or of types without a rule."""
        found = [t.dtype for t in (*tensors, self.output)]
        if len(set(found)) > 1 or found[0] not in types:
            raise self.error(f"types {', '.join(found[:-1])} -> {found[-1]}; expected one type of {', '.join(types)}.")
        for tensor in tensors:
            if tensor.dtype.startswith("int") and (tensor.quant is None or tensor.quant.axis is not None):
                raise self.error(f"'{tensor.name[:80]}' is {tensor.dtype} and needs one scale and one zero point.")

    def reshaped(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the tensor in another shape, inserting a reshape."""
        return self.builder.reshaped(tensor, shape, self._output_layer(), self.operator.label)

    def _output_layer(self) -> str:
        last = self.output.name.split(";")[0].split("/")
        return (last[-2] if len(last) > 1 else last[-1])[:60] or self.operator.kind.lower()

    # -- results --------------------------------------------------------------------------------------------------------------

    def emit(self, op: str, inputs: Sequence[Tensor | None], attrs: Any, mixes: bool = False) -> None:
        """Add the node that makes this operator's output, or compute it now when all its inputs are constants.

        mixes: the result does not keep every sample apart in dimension 0.
        """
        shape = self.infer(op, inputs, attrs)
        if all(t is None or t.is_constant for t in inputs):
            self._fold(op, inputs, attrs, shape)
            return
        output = self.checked_output(shape)
        self.builder.check_activation(output, f"{self.where}: output '{output.name[:80]}'")
        self.builder.mixes_batch |= mixes or shape[:1] != (self.batch,)
        self.builder.add_node(self.builder.node_name(op, output.name), op, inputs, output, attrs, self.operator.label)
        self.builder.values[self.operator.outputs[0]] = output

    def infer(self, op: str, inputs: Sequence[Tensor | None], attrs: Any) -> tuple[int, ...]:
        """Return the output shape; ModelError when attributes and shapes do not fit or the result is absurd."""
        try:
            shape = OPS[op].infer_shape(attrs, [t.shape for t in inputs if t is not None])[0]
        except WorkbenchError as problem:
            raise self.error(str(problem)) from None
        if 0 in shape or math.prod(shape) > MAX_ELEMENTS:
            raise self.error(f"makes shape {list(shape)}; expected 1 to {MAX_ELEMENTS} elements.")
        return tuple(int(d) for d in shape)

    def checked_output(self, shape: tuple[int, ...]) -> Tensor:
        """Return the output tensor with the inferred shape, which the declared one must not contradict (it may be left out)."""
        declared = self.output.shape
        if declared and declared != shape:
            raise self.error(f"makes shape {list(shape)}, but output '{self.output.name[:80]}' is declared {list(declared)}.")
        return replace(self.output, shape=shape)

    def constant(self, data: Array, **changes: Any) -> None:
        """Let this operator's output be a constant."""
        shape = tuple(int(d) for d in data.shape)
        self.checked_output(shape)
        self.builder.file.tensors.charge(data.nbytes, self.where)
        made = replace(self.output, shape=shape, data=data, **changes)
        self.builder.values[self.operator.outputs[0]] = made

    def _fold(self, op: str, inputs: Sequence[Tensor | None], attrs: Any, shape: tuple[int, ...]) -> None:
        """Compute the output of constants: movers as they are, anything else in float32 as the reference."""
        moves = op in MOVES
        if not moves and self.output.dtype != "float32":
            raise self.error("computes a quantized constant, whose bits depend on the target. Fold constants before export.")
        shapes = [t.shape for t in inputs if t is not None]
        counts = OPS[op].count(attrs, shapes, [shape])
        self.builder.spend(
            (counts.macs + counts.elements) * max(1, shape[0] if shape else 1) + sum(map(math.prod, shapes)), self.where
        )
        self.builder.file.tensors.charge(math.prod(shape) * 4, self.where)
        args: list[Any] = [None if t is None else _real(t) if not moves else t.data for t in inputs]
        with np.errstate(all="ignore"):
            data = np.ascontiguousarray(OPS[op].reference(attrs, args)[0])
        self.constant(data.reshape(shape))


def _real(tensor: Tensor) -> Array:
    assert tensor.data is not None
    return dequantize(tensor.data, tensor.quant) if tensor.quant is not None else tensor.data
