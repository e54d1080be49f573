"""Recurrent operators that become several nodes: both directions of a sequence, and one step of it. Floats only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.graph.ir import State, Tensor
from workbench.loaders.tflite.call import Call
from workbench.ops.concat import ConcatAttrs
from workbench.ops.reshape import ReshapeAttrs
from workbench.ops.reverse import ReverseAttrs


def one_step(call: Call, op: str, inputs: Sequence[Tensor], attrs: Any, states: Sequence[State]) -> None:
    """Let an operator on [batch, features] be one step of a sequence [batch, 1, features]."""
    x = inputs[0]
    sequence = call.reshaped(x, (x.shape[0], 1, x.shape[1]))
    (y,) = _hidden(call, op, [sequence, *inputs[1:]], attrs, states)
    call.emit("reshape", [y], ReshapeAttrs((-1, y.shape[2])))


def both_ways(
    call: Call, op: str, directions: Sequence[tuple[Sequence[Tensor], Sequence[State]]], attrs: Any, time_major: bool
) -> None:
    """Run a sequence forward and, turned around, backward; both results side by side or as two outputs.

    directions: weights and states of the forward and the backward layer.
    """
    x = call.input(0)
    axes = ReverseAttrs((0 if time_major else 1,))
    merged = bool(call.options.get("MergeOutputs", False))
    if len(call.outputs) != (1 if merged else 2):
        raise call.error(f"has {len(call.outputs)} outputs; with merged outputs 1 fits, else 2.")
    (weights, states), (back, kept) = directions
    call.builder.mixes_batch |= time_major
    (turned,) = _hidden(call, "reverse", [x], axes)
    if not merged:
        call.emit(op, [x, *weights], attrs, mixes=time_major, states=states)
        (y,) = _hidden(call, op, [turned, *back], attrs, kept)
        call.emit("reverse", [y], axes, mixes=time_major, outputs=(1,))
        return
    (forward,) = _hidden(call, op, [x, *weights], attrs, states)
    (y,) = _hidden(call, op, [turned, *back], attrs, kept)
    (backward,) = _hidden(call, "reverse", [y], axes)
    call.emit("concat", [forward, backward], ConcatAttrs(2), mixes=time_major)


def _hidden(call: Call, op: str, inputs: Sequence[Tensor], attrs: Any, states: Sequence[State] = ()) -> list[Tensor]:
    """Add a node that makes no tensor of the file; return its output."""
    builder = call.builder
    read = [*inputs, *(builder.tensors[s.read] for s in states)]
    shape = call.infer(op, read, attrs, 1 + len(states))[0]
    builder.mixes_batch |= shape[:1] != (builder.batch,)
    made = Tensor(builder.new_name(f"{call.output.name}.{op}"), shape, "float32")
    builder.add_node(builder.node_name(op, made.name), op, read, [made, *call.next_states(states)], attrs, call.operator.label)
    return [made]
