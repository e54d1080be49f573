"""Operators that move values: transposed, reshaped, joined, cut, padded, repeated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.operators.case import LITERT, Case
from tests.operators.moves_nets import fixed, move, per_type, values, whole

ALL = "float32 int8 int16"


def cases() -> Iterator[Case]:
    yield from _orders()
    yield _single()
    yield from _joined()
    yield from _cut()
    yield from _strided()
    yield from _padded()
    yield from _repeated()


def _orders() -> Iterator[Case]:
    for shape, perm in [((1, 3, 5, 2), (0, 2, 1, 3)), ((1, 7, 3), (0, 2, 1)), ((2, 2, 3, 2, 4), (0, 4, 1, 3, 2))]:
        out = tuple(shape[i] for i in perm)
        for dtype, oracles in per_type(ALL, "int32 int64 uint8 bool"):
            fits = oracles if len(shape) < 5 or dtype in ("float32", "int8") else LITERT
            yield move("TRANSPOSE", dtype, f"perm {perm}", [shape, whole(perm)], [out], fits, ("TransposeOptions", {}))
    yield move(
        "TRANSPOSE", "int8", "moves the batch", [(2, 3, 4), whole((1, 0, 2))], [(3, 2, 4)], options=("TransposeOptions", {})
    )
    for dtype, oracles in per_type(f"{ALL} int32 int64 uint8 bool"):
        x, y = (2, 4, 3, 2), (2, 2, 12)
        yield move("RESHAPE", dtype, "4 to 3 dimensions", [x, whole(y)], [y], oracles, ("ReshapeOptions", {"NewShape": y}))
        yield move(
            "SQUEEZE",
            dtype,
            "one of two",
            [
                (1, 4, 1, 2),
            ],
            [(1, 4, 2)],
            oracles,
            ("SqueezeOptions", {"SqueezeDims": [2]}),
        )
    yield move("SQUEEZE", "float32", "batch too", [(1, 1, 3, 1, 2)], [(3, 2)], options=("SqueezeOptions", {}))
    for dtype, oracles in per_type(ALL, "int32 int64 uint8 bool"):
        yield move("EXPAND_DIMS", dtype, "axis 1", [(2, 3, 2), whole(1)], [(2, 1, 3, 2)], oracles, ("ExpandDimsOptions", {}))
    yield move("EXPAND_DIMS", "int8", "axis -1", [(1, 3), whole([-1])], [(1, 3, 1)], options=("ExpandDimsOptions", {}))
    for dtype, oracles in per_type(f"{ALL} int32 int64 uint8 bool"):
        yield move("REVERSE_V2", dtype, "axis 2", [(2, 3, 5, 2), whole([2])], [(2, 3, 5, 2)], oracles, ("ReverseV2Options", {}))
    yield move("REVERSE_V2", "int8", "two axes", [(2, 3, 4), whole([1, 2])], [(2, 3, 4)], options=("ReverseV2Options", {}))
    yield move("REVERSE_V2", "float32", "batch", [(3, 4), whole([0])], [(3, 4)], options=("ReverseV2Options", {}))
    for dtype in ("float32", "int16", "int32", "int64", "uint8"):
        yield move(
            "REVERSE_SEQUENCE", dtype, "lengths computed", [(3, 5, 2), ((3,), "int32")], [(3, 5, 2)], LITERT,
            ("ReverseSequenceOptions", {"SeqDim": 1, "BatchDim": 0}), {1: (1, 6)},
        )  # fmt: skip
    yield move(
        "REVERSE_SEQUENCE", "float32", "lengths constant", [(2, 3, 5), whole([1, 5, 4], "int64")], [(2, 3, 5)], LITERT,
        ("ReverseSequenceOptions", {"SeqDim": 2, "BatchDim": 1}),
    )  # fmt: skip


def _joined() -> Iterator[Case]:
    for dtype, oracles in per_type(f"{ALL} int32 int64 bool", "uint8"):
        for axis, shapes in [(2, ((2, 3, 4), (2, 3, 1))), (-1, ((1, 2, 2, 3), (1, 2, 2, 5))), (1, ((1, 2, 3), (1, 1, 3)))]:
            at = axis % len(shapes[0])
            out = tuple(a + b if i == at else a for i, (a, b) in enumerate(zip(*shapes, strict=True)))
            yield move(
                "CONCATENATION",
                dtype,
                f"axis {axis} of {len(out)}",
                shapes,
                [out],
                oracles,
                ("ConcatenationOptions", {"Axis": axis}),
            )
    yield move(
        "CONCATENATION", "int8", "with a constant row", [(2, 3), fixed([[1, 2], [1, 2]], "int8")], [(2, 5)],
        options=("ConcatenationOptions", {"Axis": 1}),
    )  # fmt: skip
    yield move("CONCATENATION", "float32", "batch", [(2, 3), (2, 3)], [(4, 3)], options=("ConcatenationOptions", {"Axis": 0}))
    yield move(
        "CONCATENATION",
        "float32",
        "3 of 5 dimensions",
        [(1, 2, 1, 2, 2)] * 3,
        [(1, 2, 3, 2, 2)],
        options=("ConcatenationOptions", {"Axis": 2}),
    )
    for dtype, oracles in per_type(f"{ALL} int32 int64", "uint8"):
        for axis, shape in [(1, (2, 3, 2)), (-1, (1, 5))]:
            at = axis % (len(shape) + 1)
            out = (*shape[:at], 3, *shape[at:])
            yield move(
                "PACK", dtype, f"axis {axis}", [shape] * 3, [out], oracles, ("PackOptions", {"ValuesCount": 3, "Axis": axis})
            )
    yield move("PACK", "int8", "batch", [(2, 3)] * 2, [(2, 2, 3)], options=("PackOptions", {"ValuesCount": 2, "Axis": 0}))
    for dtype, oracles in per_type(f"{ALL} int32", "bool uint8"):
        for axis, shape in [(1, (2, 3, 4)), (-1, (1, 2, 2))]:
            at = axis % len(shape)
            parts = [(*shape[:at], *shape[at + 1 :])] * shape[at]
            yield move(
                "UNPACK", dtype, f"axis {axis}", [shape], parts, oracles, ("UnpackOptions", {"Num": len(parts), "Axis": axis})
            )
    yield move("UNPACK", "int8", "batch", [(2, 3, 2)], [(3, 2)] * 2, options=("UnpackOptions", {"Num": 2, "Axis": 0}))


def _cut() -> Iterator[Case]:
    for dtype, oracles in per_type(f"{ALL} int32", "int64 uint8"):
        options = ("SplitOptions", {"NumSplits": 2})
        yield move("SPLIT", dtype, "2 of 4 channels", [whole([3]), (2, 3, 2, 4)], [(2, 3, 2, 2)] * 2, oracles, options)
        yield move("SPLIT", dtype, "axis -2", [whole(-2), (1, 4, 3)], [(1, 2, 3)] * 2, oracles, options)
        parts = [(2, 1, 3), (2, 4, 3), (2, 2, 3)]
        yield move(
            "SPLIT_V",
            dtype,
            "1, 4, 2",
            [(2, 7, 3), whole([1, 4, 2]), whole([1])],
            parts,
            oracles,
            ("SplitVOptions", {"NumSplits": 3}),
        )
    yield move("SPLIT", "float32", "batch", [whole(0), (2, 3)], [(1, 3)] * 2, options=("SplitOptions", {"NumSplits": 2}))
    yield move(
        "SPLIT_V",
        "int8",
        "rest",
        [(1, 5), whole([2, -1]), whole(1)],
        [(1, 2), (1, 3)],
        options=("SplitVOptions", {"NumSplits": 2}),
    )
    for dtype, oracles in per_type(f"{ALL} int32 bool", "int64 uint8"):
        begin, size = whole([0, 1, 0, 2]), whole([2, 2, -1, 3])
        yield move("SLICE", dtype, "4 dimensions", [(2, 4, 3, 6), begin, size], [(2, 2, 3, 3)], oracles, ("SliceOptions", {}))
    yield move(
        "SLICE", "int8", "5 dimensions", [(1, 2, 3, 2, 4), whole([0, 1, 1, 0, 2]), whole([1, 1, 2, 2, 2])], [(1, 1, 2, 2, 2)]
    )
    yield move("SLICE", "float32", "of the batch", [(3, 4), whole([1, 0], "int64"), whole([2, 4], "int64")], [(2, 4)])


def _single() -> Case:
    """Return y = x + c, the constant c of one dimension made a single number by a target shape without sizes."""
    tensors = [T((1, 3), name="x"), const([1.5], np.float32), const([], np.int32), T((), name="c"), T((1, 3), name="y")]
    ops = [Op("RESHAPE", [1, 2], [3], ("ReshapeOptions", {})), Op("ADD", [0, 3], [4], ("AddOptions", {}))]
    feed = values(("single",), (2, 3), "float32")
    return Case("RESHAPE", "tflite", "float32", "to a single number", Net(tensors, ops).bytes, lambda: [feed], LITERT)


def _strided() -> Iterator[Case]:
    for dtype, oracles in per_type(f"{ALL} int32 bool", "int64 uint8"):
        at = whole([0, 1, 4]), whole([2, 4, -7]), whole([1, 2, -2])
        yield move(
            "STRIDED_SLICE", dtype, "steps 2 and -2", [(2, 5, 6), *at], [(2, 2, 3)], oracles, ("StridedSliceOptions", {})
        )
    for end, step in ((1, 2), (-2, -1)):  # of the one sample, whatever the step says
        at = whole([0, 1]), whole([end, 3]), whole([step, 1])
        name = f"step {step} of one sample"
        yield move("STRIDED_SLICE", "int8", name, [(1, 4), *at], [(1, 2)], options=("StridedSliceOptions", {}))
    masked = [
        ("ellipsis", (2, 3, 4, 2), ([0, 1], [0, 2], [1, 1]), {"EllipsisMask": 1}, (2, 3, 4, 1)),
        ("ellipsis in the middle", (2, 3, 4, 2), ([0, 0, 1], [2, 0, 2], [1, 1, 1]), {"EllipsisMask": 2}, (2, 3, 4, 1)),
        ("new axis", (2, 3), ([0, 0, 0], [2, 0, 2], [1, 1, 1]), {"NewAxisMask": 2}, (2, 1, 2)),
        (
            "new last axis after an ellipsis",
            (2, 3, 2),
            ([0, 0], [0, 0], [1, 1]),
            {"EllipsisMask": 1, "NewAxisMask": 2},
            (2, 3, 2, 1),
        ),
        ("dimension dropped", (2, 3, 4), ([0, -2, 1], [2, 9, 3], [1, 1, 1]), {"ShrinkAxisMask": 2}, (2, 2)),
        (
            "last one dropped by an ellipsis",
            (2, 3, 4),
            ([0, -1], [0, 0], [1, 1]),
            {"EllipsisMask": 1, "ShrinkAxisMask": 2},
            (2, 3),
        ),
        ("first sample", (2, 3, 4), ([1], [2], [1]), {"ShrinkAxisMask": 1}, (3, 4)),
        ("masks", (2, 5, 4), ([1, 3, 2], [1, 1, 3], [1, -1, 1]), {"BeginMask": 3, "EndMask": 7}, (2, 5, 2)),
    ]
    for name, shape, at, options, out in masked:
        for dtype in ("float32", "int8"):
            parts = [whole(v) for v in at]
            fits = (
                LITERT
                if "Ellipsis" in str(options) or "NewAxis" in str(options) or name == "first sample"
                else (*LITERT, "tflm")
            )
            yield move("STRIDED_SLICE", dtype, name, [shape, *parts], [out], fits, ("StridedSliceOptions", options))


def _padded() -> Iterator[Case]:
    pads = [[0, 0], [1, 2], [0, 1], [2, 0]]
    x, y = (2, 3, 2, 4), (2, 6, 3, 6)
    for dtype, oracles in per_type(f"{ALL} int32", "int64 bool uint8"):
        yield move("PAD", dtype, "4 dimensions", [x, whole(pads)], [y], oracles, ("PadOptions", {}))
        if dtype != "bool":
            yield move("PADV2", dtype, "with 5", [x, whole(pads), fixed([5], dtype)], [y], oracles, ("PadV2Options", {}))
    yield move("PAD", "int8", "2 dimensions", [(1, 3), whole([[0, 0], [0, 2]])], [(1, 5)], options=("PadOptions", {}))
    for dtype, oracles in per_type("float32 int8", "int16 int32 int64 bool uint8"):
        mirrored = ("MirrorPadOptions", {"Mode": 0}), ("MirrorPadOptions", {"Mode": 1})
        yield move(
            "MIRROR_PAD", dtype, "reflect", [x, whole([[0, 0], [2, 1], [1, 0], [0, 3]])], [(2, 6, 3, 7)], oracles, mirrored[0]
        )
        yield move(
            "MIRROR_PAD", dtype, "symmetric", [(1, 3, 2), whole([[0, 0], [3, 1], [0, 2]])], [(1, 7, 4)], oracles, mirrored[1]
        )
    for dtype, oracles in per_type("", f"{ALL} int32 int64 bool uint8"):
        yield move("DILATE", dtype, "2 and 3", [(2, 3, 2), whole([1, 2, 3]), fixed(1, dtype)], [(2, 5, 4)], oracles)


def _repeated() -> Iterator[Case]:
    for dtype, oracles in per_type("", f"{ALL} int32 int64 bool uint8"):
        yield move("TILE", dtype, "2 and 3", [(2, 2, 1, 3), whole([1, 2, 1, 3])], [(2, 4, 1, 9)], oracles, ("TileOptions", {}))
    yield move("TILE", "float32", "batch", [(2, 3), whole([2, 1], "int64")], [(4, 3)], LITERT, ("TileOptions", {}))
    for dtype, oracles in per_type(f"{ALL} int32 int64 bool", "uint8"):
        options = ("BroadcastToOptions", {})
        yield move(
            "BROADCAST_TO",
            dtype,
            "two dimensions",
            [(2, 1, 3, 1), whole([2, 4, 3, 2])],
            [(2, 4, 3, 2)],
            oracles,
            options,
            version=3,
        )
    yield move(
        "BROADCAST_TO",
        "int8",
        "more dimensions",
        [(1, 3), whole([2, 4, 3])],
        [(2, 4, 3)],
        options=("BroadcastToOptions", {}),
        version=3,
    )
    types = np.array([0, 3, 1, 2])
    yield move(
        "TILE",
        "int8",
        "5 dimensions",
        [(1, 1, 2, 1, 2), whole([1, *types[1:], 1])],
        [(1, 3, 2, 2, 2)],
        LITERT,
        ("TileOptions", {}),
    )
