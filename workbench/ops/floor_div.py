"""floor_div: floor(a / b); floor_mod: a - floor(a / b) * b, which has the sign of b. NumPy broadcasting.

Floats: the quotient in float64, as TFLite does; the remainder exact. Source: TFLite reference/floor_div.h, floor_mod.h.
"""

from __future__ import annotations

import numpy as np

from workbench.ops import _plain
from workbench.ops._binary import register_binary
from workbench.ops.base import Array


def _quotient(a: Array, b: Array) -> Array:
    return np.asarray(np.floor(a.astype(np.float64) / b.astype(np.float64)), np.float32)


FLOOR_DIV = register_binary("floor_div", _quotient, "floor(a / b)", whole=_plain.floor_divide)
FLOOR_MOD = register_binary("floor_mod", np.mod, "remainder of a / b with the sign of b", whole=_plain.floor_mod)
