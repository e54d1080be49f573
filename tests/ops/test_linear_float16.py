"""float16 layers: what the graph computes equals the written-out rule (order over k, groups, padding, bias, rounding)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracles import tensor_core as oracle
from workbench.errors import UnsupportedError
from workbench.execute import prepare
from workbench.graph.ir import Tensor
from workbench.hardware import load_profile
from workbench.ops.batch_matmul import BatchMatmulAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.validate.golden_base import single_op

PROFILE = "nvidia-h100-fp16"


def _run(op: str, attrs: Any, x: np.ndarray, constants: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    inputs: list[Tensor | None] = [Tensor("x", (1, *x.shape[1:]), "float16")]
    inputs += [Tensor(f"c{i}", c.shape, c.dtype.name, data=c) for i, c in enumerate(constants)]
    graph = single_op(op, attrs, inputs, Tensor("y", shape, "float16"))
    return prepare(graph, load_profile(PROFILE)).run({"x": x})["y"]


def _dot(a: np.ndarray, b: np.ndarray, bias: np.float32 | None) -> int:
    """Return the float16 pattern of the H100 rule for two float16 vectors."""
    acc = oracle.dot_add(
        a.view(np.uint16).tolist(), b.view(np.uint16).tolist(), 0, ("fp16", "fp16"), 16, 25, "f32"
    )  # fmt: skip
    return oracle.epilogue_f16(acc, None if bias is None else int(np.float32(bias).view(np.uint32)))


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float16)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias_type", [np.float16, np.float32])
def test_conv2d_takes_k_in_kh_kw_c_order_per_group(groups: int, bias_type: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(groups)
    x, w = _normal(rng, 2, 5, 4, 6), _normal(rng, 4, 3, 2, 6 // groups)
    bias = rng.normal(size=4).astype(bias_type)
    attrs = Conv2dAttrs(stride=(2, 1), dilation=(1, 2), pads=(1, 1, 1, 0), groups=groups, activation="relu6")
    got = _run("conv2d", attrs, x, [w, bias], (1, 3, 3, 4))
    assert got.shape == (2, 3, 3, 4)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 0), (0, 0)))
    for n, i, j, o in np.ndindex(*got.shape):
        first = o // (4 // groups) * (6 // groups)
        window = padded[n, 2 * i : 2 * i + 3, j : j + 3 : 2, first : first + 6 // groups]
        want = _dot(window.reshape(-1), w[o].reshape(-1), np.float32(bias[o]))
        value = np.array([want], np.uint16).view(np.float16)[0]
        assert got[n, i, j, o].view(np.uint16) == np.float16(min(max(value, 0), 6)).view(np.uint16)


def test_fully_connected_of_any_rank() -> None:
    rng = np.random.default_rng(3)
    x, w, bias = _normal(rng, 2, 3, 40), _normal(rng, 5, 40), rng.normal(size=5).astype(np.float16)
    got = _run("fully_connected", FullyConnectedAttrs(), x, [w, bias], (1, 3, 5)).view(np.uint16)
    for n, i, o in np.ndindex(*got.shape):
        assert got[n, i, o] == _dot(x[n, i], w[o], np.float32(bias[o]))


def test_batch_matmul_of_two_activations() -> None:
    rng = np.random.default_rng(4)
    x, y = _normal(rng, 2, 3, 20), _normal(rng, 2, 20, 4)
    graph = single_op(
        "batch_matmul", BatchMatmulAttrs(), [Tensor("x", (1, 3, 20), "float16"), Tensor("z", (1, 20, 4), "float16")],
        Tensor("y", (1, 3, 4), "float16"),
    )  # fmt: skip
    got = prepare(graph, load_profile(PROFILE)).run({"x": x, "z": y})["y"].view(np.uint16)
    for n, i, j in np.ndindex(*got.shape):
        assert got[n, i, j] == _dot(x[n, i], np.ascontiguousarray(y[n, :, j]), None)


def test_depthwise_is_a_float32_chain_in_kh_kw_order_rounded_once() -> None:
    rng = np.random.default_rng(5)
    x, w, bias = _normal(rng, 2, 4, 5, 3), _normal(rng, 1, 3, 3, 6), rng.normal(size=6).astype(np.float32)
    got = _run("depthwise_conv2d", DepthwiseConv2dAttrs(pads=(1, 1, 1, 1)), x, [w, bias], (1, 4, 5, 6))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).astype(np.float32)
    for n, i, j, o in np.ndindex(*got.shape):
        acc = np.float32(0)
        for kh in range(3):
            for kw in range(3):
                acc = np.float32(acc + padded[n, i + kh, j + kw, o // 2] * np.float32(w[0, kh, kw, o]))
        assert got[n, i, j, o].view(np.uint16) == np.float16(np.float32(acc + bias[o])).view(np.uint16)


def test_a_layer_with_other_weight_types_is_refused() -> None:
    x, w = np.zeros((1, 4), np.float16), np.zeros((2, 4), np.float32)
    with pytest.raises(UnsupportedError, match="float16 weights"):
        _run("fully_connected", FullyConnectedAttrs(), x, [w], (1, 2))
    with pytest.raises(UnsupportedError, match="bias must be a constant"):
        _run("fully_connected", FullyConnectedAttrs(), x, [w.astype(np.float16), np.zeros(3, np.float32)], (1, 2))
