"""Derivatives of the loss by finite differences of the float reference: along a change, and the traces of a layer's Hessian and Fisher
matrix.

The network is only ever run, never differentiated: l(w + h d) and l(w - h d) beside l(w) give the first and the second derivative along
d, sample by sample. Steps are so long that they move the weights by `STEP` of their norm: then the second difference of a loss near 1
stands well above the rounding of float32 (about 1e-7 of it), and its own error, of the order STEP**2, is far below that of a few
random draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.evaluate import Evaluator
from workbench.graph.ir import Array
from workbench.progress import Tick
from workbench.sweep.effects import program_losses
from workbench.sweep.groups import Group
from workbench.sweep.reference_steps import LayerChange, ReferenceSteps, grids_in, layer_weights, weights_in

F64 = npt.NDArray[np.float64]

STEP = 0.01
"""Length of a step in units of the norm of the layer's weights."""
DRAWS = 8
"""Random directions per layer for a trace. Its standard error is then sqrt(2 sum_{i != j} H_ij**2 / 8)."""
SEED = 1990


@dataclass(frozen=True, eq=False)
class Along:
    """Derivatives of every sample's loss along a change from the float reference to a format (1 is the whole way): [N] each."""

    first: F64
    second: F64


def along_changes(evaluator: Evaluator, wanted: Sequence[tuple[Group, str]], progress: Tick | None = None) -> list[Along]:
    """Return the derivatives along quantizing a group's weights and what it reads and writes; two runs each, and one for all."""
    steps, lowering = ReferenceSteps(evaluator.lowering.graph), evaluator.lowering
    programs, lengths = [steps.program({})], []
    for group, fmt in wanted:
        own = {layer: layer_weights(lowering.graph, layer) for layer in group.layers}
        moves = {layer: weights_in(lowering, layer, fmt) - w for layer, w in own.items()}
        grids = {layer: grids_in(lowering, layer, fmt) for layer in group.layers}
        h = _length(list(own.values()), list(moves.values()))
        lengths.append(h)
        for t in (h, -h):
            programs.append(
                steps.program({n: LayerChange(w + np.float32(t) * moves[n], *grids[n], strength=t) for n, w in own.items()})
            )
    losses = program_losses(evaluator, programs, progress)
    middle = losses[0]
    return [
        Along((up - down) / (2 * h), (up - 2 * middle + down) / h**2)
        for h, up, down in zip(lengths, losses[1::2], losses[2::2], strict=True)
    ]


@dataclass(frozen=True)
class Trace:
    """Traces over one layer's weights.

    hessian: of the mean loss's Hessian. fisher: of the samples' mean squared gradient (empirical Fisher).
    """

    hessian: float
    fisher: float


def layer_traces(
    evaluator: Evaluator, layers: Sequence[str], draws: int = DRAWS, seed: int = SEED, progress: Tick | None = None
) -> dict[str, Trace]:
    """Return the traces of every layer: two runs per draw, and one for all.

    Hutchinson: E[v' A v] = trace(A) for v of independent signs; v' H v is a second difference of the mean loss, v' F v the mean square
    of the samples' first differences. Where the loss has kinks (ReLU, the floor of stored probabilities), the second difference is that
    of the loss smoothed over the step, and changes with it; the first difference hardly does (docs/sensitivity.md).
    A draw depends on the seed and the layer's name alone.
    Source: M. F. Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines",
    Communications in Statistics 19 (1990) 433-450; for formats: Z. Dong et al., HAWQ-V2 (2020).
    """
    steps, graph = ReferenceSteps(evaluator.lowering.graph), evaluator.lowering.graph
    found = {}
    for layer in layers:
        w = layer_weights(graph, layer)
        rng = np.random.default_rng([seed, *layer.encode()])
        signs = [(2.0 * rng.integers(0, 2, w.shape) - 1.0).astype(np.float32) for _ in range(draws)]
        h = _length([w], signs[:1])  # all signs have the same norm
        moved = [steps.program({layer: LayerChange(w + np.float32(t) * v)}) for v in signs for t in (h, -h)]
        losses = program_losses(evaluator, [steps.program({}), *moved], progress)
        up, down = losses[1::2], losses[2::2]
        curvature = ((up - 2 * losses[0] + down) / h**2).mean(axis=1)
        found[layer] = Trace(float(curvature.mean()), float((((up - down) / (2 * h)) ** 2).mean()))
    return found


def _length(own: Sequence[Array], moves: Sequence[Array]) -> float:
    """Return the h for which h times the moves is `STEP` of the weights' norm, rounded to float32; 1 where the weights stay."""
    norm, move = (np.sqrt(sum(float((np.asarray(x, np.float64) ** 2).sum()) for x in part)) for part in (own, moves))
    return float(np.float32(STEP * norm / move)) if move > 0.0 and norm > 0.0 else 1.0
