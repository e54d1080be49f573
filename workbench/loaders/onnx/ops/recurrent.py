"""Translators of RNN, GRU and LSTM: one node per direction, states from outside, samples first whatever the file's layout is."""

from __future__ import annotations

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import Call, onnx_op
from workbench.loaders.onnx.ops.shapes import sliced
from workbench.loaders.onnx.values import Const, Layout, Value
from workbench.ops.recurrent import DEFAULTS, FUNCTIONS, GATES

_CELLS = {"RNN": "rnn_with_states", "GRU": "gru", "LSTM": "lstm_with_states"}
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@onnx_op(*_CELLS)
def translate_recurrent(call: Call) -> list[Value]:
    """RNN, GRU, LSTM. Inputs X, W, R, B, sequence_lens, initial_h, initial_c, P; outputs Y, Y_h, Y_c."""
    cell = _CELLS[call.node.op]
    batch_first = bool(call.integer("layout", 0))
    x, direction = call.value(0), call.text("direction", "forward").lower()
    if x.rank != 3 or direction not in _DIRECTIONS:
        raise call.b.error(f"has direction '{direction:.40}' on {x.rank} axes; expected {', '.join(_DIRECTIONS)} on 3.")
    sample = 0 if batch_first else 1
    steps = x.shape[1 - sample]
    lengths = call.const(4)
    if lengths is not None and (lengths.array != steps).any():
        raise call.b.error(
            f"ends sequences before their {steps} steps (sequence_lens), which is not supported; give whole ones."
        )
    if x.batch != sample:
        call.b.mix_batch()
    order: Layout = (0, 1, 2) if batch_first else (1, 0, 2)
    key = call.b.store(x, order)
    turns = _DIRECTIONS[direction]
    made = [_one_direction(call, cell, key, d, reverse, batch_first) for d, reverse in enumerate(turns)]
    batch = sample if x.batch == sample else None
    found = []
    for i, outputs in enumerate(zip(*made, strict=True)):
        found.append(_joined(call, list(outputs), i == 0, batch_first, batch is not None))
    return found


def _one_direction(call: Call, cell: str, x: int, d: int, reverse: bool, batch_first: bool) -> list[int]:
    """Return the keys of y [B, T, N], h [B, N] and c [B, N] of one direction."""
    count = len(_DIRECTIONS[call.text("direction", "forward").lower()])
    w, r = _part(call, 1, d, count), _part(call, 2, d, count)
    if w is None or r is None:
        raise call.b.error("needs constant weights W and R.")
    bias, peepholes = _part(call, 3, d, count), _part(call, 7, d, count) if cell == "lstm_with_states" else None
    units = r.array.shape[-1]
    if call.integer("hidden_size", units) != units or w.array.ndim != 2 or len(w.array) != GATES[cell] * units:
        raise call.b.error(
            f"has weights {list(w.array.shape)} and {list(r.array.shape)}, which do not fit {GATES[cell]} gates."
        )
    keys = [None if part is None else call.b.constant(part, part.array, "as is") for part in (w, r, bias, peepholes)]
    states = [_state(call, 5, d, batch_first), _state(call, 6, d, batch_first) if cell == "lstm_with_states" else None]
    inputs = [x, keys[0], keys[1], keys[2], *states, keys[3]][: 7 if cell == "lstm_with_states" else 5]
    functions = _functions(call, cell, d)
    outputs: list[tuple[str | None, None]] = [("float32", None)] * (3 if cell == "lstm_with_states" else 2)
    return call.b.emit_all(
        cell, inputs, outputs, cell=cell, functions=functions, reverse=reverse, clip=call.real("clip", 0.0),
        linear_before_reset=bool(call.integer("linear_before_reset", 0)), input_forget=bool(call.integer("input_forget", 0)),
    )  # fmt: skip


def _part(call: Call, i: int, d: int, count: int) -> Const | None:
    """Return direction d of a constant operand."""
    const = call.const(i)
    if const is None:
        return None
    if const.array.ndim < 2 or len(const.array) != count:
        raise call.b.error(f"input {i} has shape {list(const.array.shape)}; expected {count} directions first.")
    return Const(f"{const.name}.{d}" if count > 1 else const.name, const.array[d])


def _state(call: Call, i: int, d: int, batch_first: bool) -> int | None:
    """Return the key of an initial state [B, N] of direction d; None for zeros."""
    state = call.optional(i)
    if state is None:
        return None
    if isinstance(state, Const):
        if not np.any(state.array):
            return None
        rows: Array = state.array[:, d] if batch_first else state.array[d]
        if rows.ndim != 2:
            raise call.b.error(f"input {i} has shape {list(state.array.shape)}; expected three axes.")
        if len(rows) > 1:
            call.b.mix_batch()
        return call.b.constant(state, rows, f"state {d}")
    sample, direction = (0, 1) if batch_first else (1, 0)
    if state.rank != 3 or d >= state.shape[direction]:
        raise call.b.error(f"input {i} has shape {list(state.shape)}; expected three axes.")
    slices = [slice(0, n, 1) for n in state.shape]
    slices[direction] = slice(d, d + 1, 1)
    if state.batch != sample:
        call.b.mix_batch()
    one = sliced(call, state, slices)
    key = call.b.store(one, (sample, direction, 2))
    shape = call.b.shape(key)
    return call.b.emit("reshape", [key], main=False, shape=(-1, shape[2]))


def _functions(call: Call, cell: str, d: int) -> tuple[str, ...]:
    """Return the functions of direction d in lower case."""
    given = [str(f).lower() for f in call.node.attrs.get("activations", [])]
    n = len(DEFAULTS[cell])
    chosen = tuple(given[d * n : (d + 1) * n]) or DEFAULTS[cell]
    if call.node.attrs.get("activation_alpha") or call.node.attrs.get("activation_beta"):
        raise call.b.error("gives parameters to its activations, which is not supported.")
    if any(f not in FUNCTIONS for f in chosen):
        raise call.b.error(f"has activations {', '.join(chosen)[:80]}; supported are {', '.join(FUNCTIONS)}.")
    return chosen


def _joined(call: Call, keys: list[int], sequence: bool, batch_first: bool, apart: bool) -> Value:
    """Return Y (sequence) or Y_h, Y_c of all directions. apart: samples do not meet."""
    b = call.b
    wide = []
    for key in keys:
        shape = b.shape(key)
        target = (-1, *shape[1:-1], 1, shape[-1])
        wide.append(b.emit("reshape", [key], main=False, shape=target))
    axis = 2 if sequence else 1
    key = b.emit("concat", wide, main=False, axis=axis) if len(wide) > 1 else wide[0]
    if sequence:  # stored [B, T, D, N]
        layout: Layout = (0, 1, 2, 3) if batch_first else (2, 0, 1, 3)
    else:  # stored [B, D, N]
        layout = (0, 1, 2) if batch_first else (1, 0, 2)
    return b.value(key, layout, layout[0] if apart else None)
