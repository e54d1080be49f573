"""Error of every layer's own output: isolated (exact inputs) and cumulative (everything before it quantized as well)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from workbench.data import Dataset
from workbench.execute import Program, Step, Values, check_inputs, real_values, reference_passes
from workbench.graph.ir import Array, Tensor
from workbench.metrics import sqnr_db
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering
from workbench.tensor import STORAGE, quantize

CHUNK = 32


@dataclass(frozen=True)
class LayerError:
    """SQNR in dB of one layer's output against the float reference. local: its inputs are the reference's, rounded once to the
    layer's input type; cumulative: the whole network up to here runs in the plan."""

    layer: str
    format: str
    local_sqnr_db: float
    cumulative_sqnr_db: float


def layer_errors(lowering: Lowering, data: Dataset, plan: PrecisionPlan) -> list[LayerError]:
    """Return the errors of every layer under a plan, in network order."""
    program = lowering.program(plan)
    feed = check_inputs(lowering.graph, data.inputs)
    sums = {name: np.zeros(3) for name in lowering.layers}  # power of signal, local noise, cumulative noise
    graph, size = lowering.graph, lowering.graph.fixed_batch or CHUNK
    real = {name: real_values(graph.tensors[name], x) for name, x in feed.items()}
    for (_, reference), (_, emulated) in zip(reference_passes(graph, real, size), program.passes(feed, size), strict=True):
        _add(sums, program, reference, emulated)
    return [
        LayerError(name, plan.format_of(name).name, sqnr_db(signal, local), sqnr_db(signal, cumulative))
        for name, (signal, local, cumulative) in sums.items()
    ]


def _add(sums: dict[str, Array], program: Program, reference: Values, emulated: Values) -> None:
    """Add the errors on some samples. reference, emulated: every activation of them."""
    for step, alone in run_alone(program, reference, sums):
        out = step.node.outputs[0]
        want = reference[out].astype(np.float64)
        together = real_values(step.site.y, emulated[out])
        sums[step.node.name] += [(want**2).sum(), ((alone - want) ** 2).sum(), ((together - want) ** 2).sum()]


def run_alone(program: Program, reference: Values, layers: Collection[str]) -> Iterator[tuple[Step, Array]]:
    """Yield (step, its real output) of layers that run on the reference's values, rounded once to the types that they read."""
    sources = {step.node.outputs[0]: step.node.inputs[0] for step in program.steps if step.node.inputs}
    for step in program.steps:
        if step.node.name in layers:
            args = [
                None if t is None else t.data if t.data is not None else _stored(t, sources, reference)
                for t in step.site.inputs
            ]
            yield step, real_values(step.site.y, step.run(args)[0])  # type: ignore[arg-type]


def _stored(tensor: Tensor, sources: Mapping[str, str], reference: Values) -> Array:
    """Return the reference's value of a tensor in the type in which the step reads it."""
    name = tensor.name
    while name not in reference:  # a conversion that lowering inserted: its source has the same real values
        name = sources[name]
    if tensor.quant is not None:
        return quantize(reference[name], tensor.quant, tensor.dtype)
    return reference[name].astype(STORAGE[tensor.dtype])
