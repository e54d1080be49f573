"""Scores that rank changes without evaluating them: proxies, for proposals, each held against the exact losses.

Of a group, every score is the sum over its layers. Of a change, it is the score of its format less that of the baseline's format.
D is what a format changes in the weights (quantized less real), n their number. Scores with a gradient take what the layer reads and
writes along as well; those of weights alone cannot rank formats that differ in the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from workbench.evaluate import Evaluator
from workbench.precision import PrecisionPlan
from workbench.progress import Tick
from workbench.sweep.additivity import kendall
from workbench.sweep.derivatives import DRAWS, SEED, along_changes, layer_traces
from workbench.sweep.groups import Group
from workbench.sweep.records import LayerEffect, Proxy
from workbench.sweep.reference_steps import layer_weights, weights_in

Changes = Sequence[tuple[Group, str]]
Raw = Mapping[tuple[str, str], float]
"""Score by (group, format), the baseline's format included."""


def proxies(
    evaluator: Evaluator,
    part: Evaluator,
    changes: Changes,
    losses: Sequence[float],
    baseline: PrecisionPlan,
    effects: Sequence[LayerEffect] = (),
    draws: int = DRAWS,
    seed: int = SEED,
    progress: Tick | None = None,
) -> list[Proxy]:
    """Return all proxies of the changes, with their tau against the exact losses.

    Args:
        part: evaluator of the samples that derivatives are taken on. losses: exact, of every change less the baseline's.
        effects: of every layer in every format and the baseline's, on the samples of `part`: for the scores of layers' outputs.
    The scores without derivatives take no run. Without class labels the loss is the squared error against the reference, whose
    gradient there is 0: the scores of the gradient are then left out, and second derivatives are exact (Gauss-Newton).
    """
    groups = list(dict.fromkeys(group for group, _ in changes))
    wanted = [(group, fmt) for group in groups for fmt in (baseline.default, *(f for g, f in changes if g == group))]
    share = len(part.data) / len(evaluator.data)
    low, labelled = part.lowering, part.labels.classes is not None

    def of_layers(score: Callable[[str, str], float]) -> dict[tuple[str, str], float]:
        return {(g.name, fmt): sum(score(layer, fmt) for layer in g.layers) for g, fmt in wanted}

    weights = {layer: layer_weights(low.graph, layer).astype(np.float64) for g in groups for layer in g.layers}
    squared = {(n, fmt): float(((weights_in(low, n, fmt) - weights[n]) ** 2).sum()) for g, fmt in wanted for n in g.layers}
    power = {n: float((w**2).sum()) for n, w in weights.items()}
    traces = layer_traces(part, list(weights), draws, seed, progress)
    along = dict(zip([(g.name, fmt) for g, fmt in wanted], along_changes(part, wanted, progress), strict=True))
    runs, trace_runs = 1.0 + 2.0 * len(wanted), (1.0 + 2.0 * draws) * len(weights)

    made: list[tuple[str, str, Raw, float, bool, str]] = [
        ("weight_mse", "mean squared error of the weights, |D|^2 / n", of_layers(lambda n, f: squared[n, f] / weights[n].size),
         0.0, False, "usual"),
        ("weight_noise", "noise to signal of the weights, |D|^2 / |w|^2", of_layers(lambda n, f: _ratio(squared[n, f], power[n])),
         0.0, False, "usual (weight SQNR as a power ratio)"),
        ("hessian_trace", "mean Hessian trace x |D|^2", of_layers(lambda n, f: traces[n].hessian / weights[n].size * squared[n, f]),
         trace_runs * share, True, "Z. Dong et al., HAWQ-V2, NeurIPS 2020"),
    ]  # fmt: skip
    second = {key: 0.5 * float(one.second.mean()) for key, one in along.items()}
    if labelled:
        first = {key: float(one.first.mean()) for key, one in along.items()}
        fisher = {key: 0.5 * float((one.first**2).mean()) for key, one in along.items()}
        made += [
            ("fisher_trace", "mean empirical Fisher trace x |D|^2",
             of_layers(lambda n, f: traces[n].fisher / weights[n].size * squared[n, f]), trace_runs * share, True,
             "squared gradients per layer, by Hutchinson's draws"),
            ("gradient", "first order: gradient along the change", first, runs * share, True, "Taylor expansion"),
            ("fisher", "empirical Fisher: half the mean square of the samples' gradients along the change", fisher, runs * share,
             True, "Y. Li et al., BRECQ, ICLR 2021; L. Theis et al., 2018"),
            ("taylor", "second order: gradient and half the curvature along the change", {k: first[k] + second[k] for k in first},
             runs * share, True, "Taylor expansion"),
        ]  # fmt: skip
    made.append(("curvature", "half the curvature along the change", second, runs * share, True, "Taylor expansion"))
    made += _of_outputs(effects, of_layers, share)
    bases = {g.name: baseline.default for g in groups}
    found = []
    for name, title, raw, passes, derived, source in made:
        scores = tuple(raw[g.name, fmt] - raw[g.name, bases[g.name]] for g, fmt in changes)
        tau = kendall(np.array(scores), np.array(losses))
        found.append(Proxy(name, title, scores, tau, passes, "finite differences" if derived else "none", source))
    return found


def _of_outputs(
    effects: Sequence[LayerEffect], of_layers: Callable[[Callable[[str, str], float]], Raw], share: float
) -> list[tuple[str, str, Raw, float, bool, str]]:
    """Return the scores made of layers' outputs, where those were computed."""
    if not effects:
        return []
    known = {(one.layer, one.format): one for one in effects}
    runs = 2.0 * len({one.format for one in effects}) * share  # the reference and the layers, each on the reference's values
    noise = of_layers(lambda n, f: 10.0 ** (-known[n, f].local.sqnr_db / 10.0))
    found = [
        ("output_noise", "noise to signal of the layer's own output", noise, runs, False, "usual (local SQNR as a power ratio)")
    ]
    carried = [one.carried_local for one in effects]
    if all(one is not None and one.kl is not None for one in carried):
        kl = of_layers(lambda n, f: known[n, f].carried_local.kl)  # type: ignore[union-attr,return-value,arg-type]
        passes = (1.0 + len(effects)) * share
        found.append(
            (
                "output_kl",
                "KL of the outputs, this layer alone as deployed",
                kl,
                passes,
                False,
                "Y. Cai et al., ZeroQ, CVPR 2020",
            )
        )
    return found


def _ratio(noise: float, signal: float) -> float:
    """Return noise / signal; 0 of nothing."""
    return noise / signal if signal else 0.0
