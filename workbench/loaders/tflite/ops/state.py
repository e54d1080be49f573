"""Translators of VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE: values that one inference leaves to the next one.

A variable is known by container and shared name, in every subgraph. What CALL_ONCE assigns is its initial value; the runtimes
copy bytes, so reader and writer must agree on type, shape and scale.
Source: TFLite var_handle.cc, read_variable.cc, assign_variable.cc, resource_variable.cc.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.variables import Variable


@translates("VAR_HANDLE", (0, 0), "VarHandleOptions")
def _handle(call: Call) -> None:
    key = str(call.options.get("Container", "")), str(call.options.get("SharedName", ""))
    name = key[1] or f"variable_{len(call.builder.variables)}"
    call.builder.variables.setdefault(key, Variable(name))
    call.builder.handles[call.operator.outputs[0]] = key


@translates("READ_VARIABLE", (1, 1))
def _read(call: Call) -> None:
    variable, declared = _variable(call), call.output
    first = call.builder.initializes
    value = variable.initial if first else variable.written or variable.read or _begin(call, variable)
    if value is None:
        raise call.error(
            f"variable '{variable.name[:80]}' is read before anything is assigned to it. Initialize it (CALL_ONCE)."
        )
    _agree(call, variable, declared, value)
    call.builder.values[call.operator.outputs[0]] = value


@translates("ASSIGN_VARIABLE", (2, 2), outputs=(0, 0))
def _assign(call: Call) -> None:
    variable, value, builder = _variable(call), call.input(1), call.builder
    if builder.initializes:
        if not value.is_constant:
            raise call.error(f"the initial value of variable '{variable.name[:80]}' is not a constant.")
        variable.initial = value
        return
    if value.is_constant:
        raise call.error(f"assigns a constant to variable '{variable.name[:80]}' in every inference; use the constant itself.")
    known = variable.read or variable.written or variable.initial
    if known is not None:
        _agree(call, variable, value, known)
    made = {name for node in builder.nodes for name in node.outputs}
    taken = {v.written.name for v in builder.variables.values() if v.written is not None}
    if value.name not in made or value.name in taken:  # an input, another variable: a value of its own
        value = builder.reshaped(value, value.shape, variable.name, call.operator.label)
    variable.written = value


def _variable(call: Call) -> Variable:
    handle = call.operator.inputs[0]
    if handle not in call.builder.handles:
        raise call.error(f"input 0 (tensor #{handle}) is no variable that an earlier VAR_HANDLE made.")
    return call.builder.variables[call.builder.handles[handle]]


def _begin(call: Call, variable: Variable) -> Tensor | None:
    """Return the tensor that holds a variable when an inference begins; None when it has no initial value."""
    if variable.initial is None:
        return None
    builder, declared = call.builder, call.output
    name = builder.new_name(variable.name if variable.name not in builder.tensors else f"{variable.name}.state")
    tensor = replace(variable.initial, name=name, quant=declared.quant, data=None, index=None)
    builder.check_activation(tensor, f"{call.where}: variable '{variable.name[:80]}'")
    builder.mixes_batch |= tensor.shape[:1] != (builder.batch,)
    builder.tensors[name] = variable.read = tensor
    return tensor


def _agree(call: Call, variable: Variable, one: Tensor, other: Tensor) -> None:
    """Refuse a value that is stored otherwise than its variable; a shape may be left out."""
    same = one.dtype == other.dtype and (one.quant == other.quant or other.is_constant)
    if not same or (one.shape not in ((), other.shape)):
        raise call.error(
            f"variable '{variable.name[:80]}' is {other.dtype} {list(other.shape)}, here {one.dtype} {list(one.shape)}"
            + (", or in another scale" if one.dtype == other.dtype and one.shape == other.shape else "")
            + "; bytes are copied, so type, shape and scale must be the same."
        )
