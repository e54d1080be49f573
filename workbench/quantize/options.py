"""How ranges become scales; part of a study's YAML (`quantization:`)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["min_max", "percentile", "mse"]


class QuantizeOptions(BaseModel):
    """activations, weights: which range is kept. percentile: share of values inside (only for `percentile`).

    min_max keeps everything; percentile clips outliers; mse takes the clipping with the least squared error, searched on a
    histogram of the calibration data (activations) or on the weights themselves.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    activations: Method = "min_max"
    weights: Method = "min_max"
    percentile: float = Field(default=99.99, gt=50.0, le=100.0)
