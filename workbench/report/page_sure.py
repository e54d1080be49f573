"""The box 'How sure is this': what is exact, what is counted, what is estimated, and on which samples."""

from __future__ import annotations

from workbench.cost import CostEstimate
from workbench.report.text import percent, quantity
from workbench.results import StudyResult, TargetResult


def sure_box(result: StudyResult, t: TargetResult, cost: CostEstimate | None) -> list[tuple[str, str]]:
    """Return (word, explanation)."""
    bits = f"Every accuracy is emulated with this target's arithmetic. How its bits are known: {_sentence(t.profile.exactness)}"
    found = [("Exact", bits)]
    if t.baseline is not None:
        plans, samples = (
            len(t.candidates),
            f"{t.baseline.samples:,} samples ({result.data_names.get('selection', 'selection')})",
        )
        text = f"All {plans} plans were" if plans > 1 else "The plan was"
        top1 = "" if t.reference_top1 is None else f" The float reference reaches {percent(t.reference_top1)} on them."
        found.append(("Proposed on", f"{text} evaluated exactly on {samples}.{top1}"))
        found.append(("Tested on", _confirmed(result, t.baseline_confirm.samples if t.baseline_confirm else 0)))
    if cost is not None:
        own = f"{quantity('flash', cost.runtime_flash_bytes)} of flash and {quantity('ram', cost.runtime_ram_bytes)} of RAM"
        text = "Flash and peak RAM, from the model (RAM: no room lost between buffers)."
        found.append(("Counted", f"{text} The runtime's own {own} are included, the application is not."))
        basis = cost.energy_basis.replace("_", " ")
        text = "Latency and energy: nobody ran this plan on a device."
        found.append(("Estimated", f"{text} Basis: {basis}. The ranges are 80 % intervals."))
    return found


def _confirmed(result: StudyResult, samples: int) -> str:
    if not samples:
        return "Nothing: every sample took part in choosing, and the best of many plans looks better than it is."
    return f"{samples:,} samples that took no part in proposing ({result.data_names.get('confirmation', 'confirmation')})."


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else text + "."
