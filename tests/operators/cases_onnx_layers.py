"""ONNX layers: convolutions, pools, matrix products, normalizations, recurrent layers, attention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.operators.case import Case
from tests.operators.onnx_nets import Fed, case, floats, node

IMAGE = ("N", 4, 7, 6)
LINE = ("N", 4, 9)
SEQUENCE = ("N", 5, 8)
MS = "com.microsoft"


def _convolutions() -> Iterator[Case]:
    geometries: dict[str, dict[str, Any]] = {
        "plain": {}, "stride": {"strides": [2, 1]}, "pads": {"pads": [1, 0, 2, 1]}, "dilation": {"dilations": [2, 1]},
        "same upper": {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, "same lower": {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
        "valid": {"auto_pad": "VALID"},
    }  # fmt: skip
    for name, attrs in geometries.items():
        yield case("Conv", name, [node("Conv", "x w b", **attrs)], {"x": IMAGE}, {"w": floats(5, 4, 3, 2), "b": floats(5)})
    for groups in (2, 4):
        yield case(
            "Conv", f"groups {groups}", [node("Conv", "x w", group=groups)], {"x": IMAGE}, {"w": floats(8, 4 // groups, 3, 3)}
        )
    for name, attrs in {
        "plain": {},
        "dilation": {"dilations": [2], "pads": [1, 2]},
        "groups": {"group": 2, "strides": [2]},
    }.items():
        yield case(
            "Conv", f"1-D {name}", [node("Conv", "x w", **attrs)], {"x": LINE}, {"w": floats(6, 4 // attrs.get("group", 1), 3)}
        )
    turned: dict[str, dict[str, Any]] = {
        "plain": {}, "stride": {"strides": [2, 3]}, "pads": {"strides": [2, 2], "pads": [1, 0, 0, 1]}, "groups": {"group": 2},
        "output padding": {"strides": [2, 2], "output_padding": [1, 0]}, "output shape": {"strides": [2, 2], "output_shape": [14, 12]},
        "same upper": {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, "same lower": {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
        "dilation": {"dilations": [2, 2]},
    }  # fmt: skip
    for name, attrs in turned.items():
        yield case("ConvTranspose", name, [node("ConvTranspose", "x w b", **attrs)], {"x": IMAGE},
                   {"w": floats(4, 3, 3, 3), "b": floats(3 * attrs.get("group", 1))})  # fmt: skip
    yield case("ConvTranspose", "1-D", [node("ConvTranspose", "x w", strides=[2])], {"x": LINE}, {"w": floats(4, 3, 3)})


def _pools() -> Iterator[Case]:
    geometries: dict[str, dict[str, Any]] = {
        "plain": {}, "stride": {"strides": [2, 1]}, "pads": {"pads": [1, 0, 1, 1]}, "ceil": {"strides": [2, 2], "ceil_mode": 1},
        "same": {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, "dilation": {"dilations": [2, 1]},
        "dilation and pads": {"dilations": [2, 2], "pads": [1, 1, 1, 1]},
    }  # fmt: skip
    for op in ("MaxPool", "AveragePool"):
        for name, attrs in geometries.items():
            opset = 19 if op == "AveragePool" and "dilation" in name else 17
            yield case(op, name, [node(op, "x", kernel_shape=[3, 2], **attrs)], {"x": IMAGE}, opset=opset)
        yield case(op, "1-D", [node(op, "x", kernel_shape=[3], strides=[2], pads=[1, 1])], {"x": LINE})
    counted = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    yield case("AveragePool", "pads counted", [node("AveragePool", "x", **counted)], {"x": IMAGE})
    yield case(
        "AveragePool",
        "pads counted ceil",
        [node("AveragePool", "x", strides=[2, 2], ceil_mode=1, **counted)],
        {"x": IMAGE},
        opset=19,
    )
    yield case(
        "AveragePool", "pads counted dilation", [node("AveragePool", "x", dilations=[2, 1], **counted)], {"x": IMAGE}, opset=19
    )
    for op in ("GlobalAveragePool", "GlobalMaxPool"):
        yield case(op, "image", [node(op, "x")], {"x": IMAGE})
        yield case(op, "1-D", [node(op, "x")], {"x": LINE})


def _matrices() -> Iterator[Case]:
    x = {"x": SEQUENCE}
    yield case("MatMul", "weights", [node("MatMul", "x w")], x, {"w": floats(8, 6)})
    yield case("MatMul", "weights first", [node("MatMul", "w x")], x, {"w": floats(3, 5)})
    yield case("MatMul", "two values", [node("MatMul", "x z")], {"x": SEQUENCE, "z": ("N", 8, 4)})
    yield case("MatMul", "heads", [node("MatMul", "x z")], {"x": ("N", 2, 5, 4), "z": ("N", 2, 4, 3)})
    yield case("MatMul", "batched constant", [node("MatMul", "x w")], {"x": (3, 5, 8)}, {"w": floats(3, 8, 2)})
    yield case("MatMul", "vector", [node("MatMul", "x w")], x, {"w": floats(8)})
    yield case("MatMul", "vector first", [node("MatMul", "w x")], x, {"w": floats(5)})
    for a, b in ((0, 0), (0, 1)):
        yield case("Gemm", f"transposed {a} {b}", [node("Gemm", "x w c", transA=a, transB=b, alpha=0.5, beta=2.0)], {"x": ("N", 8)},
                   {"w": floats(6, 8) if b else floats(8, 6), "c": floats(6)})  # fmt: skip
    yield case("Gemm", "two values", [node("Gemm", "x z", transB=1)], {"x": (3, 8), "z": (3, 8)}, rounds=1)
    yield case(
        "Gemm", "matrix of biases", [node("Gemm", "x w c")], {"x": (3, 8)}, {"w": floats(8, 4), "c": floats(3, 4)}, rounds=1
    )
    for turn in ({}, {"transA": 1}, {"transB": 1, "alpha": 0.25}):
        shapes = {
            "x": ("N", 2, 4, 5) if "transA" in turn else ("N", 2, 5, 4),
            "z": ("N", 2, 3, 4) if "transB" in turn else ("N", 2, 4, 3),
        }
        yield case(f"{MS} FusedMatMul", f"{turn or 'plain'}", [node("FusedMatMul", "x z", domain=MS, **turn)], shapes)
    equations: dict[str, tuple[tuple[Any, ...], ...]] = {
        "bij,bjk->bik": (("N", 3, 4), ("N", 4, 2)), "bhid,bhjd->bhij": (("N", 2, 3, 4), ("N", 2, 5, 4)),
        "bid,bjd->bij": (("N", 3, 4), ("N", 5, 4)), "bihd,bjhd->bhij": (("N", 3, 2, 4), ("N", 5, 2, 4)),
        "bij->bji": (("N", 3, 4),), "bij->bi": (("N", 3, 4),), "bi,bi->bi": (("N", 4), ("N", 4)), "bi,bj->bij": (("N", 4), ("N", 3)),
        "...ij,...jk->...ik": (("N", 2, 3, 4), ("N", 2, 4, 2)), "bhij,bjhd->bihd": (("N", 2, 3, 4), ("N", 4, 2, 5)),
    }  # fmt: skip
    for equation, shapes_of in equations.items():
        names = [f"x{i}" for i in range(len(shapes_of))]
        yield case(
            "Einsum", equation, [node("Einsum", " ".join(names), equation=equation)], dict(zip(names, shapes_of, strict=True))
        )
    yield case("Einsum", "constant", [node("Einsum", "x w", equation="bld,hd->blh")], x, {"w": floats(6, 8)})


def _normalizations() -> Iterator[Case]:
    bn = {"s": floats(4), "b": floats(4), "m": floats(4), "v": floats(4, low=0.5)}
    yield case("BatchNormalization", "alone", [node("BatchNormalization", "x s b m v", epsilon=1e-3)], {"x": IMAGE}, bn)
    yield case("BatchNormalization", "features", [node("BatchNormalization", "x s b m v")], {"x": ("N", 4)}, bn)
    yield case("InstanceNormalization", "image", [node("InstanceNormalization", "x s b")], {"x": IMAGE}, bn)
    yield case("InstanceNormalization", "1-D", [node("InstanceNormalization", "x s b")], {"x": LINE}, bn)
    yield case(
        "GroupNormalization", "two groups", [node("GroupNormalization", "x s b", num_groups=2)], {"x": IMAGE}, bn, opset=21
    )
    for axis in (-1, 1):
        size = (8,) if axis == -1 else (5, 8)
        yield case("LayerNormalization", f"axis {axis}", [node("LayerNormalization", "x s b", axis=axis)], {"x": SEQUENCE},
                   {"s": floats(*size), "b": floats(*size)})  # fmt: skip
    yield case(
        "LayerNormalization",
        "no bias, statistics",
        [node("LayerNormalization", "x s", "y m d")],
        {"x": SEQUENCE},
        {"s": floats(8)},
        {"y": "float32", "m": "float32", "d": "float32"},
    )
    yield case("LayerNormalization", "of its parts", _norm_parts(), {"x": SEQUENCE},
               {"two": np.float32(2), "e": np.float32(1e-5), "s": floats(8), "b": floats(8)})  # fmt: skip
    yield case("RMSNormalization", "last axis", [node("RMSNormalization", "x s")], {"x": SEQUENCE}, {"s": floats(8)}, opset=23)
    yield case(
        "SimplifiedLayerNormalization",
        "last axis",
        [node("SimplifiedLayerNormalization", "x s", epsilon=1e-6)],
        {"x": SEQUENCE},
        {"s": floats(8)},
    )
    skip = {"s": floats(8), "b": floats(8), "c": floats(8, seed=1)}
    pair = {"x": SEQUENCE, "z": SEQUENCE}
    outputs = {"y": "float32", "t": "float32"}
    yield case(
        f"{MS} SkipLayerNormalization",
        "bias and sum",
        [node("SkipLayerNormalization", "x z s b c", "y _ _ t", domain=MS)],
        pair,
        skip,
        outputs,
    )
    yield case(
        f"{MS} SkipSimplifiedLayerNormalization",
        "sum",
        [node("SkipSimplifiedLayerNormalization", "x z s", "y _ _ t", domain=MS)],
        pair,
        skip,
        outputs,
    )
    for p in (1, 2):
        yield case("LpNormalization", f"p {p}", [node("LpNormalization", "x", axis=1, p=p)], {"x": SEQUENCE})
    yield case("LRN", "size 3", [node("LRN", "x", size=3, alpha=0.5, beta=0.75, bias=1.5)], {"x": IMAGE})
    yield case("MeanVarianceNormalization", "image", [node("MeanVarianceNormalization", "x", axes=[2, 3])], {"x": IMAGE})
    yield case("Dropout", "inference", [node("Dropout", "x", "d"), node("Add", "d x")], {"x": IMAGE})


def _norm_parts() -> list:
    return [
        node("ReduceMean", "x", "m", axes=[-1]),
        node("Sub", "x m", "d"),
        node("Pow", "d two", "q"),
        node("ReduceMean", "q", "v", axes=[-1]),
        node("Add", "v e", "f"),
        node("Sqrt", "f", "g"),
        node("Div", "d g", "h"),
        node("Mul", "h s", "i"),
        node("Add", "i b"),
    ]


def _recurrent() -> Iterator[Case]:
    units, depth = 3, 4
    for op, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        for direction in ("forward", "reverse", "bidirectional"):
            d = 2 if direction == "bidirectional" else 1
            weights = {
                "w": floats(d, gates * units, depth),
                "r": floats(d, gates * units, units, seed=1),
                "b": floats(d, 2 * gates * units, seed=2),
            }
            turn = [node("Transpose", "x", "s", perm=[1, 0, 2])]
            all_outputs = "y h c" if op == "LSTM" else "y h"
            kinds = dict.fromkeys(all_outputs.split(), "float32")
            made = node(op, "s w r b", all_outputs, hidden_size=units, direction=direction)
            back = [node("Transpose", "y", "z", perm=[2, 0, 1, 3])]
            kept = {"z": "float32", "v": "float32"}
            last = node("Transpose", "h", "v", perm=[1, 0, 2])
            yield case(op, f"{direction}", [*turn, made, *back, last], {"x": ("N", 5, depth)}, weights, kept)
            yield case(
                op,
                f"{direction} time first",
                [made],
                {"s": Fed((5, 1, depth))},
                weights,
                {k: v for k, v in kinds.items() if k == "y"},
                rounds=1,
            )
        states = {"h0": ("N", 1, units)} | ({"c0": ("N", 1, units)} if op == "LSTM" else {})
        turned = [node("Transpose", "x", "s", perm=[1, 0, 2]), *(node("Transpose", k, f"{k}t", perm=[1, 0, 2]) for k in states)]
        names = "s w r b _ h0t" + (" c0t" if op == "LSTM" else "")
        single = {"w": floats(1, gates * units, depth), "r": floats(1, gates * units, units), "b": floats(1, 2 * gates * units)}
        yield case(op, "initial states", [*turned, node(op, names, "a h", hidden_size=units), node("Transpose", "h", perm=[1, 0, 2])],
                   {"x": ("N", 5, depth), **states}, single)  # fmt: skip
        full = {**single, "n": np.array([5], np.int32)}
        yield case(op, "lengths", [turned[0], node(op, "s w r b n", "a h", hidden_size=units), node("Transpose", "h", perm=[1, 0, 2])],
                   {"x": ("N", 5, depth)}, full)  # fmt: skip
        yield case(
            op,
            "clip",
            [turned[0], node(op, "s w r", "a h", hidden_size=units, clip=0.2), node("Transpose", "h", perm=[1, 0, 2])],
            {"x": ("N", 5, depth)},
            single,
        )
    gru = {"w": floats(1, 9, depth), "r": floats(1, 9, units), "b": floats(1, 18)}
    seq = [node("Transpose", "x", "s", perm=[1, 0, 2])]
    end = node("Transpose", "h", perm=[1, 0, 2])
    yield case(
        "GRU",
        "linear before reset",
        [*seq, node("GRU", "s w r b", "a h", hidden_size=3, linear_before_reset=1), end],
        {"x": ("N", 5, depth)},
        gru,
    )
    lstm = {"w": floats(1, 12, depth), "r": floats(1, 12, units), "b": floats(1, 24), "p": floats(1, 9)}
    yield case(
        "LSTM", "peepholes", [*seq, node("LSTM", "s w r b _ _ _ p", "a h", hidden_size=3), end], {"x": ("N", 5, depth)}, lstm
    )
    yield case(
        "LSTM",
        "other functions",
        [*seq, node("LSTM", "s w r b", "a h", hidden_size=3, activations=["Relu", "Softsign", "Tanh"]), end],
        {"x": ("N", 5, depth)},
        lstm,
    )
    for op, weights, gates in (("LSTM", lstm, ["HardSigmoid", "Tanh", "Tanh"]), ("GRU", gru, ["HardSigmoid", "Tanh"])):
        hard = node(op, "s w r b", "a h", hidden_size=3, activations=gates)
        yield case(op, "hard gates", [*seq, hard, end], {"x": Fed(("N", 5, depth), low=-2.0, high=2.0)}, weights)
    for name, more in (("input forget", ""), ("input forget peepholes", " _ _ _ p")):
        coupled = node("LSTM", f"s w r b{more}", "a h", hidden_size=3, input_forget=1)
        yield case("LSTM", name, [*seq, coupled, end], {"x": ("N", 5, depth)}, lstm)


def _attention() -> Iterator[Case]:
    heads = dict.fromkeys("qkv", ("N", 2, 5, 4))
    yield case("Attention", "heads", [node("Attention", "q k v")], heads, opset=23)
    yield case("Attention", "causal", [node("Attention", "q k v", is_causal=1)], heads, opset=23)
    flat = dict.fromkeys("qkv", ("N", 5, 8))
    yield case("Attention", "flat", [node("Attention", "q k v", q_num_heads=2, kv_num_heads=2, scale=0.3)], flat, opset=23)
    shared = {"q": ("N", 4, 5, 4), "k": ("N", 2, 5, 4), "v": ("N", 2, 5, 4)}
    yield case("Attention", "shared keys", [node("Attention", "q k v")], shared, opset=23)
    yield case("Attention", "mask", [node("Attention", "q k v m")], heads, {"m": floats(5, 5)}, opset=23)
    yield case("Attention", "boolean mask", [node("Attention", "q k v m")], heads, {"m": np.tri(5, 5) > 0}, opset=23)
    for interleaved in (0, 1):
        yield case(
            "RotaryEmbedding",
            f"interleaved {interleaved}",
            [node("RotaryEmbedding", "x c s p", interleaved=interleaved)],
            {"x": ("N", 2, 5, 4), "p": Fed(("N", 5), "int64", 0, 7)},
            {"c": floats(7, 2), "s": floats(7, 2, seed=1)},
            opset=23,
        )
    weights = {"w": floats(8, 24), "b": floats(24)}
    yield case(f"{MS} Attention", "plain", [node("Attention", "x w b", domain=MS, num_heads=2)], {"x": SEQUENCE}, weights)
    yield case(f"{MS} Attention", "mask", [node("Attention", "x w b m", domain=MS, num_heads=2)],
               {"x": SEQUENCE, "m": Fed(("N", 5), "int32", 0, 2)}, weights)  # fmt: skip
    yield case(
        f"{MS} Attention",
        "unidirectional",
        [node("Attention", "x w b", domain=MS, num_heads=2, unidirectional=1)],
        {"x": SEQUENCE},
        weights,
    )
    yield case(f"{MS} MultiHeadAttention", "plain", [node("MultiHeadAttention", "q k v", domain=MS, num_heads=2)], flat)
    yield case(
        f"{MS} MultiHeadAttention",
        "bias",
        [node("MultiHeadAttention", "q k v b", domain=MS, num_heads=2)],
        flat,
        {"b": floats(24)},
    )


def cases() -> Iterator[Case]:
    yield from _convolutions()
    yield from _pools()
    yield from _matrices()
    yield from _normalizations()
    yield from _recurrent()
    yield from _attention()
