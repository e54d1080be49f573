"""pow: a ** b, NumPy broadcasting. Floats: in float64, rounded once. Integers without a scale: exact, wrapping; no negative exponent.

Source: TFLite pow.cc, which refuses negative integer exponents; ONNX Pow.
"""

from __future__ import annotations

import numpy as np

from workbench.errors import InputError
from workbench.ops._binary import register_binary
from workbench.ops.base import Array


def _real(a: Array, b: Array) -> Array:
    return np.asarray(np.power(a.astype(np.float64), b.astype(np.float64)), np.float32)


def _whole(a: Array, b: Array) -> Array:
    if (b < 0).any():
        raise InputError("an integer has a negative exponent.")
    with np.errstate(over="ignore"):
        return np.asarray(np.power(a, b))


POW = register_binary("pow", _real, "a to the power of b", whole=_whole)
