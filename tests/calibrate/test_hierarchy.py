"""The hierarchical fit: against closed forms, brute force and data that it made itself."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.calibrate import hierarchy
from workbench.calibrate.hierarchy import Item, Spec, fit, from_json

KINDS = ("mac", "output")


def line(levels: dict[str, float], row_sd: float = 0.1) -> Spec:
    return Spec(("mac",), (0.0,), levels, row_sd)


def test_one_kind_is_linear_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one kind and normal errors the posterior is that of a linear model: effects and spreads by matrix inversion."""
    monkeypatch.setattr(hierarchy, "FREEDOM", 1e9)
    rows = [("a", "x", 0.3), ("a", "y", 0.9), ("b", "x", -0.2), ("b", "x", -0.1), ("c", "y", 0.7)]
    items = [Item((1.0,), {"core": c, "device*": d}, value) for c, d, value in rows]
    found = fit(
        line({"core": 0.5, "device*": 0.3}), items, {"ax": {"core": "a", "device*": "x"}, "a?": {"core": "a", "device*": "?"}}
    )
    names = [("core", "a"), ("core", "b"), ("core", "c"), ("device*", "x"), ("device*", "y")]
    design = np.array([[float(n in (("core", c), ("device*", d))) for n in names] for c, d, _ in rows])
    prior = np.diag([1 / 0.25] * 3 + [1 / 0.09] * 2)
    covariance = np.linalg.inv(design.T @ design / 0.01 + prior)
    mean = covariance @ design.T @ np.array([v for *_, v in rows]) / 0.01
    assert [float(found.effects[n][0]) for n in names] == pytest.approx(mean.tolist(), abs=2e-3)
    both = np.array([1.0, 0, 0, 1, 0])
    assert found.spreads["ax"][0] == pytest.approx(np.sqrt(both @ covariance @ both), rel=1e-6)
    assert found.spreads["a?"][0] == pytest.approx(np.sqrt(covariance[0, 0] + 0.09), rel=1e-6)


def test_constants_are_found_again() -> None:
    """Rows made from constants of two runtimes on two devices: networks of another mix are predicted."""
    truth = {"r1": (1.0, 20.0), "r2": (3.0, 8.0)}
    speed = {"d1": 1.0, "d2": 0.6}
    mixes = [(1e6, 1e3), (1e6, 5e4), (1e5, 3e4), (3e6, 1e5)]
    spec = Spec(KINDS, (0.5, 2.0), {"runtime": 1.0, "device*": 0.5}, 0.02)

    def row(r: str, d: str, mix: tuple[float, float]) -> Item:
        return Item(mix, {"runtime": r, "device*": d}, float(np.log(np.dot(mix, truth[r]) * speed[d])))

    found = fit(spec, [row(r, d, m) for r in truth for d in speed for m in mixes if (r, d) != ("r2", "d2")])
    for mix in ((2e6, 2e4), (2e5, 9e4)):
        wanted = row("r2", "d2", mix)
        assert found.predict(wanted) == pytest.approx(np.exp(wanted.log_value), rel=0.03)


def test_optimum_is_the_best_of_its_neighbours() -> None:
    """The posterior that is climbed is the best one around, by trying every effect a little up and down."""
    generator = np.random.default_rng(3)
    spec = Spec(KINDS, (0.0, 1.0), {"core": 0.4, "device*": 0.2}, 0.05)
    items = [
        Item(
            (float(a), float(b)),
            {"core": str(i % 3), "device*": str(i % 4)},
            float(np.log(a + 3 * b) + generator.normal(0, 0.1)),
        )
        for i, (a, b) in enumerate(generator.uniform(1, 9, (12, 2)))
    ]
    found = fit(spec, items)

    def badness(effects: dict[tuple[str, str], np.ndarray]) -> float:
        model = hierarchy.Fit(spec, effects)
        off = np.array([(i.log_value - np.log(model.predict(i))) / spec.row_sd for i in items])
        t = (hierarchy.FREEDOM + 1) * np.log1p(off**2 / hierarchy.FREEDOM).sum()
        return float(t + sum(np.sum(v**2 / spec.sd(level) ** 2) for (level, _), v in effects.items()))

    best = badness(dict(found.effects))
    for key, values in found.effects.items():
        for i in range(len(values)):
            for step in (-0.05, 0.05):
                moved = values.copy()
                moved[i] += step
                assert badness({**found.effects, key: moved}) > best - 0.05


def test_one_wrong_row_does_not_move_the_others() -> None:
    items = [Item((1.0,), {"core": "a"}, 0.5) for _ in range(9)]
    found = fit(line({"core": 1.0}), [*items, Item((1.0,), {"core": "a"}, 4.0)])
    assert found.effects["core", "a"][0] == pytest.approx(0.5, abs=0.05)  # the mean is 0.85


def test_unknown_keys_are_at_the_centre_of_their_prior() -> None:
    spec = Spec(KINDS, (0.0, 1.0), {"core*": 0.5}, 0.1, {("core*", "slow"): 1.5})
    found = fit(spec, [Item((1.0, 1.0), {"core*": "known"}, 2.0)])
    assert found.constants({"core*": "slow"}).tolist() == pytest.approx([1.5, 2.5])
    assert found.constants({"core*": "never seen"}).tolist() == pytest.approx([0.0, 1.0])


def test_json_gives_the_same_model() -> None:
    spec = line({"core": 0.5})
    found = fit(spec, [Item((2.0,), {"core": "a|b"}, 1.0)], {"all": {"core": "a|b"}})
    again = from_json(spec, found.to_json())
    assert again.predict(Item((3.0,), {"core": "a|b"})) == pytest.approx(found.predict(Item((3.0,), {"core": "a|b"})), rel=1e-3)
    assert again.spreads["all"][0] == pytest.approx(found.spreads["all"][0], abs=1e-3)
