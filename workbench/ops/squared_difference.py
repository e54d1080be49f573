"""squared_difference: (a - b) * (a - b), NumPy broadcasting. Integers without a scale wrap around.

int8: both inputs, times 2**7, are brought to twice the larger scale, subtracted, squared exactly and rescaled once; int16 the same
without the 2**7. Source: TFLite squared_difference.cc; TFLM squared_difference.cc.
Constraints: (C1) one integer type, (C2) int16 has zero point 0.
"""

from __future__ import annotations

import numpy as np

from workbench.numerics.fixed_point import quantize_multiplier
from workbench.numerics.tflite_fixed_point import multiply
from workbench.ops._binary import register_binary
from workbench.ops._broadcast import binary_run
from workbench.ops._elementwise import quant_of, same_types, symmetric_int16
from workbench.ops._pairs import pair_compute, tabulate
from workbench.ops._plain import modular
from workbench.ops._tables import flat_requantizer
from workbench.ops.base import Array, Run, Site
from workbench.tensor import RANGES

LEFT_SHIFT = {"int8": 7, "int16": 0}


def _squared(a: Array, b: Array) -> Array:
    difference = np.subtract(a, b)
    return np.asarray(difference * difference)


def _quantized(site: Site) -> Run:
    dtype = same_types(site)
    if dtype not in LEFT_SHIFT:
        raise site.unsupported("known for int8 and int16 alone.")
    symmetric_int16(site, site.input(0), site.input(1), site.y)
    (sa, za), (sb, zb), (sy, zy) = (quant_of(site, t) for t in (site.input(0), site.input(1), site.y))
    more = LEFT_SHIFT[dtype]
    twice = 2.0 * float(max(sa, sb))
    m, s = (v.tolist() for v in quantize_multiplier(np.array([float(sa) / twice, float(sb) / twice])))
    scale = twice * twice / (float(sy) * 4.0**more)
    requantize = flat_requantizer(site, site.arithmetic.requantize, scale, zy, RANGES[dtype])

    def compute(a: Array, b: Array, y: Array) -> None:
        left = multiply((a.astype(np.int64) - za) << more, m[0], s[0])
        difference = left - multiply((b.astype(np.int64) - zb) << more, m[1], s[1])
        requantize((difference * difference).astype(np.int32), y)

    return binary_run(site, compute if dtype == "int16" else pair_compute(tabulate(compute), None))


SQUARED_DIFFERENCE = register_binary(
    "squared_difference", _squared, "(a - b) * (a - b)", whole=modular(_squared), quantized=_quantized
)
