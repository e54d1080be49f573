"""The workbench: choose a precision for every layer, bit for bit as the target computes.

`load_model`, `load_profile`, `emulate`, `compare`, `estimate_costs`, `exhaustive`, `exhaustive_table` (with `TruthTable`) and
`run_study` are the stable interface, `WorkbenchError` the base of all that they raise; each is imported from its place when it is
first used, so that `import workbench` (and the command line's help) stays fast and `emulate` does not wait for what only a study needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.api import emulate
    from workbench.comparison import compare
    from workbench.cost_table import estimate_costs
    from workbench.errors import WorkbenchError
    from workbench.hardware import load_profile
    from workbench.loaders import load_model
    from workbench.study import run_study
    from workbench.truth import TruthTable
    from workbench.truth_table import exhaustive, exhaustive_table

__all__ = [
    "TruthTable", "WorkbenchError", "compare", "emulate", "estimate_costs", "exhaustive", "exhaustive_table", "load_model",
    "load_profile", "run_study",
]  # fmt: skip

_HOMES = {
    "compare": "comparison",
    "emulate": "api",
    "load_profile": "hardware",
    "load_model": "loaders",
    "run_study": "study",
    "exhaustive": "truth_table",
    "exhaustive_table": "truth_table",
    "TruthTable": "truth",
    "estimate_costs": "cost_table",
    "WorkbenchError": "errors",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'workbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
