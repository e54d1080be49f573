"""What the views of sensitivity find, as records: `views.find_views` makes them, a report draws them.

A *change* is one group in one format, everything else at the baseline. The *loss* of a plan is what adds up over layers best: the
mean cross-entropy with class labels, the mean squared error against the float reference without (`Sensitivity.predicted_loss`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from workbench.graph.ir import Array
from workbench.statistics import Difference
from workbench.sweep.groups import Group

View = Literal["off", "cumulative", "parts", "pairs", "proxies", "layers"]
VIEWS: tuple[View, ...] = ("off", "cumulative", "parts", "pairs", "proxies", "layers")
"""Views that may be asked for, in the order in which they are made and shown."""

Basis = Literal["emulated", "fake-quantized"]
"""emulated: the target's bits, by a plan. fake-quantized: the float reference with some tensors on the grid of the format."""


@dataclass(frozen=True)
class Effect:
    """What some outputs are worse by than others on the same samples.

    change: of the deciding metric, with its paired 95 % interval. loss_delta: of the loss. flips: samples of another class.
    sqnr_db: of the outputs against the float reference.
    """

    change: Difference
    loss_delta: float
    flips: int
    sqnr_db: float


@dataclass(frozen=True)
class ContextEffect:
    """One group in a network that is not the baseline otherwise.

    off: everything in `format` (groups that may not have it at the baseline), and this group back at the baseline, against all of
    them in the format: a negative loss_delta is what the group costs there. cumulative: this group and all before it in `format`,
    against the baseline.
    """

    group: Group
    format: str
    effect: Effect


@dataclass(frozen=True)
class Part:
    """What of a change is due to the weights' type and what to the activations'.

    emulated: `through` is the format with the type of that part alone, against the baseline. fake-quantized: that part alone on the
    grid of `format` in the float reference, against the float reference (then the part of the baseline's own format is a row too).
    """

    group: Group
    format: str
    part: Literal["weights", "activations", "both"]
    basis: Basis
    through: str
    effect: Effect


@dataclass(frozen=True)
class Interaction:
    """Two changes together: loss(a, b) - loss(a) - loss(b) + loss(baseline), and the same of the deciding metric.

    first, second: positions of the changes in `Pairs.changes`. joint: loss(a, b) - loss(baseline). loss: the interaction; positive
    when the two together lose more than the sum. change: of the figure of the deciding metric, with its paired 95 % interval where
    samples are right or wrong (without: estimate alone, from -inf to inf).
    """

    first: int
    second: int
    joint: float
    loss: float
    change: Difference


@dataclass(frozen=True)
class Pairs:
    """Interactions of the changes that matter most.

    singles: loss of every change less the baseline's. total: how many pairs there are; evaluations: plans that the pairs took.
    """

    changes: tuple[tuple[Group, str], ...]
    singles: tuple[float, ...]
    interactions: tuple[Interaction, ...]
    total: int
    evaluations: int

    def matrix(self) -> Array:
        """Return the interactions of the loss, [C, C], symmetric; NaN where a pair was not evaluated."""
        found = np.full((len(self.changes), len(self.changes)), np.nan)
        for one in self.interactions:
            found[one.first, one.second] = found[one.second, one.first] = one.loss
        return found


@dataclass(frozen=True)
class Mix:
    """One mixed plan: its loss less the baseline's, measured and predicted by the sum of singles, without and with interactions.

    known: share of its pairs whose interaction was evaluated (the others count as 0).
    """

    kind: Literal["random", "chosen"]
    label: str
    by_singles: float
    by_pairs: float
    measured: float
    known: float


@dataclass(frozen=True)
class Fit:
    """How well a prediction meets what was measured.

    bias, absolute: mean error and mean absolute error. root_mean_square: of the errors. relative: sum of |errors| / sum of |measured|.
    tau: Kendall's tau-b.
    """

    bias: float
    absolute: float
    root_mean_square: float
    relative: float
    tau: float


@dataclass(frozen=True)
class Additivity:
    """Whether losses of changes add up, on random mixes (drawn with `seed`) and on plans that were asked for."""

    mixes: tuple[Mix, ...]
    singles: Fit
    pairs: Fit
    seed: int


@dataclass(frozen=True)
class Proxy:
    """A score per change that ranks without evaluating the changes: a proposal, never a result.

    scores: of every change in the order of `Views.changes`, less the baseline's own; larger is expected to lose more. tau: Kendall's
    tau-b against the exact loss of the changes (NaN when all are equal). passes: runs of the network over all samples that it took,
    those on a part of them counted as that part, whether shared with another proxy or not. gradient: 'none', or how derivatives
    were had. source: the publication.
    """

    name: str
    title: str
    scores: tuple[float, ...]
    tau: float
    passes: float
    gradient: Literal["none", "finite differences"]
    source: str


@dataclass(frozen=True)
class Signal:
    """One layer's output against the float reference's: SQNR in dB, mean squared error, mean cosine of the samples."""

    sqnr_db: float
    mse: float
    cosine: float


@dataclass(frozen=True)
class Carried:
    """The network's outputs when an error inside is carried through the float rest of it, against the float reference.

    kl: mean KL divergence of the class distributions in nat; None where the outputs are none. cross_entropy: None without class
    labels. figure: of the deciding metric. flips: samples of another class.
    """

    kl: float | None
    cross_entropy: float | None
    figure: float
    flips: int


@dataclass(frozen=True)
class LayerEffect:
    """One layer in one format. local: this layer alone runs as deployed, on the float reference's values; cumulative: everything up to
    it does. carried_*: what that does to the outputs; None of a network with state."""

    layer: str
    format: str
    local: Signal
    cumulative: Signal
    carried_local: Carried | None
    carried_cumulative: Carried | None


@dataclass(frozen=True)
class Views:
    """The views that were asked for; empty or None: it was not. loss_title: of the loss, with its unit."""

    asked: tuple[View, ...] = ()
    loss_title: str = ""
    changes: tuple[tuple[Group, str], ...] = ()
    losses: tuple[float, ...] = ()
    """Exact loss of every change less the baseline's: what proxies are held against."""
    off: tuple[ContextEffect, ...] = ()
    cumulative: tuple[ContextEffect, ...] = ()
    parts: tuple[Part, ...] = ()
    pairs: Pairs | None = None
    additivity: Additivity | None = None
    proxies: tuple[Proxy, ...] = ()
    layers: tuple[LayerEffect, ...] = field(default=())
    evaluations: int = 0
    """Plans evaluated for the views, beyond the baseline and the changes."""
    float_samples: int = 0
    """Samples of what runs in the float reference: fake-quantized parts, layers and proxies with runs."""
