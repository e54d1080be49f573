"""Variables of a file while its graph grows: what is read before an inference writes it becomes a state of the graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

from workbench.graph.ir import State, Tensor


@dataclass(eq=False)
class Variable:
    """One resource variable. initial: the constant that initialization assigned. read: the tensor that holds it when an inference
    begins, once something read it. written: the last tensor assigned to it so far.
    """

    name: str
    initial: Tensor | None = None
    read: Tensor | None = None
    written: Tensor | None = None


def finish(variables: list[Variable], tensors: dict[str, Tensor]) -> list[State]:
    """Return the states of variables that are read and written; let those that are only read be constants of `tensors`."""
    states = []
    for variable in variables:
        if variable.read is None or variable.initial is None or variable.initial.data is None:
            continue
        if variable.written is None:
            tensors[variable.read.name] = replace(variable.read, data=variable.initial.data)
        else:
            states.append(State(variable.name, variable.read.name, variable.written.name, variable.initial.data))
    return states
