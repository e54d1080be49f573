"""80 % intervals: how the uncertainty of single constants and of the model combine.

A constant of uncertainty u lies in value / (1 + u) .. value * (1 + u). Terms that share a constant are wrong together (their
errors add), different constants are independent (root of the sum of squares). Fitted constants are wrong against each other by
construction, so they have one common error: that of the model on a network it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot
from typing import Literal, get_args

from workbench.hardware.costs import BASES, Basis, Constant

Part = Literal["compute", "unpack", "memory", "overhead", "host"]
PARTS: tuple[Part, ...] = get_args(Part)
"""What the time of a layer is spent on: arithmetic, bringing weights into the kernel's form, moving bytes, fixed costs, the host."""

FITTED = ("measured here", "same device and runtime", "same core class")
"""Bases of constants that were fitted together, so that they are wrong together."""


@dataclass(frozen=True)
class Interval:
    """A value with its 80 % interval: value / (1 + relative) .. value * (1 + relative)."""

    value: float
    relative: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value / (1 + self.relative)

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value * (1 + self.relative)


@dataclass(frozen=True)
class Term:
    """A part of a cost: amount (of any unit) that is proportional to one constant. key: which constant. part: of `PARTS`."""

    key: str
    amount: float
    basis: Basis
    uncertainty: float
    part: Part = "compute"

    @staticmethod
    def of(key: str, constant: Constant, count: float, part: Part = "compute") -> Term:
        """Return count x constant."""
        return Term(key, count * constant.value, constant.basis, constant.uncertainty, part)


def combine(terms: Iterable[Term], model: float) -> Interval:
    """Return the sum of terms. model: uncertainty of the model itself, on the terms that are not assumed."""
    shared: dict[str, float] = {}
    total = modelled = 0.0
    for term in terms:
        total += term.amount
        if term.basis in FITTED:
            modelled += term.amount
        else:
            shared[term.key] = shared.get(term.key, 0.0) + term.amount * term.uncertainty
    half = hypot(model * modelled, *shared.values())
    return Interval(total, half / total if total > 0 else 0.0)


def product(a: Interval, constant: Constant) -> Interval:
    """Return interval x constant, independent."""
    return Interval(a.value * constant.value, hypot(a.relative, constant.uncertainty))


def basis_text(terms: Iterable[Term]) -> str:
    """Return the bases that make at least 5 % of a sum, surest first: 'same core class + assumed'."""
    total = 0.0
    shares: dict[Basis, float] = {}
    for term in terms:
        total += term.amount
        shares[term.basis] = shares.get(term.basis, 0.0) + term.amount
    found = [basis for basis in BASES if (share := shares.get(basis, 0.0)) > 0 and share >= 0.05 * total]
    return " + ".join(found) or "none"
