"""floor, ceil, round (half to even), sign, neg: exact functions of one value.

neg of integers with a scale: -q as it is stored. Source: TFLite floor.h, round.h, sign.cc, neg.h."""

from __future__ import annotations

import numpy as np

from workbench.ops._elementwise import same_types
from workbench.ops._functions import register_function
from workbench.ops._tables import grid, table_run
from workbench.ops.base import DTYPES, Run, Site


def _negated(site: Site) -> Run:
    """Return LiteRT's negation of the integers as they are stored, whatever their scales; the lowest one stays."""
    return table_run(site, (-grid(same_types(site))).astype(DTYPES[site.y.dtype]))


FLOOR = register_function("floor", lambda _, x: np.floor(x), "largest integer that is not above x")
CEIL = register_function("ceil", lambda _, x: np.ceil(x), "smallest integer that is not below x")
ROUND = register_function("round", lambda _, x: np.rint(x), "nearest integer, half to even")
SIGN = register_function("sign", lambda _, x: np.sign(x), "-1, 0 or 1", whole=np.sign)
NEG = register_function("neg", lambda _, x: -x, "-x", whole=np.negative, types=("int32", "int64"), quantized=_negated)
