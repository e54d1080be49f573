"""Translators of TFLite operators by family.

Every module of this folder is imported once and fills `TRANSLATORS`; there is no central list.
"""

from __future__ import annotations

import importlib
import pkgutil

from workbench.loaders.tflite.call import TRANSLATORS

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["TRANSLATORS"]
