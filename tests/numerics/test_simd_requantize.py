"""Requantization of 16 lanes == exact arithmetic, every rule, at the ends of every range; the quick form only where it is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.micro_kernels import Tile, extreme_bytes, panel_kernel
from tests.oracles import requantize as oracle
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.cpu import PATH
from workbench.numerics.lane_parameters import BIAS, lane_parameters, wide_parameters
from workbench.numerics.requantize import Requantizer, make_requantizer
from workbench.numerics.simd import LANES

Array = np.ndarray[Any, Any]
FIXED_POINT = ["double", "double_half_up", "double_half_up_simd8"]
SHIFTS = ["power_of_two_half_up", "power_of_two_half_even"]
FLOAT32 = ("float32_half_even", "float32_truncate", "rndnu")  # rules of a scale that is a float32
EXPONENTS = {"rndnu": (-31, 8), "multiplier_floor": (-31, 15), "multiplier_floor32": (-31, 15)}
RULES = [*FIXED_POINT, "single", "float64_half_away", *FLOAT32, "icn", "multiplier_floor", "multiplier_floor32", *SHIFTS]
INT32 = (-(2**31), 2**31 - 1)
DTYPES = [np.int8, np.int16]


def requantizer(rule: str, scale: Array, zero_point: int, limits: tuple[int, int]) -> Requantizer:
    bits = 32 if rule.endswith("32") else 64
    arithmetic = Arithmetic(requantize=rule.removesuffix("32"), product_bits=bits)  # type: ignore[arg-type]
    return make_requantizer(arithmetic, scale, scale.size, zero_point, limits, wide=False)


def power_of_two(rule: str, scale: Array) -> Array:
    """Return the scales that a rule takes: those of a shifter have no mantissa."""
    return 2.0 ** np.floor(np.log2(scale)) if rule in SHIFTS else scale


def by_panels(name: str, parameters: Array, lanes: Array, made: Requantizer, channels: int, dtype: Any) -> Array:
    """Return the outputs of lanes int32 or int64 [rows, 16 * panels]; nothing beside them may change."""
    rows, width = lanes.shape
    out = np.full((rows + 2, channels + 7), 85, dtype)
    for column in range(0, width, LANES):
        panel_kernel(name, 8 * out.itemsize)(
            lanes.reshape(-1)[column:], width * lanes.itemsize // 4, rows, parameters[column // LANES], made.zero_point, made.q_min,
            made.q_max, out, out.shape[1] + column, out.shape[1], channels - column,
        )  # fmt: skip
    assert (out[[0, -1]] == 85).all() and (out[:, channels:] == 85).all()
    return out[1:-1, :channels]


def run(made: Requantizer, acc: Array, low: Array, high: Array, dtype: Any, repeat: int = 1) -> tuple[str, Array]:
    """Return (rule of the lanes, outputs) of accumulators [rows, channels]. low, high: their range in each channel."""
    rows, channels = acc.shape
    padded = -(-channels // LANES) * LANES
    name, parameters = lane_parameters(made, repeat, slice(0, channels), padded, low, high)
    lanes = np.zeros((rows, padded), np.int64)
    lanes[:, :channels] = acc + (BIAS if name == "bounded" else 0)
    return name, by_panels(name, parameters, lanes.astype(np.uint32).view(np.int32), made, channels, dtype)


def expected(made: Requantizer, scale: Array, acc: Array) -> list[list[int]]:
    """The same in exact arithmetic. scale: [channels of the requantizer]."""
    if made.name in FLOAT32:
        scale = scale.astype(np.float32)
    size = scale.size
    return [
        [
            oracle.finish(
                oracle.by_rule(made.name, v, float(scale[c % size]), c % size, size), made.zero_point, made.q_min, made.q_max
            )
            for c, v in enumerate(row)
        ]
        for row in acc.tolist()
    ]


def scales(draw: st.DrawFn, channels: int, shifts: st.SearchStrategy[int]) -> Array:
    """Multipliers at both ends and between, times 2**shift: M * 2**(shift - 31), exact in float64."""
    multiplier = st.sampled_from([2**30, 2**31 - 1]) | st.integers(2**30, 2**31 - 1)
    return np.array([float(draw(multiplier)) * 2.0 ** (draw(shifts) - 31) for _ in range(channels)])


@st.composite
def outputs(draw: st.DrawFn, dtype: Any) -> tuple[int, tuple[int, int]]:
    """Zero points at the ends of the type and within, the whole range or one that an activation leaves."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    zero_point = draw(st.sampled_from([low, high, 0]) | st.integers(low, high))
    q_min = draw(st.sampled_from([low, zero_point]))
    q_max = draw(st.sampled_from([high, min(zero_point + 5, high)]))
    return zero_point, (q_min, q_max)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=40)
@given(data=st.data())
def test_any_accumulator(rule: str, dtype: Any, data: st.DataObject) -> None:
    channels = data.draw(st.integers(1, 16) | st.integers(17, 40))
    scale = power_of_two(rule, scales(data.draw, channels, st.integers(*EXPONENTS.get(rule, (-31, 30)))))
    zero_point, limits = data.draw(outputs(dtype))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    acc = rng.integers(*INT32, (data.draw(st.integers(1, 5)), channels), endpoint=True) >> rng.integers(0, 31, channels)
    acc = np.where(rng.random(acc.shape) < 0.3, rng.choice([*INT32, -1, 0, 1], acc.shape), acc)
    made = requantizer(rule, scale, zero_point, limits)
    low, high = (np.full(channels, v) for v in INT32)
    assert run(made, acc, low, high, dtype)[1].tolist() == expected(made, scale, acc)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", FIXED_POINT)
@settings(max_examples=40)
@given(data=st.data())
def test_accumulators_of_a_known_range(rule: str, dtype: Any, data: st.DataObject) -> None:
    """Ranges differ between channels, some so small that the output is constant; channels may come several times over."""
    channels, repeat = data.draw(st.integers(1, 20)), data.draw(st.sampled_from([1, 1, 2, 3]))
    scale = scales(data.draw, channels, st.integers(-31, 0))
    zero_point, limits = data.draw(outputs(dtype))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    reach = 2 ** rng.integers(0, data.draw(st.sampled_from([12, 24, 30])), channels * repeat)
    middle = np.where(rng.random(reach.shape) < 0.5, 0, rng.integers(-(2**29), 2**29, reach.shape))
    low, high = middle - reach, middle + rng.integers(0, reach, endpoint=True)
    acc = rng.integers(low, high, (5, reach.size), endpoint=True)
    acc[0], acc[1] = low, high
    made = requantizer(rule, scale, zero_point, limits)
    assert run(made, acc, low, high, dtype, repeat)[1].tolist() == expected(made, scale, acc)


def name_of(made: Requantizer, low: int, high: int) -> str:
    return lane_parameters(made, 1, slice(0, 1), LANES, np.array([low]), np.array([high]))[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", FIXED_POINT)
def test_the_quick_form_is_exact_up_to_its_bound_and_not_chosen_beyond(rule: str, dtype: Any) -> None:
    limits = (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for right in (0, 1, 2, 7, 30 - 8 * np.dtype(dtype).itemsize):
        for multiplier in (2**30, 2**31 - 1, 1_234_567_891):
            for zero_point in (limits[0], -1, 0, limits[1]):
                scale = np.array([multiplier * 2.0 ** (-right - 31)])
                made = requantizer(rule, scale, zero_point, limits)
                bound = 2**31 - 3 - abs((1 << right >> 1) + (zero_point << right))
                for low, high in ((-bound, bound), (-bound, 0), (0, bound)):
                    steps = np.array([low, low + 1, -1, 0, 1, high - 1, high, (1 << right) + 1])
                    acc = np.clip(steps, low, high)[:, None]
                    name, got = run(made, acc, np.array([low]), np.array([high]), dtype)
                    assert name == "bounded" and got.tolist() == expected(made, scale, acc)
                assert name_of(made, -bound - 1, 0) == name_of(made, 0, bound + 1) == "fixed"


def test_the_quick_form_is_refused_where_something_could_overflow() -> None:
    limits = (-128, 127)
    assert name_of(requantizer("double", np.array([0.5]), 0, limits), -1000, 1000) == "bounded"
    assert name_of(requantizer("double", np.array([1.5]), 0, limits), -1000, 1000) == "fixed"  # a left shift
    assert name_of(requantizer("double", np.array([0.5]), 0, limits), -(2**31) - 1, 5) == "fixed"  # the accumulator wraps
    assert name_of(requantizer("double", np.array([0.5]), 0, limits), -5, 2**31) == "fixed"
    assert name_of(requantizer("double", np.array([2.0**-30]), 127, limits), -(2**30), 2**30) == "fixed"  # zero point << 29


def test_one_channel_that_is_not_bounded_decides_for_all() -> None:
    scale = np.array([0.01, 0.5, 3.0])
    acc = np.array([[2**31 - 1, -77, 41]])
    name, got = run(made := requantizer("double", scale, 0, (-128, 127)), acc, acc[0] - 9, acc[0], np.int8)
    assert name == "fixed" and got.tolist() == expected(made, scale, acc)


@pytest.mark.parametrize("rule", FIXED_POINT)
def test_constant_channels_are_exact_although_their_rounding_would_overflow(rule: str) -> None:
    """As of channels that training has switched off: a scale of 2**-31 beside ordinary ones."""
    scale = np.array([2.0**-31, 0.01, 2.0**-29, 2.0**-31, 0.75])
    low = np.array([-1000, -1000, 2**30 - 5, -(2**28), 7])
    high = np.array([1000, 1000, 2**30 + 5, 2**28, 7])
    for zero_point in (-128, 0, 127):
        made = requantizer(rule, scale, zero_point, (-128, 127))
        acc = np.stack([low, high])
        name, got = run(made, acc, low, high, np.int8)
        assert name == "bounded" and got.tolist() == expected(made, scale, acc)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", ["reduced_multiplier", "float64_half_away", *SHIFTS])
@settings(max_examples=40)
@given(data=st.data())
def test_int64_accumulators(rule: str, dtype: Any, data: st.DataObject) -> None:
    """The bias comes in, then the accumulator wraps at its bits. reduced_multiplier: |sum| < 2**47."""
    channels, repeat = data.draw(st.integers(1, 20)), data.draw(st.sampled_from([1, 2]))
    bits = data.draw(st.sampled_from([64, 48, 33, 9]))
    scale = power_of_two(rule, scales(data.draw, channels, st.integers(-31, 14)))
    zero_point, limits = data.draw(outputs(dtype))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    end = 2**62 - 1 if rule == "float64_half_away" else 2**46 - 1
    values = rng.integers(-end, end, (5, channels * repeat)) >> rng.integers(0, 62, (5, channels * repeat))
    acc, bias = np.split(np.where(rng.random(values.shape) < 0.3, rng.choice([-end, end, 0, -1], values.shape), values), [4])
    bias = bias[0]
    made = make_requantizer(Arithmetic(requantize_wide=rule), scale, channels, zero_point, limits, wide=True)  # type: ignore[arg-type]
    padded = -(-bias.size // LANES) * LANES
    name, parameters = wide_parameters(made, repeat, bias, 64 - bits, slice(0, bias.size), padded)
    lanes = np.zeros((4, padded), np.int64)
    lanes[:, : bias.size] = acc
    sums = [[oracle.wrap(v + b, bits) for v, b in zip(row, bias.tolist(), strict=True)] for row in acc.tolist()]
    want = [
        [oracle.finish(oracle.by_wide_rule(rule, v, float(scale[c % channels])), zero_point, *limits) for c, v in enumerate(row)]
        for row in sums
    ]  # fmt: skip
    assert by_panels(name, parameters, lanes, made, bias.size, dtype).tolist() == want


FUSED = [
    *[("bytes", True, rule, np.int8) for rule in ("double", "double_half_up_simd8", "float32_half_even")],
    *[("words", True, rule, np.int16) for rule in ("double_half_up", "float32_half_even")],
    ("pairs", True, "float32_half_even", np.int8), ("saturate", True, "float32_half_even", np.int8),
    ("bytes", False, "double", np.int8), ("words", False, "double", np.int8),
    *[("bytes", True, rule, np.int8) for rule in ("power_of_two_half_up", "float32_truncate")],
    ("words", False, "power_of_two_half_even", np.int8), ("bytes", True, "power_of_two_half_up", np.int32),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spread", "rule", "dtype"), [f for f in FUSED if f[0] != "bytes" or PATH.byte_dot])
@settings(max_examples=8)
@given(data=st.data())
def test_tiles_requantized_in_the_registers(kind: str, spread: bool, rule: str, dtype: Any, data: st.DataObject) -> None:
    for quads, panels in PATH.tiles if spread else PATH.tiles[:1]:
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        steps, channels = data.draw(st.integers(1, 5)), LANES * panels - data.draw(st.sampled_from([0, 8]))
        x, w = extreme_bytes(rng, (1024,)), extreme_bytes(rng, (steps, LANES * panels, 4))
        if kind in ("words", "saturate"):  # int16 whose sums stay in the range of the quick form
            w = (w.view(np.int16) >> 6).view(np.uint8)
        init = rng.integers(-(10**6), 10**6, LANES * panels)
        tile = Tile(
            kind, spread, quads, panels, x, rng.integers(100, 200, 4), 37, rng.integers(-100, 400, steps), w,
            init.astype(np.int32), 29,
        )  # fmt: skip
        acc = np.array(tile.expected(PATH.signed))[:, :channels]
        reach = np.abs(acc).max(axis=0)
        zero_point, limits = (
            (0, INT32) if dtype is np.int32 else data.draw(outputs(dtype))
        )  # int32: the accumulators themselves
        scale = (
            np.ones(channels)
            if dtype is np.int32
            else power_of_two(rule, np.clip(abs(limits[1]) / (reach + 1.0) * rng.uniform(0.3, 1.0, channels), 1e-6, 0.999))
        )
        made = requantizer(rule, scale, zero_point, limits)
        name, parameters = lane_parameters(made, 1, slice(0, channels), LANES * panels, -reach, reach)
        assert name in ("bounded", "float32", "float32_truncate", "shift")
        if name == "bounded":
            tile.init[:] = ((init + BIAS) % 2**32).astype(np.uint32).view(np.int32)
        columns = channels - LANES * (panels - 1)
        got = tile.requantized(name, parameters, (zero_point, *limits), columns, dtype)
        assert got.tolist() == expected(made, scale, acc)
