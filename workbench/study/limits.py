"""What a study wants and what limits it: costs with units, and how much worse its metric may become."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

from workbench.errors import InputError, StudyError, nearest
from workbench.metrics import Metric, named_metric
from workbench.search import COST_AXES, Limits
from workbench.study.units import parse_quantity


def _quantity(dimension: str) -> Any:
    return Annotated[float, BeforeValidator(lambda v: parse_quantity(v, dimension))]


Bytes, Seconds, Joules = _quantity("bytes"), _quantity("seconds"), _quantity("joules")
Share, Decibels, Duration = _quantity("share"), _quantity("decibels"), _quantity("duration")


class Record(BaseModel):
    """Base: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def metric_named(name: str) -> Metric:
    """Return a metric by name; ValueError with the known names otherwise."""
    try:
        return named_metric(name)
    except InputError as problem:
        raise ValueError(str(problem)) from None


class LimitSpec(Record):
    """Upper limits with units (`sqnr_db`: a lower limit). Flash and RAM default to what the device has.

    metric_drop: how much worse than the baseline the study's metric may be: points of a share, or a number in its own unit.
    top1_drop: the same where that metric is top1.
    """

    top1_drop: Share | None = None  # type: ignore[valid-type]
    metric_drop: float | str | None = None
    sqnr_db: Decibels | None = None  # type: ignore[valid-type]
    flash: Bytes | None = None  # type: ignore[valid-type]
    ram: Bytes | None = None  # type: ignore[valid-type]
    latency: Seconds | None = None  # type: ignore[valid-type]
    energy: Joules | None = None  # type: ignore[valid-type]

    def limits(self, metric: Metric, flash: int, ram: int) -> Limits:
        """Return the limits on a device with this much memory (bytes); StudyError when the drop is in no unit of the metric."""
        try:
            drop = self.top1_drop if self.metric_drop is None else drop_of(self.metric_drop, metric)
        except ValueError as problem:
            raise StudyError(f"study: $.choose.subject_to.{problem}.") from None
        return Limits(drop, self.sqnr_db, _smaller(self.flash, flash), _smaller(self.ram, ram), self.latency, self.energy)


class ChooseSpec(Record):
    """minimize one cost, subject to limits."""

    minimize: str = "flash"
    subject_to: LimitSpec = LimitSpec()

    @field_validator("minimize")
    @classmethod
    def _axis(cls, name: str) -> str:
        if name not in COST_AXES:
            raise ValueError(f"unknown cost '{name}'.{nearest(name, COST_AXES)} Known: {', '.join(COST_AXES)}")
        return name


def _smaller(limit: float | None, size: int) -> float | None:
    """Return the tighter of a limit and a memory's size (0 bytes: the target has no such memory, so it limits nothing)."""
    return limit if not size else float(size) if limit is None else min(limit, float(size))


def drop_of(value: float | str | None, metric: Metric) -> float | None:
    """Return how much worse a metric may become, in its own unit (a share: 1.0)."""
    if value is None:
        return None
    if metric.is_share:
        try:
            return parse_quantity(value, "share")
        except ValueError as problem:
            raise ValueError(f"metric_drop is {value!r}: {problem}") from None
    text = str(value).strip()
    number = text.removesuffix(metric.unit).strip() if metric.unit else text
    try:
        found = float(number)
    except ValueError:
        found = -1.0
    if not 0.0 <= found < float("inf"):
        raise ValueError(
            f"metric_drop is {value!r}; expected a number of at least 0" + (f" in {metric.unit}" if metric.unit else "")
        )
    return found


BASE: dict[str, tuple[float, str]] = {
    "top1_drop": (1e-2, "%"),
    "sqnr_db": (1.0, "dB"),
    "flash": (1.0, "B"),
    "ram": (1.0, "B"),
    "latency": (1.0, "s"),
    "energy": (1.0, "J"),
}
"""Limit -> factor and unit in which a resolved study writes it."""
