"""One operator = one file: attributes, shape rule, float reference, bit-exact emulation, counts.

Every module of this folder is imported once and registers its `OpSpec`s; there is no central list.
"""

from __future__ import annotations

import importlib
import pkgutil

from workbench.ops.base import OPS, Counts, OpSpec, Site, Weights

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["OPS", "Counts", "OpSpec", "Site", "Weights"]
