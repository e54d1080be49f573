"""`Expectation`: what a search expects of the quality of plans: a surrogate, and the feature that it needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.search.margins import Margins
from workbench.search.surrogate import Kernel, Surrogate, fit

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Expectation:
    """A surrogate of the quality (of its logarithm, when `log`), and what its feature is made from."""

    surrogate: Surrogate
    margins: Margins | None
    centre: float
    spread: float
    log: bool

    def feature(self, at: F32) -> F64 | None:
        """Return the feature of plans, [P]. at: indicators."""
        return None if self.margins is None else (self.margins.share(at) - self.centre) / self.spread

    def scale(self, values: F64) -> F64:
        """Return qualities as the surrogate has them."""
        return np.log(np.maximum(values, 1e-12)) if self.log else values

    def predict(self, at: F32) -> F64:
        """Return the expected quality of plans, [P]."""
        found = self.surrogate.mean(at, self.feature(at))
        return np.exp(found) if self.log else found


def fitted(kernel: Kernel, at: F32, feature: F64 | None, results: F64) -> Kernel:
    scaled = (results - results.mean()) / (results.std() or 1.0)
    return fit(kernel, at.astype(np.float64), feature, scaled)
