"""What a profile says that it runs has a rule: every operator in every format of every shipped profile prepares in a small network."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lstm_nets import LstmNet
from tests.operators.case import all_cases
from tests.operators.case import load as load_case
from tests.recurrent_nets import rnn, svdf
from workbench.cost import estimate, support
from workbench.execute import prepare
from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware import HardwareProfile, list_profiles, load_profile
from workbench.loaders.tflite import load_tflite
from workbench.numerics.codings import SPARSE
from workbench.ops import OPS, Site
from workbench.precision import FLOAT8, UNSIGNED, PrecisionPlan, is_float, parse_format
from workbench.precision import PLAIN as PLAINS
from workbench.quantize import Lowering, calibrate
from workbench.tensor import STORAGE, QuantParams

SHAPE = (1, 6, 6, 8)
HALF = (1, 3, 3, 8)
WINDOW: dict[str, Any] = {"filter": (2, 2), "stride": (2, 2)}
PLAIN: dict[str, tuple[dict[str, Any], tuple[int, ...], int]] = {
    "avg_pool2d": (WINDOW, HALF, 1), "max_pool2d": (WINDOW, HALF, 1),
    **dict.fromkeys(("add", "sub", "mul"), ({}, SHAPE, 2)),
    "mean": ({"axes": (1, 2), "keep_dims": True}, (1, 1, 1, 8), 1), "sum": ({"axes": (3,), "keep_dims": True}, (1, 6, 6, 1), 1),
    "softmax": ({}, SHAPE, 1), "log_softmax": ({}, SHAPE, 1), "leaky_relu": ({"alpha": 0.125}, SHAPE, 1),
    "concat": ({"axis": 3}, (1, 6, 6, 16), 2), "pad": ({"paddings": ((0, 0), (1, 1), (1, 1), (0, 0))}, (1, 8, 8, 8), 1),
    "reshape": ({"shape": (-1, 288)}, (1, 288), 1), "transpose": ({"perm": (0, 2, 1, 3)}, SHAPE, 1),
    "strided_slice": ({"begin": (0, 0, 0, 0), "end": (None, 6, 6, 8), "strides": (1, 2, 1, 1)}, (1, 3, 6, 8), 1),
    "gather": ({"axis": 1}, (1, 2, 6, 8), 1), "gather_nd": ({}, (2, 6, 8), 1), "tile": ({"repeats": (1, 2, 1, 1)}, (1, 12, 6, 8), 1),
    "broadcast_to": ({"shape": (-1, 6, 6, 8)}, SHAPE, 1), "select": ({}, SHAPE, 2), "one_hot": ({"depth": 4}, (1, 6, 6, 4), 1),
    "arg_max": ({"axis": 3}, (1, 6, 6), 1), "arg_min": ({"axis": 3}, (1, 6, 6), 1), "top_k": ({"k": 2}, (1, 6, 6, 2), 1),
    "reverse": ({"axes": (1,)}, SHAPE, 1), "reverse_sequence": ({"axis": 2, "batch_axis": 1}, SHAPE, 1),
    "cumsum": ({"axis": 1}, SHAPE, 1), "dilate": ({"steps": (1, 1, 2, 1)}, (1, 6, 11, 8), 1),
    "space_to_depth": ({"block": 2}, (1, 3, 3, 32), 1), "depth_to_space": ({"block": 2}, (1, 12, 12, 2), 1),
    "space_to_batch_nd": ({"block": (2, 2), "paddings": ((0, 0), (0, 0))}, (4, 3, 3, 8), 1),
    "batch_to_space_nd": ({"block": (1, 1), "crops": ((0, 0), (1, 0))}, (1, 6, 5, 8), 1), "dynamic_update_slice": ({}, SHAPE, 1),
    "mirror_pad": ({"pads": ((0, 0), (1, 1), (0, 0), (0, 0))}, (1, 8, 6, 8), 1),
    "batch_matmul": ({"adj_y": True}, (1, 6, 6, 6), 2), **dict.fromkeys(
        ("logistic", "tanh", "hard_swish", "relu", "abs", "elu", "exp", "gelu", "log", "rsqrt"), ({}, SHAPE, 1)
    ),
    **dict.fromkeys(
        ("div", "maximum", "minimum", "pow", "floor_div", "floor_mod", "squared_difference", "prelu", "add_n"), ({}, SHAPE, 2)
    ),
    **dict.fromkeys(
        ("sqrt", "square", "reciprocal", "neg", "floor", "ceil", "round", "sign", "sin", "cos", "erf", "softplus", "softsign", "mish",
         "celu", "selu", "hard_sigmoid", "thresholded_relu", "l2_normalization"), ({}, SHAPE, 1)
    ), "local_response_normalization": ({"radius": 1, "alpha": 1.0, "beta": 0.5, "bias": 1.0}, SHAPE, 1),
    **dict.fromkeys(("reduce_max", "reduce_min", "reduce_prod"), ({"axes": (3,), "keep_dims": True}, (1, 6, 6, 1), 1)),
    "compare": ({"kind": "less"}, SHAPE, 2), **dict.fromkeys(("layer_norm", "rms_norm"), ({"axis": 3}, SHAPE, 1)),
    **dict.fromkeys(("resize_bilinear", "resize_nearest", "resize_cubic"), ({"size": (12, 9)}, (1, 12, 9, 8), 1)),
}  # fmt: skip
"""Operators without weights: attributes, output shape, activations read. The layer before makes what they read."""
CONSTANTS: dict[str, tuple[int, tuple[Any, ...]]] = {
    "layer_norm": (1, (np.ones(8, np.float32), np.ones(8, np.float32))), "rms_norm": (1, (np.ones(8, np.float32),)),
    "gather": (1, (np.array([1, 3]),)), "gather_nd": (1, (np.array([[0, 1], [0, 2]]),)),
    "select": (0, (np.ones((1, 6, 1, 1), np.bool_),)),
    "one_hot": (1, (np.float32(1.0), np.float32(0.0))), "dilate": (1, (np.float32(0.0),)),
    "reverse_sequence": (1, (np.arange(6),)), "dynamic_update_slice": (1, (np.ones((1, 2, 2, 2), np.float32), np.zeros(4, np.int64))),
}  # fmt: skip
"""Operator -> where its constants stand among its inputs, and which."""
WEIGHTED: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "conv2d": ({"pads": (1, 1, 1, 1)}, (8, 3, 3, 8)), "depthwise_conv2d": ({"pads": (1, 1, 1, 1)}, (1, 3, 3, 8)),
    "transpose_conv2d": ({"stride": (2, 2), "pads": (1, 1, 1, 1), "output_padding": (1, 1)}, (8, 3, 3, 8)),
    "fully_connected": ({}, (8, 8)),
}  # fmt: skip
INTEGERS = {"a8": "int8", "a16": "int16", "a4": "int4", "a2": "int2"}
RECURRENT = {"rnn_with_states": "RNN", "gru": "GRU", "lstm_with_states": "LSTM"}
"""Operators with states of ONNX -> the ONNX operator that brings them."""
CONVERSIONS = ("quantize", "quantize_grid", "dequantize", "cast", "bitwise_or", "bitwise_xor")
"""Operators that no float network has: the workbench puts them between formats, or files of integers bring them."""
X = np.abs(np.random.default_rng(0).standard_normal((2, *SHAPE[1:]))).astype(np.float32) + np.float32(0.1)


def constant(name: str, *shape: int) -> Tensor:
    data = np.abs(np.random.default_rng(len(name)).standard_normal(shape) / 3).astype(
        np.float32
    )  # log and rsqrt want positive inputs
    return Tensor(name, shape, "float32", data=data)


@lru_cache(maxsize=64)
def network(op: str) -> tuple[Graph, Any]:
    """Return one or two 1x1 convolutions and the operator on them, or the one layer, with its calibration."""
    tensors, nodes = {"x": Tensor("x", SHAPE, "float32")}, []
    if op in WEIGHTED:
        attrs, weights = WEIGHTED[op]
        nodes = [Node("op", op, ("x", "w", "b"), ("y",), OPS[op].attrs(**attrs))]
        made = [constant("w", *weights), constant("b", 8)]
        (shape,) = OPS[op].infer_shape(nodes[0].attrs, [SHAPE, weights, (8,)])
    else:
        attrs, shape, count = PLAIN[op]
        names = [f"t{i}" for i in range(count)]
        nodes = [Node(f"conv{i}", "conv2d", ("x", f"w{i}", ""), (name,), OPS["conv2d"].attrs()) for i, name in enumerate(names)]
        at, values = CONSTANTS.get(op, (0, ()))
        fixed = [Tensor(f"k{i}", v.shape, v.dtype.name, data=np.asarray(v)) for i, v in enumerate(values)]
        if op == "one_hot":
            nodes.append(Node("arg", "arg_max", tuple(names), ("i",), OPS["arg_max"].attrs(axis=3)))
            names, tensors["i"] = ["i"], Tensor("i", SHAPE[:3], "int64")
        read = (*names[:at], *(t.name for t in fixed), *names[at:])
        nodes.append(Node("op", op, read, ("y", "z") if op == "top_k" else ("y",), OPS[op].attrs(**attrs)))
        made = [
            *fixed,
            *(constant(f"w{i}", 8, 1, 1, 8) for i in range(count)),
            *(Tensor(f"t{i}", SHAPE, "float32") for i in range(count)),
        ]
    tensors |= {
        t.name: t
        for t in (
            *made,
            Tensor("y", shape, "int64" if op.startswith("arg_") else "bool" if op == "compare" else "float32"),
            Tensor("z", shape, "int64"),
        )
    }
    graph = Graph(op, tuple(nodes), tensors, ("x",), ("y",))
    return graph, calibrate(graph, X)


def layer_format(profile: HardwareProfile, op: str, fmt: str) -> str | None:
    """Return the format of the layers that brings an operator into its own; None when this target has none that does."""
    if fmt == UNSIGNED:  # of files alone: no plan gives it to a layer
        return None
    if op in WEIGHTED:
        return fmt
    plain = INTEGERS.get(fmt) or parse_format(fmt).activation
    return next(
        (f for f in profile.formats("conv2d") if parse_format(f).output == plain and parse_format(f).activation == plain), None
    )


@pytest.mark.parametrize("name", list_profiles())
def test_every_operator_in_every_format_has_a_rule_and_a_price(name: str) -> None:
    profile, tried = load_profile(name), 0
    for op in profile.operators:
        if op in (*CONVERSIONS, "lstm", "svdf", "rnn", *RECURRENT):  # below
            continue
        for fmt in profile.formats(op):
            layers = None if fmt == PLAINS else layer_format(profile, op, fmt)
            if layers is None or (fmt in FLOAT8 and op in PLAIN) or fmt.endswith(SPARSE):
                continue
            graph, calibration = network(op)
            low, plan = Lowering(graph, profile, calibration), PrecisionPlan.of(layers)
            lowered = low.quantized(plan)
            assert support(lowered, profile) == [], (op, fmt)
            low.program(plan)
            assert profile.costs is None or estimate(lowered, profile).latency_s > 0, (op, fmt)
            tried += 1
    assert tried > 10


@pytest.mark.parametrize("name", [n for n in list_profiles() if "lstm" in load_profile(n).operators])
def test_every_lstm_has_a_rule(name: str) -> None:
    """Its states have scales only in a file: one is written per activation type."""
    profile = load_profile(name)
    for fmt in profile.formats("lstm"):
        dtype = "float32" if fmt == "fp32" else parse_format(fmt).activation
        scales: dict[str, Any] = {"x": (3e-4, 0), "y": (2.0**-15, 0), "hidden": (2.0**-15, 0)} if dtype == "int16" else {}
        net = LstmNet((2, 3, 4), 5, dtype, **scales)
        graph = load_tflite("lstm.tflite", net.net().bytes())
        (y,) = prepare(graph, profile).run({graph.inputs[0]: np.ones(net.shape, dtype)}).values()
        assert y.shape == (2, 3, 5) and y.any()


@pytest.mark.parametrize("name", [n for n in list_profiles() if "svdf" in load_profile(n).operators])
def test_every_svdf_and_rnn_has_a_rule_and_a_price(name: str) -> None:
    """The same: files bring their scales."""
    profile = load_profile(name)
    for op in ("svdf", "rnn"):
        for fmt in profile.formats(op) if op in profile.operators else ():
            net = (
                svdf(np.int8 if fmt == "w8a8-per-tensor" else np.float32, activation=1) if op == "svdf" else rnn("RNN", (1, 6))
            )
            graph = load_tflite("net.tflite", net.bytes())
            (y,) = prepare(graph, profile).run({"x": np.full((4, 6), 3, net.tensors[0].dtype)}).values()
            assert y.any() and support(graph, profile) == [] and estimate(graph, profile).latency_s > 0


@pytest.mark.parametrize("name", [n for n in list_profiles() if "gru" in load_profile(n).operators])
def test_every_recurrent_layer_of_onnx_has_a_rule_and_a_price(name: str, tmp_path: Path) -> None:
    profile = load_profile(name)
    for op, kind in RECURRENT.items():
        case = next(c for c in all_cases() if (c.source, c.operator) == ("onnx", kind))
        graph = load_case(case, case.model(), tmp_path)
        for fmt in profile.formats(op):
            low, plan = Lowering(graph, profile), PrecisionPlan.of(fmt)
            assert support(low.quantized(plan), profile) == [], (op, fmt)
            assert estimate(low.quantized(plan), profile).latency_s > 0
            assert low.program(plan).steps


@pytest.mark.parametrize("name", list_profiles())
def test_every_conversion_has_a_rule(name: str) -> None:
    """From and to float32; a cast is between floats, the other two have integers or float8 on one side, bits have them on both."""
    profile = load_profile(name)
    for op in (o for o in CONVERSIONS if o in profile.operators):
        for fmt in set(profile.formats(op)) - {UNSIGNED, PLAINS}:
            dtype = INTEGERS.get(fmt) or parse_format(fmt).activation
            if is_float(dtype) != (op == "cast"):
                continue
            made, real = one("a", dtype), one("a", "float32")
            sides = {"dequantize": (made, real), **dict.fromkeys(("quantize", "quantize_grid", "cast"), (real, made))}
            x, y = sides.get(op, (made, made))
            inputs = (x, x) if op.startswith("bitwise") else (x,)
            site = Site("node", op, OPS[op].attrs(), inputs, (y,), profile.arithmetic(op, dtype))
            (found,) = OPS[op].prepare(site)([np.ones(x.shape, STORAGE[x.dtype])] * len(inputs))
            assert found.dtype == STORAGE[y.dtype] and found.shape == y.shape


def one(name: str, dtype: str) -> Tensor:
    """Return a tensor in a scale that powers of two have, too."""
    quant = None if is_float(dtype) else QuantParams.per_tensor(0.25, 0)
    return Tensor(name, (1, 5), dtype, quant)
