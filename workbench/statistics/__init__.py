"""What samples say of plans: differences, ranks, the chosen one, and how sure. Arrays in, numbers out."""

from workbench.statistics.bootstrap import bca_interval, mean_intervals, resamples, simultaneous_intervals, weighted_sums
from workbench.statistics.bounds import drop_bound
from workbench.statistics.paired import (
    Z95,
    Z95_ONE_SIDED,
    Difference,
    discordant,
    likelihood_interval,
    mcnemar,
    paired_difference,
    share_interval,
)
from workbench.statistics.power import (
    Separation,
    chance_to_tell,
    mean_half,
    samples_for_mean,
    samples_needed,
    separable,
    unseen_share,
)
from workbench.statistics.ranks import Ranks, rank_intervals
from workbench.statistics.selection import Winner, winner_interval, winner_of_means

__all__ = [
    "Z95",
    "Z95_ONE_SIDED",
    "Difference",
    "Ranks",
    "Separation",
    "Winner",
    "bca_interval",
    "chance_to_tell",
    "discordant",
    "drop_bound",
    "likelihood_interval",
    "mcnemar",
    "mean_half",
    "mean_intervals",
    "paired_difference",
    "rank_intervals",
    "resamples",
    "samples_for_mean",
    "samples_needed",
    "separable",
    "share_interval",
    "simultaneous_intervals",
    "unseen_share",
    "weighted_sums",
    "winner_interval",
    "winner_of_means",
]
