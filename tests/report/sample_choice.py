"""Synthetic records of a choice with proof: views of sensitivity, a table of plans, a trace, a certificate, one plan for all."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np

from tests.report.sample import study, target
from workbench.precision import PrecisionPlan
from workbench.results import Certificate, Joint, JointRow, SearchTrace, StudyResult, TableSummary, TargetResult
from workbench.statistics import Difference
from workbench.sweep.distributions import BINS, Distribution, FormatRange
from workbench.sweep.neighbours import rank_neighbours
from workbench.sweep.records import (
    Additivity,
    Carried,
    ContextEffect,
    Effect,
    Fit,
    Interaction,
    LayerEffect,
    Mix,
    Pairs,
    Part,
    Proxy,
    Signal,
    Views,
)

FORMATS = ("w8a8", "w4a8", "w2a8")


def effect(rng: np.random.Generator, size: float) -> Effect:
    """Return an effect that loses about `size` points."""
    lost = abs(float(rng.normal(size, 0.3 * size + 0.1))) / 100
    return Effect(
        Difference(-lost, -lost - 0.006, -lost + 0.006, 3, 3 + round(1000 * lost)),
        2 * lost,
        round(1200 * lost),
        30 - 100 * lost,
    )


def views(t: TargetResult, seed: int = 0) -> Views:
    """Return every view of a target."""
    rng = np.random.default_rng(seed)
    changes = tuple((s.group, s.format) for s in t.sensitivities)
    losses = tuple(s.predicted_loss for s in t.sensitivities)
    off = tuple(ContextEffect(g, f, turned(effect(rng, 2.0))) for g, f in changes)
    cumulative = tuple(ContextEffect(g, f, effect(rng, 0.5 * (1 + t.groups.index(g)))) for g, f in changes)
    parts = []
    for group, fmt in changes:
        for part, size in (("weights", 1.5), ("activations", 0.3), ("both", 1.9)):
            parts.append(Part(group, fmt, part, "fake-quantized", fmt, effect(rng, size)))
    parts += [Part(g, "w4a8", "weights", "emulated", "w4a16", effect(rng, 1.0)) for g in t.groups]
    tried = changes[:8]
    found = tuple(
        Interaction(a, b, 0.2, float(rng.normal(0.0, 0.05)), Difference(0.0, -0.01, 0.01, 4, 4))
        for a, b in combinations(range(len(tried)), 2)
        if (a + b) % 5
    )
    pairs = Pairs(tried, losses[: len(tried)], found, len(changes) * (len(changes) - 1) // 2, len(found))
    mixes = []
    for i in range(24):
        measured = float(rng.lognormal(-1.5, 0.6))
        by_pairs = measured + float(rng.normal(0, 0.02))
        mixes.append(Mix("random", f"mix {i}", 0.8 * measured + float(rng.normal(0, 0.04)), by_pairs, measured, 0.7))
    mixes.append(Mix("chosen", "the chosen plan", 0.05, 0.07, 0.08, 1.0))
    additivity = Additivity(tuple(mixes), Fit(-0.05, 0.06, 0.08, 0.21, 0.83), Fit(0.0, 0.02, 0.02, 0.05, 0.95), 7)
    proxies = (
        Proxy("weight_mse", "squared error of the weights", losses, 0.71, 0, "none", "Jacob et al., 2018"),
        Proxy("fisher", "squared gradients", losses, float("nan"), 12, "finite differences", "Theis et al., 2018"),
    )
    carried = Carried(0.02, 0.31, 0.89, 21)
    layers = tuple(
        LayerEffect(g.name, f, Signal(31.0, 0.01, 0.999), Signal(28.5, 0.02, 0.99), carried, carried) for g, f in changes
    )
    title = "mean cross-entropy [nat]"
    return Views((), title, changes, losses, off, cumulative, tuple(parts), pairs, additivity, proxies, layers, 180)


def turned(e: Effect) -> Effect:
    """Return an effect the other way round: what is gained by going back."""
    c = e.change
    return Effect(Difference(-c.estimate, -c.high, -c.low, c.lost, c.gained), -e.loss_delta, e.flips, e.sqnr_db)


def table(plans: int = 4000, size: int = 59_049, seed: int = 0) -> TableSummary:
    """Return a table of plans whose quality grows with their bits."""
    rng = np.random.default_rng(seed)
    bits = rng.choice([2.0, 4.0, 8.0], size=(plans, 10))
    bits[:3] = [[8.0] * 10, [4.0] * 10, [2.0] * 10]
    mean = bits.mean(axis=1)
    quality = 0.9 - 0.02 * (8 - mean) ** 1.6 / 4 * rng.uniform(0.5, 1.5, plans)
    flash = 52_000 + 9_000 * mean
    order = np.lexsort((-quality, flash))
    front, best = [], -np.inf
    for i in order:
        if quality[i] > best:
            front.append(int(i))
            best = quality[i]
    return TableSummary(
        quality.astype(np.float32), {"flash": flash.astype(np.float32)}, mean.astype(np.float32), tuple(front), size,
        {"w8a8": 0, "w4a8": 1, "w2a8": 2}, 0, front[len(front) // 2],
    )  # fmt: skip


def distribution(layer: str, kind: str, seed: int = 0) -> Distribution:
    """Return a distribution with three ranges, one of them far wider than the values."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.3, 5000).clip(-1, 1) if kind == "weights" else np.abs(rng.normal(0, 2.0, 5000))
    counts, edges = np.histogram(values, BINS)
    top = float(np.abs(edges).max())
    ranges = {
        "w8a8": FormatRange("int8", -top, top, -0.3 * top, 0.3 * top, top / 127, 255, 0.0, 0.004),
        "w4a8": FormatRange("int4", -top, top, -0.3 * top, 0.3 * top, top / 7, 15, 0.0, 0.12),
        "fp16": FormatRange("float16", -65504.0, 65504.0, -65504.0, 65504.0, 2.0**-12, None, 0.0, 0.0),
    }
    return Distribution(layer, kind, edges, counts.astype(np.int64), ranges)  # type: ignore[arg-type]


def chosen_study() -> StudyResult:
    """Two targets with everything that a choice with proof adds."""
    first, second = (
        target("stm32l4r5-cortex-m4-tflm", formats=FORMATS),
        target("stm32g0b1-cortex-m0plus-tflm", formats=FORMATS, seed=7),
    )
    first = replace(
        first,
        views=views(first),
        certificate=Certificate(
            "exhaustive", "No other configuration of the 59,049 is better on this set.", {"plans": 59049, "frontier": [1, 5]}
        ),
        table=table(),
        search=SearchTrace((20.0, 60.0, 120.5, 300.0), (0.61, 0.78, 0.84, 0.85), "hypervolume", True, 0.86),
        ties=("The data cannot tell dw2 and pw3 at w4a8 apart; about 2,400 samples would.",),
        neighbours=tuple(rank_neighbours(first.sensitivities, first.metric)),
        distributions=tuple(
            distribution(g.name, kind, i) for i, g in enumerate(first.groups) for kind in ("weights", "activations")
        ),
    )
    second = replace(
        second,
        certificate=Certificate(
            "sampling",
            "With 95 % confidence fewer than 1 % of all configurations improve this frontier.",
            {"draws": 299, "seed": 0},
        ),
    )
    plan = PrecisionPlan.of("w8a8", {"dw2": "w4a8", "pw3": "w4a8"})
    rows = tuple(JointRow(t.profile.name, t.chosen, t.candidates[1], True) for t in (first, second))
    text = "Put dw2 and pw3 at w4a8 on both targets: within every limit; flash is 3 % above each target's own choice at most."
    return replace(study(first, second), joint=Joint(rows, plan, text))


__all__ = ["FORMATS", "chosen_study", "distribution", "table", "views"]
