"""maximum and minimum of two inputs, NumPy broadcasting. Integers with a scale: the larger, the smaller integer, all in one scale.

Source: TFLite maximum_minimum.cc, which compares the integers as they are stored. Constraint: (C1) one type, one scale, one zero point.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.ops._binary import register_binary
from workbench.ops._broadcast import binary_run
from workbench.ops._elementwise import same_quantization, same_types
from workbench.ops._plain import Function
from workbench.ops.base import Array, Run, Site


def _stored(function: Function) -> Callable[[Site], Run]:
    def prepare(site: Site) -> Run:
        same_types(site)
        for tensor in (site.input(0), site.input(1)):
            same_quantization(site, tensor, site.y)

        def compute(a: Array, b: Array, y: Array) -> None:
            y[:] = function(a, b)

        return binary_run(site, compute)

    return prepare


MAXIMUM = register_binary(
    "maximum", np.maximum, "the larger of a and b", whole=np.maximum, quantized=_stored(np.maximum), output_quant="shared"
)
MINIMUM = register_binary(
    "minimum", np.minimum, "the smaller of a and b", whole=np.minimum, quantized=_stored(np.minimum), output_quant="shared"
)
