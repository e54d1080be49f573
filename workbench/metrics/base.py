"""What a metric is, what outputs are judged by, and what is kept of every sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.kernels.scores import score_outputs, sum_rows
from workbench.metrics.settings import MetricSettings
from workbench.registry import Registry

Array = npt.NDArray[Any]
F64 = npt.NDArray[np.float64]
B8 = npt.NDArray[np.bool_]

PROBABILITY_FLOOR = 1.0 / 512.0
"""Half a step of an int8 softmax (scale 1/256): what a stored 0 may have been. Cross-entropy and KL of quantized outputs use it."""

Needs = Literal["", "classes", "numbers", "maps", "tokens", "sequences", "binary", "any"]
"""What labels a metric reads: none; a class per sample; numbers like the outputs; a class per position; the next tokens; token
sequences padded with -1; 0 (normal) or 1 (anomaly); or whatever a function of the study wants."""

Interval = Literal["binary", "mean", "bootstrap", "jackknife"]
"""How the change of a figure gets its interval: see `metrics.paired`."""


class Raw(NamedTuple):
    """Outputs of some samples as rows [n, C]; real = float32(scale * (row - zero_point))."""

    rows: Array
    scale: np.float32 = np.float32(1)
    zero_point: int = 0

    def real(self) -> npt.NDArray[np.float32]:
        """Return the real numbers, float32 [n, C]."""
        if self.rows.dtype == np.float32 and self.scale == 1 and not self.zero_point:
            return self.rows
        exact = (self.rows.astype(np.float64) - self.zero_point).astype(np.float32)
        return np.asarray(self.scale * exact, np.float32)


@dataclass(frozen=True, eq=False)
class Truth:
    """What outputs are judged by, for N samples. The judged output comes first; others join error, SQNR, MSE and cosine only.

    reference: the float reference's judged output, float64 [N, C]. labels: classes int64 [N] or None. probabilities: the judged
    output is a softmax. threshold: above it, a single output says class 1. plain: the judged output holds integers
    without a scale. order: which outputs of a program these are. others: references of the other outputs, [N, C'].
    shapes: of the outputs without the batch. targets: labels of a task metric, any shape, N first. samples: the model's input as real
    numbers [N, D], for reconstruction errors. files: to which file each sample belongs, int64 [N]. extras: metrics whose per-sample
    scores are wanted beside those of `Scores`.
    """

    reference: F64
    labels: npt.NDArray[np.int64] | None
    probabilities: bool
    threshold: float = 0.0
    plain: bool = False
    order: tuple[int, ...] = (0,)
    others: tuple[F64, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    names: tuple[str, ...] = ()
    targets: Array | None = None
    samples: Array | None = None
    files: npt.NDArray[np.int64] | None = None
    settings: MetricSettings = field(default_factory=MetricSettings)
    extras: tuple[Metric, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the judged output without the batch."""
        return self.shapes[0] if self.shapes else self.reference.shape[1:]

    @property
    def elements(self) -> int:
        """Elements of all outputs of all samples."""
        return sum(r.size for r in (self.reference, *self.others))


@dataclass(frozen=True, eq=False)
class Metric:
    """One figure per plan, and what it is made of, sample by sample.

    unit: 'share' (shown in percent, changes in points), 'nat', 'dB', or ''. higher_is_better orders plans.
    figures(scores, truth) -> float64 [P], the same for any number of plans together.
    evidence(scores, truth): what changes are paired by: bool [P, N] (interval 'binary'), float64 [P, U, K] otherwise.
    combine(weights [B, U], evidence [U, K]) -> [B]: the figure of weighted samples or files, for the bootstrap.
    strata(evidence [U, K]) -> [U]: samples are drawn again within these alone. score(outputs, part, truth) -> [n, K]: scores of
    some samples, where those that are always kept do not say enough; `columns` is K, `kept` their type.
    """

    name: str
    title: str
    unit: str
    needs: Needs
    higher_is_better: bool
    summary: str
    figures: Callable[[Scores, Truth], F64]
    interval: Interval
    evidence: Callable[[Scores, Truth], Array]
    combine: Callable[[F64, F64], F64] | None = None
    strata: Callable[[F64], Array] | None = None
    score: Callable[[Sequence[Raw], slice, Truth], Array] | None = None
    columns: Callable[[Truth], int] = lambda truth: 1
    kept: type[np.generic] = np.float64
    optional_labels: bool = False
    """Labels may be missing: the metric finds them in the samples."""
    least_classes: int = 2
    """With fewer classes the figure is the same whatever a network puts out."""

    @property
    def needs_labels(self) -> bool:
        """True when there is no figure without labels."""
        return self.needs not in ("", "any") and not self.optional_labels

    @property
    def is_share(self) -> bool:
        """True when the figure is shown in percent and its changes in points."""
        return self.unit == "share"

    @property
    def short(self) -> str:
        """The title without what it compares with: for headings."""
        return self.title.split(" with ")[0]

    @property
    def worse_word(self) -> str:
        """What a worsening is: a drop of what should be high, a rise of what should be low."""
        return "drop" if self.higher_is_better else "rise"

    def badness(self, figure: float) -> float:
        """Return the figure turned so that less is better; a plan without a figure is the worst."""
        value = -figure if self.higher_is_better else figure
        return float("inf") if value != value else value

    def worsening(self, change: float) -> float:
        """Return how much worse a change of the figure is (negative: better)."""
        return -change if self.higher_is_better else change


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of P plans on N samples.

    classes: unsigned, as small as they fit [P, N]. error: sum of squared differences from the reference, float64 [P, N].
    entropy: -log p(label), float64 [P, N]; [P, 0] without labels. extra: by metric, [P, N, K].
    """

    classes: Array
    error: F64
    entropy: F64
    extra: Mapping[str, Array] = field(default_factory=dict)

    @staticmethod
    def empty(plans: int, truth: Truth) -> Scores:
        """Return scores to be filled by `put`."""
        samples, classes = truth.reference.shape
        return Scores(
            np.empty((plans, samples), np.min_scalar_type(max(classes - 1, 1))),
            np.empty((plans, samples)),
            np.empty((plans, 0 if truth.labels is None else samples)),
            {m.name: np.empty((plans, samples, m.columns(truth)), m.kept) for m in truth.extras},
        )

    @staticmethod
    def sample_bytes(truth: Truth) -> int:
        """Return the bytes of the scores of one plan on one sample: two float64, a class of up to 16 bits, and the extras."""
        return 18 + sum(m.columns(truth) * np.dtype(m.kept).itemsize for m in truth.extras)

    def put(self, plan: int, first: int, outputs: Sequence[Raw], truth: Truth) -> None:
        """Score one plan's outputs, the judged one first, of the samples from `first` on."""
        judged = outputs[0]
        labels = _NO_LABELS if truth.labels is None else truth.labels
        floor = PROBABILITY_FLOOR if truth.probabilities else 0.0
        score_outputs(
            judged.rows, judged.scale, judged.zero_point, truth.reference, labels, floor, first,
            self.classes[plan], self.error[plan], self.entropy[plan],
        )  # fmt: skip
        part = slice(first, first + len(judged.rows))
        if truth.reference.shape[1] == 1:
            self.classes[plan, part] = judged.real()[:, 0] > truth.threshold
            if truth.labels is not None:
                self.entropy[plan, part] = _binary_entropy(judged.real()[:, 0], truth.labels[part], truth)
        for output, reference in zip(outputs[1:], truth.others, strict=False):
            self.error[plan, part] += ((output.real() - reference[part]) ** 2).sum(axis=1)
        for metric in truth.extras:
            assert metric.score is not None
            self.extra[metric.name][plan, part] = metric.score(outputs, part, truth)


_NO_LABELS = np.empty(0, np.int64)


def _binary_entropy(real: Array, labels: Array, truth: Truth) -> F64:
    """Return -log p(label) of one output: the probability of class 1 (threshold 0.5), or its logit."""
    y = real.astype(np.float64)
    if truth.threshold > 0.0:
        return np.asarray(-np.log(np.maximum(np.where(labels == 1, y, 1.0 - y), PROBABILITY_FLOOR)))
    return np.asarray(np.logaddexp(0.0, np.where(labels == 1, -y, y)))


METRICS: Registry[Metric] = Registry("metric")


def predictions(real: F64, threshold: float = 0.0) -> npt.NDArray[np.int64]:
    """Return the class of each sample: the first of the largest outputs; of a single output, whether it is above the threshold."""
    rows = real.reshape(len(real), -1)
    if rows.shape[1] == 1:
        return np.asarray(rows[:, 0] > threshold, np.int64)
    return np.asarray(np.argmax(rows, axis=1), np.int64)


def sums(values: F64) -> F64:
    """Return the sums of the rows of [R, N], added from left to right."""
    found = np.empty(len(values))
    sum_rows(values, found)
    return found


def column_sums(values: F64) -> F64:
    """Return the sums over samples of evidence [P, N, K], added one sample after the other: [P, K]."""
    plans, samples, columns = values.shape
    rows = np.ascontiguousarray(np.moveaxis(values, 1, 2)).reshape(plans * columns, samples)
    return sums(rows).reshape(plans, columns)
