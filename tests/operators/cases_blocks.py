"""Operators that move blocks between space, depth and batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.loaders.tflite_writer import Net, Op, const
from tests.operators.case import LITERT, TFLITE, Case, rng
from tests.operators.moves_nets import move, per_type, port, values, whole

Pairs = tuple[tuple[int, int], ...]


def cases() -> Iterator[Case]:
    for dtype, oracles in per_type("float32 int8", "int32 int64 uint8"):
        for block, x in ((2, (2, 4, 6, 3)), (3, (1, 3, 6, 1))):
            y = (x[0], x[1] // block, x[2] // block, x[3] * block * block)
            made = {"BlockSize": block}
            yield move("SPACE_TO_DEPTH", dtype, f"block {block}", [x], [y], oracles, ("SpaceToDepthOptions", made))
            yield move("DEPTH_TO_SPACE", dtype, f"block {block}", [y], [x], oracles, ("DepthToSpaceOptions", made))
    for dtype, oracles in per_type("float32 int8", "int16 int32 int64 bool uint8"):
        block, pads = whole([2, 3]), whole([[1, 0], [0, 2]])
        x, y = (2, 3, 4, 2), (12, 2, 2, 2)
        # TFLM never sets the value that it pads with
        yield move("SPACE_TO_BATCH_ND", dtype, "2 x 3", [x, block, pads], [y], LITERT, ("SpaceToBatchNDOptions", {}))
        yield move("BATCH_TO_SPACE_ND", dtype, "2 x 3", [y, block, pads], [x], oracles, ("BatchToSpaceNDOptions", {}))
    one = whole([2]), whole([[1, 0]])
    yield move(
        "SPACE_TO_BATCH_ND", "int8", "one dimension", [(1, 3, 2), *one], [(2, 2, 2)], LITERT, ("SpaceToBatchNDOptions", {})
    )
    yield move(
        "BATCH_TO_SPACE_ND", "int8", "one dimension", [(2, 2, 2), *one], [(1, 3, 2)], TFLITE, ("BatchToSpaceNDOptions", {})
    )
    none = whole([2, 1]), whole([[0, 0], [0, 0]])
    yield move(
        "SPACE_TO_BATCH_ND", "int8", "no padding", [(1, 4, 3, 2), *none], [(2, 2, 3, 2)], TFLITE, ("SpaceToBatchNDOptions", {})
    )
    yield from _dilated()


def _dilated() -> Iterator[Case]:
    """A dilated convolution as old exports write it: the batch split, convolved and put together again."""
    for depthwise in (False, True):
        for dtype in ("float32", "int8", "hybrid"):
            for block, pads, crops in [
                ((2, 2), ((2, 2), (2, 3)), ((0, 0), (0, 1))),
                ((3, 1), ((0, 1), (0, 0)), ((1, 0), (0, 0))),
            ]:
                yield _dilated_case(depthwise, dtype, block, pads, crops)


def _dilated_case(depthwise: bool, dtype: str, block: tuple[int, int], pads: Pairs, crops: Pairs) -> Case:
    kind, options = ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions") if depthwise else ("CONV_2D", "Conv2DOptions")
    shape, channels, count = (2, 8, 7, 3), 3 if depthwise else 4, block[0] * block[1]
    split = (2 * count, *((d + sum(p)) // b for d, p, b in zip(shape[1:3], pads, block, strict=True)), 3)
    made = (split[0], split[1] - 2, split[2] - 1, channels)
    out = (2, *(d * b - sum(c) for d, b, c in zip(made[1:3], block, crops, strict=True)), channels)
    r = rng("dilated", dtype, count, depthwise)
    weights = (1, 3, 2, 3) if depthwise else (4, 3, 2, 3)
    if dtype != "float32":
        scaled = {"scale": [0.01] * channels, "axis": 3 if depthwise else 0}
        w, b = (
            const(r.integers(-127, 128, weights), np.int8, **scaled),
            const(r.integers(-500, 500, channels), np.int32, **{**scaled, "axis": 0}),
        )
        b = b if dtype == "int8" else const(r.normal(size=channels), np.float32)
    else:
        w, b = const(r.normal(size=weights), np.float32), const(r.normal(size=channels), np.float32)
    fused = {"Padding": 1, "StrideH": 1, "StrideW": 1, **({"DepthMultiplier": 1} if depthwise else {})}
    kept = "int8" if dtype == "int8" else "float32"
    tensors = [
        port(shape, kept, "x"), whole(block), whole(pads), port(split, kept, "split"), w, b, port(made, kept, "made"), whole(crops),
        port(out, kept, "y"),
    ]  # fmt: skip
    tensors[6].scale = tensors[8].scale = [4.0] if dtype == "int8" else []
    ops = [
        Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3], ("SpaceToBatchNDOptions", {})), Op(kind, [3, 4, 5], [6], (options, fused)),
        Op("BATCH_TO_SPACE_ND", [6, 1, 7], [8], ("BatchToSpaceNDOptions", {})),
    ]  # fmt: skip
    name = f"dilated {kind.lower()} by {block}"
    feeds = values(("dilated", name), (4, *shape[1:]), kept)
    return Case("SPACE_TO_BATCH_ND", "tflite", dtype, name, lambda: Net(tensors, ops).bytes(), lambda: [feeds], LITERT)
