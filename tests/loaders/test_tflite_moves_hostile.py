"""Operators that move values, with attributes that do not fit: one message each, and no memory."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import tflite

from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.errors import InputError, ModelError
from workbench.execute import run_reference
from workbench.loaders.tflite import load_tflite

I32 = np.int32


def i32(*values: Any) -> T:
    return const(values[0] if len(values) == 1 else list(values), I32)


def x(*shape: int, dtype: Any = np.float32) -> T:
    return T(shape, dtype, f"x{len(shape)}{np.dtype(dtype).name}")


def net(kind: str, inputs: list[T], outputs: list[T], options: tuple[str, dict[str, Any]] | None = None) -> bytes:
    """Return a network of one operator; what has no data is an input."""
    count = len(inputs)
    made = list(range(count, count + len(outputs)))
    return Net(
        [*inputs, *outputs],
        [Op(kind, list(range(count)), made, options)],
        [i for i, t in enumerate(inputs) if t.data is None],
        made,
    ).bytes()


def slices(begin: list[int], end: list[int], steps: list[int], **masks: int) -> bytes:
    return net("STRIDED_SLICE", [x(1, 3), i32(begin), i32(end), i32(steps)], [T()], ("StridedSliceOptions", masks))


BROKEN: dict[str, tuple[bytes, str]] = {
    "slice-stride-zero": (slices([0, 0], [1, 3], [1, 0]), "stride 0 of entry 1"),
    "slice-empty": (slices([0, 2], [1, 1], [1, 1]), "keeps nothing of entry 1"),
    "slice-two-ellipses": (slices([0, 0], [1, 3], [1, 1], EllipsisMask=3), "do not fit 2 dimensions"),
    "slice-ellipsis-of-nothing": (slices([0, 0, 0], [1, 3, 3], [1, 1, 1], EllipsisMask=2), "do not fit 2 dimensions"),
    "slice-too-many": (slices([0] * 3, [1] * 3, [1] * 3), "do not fit 2 dimensions"),
    "slice-new-axes": (slices([0] * 8, [1] * 8, [1] * 8, NewAxisMask=255), "do not fit 2 dimensions"),
    "slice-outside": (net("SLICE", [x(1, 3), i32(0, 2), i32(1, 2)], [T((1, 2))]), "outside of [1, 3], or keep nothing"),
    "slice-computed": (net("SLICE", [x(2, 3), x(2, dtype=I32), i32(1, 1)], [T((1, 1))]), "computed by the network"),
    "split-uneven": (
        net("SPLIT", [i32(1), x(1, 5)], [T((1, 2), name="a"), T((1, 3), name="b")]),
        "splits [1, 5] along axis [1] into 2",
    ),
    "split-axis": (
        net("SPLIT", [i32(7), x(1, 4)], [T((1, 2), name="a"), T((1, 2), name="b")]),
        "axis 7 is outside of 2 dimensions",
    ),
    "split-sizes": (
        net("SPLIT_V", [x(1, 4), i32(-1, -1), i32(1)], [T((1, 2), name="a"), T((1, 2), name="b")]),
        "into sizes [-1, -1]",
    ),
    "split-types": (net("SPLIT", [i32(1), x(1, 4)], [T((1, 2), name="a"), T((1, 2), np.int32, "b")]), "expected one type"),
    "unpack-count": (
        net("UNPACK", [x(1, 3)], [T((1,), name="a"), T((1,), name="b")], ("UnpackOptions", {"Num": 2, "Axis": 1})),
        "into 2 outputs",
    ),
    "pack-shapes": (
        net("PACK", [x(1, 3), x(1, 3, 1)], [T((1, 2, 3))], ("PackOptions", {"ValuesCount": 2, "Axis": 1})),
        "expected one shape",
    ),
    "pack-axis": (
        net("PACK", [x(1, 3)], [T((1, 3, 1))], ("PackOptions", {"ValuesCount": 1, "Axis": -9})),
        "axis -9 is outside of 3 dimensions",
    ),
    "gather-axis": (
        net("GATHER", [x(1, 3), i32([0])], [T((1, 1))], ("GatherOptions", {"Axis": -5})),
        "axis -5 is outside of 2 dimensions",
    ),
    "gather-outside": (
        net("GATHER", [x(1, 3), i32([3])], [T((1, 1))], ("GatherOptions", {"Axis": 1})),
        "indices 3 to 3 are outside of [0, 2]",
    ),
    "gather-negative": (net("GATHER", [x(1, 3), i32([-1])], [T((1, 1))], ("GatherOptions", {"Axis": 1})), "outside of [0, 2]"),
    "gather-batches": (
        net("GATHER", [x(2, 3), x(2, 1, dtype=I32)], [T((2, 1))], ("GatherOptions", {"Axis": 1, "BatchDims": 9})),
        "9 batch dimensions do not fit axis 1",
    ),
    "gather-float-indices": (
        net("GATHER", [x(1, 3), x(1)], [T((1, 1))], ("GatherOptions", {"Axis": 1})),
        "expected int32 or int64",
    ),
    "gather-explodes": (
        net("GATHER", [x(2**14, 2**8), const(np.zeros((2**8, 2**7), I32))], [T()], ("GatherOptions", {"Axis": 1})),
        "expected 1 to 268435456 elements",
    ),
    "gather-nd-depth": (net("GATHER_ND", [x(1, 3), i32([[0, 0, 0]])], [T()]), "gather_nd: indices (1, 3) do not fit (1, 3)"),
    "tile-explodes": (net("TILE", [x(1, 3), i32(1, 2**28)], [T()]), "expected 1 to 268435456 elements"),
    "tile-huge": (net("TILE", [x(1, 3), const([1, 2**40], np.int64)], [T()]), "expected 2 integers of 1 to 268435456"),
    "tile-zero": (net("TILE", [x(1, 3), i32(1, 0)], [T()]), "expected 2 integers of 1 to"),
    "tile-computed": (net("TILE", [x(2, 3), x(2, dtype=I32)], [T()]), "computed by the network"),
    "broadcast-explodes": (net("BROADCAST_TO", [x(1, 1), i32(1, 2**29)], [T()]), "expected 1 to 268435456 elements"),
    "broadcast-wrong": (net("BROADCAST_TO", [x(1, 3), i32(1, 4)], [T()]), "does not spread to"),
    "one-hot-billion": (
        net("ONE_HOT", [x(1, 3, dtype=I32), i32(10**9), const(1.0, np.float32), const(0.0, np.float32)], [T()]),
        "expected 1 to 268435456 elements",
    ),
    "one-hot-negative": (
        net("ONE_HOT", [x(1, 3, dtype=I32), i32(-4), const(1.0, np.float32), const(0.0, np.float32)], [T()]),
        "expected one number >= 1",
    ),
    "one-hot-values": (
        net("ONE_HOT", [x(1, 3, dtype=I32), i32(4), const([1.0, 2.0], np.float32), const(0.0, np.float32)], [T()]),
        "a value is float32 [2]",
    ),
    "top-k-large": (net("TOPK_V2", [x(1, 3), i32(4)], [T(name="a"), T((), I32, "b")]), "k is [4] of [1, 3]"),
    "top-k-one-output": (net("TOPK_V2", [x(1, 3), i32(4)], [T(name="a")]), "2 inputs and 1 outputs; expected 2 and 2"),
    "arg-max-axis": (net("ARG_MAX", [x(1, 3), i32(2)], [T((), I32)]), "axis 2 is outside of 2 dimensions"),
    "arg-max-float": (net("ARG_MAX", [x(1, 3), i32(1)], [T((1,))]), "makes positions as float32"),
    "select-condition": (net("SELECT_V2", [x(1, 3), x(1, 3, 1), x(1, 1, 3)], [T()]), "the condition is float32"),
    "select-shapes": (net("SELECT_V2", [x(1, 3, dtype=np.bool_), x(1, 4), x(1, 1)], [T()]), "cannot be broadcast"),
    "where": (net("WHERE", [x(1, 3, dtype=np.bool_)], [T((), np.int64)]), "a shape that depends on data"),
    "range-endless": (
        net("RANGE", [x(1, 3), *(const(v, np.float32) for v in (1.0, 2.0))], [T()]),
        "only constants of one type",
    ),
    "cumsum-axis": (net("CUMSUM", [x(1, 3), i32(9)], [T((1, 3))]), "axis 9 is outside of 2 dimensions"),
    "reverse-twice": (net("REVERSE_V2", [x(1, 3), i32(1, -1)], [T((1, 3))]), "name one twice"),
    "depth-block": (
        net("SPACE_TO_DEPTH", [x(1, 4, 4, 1)], [T()], ("SpaceToDepthOptions", {"BlockSize": 3})),
        "does not divide into blocks of 3 x 3",
    ),
    "depth-zero": (net("DEPTH_TO_SPACE", [x(1, 4, 4, 4)], [T()], ("DepthToSpaceOptions", {"BlockSize": 0})), "expected 1 to"),
    "depth-rank": (
        net("SPACE_TO_DEPTH", [x(1, 4, 4)], [T()], ("SpaceToDepthOptions", {"BlockSize": 2})),
        "expected [N, H, W, C]",
    ),
    "batch-block": (
        net("SPACE_TO_BATCH_ND", [x(1, 4, 4, 1), i32(3, 1), i32([[0, 0], [0, 0]])], [T()]),
        "does not divide into blocks",
    ),
    "batch-explodes": (
        net("SPACE_TO_BATCH_ND", [x(1, 4, 4, 1), i32(1, 1), i32([[2**27, 0], [2**27, 0]])], [T()]),
        "expected 1 to 268435456 elements",
    ),
    "batch-crops": (
        net("BATCH_TO_SPACE_ND", [x(4, 2, 2, 1), i32(2, 2), i32([[4, 0], [0, 0]])], [T()]),
        "crops ((4, 0), (0, 0)) do not fit",
    ),
    "batch-blocks": (net("BATCH_TO_SPACE_ND", [x(4, 2, 2, 1), i32(2, 2, 2, 2), i32([[0, 0]] * 4)], [T()]), "expected 1 to 3"),
    "mirror-wide": (
        net("MIRROR_PAD", [x(1, 3), i32([[0, 0], [3, 0]])], [T()], ("MirrorPadOptions", {"Mode": 0})),
        "takes at most 2 for size 3",
    ),
    "mirror-batch": (
        net("MIRROR_PAD", [x(2, 3), i32([[1, 0], [1, 0]])], [T()], ("MirrorPadOptions", {"Mode": 1})),
        "pads the batch",
    ),
    "mirror-mode": (
        net("MIRROR_PAD", [x(2, 3), i32([[0, 0], [1, 0]])], [T()], ("MirrorPadOptions", {"Mode": 7})),
        "mode 7 is not known",
    ),
    "dilate-zero": (net("DILATE", [x(1, 3), i32(1, 0), const(0.0, np.float32)], [T()]), "expected 2 integers of 1 to"),
    "dilate-value": (net("DILATE", [x(1, 3), i32(1, 2), const(0, I32)], [T()]), "expected one constant float32"),
    "update-large": (net("DYNAMIC_UPDATE_SLICE", [x(1, 3), x(1, 4, 1), i32(0, 0)], [T()]), "does not fit (1, 3)"),
    "cast-string": (net("CAST", [x(1, 3)], [T((1, 3), code=tflite.TensorType.STRING)]), "STRING"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_named(name: str) -> None:
    data, message = BROKEN[name]
    with pytest.raises(ModelError, match=re.escape(message)) as problem:
        load_tflite("m.tflite", data)
    assert str(problem.value).startswith("m.tflite: operator")


def constants(kind: str, inputs: list[T], output: T) -> bytes:
    """Return a network that adds a computed constant to its input."""
    count = len(inputs)
    ops = [Op(kind, list(range(1, count + 1)), [count + 1]), Op("ADD", [0, count + 1], [count + 2])]
    return Net([x(1, 1), *inputs, output, T(name="y")], ops).bytes()


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("FILL", [i32(2**20, 2**20), const(1.0, np.float32)], "makes a constant of shape [1048576, 1048576]"),
        ("FILL", [i32(-1), const(1.0, np.float32)], "makes a constant of shape [-1]"),
        ("RANGE", [const(v, np.float32) for v in (0.0, 1e30, 1e-3)], "makes a constant of shape"),
        ("RANGE", [const(v, np.float32) for v in (0.0, np.inf, 1.0)], "expected finite numbers"),
        ("RANGE", [const(v, np.float32) for v in (0.0, 1.0, 0.0)], "a step other than 0"),
        ("WHERE", [const([False, False], np.bool_)], "an empty tensor"),
    ],
)
def test_constants_are_bounded_before_they_are_made(kind: str, inputs: list[T], message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        load_tflite("m.tflite", constants(kind, inputs, T(dtype=np.int64 if kind == "WHERE" else np.float32)))


@pytest.mark.parametrize(
    ("kind", "inputs", "want"),
    [
        ("FILL", [i32(1, 3), const(2.5, np.float32)], [[2.5, 2.5, 2.5]]),
        ("RANGE", [const(v, np.float32) for v in (3.0, -1.0, -1.5)], [[3.0, 1.5, 0.0]]),
        ("ZEROS_LIKE", [const([[1.0, 2.0]], np.float32)], [[0.0, 0.0]]),
    ],
)
def test_constants_are_computed(kind: str, inputs: list[T], want: list[list[float]]) -> None:
    graph = load_tflite("m.tflite", constants(kind, inputs, T()))
    (y,) = run_reference(graph, {graph.inputs[0]: np.zeros((1, 1), np.float32)}).values()
    assert y.tolist() == want


@pytest.mark.parametrize("index", [-1, 4, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("kind", ["GATHER", "GATHER_ND", "EMBEDDING_LOOKUP"])
def test_an_index_that_is_outside_at_run_time_is_an_input_error(kind: str, index: int) -> None:
    table = const(np.ones((4, 2)), np.float32)
    inputs, shape = ([x(1, dtype=I32), table], (1,)) if kind == "EMBEDDING_LOOKUP" else ([table, x(1, 1, dtype=I32)], (1, 1))
    graph = load_tflite("m.tflite", net(kind, inputs, [T()], ("GatherOptions", {"Axis": 0}) if kind == "GATHER" else None))
    with pytest.raises(InputError, match=rf"index {index} is outside of \[0, 3\]"):
        run_reference(graph, {graph.inputs[0]: np.full(shape, index, I32)})
