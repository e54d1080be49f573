"""SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND are one dilated convolution of every sample; anything else keeps its batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.errors import ModelError
from workbench.graph.ir import Graph
from workbench.loaders.tflite import load_tflite

W = np.random.default_rng(2).normal(size=(4, 3, 3, 2)).astype(np.float32)
CONV = {"Padding": 1, "StrideH": 1, "StrideW": 1}


def triple(
    options: dict[str, Any] | None = None, back: tuple[int, int] = (2, 2), crops: Any = ((0, 0), (0, 0)), extra: bool = False
) -> Net:
    """x [1, 8, 8, 2] split by 2 x 2, convolved, put together. extra: something else reads what is in between."""
    pads = ((2, 2), (2, 2))
    tensors = [
        T((1, 8, 8, 2), name="x"), const((2, 2), np.int32), const(pads, np.int32), T((4, 6, 6, 2), name="split"), const(W, np.float32),
        T((), name="made"), const(back, np.int32), const(crops, np.int32), T((), name="y"), T((), name="z"),
    ]  # fmt: skip
    ops = [
        Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3]), Op("CONV_2D", [3, 4], [5], ("Conv2DOptions", {**CONV, **(options or {})})),
        Op("BATCH_TO_SPACE_ND", [5, 6, 7], [8]), *([Op("RELU", [3], [9])] if extra else []),
    ]  # fmt: skip
    return Net(tensors, ops, outputs=(8, 9) if extra else (8,))


def load(net: Net) -> Graph:
    return load_tflite("m.tflite", net.bytes())


def test_samples_stay_apart() -> None:
    graph = load(triple())
    assert graph.fixed_batch is None
    assert [n.op for n in graph.nodes] == ["pad", "conv2d", "strided_slice"]
    assert graph.nodes[1].attrs.dilation == (2, 2)
    assert graph.tensors[graph.outputs[0]].shape == (1, 8, 8, 4)


@pytest.mark.parametrize(
    "net",
    [triple({"StrideH": 2, "StrideW": 2}), triple({"Padding": 0}), triple(back=(4, 1)), triple(extra=True)],
    ids=["stride", "padding", "other-block", "another-reader"],
)
def test_what_is_no_dilated_convolution_keeps_its_batch(net: Net) -> None:
    graph = load(net)
    assert graph.fixed_batch == 1
    assert {"space_to_batch_nd", "batch_to_space_nd"} <= {n.op for n in graph.nodes}


def test_crops_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ModelError, match=r"BATCH_TO_SPACE_ND #2: crops \(\(8, 0\), \(0, 0\)\) leave nothing"):
        load(triple(crops=((8, 0), (0, 0))))


def test_a_declared_shape_that_contradicts_is_refused() -> None:
    net = triple()
    net.tensors[8] = replace(net.tensors[8], shape=(1, 7, 8, 4))
    with pytest.raises(ModelError, match=r"makes shape \[1, 8, 8, 4\], but output 'y' is declared"):
        load(net)
