"""What a study says about its metric."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = re.compile(r"[^/\\:\x00]+\.py:[A-Za-z_]\w*")
"""A function of a file that lies beside the study."""


class MetricSettings(BaseModel):
    """A metric and its options. In YAML also short: its name.

    name: one of `workbench.metrics.METRICS`, or `top<k>`. output: the judged output (default: the first; error, SQNR, MSE and cosine
    then take all of them). axis: of the classes in an output per position, counted from the batch (default: found by the labels).
    ignore: a label that does not count. blank: the class that CTC removes (none: one class per position is the sequence).
    score: what makes an anomaly: 'reconstruction' (mean squared error against the input) or 'output'.
    python: `file.py:function` beside the study, instead of a name: this code is run; higher_is_better and unit are then its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    python: str | None = None
    higher_is_better: bool = True
    unit: str = Field(default="", max_length=20)
    output: str | None = None
    axis: int | None = None
    ignore: int | None = None
    blank: int | None = None
    score: Literal["reconstruction", "output"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> MetricSettings:
        if self.python is None and (self.unit or "higher_is_better" in self.model_fields_set):
            raise ValueError("higher_is_better and unit belong to a metric of your own (python: file.py:function)")
        if self.python is not None and self.name:
            raise ValueError("name and python exclude each other")
        if self.python is not None and not NAME.fullmatch(self.python):
            raise ValueError(f"python is '{self.python}'; expected 'file.py:function', a file in the study's own folder")
        return self
