"""Translator of UNIDIRECTIONAL_SEQUENCE_LSTM: four gates become one layer, states are zero before every sample.

Inputs of the file: 0 x; 1-4 input weights and 5-8 recurrent weights of the gates input, forget, cell, output; 9-11 peephole weights;
12-15 biases; 16, 17 projection; 18, 19 states; 20-23 layer normalization. Intermediate 4 has the scale of the hidden state.
Source: TFLite lstm_shared.h, unidirectional_sequence_lstm.cc.
"""

from __future__ import annotations

import math

import numpy as np

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
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


@translates("UNIDIRECTIONAL_SEQUENCE_LSTM", (20, 24), "UnidirectionalSequenceLSTMOptions")
def _lstm(call: Call) -> None:
    x = call.input(0)
    call.same_type(x)
    for inputs, what in _VARIANTS.items():
        if any(call.optional(i) is not None for i in inputs):
            raise call.error(f"has {what}, which is not supported; only the plain LSTM is.")
    if call.optional(1) is None or call.optional(5) is None:
        raise call.error("has no input gate (coupled gates), which is not supported; only the plain LSTM is.")
    if call.activation_code != TANH or call.options.get("DiagonalRecurrentTensors", False):
        raise call.error(f"activation {call.activation_code} or diagonal recurrent weights; expected tanh (4) and matrices.")
    if len(x.shape) != 3:
        raise call.error(f"the input must be [batch, time, features] or [time, batch, features], it is {list(x.shape)}.")
    recurrent, weights = call.input(5).shape, WEIGHT_TYPES[x.dtype]
    if len(recurrent) != 2:
        raise call.error(f"the recurrent weights are {list(recurrent)}; expected a matrix [N, N].")
    units = recurrent[1]
    w = _stacked(call, 1, (units, x.shape[2]), weights, "weights")
    r = _stacked(call, 5, (units, units), weights, "recurrent")
    bias = _stacked(call, 12, (units,), BIAS_TYPES[x.dtype], "bias")
    time_major = bool(call.options.get("TimeMajor", False))
    clip = float(call.options.get("CellClip", 0.0))
    states = _states(call, x, x.shape[1 if time_major else 0] * units)
    call.emit("lstm", [x, w, bias, r], LstmAttrs(time_major, max(clip, 0.0), *states), mixes=time_major)


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


def _states(call: Call, x: Tensor, elements: int) -> tuple[int | None, float, int]:
    """Return the logarithm of the cell's scale, scale and zero point of the hidden state (integers), after checking both states.

    elements: of each state. Without intermediates, which TFLM alone takes, the hidden state has no scale of its own: 0.
    """
    indices = call.operator.inputs[18], call.operator.inputs[19]
    if min(indices) < 0 or len({*indices} - call.builder.states) < 2:
        raise call.error("needs two states of its own (inputs 18 and 19).")
    call.builder.states.update(indices)
    tensors = call.builder.file.tensors
    hidden, cell = (tensors.state(i, call.where) for i in indices)
    if hidden.dtype != x.dtype or cell.dtype != CELL_TYPES[x.dtype]:
        raise call.error(f"states are {hidden.dtype} and {cell.dtype}; expected {x.dtype} and {CELL_TYPES[x.dtype]}.")
    if any(math.prod(t.shape) != elements for t in (hidden, cell)):
        raise call.error(
            f"states are {list(hidden.shape)} and {list(cell.shape)}; expected {elements} elements each, [batch, N]."
        )
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
    inner = tensors.parameters(call.operator.intermediates[HIDDEN], call.where)[1]
    if inner is None or len(inner.scale) != 1:
        raise call.error("the hidden state (intermediate 4) needs one scale.")
    return exponent - 1, float(inner.scale[0]), int(inner.zero_point[0])
