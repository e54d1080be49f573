"""Fresh random cases on the real runtimes (extra `verify`): files written here, loaded, run under the runtime's profile, bits equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.lstm_nets import LstmNet
from tests.runtime_models import Port, build, run
from workbench.execute import prepare, run_reference
from workbench.hardware import HardwareProfile, load_profile
from workbench.loaders.tflite import load_tflite
from workbench.validate.golden_base import PRODUCERS

LITERT = ("litert_ref", "litert_opt", "litert_xnn")
ALL = (*LITERT, "tflm")
Rng = np.random.Generator
Model = tuple[bytes, np.ndarray]


def same_bits(producer: str, data: bytes, x: np.ndarray, profile: HardwareProfile | None = None) -> None:
    """Run a file of one input on the runtime and here, under the runtime's profile or another one."""
    want = np.asarray(run(producer, data, [x]))
    graph = load_tflite("model.tflite", data)
    (got,) = prepare(graph, profile or load_profile(PRODUCERS[producer])).run({graph.inputs[0]: x}).values()
    np.testing.assert_array_equal(got, want.reshape(got.shape))


def scale_of(rng: Rng, low: float, high: float) -> float:
    return float(np.float32(2.0 ** rng.uniform(low, high)))


def zero_of(rng: Rng, dtype: str) -> int:
    return 0 if dtype == "int16" else int(rng.integers(-128, 128))


def values(rng: Rng, shape: tuple[int, ...], dtype: str, low: int | None = None) -> np.ndarray:
    limits = np.iinfo(dtype)
    return rng.integers(limits.min if low is None else low, limits.max + 1, shape).astype(dtype)


def unary(name: str, options: Any = None, version: int = 1, positive: bool = False, fixed: Any = None) -> Callable[..., Model]:
    """A function of every int8 value, or of many int16 values; every fifth scale is a power of two, where ties are."""

    def make(rng: Rng, dtype: str, k: int) -> Model:
        x = np.arange(-128, 128).astype(np.int8).reshape(1, -1) if dtype == "int8" else values(rng, (1, 3000), dtype)
        sx = scale_of(rng, -9, 0) if dtype == "int8" else scale_of(rng, -15, -8)
        sy = sx * 2.0 ** rng.uniform(-2, 2)
        if k % 5 == 0:
            sx, sy = 2.0**-4, 2.0**-3
        zx = zero_of(rng, dtype) if not positive else -128 if dtype == "int8" else 0
        if positive and dtype == "int16":
            x = np.abs(x.astype(np.int32)).clip(0, 32767).astype(np.int16)
        y = fixed or (float(np.float32(sy)), zero_of(rng, dtype))
        return build(name, [Port(x.shape, dtype, (float(np.float32(sx)), zx))], Port(x.shape, dtype, y), options, version), x

    return make


def log_softmax(rng: Rng, dtype: str, k: int) -> Model:
    shape = (int(rng.integers(1, 5)), int(rng.integers(1, 30)))
    x = values(rng, shape, dtype) if k % 2 else rng.normal(0, 5, shape).clip(-128, 127).astype(dtype)
    ports = [Port(shape, dtype, (scale_of(rng, -9, 0), zero_of(rng, dtype)))]
    return build("LOG_SOFTMAX", ports, Port(shape, dtype, (1 / 16, 127)), None, 1), x


def sums(rng: Rng, dtype: str, k: int) -> Model:
    shape = (1, *(int(v) for v in rng.integers(1, 30, 3)))
    axes, keep = ((1, 2), (1,), (3,), (1, 3), (2, 3), (1, 2, 3))[k % 6], bool(k % 2)
    ties = k % 3 != 1
    count = int(np.prod([shape[a] for a in axes]))
    sx = 0.5 if ties else scale_of(rng, -8, 0)
    sy = 1.0 if ties else float(np.float32(sx * 2.0 ** rng.uniform(0, 4) * np.sqrt(count)))
    out = tuple(1 if i in axes else d for i, d in enumerate(shape) if keep or i not in axes)
    zx = zero_of(rng, dtype)
    inputs = [Port(shape, dtype, (sx, zx)), Port((len(axes),), "int32", None, np.array(axes, np.int32))]
    y = Port(out, dtype, (sy, zero_of(rng, dtype)))
    limits = np.iinfo(dtype)
    near = np.clip(zx + rng.normal(0, 60 / np.sqrt(count), shape).round(), limits.min, limits.max).astype(dtype)
    return build("SUM", inputs, y, ("ReducerOptions", {"keepDims": keep}), 2), near if ties else values(rng, shape, dtype)


def sums_beside_ties(rng: Rng, dtype: str, k: int) -> Model:
    """Long sums far from zero whose scales make ties: the zero point of the input, in float32, is not exact."""
    count, zx = int(rng.integers(100, 400)), int(rng.integers(64, 128)) * (1 if k % 2 else -1)
    shape, sx = (1, count, 2000), float(np.float32(rng.uniform(0.001, 0.1)))
    sy = float(np.float32(sx * 2.0 ** int(rng.integers(3, 6)) / (3, 5, 1)[k % 3]))
    x = np.clip(rng.integers(zx - 60, zx + 61, shape), -128, 127).astype(dtype)
    ports = [Port(shape, dtype, (sx, zx)), Port((1,), "int32", None, np.array([1], np.int32))]
    return build("SUM", ports, Port((1, 2000), dtype, (sy, zero_of(rng, dtype))), ("ReducerOptions", {"keepDims": False}), 2), x


def transpose_conv(bias_type: str | None) -> Callable[..., Model]:
    def make(rng: Rng, dtype: str, k: int) -> Model:
        height, width, depth = (int(v) for v in rng.integers(2, 6, 3))
        kernel, stride = tuple(int(v) for v in rng.integers(1, 5, 2)), tuple(int(v) for v in rng.integers(1, 4, 2))
        outputs, same = int(rng.integers(1, 21)), bool(k % 2)
        size = [
            n * s if same else (n - 1) * s + m + int(rng.integers(0, s if k % 4 == 0 else 1))
            for n, m, s in zip((height, width), kernel, stride, strict=True)
        ]
        w = values(rng, (outputs, *kernel, depth), "int8", -127)
        sx, sw = (0.25, np.full(outputs, 2.0**-6, np.float32)) if k % 2 else (
            scale_of(rng, -8, -4), rng.uniform(0.002, 0.02, outputs).astype(np.float32)
        )  # fmt: skip
        x = (sx, zero_of(rng, dtype))
        sy = 8.0 if k % 2 else float(np.float32(sx * 0.7))
        if dtype == "int16":
            sy = float(np.float32(sx * sw[0] * 40))
        ports = [
            Port((4,), "int32", None, np.array([1, *size, outputs], np.int32)),
            Port(w.shape, "int8", (sw, 0), w),
            Port((1, height, width, depth), dtype, x),
        ]
        options = {"strideH": stride[0], "strideW": stride[1], "padding": 0 if same else 1, "fusedActivationFunction": k % 4}
        if bias_type is not None:
            bias = rng.integers(-3000, 3000, outputs).astype(bias_type)
            ports.append(Port(bias.shape, bias_type, (np.float32(sx) * sw, 0), bias))
            options["quantizedBiasType"] = {"int32": 2, "int64": 4}[bias_type]
        y = Port((1, *size, outputs), dtype, (sy, zero_of(rng, dtype)))
        data = build("TRANSPOSE_CONV", ports, y, ("TransposeConvOptions", options), 5 if bias_type else 3)
        return data, values(rng, (1, height, width, depth), dtype)

    return make


GELU = [("GeluOptions", {"approximate": a}) for a in (False, True)]
EXP = unary("EXP", ("ExpOptions", {}))
CASES: list[tuple[str, Callable[..., Model], str, tuple[str, ...]]] = [
    ("elu", unary("ELU"), "int8", ("litert_opt", "litert_xnn", "tflm")),
    ("exp", EXP, "int8", LITERT), ("exp", EXP, "int16", LITERT),
    *((f"gelu{i}", unary("GELU", o), t, LITERT) for i, o in enumerate(GELU) for t in ("int8", "int16")),
    *(("log", unary("LOG"), t, LITERT) for t in ("int8", "int16")),
    *(("rsqrt", unary("RSQRT", None, 2, positive=True), t, ALL) for t in ("int8", "int16")),
    ("log_softmax", log_softmax, "int8", ALL),
    *(("abs", unary("ABS", ("AbsOptions", {}), 5), t, ("litert_opt", "litert_xnn", "tflm")) for t in ("int8", "int16")),
    ("sum_beside_ties", sums_beside_ties, "int8", ("litert_opt", "litert_xnn")),
    ("sum", sums, "int8", ALL), ("sum", sums, "int16", ("litert_opt", "litert_xnn", "tflm")),
    ("transpose_conv", transpose_conv("int32"), "int8", ALL), ("transpose_conv_no_bias", transpose_conv(None), "int8", ALL),
    ("transpose_conv_b64", transpose_conv("int64"), "int16", ALL), ("transpose_conv_b32", transpose_conv("int32"), "int16", LITERT),
    ("transpose_conv_no_bias", transpose_conv(None), "int16", ALL),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "make", "dtype", "producer"),
    [pytest.param(n, m, t, p, id=f"{n}-{t}-{p}") for n, m, t, producers in CASES for p in producers],
)
def test_integers_equal_the_runtime(name: str, make: Callable[..., Model], dtype: str, producer: str) -> None:
    rng = np.random.default_rng([*map(ord, name), len(dtype)])
    for k in range(6):
        same_bits(producer, *make(rng, dtype, k))


LSTMS = {
    "one_sample": LstmNet((1, 7, 5), 6),
    "batch": LstmNet((3, 4, 2), 9, clip=4.0, cell_log2=-12),
    "time_major": LstmNet((5, 2, 3), 4, time_major=True, cell_log2=-9),
    "saturated": LstmNet((2, 9, 8), 12, spread=12.0, cell_log2=-14, seed=2),
    "coarse_cell": LstmNet((2, 6, 8), 5, spread=3.0, cell_log2=-10, clip=1.5, seed=3),
}


def lstm_profile(producer: str) -> HardwareProfile:
    """tflite-micro as it is compared here has its reference kernels; the board's profile has those of CMSIS-NN."""
    profile = load_profile(PRODUCERS[producer])
    if producer != "tflm":
        return profile
    entry = profile.operators["lstm"].model_copy(update={"arithmetic": {"lstm": "table"}})
    return profile.model_copy(update={"operators": {**profile.operators, "lstm": entry}})


@pytest.mark.parametrize("producer", ALL)
@pytest.mark.parametrize("name", LSTMS)
def test_lstm_int8_equals_the_runtime(name: str, producer: str) -> None:
    net, rng = LSTMS[name], np.random.default_rng(len(name))
    data = net.net().bytes()
    for _ in range(3):
        same_bits(producer, data, values(rng, net.shape, "int8"), lstm_profile(producer))


def test_lstm_int16_equals_tflm() -> None:
    rng = np.random.default_rng(4)
    for seed in range(3):
        net = LstmNet((2, 6, 5), 7, "int16", cell_log2=-11, seed=seed, x=(0.0003, 0), y=(2.0**-15, 0), hidden=(2.0**-15, 0))
        same_bits("tflm", net.net().bytes(), values(rng, net.shape, "int16"), lstm_profile("tflm"))


@pytest.mark.parametrize("producer", ["litert_ref", "tflm"])
@pytest.mark.parametrize("time_major", [False, True])
def test_lstm_float32_equals_the_runtime(time_major: bool, producer: str) -> None:
    """Another exp and tanh, another order of sums."""
    net = LstmNet((3, 6, 5), 7, "float32", time_major, clip=0.6)
    data, x = net.net().bytes(), np.random.default_rng(1).normal(size=net.shape).astype(np.float32)
    graph = load_tflite("lstm.tflite", data)
    (got,) = run_reference(graph, {graph.inputs[0]: x}).values()
    np.testing.assert_allclose(got, run(producer, data, [x]), rtol=2e-6, atol=2e-6)


FLOATS: list[tuple[str, Any, str]] = [
    ("ELU", None, "litert_opt"), ("EXP", ("ExpOptions", {}), "litert_ref"), ("GELU", GELU[0], "litert_ref"),
    ("GELU", GELU[1], "litert_ref"), ("LOG", None, "litert_ref"), ("RSQRT", None, "litert_ref"),
    ("LOG_SOFTMAX", None, "litert_ref"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "producer"), FLOATS, ids=lambda v: v if isinstance(v, str) else "")
def test_float_references_equal_the_runtime(kind: str, options: Any, producer: str) -> None:
    """One rounding of exp, erfc, tanh or log apart."""
    x = np.random.default_rng(2).normal(size=(1, 6, 20)).astype(np.float32) * 3
    x = np.abs(x) + np.float32(0.01) if kind in ("LOG", "RSQRT") else x
    data = build(kind, [Port(x.shape, "float32")], Port(x.shape, "float32"), options, 1)
    graph = load_tflite("float.tflite", data)
    (got,) = run_reference(graph, {graph.inputs[0]: x}).values()
    np.testing.assert_allclose(got, run(producer, data, [x]), rtol=1e-6, atol=1e-6)


def test_float_transpose_conv_equals_the_runtime() -> None:
    """The sums of a kernel are added in another order."""
    rng = np.random.default_rng(3)
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in ((1, 4, 5, 3), (6, 3, 4, 3), (6,)))
    ports = [Port((4,), "int32", None, np.array([1, 8, 15, 6], np.int32)), Port(w.shape, "float32", None, w), Port(x.shape, "float32"),
             Port(b.shape, "float32", None, b)]  # fmt: skip
    options = {"strideH": 2, "strideW": 3, "padding": 0, "fusedActivationFunction": 1}
    data = build("TRANSPOSE_CONV", ports, Port((1, 8, 15, 6), "float32"), ("TransposeConvOptions", options), 4)
    graph = load_tflite("tconv.tflite", data)
    (got,) = run_reference(graph, {graph.inputs[0]: x}).values()
    np.testing.assert_allclose(got, run("litert_ref", data, [x]), rtol=1e-5, atol=1e-5)
