"""Scratch of the kernels: figures worked out by hand from `arm_*_get_buffer_size` of CMSIS-NN."""

from __future__ import annotations

import pytest

from tests.cost.graphs import activation, weight
from workbench.cost.counts import layer_work
from workbench.cost.scratch import scratch_bytes
from workbench.graph.ir import Graph, Node
from workbench.hardware.costs import Library
from workbench.ops import OPS


def conv(
    op: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    y: tuple[int, ...],
    dtype: str = "int8",
    kind: str = "int8",
    **attrs: object,
) -> int:
    return _bytes(op, x, w, y, dtype, kind, "cmsis_nn_dsp", attrs)


def _bytes(
    op: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    y: tuple[int, ...],
    dtype: str,
    kind: str,
    library: Library,
    attrs: dict[str, object],
) -> int:
    tensors = [activation("x", x, dtype), weight("w", w, kind, None), activation("y", y, dtype)]
    node = Node("n", op, ("x", "w", ""), ("y",), OPS[op].attrs(**attrs))
    graph = Graph("g", (node,), {t.name: t for t in tensors}, ("x",), ("y",))
    return scratch_bytes(graph, node, layer_work(graph, node), library)


SAME = {"pads": (1, 1, 1, 1)}
K3 = ((1, 8, 8, 5), (16, 3, 3, 5), (1, 8, 8, 16))
DW = ((1, 8, 8, 20), (1, 3, 3, 20), (1, 8, 8, 20))
DW5 = ((1, 8, 8, 20), (1, 5, 5, 20), (1, 8, 8, 20))


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("none", 0),
        ("tflm", 0),
        ("cmsis_nn", 2 * 48 * 2),
        ("cmsis_nn_dsp", 2 * 48 * 2),
        ("cmsis_nn_mve", 4 * 48),
        ("im2col_int16", 180),
    ],
)
def test_convolution_of_bytes(library: Library, expected: int) -> None:
    """3 x 3 x 5 = 45 values: rounded up to 4 as two int16 columns, to 16 as four int8 ones."""
    assert _bytes("conv2d", *K3, "int8", "int8", library, SAME) == expected


def test_pointwise_convolution_of_bytes_needs_none_and_of_int16_needs_columns() -> None:
    shapes = ((1, 8, 8, 32), (16, 1, 1, 32), (1, 8, 8, 16))
    assert conv("conv2d", *shapes) == 0
    assert conv("conv2d", *shapes, dtype="int16") == 2 * 32 * 2


@pytest.mark.parametrize(
    ("shapes", "library", "kind", "expected"),
    [
        (DW, "cmsis_nn_dsp", "int8", 0), (DW, "cmsis_nn_dsp", "int4", 20 * 9 * 2), (DW, "cmsis_nn_mve", "int8", 4 * 124 * 9),
        (DW5, "cmsis_nn_dsp", "int8", 20 * 25 * 2), (DW5, "cmsis_nn", "int8", 0), (DW, "tflm", "int4", 180),
    ],
)  # fmt: skip
def test_depthwise_convolution(shapes: tuple[tuple[int, ...], ...], library: Library, kind: str, expected: int) -> None:
    pads = {"pads": (1, 1, 1, 1)} if shapes is DW else {"pads": (2, 2, 2, 2)}
    assert _bytes("depthwise_conv2d", *shapes, "int8", kind, library, dict(pads)) == expected  # type: ignore[arg-type]


def test_float_layers_ask_for_none() -> None:
    assert _bytes("conv2d", *K3, "float32", "float32", "cmsis_nn_dsp", SAME) == 0
