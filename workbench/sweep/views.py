"""All views of sensitivity that a study asks for, in one call: `find_views`.

How a study calls it, after `one_at_a_time(evaluator, changes, baseline)` (whose plans are in the journal by then):

    views = find_views(evaluator, spec.sweep.views, changes, baseline, reporter=reporter, where=profile.name)
    ...                                    # choose
    views = with_chosen(views, evaluator, baseline, {"chosen": plan})

Every view can also be asked for by itself: `contexts`, `parts`, `pairs`, `proxies`, `layer_effects`. `expected_evaluations` says
beforehand how many plans the views take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.evaluate import Evaluator
from workbench.precision import PrecisionPlan
from workbench.progress import Reporter, Silent, Tick
from workbench.sweep.additivity import MIXES, SEED, additivity
from workbench.sweep.ask import by_evaluator
from workbench.sweep.contexts import cumulative, one_off
from workbench.sweep.derivatives import DRAWS
from workbench.sweep.effects import loss_of, loss_title, part_of
from workbench.sweep.groups import Group
from workbench.sweep.layer_effects import layer_effects
from workbench.sweep.pairs import count_pairs, interactions
from workbench.sweep.parts import between, emulated_parts, fake_quantized_parts
from workbench.sweep.proxies import proxies
from workbench.sweep.records import VIEWS, LayerEffect, View, Views

Changes = Sequence[tuple[Group, str]]

PAIRS = 200
"""Most pairs that are evaluated unless told otherwise: all of 20 changes of ten groups are 180."""
FLOAT_SAMPLES = 128
"""Samples for what runs in the float reference, which is far slower than a target's integers: fake-quantized parts, carried errors and
derivatives. With more of them the ranks of the proxies hardly change (docs/sensitivity.md)."""


def expected_evaluations(
    views: Sequence[View], changes: Changes, baseline: PrecisionPlan, pairs: int = PAIRS
) -> dict[View, int]:
    """Return the most plans that each view evaluates, beyond the baseline and the changes: known before anything runs.

    `parts`: the plans of the emulated ones (the fake-quantized take three runs of the reference per group and format). `pairs`: the
    pairs and the random mixes. `proxies` and `layers` evaluate no plan on all samples.
    """
    formats = len({fmt for _, fmt in changes})
    mixed = sum(len(between(baseline.default, fmt)) for _, fmt in changes)
    all_of = {
        "off": len(changes) + formats, "cumulative": len(changes), "parts": mixed, "pairs": min(pairs, count_pairs(changes)) + MIXES,
        "proxies": 0, "layers": 0,
    }  # fmt: skip
    return {view: all_of[view] for view in views}


def find_views(
    evaluator: Evaluator,
    views: Sequence[View],
    changes: Changes,
    baseline: PrecisionPlan,
    pairs: int = PAIRS,
    samples: int = FLOAT_SAMPLES,
    draws: int = DRAWS,
    seed: int = SEED,
    reporter: Reporter | None = None,
    where: str = "",
) -> Views:
    """Return the views that are asked for.

    Args:
        changes: (group, format) as in `one_at_a_time`, groups in network order. pairs: most pairs that are evaluated.
        samples: for what runs in the float reference. draws: random directions per layer. seed: of the random mixes and directions.
        reporter: is told of each view and how many plans it takes at most. where: of what, for its titles.
    The same bits for any number of threads.
    """
    asked = tuple(view for view in VIEWS if view in views)
    if not asked or not changes:
        return Views(asked)
    records = evaluator.evaluate([baseline, *(g.plan(baseline, f) for g, f in changes)])
    base = loss_of(records[baseline])
    losses = tuple(loss_of(records[g.plan(baseline, f)]) - base for g, f in changes)
    before, in_float = len(evaluator.journal.records), not {"parts", "proxies", "layers"}.isdisjoint(asked)
    part = part_of(evaluator, samples) if in_float else evaluator
    found = Views(asked, loss_title(evaluator), tuple(changes), losses, float_samples=len(part.data) if in_float else 0)
    effects: tuple[LayerEffect, ...] | None = None
    for view, most in expected_evaluations(asked, changes, baseline, pairs).items():
        title = f"view {view}, at most {most} plans" if most else f"view {view}, {len(part.data)} samples in float"
        with (reporter or Silent()).phase(f"{where}: {title}" if where else title) as tick:
            if view == "off":
                found = replace(found, off=tuple(one_off(evaluator, changes, baseline, tick)))
            elif view == "cumulative":
                found = replace(found, cumulative=tuple(cumulative(evaluator, changes, baseline, tick)))
            elif view == "parts":
                exact = emulated_parts(evaluator, changes, baseline, tick)
                found = replace(found, parts=(*exact, *fake_quantized_parts(part, changes, baseline, tick)))
            elif view == "pairs":
                ask = by_evaluator(evaluator, tick)
                both = interactions(ask, evaluator.metric, changes, baseline, pairs)
                found = replace(found, pairs=both, additivity=additivity(ask, both, baseline, seed=seed))
            else:
                effects = effects or _layers(part, changes, baseline)
                if view == "layers":
                    found = replace(found, layers=effects)
                else:
                    scores = proxies(evaluator, part, changes, losses, baseline, effects, draws, seed, tick)
                    found = replace(found, proxies=tuple(scores))
    return replace(found, evaluations=len(evaluator.journal.records) - before)


def with_chosen(
    views: Views, evaluator: Evaluator, baseline: PrecisionPlan, plans: Mapping[str, PrecisionPlan], tick: Tick | None = None
) -> Views:
    """Return views whose additivity has these plans too, by label: the chosen one. Views without pairs are returned as they are."""
    if views.pairs is None or views.additivity is None or not plans:
        return views
    return replace(
        views, additivity=additivity(by_evaluator(evaluator, tick), views.pairs, baseline, plans, seed=views.additivity.seed)
    )


def _layers(part: Evaluator, changes: Changes, baseline: PrecisionPlan) -> tuple[LayerEffect, ...]:
    """Return the effects of every layer in the baseline's format and in those that it may change to, by format."""
    found: list[LayerEffect] = []
    for fmt in dict.fromkeys((baseline.default, *(f for _, f in changes))):
        own = {layer: fmt for group, f in changes if f == fmt for layer in group.layers}
        effects = layer_effects(part, baseline if fmt == baseline.default else baseline.replace(own))
        found += [one for one in effects if one.format == fmt]
    return tuple(found)
