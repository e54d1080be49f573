"""Operators that choose by index or condition, and conversions of type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tflite

from tests.operators.case import LITERT, TFLITE, Case
from tests.operators.moves_nets import fixed, move, per_type, whole

ALL = "float32 int8"


def cases() -> Iterator[Case]:
    yield from _gathered()
    yield from _searched()
    yield from _selected()
    yield from _cast()


def _gathered() -> Iterator[Case]:
    for dtype, oracles in per_type(ALL, "int16 int32 int64 bool uint8"):
        at = whole([[1, 0], [3, 3]])
        yield move(
            "GATHER", dtype, "constant indices", [(2, 4, 3), at], [(2, 2, 2, 3)], oracles, ("GatherOptions", {"Axis": 1})
        )
    for dtype, oracles in per_type(ALL, "int16 int32 uint8"):
        table = fixed(np.arange(12).reshape(4, 3), dtype)
        options = ("GatherOptions", {"Axis": 0})
        yield move("GATHER", dtype, "table", [table, ((2, 5), "int32")], [(2, 5, 3)], oracles, options, {1: (0, 4)})
        yield move("EMBEDDING_LOOKUP", dtype, "table", [((3,), "int32"), table], [(3, 3)], oracles, limits={0: (0, 4)})
    yield move(
        "GATHER", "int8", "batch dimension", [(2, 4, 3), ((2, 2), "int32")], [(2, 2, 3)], TFLITE,
        ("GatherOptions", {"Axis": 1, "BatchDims": 1}), {1: (0, 4)},
    )  # fmt: skip
    yield move(
        "GATHER", "float32", "batch dimension, inner axis", [(2, 3, 4, 2), ((2, 3), "int64")], [(2, 3, 3, 2)], LITERT,
        ("GatherOptions", {"Axis": 2, "BatchDims": 1}), {1: (0, 4)},
    )  # fmt: skip
    yield move(
        "GATHER",
        "float32",
        "samples",
        [(3, 2), ((3,), "int32")],
        [(3, 2)],
        options=("GatherOptions", {"Axis": 0}),
        limits={1: (0, 3)},
    )
    yield move("GATHER", "int8", "last axis", [(2, 5), whole([4, 0])], [(2, 2)], options=("GatherOptions", {"Axis": -1}))
    for dtype, oracles in per_type(ALL, "int16 int32 int64 bool uint8"):
        at = whole([[[0, 2], [1, 0]], [[1, 1], [0, 0]]])
        yield move("GATHER_ND", dtype, "constant indices", [(2, 3, 2), at], [(2, 2, 2)], oracles, ("GatherNdOptions", {}))
    table = fixed(np.arange(24).reshape(3, 4, 2), "int8")
    yield move("GATHER_ND", "int8", "table", [table, ((2, 3, 1), "int32")], [(2, 3, 4, 2)], limits={1: (0, 3)})
    yield move("GATHER_ND", "float32", "computed", [(2, 3), ((2, 2), "int32")], [(2,)], limits={1: (0, 2)})
    for dtype, oracles in per_type(f"{ALL} int16 int32", "int64 uint8"):
        yield move(
            "DYNAMIC_UPDATE_SLICE", dtype, "start computed", [(3, 3, 5), (3, 2, 3), ((3,), "int32")], [(3, 3, 5)], oracles,
            ("DynamicUpdateSliceOptions", {}), {2: (-2, 6)},
        )  # fmt: skip
    yield move(
        "DYNAMIC_UPDATE_SLICE",
        "int8",
        "start constant",
        [(2, 4), (2, 2), whole([0, 1])],
        [(2, 4)],
        options=("DynamicUpdateSliceOptions", {}),
    )


def _searched() -> Iterator[Case]:
    for kind in ("ARG_MAX", "ARG_MIN"):
        options = "ArgMaxOptions" if kind == "ARG_MAX" else "ArgMinOptions"
        for dtype, oracles in per_type(ALL, "int32 bool uint8"):
            for axis, shape, out in [(-1, (2, 3, 40), (2, 3)), (1, (1, 4, 3), (1, 3)), (3, (2, 2, 2, 5), (2, 2, 2))]:
                made = (options, {"OutputType": tflite.TensorType.INT32})
                yield move(kind, dtype, f"axis {axis} of {shape}", [shape, whole([axis])], [(out, "int32")], oracles, made)
            made = (options, {"OutputType": tflite.TensorType.INT64})
            yield move(kind, dtype, "as int64", [(2, 7), whole(1)], [((2,), "int64")], LITERT, made)
    for dtype, oracles in per_type("", f"{ALL} int32 int64 bool uint8"):
        values = whole(4), fixed([1], dtype), fixed([0], dtype)
        for axis, out in [(-1, (2, 3, 4)), (1, (2, 4, 3))]:
            made = ("OneHotOptions", {"Axis": axis})
            yield move("ONE_HOT", dtype, f"axis {axis}", [((2, 3), "int32"), *values], [out], oracles, made, {0: (-2, 6)})
    for dtype, oracles in per_type("", f"{ALL} int16 int32 int64 uint8"):
        yield move(
            "TOPK_V2",
            dtype,
            "3 of 9",
            [(2, 2, 9), whole([3])],
            [(2, 2, 3), ((2, 2, 3), "int32")],
            oracles,
            ("TopKV2Options", {}),
        )
    yield move("TOPK_V2", "float32", "all", [(2, 5), whole([5])], [(2, 5), ((2, 5), "int32")], LITERT)
    for dtype, oracles in (("float32", TFLITE), ("int8", ("tflm",)), ("int32", LITERT), ("int64", LITERT)):
        for exclusive in (False, True):
            for reverse in (False, True):
                what = f"{'exclusive' if exclusive else 'inclusive'}{', reverse' if reverse else ''}"
                made = ("CumsumOptions", {"Exclusive": exclusive, "Reverse": reverse})
                yield move("CUMSUM", dtype, what, [(2, 3, 5), whole(2 if exclusive else -2)], [(2, 3, 5)], oracles, made)


def _selected() -> Iterator[Case]:
    shape = (2, 3, 4)
    for dtype, oracles in per_type("", f"{ALL} int16 int32 int64 bool uint8"):
        yield move("SELECT", dtype, "equal shapes", [(shape, "bool"), shape, shape], [shape], oracles, ("SelectOptions", {}))
    yield move("SELECT", "float32", "by rows", [((3,), "bool"), (3, 4), (3, 4)], [(3, 4)], LITERT, ("SelectOptions", {}))
    for dtype, oracles in per_type(f"{ALL} int16", "int32 int64 bool uint8"):
        yield move(
            "SELECT_V2", dtype, "equal shapes", [(shape, "bool"), shape, shape], [shape], oracles, ("SelectV2Options", {})
        )
        yield move(
            "SELECT_V2", dtype, "condition and one branch broadcast", [((2, 3, 1), "bool"), (2, 1, 4), shape], [shape], oracles,
            ("SelectV2Options", {}),
        )  # fmt: skip
        yield move("SELECT_V2", dtype, "with a constant", [((2, 4), "bool"), (2, 4), fixed([5], dtype)], [(2, 4)], oracles)
    mask = whole(np.tril(np.ones((1, 3, 3), np.bool_)), "bool")
    yield move("SELECT_V2", "float32", "constant condition", [mask, (2, 3, 3), fixed(-9.0, "float32")], [(2, 3, 3)])


CASTS = {
    "float32": "FLOAT32",
    "int8": "INT8",
    "int16": "INT16",
    "uint8": "UINT8",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
}


def _cast() -> Iterator[Case]:
    micro = ("float32", "int8", "int16", "int32", "bool")
    plain = ("float32", "int32", "int64", "bool")
    for source in ("float32", "int8", "int32", "int64", "bool"):
        for target in plain:
            if source == target:
                continue
            oracles = TFLITE if source in micro and target in micro else LITERT
            codes = {f"{way}DataType": getattr(tflite.TensorType, CASTS[t]) for way, t in (("In", source), ("Out", target))}
            yield move("CAST", source, f"to {target}", [(2, 3, 4)], [((2, 3, 4), target)], oracles, ("CastOptions", codes),
                       limits={0: (-3, 3)} if target == "bool" else None)  # fmt: skip
