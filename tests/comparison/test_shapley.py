"""Shapley values against the definition: what a player adds, averaged over every order of arrival."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.comparison.shapley import shapley


def over_all_orders(values: list[int], players: int) -> list[Fraction]:
    shares = [Fraction(0)] * players
    orders = list(permutations(range(players)))
    for order in orders:
        mask = 0
        for player in order:
            shares[player] += Fraction(values[mask | 1 << player] - values[mask], len(orders))
            mask |= 1 << player
    return shares


games = st.integers(0, 5).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.integers(-1000, 1000), min_size=1 << n, max_size=1 << n))
)


@given(games)
def test_shares_are_averages_over_all_orders_and_add_up_exactly(game: tuple[int, list[int]]) -> None:
    players, values = game
    shares = shapley(values, players)
    assert shares == over_all_orders(values, players)
    assert sum(shares) == values[-1] - values[0]


def test_two_players_who_are_worth_something_only_together_share_evenly() -> None:
    assert shapley([0, 0, 0, 7], 2) == [Fraction(7, 2), Fraction(7, 2)]


def test_a_player_who_changes_nothing_has_no_share() -> None:
    assert shapley([3, 3, 10, 10], 2) == [0, 7]


def test_values_of_every_coalition_are_wanted() -> None:
    with pytest.raises(ValueError, match="3 values for 2 players"):
        shapley([0, 1, 2], 2)
