"""The page of the benchmark: all methods side by side, where the best one is bad, and pictures of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from benchmarks.choice.cases import SMALL, Case
from benchmarks.choice.methods import METHODS, RANKING
from benchmarks.page import table
from workbench.report.plots.style import GRID, INK, MARKERS, MUTED, SERIES, drawing, png_bytes

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "choice-benchmark.md"
JUDGED = 0.05
"""The budget that the claims are about, as a share of the exhaustive evaluations."""
GOALS = {"recall": 0.95, "regret": 0.01, "tau": 0.95, "tau_near": 0.90}
REAL = Path(__file__).with_name("real.json")
"""Outcomes of `benchmarks.choice.real`."""
KNOWN = {"ridge": "38-80 %", "greedy": "4-20 %"}
"""Frontier recall of methods of these kinds as it was known before (a Gaussian process: 60 %)."""
FIGURES = ("recall", "regret", "volume", "tau", "tau_near", "spent", "plans", "seconds")
WIDTH = 8.8


def per_case(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of every case, method and budget: medians over the seeds; spent and plans as shares of the space."""
    shares = rows.assign(spent=rows.spent / rows["size"], plans=rows.plans / rows["size"])
    return shares.groupby(["case", "method", "budget", "size", "front"], sort=False)[list(FIGURES)].median().reset_index()


def classes(cells: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the cells of all cases, of the large spaces and of the small ones."""
    small = cells["size"] < SMALL
    found = {"All cases": cells, f"Spaces of {SMALL:,} plans or more": cells[~small], "Small spaces": cells[small]}
    return {name: part for name, part in found.items() if len(part)}


def percent(value: float, digits: int = 0) -> str:
    """Return a share, or a dash."""
    return "-" if np.isnan(value) else f"{value:.{digits}%}".replace("%", " %")


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def side_by_side(cells: pd.DataFrame, budget: float = JUDGED) -> str:
    """Return one row per method: medians over cases."""
    part = cells[np.isclose(cells.budget, budget)]
    found = []
    for name in METHODS:
        own = part[part.method == name]
        if len(own):
            low, high = own.recall.quantile([0.25, 0.75])
            m = own[list(FIGURES)].median()
            found.append((
                name, len(own), f"{percent(m.recall, 1)} ({percent(low)} to {percent(high)})", KNOWN.get(name, ""),
                percent(m.regret, 2),
                percent(m.volume, 1), _number(m.tau), _number(m.tau_near), percent(m.spent, 2), percent(m.plans, 2), f"{m.seconds:.1f}",
            ))  # fmt: skip
    header = ("method", "cases", "frontier recall (middle half of the cases)", "known before", "loss regret", "hypervolume", "tau, all",
              "tau, near W8", "spent", "plans run whole", "own seconds")  # fmt: skip
    return table(header, found)


def by_budget(cells: pd.DataFrame, figure: str, digits: int) -> str:
    """Return the median of a figure over cases, a row per method and a column per budget."""
    budgets = sorted(cells.budget.unique())
    found = []
    for name in METHODS:
        own = cells[cells.method == name]
        if len(own):
            medians = [own[own.budget == b][figure].median() for b in budgets]
            found.append((name, *(percent(m, digits) for m in medians)))
    return table(("method", *(percent(b) for b in budgets)), found)


def every_case(cells: pd.DataFrame, cases: Sequence[Case]) -> str:
    """Return the recall of every method in every case at the judged budget, and the regret of the first method."""
    part = cells[np.isclose(cells.budget, JUDGED)]
    methods = [name for name in METHODS if name in set(part.method)]
    found = []
    for case in cases:
        own = part[part.case == case.name].set_index("method")
        if len(own):
            size, front = int(own["size"].iloc[0]), int(own.front.iloc[0])
            recalls = [percent(own.recall.get(name, np.nan)) for name in methods]
            found.append((case.name, f"{size:,}", front, *recalls, percent(own.regret.get(methods[0], np.nan), 2)))
    return table(("case", "plans", "frontier", *methods, f"regret of {methods[0]}"), found)


def shortfalls(cells: pd.DataFrame, method: str) -> list[str]:
    """Return in words where a method misses a goal at the judged budget, case by case."""
    part = cells[np.isclose(cells.budget, JUDGED) & (cells.method == method)]
    judged_at = cells[np.isclose(cells.budget, JUDGED) & (cells.method == RANKING)]
    ranked = judged_at.set_index("case").to_dict("index")
    found = []
    for row in part.sort_values("recall").to_dict("records"):
        missed = []
        if row["recall"] < GOALS["recall"]:
            missed.append(f"recall {percent(row['recall'], 1)} of {row['front']} points")
        if row["regret"] > GOALS["regret"]:
            missed.append(f"regret {percent(row['regret'], 2)}")
        ranks = ranked.get(row["case"], {})
        missed += [
            f"tau {words} {ranks[name]:.3f} (`{RANKING}`)"
            for name, words in (("tau", "over all plans"), ("tau_near", "near the baseline"))
            if ranks.get(name, np.nan) < GOALS[name]
        ]
        if missed:
            found.append(f"`{row['case']}` ({row['size']:,} plans): {', '.join(missed)}")
    return found


def reached(cells: pd.DataFrame, method: str) -> str:
    """Return every goal beside what the method reaches (a ranking: the one made for it): the median over cases at the judged budget."""
    judged_at = cells[np.isclose(cells.budget, JUDGED)]
    words = {"recall": "frontier recall", "regret": "mean loss regret", "tau": "Kendall's tau over all plans",
             "tau_near": "Kendall's tau within 5 points of the W8 baseline"}  # fmt: skip
    found = []
    for name, goal in GOALS.items():
        by = RANKING if name.startswith("tau") and RANKING in set(judged_at.method) else method
        part = judged_at[judged_at.method == by]
        small_is_good = name == "regret"
        good = part[name] <= goal if small_is_good else part[name] >= goal
        judged = part[name].notna()
        shown = percent(part[name].median(), 2) if name in ("recall", "regret") else _number(part[name].median())
        wanted = f"{'<=' if small_is_good else '>='} {percent(goal) if name in ('recall', 'regret') else goal}"
        found.append((words[name], f"`{by}`", wanted, shown, f"{int(good[judged].sum())} of {int(judged.sum())}"))
    return table(("figure", "method", "wanted", "median over cases", "cases that reach it by themselves"), found)


def too_large(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """Return a row for every network that is too large to enumerate: what was spent, and what the certificate says."""
    header = ["network", "plans", "samples", "quality", "evaluated", "draws", "frontier", "proven", "time"]
    peers = list(dict.fromkeys(name for o in outcomes for name in o["share"] if name != "verified"))
    if peers:
        header.append(
            f"share of the frontier that all have together: {', '.join(('verified', *peers))} (as many evaluations each)"
        )
    found = []
    for o in outcomes:
        proven = f"fewer than {percent(o['bound'], 1)} of all plans improve it" if o["draws"] else "nothing"
        row = [f"`{o['name']}`", f"{o['plans']:,}", o["samples"], o["metric"], f"{o['spent']:,.0f}", f"{o['draws']:,}", o["frontier"],
               proven if o["reached"] else f"{proven} (1 % was wanted)", f"{o['seconds'] / 60:.1f} min"]  # fmt: skip
        shares = [percent(o["share"].get(name, np.nan)) for name in ("verified", *peers)]
        found.append([*row, ", ".join(shares)] if peers else row)
    return table(header, found)


def draw_budgets(cells: pd.DataFrame, figure: str, label: str, goal: float, logarithmic: bool) -> Figure:
    """Draw the median over cases of a figure against the budget, a line per method, a panel per class of size."""
    parts = {name: part for name, part in classes(cells).items() if name != "All cases"} or classes(cells)
    drawn = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    panels = np.atleast_1d(np.asarray(drawn.subplots(1, len(parts), sharey=True)))
    for axes, (title, part) in zip(panels, parts.items(), strict=True):
        _lines(axes, part, figure, logarithmic)
        axes.axhline(goal, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_title(f"{title} ({part.case.nunique()} cases)", color=INK)
        axes.set_xlabel("share of the exhaustive evaluations")
    panels[0].set_ylabel(label)
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return drawn


def _lines(axes: Axes, part: pd.DataFrame, figure: str, logarithmic: bool) -> None:
    budgets = sorted(part.budget.unique())
    for i, name in enumerate(METHODS):
        own = part[part.method == name]
        if not len(own):
            continue
        quartiles = own.groupby("budget")[figure].quantile(np.array([0.25, 0.5, 0.75])).unstack()
        middle = quartiles[0.5].clip(lower=1e-5) if logarithmic else quartiles[0.5]
        axes.plot(middle.index, middle, color=SERIES[i], marker=MARKERS[i], markersize=4.5, label=name, linewidth=1.4)
        if i == 0:
            axes.fill_between(quartiles.index, quartiles[0.25], quartiles[0.75], color=SERIES[i], alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks(budgets)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if logarithmic:
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.grid(axis="y", color=GRID, linewidth=0.6)


def page_text(rows: pd.DataFrame, cases: Sequence[Case]) -> str:
    """Return the page of results (a row per case, method, budget and seed)."""
    cells = per_case(rows[rows.case.isin([case.name for case in cases])])
    best = next(name for name in METHODS if name in set(cells.method))
    seeds = rows[np.isclose(rows.budget, JUDGED)].groupby("method").seed.nunique().to_dict()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), undefined=jinja2.StrictUndefined, trim_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("page.md.jinja").render(
        cases=cells.case.nunique(), known=len(cases), small=SMALL, judged=percent(JUDGED), best=best,
        methods=table(("method", "what it does", "seeds run"), ((m.name, m.words, seeds.get(m.name, 0)) for m in METHODS.values())),
        reached=reached(cells, best), sides={name: side_by_side(part) for name, part in classes(cells).items()},
        recall=by_budget(cells, "recall", 1), regret=by_budget(cells, "regret", 2), every=every_case(cells, cases),
        shortfalls=shortfalls(cells, best), real=too_large(json.loads(REAL.read_text())) if REAL.exists() else "",
        nothing=sorted({case.name for case in cases} - set(cells.case)),
    )  # fmt: skip


def write_page(rows: pd.DataFrame, cases: Sequence[Case], path: Path = PAGE) -> None:
    """Write the page and its pictures (beside it, in images/)."""
    cells = per_case(rows[rows.case.isin([case.name for case in cases])])
    images = path.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name, label, goal, logarithmic in (
        ("recall", "frontier recall", GOALS["recall"], False),
        ("regret", "mean loss regret", GOALS["regret"], True),
    ):
        with drawing():
            figure = draw_budgets(cells, name, label, goal, logarithmic)
            (images / f"choice-{name}.png").write_bytes(png_bytes(figure))
    path.write_text(page_text(rows, cases))
