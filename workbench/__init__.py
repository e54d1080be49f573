"""The workbench: choose a precision for every layer, bit for bit as the target computes.

`load_model`, `load_profile`, `emulate` and `run_study` are the stable interface; they are imported when first used, so that
`import workbench` (and the command line's help) stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.api import emulate, load_model, load_profile, run_study

__all__ = ["emulate", "load_model", "load_profile", "run_study"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("workbench.api"), name)
    raise AttributeError(f"module 'workbench' has no attribute '{name}'")
