"""`Ratios`, a model of what is measured in bytes: measured = base x exp(sum of effects).

The base is counted from the structure (`footprint`); effects of the runtime, its version, the architecture and the network, with normal
priors (`effects`), say what a runtime makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Any

from workbench.calibrate.effects import Effects, Prior, fit_effects

SPREAD_WHOLE = 3.0
"""Log standard deviation of the effect that all rows share: the base is an order of magnitude."""


@dataclass(frozen=True)
class Ratios:
    """measured = base x exp(effects)."""

    effects: Effects

    def predict(self, base: float, keys: Mapping[str, str]) -> float:
        """Return the prediction. keys: kind of effect -> name."""
        return base * exp(self.effects.value(dict.fromkeys(keys.items(), 1.0)))

    def knows(self, kind: str, name: str) -> bool:
        """True when some fitted row had this key."""
        return self.effects.known(kind, name)

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        return self.effects.to_json()


def fit_ratios(rows: Iterable[tuple[float, float, Mapping[str, str]]]) -> Ratios | None:
    """Return the ratios of rows of (measured, base, keys), None without rows. The key `all` is shared by every row."""
    given = list(rows)
    if not given:
        return None
    kinds = {kind for _, _, keys in given for kind in keys}
    priors = {kind: Prior(spread=SPREAD_WHOLE) if kind == "all" else Prior() for kind in kinds}
    terms = [dict.fromkeys(keys.items(), 1.0) for _, _, keys in given]
    return Ratios(fit_effects(terms, [log(y / base) for y, base, _ in given], ["row"] * len(given), priors))


def ratios(value: Mapping[str, Any] | None) -> Ratios | None:
    """Return what `to_json` wrote."""
    return None if value is None else Ratios(Effects.load(value))
