"""sin and cos, in float64 and rounded once."""

from __future__ import annotations

import numpy as np

from workbench.ops._functions import register_function
from workbench.ops._lut import in_float64

sin, cos = in_float64(np.sin), in_float64(np.cos)
SIN = register_function("sin", lambda _, x: sin(x), "sine", table=True)
COS = register_function("cos", lambda _, x: cos(x), "cosine", table=True)
