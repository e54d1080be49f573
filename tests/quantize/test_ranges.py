"""Calibrators: what min-max, percentile and MSE keep of a distribution. Weights of every width: levels, scales, errors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.networks import small_cnn
from workbench.errors import InputError
from workbench.hardware.profile import Scheme
from workbench.quantize import QuantizeOptions, calibrate
from workbench.quantize.ranges import BINS, Observed, clip_range, coded, params_from_range, quantize_weights, range_of
from workbench.tensor import FLOAT8_MAX, RANGES, QuantParams, dequantize, quantize


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


WEIGHTS = np.random.default_rng(11).standard_normal((6, 3, 3, 40)).astype(np.float32)
WEIGHTS[4] = 0
WEIGHTS[5] = np.abs(WEIGHTS[5])
SCHEMES = [Scheme(), Scheme(weights="full"), Scheme(scales="power_of_two"), Scheme(scales="power_of_two", weights="full")]
LEVELS = {"int8": 255, "int7": 129, "int4": 15, "int2": 4, "ternary": 3, "binary": 2, "int1": 2}


def weight_error(dtype: str, axis: int | None, method: str = "mse", scheme: Scheme | None = None) -> float:
    q, params = quantize_weights(WEIGHTS, dtype, axis, QuantizeOptions(weights=method), scheme or Scheme())  # type: ignore[arg-type]
    return float(((dequantize(q, params) - WEIGHTS) ** 2).sum())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("axis", [None, 0])
def test_more_levels_have_less_error(axis: int | None, scheme: Scheme) -> None:
    errors = [weight_error(dtype, axis, "mse", scheme) for dtype in LEVELS]
    assert errors == sorted(errors)
    assert errors[0] < 1e-3 * errors[4] < errors[-1]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("method", ["min_max", "mse", "percentile"])
@pytest.mark.parametrize("dtype", LEVELS)
def test_weights_take_the_levels_of_their_type_and_no_others(dtype: str, method: str, scheme: Scheme) -> None:
    q, params = quantize_weights(WEIGHTS, dtype, 0, QuantizeOptions(weights=method), scheme)  # type: ignore[arg-type]
    low, high = RANGES[dtype]
    narrow = scheme.weights == "narrow" and dtype not in ("int2", "int1")
    assert q.dtype == np.int8 and q.shape == WEIGHTS.shape
    assert q.min() >= (-high if narrow else low) and q.max() <= high
    assert len(np.unique(q)) <= LEVELS[dtype] + (scheme.weights == "full")
    assert dtype == "binary" or not q[4].any()
    assert len(params.scale) == 6 and not params.zero_point.any()
    if scheme.scales == "power_of_two":
        assert (np.frexp(params.scale)[0] == 0.5).all()


def test_binary_weights_are_never_zero_and_their_scale_is_the_mean_magnitude() -> None:
    q, params = quantize_weights(WEIGHTS, "binary", 0, QuantizeOptions(), Scheme())
    assert set(np.unique(q)) == {-1, 1}
    np.testing.assert_array_equal(q == 1, WEIGHTS >= 0)
    means = np.abs(WEIGHTS.astype(np.float64)).reshape(6, -1).mean(axis=1)
    np.testing.assert_allclose(np.delete(params.scale, 4), np.delete(means, 4), rtol=1e-6)
    assert params.scale[4] < 1e-5 * params.scale[3]  # a row of zeros: next to nothing, and a bias still fits beside it


@pytest.mark.parametrize("dtype", ["ternary", "int1", "binary"])
def test_the_scale_of_few_levels_is_about_the_best_there_is(dtype: str) -> None:
    """Compared with 2,000 scales tried one by one."""
    row = WEIGHTS[:1].reshape(1, -1).astype(np.float64)
    got = quantize_weights(WEIGHTS[:1], dtype, 0, QuantizeOptions(), Scheme())
    error = float(((dequantize(*got).reshape(1, -1) - row) ** 2).sum())
    low, high = RANGES[dtype]

    def codes(x: np.ndarray) -> np.ndarray:
        return np.where(x < 0, -1, 1) if dtype == "binary" else np.clip(np.rint(x), low, high)

    tried = [float(((codes(row / s) * s - row) ** 2).sum()) for s in np.linspace(0.002, 4, 2000)]
    assert min(tried) * 0.999 <= error <= min(tried) * 1.005


def test_int2_keeps_its_min_max_scale_unless_asked_for_less_error() -> None:
    _, params = quantize_weights(WEIGHTS, "int2", 0, QuantizeOptions(), Scheme())
    peaks = np.abs(WEIGHTS).reshape(6, -1).max(axis=1)
    np.testing.assert_array_equal(params.scale, np.where(peaks > 0, peaks, 1))
    assert weight_error("int2", 0, "mse") < 0.5 * weight_error("int2", 0, "min_max")


@pytest.mark.parametrize("dtype", ["int8", "int7", "int4"])
def test_power_of_two_scales_cover_the_largest_weight(dtype: str) -> None:
    for peak in (1.0, np.nextafter(np.float32(1), np.float32(2)), 0.99, 127.0, 7.0, 64.0):
        w = np.array([[peak, -0.5 * peak]], np.float32)
        _, params = quantize_weights(w, dtype, 0, QuantizeOptions(), Scheme(scales="power_of_two"))
        top = RANGES[dtype][1]
        assert params.scale[0] * top >= peak > params.scale[0] / 2 * top


@pytest.mark.parametrize("dtype", sorted(FLOAT8_MAX))
def test_float8_weights_use_the_whole_range(dtype: str) -> None:
    q, params = quantize_weights(WEIGHTS, dtype, None, QuantizeOptions(), Scheme())
    assert np.abs(q.astype(np.float32)).max() == FLOAT8_MAX[dtype]
    step = 2.0**-4 if dtype == "float8_e4m3" else 2.0**-3
    np.testing.assert_allclose(dequantize(q, params), WEIGHTS, rtol=step, atol=2.0**-9 * params.scale[0])
    assert range_of(QuantParams.per_tensor(0.5), dtype) == (-0.5 * FLOAT8_MAX[dtype], 0.5 * FLOAT8_MAX[dtype])


def test_each_output_channel_is_a_row_of_blocks() -> None:
    """Depthwise weights have their channels last: coding them is coding the transposed rows."""
    first = coded(WEIGHTS, "q8_0", 0)
    last = coded(np.ascontiguousarray(np.moveaxis(WEIGHTS, 0, -1)), "q8_0", 3)
    np.testing.assert_array_equal(np.moveaxis(last, -1, 0), first)
    blocks = np.pad(first.reshape(6, -1), ((0, 0), (0, -360 % 32))).reshape(-1, 32)
    assert max(len(np.unique(np.abs(b))) for b in blocks) <= 128  # one scale a block
    assert not np.array_equal(first, WEIGHTS)
