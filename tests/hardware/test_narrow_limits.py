"""What narrow targets cannot hold: shapes, fused activations, numbers of a file; and what their hosts then take and cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.hardware.vela_cases import cases
from tests.networks import small_cnn, two_branches
from workbench.cost import estimate, fits, on_host, support, unprepared
from workbench.execute import run_reference
from workbench.graph.ir import Graph, Node, Tensor
from workbench.graph.quantities import QUANTITIES, Layer
from workbench.hardware import HardwareProfile, load_profile
from workbench.inspection import inspect_model, inspection_tables
from workbench.inspection.stand_in import lowered
from workbench.numerics.activation import activation_range
from workbench.ops import OPS
from workbench.ops.add import BinaryAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.reshape import ReshapeAttrs
from workbench.ops.transpose_conv2d import TransposeConv2dAttrs
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, PlanFile, calibrate
from workbench.tensor import RANGES, QuantParams, dequantize

Shape = tuple[int, ...]


def one(
    op: str, attrs: Any, x: Shape, w: Shape | None = None, bias: int | None = None, scale: float = 0.125, zero_point: int = 0,
    dtype: str = "int8",
) -> Graph:  # fmt: skip
    """Return a graph of one node. bias: of every output channel, None for no bias."""
    quant = QuantParams.per_tensor(scale, zero_point)
    tensors = [Tensor("x", x, dtype, quant)]
    names = ["x"]
    if op in ("add", "sub"):
        tensors.append(Tensor("x2", x, dtype, quant))
        names.append("x2")
    if w is not None:
        tensors.append(Tensor("w", w, "int8", QuantParams.per_tensor(0.25), np.ones(w, np.int8)))
        names.append("w")
    if bias is not None and w is not None:
        tensors.append(Tensor("b", (w[0],), "int32", None, np.full(w[0], bias, np.int32)))
        names.append("b")
    shape = OPS[op].infer_shape(attrs, [t.shape for t in tensors])[0]
    tensors.append(Tensor("y", shape, dtype, quant))
    activations = tuple(t.name for t in tensors[:-1] if not t.is_constant)
    return Graph("g", (Node("n", op, tuple(names), ("y",), attrs),), {t.name: t for t in tensors}, activations, ("y",))


def alone(name: str) -> HardwareProfile:
    return load_profile(name).model_copy(update={"fallback": None})


SAME = (1, 1, 1, 1)
UP = {"stride": (2, 2), "pads": SAME}


@pytest.mark.parametrize(
    ("target", "graph", "reason"),
    [
        ("max78000", one("conv2d", Conv2dAttrs(), (1, 1023, 4, 8), (4, 1, 1, 8)), ""),
        ("max78000", one("conv2d", Conv2dAttrs(), (1, 1024, 4, 8), (4, 1, 1, 8)), "in_h is 1,024; at most 1,023 fits"),
        ("max78002", one("conv2d", Conv2dAttrs(), (1, 2047, 4, 8), (4, 1, 1, 8)), ""),
        ("max78002", one("conv2d", Conv2dAttrs(), (1, 4, 2048, 8), (4, 1, 1, 8)), "in_w is 2,048; at most 2,047 fits"),
        ("max78000", one("conv2d", Conv2dAttrs(), (1, 90, 91, 64), (4, 1, 1, 64)), ""),
        ("max78000", one("conv2d", Conv2dAttrs(), (1, 91, 91, 64), (4, 1, 1, 64)), "in_plane is 8,281 with in_channels 64; at most"),
        ("max78000", one("max_pool2d", PoolAttrs((2, 2), (2, 2)), (1, 128, 128, 4)), ""),
        ("max78000", one("max_pool2d", PoolAttrs((2, 2), (2, 2)), (1, 182, 182, 4)), "in_plane is 33,124; at most 32,768 fits"),
        ("max78000", one("max_pool2d", PoolAttrs((2, 2), (1, 1)), (1, 128, 128, 4)), "out_plane is 16,129; at most 8,192 fits"),
        ("max78000", one("conv2d", Conv2dAttrs(), (1, 4, 4, 8), (513, 1, 1, 8), 128), "out_channels is 513 with bias_largest 128"),
        ("max78000", one("conv2d", Conv2dAttrs(), (1, 4, 4, 8), (513, 1, 1, 8)), ""),
        ("max78002", one("conv2d", Conv2dAttrs(), (1, 4, 4, 8), (513, 1, 1, 8), 128), ""),
        ("max78000", one("transpose_conv2d", TransposeConv2dAttrs(**UP, output_padding=(1, 1)), (1, 8, 8, 4), (4, 3, 3, 4)), ""),
        ("max78002", one("transpose_conv2d", TransposeConv2dAttrs(**UP), (1, 8, 8, 4), (4, 3, 3, 4)), "output_padding is 0x0; 1x1"),
        ("max78000", one("mean", MeanAttrs((1, 2), True), (1, 16, 16, 8)), ""),
        ("max78000", one("mean", MeanAttrs((3,), True), (1, 8, 8, 16)), "reduces_channels is 1; 0 fits"),
        ("max78000", one("conv2d", Conv2dAttrs(pads=(2, 1, 2, 1)), (1, 1, 32, 8), (4, 5, 3, 8)), "kernel_h is 5 with in_h 1"),
        ("max78000", one("conv2d", Conv2dAttrs(pads=SAME), (1, 1, 32, 8), (4, 3, 3, 8)), ""),
        ("max78000", one("conv2d", Conv2dAttrs(pads=SAME), (1, 1, 32, 8), (4, 3, 5, 8)), "kernel is 3x5 with"),
        ("max78000", one("conv2d", Conv2dAttrs(pads=(0, 1, 0, 1)), (1, 1, 32, 128), (4, 1, 3, 128)), ""),
        ("max78002", one("conv2d", Conv2dAttrs(pads=(0, 1, 0, 1)), (1, 1, 32, 128), (4, 1, 3, 128)), "pad_left is 1 with"),
        ("max78002", one("conv2d", Conv2dAttrs(pads=(0, 1, 0, 1)), (1, 1, 32, 64), (4, 1, 3, 64)), ""),
        ("max78000", one("reshape", ReshapeAttrs((1, 16384)), (1, 16, 16, 64)), ""),
        ("max78000", one("reshape", ReshapeAttrs((1, 1156)), (1, 17, 17, 4)), "in_plane is 289 with"),
        ("max78002", one("reshape", ReshapeAttrs((1, 32768)), (1, 16, 16, 128)), "in_elements is 32,768 with"),
        ("max78000", one("fully_connected", FullyConnectedAttrs(), (1, 16384), (10, 16384)), ""),
        ("max78000", one("fully_connected", FullyConnectedAttrs(), (1, 16385), (10, 16385)), "in_channels is 16,385"),
        ("max78000", one("add", BinaryAttrs("relu"), (1, 4, 4, 8)), "activation is relu; none fits"),
        ("max78000", one("relu", ReluAttrs(0.0, 6.0), (1, 4, 4, 8)), "activation is relu6; none or relu fits"),
        ("max78000", one("relu", ReluAttrs(0.0, 5.0), (1, 4, 4, 8)), "activation is clip; none or relu fits"),
        ("gap8-pulp-nn", one("conv2d", Conv2dAttrs(activation="relu"), (1, 4, 4, 8), (4, 1, 1, 8), zero_point=-128), ""),
        ("gap8-pulp-nn", one("conv2d", Conv2dAttrs(activation="relu"), (1, 4, 4, 8), (4, 1, 1, 8)), ""),
        ("gap8-pulp-nn", one("conv2d", Conv2dAttrs(activation="relu6"), (1, 4, 4, 8), (4, 1, 1, 8)), "activation is relu6; none or"),
        ("stm32h743-cmix-nn", one("conv2d", Conv2dAttrs(activation="relu6"), (1, 4, 4, 8), (4, 1, 1, 8)), "activation is relu6"),
    ],
)  # fmt: skip
def test_limits_of_shapes_and_activations(target: str, graph: Graph, reason: str) -> None:
    problems = support(graph, alone(target))
    assert len(problems) == bool(reason)
    assert not reason or reason in problems[0].reason


@pytest.mark.parametrize("activation", ["none", "relu", "relu6", "relu_n1_to_1"])
@pytest.mark.parametrize(
    ("scale", "zero_point"), [(1 / 128, 0), (1 / 16, 0), (1 / 32, 0), (6 / 255, -128), (0.1, -128), (0.1, 3)]
)
def test_the_activation_is_the_simplest_that_leaves_the_same_integers(activation: str, scale: float, zero_point: int) -> None:
    graph = one("conv2d", Conv2dAttrs(activation=activation), (1, 4, 4, 8), (4, 1, 1, 8), scale=scale, zero_point=zero_point)
    found = str(QUANTITIES["activation"](Layer(graph.nodes[0], graph.tensors)))
    ranges = {n: activation_range(n, scale, zero_point, *RANGES["int8"]) for n in ("none", "relu", "relu6", "relu_n1_to_1")}
    assert found == next(n for n, limits in ranges.items() if limits == ranges[activation])


def test_relu6_goes_to_the_host_where_the_scale_shows_it() -> None:
    profile = load_profile("max78000")
    attrs = Conv2dAttrs(activation="relu6")
    (moved,) = on_host(one("conv2d", attrs, (1, 4, 4, 8), (4, 1, 1, 8), scale=1 / 16), profile)
    assert "activation is relu6; none or relu fits" in str(moved)
    assert on_host(one("conv2d", attrs, (1, 4, 4, 8), (4, 1, 1, 8), scale=1 / 32), profile) == []  # 6 is beyond 127 / 32


CONV = ("conv2d", Conv2dAttrs(), (1, 4, 4, 8), (4, 1, 1, 8))


@pytest.mark.parametrize(
    ("target", "graph", "reason"),
    [
        ("max78000", one(*CONV, scale=0.1), "the scale of 'x' is 0.1, and 'max78000' holds zero point 0 and scales that are powers"),
        ("esp32-s3", one(*CONV, zero_point=7), "the zero point of 'x' is 7"),
        ("esp32-p4", one(*CONV, zero_point=-128), "the zero point of 'x' is -128"),
        ("gap8-pulp-nn", one(*CONV, scale=0.1, zero_point=5), "the zero point of 'x' is 5"),
        ("gap8-pulp-nn", one(*CONV, scale=0.1, zero_point=-128), ""),
        ("stm32h743-cmix-nn", one(*CONV, scale=0.1, zero_point=5), ""),
        ("max78000", one(*CONV, 127 * 128), ""),
        ("max78000", one(*CONV, 128 * 128), "the bias 'b' has 16,384; biases have 8 bits in units of 128"),
        ("max78000", one(*CONV, -128 * 128), ""),
        ("max78000", one(*CONV, 64), "the bias 'b' has 64; biases have 8 bits in units of 128"),
        ("esp32-s3", one(*CONV, (1 << 19) - 1), ""),
        ("esp32-s3", one(*CONV, -(1 << 19) - 1), "the bias 'b' has -524,289; biases have 20 bits"),
        ("esp32-p4", one(*CONV, 1 << 30), ""),
    ],
)  # fmt: skip
def test_numbers_of_a_file_that_the_target_cannot_hold_are_refused(target: str, graph: Graph, reason: str) -> None:
    problems = support(graph, load_profile(target))  # with its host: such a network is not for this target
    assert len(problems) == bool(reason)
    assert not reason or (reason in problems[0].reason and "Give the float model" in problems[0].hint)


def test_a_shift_that_the_silicon_lacks_is_found_without_running() -> None:
    graph, target = one(*CONV), load_profile("max78000")
    tiny = replace(graph.tensors["y"], quant=QuantParams.per_tensor(2.0**-40))
    graph = replace(graph, tensors={**graph.tensors, "y": tiny})
    (problem,) = unprepared(graph, target)
    assert support(graph, target) == [] and "the shifter has 2**-22 to 2**8" in problem
    assert unprepared(one(*CONV), target) == []


X = np.random.default_rng(3).standard_normal((32, 6, 6, 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("target", "fmt"),
    [
        ("esp32-s3", "w8a8-per-tensor"), ("esp32-p4", "w8a8-per-tensor"), ("esp32-p4", "w8a8"), ("gap8-pulp-nn", "w8a8-per-tensor"),
        ("gap8-pulp-nn", "w4a4-per-tensor"),
    ],
)  # fmt: skip
def test_a_classifier_runs_where_softmax_writes_floats(target: str, fmt: str) -> None:
    graph = two_branches()
    low = Lowering(graph, load_profile(target), calibrate(graph, X))
    plan = PrecisionPlan.of(fmt)
    ready = low.quantized(plan)
    assert support(ready, low.profile) == []
    node = ready.nodes[-1]
    assert node.op == "softmax" and [ready.tensors[n].dtype for n in (*node.inputs, *node.outputs)] == ["float32"] * 2
    assert ready.nodes[-2].op == "dequantize"
    program = low.program(plan)
    values = program.run({"x": X}, keep_all=True)
    quant = ready.tensors["t7"].quant
    assert quant is not None
    logits = dequantize(values["t7"], quant)
    want = run_reference(graph, {"x": X}, keep_all=True)
    noise = float(((logits - want["t7"]) ** 2).sum())
    assert 10 * np.log10(float((want["t7"] ** 2).sum()) / noise) > (18 if "8a8" in fmt else 0)
    e = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    assert np.allclose(values["y"], e / e.sum(axis=1, keepdims=True), atol=1e-6)
    assert np.isfinite(estimate(ready, low.profile).latency_s)


def test_what_reads_an_operator_in_float_goes_on_in_integers() -> None:
    graph = two_branches()
    tail = Node("fc6", "fully_connected", ("y", "w5", "b5"), ("z",), FullyConnectedAttrs())
    longer = replace(
        graph, nodes=(*graph.nodes, tail), tensors={**graph.tensors, "z": Tensor("z", (1, 4), "float32")}, outputs=("z",)
    )
    low = Lowering(longer, load_profile("esp32-s3"), calibrate(longer, X))
    ready = low.quantized(PrecisionPlan.of("w8a8-per-tensor"))
    assert support(ready, low.profile) == []
    back = next(n for n in ready.nodes if n.op == "quantize" and n.inputs == ("y",))
    quant = ready.tensors[back.outputs[0]].quant
    assert quant is not None and quant.scalar[1] == 0 and np.frexp(quant.scale)[0] == 0.5  # not softmax's 1/256, -128
    assert ready.nodes[-2].op == "fully_connected" and ready.tensors["z"].dtype == "int8"


def test_the_way_out_of_an_operator_without_weights_is_one_that_a_user_has() -> None:
    softmax = Node("n", "softmax", ("x",), ("y",), two_branches().nodes[-1].attrs)
    quant = QuantParams.per_tensor(0.125)
    tensors = {n: Tensor(n, (1, 4), "int8", quant) for n in ("x", "y")}
    graph = Graph("g", (softmax,), tensors, ("x",), ("y",))
    (problem,) = support(graph, load_profile("esp32-s3"))
    assert problem.nearest == "fp32" and "Give a plan" in problem.hint
    wide = replace(graph, tensors={n: replace(t, dtype="int16") for n, t in tensors.items()})
    (problem,) = support(wide, load_profile("stm32h743-cmix-nn"))
    assert problem.nearest == "a8" and "put those in a format with a8 activations" in problem.hint


def strided(outputs: int) -> Graph:
    return one("conv2d", Conv2dAttrs(stride=(2, 2)), (1, 8, 8, 200), (outputs, 3, 3, 200), 128)


def test_layers_of_the_host_lie_in_its_own_flash() -> None:
    graph, profile = strided(256), load_profile("max78000")  # 460,800 weights: more than the weight memory holds
    cost = estimate(graph, profile)
    assert cost.flash_bytes == 0 and cost.host_share == pytest.approx(1, abs=0.01)
    row = cost.layers[0]
    assert row.emulation == "host" and row.weight_bytes == 460_800
    host = load_profile("stm32l4r5-cortex-m4-tflm").costs
    assert host is not None
    assert cost.host_flash_bytes == row.flash_bytes + round(host.memory.runtime_flash_bytes.value)
    memory = fits(cost, profile).memories[0]
    assert (memory.kind, memory.gap_bytes) == ("flash", 0)
    big = fits(estimate(strided(512), profile), profile).memories[2]
    assert big.kind == "host flash" and big.gap_bytes > 0 and big.levers == ()  # the host takes 8-bit weights alone
    own = one("conv2d", Conv2dAttrs(), (1, 8, 8, 200), (256, 3, 3, 200), 128)
    cost = estimate(own, profile)
    assert cost.flash_bytes > 442_368 and cost.host_share == 0 and cost.host_flash_bytes == cost.flash_bytes
    (weights, *_) = fits(cost, profile).memories
    assert weights.gap_bytes > 0 and weights.levers == ("n to w4a8-per-tensor: saves 230,400 bytes",)


def test_a_host_that_shares_the_memories_counts_there() -> None:
    profile = load_profile("stm32h743-cmix-nn")
    graph = one("conv2d", Conv2dAttrs(), (1, 8, 8, 3), (8, 3, 3, 3), 1)
    cost = estimate(graph, profile)
    assert cost.layers[0].emulation == "host" and cost.flash_bytes == cost.layers[0].flash_bytes > 0
    assert cost.host_flash_bytes == 0 and [m.kind for m in fits(cost, profile).memories] == ["flash", "ram"]


def test_no_layer_of_a_float_network_is_refused_for_stand_in_ranges() -> None:
    for graph in (small_cnn(), two_branches()):
        for name in ("gap8-pulp-nn", "esp32-s3", "max78002"):
            profile = load_profile(name)
            assert support(lowered(graph, profile, PlanFile(PrecisionPlan.of("w8a8-per-tensor"))), profile) == []


def test_inspect_refuses_what_the_file_brings_and_the_target_cannot_hold(tmp_path: Path) -> None:
    net = dict(cases())["add"]
    (tmp_path / "m.tflite").write_bytes(net.bytes())
    found = inspect_model(tmp_path / "m.tflite", ["max78000"])
    text = inspection_tables(found)
    assert not found.ok and "scales that are powers of two" in str(text[-1]) and "Give the float model" in str(text[-1])
