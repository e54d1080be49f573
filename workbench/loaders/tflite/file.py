"""A `.tflite` file, read with suspicion: verified first, then every number is checked before it is used.

What leaves this module is plain: operators with their options as dictionaries; `tflite_tensor` adds `Tensor` records whose
constants have exactly the length that their shape promises. Source of the format: TFLite schema.fbs, version 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import tflite

from workbench.errors import InputError, ModelError, nearest
from workbench.loaders.tflite.tensor import MAX_RANK, TensorReader, integers, printable
from workbench.loaders.tflite.verify import OPTIONS, Verifier

SCHEMA_VERSION = 3
MAX_OPERATORS = 5000
MAX_REFERENCES = 100_000
"""Inputs, outputs and intermediates of all operators together."""
MAX_SUBGRAPHS = 1000
STATES: Mapping[str, tuple[int, ...]] = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (18, 19), "LSTM": (18, 19), "BIDIRECTIONAL_SEQUENCE_LSTM": (35, 36, 37, 38),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (4,), "RNN": (4,), "BIDIRECTIONAL_SEQUENCE_RNN": (4, 8), "SVDF": (4,),
}  # fmt: skip
"""Operator -> inputs that are its states: variable tensors that nothing else reads, zero before the first inference."""
DEFAULT_SIGNATURE = "serving_default"


def _names(enumeration: type) -> Mapping[int, str]:
    return {v: k for k, v in vars(enumeration).items() if isinstance(v, int) and not k.startswith("_")}


OPERATORS = _names(tflite.BuiltinOperator)
_OPTION_NAMES = _names(tflite.BuiltinOptions)


@dataclass(frozen=True)
class FileOperator:
    """One operator of the file.

    kind: 'CONV_2D', or 'CUSTOM' with its `custom` code. options: field -> value, None when there is nothing to read.
    intermediates: tensors whose scales it uses inside.
    """

    kind: str
    index: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: str
    options: Mapping[str, Any] | None
    custom: str = ""
    intermediates: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """Kind and position, for messages and `Node.source`."""
        return f"{self.kind} #{self.index}"


class TfliteFile:
    """A verified file.

    where: its name, for messages. operators: in execution order. inputs, outputs: tensor indices. tensors: decoded on demand.
    names: of inputs by tensor index, from the signature.

    The subgraph is that of the named signature; else that of `serving_default`; else the first one.
    """

    def __init__(self, where: str, data: bytes, signature: str | None = None) -> None:
        verifier = Verifier(data, where)
        verifier.model()
        self.where = where
        self._model = tflite.Model.GetRootAs(data, 0)
        if self._model.Version() != SCHEMA_VERSION:
            raise ModelError(f"{where}: schema version {self._model.Version()}; expected {SCHEMA_VERSION}.")
        if self._model.SubgraphsLength() < 1:
            raise ModelError(f"{where}: has no subgraph, so no network. Export it again.")
        self._kinds: dict[int, tuple[str, str]] = {}
        self._verifier, self._data = verifier, data
        found = self._signature(signature)
        self.names = {} if found is None else _input_names(found)
        self.main = 0 if found is None else found.SubgraphIndex()
        self._open(self.main)
        self.inputs = self._ends(self._graph.InputsAsNumpy(), "input")
        self.outputs = self._ends(self._graph.OutputsAsNumpy(), "output")

    def _open(self, index: int) -> None:
        """Read a subgraph, whose tensors have numbers of their own."""
        count = self._model.SubgraphsLength()
        if index >= count or count > MAX_SUBGRAPHS:
            raise ModelError(f"{self.where}: subgraph {index} of {count}; the file must have it, and at most {MAX_SUBGRAPHS}.")
        self._graph = self._model.Subgraphs(index)
        self.tensors = TensorReader(self._data, self._model, self._graph)
        self.operators = self._read_operators(self._verifier)

    def subgraph(self, index: int) -> TfliteFile:
        """Return another subgraph, which an operator runs; it may have no inputs and no outputs."""
        other = copy(self)
        other.names = {}
        other._open(index)
        other.tensors.share(self.tensors)
        other.where = f"{self.where.split(': subgraph ')[0]}: subgraph {index}"
        ends = other._graph.InputsAsNumpy(), other._graph.OutputsAsNumpy()
        other.inputs, other.outputs = (
            other._ends(raw, what) if not isinstance(raw, int) and len(raw) else ()
            for raw, what in zip(ends, ("input", "output"), strict=True)
        )
        return other

    def _signature(self, wanted: str | None) -> Any:
        """Return the signature of a name, the default one, or None; InputError for a name that the file lacks."""
        count = min(self._model.SignatureDefsLength(), MAX_SUBGRAPHS)
        found: dict[str, Any] = {}
        for i in range(count):
            signature = self._model.SignatureDefs(i)
            found.setdefault(printable(signature.SignatureKey() or b"", 200), signature)
        if wanted is None:
            return found.get(DEFAULT_SIGNATURE)
        if wanted not in found:
            has = f"has {', '.join(map(repr, found))}" if found else "has none"
            raise InputError(f"{self.where}: has no signature '{wanted}'.{nearest(wanted, found)} The file {has}.")
        return found[wanted]

    def _read_operators(self, verifier: Verifier) -> list[FileOperator]:
        found: list[FileOperator] = []
        references, count = 0, self._graph.OperatorsLength()
        if count > MAX_OPERATORS:
            raise ModelError(f"{self.where}: has {count} operators; at most {MAX_OPERATORS} are read.")
        for i in range(count):
            raw = self._graph.Operators(i)
            references += raw.InputsLength() + raw.OutputsLength() + raw.IntermediatesLength()
            if references > MAX_REFERENCES:
                raise ModelError(
                    f"{self.where}: operators have more than {MAX_REFERENCES} inputs and outputs; this is not a network."
                )
            found.append(self._operator(raw, i, verifier))
        return found

    def _kind(self, index: int, where: str) -> tuple[str, str]:
        """Return the name of an operator code, and its custom code."""
        if index not in self._kinds:
            count = self._model.OperatorCodesLength()
            if index >= count:
                raise ModelError(f"{where}: operator code {index} does not exist; the file has {count}.")
            code = self._model.OperatorCodes(index)
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # files before 2020 have the second one only
            kind = OPERATORS.get(number, f"operator code {number}")
            self._kinds[index] = kind, printable(code.CustomCode() or b"", 80) if kind == "CUSTOM" else ""
        return self._kinds[index]

    def _operator(self, raw: Any, i: int, verifier: Verifier) -> FileOperator:
        kind, custom = self._kind(raw.OpcodeIndex(), f"{self.where}: operator #{i}")
        where = f"{self.where}: operator {kind} #{i}"
        tensors = self.tensors.count
        ends = raw.InputsAsNumpy(), raw.OutputsAsNumpy(), raw.IntermediatesAsNumpy()
        inputs, outputs, intermediates = (tuple(integers(v)) for v in ends)
        for what, found, lowest in (("input", inputs, -1), ("output", outputs, 0), ("intermediate", intermediates, 0)):
            for t in found:
                if not lowest <= t < tensors:
                    raise ModelError(f"{where}: {what} tensor {t} does not exist; the file has tensors 0 to {tensors - 1}.")
        states = STATES.get(kind, ())
        mutated = range(min(raw.MutatingVariableInputsLength(), len(inputs)))
        if any(raw.MutatingVariableInputs(j) for j in mutated if j not in states):
            raise ModelError(
                f"{where}: changes an input that is no state of this operator. The file is damaged; export it again."
            )
        options_type = _OPTION_NAMES.get(raw.BuiltinOptionsType(), f"options type {raw.BuiltinOptionsType()}")
        options = None
        if options_type != "NONE":
            table = raw.BuiltinOptions()
            if table is None:
                raise ModelError(f"{where}: states {options_type} but carries no options. Export the model again.")
            if options_type in OPTIONS:
                verifier.options(table.Pos, options_type, f"operator {kind} #{i} {options_type}")
                options = _read_options(table, options_type)
        return FileOperator(kind, i, inputs, outputs, options_type, options, custom, intermediates)

    def _ends(self, raw: Any, what: str) -> tuple[int, ...]:
        found, tensors = tuple(integers(raw)), self.tensors.count
        if not found:
            raise ModelError(f"{self.where}: the network has no {what}.")
        if len(found) > 1000 or (what == "input" and len(set(found)) < len(found)):
            raise ModelError(
                f"{self.where}: {len(found)} {what}s of the network, {len(set(found))} different; expected at most 1000, and every "
                "input once."
            )
        for t in found:
            if not 0 <= t < tensors:
                raise ModelError(f"{self.where}: {what} tensor {t} does not exist; the file has tensors 0 to {tensors - 1}.")
        return found


def _input_names(signature: Any) -> dict[int, str]:
    """Return the names that a signature gives its inputs, by tensor index."""
    maps = [signature.Inputs(i) for i in range(min(signature.InputsLength(), 1000))]
    return {m.TensorIndex(): printable(m.Name() or b"", 200) for m in maps if m.Name()}


def _read_options(table: Any, name: str) -> dict[str, Any]:
    reader = getattr(tflite, name)()
    reader.Init(table.Bytes, table.Pos)
    found: dict[str, Any] = {}
    for spec in OPTIONS[name].values():
        if spec.kind == "string":
            found[spec.accessor] = printable(getattr(reader, spec.accessor)() or b"", 1000)
        elif spec.kind == "vector":
            length = getattr(reader, f"{spec.accessor}Length")()
            found[spec.accessor] = tuple(integers(getattr(reader, f"{spec.accessor}AsNumpy")())) if length <= MAX_RANK else None
        else:
            found[spec.accessor] = getattr(reader, spec.accessor)()
    return found
