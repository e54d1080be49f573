"""Calibrators: what min-max, percentile and MSE keep of a distribution; tied scales."""

from __future__ import annotations

import numpy as np
import pytest

from tests.networks import small_cnn
from workbench.errors import InputError
from workbench.hardware.profile import Scheme
from workbench.quantize import QuantizeOptions, calibrate
from workbench.quantize.ranges import BINS, Observed, clip_range, params_from_range
from workbench.tensor import dequantize, quantize


def observe(x: np.ndarray) -> Observed:
    counts = np.histogram(x, BINS, (float(x.min()), float(x.max())))[0].astype(np.int64)
    return Observed(float(x.min()), float(x.max()), counts)


HEAVY = np.concatenate([np.random.default_rng(0).standard_normal(100_000), [60.0, -45.0]]).astype(np.float32)


def error(options: QuantizeOptions, dtype: str = "int8") -> float:
    params = params_from_range(*clip_range(observe(HEAVY), options, dtype, Scheme()), dtype, Scheme())
    return float(((dequantize(quantize(HEAVY, params, dtype), params) - HEAVY) ** 2).mean())


def test_min_max_keeps_everything() -> None:
    assert clip_range(observe(HEAVY), QuantizeOptions(), "int8", Scheme()) == (-45.0, 60.0)


def test_percentile_keeps_its_share() -> None:
    low, high = clip_range(observe(HEAVY), QuantizeOptions(activations="percentile", percentile=99.0), "int8", Scheme())
    share = float(((low <= HEAVY) & (high >= HEAVY)).mean())
    assert 0.985 <= share <= 0.998  # whole bins are kept, so a little more than asked


def test_mse_has_less_error_than_min_max_and_percentile() -> None:
    mse = error(QuantizeOptions(activations="mse"))
    assert mse <= error(QuantizeOptions())
    assert mse <= error(QuantizeOptions(activations="percentile", percentile=99.0))


def test_relu_outputs_keep_a_range_from_zero() -> None:
    low, high = clip_range(observe(np.abs(HEAVY) + 1.0), QuantizeOptions(), "int8", Scheme())
    assert (low, high) == (0.0, 61.0)


def test_calibration_sees_the_same_on_any_split_of_the_samples() -> None:
    x = np.random.default_rng(2).standard_normal((150, 8, 8, 1)).astype(np.float32)
    whole = calibrate(small_cnn(), x)
    assert whole.samples == 150
    assert whole.digest == calibrate(small_cnn(), x.copy()).digest
    assert whole.digest != calibrate(small_cnn(), x[:149]).digest
    for seen in whole.observed.values():
        assert seen.counts.sum() > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_samples_are_refused(bad: float) -> None:
    x = np.zeros((4, 8, 8, 1), np.float32)
    x[1, 2, 3, 0] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        calibrate(small_cnn(), x)
