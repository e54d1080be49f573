"""ONNX Runtime's quantized products, with VNNI and as AVX2 computes them: u8 x s8 pairs saturated to int16.

Both files hold the same inputs. Activations of uint8 are our int8 with zero points 128 lower, which are the same real numbers.
Weights with a zero point (u8 x u8) have no format here. Source of the vectors: their README; what VPMADDUBSW does: Intel SDM.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.micro_kernels import Tile, runnable
from tests.sites import emulate, site, tensor
from workbench.graph.ir import Tensor
from workbench.numerics.simd import LANES
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import QuantParams
from workbench.validate.golden_base import load_cases

Array = np.ndarray[Any, Any]
FILES = {"ort_vnni": "wrap", "ort_avx2": "saturate_int16_pairs"}
"""File -> overflow of its accumulator."""


def cases(folder: Path, name: str, op: str) -> Iterator[tuple[dict[str, Any], dict[str, Array]]]:
    for case, arrays in load_cases(folder / f"{name}.npz"):
        if case["op"] == op and case["w_dtype"] == "int8":
            yield case, arrays


def signed(array: Array) -> Array:
    """Return uint8 as int8, 128 lower."""
    return (array ^ 0x80).view(np.int8) if array.dtype == np.uint8 else array


def quant(case: dict[str, Any], name: str) -> tuple[float, int]:
    return case[f"{name}_scale"], case[f"{name}_zp"] - (128 if case["x_dtype"] == "uint8" else 0)


def run(
    op: str, attrs: Any, case: dict[str, Any], x: Array, w: Array, bias: Array | None, scale: Array, overflow: str
) -> Array:
    """Return the outputs of a layer as ONNX Runtime stores them. Signed activations never saturate: they are not u8 x s8."""
    channels = w.shape[3 if op == "depthwise_conv2d" else 0]
    zeros = np.zeros(len(scale), np.int64)
    axis = None if len(scale) < channels or channels == 1 else 3 if op == "depthwise_conv2d" else 0
    inputs = [
        tensor("x", x.shape, "int8", quant(case, "x")),
        Tensor("w", w.shape, "int8", QuantParams(scale.copy(), zeros, axis), np.ascontiguousarray(w)),
    ]
    if bias is not None:
        inputs.append(Tensor("b", bias.shape, "int32", None, bias))
    overflow = overflow if case["x_dtype"] == "uint8" else "wrap"
    place = site(
        op, attrs, inputs, tensor("y", (), "int8", quant(case, "y")), requantize="float32_half_even", overflow=overflow
    )
    return emulate(place, signed(x))


@pytest.mark.parametrize("name", FILES)
def test_qlinear_conv(golden_dir: Path, name: str) -> None:
    differing = 0
    for case, a in cases(golden_dir, name, "QLinearConv"):
        x, y = (np.ascontiguousarray(a[k].transpose(0, 2, 3, 1)) for k in "xy")  # NCHW
        pads = tuple(case["pads"])
        if case["group"] > 1 and case["group"] == x.shape[3]:
            got = run(
                "depthwise_conv2d", DepthwiseConv2dAttrs(pads=pads), case, x, a["w"].transpose(1, 2, 3, 0), a["b"], a["w_scale"],
                FILES[name],
            )  # fmt: skip
        else:
            attrs, w = Conv2dAttrs(pads=pads, groups=case["group"]), a["w"].transpose(0, 2, 3, 1)
            got = run("conv2d", attrs, case, x, w, a["b"], a["w_scale"], FILES[name])
            exact = run("conv2d", attrs, case, x, w, a["b"], a["w_scale"], "wrap")
            differing += int((got != exact).sum())
        assert np.array_equal(got, signed(y)), case["id"]
    assert (differing > 0) == (name == "ort_avx2")


@pytest.mark.parametrize("name", FILES)
def test_qlinear_matmul(golden_dir: Path, name: str) -> None:
    count = 0
    for case, a in cases(golden_dir, name, "QLinearMatMul"):
        got = run("fully_connected", FullyConnectedAttrs(), case, a["x"], a["w"].T, None, a["w_scale"], FILES[name])
        assert np.array_equal(got, signed(a["y"])), case["id"]
        count += 1
    assert count >= 10


@pytest.mark.parametrize("path", runnable(), ids=lambda path: path.name)
def test_matmul_integer_is_the_sum_of_saturated_pairs(golden_dir: Path, path: Any) -> None:
    """int32 results: what a tile sums up, less the zero point's share."""
    for name, overflow in FILES.items():
        for case, a in cases(golden_dir, name, "MatMulInteger"):
            if case["x_dtype"] != "uint8" or (overflow == "wrap" and path.signed) or (overflow == "wrap" and not path.byte_dot):
                continue
            assert np.array_equal(matmul_integer(path, "pairs" if overflow != "wrap" else "bytes", case["x_zp"], a), a["y"])


def matmul_integer(path: Any, kind: str, zero_point: int, a: dict[str, Array]) -> Array:
    """x uint8 [M, K] by w int8 [K, N] - zero point * sums of w: by tiles of 4 rows and 16 columns."""
    (rows, depth), columns = a["x"].shape, a["w"].shape[1]
    steps = -(-depth // 4)
    x = np.zeros((-(-rows // 4) * 4, 4 * steps), np.uint8)
    x[:rows, :depth] = a["x"]
    w = np.zeros((4 * steps, -(-columns // LANES) * LANES), np.int8)
    w[:depth, :columns] = a["w"]
    y = np.empty((len(x), w.shape[1]), np.int64)
    for row in range(0, len(x), 4):
        for column in range(0, w.shape[1], LANES):
            packed = w[:, column : column + LANES].reshape(steps, 4, LANES).transpose(0, 2, 1)
            tile = Tile(
                kind, True, 1, 1, x.reshape(-1), np.full(4, row * 4 * steps), 4 * steps, np.arange(0, 4 * steps, 4),
                np.ascontiguousarray(packed).view(np.uint8), np.zeros(LANES, np.int32),
            )  # fmt: skip
            y[row : row + 4, column : column + LANES] = tile.run(path)
    return y[:rows, :columns] - zero_point * w[:, :columns].astype(np.int64).sum(axis=0)
