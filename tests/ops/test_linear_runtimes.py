"""Random linear layers, run by LiteRT (extra `verify`) and by us: rules that the stored vectors do not show.

Grouped convolutions, int16 layers with an int32 bias, and the float32 scale of XNNPACK, each under the runtime's profile.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from tests.runtime_models import Port, build, run
from workbench.execute import prepare
from workbench.graph.ir import Tensor
from workbench.hardware import load_profile
from workbench.numerics.fixed_point import quantize_multiplier, reduce_multiplier
from workbench.ops.batch_matmul import BatchMatmulAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import QuantParams
from workbench.validate.golden_base import PRODUCERS, single_op

profile_of = lru_cache(lambda producer: load_profile(PRODUCERS[producer]))
TYPE_CODE = {"int32": 2, "int64": 4}
CASES = {
    # operator, activation, bias type, groups, weight scales per channel
    "conv_int8": ("conv2d", "int8", "int32", 1, True),
    "conv_int8_groups": ("conv2d", "int8", "int32", 2, True),
    "conv_int16_bias32": ("conv2d", "int16", "int32", 1, True),
    "conv_int16_bias32_groups": ("conv2d", "int16", "int32", 4, True),
    "conv_int16_bias64": ("conv2d", "int16", "int64", 1, True),
    "fc_int8": ("fully_connected", "int8", "int32", 1, False),
    "fc_int8_per_channel": ("fully_connected", "int8", "int32", 1, True),
    "fc_int16_bias32": ("fully_connected", "int16", "int32", 1, False),
    "fc_int16_bias32_per_channel": ("fully_connected", "int16", "int32", 1, True),
    "fc_int16_bias64": ("fully_connected", "int16", "int64", 1, True),
}
OUTPUTS, DEPTH, RATIO = 240, 8, 2.0**-4
SX, SY = np.float32(0.0173), np.float32(0.0391)


def draw(name: str, rows: int, ratio: float = RATIO) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, w, bias and weight scales: accumulators spread over the output range, every third scale a power of two."""
    op, activation, bias_type, groups, per_channel = CASES[name]
    rng = np.random.default_rng(sorted(CASES).index(name))
    depth = DEPTH // groups
    x = rng.integers(-128, 128, (rows, 1, 1, DEPTH) if op == "conv2d" else (rows, DEPTH)).astype(activation)
    w = rng.integers(-20, 21, (OUTPUTS, 1, 1, depth) if op == "conv2d" else (OUTPUTS, depth)).astype(np.int8)
    reach = int((100 if activation == "int8" else 20000) / ratio)
    bias = rng.integers(-reach, reach, OUTPUTS).astype(bias_type)
    ratios = rng.uniform(0.5, 1.0, OUTPUTS if per_channel else 1) * ratio
    ratios[:-1:3] = ratio
    return x, w, bias, (ratios * SY / SX).astype(np.float32)


def ours(name: str, producer: str, x: Any, w: Any, bias: Any, scales: Any) -> np.ndarray:
    op, activation, bias_type, groups, per_channel = CASES[name]
    zero_points = (3, -5) if activation == "int8" else (0, 0)
    quant = QuantParams(scales, np.zeros(len(scales), np.int64), 0 if per_channel else None)
    graph = single_op(
        op,
        Conv2dAttrs(groups=groups) if op == "conv2d" else FullyConnectedAttrs(),
        [
            Tensor("x", x.shape, activation, QuantParams.per_tensor(float(SX), zero_points[0])),
            Tensor("w", w.shape, "int8", quant, w),
            Tensor("b", bias.shape, bias_type, None, bias),
        ],
        Tensor("y", (), activation, QuantParams.per_tensor(float(SY), zero_points[1])),
    )
    return prepare(graph, profile_of(producer)).run({"x": x})["y"]


def theirs(name: str, producer: str, x: Any, w: Any, bias: Any, scales: Any) -> np.ndarray:
    op, activation, bias_type, _, _ = CASES[name]
    zero_points = (3, -5) if activation == "int8" else (0, 0)
    ports = [
        Port(x.shape, activation, (float(SX), zero_points[0])),
        Port(w.shape, "int8", (scales, 0), w),
        Port(bias.shape, bias_type, (SX * scales, 0), bias),
    ]
    y = Port((*x.shape[:-1], OUTPUTS), activation, (float(SY), zero_points[1]))
    options: dict[str, Any] = {"quantizedBiasType": TYPE_CODE[bias_type]}
    if op == "conv2d":
        options |= {"strideH": 1, "strideW": 1, "padding": 1}
    code, table = ("CONV_2D", "Conv2DOptions") if op == "conv2d" else ("FULLY_CONNECTED", "FullyConnectedOptions")
    return np.asarray(run(producer, build(code, ports, y, (table, options), 8 if op == "conv2d" else 11), [x]))


@pytest.mark.parametrize("producer", ["litert_ref", "litert_opt", "litert_xnn"])
@pytest.mark.parametrize("name", CASES)
def test_equal_to_the_runtime(name: str, producer: str) -> None:
    case = draw(name, 12)
    assert int((ours(name, producer, *case) != theirs(name, producer, *case)).sum()) == 0


@pytest.mark.parametrize("name", [name for name in CASES if name != "conv_int16_bias32_groups"])
def test_equal_to_tflm(name: str) -> None:
    case = draw(name, 12)
    assert int((ours(name, "tflm", *case) != theirs(name, "tflm", *case)).sum()) == 0


def scales_that_tell(count: int) -> list[tuple[np.float32, np.float32, np.float32]]:
    """Return (sx, sw, sy) for which a float32 and a float64 product sx * sw give different 16-bit multipliers."""
    rng = np.random.default_rng(7)
    sx, sw = (rng.uniform(0.001, 0.02, 200_000).astype(np.float32) for _ in range(2))
    sy = (sx * sw * np.float32(2**14) * rng.uniform(0.7, 1.0, sx.size)).astype(np.float32)
    exact = quantize_multiplier(sx.astype(np.float64) * sw / sy)[0]
    rounded = quantize_multiplier((sx * sw).astype(np.float64) / sy)[0]
    where = np.flatnonzero(reduce_multiplier(exact) != reduce_multiplier(rounded))[:count]
    assert len(where) == count
    return [(sx[i], sw[i], sy[i]) for i in where]


@pytest.mark.parametrize("producer", ["litert_ref", "litert_opt", "litert_xnn", "tflm"])
def test_batch_matmul_precision_of_the_product_of_scales(producer: str) -> None:
    rng = np.random.default_rng(8)
    for *scales, sy in scales_that_tell(4):
        arrays = [rng.integers(-32768, 32768, shape).astype(np.int16) for shape in ((1, 40, 24), (1, 24, 40))]
        quants = [(float(s), 0) for s in scales]
        ports = [Port(v.shape, "int16", q) for v, q in zip(arrays, quants, strict=True)]
        y = Port((1, 40, 40), "int16", (float(sy), 0))
        want = run(producer, build("BATCH_MATMUL", ports, y, ("BatchMatMulOptions", {"adjX": False, "adjY": False}), 4), arrays)
        tensors = [Tensor(n, p.shape, "int16", QuantParams.per_tensor(*q)) for n, p, q in zip("ab", ports, quants, strict=True)]
        output = Tensor("y", (), "int16", QuantParams.per_tensor(float(sy)))
        graph = single_op("batch_matmul", BatchMatmulAttrs(), [*tensors], output)
        got = prepare(graph, profile_of(producer)).run(dict(zip("ab", arrays, strict=True)))["y"]
        assert int((got != want).sum()) == 0


@pytest.mark.parametrize("name", ["conv_int8", "fc_int8_per_channel"])
def test_xnnpack_scale_is_a_float32_quotient(name: str) -> None:
    """Half of a million outputs with accumulators near 2**17: a float64 quotient would differ in about one of a million."""
    case = draw(name, 4000, 2.0**-11)
    assert int((ours(name, "litert_xnn", *case) != theirs(name, "litert_xnn", *case)).sum()) == 0
