"""`Expectation`: what a search expects of the quality of plans, learned from exact results: a surrogate, and the feature that it
needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError
from workbench.search.margins import ANCHORS, COUNT, Margins, Samples
from workbench.search.memory import Row
from workbench.search.surrogate import Encoding, Kernel, Surrogate, fit

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

QUALITIES = ("metric", "loss")

FIT_ROWS = 300
"""Results that a kernel is fitted to, at most, drawn anew for each fit."""

LEARNED = 6000
"""Results that a surrogate is conditioned on, at most. The time goes with the cube of their number: half a minute with 14,500."""

REFIT = 1.3
"""The kernels are fitted again when there are this many times more results."""


def qualities(rows: Sequence[Row], quality: str) -> F64:
    """Return the quality of plans, [N]; one without a figure counts as the worst of the others."""
    found = np.array([row.badness if quality == "metric" else row.loss for row in rows])
    usable = np.isfinite(found)
    return np.where(usable, found, found[usable].max(initial=0.0))


def need_figure(rows: Sequence[Row], quality: str) -> None:
    """Raise InputError when no plan has a finite quality."""
    if not any(np.isfinite(row.badness if quality == "metric" else row.loss) for row in rows):
        raise InputError(
            f"quality '{quality}': none of the {len(rows):,} plans evaluated has a finite figure, so nothing can be compared. "
            "Check the network, the samples and the metric with one evaluation of the default plan."
        )


def finite_losses(losses: F32) -> F32:
    """Return losses [P, n], those without a figure as the worst of the others."""
    usable = np.isfinite(losses)
    return losses if usable.all() else np.where(usable, losses, losses[usable].max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Expectation:
    """A surrogate of the quality (of its power, see `scale`), and what its feature is made from."""

    surrogate: Surrogate
    margins: Margins | None
    centre: float
    spread: float
    power: float

    def feature(self, at: F32) -> F64 | None:
        """Return the feature of plans, [P]. at: indicators."""
        return None if self.margins is None else (self.margins.expected(at) - self.centre) / self.spread

    def scale(self, values: F64) -> F64:
        """Return qualities as the surrogate has them: themselves, or for power 0 their logarithm, 0.5 their root."""
        return scaled(values, self.power)

    def predict(self, at: F32) -> F64:
        """Return the expected quality of plans, [P]."""
        found = self.surrogate.mean(at, self.feature(at))
        if self.power == 0.0:
            return np.exp(found)
        # A root expected below zero: in the order of the others, which squares would not keep.
        return found if self.power == 1.0 else found * np.abs(found)


def scaled(values: F64, power: float) -> F64:
    """Return values as a surrogate has them."""
    if power == 1.0:
        return values
    return np.log(np.maximum(values, 1e-12)) if power == 0.0 else np.sqrt(np.maximum(values, 0.0))


@dataclass(eq=False)
class Learner:
    """What is learned again and again while results come in. fitted: results at the last fit of the kernels; follow: whether single
    samples were followed then: for a share always, for a mean loss while every result is an anchor (with 400 anchors for 2,952 results,
    tau on all plans of DS-CNN was 0.88, without them 0.95, with all as anchors 0.97). most: results that a kernel is fitted to;
    anchors: results that the samples are conditioned on."""

    encoding: Encoding
    quality: str
    rng: np.random.Generator
    most: int = FIT_ROWS
    anchors: int = ANCHORS
    fitted: int = 0
    follow: bool = True

    def __post_init__(self) -> None:
        self.kernels = [Kernel.start(self.encoding), Kernel.start(self.encoding)]

    def due(self, count: int) -> bool:
        """Whether the kernels are to be fitted again when there are so many results."""
        return count >= REFIT * self.fitted

    def learn(self, at: F32, rows: Sequence[Row], count: int | None = None) -> Expectation:
        """Return what results say, the kernels fitted again when there are many more than at the last fit. at: indicators [N, Q];
        count: of all results, where these are a part of them."""
        count = len(rows) if count is None else count
        need_figure(rows, self.quality)
        right = [row.correct for row in rows if row.correct is not None]
        judged = len(right) == len(rows)
        follow = judged if self.quality == "metric" else len(rows) <= self.anchors
        if follow != self.follow:
            self.follow, self.kernels[1], self.fitted = follow, Kernel.start(self.encoding), 0
        again = self.due(count)
        few = self.rng.permutation(len(rows))[: self.most]
        if again:
            self.fitted = count
        margins: Margins | None = None
        feature: F64 | None = None
        centre, spread = 0.0, 1.0
        if follow:
            losses = finite_losses(np.array([row.losses for row in rows]))
            samples = Samples.of(losses, np.array(right) if judged else None, self.quality == "metric", self.rng)
            if again and samples.values.shape[1]:
                part = Samples(samples.values[few], None, samples.odds).components()
                self.kernels[0] = fit(self.kernels[0], at[few].astype(np.float64), None, part, count=COUNT)
            margins, expected = Margins.of(self.kernels[0], at, samples, self.rng, self.anchors)
            centre, spread = float(expected.mean()), float(expected.std()) or 1.0
            feature = (expected - centre) / spread
        # A cross-entropy is modelled by its logarithm; an error against a reference by its root, the length of a sum of errors.
        power = 1.0 if self.quality == "metric" else 0.0 if judged else 0.5
        values = scaled(qualities(rows, self.quality), power)
        if again:
            part = (values[few] - values[few].mean()) / (values[few].std() or 1.0)
            self.kernels[1] = fit(self.kernels[1], at[few].astype(np.float64), None if feature is None else feature[few], part)
        return Expectation(Surrogate.of(self.kernels[1], at, feature, values), margins, centre, spread, power)
