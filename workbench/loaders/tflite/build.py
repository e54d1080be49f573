"""`Builder` grows the graph operator by operator: names, values by TFLite tensor index, and whether the batch stays apart.

Batch: dimension 0 of the network's inputs is the number of samples, and it is the first dimension of every activation as long
as no operator says otherwise. The first one that does (`mixes_batch`) makes the graph run in the declared batch only: what
follows needs no more tracking, because the executor then feeds exactly what the file declares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from workbench.errors import ModelError
from workbench.graph.ir import Node, State, Tensor
from workbench.loaders.tflite.file import TfliteFile
from workbench.loaders.tflite.names import Names, layer_name
from workbench.loaders.tflite.variables import Variable
from workbench.ops.reshape import ReshapeAttrs

PLAIN_TYPES = ("int32", "int64", "uint8", "bool")
"""Types of activations without a scale: indices, masks, sizes, bytes of pictures."""
MAX_FOLDED_WORK = 2**27
"""Multiply-accumulates or elements that computing constants at load may cost."""


class Builder:
    """The graph under construction. where: the file's name, for messages; batch: declared samples."""

    def __init__(self, file: TfliteFile) -> None:
        self.file = file
        self.values: dict[int, Tensor] = {}
        """TFLite tensor index -> what stands for it in the graph."""
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self.states: set[int] = set()
        """TFLite tensor indices of the states of operators so far."""
        self.handles: dict[int, tuple[str, str]] = {}
        """TFLite tensor index -> key of the variable that it stands for."""
        self.variables: dict[tuple[str, str], Variable] = {}
        self.kept: list[State] = []
        """States of operators that keep some themselves."""
        self.initializes = False
        """True while CALL_ONCE runs: variables get their initial values."""
        self.main, self.inside, self.inlined = file.main, list[int](), 0
        """The network's subgraph; those in whose operators the builder is; operators put in place so far."""
        self.dilated: set[int] = set()
        """TFLite tensor indices of what a dilated convolution makes, whose file splits the batch around it."""
        self.batch = 0
        self.mixes_batch = False
        self._tensor_names = Names()
        self._node_names = Names()
        self._ops: dict[str, int] = {}
        self._work = 0

    def add_input(self, index: int) -> Tensor:
        """Add an input of the network; the first one sets the batch."""
        where = f"{self.file.where}: input"
        tensor = self.file.tensors.tensor(index, where)
        name = tensor.name[:80]
        if tensor.is_constant:
            raise ModelError(f"{where} '{name}' is a constant.")
        if not tensor.shape:
            raise ModelError(f"{where} '{name}' has no dimensions; the first one must be the batch.")
        self.batch = self.batch or tensor.shape[0]
        if tensor.shape[0] != self.batch:
            raise ModelError(
                f"{where} '{name}' has {tensor.shape[0]} in its first dimension, another input {self.batch}.\n"
                "The first dimension of every input must be the batch."
            )
        self.check_activation(tensor, f"{where} '{name}'")
        self.values[index] = replace(tensor, name=self.tensor_name(tensor))
        self.tensors[self.values[index].name] = self.values[index]
        return self.values[index]

    def tensor_name(self, tensor: Tensor) -> str:
        """Return a unique name: the file's own, with '#index' behind it when that is empty or taken."""
        return self._tensor_names.unique(tensor.name, f"{tensor.name}#{tensor.index}")

    def new_name(self, wish: str) -> str:
        """Return a unique name for a tensor that the file does not have."""
        return self._tensor_names.unique(wish)

    def operand(self, index: int, where: str) -> Tensor:
        """Return what an operator reads: a constant of the file, or an activation that exists by now."""
        if index not in self.values:
            tensor = self.file.tensors.tensor(index, where)
            if not tensor.is_constant:
                raise ModelError(
                    f"{where}: reads tensor #{index} '{tensor.name[:80]}', which is not an input, has no data, and is not "
                    "produced by an earlier operator (a cycle, operators in the wrong order, or a damaged file)."
                )
            self.values[index] = replace(tensor, name=self.tensor_name(tensor))
        return self.values[index]

    def declared(self, index: int, where: str) -> Tensor:
        """Return the output tensor of an operator as the file declares it, named; it must not exist yet."""
        tensor = self.file.tensors.tensor(index, where)
        if 0 in tensor.shape:
            raise ModelError(f"{where}: tensor #{index} '{tensor.name[:80]}': shape {list(tensor.shape)} is empty.")
        if index in self.values or tensor.is_constant:
            raise ModelError(f"{where}: writes tensor #{index} '{tensor.name[:80]}', which already has a value.")
        return replace(tensor, name=self.tensor_name(tensor))

    def node_name(self, op: str, output: str) -> str:
        """Return a short unique name for the main node of an operator: its layer, else the operator with a number."""
        count = self._ops.get(op, 0)
        self._ops[op] = count + 1
        layer = layer_name(output, op)
        return self._node_names.unique(*((layer, f"{layer}.{op}") if layer else (f"{op}_{count}" if count else op,)))

    def add_node(
        self, name: str, op: str, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], attrs: Any, source: str
    ) -> None:
        """Append a node and remember its tensors."""
        for tensor in (*inputs, *outputs):
            if tensor is not None:
                self.tensors[tensor.name] = tensor
        names = tuple("" if t is None else t.name for t in inputs)
        self.nodes.append(Node(name, op, names, tuple(t.name for t in outputs), attrs, source))

    def reshaped(self, tensor: Tensor, shape: tuple[int, ...], owner: str, source: str) -> Tensor:
        """Insert a reshape that the file's operator does by itself; return its output. owner: name of what needs it."""
        made = replace(tensor, name=self._tensor_names.unique(f"{tensor.name}.reshaped"), shape=shape, index=None)
        if tensor.data is not None:
            return replace(made, data=tensor.data.reshape(shape))
        keeps_batch = tensor.shape[:1] == shape[:1] == (self.batch,)
        self.mixes_batch |= not keeps_batch
        attrs = ReshapeAttrs((-1, *shape[1:]) if keeps_batch else shape)
        self.add_node(self._node_names.unique(f"{owner}.reshape"), "reshape", [tensor], [made], attrs, source)
        return made

    def spend(self, work: int, where: str) -> None:
        """Count the work of computing constants; ModelError when a file asks for an absurd amount."""
        self._work += work
        if self._work > MAX_FOLDED_WORK:
            raise ModelError(
                f"{where}: computes constants, which takes more than {MAX_FOLDED_WORK} steps. Fold them before export."
            )

    def check_activation(self, tensor: Tensor, where: str) -> None:
        if tensor.is_plain and tensor.dtype in PLAIN_TYPES:
            return
        if tensor.dtype not in ("float32", "int8", "uint8", "int16"):
            raise ModelError(
                f"{where}: an activation of type {tensor.dtype} is not supported; supported are float32, int8, uint8 and int16, and "
                f"without a scale {', '.join(PLAIN_TYPES)}."
            )
        if tensor.dtype.startswith("int") and tensor.quant is None:
            raise ModelError(f"{where}: is {tensor.dtype} without a scale; expected one scale and one zero point.")
        if tensor.quant is not None and tensor.quant.axis is not None:
            raise ModelError(
                f"{where}: an activation has {len(tensor.quant.scale)} scales; expected one scale and one zero point."
            )
