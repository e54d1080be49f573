"""What a study evaluates to find its frontier, and how much of it: the section `sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from workbench.cost.axes import COST_AXES
from workbench.errors import nearest
from workbench.study.limits import Duration, Record, Share, metric_named
from workbench.sweep import PLAN_LIMIT
from workbench.sweep.records import VIEWS, View

Kind = Literal["one_at_a_time", "exhaustive", "verified", "auto"]
KINDS: tuple[Kind, ...] = ("one_at_a_time", "exhaustive", "verified", "auto")
QUALITIES = ("metric", "loss")
EVALUATIONS = 3000
"""Plans that a search evaluates unless told otherwise; a space of so many is enumerated by `auto`."""


SHARE = 0.01
"""Of all plans, that fewer improve a search's frontier, unless told otherwise."""


def without_repeats(names: Sequence[str]) -> tuple[str, ...]:
    """Return names as they came; ValueError where one stands twice."""
    for name in dict.fromkeys(names):
        if list(names).count(name) > 1:
            raise ValueError(f"'{name}' stands twice; leave one out")
    return tuple(names)


class SweepSpec(Record):
    """kind: one_at_a_time (a program over single changes proposes), exhaustive (every plan), verified (a surrogate proposes batches
    until the budget ends), auto (exhaustive where all plans are at most `evaluations`, else verified). `sweep: exhaustive` is short for
    a mapping with nothing but the kind.

    axes: of the frontier: `metric` or `loss`, then costs (default: the metric against what is minimized). evaluations, time: the
    budget of a search. limit: most plans of an exhaustive sweep. certificate: the share of all plans of which a search proves, by
    uniform draws, that fewer improve its frontier (0: no draws); of a one_at_a_time sweep only where it is given. seed: of the search
    and of the draws. metrics: columns of sensitivities.csv. layer_error_samples: for the error of every layer's own output (0: none).
    views: further sensitivities.
    """

    kind: Kind = "one_at_a_time"
    axes: tuple[str, ...] = ()
    evaluations: int = Field(default=EVALUATIONS, ge=1)
    time: Duration | None = None
    limit: int = Field(default=PLAN_LIMIT, ge=1)
    certificate: Share | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)
    metrics: tuple[str, ...] = ("top1", "cross_entropy", "sqnr_db")
    layer_error_samples: int = Field(default=64, ge=0)
    views: tuple[View, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in KINDS:
                raise ValueError(f"unknown sweep '{value}'.{nearest(value, KINDS)} Known: {', '.join(KINDS)}")
            return {"kind": value}
        return value

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            metric_named(name)
        return names

    @field_validator("axes", mode="before")
    @classmethod
    def _list(cls, names: Any) -> Any:
        if not isinstance(names, list | tuple) or not names:
            raise ValueError("expected a list such as [metric, flash]; leave it out for the metric against what is minimized")
        return names

    @field_validator("time")
    @classmethod
    def _some_time(cls, seconds: float | None) -> float | None:
        if seconds == 0.0:
            raise ValueError("a search needs some time, such as '10 min'; leave it out for no limit")
        return seconds

    @model_validator(mode="after")
    def _budget(self) -> SweepSpec:
        for key in sorted({"evaluations", "time"} & self.model_fields_set) if self.kind == "exhaustive" else ():
            raise ValueError(
                f"{key} is a search's budget, and kind: exhaustive evaluates every plan: leave it out, or say kind: auto"
            )
        return self

    @field_validator("axes")
    @classmethod
    def _axes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = (*QUALITIES, *COST_AXES)
        for name in names:
            if name not in known:
                raise ValueError(f"unknown axis '{name}'.{nearest(name, known)} Known: {', '.join(known)}")
        if names and (names[0] not in QUALITIES or len(names) < 2 or len(set(names)) < len(names) or "loss" in names[1:]):
            raise ValueError(
                f"a frontier is of metric or loss against one or several of {', '.join(COST_AXES)}, such as [metric, flash]; "
                f"came [{', '.join(names)}]"
            )
        return names

    @field_validator("certificate")
    @classmethod
    def _share(cls, share: float | None) -> float | None:
        if share is not None and 0.0 < share < 1e-4:
            raise ValueError("at least 0.01 % can be proven (about 37,000 draws), or 0 % for no draws")
        if share is not None and share >= 1.0:
            raise ValueError("expected a share below 100 %")
        return share

    @field_validator("views", mode="before")
    @classmethod
    def _views(cls, names: Any) -> Any:
        if not isinstance(names, list | tuple):
            known = "off" if names is False else names  # YAML 1.1 reads the word off as false
            raise ValueError(f"expected a list such as [{known if known in VIEWS else VIEWS[0]}]")
        wanted = ["off" if name is False else name for name in names]
        for name in wanted:
            if name not in VIEWS:
                raise ValueError(f"unknown view '{name}'.{nearest(str(name), VIEWS)} Known: {', '.join(VIEWS)}")
        return without_repeats(wanted)

    @property
    def share(self) -> float:
        """The share of all plans of which a certificate by draws is to prove that fewer are better."""
        return SHARE if self.certificate is None else self.certificate

    def plain(self) -> dict[str, Any]:
        """Return the section as a mapping that can be read again: quantities with units, nothing that was not said."""
        found = self.model_dump(mode="json", exclude_defaults=True) | {
            "kind": self.kind, "metrics": list(self.metrics), "layer_error_samples": self.layer_error_samples,
        }  # fmt: skip
        if self.time is not None:
            found["time"] = f"{self.time:.12g} s"
        if self.certificate is not None:
            found["certificate"] = f"{100 * self.certificate:.12g} %"
        return found
