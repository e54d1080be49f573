"""Translators of UNIDIRECTIONAL_SEQUENCE_LSTM, BIDIRECTIONAL_SEQUENCE_LSTM and LSTM (full kernel): four gates become one layer, whose
states stay from inference to inference.

Inputs of the file: 0 x; 1-4 input weights and 5-8 recurrent weights of the gates input, forget, cell, output; 9-11 peephole weights;
12-15 biases; 16, 17 projection; 18, 19 states; 20-23 layer normalization. Intermediate 4 has the scale of the hidden state.
The backward direction of BIDIRECTIONAL_SEQUENCE_LSTM has 18-34, states are 35-38, auxiliary inputs 39-47.
Source: TFLite lstm_shared.h, unidirectional_sequence_lstm.cc.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from workbench.graph.ir import State, Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.ops.directions import both_ways, one_step
from workbench.loaders.tflite.ops.linear import BIAS_TYPES, WEIGHT_TYPES
from workbench.ops.lstm import LstmAttrs
from workbench.tensor import QuantParams

TANH = 4
"""`ActivationFunctionType` of the candidate."""
GATES = 4
HIDDEN = 4
INTERMEDIATES = 5
"""Four gates and the hidden state: position and number of the intermediates of an integer LSTM."""
CELL_TYPES = {"float32": "float32", "int8": "int16", "int16": "int16"}
"""Type of x -> type of the cell's state."""
_VARIANTS = {
    (9, 10, 11): "peephole weights",
    (16, 17): "a projection",
    (20, 21, 22, 23): "layer normalization",
}
_VARIANTS_BOTH = {
    (9, 10, 11, 26, 27, 28): "peephole weights",
    (16, 17, 33, 34): "a projection",
    (39, *range(40, 48)): "auxiliary inputs",
}


@translates("UNIDIRECTIONAL_SEQUENCE_LSTM", (20, 24), "UnidirectionalSequenceLSTMOptions")
def _sequence(call: Call) -> None:
    x = call.input(0)
    call.same_type(x, types=tuple(CELL_TYPES))
    _plain(call, _VARIANTS)
    if call.options.get("DiagonalRecurrentTensors", False):
        raise call.error("has diagonal recurrent weights; expected matrices.")
    major = bool(call.options.get("TimeMajor", False))
    units = _units(call, 1, 5)
    weights, states = _direction(call, 1, units), _states(call, 18, x, _batch(x, major), units)
    attrs = LstmAttrs(major, _clip(call), *_scales(call, x, *(call.builder.tensors[s.read] for s in states)))
    call.emit("lstm", [x, *weights], attrs, mixes=major, states=states)


@translates("LSTM", (20, 24), "LSTMOptions")
def _step(call: Call) -> None:
    x = call.input(0)
    call.same_type(x, types=("float32",))
    _plain(call, _VARIANTS)
    if call.options.get("KernelType", 0):
        raise call.error("is the basic kernel of the first TFLite versions, which is not supported. Convert the network again.")
    if len(x.shape) != 2:
        raise call.error(f"the input is {list(x.shape)}; expected [batch, features].")
    units = _units(call, 1, 5)
    weights, states = _direction(call, 1, units), _states(call, 18, x, x.shape[0], units)
    one_step(call, "lstm", [x, *weights], LstmAttrs(False, _clip(call)), states)


@translates("BIDIRECTIONAL_SEQUENCE_LSTM", (39, 48), "BidirectionalSequenceLSTMOptions", outputs=(1, 2))
def _bidirectional(call: Call) -> None:
    x = call.input(0)
    call.same_type(x, types=("float32",))
    _plain(call, _VARIANTS_BOTH)
    major = bool(call.options.get("TimeMajor", False))
    ways = []
    for first, recurrent, bias, states in ((1, 5, 12, 35), (18, 22, 29, 37)):
        units = _units(call, first, recurrent)
        weights = _direction(call, first, units, bias - first)
        ways.append((weights, _states(call, states, x, _batch(x, major), units)))
    both_ways(call, "lstm", ways, LstmAttrs(major, _clip(call)), major)


def _plain(call: Call, variants: Mapping[tuple[int, ...], str]) -> None:
    """Refuse what the plain LSTM does not have."""
    for inputs, what in variants.items():
        if any(call.optional(i) is not None for i in inputs):
            raise call.error(f"has {what}, which is not supported; only the plain LSTM is.")
    if call.activation_code != TANH:
        raise call.error(f"activation {call.activation_code} is not supported; expected tanh (4).")


def _clip(call: Call) -> float:
    return max(float(call.options.get("CellClip", 0.0)), 0.0)


def _batch(x: Tensor, time_major: bool) -> int:
    return x.shape[1 if time_major else 0]


def _units(call: Call, first: int, recurrent: int) -> int:
    """Return the units of a direction; ModelError when it has no input gate or no matrices."""
    x = call.input(0)
    if call.optional(first) is None or call.optional(recurrent) is None:
        raise call.error("has no input gate (coupled gates), which is not supported; only the plain LSTM is.")
    if len(x.shape) not in (2, 3) or (len(x.shape) == 2) != (call.operator.kind == "LSTM"):
        raise call.error(f"the input must be [batch, time, features] or [time, batch, features], it is {list(x.shape)}.")
    shape = call.input(recurrent).shape
    if len(shape) != 2:
        raise call.error(f"the recurrent weights are {list(shape)}; expected a matrix [N, N].")
    return shape[1]


def _direction(call: Call, first: int, units: int, bias: int = 11) -> list[Tensor]:
    """Return weights, biases and recurrent weights of one direction, whose inputs begin at `first`, the biases `bias` later."""
    x = call.input(0)
    return [
        _stacked(call, first, (units, x.shape[-1]), WEIGHT_TYPES[x.dtype], "weights"),
        _stacked(call, first + bias, (units,), BIAS_TYPES[x.dtype], "bias"),
        _stacked(call, first + 4, (units, units), WEIGHT_TYPES[x.dtype], "recurrent"),
    ]


def _stacked(call: Call, first: int, shape: tuple[int, ...], types: tuple[str, ...], what: str) -> Tensor:
    """Return the constants of four gates as one, [4N, ...]; scales per row."""
    parts = [call.input(first + i) for i in range(GATES)]
    for part in parts:
        if part.data is None or part.dtype not in types or part.shape != shape or part.dtype != parts[0].dtype:
            fits = " or ".join(types)
            raise call.error(
                f"{what} '{part.name[:80]}' are {part.dtype} {list(part.shape)}; expected constants, {fits}, {list(shape)}."
            )
        if part.quant is not None and (part.quant.axis is not None or part.quant.zero_point.any()):
            raise call.error(f"{what} '{part.name[:80]}' must have one scale and zero point 0.")
    arrays = [part.data for part in parts if part.data is not None]
    quants = [part.quant for part in parts if part.quant is not None]
    if len(quants) not in (0, GATES) or (parts[0].dtype == "int8" and not quants):
        raise call.error(f"{what} need one scale each.")
    scale = np.repeat([q.scale[0] for q in quants], shape[0]).astype(np.float32)
    quant = QuantParams.per_channel(scale, 0) if quants else None
    data = np.concatenate(arrays)
    call.builder.file.tensors.charge(data.nbytes, call.where)
    name = call.builder.new_name(f"{call.output.name}.{what}")
    return Tensor(name, data.shape, parts[0].dtype, quant, data)


def _states(call: Call, first: int, x: Tensor, batch: int, units: int) -> list[State]:
    """Return hidden state and cell [B, N], in inputs `first` and the next one."""
    return [call.state(first, (batch, units), x.dtype), call.state(first + 1, (batch, units), CELL_TYPES[x.dtype])]


def _scales(call: Call, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[int | None, float, int]:
    """Return the logarithm of the cell's scale, scale and zero point of the hidden state (None and 0 for floats).

    Without intermediates, which TFLM alone takes, the hidden state has no scale of its own: 0.
    """
    if x.dtype == "float32":
        return None, 0.0, 0
    if hidden.quant is None or hidden.quant != call.output.quant or cell.quant is None or cell.quant.zero_point.any():
        raise call.error(
            "the hidden state must have the scale and zero point of the output, the cell a scale and zero point 0."
        )
    mantissa, exponent = math.frexp(float(cell.quant.scale[0]))
    if mantissa != 0.5 or len(cell.quant.scale) != 1:
        raise call.error(f"the scale of the cell is {cell.quant.scale[0]}; expected a power of two.")
    if not call.operator.intermediates:
        return exponent - 1, 0.0, 0
    if len(call.operator.intermediates) != INTERMEDIATES:
        raise call.error(f"has {len(call.operator.intermediates)} intermediates; expected {INTERMEDIATES}, or none.")
    inner = call.builder.file.tensors.parameters(call.operator.intermediates[HIDDEN], call.where)[1]
    if inner is None or len(inner.scale) != 1:
        raise call.error("the hidden state (intermediate 4) needs one scale.")
    return exponent - 1, float(inner.scale[0]), int(inner.zero_point[0])
