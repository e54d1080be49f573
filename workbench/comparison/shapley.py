"""Shapley values of a game on few players, exactly.

Source: L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II (1953) 307-317.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial


def shapley(values: Sequence[int | Fraction], players: int) -> list[Fraction]:
    """Return every player's share of values[all] - values[none]; the shares add up to it exactly.

    phi[i] = sum over coalitions S without i of |S|! (n - |S| - 1)! / n! * (v(S + i) - v(S)): what i adds, averaged over all
    orders in which the players can come.

    Args:
        values: v by coalition, 2**players of them; bit i of the index says that player i takes part.
    """
    if len(values) != 1 << players:
        raise ValueError(f"{len(values)} values for {players} players; expected {1 << players}.")
    weights = [Fraction(factorial(k) * factorial(players - k - 1), factorial(players)) for k in range(players)]
    shares = []
    for i in range(players):
        gains: list[int | Fraction] = [0] * players  # by the size of the coalition that is joined
        for mask in range(1 << players):
            if not mask >> i & 1:
                gains[mask.bit_count()] += values[mask | 1 << i] - values[mask]
        shares.append(sum((w * g for w, g in zip(weights, gains, strict=True)), Fraction(0)))
    return shares
