"""The plots of a choice with proof: what they draw is what the records say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from tests.report.sample import study, target
from tests.report.sample_choice import FORMATS, chosen_study, distribution, table, views
from workbench.report.plots import (
    additivity_figure,
    cumulative_figure,
    density_figure,
    distribution_figure,
    drawing,
    heat_figure,
    interaction_figure,
    looks,
    parts_figure,
    png_bytes,
    progress_figure,
    sensitivity_figure,
    steps_figure,
    svg_text,
    targets_figure,
)
from workbench.report.plots.density import CELLS, density_image
from workbench.results import StudyResult, TargetResult
from workbench.search import axis_value

LOOKS = looks((*FORMATS, "fp16"))


@pytest.fixture(scope="module")
def chosen() -> StudyResult:
    return chosen_study()


@pytest.fixture
def first(chosen: StudyResult) -> TargetResult:
    return chosen.targets[0]


def must(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def texts(axes: Axes) -> list[str]:
    return [t.get_text() for t in axes.texts]


def shades(image: AxesImage) -> np.ma.MaskedArray[tuple[int, ...], np.dtype[np.float64]]:
    found = image.get_array()
    assert isinstance(found, np.ma.MaskedArray)
    return found


def markers(axes: Axes) -> list[tuple[float, float, bool]]:
    """Return (x, y, filled) of every single marker."""
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_markerfacecolor() == line.get_color())  # type: ignore[index]
        for line in axes.lines
        if line.get_marker() not in ("None", "", None) and len(line.get_xdata()) == 1  # type: ignore[arg-type]
    ]


def test_without_records_there_is_no_plot() -> None:
    plain = target("plain", formats=FORMATS)
    makers = (
        interaction_figure, additivity_figure, parts_figure, steps_figure, progress_figure, lambda t: cumulative_figure(t, LOOKS),
        lambda t: density_figure(t, LOOKS), lambda t: distribution_figure(t, LOOKS),
    )  # fmt: skip
    with drawing():
        assert [make(plain) for make in makers] == [None] * len(makers)
        assert targets_figure(study(plain)) is None
        assert heat_figure(target("one", formats=("w8a8", "w4a8"))) is None


def test_heat_map_has_every_change_once_and_brackets_what_may_be_chance(first: TargetResult) -> None:
    dropped = first.sensitivities[3]
    short = replace(first, sensitivities=first.sensitivities[:3] + first.sensitivities[4:])
    with drawing():
        left, right = must(heat_figure(short)).axes[0], must(heat_figure(short)).axes[2]
    rows, columns = [g.name for g in first.groups], [f for f in first.formats if f != "w8a8"]
    image, losses = shades(left.images[0]), shades(right.images[0])
    written = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in left.texts}
    assert len(written) == len(short.sensitivities) == image.count()
    for s in short.sensitivities:
        at = rows.index(s.group.name), columns.index(s.format)
        assert (s.change.low <= 0 <= s.change.high) == written[at].startswith("(")
        number = float(written[at].strip("()").replace("−", "-"))
        assert number == pytest.approx(100 * s.change.estimate, rel=0.06)
    assert image.mask[rows.index(dropped.group.name), columns.index(dropped.format)]  # type: ignore[index]
    by_loss = sorted(short.sensitivities, key=lambda s: s.predicted_loss)
    drawn = [losses[rows.index(s.group.name), columns.index(s.format)] for s in by_loss]
    assert drawn == sorted(drawn)  # the more is lost, the more orange


def test_ranks_stand_beside_the_rows_with_a_sign_where_they_are_tied(first: TargetResult) -> None:
    with drawing():
        axes = must(sensitivity_figure(first, LOOKS)).axes[0]
    rows = [g.name for g in first.groups]
    for fmt in ("w4a8", "w2a8"):
        color = LOOKS[fmt].color
        mine = [n for n in first.neighbours if n.format == fmt]
        found = {
            round(t.xy[1]): t.get_text()  # type: ignore[attr-defined]
            for t in axes.texts
            if t.get_color() == color and t.get_text().isdigit()
        }
        assert {rows[y]: int(v) for y, v in found.items()} == {n.first: n.rank for n in mine} | {mine[-1].second: len(rows)}
        tied = {rows[round(t.xy[1])] for t in axes.texts if t.get_color() == color and t.get_text() == "≈"}  # type: ignore[attr-defined]
        assert tied == {n.first for n in mine if not n.apart}
    with drawing():
        assert "≈" not in texts(must(sensitivity_figure(replace(first, neighbours=()), LOOKS)).axes[0])


def test_interactions_are_drawn_in_network_order_and_both_ways(first: TargetResult) -> None:
    assert first.views is not None and first.views.pairs is not None
    pairs = first.views.pairs
    backwards = replace(
        first, views=replace(first.views, pairs=replace(pairs, changes=pairs.changes[::-1], singles=pairs.singles[::-1]))
    )
    for shown in (first, backwards):
        assert shown.views is not None and shown.views.pairs is not None
        with drawing():
            axes = must(interaction_figure(shown)).axes[0]
        names = [t.get_text() for t in axes.get_yticklabels()]
        assert names[0].startswith(first.groups[0].name)
        image = shades(axes.images[0])
        assert image.count() == 2 * len(pairs.interactions)
        wanted = {}
        for one in shown.views.pairs.interactions:
            (a, f), (b, g) = shown.views.pairs.changes[one.first], shown.views.pairs.changes[one.second]
            wanted[frozenset((f"{a.name} {f}", f"{b.name} {g}"))] = one.loss
        for y, row in enumerate(names):
            for x, column in enumerate(names):
                value = wanted.get(frozenset((row, column))) if x != y else None
                assert (value is None) == bool(np.ma.getmaskarray(image)[y, x])
                if value is not None:
                    assert (image[y, x] > 0.5) == (value > 0)


def test_mixes_stand_where_they_were_measured_and_predicted(first: TargetResult) -> None:
    assert first.views is not None and first.views.additivity is not None
    with drawing():
        axes = must(additivity_figure(first)).axes[0]
    found = Counter((x, y, filled) for x, y, filled in markers(axes))
    mixes = first.views.additivity.mixes
    assert found == Counter(
        [(m.measured, m.by_singles, False) for m in mixes] + [(m.measured, m.by_pairs, True) for m in mixes]
    )
    low, high = axes.get_xlim()
    assert all(low < v < high for m in mixes for v in (m.measured, m.by_singles, m.by_pairs))


def test_parts_and_steps_draw_every_effect(first: TargetResult) -> None:
    assert first.views is not None
    with drawing():
        parts, steps = must(parts_figure(first)), must(steps_figure(first))
        cumulative = must(cumulative_figure(first, LOOKS))
    drawn = [m for axes in parts.axes for m in markers(axes)]
    assert sorted(x for x, *_ in drawn) == pytest.approx(sorted(100 * p.effect.change.estimate for p in first.views.parts))
    assert sum(filled for *_, filled in drawn) == sum(p.effect.change.high < 0 for p in first.views.parts)
    titles = [axes.get_title(loc="left") for axes in parts.axes]
    assert titles == ["w4a8, fake-quantized", "w2a8, fake-quantized", "w4a8, emulated"]
    drawn = [m for axes in steps.axes for m in markers(axes)]
    wanted = [100 * s.change.estimate for s in first.sensitivities] + [-100 * s.effect.change.estimate for s in first.views.off]
    assert sorted(x for x, *_ in drawn) == pytest.approx(sorted(wanted))
    drawn = markers(cumulative.axes[0])
    assert sorted(x for x, *_ in drawn) == pytest.approx(sorted(100 * s.effect.change.estimate for s in first.views.cumulative))


def test_density_counts_plans_and_draws_the_frontier(first: TargetResult) -> None:
    plans = table(59_049)
    with drawing():
        figure = must(density_figure(replace(first, table=plans), LOOKS))
        assert len(png_bytes(figure)) < 300_000
        assert len(svg_text(figure, "d", "density")) < 300_000
    kib = plans.costs["flash"].astype(float) / 1024
    over_cost = figure.axes[1]
    line = next(x for x in over_cost.lines if len(x.get_xdata()) == len(plans.frontier))  # type: ignore[arg-type]
    ordered = sorted(plans.frontier, key=lambda i: kib[i])
    assert line.get_xdata() == pytest.approx([kib[i] for i in ordered])
    assert line.get_ydata() == pytest.approx([100 * float(plans.quality[i]) for i in ordered])
    chosen = [(x, y) for x, y, _ in markers(over_cost)]
    for row in (*plans.uniform.values(), plans.chosen):
        assert row is not None
        assert any(x == pytest.approx(kib[row]) and y == pytest.approx(100 * float(plans.quality[row])) for x, y in chosen)


def test_a_density_is_darker_where_more_plans_are() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(4.0, 1.0, 5000).clip(0, 8), rng.normal(80.0, 5.0, 5000).clip(50, 100)
    image = density_image(x, y, (0.0, 8.0), (50.0, 100.0))
    counts: Counter[tuple[int, int]] = Counter()
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        counts[min(int((b - 50) / 50 * CELLS[1]), CELLS[1] - 1), min(int(a / 8 * CELLS[0]), CELLS[0] - 1)] += 1
    assert {(int(r), int(c)) for r, c in zip(*np.nonzero(image[..., 3]), strict=True)} == set(counts)
    cells = sorted(counts, key=lambda at: counts[at])
    opacity = [float(image[at][3]) for at in cells]
    assert opacity == sorted(opacity)
    assert opacity[0] > 0.1


def test_few_plans_are_points(first: TargetResult) -> None:
    plans = table(300, 300)
    with drawing():
        axes = must(density_figure(replace(first, table=plans), LOOKS)).axes[0]
    assert not axes.images
    drawn = max(axes.lines, key=lambda x: len(x.get_xdata()))  # type: ignore[arg-type]
    assert sorted(drawn.get_xdata()) == pytest.approx(sorted(plans.weight_bits.tolist()))  # type: ignore[arg-type]


def test_progress_is_the_trace(first: TargetResult) -> None:
    assert first.search is not None
    with drawing():
        axes = must(progress_figure(first)).axes[0]
    assert tuple(axes.lines[0].get_xdata()) == first.search.evaluations  # type: ignore[arg-type]
    assert tuple(axes.lines[0].get_ydata()) == first.search.quality  # type: ignore[arg-type]
    assert axes.get_ylim()[1] > (first.search.best or 0.0)


def test_targets_are_drawn_relative_to_their_own_baselines(chosen: StudyResult) -> None:
    with drawing():
        axes = must(targets_figure(chosen)).axes[0]
    curves = [x for x in axes.lines if len(x.get_xdata()) > 2]  # type: ignore[arg-type]
    for t, curve in zip(chosen.targets, curves, strict=True):
        assert t.baseline_cost is not None
        base = axis_value(t.baseline_cost, "flash")
        wanted = sorted((100 * axis_value(c.cost, "flash") / base, 100 * c.change.estimate) for c in t.frontier)
        assert list(zip(curve.get_xdata(), curve.get_ydata(), strict=True)) == [pytest.approx(p) for p in wanted]  # type: ignore[arg-type]
    assert chosen.joint is not None
    stars = [x for x in axes.lines if x.get_marker() == "*"]
    assert len(stars) == len(chosen.joint.rows)


def test_distributions_show_counts_ranges_and_shares(first: TargetResult) -> None:
    with drawing():
        figure = must(distribution_figure(first, LOOKS))
    left, right = figure.axes
    layers = list(dict.fromkeys(d.layer for d in first.distributions))
    for axes, kind in ((left, "weights"), (right, "activations")):
        mine = [d for d in first.distributions if d.kind == kind]
        assert len(mine) == len(axes.collections) == len(layers)
        for y, (d, shape) in enumerate(zip(mine, axes.collections, strict=True)):
            unit = float(np.abs(d.edges[[0, -1]]).max())
            top = shape.get_paths()[0].vertices
            peak = float(np.asarray(top)[np.argmin(np.asarray(top)[:, 1]), 0])
            assert d.counts[np.searchsorted(d.edges, peak * unit) - 1] == d.counts.max()
            ends = [
                tuple(x.get_xdata()) for x in axes.lines if len(x.get_xdata()) == 2 and y - 0.5 < x.get_ydata()[0] < y + 0.5
            ]  # type: ignore[arg-type,index]
            for one in d.ranges.values():
                inside = tuple(np.clip([one.low / unit, one.high / unit], *axes.get_xlim()))
                assert any(e == pytest.approx(inside) for e in ends)
            wide = [x for x in axes.lines if x.get_marker() in ("<", ">") and y - 0.5 < x.get_ydata()[0] < y + 0.5]  # type: ignore[index]
            if kind == "weights":
                assert {x.get_color() for x in wide} == {LOOKS["fp16"].color}  # its range goes on beyond the plot
    assert "0 % · 12 %" in texts(left)


@pytest.mark.parametrize("count", [5, 60])
def test_networks_of_any_length_are_drawn(count: int) -> None:
    t = target("long", [f"block{i}/conv" for i in range(count)], FORMATS)
    shown = replace(
        t, views=views(t), distributions=tuple(distribution(g.name, k) for g in t.groups for k in ("weights", "activations"))
    )
    with drawing():
        for figure in (heat_figure(shown), parts_figure(shown), steps_figure(shown), distribution_figure(shown, LOOKS)):
            names = must(figure).axes[0].get_yticklabels()
            assert len(names) == (len(t.groups))
            assert len({round(v) for v in must(figure).axes[0].get_yticks()}) == len(t.groups)
            assert must(figure).get_size_inches()[1] < 0.75 * len(t.groups) + 4
