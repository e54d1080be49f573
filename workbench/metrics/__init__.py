"""What is measured on outputs: one registry entry per metric, from per-sample scores, so that comparisons can be paired."""

from workbench.metrics.anomaly import auc
from workbench.metrics.base import METRICS, PROBABILITY_FLOOR, Metric, Raw, Scores, Truth, predictions
from workbench.metrics.basic import sqnr_db
from workbench.metrics.labels import check_labels, classes_of
from workbench.metrics.paired import paired_change, worsening_bound
from workbench.metrics.select import make_metric, named_metric, usual
from workbench.metrics.settings import MetricSettings
from workbench.metrics.user import source_digest, source_file

__all__ = [
    "METRICS", "PROBABILITY_FLOOR", "Metric", "MetricSettings", "Raw", "Scores", "Truth", "auc", "check_labels", "classes_of",
    "make_metric", "named_metric", "paired_change", "predictions", "source_digest", "source_file", "sqnr_db", "usual",
    "worsening_bound",
]  # fmt: skip
