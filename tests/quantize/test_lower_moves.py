"""Lowering of operators that move values: they keep scales, indices stay integers, positions come out plain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import tflite

from tests.loaders.onnx_cases import load, model, node, rand
from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.execute import run_reference
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite
from workbench.placement import computed_in
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate
from workbench.tensor import dequantize

R = np.random.default_rng(11)
X = R.standard_normal((20, 4, 4, 3)).astype(np.float32)
IDS = R.integers(0, 9, (30, 5)).astype(np.int32)
CONV = ("Conv2DOptions", {"Padding": 0, "StrideH": 1, "StrideW": 1})


def i32(*values: object) -> T:
    return const(values[0] if len(values) == 1 else list(values), np.int32)


def normal(*shape: int) -> T:
    return const(R.standard_normal(shape), np.float32)


def pictures() -> Graph:
    """conv -> mirror pad -> depth to space -> gather -> tile -> select(mask, _, 0.5) -> concat with its reverse -> top 3, arg max."""
    tensors = [
        T((1, 4, 4, 3), name="x"), normal(8, 3, 3, 3), normal(8), T((1, 4, 4, 8), name="conv"),
        i32([[0, 0], [1, 1], [0, 0], [0, 0]]), T((1, 6, 4, 8), name="mirrored"), T((1, 12, 8, 2), name="space"), i32([1, 0, 1]),
        T((1, 12, 8, 3), name="gathered"), i32(1, 1, 1, 2), T((1, 12, 8, 6), name="tiled"),
        const(np.arange(8).reshape(1, 1, 8, 1) % 3 > 0, np.bool_), const(0.5, np.float32), T((1, 12, 8, 6), name="selected"), i32([3]),
        T((1, 12, 8, 6), name="reversed"), T((1, 12, 8, 12), name="joined"), i32([3]), T((1, 12, 8, 3), name="top"),
        T((1, 12, 8, 3), np.int32, "positions"), T((1, 12, 8), np.int64, "largest"),
    ]  # fmt: skip
    ops = [
        Op("CONV_2D", [0, 1, 2], [3], CONV), Op("MIRROR_PAD", [3, 4], [5], ("MirrorPadOptions", {"Mode": 0})),
        Op("DEPTH_TO_SPACE", [5], [6], ("DepthToSpaceOptions", {"BlockSize": 2})),
        Op("GATHER", [6, 7], [8], ("GatherOptions", {"Axis": 3})), Op("TILE", [8, 9], [10]),
        Op("SELECT_V2", [11, 10, 12], [13]), Op("REVERSE_V2", [13, 14], [15]),
        Op("CONCATENATION", [13, 15], [16], ("ConcatenationOptions", {"Axis": 3})), Op("TOPK_V2", [16, 17], [18, 19]),
        Op("ARG_MAX", [16, 14], [20], ("ArgMaxOptions", {"OutputType": tflite.TensorType.INT64})),
    ]  # fmt: skip
    return load_tflite("pictures.tflite", Net(tensors, ops, outputs=(18, 19, 20)).bytes())


def words() -> Graph:
    """Token ids -> embedding table -> dense; and the ids as numbers -> dense."""
    tensors = [
        T((1, 5), np.int32, "ids"), normal(9, 6), T((1, 5, 6), name="embedded"), i32(1, 30), T((1, 30), name="flat"), normal(4, 30),
        normal(4), T((1, 4), name="y"), T((1, 5), name="numbers"), normal(4, 5), T((1, 4), name="z"),
    ]  # fmt: skip
    dense = ("FullyConnectedOptions", {})
    ops = [
        Op("GATHER", [1, 0], [2], ("GatherOptions", {"Axis": 0})), Op("RESHAPE", [2, 3], [4]),
        Op("FULLY_CONNECTED", [4, 5, 6], [7], dense), Op("CAST", [0], [8]), Op("FULLY_CONNECTED", [8, 9, 6], [10], dense),
    ]  # fmt: skip
    return load_tflite("words.tflite", Net(tensors, ops, outputs=(7, 10)).bytes())


@pytest.mark.parametrize("profile", ["x86-litert-builtin", "nvidia-h100"])
@pytest.mark.parametrize("fmt", ["w8a8", "fp32"])
def test_moves_keep_their_scale_and_positions_stay_plain(profile: str, fmt: str) -> None:
    graph = pictures()
    low = Lowering(graph, load_profile(profile), calibrate(graph, X))
    lowered = low.quantized(PrecisionPlan.of(fmt))
    kinds = {n.op: n for n in lowered.nodes}
    for op in ("mirror_pad", "depth_to_space", "gather", "tile", "reverse", "select", "concat", "top_k"):
        node = kinds[op]
        values = [lowered.tensors[n] for n in (*node.inputs, *node.outputs) if not lowered.tensors[n].is_plain]
        assert len({(t.dtype, t.quant) for t in values}) == 1, op
    program = low.program(PrecisionPlan.of(fmt))
    got, want = program.run({graph.inputs[0]: X}), run_reference(graph, {graph.inputs[0]: X})
    top, positions, largest = (got[t.name] for t in program.outputs)
    assert (positions.dtype, largest.dtype) == (np.int32, np.int64)
    assert (largest == positions[..., 0]).all()  # the first of equals, in both
    limit = 0.06 * float(np.abs(want["top"]).max()) if fmt == "w8a8" else 1e-4
    assert np.abs(top - want["top"]).max() < limit
    if fmt == "fp32":
        assert (largest == want["largest"]).all()


@pytest.mark.parametrize("profile", ["x86-litert-builtin", "x86-vnni-onnxruntime", "stm32l4r5-cortex-m4-tflm"])
def test_ids_choose_rows_of_a_quantized_table(profile: str) -> None:
    graph = words()
    low = Lowering(graph, load_profile(profile), calibrate(graph, IDS))
    lowered = low.quantized(PrecisionPlan.of("w8a8"))
    gather = next(n for n in lowered.nodes if n.op == "gather")
    table, ids = (lowered.tensors[n] for n in gather.inputs)
    assert (table.dtype, ids.dtype, ids.quant) == ("int8", "int32", None)
    cast = next(n for n in lowered.nodes if n.op == "cast")
    assert lowered.tensors[cast.outputs[0]].dtype == "float32"  # then quantized: a cast has no scale
    assert table.data is not None and table.quant is not None
    original = graph.tensors[next(n for n in graph.nodes if n.op == "gather").inputs[0]].data
    assert original is not None
    assert np.abs(dequantize(table.data, table.quant) - original).max() <= float(table.quant.scale[0]) * 0.51
    program = low.program(PrecisionPlan.of("w8a8"))
    got, want = program.run({graph.inputs[0]: IDS}), run_reference(graph, {graph.inputs[0]: IDS})
    for tensor, name in zip(program.outputs, graph.outputs, strict=True):
        assert np.abs(got[tensor.name] - want[name]).max() < 0.05 * np.abs(want[name]).max()


@pytest.mark.parametrize("profile", ["nvidia-h100", "nvidia-t4", "x86-vnni-onnxruntime"])
def test_casts_of_a_float16_file_keep_their_numbers_between_integer_layers(profile: str, tmp_path: Path) -> None:
    """The file's own casts at its ends: what is behind a softmax has another scale than what the softmax writes."""
    proto = model(
        [node("MatMul", "x w", "h"), node("Softmax", "h", "y")], {"x": ("N", 6)}, {"w": rand(6, 4).astype(np.float16)}
    )
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    graph = load(proto, tmp_path)
    feed = {"x": rand(30, 6, seed=4).astype(np.float16)}
    low = Lowering(graph, load_profile(profile), calibrate(graph, feed))
    lowered = low.quantized(PrecisionPlan.of("w8a8"))
    casts = [n for n in lowered.nodes if n.op == "cast"]
    assert casts
    assert all("float" in lowered.tensors[name].dtype for n in casts for name in (n.inputs[0], n.outputs[0]))
    program = low.program(PrecisionPlan.of("w8a8"))
    got = program.run(feed)[program.outputs[0].name]
    np.testing.assert_allclose(got.astype(np.float32), run_reference(graph, feed)["y"].astype(np.float32), rtol=0, atol=0.02)


def test_a_cast_reads_floats_even_where_a_target_claims_integers() -> None:
    profile = load_profile("nvidia-h100")
    claims = profile.model_copy(update={"operators": {**profile.operators, "cast": profile.operators["dequantize"]}})
    assert [computed_in("cast", claims, t) for t in ("int8", "float8_e4m3", "float16")] == ["float32", "float32", "float16"]


@pytest.mark.parametrize(("axes", "keep", "kind"), [([1], 0, "float32"), ([1, 2], 1, "float32"), ([2, 3], 1, "int8")])
def test_means_that_a_runtime_has_in_float_alone_run_in_float(axes: list[int], keep: int, kind: str, tmp_path: Path) -> None:
    image = axes == [2, 3]
    layer = node("Conv", "x w", "h") if image else node("MatMul", "x w", "h")
    shape: tuple[str | int, ...] = ("N", 3, 6, 6) if image else ("N", 5, 6)
    weights = rand(4, 3, 3, 3) if image else rand(6, 4)
    proto = model([layer, node("ReduceMean", "h", "y", axes=axes, keepdims=keep)], {"x": shape}, {"w": weights}, opset=13)
    graph = load(proto, tmp_path)
    feed = {"x": rand(20, *[int(n) for n in shape[1:]], seed=5)}
    low = Lowering(graph, load_profile("x86-vnni-onnxruntime"), calibrate(graph, feed))
    lowered = low.quantized(PrecisionPlan.of("w8a8"))
    mean = next(n for n in lowered.nodes if n.op == "mean")
    assert lowered.tensors[mean.inputs[0]].dtype == kind
    program = low.program(PrecisionPlan.of("w8a8"))
    got, want = program.run(feed)[program.outputs[0].name], run_reference(graph, feed)["y"]
    np.testing.assert_allclose(got, want, rtol=0, atol=0.03 * np.abs(want).max())
