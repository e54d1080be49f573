"""`plan_costs`: what the plans of a space cost on a target, as arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from workbench.cost.many import Estimator
from workbench.quantize import Lowering
from workbench.sweep import Codes, Space


def plan_costs(lowering: Lowering, space: Space) -> Callable[[Codes], npt.NDArray[np.float64]]:
    """Return a function that prices plans [P, G] on the target of a lowering: [P, 4], in the order of `COST_AXES`.

    The figures are those of `estimate`: bytes (the runtime's own included), bytes, seconds, joules.
    """
    estimator = Estimator(lowering.graph, lowering.profile)
    return lambda codes: estimator.prices(map(lowering.pieces, space.plans(codes)))
