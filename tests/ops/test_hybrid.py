"""Float32 activations quantized as a layer runs: chosen in a plan, for float networks and for files; and where it is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from tests.loaders.tflite_writer import T, const
from tests.operators.case import _litert
from tests.operators.linear_nets import SAME, dense_net, floats, weights, window_net
from workbench.errors import UnsupportedError
from workbench.execute import prepare, run_reference
from workbench.graph.node_format import node_format
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite
from workbench.ops._hybrid_levels import LEVELS, quantize_groups
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering

PROFILES = {"litert_ref": "x86-litert-reference", "litert_opt": "x86-litert-builtin", "litert_xnn": "x86-litert-xnnpack"}


def float_net() -> bytes:
    w = const(floats("w", 6, 3, 3, 4), name="w")
    return window_net("CONV_2D", T((1, 6, 6, 4), name="x"), w, const(floats("b", 6), name="b"), T(name="y"), 3, padding=SAME)


def hybrid_net() -> bytes:
    return dense_net(T((3, 16), name="x"), weights((5, 16), 0, "channel"), const(floats("b", 5), name="b"), T(name="y"))


@pytest.mark.parametrize("fmt", ["w8a8-dynamic", "w8a8-dynamic-per-tensor", "w4a8-dynamic"])
@pytest.mark.parametrize("profile", PROFILES.values())
def test_a_plan_makes_a_float_network_dynamic_without_calibration(profile: str, fmt: str) -> None:
    graph, x = load_tflite("m.tflite", float_net()), floats("x", 4, 6, 6, 4)
    lowered = Lowering(graph, load_profile(profile)).quantized(PrecisionPlan.of(fmt))
    (node,) = lowered.nodes
    assert node_format(lowered, node) == fmt and lowered.tensors["x"].dtype == lowered.tensors["y"].dtype == "float32"
    got, exact = wb.emulate(graph, x, profile, fmt)["y"], run_reference(graph, {"x": x})["y"]
    error = np.abs(got - exact).max() / np.abs(exact).max()
    assert 0 < error < (0.3 if fmt.startswith("w4") else 0.02)


def test_what_lowering_makes_is_what_the_runtime_computes() -> None:
    """The lowered layer written as a file, run by LiteRT."""
    graph, x = load_tflite("m.tflite", float_net()), floats("x", 4, 6, 6, 4)
    for oracle, profile in PROFILES.items():
        lowered = Lowering(graph, load_profile(profile)).quantized(PrecisionPlan.of("w8a8-dynamic"))
        w, b = lowered.tensors["w"], lowered.tensors["b"]
        assert w.quant is not None
        stored = T(w.shape, np.int8, "w", data=w.data, scale=w.quant.scale.tolist(), zero=[0] * 6)
        data = window_net("CONV_2D", T((1, 6, 6, 4), name="x"), stored, const(b.data, name="b"), T(name="y"), 3, padding=SAME)
        want = np.concatenate([y for (y,) in _litert(oracle, data, [[x[i : i + 1]] for i in range(4)])])
        np.testing.assert_array_equal(wb.emulate(graph, x, profile, "w8a8-dynamic")["y"], want)


@pytest.mark.parametrize("profile", PROFILES.values())
def test_a_file_runs_as_it_is_and_each_row_by_itself(profile: str) -> None:
    graph, x = load_tflite("m.tflite", hybrid_net()), floats("x", 6, 16)
    assert graph.has_scales and not graph.is_quantized
    whole = wb.emulate(graph, x, profile)["y"]
    rows = np.concatenate([wb.emulate(graph, x[i : i + 3], profile)["y"] for i in (0, 3)])
    np.testing.assert_array_equal(whole, rows)
    assert not np.array_equal(whole, wb.emulate(graph, x, profile, "fp32")["y"])


def test_a_target_without_such_layers_refuses_the_file() -> None:
    graph, x = load_tflite("m.tflite", hybrid_net()), floats("x", 3, 16)
    with pytest.raises(UnsupportedError, match="w8a8-dynamic"):
        wb.emulate(graph, x, "stm32l4r5-cortex-m4-tflm")
    with pytest.raises(UnsupportedError, match="no layers with integer weights on float32 activations"):
        prepare(graph, load_profile("stm32l4r5-cortex-m4-tflm"))


def test_depthwise_weights_want_a_scale_for_each_channel() -> None:
    w, b = weights((1, 3, 3, 6), 3, "tensor"), const(floats("b", 6), name="b")
    data = window_net("DEPTHWISE_CONV_2D", T((1, 5, 5, 6), name="x"), w, b, T(name="y"), 3, padding=SAME)
    graph = load_tflite("m.tflite", data)
    with pytest.raises(UnsupportedError, match="a weight scale for each of the 6 channels"):
        prepare(graph, load_profile("x86-litert-builtin"))


def slow_symmetric(row: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[list[int], np.float32]:
    """Return levels and scale of one row, value by value: the last `len % 8` half away from zero, the others by adding a half."""
    top = np.float32(max(abs(v) for v in row))
    if top == 0:
        return [0] * len(row), np.float32(1)
    inverse, whole, found = np.float32(127) / top, len(row) // 8 * 8, []
    for i, v in enumerate(row):
        product = np.float32(v * inverse)
        half = np.float32(-0.5 if product < 0 else 0.5)
        exact = float(product) + float(half)
        found.append(max(-127, min(127, math.trunc(float(np.float32(product + half)) if i < whole else exact))))
    return found, np.float32(top / np.float32(127))


def test_symmetric_levels_are_those_of_one_value_at_a_time() -> None:
    below = np.float32(np.nextafter(np.float32(0.5), np.float32(0)))
    ties = np.array([127, below, -below, 0.5, -0.5, 1.5, -2.5, 63.5, 126.5, below, -below, 0.5, -0.5], np.float32)
    rows = np.stack([ties, np.zeros_like(ties), floats("levels", 13)])
    q, scale, zero = quantize_groups(rows, "symmetric")
    for got, s, row in zip(q, scale, rows, strict=True):
        want, factor = slow_symmetric(row)
        assert got.tolist() == want and s == factor
    assert not zero.any() and q[0, 1] == 1 and q[0, 9] == 0  # the vector code rounds the number below a half up


@pytest.mark.parametrize("name", LEVELS)
@pytest.mark.parametrize(
    "rows", [[[0.0, 0.0]], [[1e-42, 0.0]], [[-1e38, 3e38]], [[np.inf, 1.0]], [[np.nan, 1.0]], [[-0.0, 5.0]]]
)
def test_levels_of_extreme_rows_stay_in_range(name: str, rows: list[list[float]]) -> None:
    q, scale, zero = quantize_groups(np.array(rows, np.float32), name)
    assert q.shape == (1, 2) and np.abs(q.astype(int)).max() <= 255 and scale.dtype == zero.dtype == np.float32


def test_the_keyword_network_has_the_outputs_of_the_runtime(models_dir: Path) -> None:
    arrays = np.load(models_dir / "data" / "kws01_1000.npz")
    x = ((arrays["x_int8"][:100].astype(np.float32) - 83) * np.float32(0.5847029089927673)).astype(np.float32)
    got = wb.emulate(str(models_dir / "mlperf_tiny" / "kws_ref_dynrange.tflite"), x, "x86-litert-xnnpack")
    (y,) = got.values()
    np.testing.assert_allclose(y, arrays["litert_dynrange"][:100], rtol=0, atol=2e-6)
