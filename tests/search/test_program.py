"""The program against brute force, against dynamic programming on a chain, and what it prints."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.search.program import Factor, Linear, Program, additive
from workbench.search.solve import frontier, solve
from workbench.search.tables import Assembly

Table = dict[tuple[int, ...], float]


class Instance:
    """Tables over groups, as functions of a code, and the program that was assembled of them.

    Conversions on a residual graph: between neighbours, and to the group before the last; a kernel of conversions is there once.
    """

    def __init__(self, seed: int, options: tuple[int, ...] = (3, 2, 4, 3, 2), steps: int = 6) -> None:
        rng = np.random.default_rng(seed)
        self.options, count = options, len(options)
        self.edges = [(g, g + 1) for g in range(count - 1)] + [(0, count - 2)]
        self.own = {
            name: [rng.normal(size=n) * size for n in options] for name, size in (("loss", 1.0), ("flash", 1e5), ("time", 1e-6))
        }
        self.kinds = [rng.integers(0, 2, n) for n in options]
        self.price = {edge: rng.random() * 1e4 for edge in self.edges}
        self.mixed = {edge: rng.normal(size=(options[edge[0]], options[edge[1]])) for edge in self.edges}
        self.kernel = 5e4
        self.steps = rng.integers(0, 1000, (steps, count, max(options)))
        made = Assembly(options, 3 + steps)
        for row, name in enumerate(("loss", "flash", "time")):
            for g, adds in enumerate(self.own[name]):
                made.add([g], adds[:, None], [row])
        for edge in self.edges:
            made.add(edge, self.mixed[edge][..., None], [0])
            differ = self.kinds[edge[0]][:, None] != self.kinds[edge[1]]
            made.add(edge, (differ * self.price[edge])[..., None], [1])
            made.add(edge, (differ * 300.0)[..., None], [3])
            made.needs("kernel", edge, differ)
        for g, n in enumerate(options):
            made.add([g], self.steps[:, g, :n].T.astype(float), range(3, 3 + steps))
        self.program = made.program(
            {"loss": 0, "flash": 1, "time": 2}, {"ram": range(3, 3 + steps)}, {"kernel": (1, self.kernel)}
        )

    def values(self, code: tuple[int, ...]) -> dict[str, float]:
        """Return every quantity of a code, from the tables."""
        found = {name: sum(adds[f] for adds, f in zip(own, code, strict=True)) for name, own in self.own.items()}
        differ = [e for e in self.edges if self.kinds[e[0]][code[e[0]]] != self.kinds[e[1]][code[e[1]]]]
        found["loss"] += sum(self.mixed[e][code[e[0]], code[e[1]]] for e in self.edges)
        found["flash"] += sum(self.price[e] for e in differ) + (self.kernel if differ else 0.0)
        live = [sum(step[g][f] for g, f in enumerate(code)) for step in self.steps]
        live[0] += 300.0 * len(differ)
        return found | {"ram": max(live)}

    def every(self) -> list[tuple[tuple[int, ...], dict[str, float]]]:
        """Return all codes with their quantities."""
        return [(code, self.values(code)) for code in itertools.product(*map(range, self.options))]


@pytest.mark.parametrize("seed", range(4))
def test_the_program_has_the_quantities_of_every_choice(seed: int) -> None:
    instance = Instance(seed)
    codes, wanted = zip(*instance.every(), strict=True)
    found = instance.program.values(np.array(codes))
    for name in ("loss", "flash", "time", "ram"):
        np.testing.assert_allclose(found[name], [w[name] for w in wanted], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("minimize", ["loss", "flash", "ram"])
def test_the_optimum_is_that_of_brute_force(seed: int, minimize: str) -> None:
    instance = Instance(seed)
    every = instance.every()
    limits = {
        name: float(np.quantile([v[name] for _, v in every], q)) for name, q in (("flash", 0.4), ("time", 0.5), ("ram", 0.4))
    }
    limits.pop(minimize, None)
    within = [v[minimize] for _, v in every if all(v[name] <= limit for name, limit in limits.items())]
    found = solve(instance.program, {minimize: 1.0}, limits)
    if not within:
        assert found is None
        return
    assert found is not None and found.gap == 0.0
    assert found.objective == pytest.approx(min(within), rel=1e-9, abs=1e-12)
    assert found.bound <= found.objective + 1e-9 * abs(found.objective)
    assert instance.values(found.choice)[minimize] == pytest.approx(found.objective, rel=1e-9, abs=1e-12)
    assert all(instance.values(found.choice)[name] <= limit * (1 + 1e-8) for name, limit in limits.items())


def test_excluded_choices_do_not_come_back_and_the_next_best_does() -> None:
    instance = Instance(1)
    order = sorted(v["loss"] for _, v in instance.every())
    seen: list[tuple[int, ...]] = []
    for best in order[:8]:
        found = solve(instance.program, {"loss": 1.0}, {}, seen)
        assert found is not None and found.choice not in seen
        assert found.objective == pytest.approx(best)
        seen.append(found.choice)


def test_the_frontier_is_that_of_brute_force_at_every_budget() -> None:
    instance = Instance(2)
    every = instance.every()
    found = frontier(instance.program, "loss", "flash", 9)
    flash = [s.values["flash"] for s in found]
    assert flash == sorted(flash) and len(found) > 3
    assert flash[0] == pytest.approx(min(v["flash"] for _, v in every))
    for solution in found:
        best = min(v["loss"] for _, v in every if v["flash"] <= solution.values["flash"] + 1e-6)
        assert solution.values["loss"] == pytest.approx(best)


def test_tied_groups_have_one_format() -> None:
    free = additive({"loss": [np.array([0.0, 1.0]), np.array([1.0, 0.0])]})
    tied = additive({"loss": [np.array([0.0, 1.0]), np.array([1.0, 0.5])]}, ((0, 1),))
    first, second = solve(free, {"loss": 1.0}, {}), solve(tied, {"loss": 1.0}, {})
    assert first is not None and first.choice == (0, 1)
    assert second is not None and second.choice == (0, 0) and second.objective == 1.0


def test_impossible_limits_give_none_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert solve(Instance(3).program, {"loss": 1.0}, {"flash": -1e12}) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(3))
def test_a_long_chain_equals_dynamic_programming(seed: int) -> None:
    """100 groups x 5 formats with pairwise terms and an integer budget: beyond SMALL, so that options are left out and proven."""
    rng = np.random.default_rng(seed)
    groups, formats, budget = 100, 5, 600
    bits, loss = rng.integers(1, 12, (groups, formats)), rng.random((groups, formats))
    mixed = rng.random((groups - 1, 2, 2)) * 0.3
    kinds = (0, 0, 0, 1, 1)
    factors = tuple(Factor((g, g + 1), (kinds, kinds)) for g in range(groups - 1))
    weights = np.concatenate([loss.ravel(), mixed.ravel()])[None]
    program = Program(
        (formats,) * groups,
        factors,
        sums={
            "loss": Linear(np.zeros(1), weights),
            "bits": Linear(np.zeros(1), np.concatenate([bits.ravel(), np.zeros(mixed.size)])[None]),
        },
    )
    best = np.full((2, budget + 1), np.inf)  # kind of the last format, bits so far
    for f in range(formats):
        np.minimum.at(best[kinds[f]], bits[0, f], loss[0, f])
    for g in range(1, groups):
        new = np.full_like(best, np.inf)
        for f in range(formats):
            for k in range(2):
                step = np.concatenate([np.full(bits[g, f], np.inf), best[k][: budget + 1 - bits[g, f]]])
                new[kinds[f]] = np.minimum(new[kinds[f]], step + loss[g, f] + mixed[g - 1, k, kinds[f]])
        best = new
    found = solve(program, {"loss": 1.0}, {"bits": float(budget)})
    assert found is not None and found.gap == 0.0
    assert found.objective == pytest.approx(best.min(), rel=1e-9)


def _scored(loss: list[np.ndarray], flash: list[np.ndarray]) -> Program:
    return additive({"loss": loss, "flash": flash})


@pytest.mark.parametrize("seed", range(8))
def test_the_frontier_holds_no_choice_that_another_beats(seed: int) -> None:
    """Small whole numbers: many choices are equally good in one quantity."""
    rng = np.random.default_rng(seed)
    loss = [rng.integers(0, 2, 3).astype(float) for _ in range(4)]
    flash = [rng.integers(0, 5, 3).astype(float) for _ in range(4)]
    every = {
        tuple(sum(own[f] for own, f in zip(adds, code, strict=True)) for adds in (flash, loss))
        for code in itertools.product(range(3), repeat=4)
    }
    wanted = {p for p in every if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in every)}
    found = [(s.values["flash"], s.values["loss"]) for s in frontier(_scored(loss, flash), "loss", "flash", 40)]
    assert set(found) == wanted and len(found) == len(wanted)


def test_an_objective_of_zero_has_no_gap() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        loss = [np.array([0.0, 0.1, 0.3]) * rng.random() for _ in range(6)]
        loss[0], loss[1] = loss[0] - 0.05, loss[1] + 0.05
        found = solve(_scored(loss, [rng.random(3) for _ in range(6)]), {"loss": 1.0}, {})
        assert found is not None and found.gap == 0.0 and found.bound == found.objective
        assert found.objective == pytest.approx(sum(own.min() for own in loss), abs=1e-9)


def test_an_unknown_quantity_and_a_limit_that_is_no_number_are_said() -> None:
    program = Instance(0).program
    with pytest.raises(
        InputError, match=r"minimize: 'latency' is no quantity of this program\. Quantities: loss, flash, time, ram"
    ):
        solve(program, {"latency": 1.0}, {})
    with pytest.raises(InputError, match="at_most: 'sram' is no quantity"):
        solve(program, {"loss": 1.0}, {"sram": 1.0})
    with pytest.raises(InputError, match="at_most: ram is NaN"):
        solve(program, {"loss": 1.0}, {"ram": float("nan")})
