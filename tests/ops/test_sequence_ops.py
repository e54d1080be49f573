"""Table functions, rsqrt, log-softmax, sum and LSTM against slow twins; what they refuse."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.oracles import elementwise, sequence
from tests.sites import emulate, site, tensor
from workbench.errors import InputError, ModelError, UnsupportedError
from workbench.graph.ir import Tensor
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.tables import SIGMOID_UINT16
from workbench.numerics.tflite_fixed_point import inverse_sqrt, log_q12
from workbench.ops import OPS, Site
from workbench.ops.base import NoAttrs
from workbench.ops.elu import EluAttrs
from workbench.ops.gelu import GeluAttrs
from workbench.ops.log_softmax import LogSoftmaxAttrs
from workbench.ops.lstm import LstmAttrs
from workbench.ops.mean import MeanAttrs
from workbench.tensor import QuantParams

RNG = np.random.default_rng(17)


def every(dtype: str) -> Any:
    limits = np.iinfo(dtype)
    return np.arange(limits.min, limits.max + 1).astype(dtype).reshape(1, -1)


# -- fixed point ------------------------------------------------------------------------------------------------------------


def test_inverse_sqrt_equals_the_oracle() -> None:
    values = np.concatenate([np.arange(1, 300), RNG.integers(300, 2**27, 300)])
    for value, *found in zip(values.tolist(), *(v.tolist() for v in inverse_sqrt(values)), strict=True):
        assert tuple(found) == sequence.inverse_sqrt(value)


def test_log_equals_the_oracle_and_the_logarithm() -> None:
    for value in [1 << 19, (1 << 19) + 1, 2**31 - 1, *(int(2**e) for e in RNG.uniform(19, 31, 300))]:
        found = log_q12(value)
        assert found == sequence.log_of(value)
        assert abs(found / 2**26 - np.log(value / 2**19)) < 1e-5  # error of the rational function


# -- tables -----------------------------------------------------------------------------------------------------------------

FUNCTIONS: list[tuple[str, Any, Any]] = [
    ("elu", EluAttrs(), lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x)),
    ("exp", NoAttrs(), np.exp),
    ("log", NoAttrs(), lambda x: np.log(np.maximum(x, 1e-30))),
    ("gelu", GeluAttrs(True), lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
]


@pytest.mark.parametrize("lut", ["float_half_away", "float_half_even", "float32"])
@pytest.mark.parametrize(("op", "attrs", "function"), FUNCTIONS, ids=lambda v: v if isinstance(v, str) else "")
def test_int8_tables_are_the_rounded_function(op: str, attrs: Any, function: Any, lut: str) -> None:
    """Within half a step of the real function, but for 1e-4 of a step where float32 has rounded on the way."""
    x = every("int8")
    place = site(op, attrs, [tensor("x", (1, 256), "int8", (0.031, -60))], tensor("y", (1, 256), "int8", (0.029, 7)), lut=lut)
    y = emulate(place, x).astype(int)
    want = np.clip(function(0.031 * (x.astype(np.float64) + 60)) / 0.029 + 7, -128, 127)
    assert np.abs(y - want).max() <= 0.5001


def test_half_away_and_half_even_part_at_ties() -> None:
    """elu(x) = x for x >= 0: with sy = 2 * sx every odd x is a tie. Half even rounds after the zero point is added."""
    x = every("int8")
    ports = tensor("x", (1, 256), "int8", (0.5, 0)), tensor("y", (1, 256), "int8", (1.0, 1))
    away, even = (
        emulate(site("elu", EluAttrs(), [ports[0]], ports[1], lut=lut), x)[0, 128:]
        for lut in ("float_half_away", "float_half_even")
    )
    np.testing.assert_array_equal(away, [(v + 1) // 2 + 1 for v in range(128)])
    np.testing.assert_array_equal(even, [round(v / 2 + 1) for v in range(128)])


@pytest.mark.parametrize(("op", "attrs", "function"), FUNCTIONS[1:], ids=lambda v: v if isinstance(v, str) else "")
def test_int16_tables_interpolate_the_function(op: str, attrs: Any, function: Any) -> None:
    """Knots are 65535 / 512 inputs apart and read as if 128: up to one input off at the end, here 4 outputs for exp."""
    x = every("int16")
    ports = [tensor("x", x.shape, "int16", (1e-4, 0))], tensor("y", x.shape, "int16", (8e-4, 0))
    y = emulate(site(op, attrs, *ports), x).astype(int)[0]
    real = 1e-4 * x[0].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        want = np.clip(function(real) / 8e-4, -32768, 32767)
    inside = (real > 0.05 if op == "log" else real == real) & (want < 31000)  # the last knot is clipped
    assert np.abs(y - want)[inside].max() < (40 if op == "log" else 5)


def test_elu_has_two_ways_below_zero() -> None:
    x = every("int8")
    ports = [tensor("x", (1, 256), "int8", (3e-8, 127))], tensor("y", (1, 256), "int8", (3e-8, 127))
    exact, steps = (emulate(site("elu", EluAttrs(), *ports, elu=way), x) for way in ("expm1", "exp_minus_one"))
    np.testing.assert_array_equal(exact, x)  # exp(x) - 1 = x to within 1e-6 of a step
    assert set(np.diff(np.unique(steps.astype(int)))) - {1}  # multiples of 2**-24, two steps


# -- rsqrt, log_softmax, sum ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "sx", "sy", "zy"), [("int8", 0.037, 0.021, -9), ("int8", 0.5, 0.004, -128), ("int16", 2e-4, 9e-4, 0)]
)
def test_rsqrt_fixed_point_equals_the_oracle(dtype: str, sx: float, sy: float, zy: int) -> None:
    zx = -20 if dtype == "int8" else 0
    x = np.arange(zx, 128 if dtype == "int8" else 32768, 1 if dtype == "int8" else 41).astype(dtype).reshape(1, -1)
    place = site("rsqrt", NoAttrs(), [tensor("x", x.shape, dtype, (sx, zx))], tensor("y", x.shape, dtype, (sy, zy)))
    a, b = float(np.float32(sx)), float(np.float32(sy))
    scale = Fraction(1.0 / (a**0.5 * b))
    want = [sequence.rsqrt(v, zx, scale, zy, 8 * x.itemsize) for v in x[0].tolist()]
    assert emulate(place, x)[0].tolist() == want


def test_rsqrt_of_a_negative_number_is_refused() -> None:
    place = site("rsqrt", NoAttrs(), [tensor("x", (1, 3), "int8", (0.1, -5))], tensor("y", (1, 3), "int8", (0.1, 0)))
    with pytest.raises(InputError, match="below its zero point -5"):
        emulate(place, np.array([[-5, 0, -6]], np.int8))


@pytest.mark.parametrize("sx", [2.0**-10, 0.011, 0.13, 1.7])
def test_log_softmax_fixed_point_equals_the_oracle(sx: float) -> None:
    x = np.vstack([RNG.integers(-128, 128, (4, 9)), RNG.normal(0, 3, (4, 9)).astype(int), np.zeros((1, 9), int)]).astype(
        np.int8
    )
    place = site(
        "log_softmax", LogSoftmaxAttrs(), [tensor("x", (1, 9), "int8", (sx, 3))], tensor("y", (1, 9), "int8", (1 / 16, 127))
    )
    want = [sequence.log_softmax(row, Fraction(float(np.float32(sx)))) for row in x.tolist()]
    assert emulate(place, x).tolist() == want


def test_log_softmax_over_another_axis_moves_it() -> None:
    x = RNG.integers(-128, 128, (2, 3, 4)).astype(np.int8)
    ports = tensor("x", (1, 3, 4), "int8", (0.1, 0)), tensor("y", (1, 3, 4), "int8", (1 / 16, 127))
    moved = tensor("x", (1, 4, 3), "int8", (0.1, 0)), tensor("y", (1, 4, 3), "int8", (1 / 16, 127))
    for rule in ("fixed_point", "float_table"):
        y = emulate(site("log_softmax", LogSoftmaxAttrs(1), [ports[0]], ports[1], softmax=rule), x)
        other = emulate(
            site("log_softmax", LogSoftmaxAttrs(), [moved[0]], moved[1], softmax=rule), np.ascontiguousarray(x.swapaxes(1, 2))
        )
        np.testing.assert_array_equal(y, other.swapaxes(1, 2))


def test_log_softmax_in_fixed_point_has_a_limit_of_classes() -> None:
    for classes, rule in ((4095, "fixed_point"), (4096, "float_table")):
        x = np.zeros((1, classes), np.int8)
        ports = [tensor("x", x.shape, "int8", (0.1, 0))], tensor("y", x.shape, "int8", (1 / 16, 127))
        want = 127 - round(16 * np.log(classes))
        assert set(emulate(site("log_softmax", LogSoftmaxAttrs(), *ports, softmax=rule), x)[0].tolist()) == {want}
    with pytest.raises(UnsupportedError, match="4096 classes"):
        OPS["log_softmax"].prepare(site("log_softmax", LogSoftmaxAttrs(), *ports))


def test_elu_of_integers_has_no_alpha() -> None:
    ports = [tensor("x", (1, 4), "int8", (0.1, 0))], tensor("y", (1, 4), "int8", (0.1, 0))
    with pytest.raises(UnsupportedError, match=r"no alpha; 1 fits, not 0\.5"):
        OPS["elu"].prepare(site("elu", EluAttrs(0.5), *ports))


def test_sum_over_the_batch_keeps_the_declared_batch() -> None:
    ports = [tensor("x", (3, 4), "int8", (0.1, 0))], tensor("y", (4,), "int8", (0.1, 0))
    run = OPS["sum"].prepare(site("sum", MeanAttrs((0,), False), *ports))
    assert run([np.ones((3, 4), np.int8)])[0].tolist() == [3, 3, 3, 3]
    with pytest.raises(UnsupportedError, match="over the batch, which is 3, not 2"):
        run([np.ones((2, 4), np.int8)])


def test_sums_of_xnnpack_and_litert_part_at_ties() -> None:
    """sy = 2 * sx: odd sums are ties; half even with the zero point in, or half away before it is added."""
    x = np.arange(-40, 41).astype(np.int8).reshape(1, 81, 1).repeat(2, 2)
    x[..., 1] = 0
    ports = [tensor("x", x.shape, "int8", (0.5, 0))], tensor("y", (1, 81), "int8", (1.0, 1))
    values = x[0, :, 0].tolist()
    even, away = (
        emulate(site("sum", MeanAttrs((2,), False), *ports, sum=rule), x)[0].tolist() for rule in ("xnnpack", "float32")
    )
    assert even == [round(v / 2 + 1) for v in values]
    assert away == [int(np.copysign(abs(v / 2) + 0.5, v)) + 1 if v % 2 else v // 2 + 1 for v in values]


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_sum_equals_the_oracle(dtype: str) -> None:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max + 1
    x = RNG.integers(low, high, (2, 5, 6, 3)).astype(dtype)
    zx, zy = (-11, 4) if dtype == "int8" else (0, 0)
    sx, sy = np.float32(0.02), np.float32(0.13)
    place = site(
        "sum", MeanAttrs((2, 1), False), [tensor("x", (1, 5, 6, 3), dtype, (sx, zx))], tensor("y", (1, 3), dtype, (sy, zy))
    )
    scales = Fraction(float(sx)), zx, Fraction(float(sy)), zy, 8 * x.itemsize
    want = [[sequence.total(x[n, :, :, c].reshape(-1).tolist(), *scales) for c in range(3)] for n in range(2)]
    assert emulate(place, x).tolist() == want


def test_sum_of_unsigned_bytes_reads_and_writes_them_so() -> None:
    x = RNG.integers(-128, 128, (1, 7, 4)).astype(np.int8)
    ports = [tensor("x", (1, 7, 4), "int8", (0.02, -3))], tensor("y", (1, 4), "int8", (0.2, 9))
    scales = Fraction(float(np.float32(0.02))), -3, Fraction(float(np.float32(0.2))), 9, 16
    want = [min(max(sequence.total(x.view(np.uint8)[0, :, c].tolist(), *scales), 0), 255) for c in range(4)]
    assert emulate(site("sum", MeanAttrs((1,), False), *ports, sum="unsigned_bytes"), x).view(np.uint8)[0].tolist() == want
    wide = [tensor("x", (1, 7), "int16", (0.02, 0))], tensor("y", (1,), "int16", (0.2, 0))
    with pytest.raises(UnsupportedError, match="half of the bytes"):
        OPS["sum"].prepare(site("sum", MeanAttrs((1,), False), *wide, sum="unsigned_bytes"))


# -- lstm -------------------------------------------------------------------------------------------------------------------

SX, SH, HIDDEN = np.float32(0.03), np.float32(0.0074), 0.0068


def lstm_site(attrs: LstmAttrs, dtype: str, rule: str, units: int, depth: int, steps: int, spread: float) -> Site:
    rng = np.random.default_rng([units, depth])
    zx, zh = (5, -6) if dtype == "int8" else (0, 0)
    scales = [np.repeat((spread * rng.uniform(0.003, 0.02, 4)).astype(np.float32), units) for _ in range(2)]
    w, r = (rng.integers(-127, 128, (4 * units, k)).astype(np.int8) for k in (depth, units))
    bias = rng.integers(-9000, 9000, 4 * units).astype(np.int32 if dtype == "int8" else np.int64)
    x_scale, y_scale = (SX, SH) if dtype == "int8" else (np.float32(3e-4), np.float32(2.0**-15))
    inputs = (
        Tensor("x", (1, steps, depth), dtype, QuantParams.per_tensor(float(x_scale), zx)),
        Tensor("w", w.shape, "int8", QuantParams.per_channel(scales[0], 0), w),
        Tensor("b", bias.shape, bias.dtype.name, None, bias),
        Tensor("r", r.shape, "int8", QuantParams.per_channel(scales[1], 0), r),
    )
    y = Tensor("y", (), dtype, QuantParams.per_tensor(float(y_scale), zh))
    return Site("layer", "lstm", attrs, inputs, (y,), Arithmetic(lstm=rule))  # type: ignore[arg-type]


def expected_lstm(place: Site, x: Any) -> Any:
    attrs: LstmAttrs = place.attrs
    xt, wt, bt, rt = place.inputs
    assert (
        xt and wt and bt and rt and xt.quant and wt.quant and rt.quant and place.y.quant and attrs.cell_scale_log2 is not None
    )
    (sx, zx), (sh, zh) = xt.quant.scalar, place.y.quant.scalar
    gates, recurrent = (
        [elementwise.multiplier(Fraction(float(np.float32(s * v))) * 2**12) for v in q.scale]
        for s, q in ((sx, wt.quant), (sh, rt.quant))
    )
    limit = int(attrs.cell_clip * 2**-attrs.cell_scale_log2)
    if place.arithmetic.lstm == "gemmlowp":
        inner = elementwise.multiplier(Fraction(float(np.float32(2.0**-30 / attrs.hidden_scale))))
        pieces = sequence.lstm_gemmlowp(attrs.cell_scale_log2, limit, inner, attrs.hidden_zero_point)
    else:
        inner = elementwise.multiplier(Fraction(1, 2**30) / Fraction(float(sh)))
        bits = 8 * x.itemsize
        first = place.arithmetic.lstm == "table_sum_first"
        pieces = sequence.lstm_table(attrs.cell_scale_log2, limit, inner, zh, bits, SIGMOID_UINT16.tolist()) | {
            "sum_first": first
        }
    arrays = [t.data.tolist() for t in (wt, bt, rt)]  # type: ignore[union-attr]
    return [
        sequence.lstm(sample, *arrays, zx, zh, gates, recurrent, **pieces, wide=x.dtype == np.int16)  # type: ignore[arg-type]
        for sample in x.tolist()
    ]


@pytest.mark.parametrize(
    ("rule", "dtype", "log2", "clip", "spread"),
    [
        ("gemmlowp", "int8", -11, 0.0, 1.0), ("gemmlowp", "int8", -15, 0.7, 9.0), ("table", "int8", -12, 0.0, 1.0),
        ("table_sum_first", "int8", -11, 0.0, 12.0), ("table_sum_first", "int16", -11, 0.0, 30.0),
        ("table", "int8", -9, 1.5, 9.0), ("table", "int8", -14, 0.0, 4.0), ("table", "int16", -11, 0.0, 1.0),
    ],
)  # fmt: skip
def test_lstm_equals_the_oracle(rule: str, dtype: str, log2: int, clip: float, spread: float) -> None:
    attrs = LstmAttrs(False, clip, log2, HIDDEN, 4)
    place = lstm_site(attrs, dtype, rule, 5, 3, 6, spread)
    limits = np.iinfo(dtype)
    x = RNG.integers(limits.min, limits.max + 1, (2, 6, 3)).astype(dtype)
    args = [x, *(t.data for t in place.inputs[1:] if t)]
    (y,) = OPS["lstm"].prepare(place)(args)
    assert y.tolist() == expected_lstm(place, x)
    inputs = (replace(place.x, shape=(6, 1, 3)), *place.inputs[1:])
    turned = Site("layer", "lstm", LstmAttrs(True, clip, log2, HIDDEN, 4), inputs, place.outputs, place.arithmetic)
    (other,) = OPS["lstm"].prepare(turned)([np.ascontiguousarray(x[:1].transpose(1, 0, 2)), *args[1:]])
    np.testing.assert_array_equal(other.transpose(1, 0, 2), y[:1])


def test_lstm_refusals_say_why() -> None:
    place = lstm_site(LstmAttrs(), "int8", "table", 5, 3, 6, 1.0)
    with pytest.raises(UnsupportedError, match="scales of its states are not known"):
        OPS["lstm"].prepare(place)
    with pytest.raises(UnsupportedError, match="only int8 activations"):
        OPS["lstm"].prepare(lstm_site(LstmAttrs(False, 0.0, -11, HIDDEN, 0), "int16", "gemmlowp", 5, 3, 6, 1.0))
    with pytest.raises(UnsupportedError, match=r"2\*\*-15 to 2\*\*-9"):
        OPS["lstm"].prepare(lstm_site(LstmAttrs(False, 0.0, -8, HIDDEN, 0), "int8", "gemmlowp", 5, 3, 6, 1.0))
    with pytest.raises(ModelError, match="are not"):
        OPS["lstm"].infer_shape(LstmAttrs(), [(1, 4, 3), (20, 2), (20,), (20, 5)])


@pytest.mark.parametrize(
    ("dtype", "field", "value"),
    [
        ("int8", "accumulator_bits", 16), ("int8", "overflow", "saturate"), ("int8", "requantize", "single"),
        ("int16", "accumulator_bits_wide", 40), ("int16", "requantize_wide", "float64_half_away"),
    ],
)  # fmt: skip
def test_lstm_refuses_rules_that_its_kernels_do_not_have(dtype: str, field: str, value: Any) -> None:
    place = lstm_site(LstmAttrs(False, 0.0, -11, HIDDEN, 0), dtype, "table", 5, 3, 6, 1.0)
    with pytest.raises(UnsupportedError, match=rf"{field} .* only, the profile says {value}"):
        OPS["lstm"].prepare(replace(place, arithmetic=replace(place.arithmetic, **{field: value})))


def test_the_gates_saturate_before_or_after_they_are_added() -> None:
    """The two table rules part where a product of the hidden state saturates and that of the input has the other sign."""
    places = [
        lstm_site(LstmAttrs(False, 0.0, -11, HIDDEN, 4), "int8", rule, 5, 3, 6, 12.0) for rule in ("table", "table_sum_first")
    ]
    x = np.random.default_rng(1).integers(-128, 128, (20, 6, 3)).astype(np.int8)
    one, other = (OPS["lstm"].prepare(p)([x, *(t.data for t in p.inputs[1:] if t)])[0] for p in places)
    assert (one != other).any()


def test_lstm_counts_products_of_both_matrices() -> None:
    counts = OPS["lstm"].count(LstmAttrs(), [(1, 7, 3), (20, 3), (20,), (20, 5)], [(1, 7, 5)])
    assert counts.macs == 7 * 20 * (3 + 5)
