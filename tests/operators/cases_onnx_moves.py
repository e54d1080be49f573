"""ONNX operators that move, choose, repeat and reduce."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.operators.case import Case
from tests.operators.onnx_nets import Fed, case, floats, ints, node

SHAPE = ("N", 3, 5)
IMAGE = ("N", 4, 6, 5)


def _conv_first(rest: list) -> list:
    """Return nodes after a convolution, so that what they read is stored channels last."""
    return [node("Conv", "x w", "h", pads=[1, 1, 1, 1]), *rest]


def _shapes() -> Iterator[Case]:
    conv = {"w": floats(4, 4, 3, 3)}
    for name, shape in (("flat", (0, -1)), ("split", (0, 2, 2, 30)), ("merge", (0, 4, -1)), ("copy", (0, 0, 10, 3))):
        yield case("Reshape", name, _conv_first([node("Reshape", "h s")]), {"x": IMAGE}, {**conv, "s": ints(*shape)})
    yield case("Reshape", "fixed batch mixed", [node("Reshape", "x s")], {"x": (2, 3, 4)}, {"s": ints(3, 8)})
    for name, perm in (("last two", (0, 1, 3, 2)), ("channels last", (0, 2, 3, 1)), ("batch moved", (1, 0, 2, 3))):
        yield case("Transpose", name, _conv_first([node("Transpose", "h", perm=perm)]), {"x": IMAGE}, conv)
    yield case(
        "Transpose",
        "integers",
        [node("Transpose", "x", perm=[0, 2, 1])],
        {"x": Fed(SHAPE, "int64", -9, 9)},
        outputs={"y": "int64"},
    )
    yield case("Squeeze", "axes", [node("Squeeze", "x a")], {"x": ("N", 1, 5, 1)}, {"a": ints(1, -1)})
    yield case("Squeeze", "attribute", [node("Squeeze", "x", axes=[1])], {"x": ("N", 1, 5, 1)}, opset=11)
    yield case("Unsqueeze", "axes", [node("Unsqueeze", "x a")], {"x": SHAPE}, {"a": ints(1, -1)})
    yield case("Unsqueeze", "attribute", [node("Unsqueeze", "x", axes=[2])], {"x": SHAPE}, opset=11)
    for axis in (0, 1, 2, 3):
        yield case("Flatten", f"axis {axis}", _conv_first([node("Flatten", "h", axis=axis)]), {"x": IMAGE}, conv)
    yield case("Concat", "channels", _conv_first([node("Concat", "h x h", axis=1)]), {"x": IMAGE}, conv)
    yield case("Concat", "constant row", [node("Concat", "c x", axis=1)], {"x": SHAPE}, {"c": floats(1, 1, 5)})
    yield case("Concat", "integers", [node("Concat", "x z", axis=-1)], {"x": Fed(SHAPE, "int64", 0, 9), "z": Fed(SHAPE, "int64", 0, 9)},
               outputs={"y": "int64"})  # fmt: skip
    yield case(
        "Split",
        "sizes",
        [node("Split", "x s", "a y b", axis=2)],
        {"x": SHAPE},
        {"s": ints(1, 3, 1)},
        {"y": "float32", "b": "float32"},
    )
    yield case(
        "Split", "equal", [node("Split", "x", "a y", axis=1)], {"x": ("N", 4, 5)}, outputs={"a": "float32", "y": "float32"}
    )
    yield case("Split", "num_outputs", [node("Split", "x", "a y", axis=2, num_outputs=2)], {"x": SHAPE}, opset=18)
    yield case("Split", "old", [node("Split", "x", "a y", axis=1, split=[1, 2])], {"x": SHAPE}, opset=11)
    for name, (start, end, step) in {"inner": (1, 4, 1), "step": (0, 5, 2), "negative": (-2, 9, 1), "backward": (4, -9, -1),
                                     "backward step": (-1, 0, -2)}.items():  # fmt: skip
        values = {"s": ints(start), "e": ints(end), "a": ints(-1), "k": ints(step)}
        yield case("Slice", name, _conv_first([node("Slice", "h s e a k")]), {"x": IMAGE}, {**values, **conv})
    yield case(
        "Slice",
        "integers",
        [node("Slice", "x s e a")],
        {"x": Fed(SHAPE, "int64", -9, 9)},
        {"s": ints(1), "e": ints(3), "a": ints(1)},
        {"y": "int64"},
    )
    yield case("Slice", "attributes", [node("Slice", "x", starts=[1], ends=[4], axes=[2])], {"x": SHAPE}, opset=9)


def _pads() -> Iterator[Case]:
    for mode in ("constant", "reflect", "edge"):
        yield case(
            "Pad", mode, _pad_after_conv(mode), {"x": IMAGE}, {"w": floats(4, 4, 3, 3), "p": ints(0, 0, 1, 2, 0, 0, 2, 1)}
        )
    yield case("Pad", "wrap", [node("Pad", "x p", mode="wrap")], {"x": SHAPE}, {"p": ints(0, 1, 2, 0, 1, 0)}, opset=19)
    yield case("Pad", "value", [node("Pad", "x p v")], {"x": SHAPE}, {"p": ints(0, 1, 0, 0, 0, 2), "v": np.float32(1.5)})
    yield case("Pad", "negative", [node("Pad", "x p")], {"x": SHAPE}, {"p": ints(0, -1, 1, 0, 0, -2)})
    yield case("Pad", "axes", [node("Pad", "x p _ a")], {"x": SHAPE}, {"p": ints(1, 2), "a": ints(2)}, opset=18)
    yield case("Pad", "old", [node("Pad", "x", pads=[0, 0, 1, 0, 1, 0], value=0.5)], {"x": SHAPE}, opset=9)
    yield case(
        "Pad",
        "integers",
        [node("Pad", "x p v")],
        {"x": Fed(SHAPE, "int64", -9, 9)},
        {"p": ints(0, 1, 0, 0, 0, 2), "v": np.int64(0)},
        {"y": "int64"},
    )


def _pad_after_conv(mode: str) -> list:
    return _conv_first([node("Pad", "h p", mode=mode)])


def _choices() -> Iterator[Case]:
    table = {"t": floats(11, 6)}
    for dtype in ("int64", "int32"):
        yield case("Gather", "embedding", [node("Gather", "t x", axis=0)], {"x": Fed(("N", 7), dtype, -11, 11)}, table)
    yield case(
        "Gather",
        "embedding of the last axis",
        [node("Gather", "t x", axis=1)],
        {"x": Fed(("N", 2), "int64", 0, 6)},
        table,
        rounds=1,
    )
    yield case(
        "Gather",
        "table of integers",
        [node("Gather", "t x", axis=0)],
        {"x": Fed(("N", 7), "int64", 0, 4)},
        {"t": ints(5, -2, 9, 1)},
        {"y": "int64"},
    )
    for name, at in (
        ("one", ints(2)),
        ("scalar", np.int64(-1)),
        ("run", ints(1, 2)),
        ("order", ints(2, 0, 2)),
        ("matrix", np.array([[0, 2], [1, 1]])),
    ):
        yield case(
            "Gather",
            f"constant {name}",
            _conv_first([node("Gather", "h i", axis=2)]),
            {"x": IMAGE},
            {"w": floats(4, 4, 3, 3), "i": at},
        )
    yield case(
        "Gather", "computed of computed", [node("Gather", "x i", axis=1)], {"x": (1, 4, 5), "i": Fed((1,), "int64", 0, 4)}
    )
    for axis in (1, 2):
        index = {"x": SHAPE, "i": Fed(("N", 2, 4), "int64", 0, 3)}
        yield case("GatherElements", f"axis {axis}", [node("GatherElements", "x i", axis=axis)], index)
    yield case(
        "GatherElements",
        "constant",
        [node("GatherElements", "x i", axis=1)],
        {"x": (1, *SHAPE[1:])},
        {"i": np.array([[[0, 2, -1, 1, 0]]])},
    )
    yield case(
        "GatherND", "rows", [node("GatherND", "x i", batch_dims=1)], {"x": ("N", 3, 5), "i": Fed(("N", 2, 1), "int64", 0, 3)}
    )
    yield case("GatherND", "constant data", [node("GatherND", "t i")], {"i": Fed(("N", 4, 2), "int64", 0, 6)}, table)
    for name, shape in (("inner axis", (1, 3, 5)), ("new axis", (2, 1, 3, 5)), ("ones", (1, 1, 1))):
        yield case("Expand", name, [node("Expand", "x s")], {"x": ("N", 1, 5)}, {"s": ints(*shape)})
    yield case(
        "Expand",
        "integers",
        [node("Expand", "x s")],
        {"x": Fed(("N", 1, 5), "int64", -9, 9)},
        {"s": ints(1, 4, 5)},
        {"y": "int64"},
    )
    yield case(
        "Tile", "axes", _conv_first([node("Tile", "h r")]), {"x": IMAGE}, {"w": floats(4, 4, 3, 3), "r": ints(1, 2, 1, 3)}
    )
    yield case("Tile", "batch", [node("Tile", "x r")], {"x": (2, 3)}, {"r": ints(2, 1)})
    for upper in (0, 1):
        yield case(
            "Trilu", f"upper {upper}", [node("Trilu", "x k", upper=upper)], {"x": ("N", 4, 5)}, {"k": np.int64(1 - upper)}
        )
    yield case("Trilu", "integers", [node("Trilu", "x")], {"x": Fed(("N", 4, 4), "int64", -9, 9)}, outputs={"y": "int64"})
    for axis in (-1, 1):
        yield case("OneHot", f"axis {axis}", [node("OneHot", "x d v", axis=axis)], {"x": Fed(("N", 3), "int64", -5, 5)},
                   {"d": np.int64(5), "v": np.array([0.5, 2], np.float32)})  # fmt: skip
    yield case(
        "OneHot",
        "integers",
        [node("OneHot", "x d v")],
        {"x": Fed(("N", 3), "int64", 0, 4)},
        {"d": np.int64(4), "v": ints(-1, 7)},
        {"y": "int64"},
    )
    for mode in ("DCR", "CRD"):
        yield case("DepthToSpace", mode, [node("DepthToSpace", "x", blocksize=2, mode=mode)], {"x": ("N", 8, 2, 3)})
    yield case("SpaceToDepth", "block 2", [node("SpaceToDepth", "x", blocksize=2)], {"x": ("N", 3, 4, 6)})
    yield case("ReverseSequence", "whole", [node("ReverseSequence", "x n", time_axis=1, batch_axis=0)],
               {"x": SHAPE, "n": Fed(("N",), "int64", 1, 4)})  # fmt: skip
    yield case("Range", "of a shape", [node("Shape", "x", "s"), node("Gather", "s i", "d"), node("Range", "zero d one", "r"),
                                       node("Cast", "r", "f", to=1), node("Add", "x f")], {"x": SHAPE},
               {"i": np.int64(2), "zero": np.int64(0), "one": np.int64(1)})  # fmt: skip
    yield case(
        "ConstantOfShape",
        "of a shape",
        [node("Shape", "x", "s"), node("ConstantOfShape", "s", "o"), node("Add", "x o")],
        {"x": SHAPE},
    )


def _reductions() -> Iterator[Case]:
    ops = (
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceSumSquare",
    )
    for op in ops:
        fed = Fed(IMAGE, low=0.1 if op == "ReduceLogSum" else -2.0, high=2.0)
        yield case(op, "channels", [node(op, "x", axes=[1], keepdims=1)], {"x": fed})
        yield case(op, "spatial", [node(op, "x", axes=[2, -1], keepdims=0)], {"x": fed})
        yield case(op, "input axes", [node(op, "x a", keepdims=0)], {"x": fed}, {"a": ints(3)}, opset=18)
    yield case("ReduceSum", "spatial", [node("ReduceSum", "x a", keepdims=0)], {"x": IMAGE}, {"a": ints(2, 3)})
    yield case("ReduceSum", "attribute", [node("ReduceSum", "x", axes=[1], keepdims=1)], {"x": IMAGE}, opset=11)
    yield case(
        "ReduceMean",
        "all to a scalar",
        [node("ReduceMean", "x", "m", keepdims=0), node("Sub", "x m")],
        {"x": (1, *IMAGE[1:])},
        rounds=2,
    )
    yield case(
        "ReduceMax", "integers", [node("ReduceMax", "x", axes=[2])], {"x": Fed(SHAPE, "int64", -9, 9)}, outputs={"y": "int64"}
    )
    for op in ("ArgMax", "ArgMin"):
        for keep in (0, 1):
            yield case(
                op,
                f"channels keep {keep}",
                _conv_first([node(op, "h", axis=1, keepdims=keep)]),
                {"x": IMAGE},
                {"w": floats(4, 4, 3, 3)},
                {"y": "int64"},
            )
        yield case(
            op,
            "last of equals",
            [node("Round", "x", "r"), node(op, "r", axis=2, select_last_index=1)],
            {"x": Fed(SHAPE, low=-2, high=2)},
            outputs={"y": "int64"},
        )
    for largest in (0, 1):
        yield case("TopK", f"ties in long rows, largest {largest}",
                   [node("TopK", "x k", "y i", axis=-1, largest=largest)], {"x": Fed(("N", 4, 300), "int64", -3, 4)}, {"k": ints(90)},
                   {"y": "int64", "i": "int64"})  # fmt: skip
        yield case("TopK", f"largest {largest}", [node("TopK", "x k", "y i", axis=-1, largest=largest)], {"x": SHAPE}, {"k": ints(3)},
                   {"y": "float32", "i": "int64"})  # fmt: skip
    for exclusive, reverse in ((0, 0), (1, 0), (0, 1), (1, 1)):
        yield case(
            "CumSum",
            f"exclusive {exclusive} reverse {reverse}",
            [node("CumSum", "x a", exclusive=exclusive, reverse=reverse)],
            {"x": SHAPE},
            {"a": np.int64(1)},
        )
    yield case(
        "CumSum", "integers", [node("CumSum", "x a")], {"x": Fed(SHAPE, "int64", -9, 9)}, {"a": np.int64(-1)}, {"y": "int64"}
    )
    for op in ("Softmax", "LogSoftmax"):
        for axis in (1, 2, -1):
            yield case(op, f"axis {axis}", _conv_first([node(op, "h", axis=axis)]), {"x": IMAGE}, {"w": floats(4, 4, 3, 3)})
            yield case(op, f"axis {axis} old", [node(op, "x", axis=axis)], {"x": ("N", 3, 2, 5)}, opset=11)
    yield case("Hardmax", "axis 1", [node("Hardmax", "x", axis=1)], {"x": SHAPE})


def cases() -> Iterator[Case]:
    yield from _shapes()
    yield from _pads()
    yield from _choices()
    yield from _reductions()
