"""Translators of operators that run another subgraph: CALL_ONCE (initialization), CALL and IF of a constant, which are put in place.

Source: TFLite call_once.cc, if.cc, while.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from workbench.errors import nearest
from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import TRANSLATORS, Call, translates
from workbench.loaders.tflite.file import MAX_OPERATORS, TfliteFile

MAX_DEPTH = 16
"""Subgraphs that may run one inside another."""


@translates("CALL_ONCE", (0, 0), "CallOnceOptions", outputs=(0, 0))
def _once(call: Call) -> None:
    with _inside(call, int(call.option("InitSubgraphIndex"))) as subgraph:
        if subgraph.inputs:
            raise call.error(f"its initialization (subgraph {call.option('InitSubgraphIndex')}) has inputs; none fit.")
        before, call.builder.initializes = call.builder.initializes, True
        _translate(call, subgraph)
        call.builder.initializes = before


@translates("CALL", (0, 1000), "CallOptions", outputs=(1, 1000))
def _call(call: Call) -> None:
    _run(call, int(call.option("Subgraph")), call.operator.inputs, call.values)


@translates("IF", (1, 1000), "IfOptions", outputs=(1, 1000))
def _if(call: Call) -> None:
    condition = call.input(0)
    if condition.data is None or condition.dtype != "bool" or condition.data.size != 1:
        raise call.error(
            "its condition is computed by the network; only a constant one is resolved.\n"
            "Export the branch that is wanted, or compute both and choose with SELECT_V2."
        )
    branch = "ThenSubgraphIndex" if bool(condition.data.reshape(-1)[0]) else "ElseSubgraphIndex"
    _run(call, int(call.option(branch)), call.operator.inputs[1:], call.values[1:])


@translates("WHILE", (0, 1000), "WhileOptions", outputs=(0, 1000))
def _while(call: Call) -> None:
    raise call.error(
        "loops are not supported: how often they run is known while they run only.\n"
        "Export the network unrolled (Keras: unroll=True), with its recurrent layers fused (UNIDIRECTIONAL_SEQUENCE_LSTM), or one "
        "step of it with its state as inputs and outputs."
    )


def _run(call: Call, index: int, numbers: Sequence[int], values: Sequence[Tensor | None]) -> None:
    """Put a subgraph in the place of the operator. numbers, values: what the operator hands over."""
    handles = [call.builder.handles.get(n) for n in numbers]
    outer = call.builder.values
    with _inside(call, index) as subgraph:
        if len(subgraph.inputs) != len(values) or len(subgraph.outputs) != len(call.outputs):
            raise call.error(
                f"subgraph {index} has {len(subgraph.inputs)} inputs and {len(subgraph.outputs)} outputs, the operator "
                f"{len(values)} and {len(call.outputs)}."
            )
        for own, value, handle in zip(subgraph.inputs, values, handles, strict=True):
            if handle is not None:
                call.builder.handles[own] = handle
            elif value is None:
                raise call.error("an input is missing.")
            else:
                declared = subgraph.tensors.tensor(own, subgraph.where)
                if declared.dtype != value.dtype or declared.shape not in ((), value.shape) or declared.quant != value.quant:
                    raise call.error(
                        f"subgraph {index} takes {declared.dtype} {list(declared.shape)} where it gets '{value.name[:80]}'."
                    )
                call.builder.values[own] = value
        _translate(call, subgraph)
        results = [call.builder.operand(i, subgraph.where) for i in subgraph.outputs]
    for number, declared, result in zip(call.operator.outputs, call.outputs, results, strict=True):
        if declared.dtype != result.dtype or declared.shape not in ((), result.shape) or declared.quant != result.quant:
            raise call.error(f"subgraph {index} makes {result.dtype} {list(result.shape)} for '{declared.name[:80]}'.")
        outer[number] = result


@contextmanager
def _inside(call: Call, index: int) -> Iterator[TfliteFile]:
    """Let the builder see another subgraph, whose tensors have numbers of their own."""
    builder = call.builder
    if index < 0 or len(builder.inside) >= MAX_DEPTH or index in builder.inside or index == builder.main:
        raise call.error(f"runs subgraph {index}, which runs itself, or more than {MAX_DEPTH} lie one inside another.")
    subgraph = builder.file.subgraph(index)
    builder.inlined += len(subgraph.operators)
    if builder.inlined > MAX_OPERATORS:
        raise call.error(f"runs more than {MAX_OPERATORS} operators of other subgraphs; this is not a network.")
    before = builder.file, builder.values, builder.handles, builder.states
    builder.file, builder.values, builder.handles, builder.states = subgraph, {}, {}, set()
    builder.inside.append(index)
    try:
        yield subgraph
    finally:
        builder.inside.pop()
        builder.file, builder.values, builder.handles, builder.states = before


def _translate(call: Call, subgraph: TfliteFile) -> None:
    for operator in subgraph.operators:
        if operator.kind not in TRANSLATORS:
            raise call.error(f"{subgraph.where}: {operator.label} is not supported.{nearest(operator.kind, TRANSLATORS)}")
        TRANSLATORS[operator.kind](Call(call.builder, operator))
