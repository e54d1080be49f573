"""The box 'How sure is this': what is exact, what is estimated, and on which samples."""

from __future__ import annotations

from workbench.cost import CostEstimate
from workbench.report.text import change_unit, figure_text, metric_change, quantity
from workbench.results import StudyResult, TargetResult


def sure_box(result: StudyResult, t: TargetResult, cost: CostEstimate | None) -> list[tuple[str, str]]:
    """Return (word, explanation)."""
    bits = f"Every accuracy is emulated with this target's arithmetic. How its bits are known: {_sentence(t.profile.exactness)}"
    found = [("Exact", bits)]
    if t.baseline is not None:
        if t.metric.name != "top1":
            found.append(("Judged by", _judged(t)))
        plans, samples = (
            len(t.candidates),
            f"{t.baseline.samples:,} samples ({result.data_names.get('selection', 'selection')})",
        )
        text = f"Chosen among {plans:,} plans, each" if plans > 1 else "The plan was"
        own = "" if t.reference_figure is None else _reference(t)
        found.append(("Proposed on", f"{text} evaluated exactly on {samples}.{own}"))
        found.append(("Tested on", _confirmed(result, t.baseline_confirm.samples if t.baseline_confirm else 0)))
        if t.chosen_change is not None and t.chosen is not None and t.chosen.confirm_change is None:
            change, ends = metric_change(t.metric, t.chosen_change)
            found.append(("After choosing", f"{change} {change_unit(t.metric)} {ends}: {t.chosen_how}.".replace("  ", " ")))
    if cost is not None:
        own = f"{quantity('flash', cost.runtime_flash_bytes)} of flash and {quantity('ram', cost.runtime_ram_bytes)} of RAM"
        text = f"Flash and peak RAM. RAM: {_laid_out(t)}."
        found.append(("Sizes", f"{text} The runtime's own {own} are included, the application is not. Ranges: 80 % intervals."))
        basis = cost.energy_basis.replace("_", " ")
        text = "Latency and energy: nobody ran this plan on a device."
        found.append(("Estimated", f"{text} Basis: {basis}. The ranges are 80 % intervals."))
    return found


def _laid_out(t: TargetResult) -> str:
    """Return how the RAM of the buffers is found."""
    costs = t.profile.costs
    if costs is None or costs.ethos_u is not None:
        return "the memory that the compiler's published rules give"
    if costs.memory.planner == "none":
        return "the most bytes that are live at once, as if no room were lost between buffers"
    return "buffers laid out as the runtime's planner does, room lost between them included"


def _reference(t: TargetResult) -> str:
    name = "" if t.metric.name == "top1" else f" ({t.metric.title})"
    return f" The float reference reaches {figure_text(t.metric, t.reference_figure)} on them{name}."


def _judged(t: TargetResult) -> str:
    """Return what decides, and how its intervals are found."""
    return (
        f"{_sentence(t.metric.title[:1].upper() + t.metric.title[1:] + ': ' + t.metric.summary)} {INTERVALS[t.metric.interval]}"
    )


INTERVALS = {
    "binary": "Changes are paired, sample by sample (likelihood-ratio interval).",
    "mean": "Changes are paired, sample by sample (t interval).",
    "bootstrap": "Changes are paired: the same samples, or files, are drawn again for both plans (bootstrap).",
    "jackknife": "Changes are paired: a t interval of numbers per sample, or groups of samples left out (jackknife).",
}
"""How the interval of a change is found."""


def _confirmed(result: StudyResult, samples: int) -> str:
    if not samples:
        return "Nothing: every sample took part in choosing, and the best of many plans looks better than it is."
    return f"{samples:,} samples that took no part in proposing ({result.data_names.get('confirmation', 'confirmation')})."


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else text + "."
