"""Every supported ONNX operator against ONNX Runtime: float32, largest difference 1e-5 of the largest output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.loaders.onnx_cases import compare, ints, model, node, ops, rand

IMAGE = {"x": ("N", 6, 9, 7)}
VECTOR = {"x": ("N", 12)}
SIGNAL = {"x": ("N", 6, 13)}
TOKENS = {"x": ("N", 5, 8)}


def conv(name: str, w: tuple[int, ...], bias: bool = True, x: Any = IMAGE, **attrs: Any) -> Any:
    constants = {"w": rand(*w), **({"b": rand(w[0], seed=1)} if bias else {})}
    return pytest.param(model([node("Conv", "x w b" if bias else "x w", "y", **attrs)], x, constants), id=f"conv-{name}")


def one(name: str, op: str, x: Any = IMAGE, opset: int = 17, more: str = "", constants: Any = None, **attrs: Any) -> Any:
    return pytest.param(model([node(op, f"x {more}", "y", **attrs)], x, constants, opset=opset), id=f"{op}-{name}-{opset}")


CONVOLUTIONS = [
    conv("1x1", (8, 6, 1, 1)),
    conv("3x3", (8, 6, 3, 3)),
    conv("no_bias", (8, 6, 3, 3), bias=False),
    conv("pads", (8, 6, 3, 3), pads=[1, 1, 1, 1]),
    conv("uneven_pads", (8, 6, 3, 4), pads=[0, 1, 2, 3]),
    conv("stride", (8, 6, 3, 3), strides=[2, 3], pads=[1, 1, 1, 1]),
    conv("dilation", (8, 6, 3, 2), dilations=[2, 3]),
    conv("same_upper", (8, 6, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
    conv("same_lower", (8, 6, 2, 4), auto_pad="SAME_LOWER", strides=[2, 2]),
    conv("valid", (8, 6, 3, 4), auto_pad="VALID"),
    conv("groups2", (8, 3, 3, 3), group=2),
    conv("groups3_one_out_each", (3, 2, 3, 3), group=3),
    conv("depthwise", (6, 1, 3, 3), group=6, pads=[1, 1, 1, 1]),
    conv("depthwise_no_bias", (6, 1, 3, 3), bias=False, group=6),
    conv("depthwise_multiplier", (12, 1, 3, 2), group=6, strides=[2, 1], dilations=[1, 2]),
    conv("one_channel", (4, 1, 3, 3), x={"x": ("N", 1, 9, 7)}),
    conv("whole_picture", (5, 6, 9, 7)),
    conv("fixed_batch_of_4", (5, 6, 3, 3), x={"x": (4, 6, 9, 7)}),
    conv("1d", (8, 6, 3), x=SIGNAL),
    conv("1d_stride", (8, 6, 4), x=SIGNAL, strides=[2], pads=[1, 2], dilations=[2]),
    conv("1d_same", (8, 6, 4), x=SIGNAL, strides=[2], auto_pad="SAME_UPPER"),
    conv("1d_depthwise", (12, 1, 3), x=SIGNAL, group=6),
    conv("kernel_shape", (8, 6, 3, 2), kernel_shape=[3, 2]),
]


def transposed(name: str, w: tuple[int, ...], bias: bool = True, x: Any = IMAGE, **attrs: Any) -> Any:
    """w: [C, O / group, KH, KW]."""
    outputs = w[1] * attrs.get("group", 1)
    constants = {"w": rand(*w), **({"b": rand(outputs, seed=1)} if bias else {})}
    return pytest.param(
        model([node("ConvTranspose", "x w b" if bias else "x w", "y", **attrs)], x, constants), id=f"transposed-{name}"
    )


TRANSPOSED = [
    transposed("3x3", (6, 8, 3, 3)),
    transposed("no_bias", (6, 8, 3, 2), bias=False),
    transposed("stride_pads", (6, 8, 4, 3), strides=[2, 3], pads=[1, 0, 2, 1]),
    transposed("output_padding", (6, 8, 3, 3), strides=[2, 3], pads=[1, 1, 1, 1], output_padding=[1, 2]),
    transposed("dilation", (6, 8, 3, 2), strides=[2, 1], dilations=[3, 2], pads=[2, 1, 1, 0]),
    transposed("kernel_below_stride", (6, 8, 1, 2), strides=[3, 3]),
    transposed("groups2", (6, 4, 3, 3), strides=[2, 2], group=2),
    transposed("depthwise", (6, 1, 3, 3), strides=[2, 2], group=6),
    transposed("same_upper", (6, 8, 3, 4), strides=[2, 2], auto_pad="SAME_UPPER"),
    transposed("same_lower", (6, 8, 3, 4), strides=[2, 2], auto_pad="SAME_LOWER"),
    transposed("valid", (6, 8, 3, 4), strides=[2, 2], auto_pad="VALID"),
    transposed("output_shape", (6, 8, 4, 4), strides=[2, 2], output_shape=[19, 15]),
    transposed("whole_picture_cut", (6, 8, 3, 3), pads=[3, 4, 3, 2]),
    transposed("1d", (6, 8, 4), x=SIGNAL, strides=[2], pads=[1, 2]),
]

POOLS = [
    one("3x3", "MaxPool", kernel_shape=[3, 3]),
    one("stride_pads", "MaxPool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 1, 1, 0]),
    one("ceil", "MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    one("ceil_pads", "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
    one("ceil_drops_window_in_padding", "MaxPool", kernel_shape=[2, 2], strides=[4, 4], pads=[1, 1, 1, 1], ceil_mode=1),
    one("same", "MaxPool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    one("1d", "MaxPool", x=SIGNAL, kernel_shape=[3], strides=[2]),
    one("old", "MaxPool", opset=8, kernel_shape=[3, 3]),
    one("new", "MaxPool", opset=22, kernel_shape=[3, 3]),
    one("3x3", "AveragePool", kernel_shape=[3, 3]),
    one("pads", "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    one("pads_counted", "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    one("pads_counted_stride", "AveragePool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 2, 1], count_include_pad=1),
    one("ceil", "AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    one("ceil_pads", "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
    one("same_lower", "AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
    one("1d", "AveragePool", x=SIGNAL, kernel_shape=[4], strides=[3], pads=[1, 1]),
    one("old", "AveragePool", opset=7, kernel_shape=[3, 3]),
    one("2d", "GlobalAveragePool"),
    one("1d", "GlobalAveragePool", x=SIGNAL),
    one("2d", "GlobalMaxPool"),
    one("1d", "GlobalMaxPool", x=SIGNAL),
]

ELEMENTWISE = [
    *(one("plain", op) for op in ("Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Identity", "HardSigmoid")),
    one("alpha", "LeakyRelu", alpha=0.3),
    *(one("plain", op) for op in ("Elu", "Exp")),
    one("alpha", "Elu", alpha=0.3),
    *(one(kind, "Gelu", opset=20, approximate=kind) for kind in ("none", "tanh")),
    one("scalar", "PRelu", more="s", constants={"s": np.full((1, 1, 1), 0.2, np.float32)}),
    one("attributes", "Clip", opset=7, min=-0.25, max=0.5),
    one("only_max_attribute", "Clip", opset=7, max=0.5),
    one("inputs", "Clip", more="lo hi", constants={"lo": np.float32(0), "hi": np.float32(0.5)}),
    one("no_min", "Clip", more="_ hi", constants={"hi": np.float32(0.5)}),
    one("no_max", "Clip", more="lo", constants={"lo": np.float32(-0.5)}),
    one("nothing", "Clip"),
    *(one("scalar", op, more="c", constants={"c": np.float32(1.5)}) for op in ("Add", "Sub", "Mul", "Div")),
    *(one("channels", op, more="c", constants={"c": rand(6, 1, 1, low=1, high=2)}) for op in ("Add", "Sub", "Mul", "Div")),
    one("channels_and_batch", "Add", more="c", constants={"c": rand(1, 6, 1, 1)}),
    one("columns", "Mul", more="c", constants={"c": rand(7)}),
    one("rows", "Mul", more="c", constants={"c": rand(9, 1)}),
    one("picture", "Add", more="c", constants={"c": rand(9, 7)}),
    one("all", "Add", more="c", constants={"c": rand(1, 6, 9, 7)}),
    one("vector", "Add", x=VECTOR, more="c", constants={"c": rand(12)}),
    one("old", "Add", opset=7, more="c", constants={"c": rand(6, 1, 1)}),
    one("per_sample_constant", "Add", x={"x": (3, 6, 2, 2)}, more="c", constants={"c": rand(3, 1, 1, 1)}),
    one("constant_grows_it", "Add", x={"x": ("N", 6, 1, 7)}, more="c", constants={"c": rand(6, 9, 1)}),
    one("constant_has_more_axes", "Mul", x=VECTOR, more="c", constants={"c": rand(3, 4, 1, 12)}),
    one("inference", "Dropout", opset=12),
    one("ratio_attribute", "Dropout", opset=7, ratio=0.3),
    one("to_float", "Cast", to=1),
]

NORMALIZATION = [
    pytest.param(
        model([node("BatchNormalization", "x s b m v", "y", epsilon=1e-3)], shape, {
            "s": rand(c, seed=1), "b": rand(c, seed=2), "m": rand(c, seed=3), "v": rand(c, seed=4, low=0.1),
        }, opset=opset),
        id=f"BatchNormalization-{len(shape['x'])}d-{opset}",
    )
    for shape, c, opset in ((IMAGE, 6, 17), (IMAGE, 6, 7), (IMAGE, 6, 9), (VECTOR, 12, 14), (SIGNAL, 6, 15))
]  # fmt: skip

MATRICES = [
    one("plain", "Gemm", x=VECTOR, more="w", constants={"w": rand(12, 5)}),
    one("bias", "Gemm", x=VECTOR, more="w c", constants={"w": rand(12, 5), "c": rand(5)}),
    one("transB", "Gemm", x=VECTOR, more="w c", constants={"w": rand(5, 12), "c": rand(1, 5)}, transB=1),
    one("alpha_beta", "Gemm", x=VECTOR, more="w c", constants={"w": rand(5, 12), "c": rand(5)}, transB=1, alpha=0.5, beta=2.0),
    one("scalar_bias", "Gemm", x=VECTOR, more="w c", constants={"w": rand(12, 5), "c": np.float32(3)}),
    one("old", "Gemm", x=VECTOR, opset=7, more="w c", constants={"w": rand(12, 5), "c": rand(5)}),
    one("transA", "Gemm", x={"x": (4, 12)}, more="w c", constants={"w": rand(4, 5), "c": rand(5)}, transA=1),
    one("full_bias", "Gemm", x={"x": (4, 12)}, more="w c", constants={"w": rand(12, 5), "c": rand(4, 5)}),
    one("column_bias", "Gemm", x={"x": (4, 12)}, more="w c", constants={"w": rand(12, 5), "c": rand(4, 1)}, beta=0.5),
    pytest.param(
        model([node("Gemm", "a x c", "y", transA=1)], {"x": (4, 12)}, {"a": rand(4, 3), "c": rand(12)}), id="Gemm-left"
    ),
    one("matrix", "MatMul", x=VECTOR, more="w", constants={"w": rand(12, 5)}),
    one("tokens", "MatMul", x=TOKENS, more="w", constants={"w": rand(8, 6)}),
    one("tokens_unit_axes", "MatMul", x=TOKENS, more="w", constants={"w": rand(1, 8, 6)}),
    one("picture_rows", "MatMul", more="w", constants={"w": rand(7, 4)}),
    one("vector", "MatMul", x=TOKENS, more="w", constants={"w": rand(8)}),
    one("heads", "MatMul", x={"x": ("N", 3, 5, 8)}, more="w", constants={"w": rand(3, 8, 4)}),
    pytest.param(model([node("MatMul", "a x", "y")], TOKENS, {"a": rand(3, 5)}), id="MatMul-left"),
    pytest.param(model([node("MatMul", "a x", "y")], IMAGE, {"a": rand(4, 9)}), id="MatMul-left_picture"),
    pytest.param(model([node("MatMul", "x z", "y")], {"x": ("N", 5, 8), "z": ("N", 8, 6)}), id="MatMul-two_values"),
    pytest.param(model([node("MatMul", "x z", "y")], {"x": ("N", 2, 5, 8), "z": ("N", 2, 8, 6)}), id="MatMul-two_values_4d"),
    pytest.param(
        model([node("Transpose", "z", "t", perm=[0, 2, 1]), node("MatMul", "x t", "y")], {"x": ("N", 5, 8), "z": ("N", 6, 8)}),
        id="MatMul-transposed_right",
    ),
    pytest.param(
        model([node("Transpose", "x", "t"), node("MatMul", "t z", "y")], {"x": (4, 8), "z": (4, 6)}),
        id="MatMul-contracts_the_batch",
    ),
]  # fmt: skip

MOVES = [
    one("axis1", "Flatten"),
    one("axis2", "Flatten", axis=2),
    one("axis0", "Flatten", axis=0),
    one("negative", "Flatten", axis=-3),
    one("flat", "Reshape", more="s", constants={"s": ints(0, -1)}),
    one("flat_batch_inferred", "Reshape", more="s", constants={"s": ints(-1, 378)}),
    one("split_channels", "Reshape", more="s", constants={"s": ints(0, 2, 3, 9, 7)}),
    one("join_picture", "Reshape", more="s", constants={"s": ints(0, 0, -1)}),
    one("mix_all", "Reshape", more="s", constants={"s": ints(0, 7, 9, 6)}),
    one("drops_batch", "Reshape", more="s", constants={"s": ints(-1, 7)}),
    one("swap", "Transpose", perm=[0, 2, 3, 1]),
    one("reverse_vector", "Transpose", x={"x": (3, 4)}),
    one("moves_batch", "Transpose", x=TOKENS, perm=[1, 0, 2]),
    one("spatial", "Transpose", perm=[0, 1, 3, 2]),
    one("axes", "Squeeze", x={"x": ("N", 6, 1, 7)}, more="a", constants={"a": ints(2)}),
    one("all_axes", "Squeeze", x={"x": (2, 6, 1, 1)}),
    one("attribute", "Squeeze", x={"x": ("N", 6, 1, 7)}, opset=11, axes=[-2]),
    one("axes", "Unsqueeze", x=VECTOR, more="a", constants={"a": ints(2, -1)}),
    one("attribute", "Unsqueeze", x=VECTOR, opset=11, axes=[1]),
    one("constant", "Pad", more="p", constants={"p": ints(0, 0, 1, 2, 0, 1, 0, 3)}),
    one("value", "Pad", more="p v", constants={"p": ints(0, 0, 1, 2, 0, 0, 0, 0), "v": np.float32(0.5)}),
    one("attributes", "Pad", opset=7, pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.25),
    one("axes", "Pad", opset=18, more="p _ a", constants={"p": ints(1, 2, 3, 0), "a": ints(-1, 1)}),
    one("nothing", "Pad", more="p", constants={"p": ints(*[0] * 8)}),
    one("steps", "Slice", more="s e a t", constants={"s": ints(1, -6), "e": ints(99, -1), "a": ints(1, 3), "t": ints(2, 3)}),
    one("attributes", "Slice", opset=7, starts=[2], ends=[2**62], axes=[2]),
    one("all_axes", "Slice", more="s e", constants={"s": ints(0, 1, 2, 3), "e": ints(9, 5, 8, 7)}),
    one("batch", "Slice", x={"x": (4, 5)}, more="s e a", constants={"s": ints(1), "e": ints(3), "a": ints(0)}),
    one("position", "Gather", more="i", constants={"i": np.int64(-2)}, axis=1),
    one("position_kept", "Gather", more="i", constants={"i": ints(3)}, axis=2),
    *(one(f"axis{a}", "Softmax", axis=a) for a in (1, 2, 3, -1)),
    *(one(f"joint_axis{a}", "Softmax", opset=11, axis=a) for a in (1, 2, 3)),
    one("default", "Softmax", x=VECTOR),
    *(one(f"axis{a}", "LogSoftmax", axis=a) for a in (1, -1)),
    one("joint", "LogSoftmax", opset=11, axis=1),
    one("default_old", "Softmax", x=VECTOR, opset=9),
    one("batch", "Softmax", x={"x": (3, 4)}, axis=0),
    *(one(f"axes{a}", "ReduceMean", axes=a, keepdims=k) for a in ([2, 3], [1], [-1], [1, 2, 3]) for k in (0, 1)),
    *(one(f"axes{a}", "ReduceSum", more="a", constants={"a": ints(*a)}, keepdims=0) for a in ([2, 3], [-1])),
    one("attribute", "ReduceSum", opset=11, axes=[1]),
    one("axes_input", "ReduceMean", opset=18, more="a", constants={"a": ints(2)}, keepdims=0),
    one("all", "ReduceMean", x={"x": (2, 6, 9, 7)}, opset=18),
    one("noop", "ReduceMean", opset=18, noop_with_empty_axes=1),
    one("batch", "ReduceMean", x={"x": (3, 4, 5)}, axes=[0]),
]


@pytest.mark.parametrize("proto", [*CONVOLUTIONS, *TRANSPOSED, *POOLS, *ELEMENTWISE, *NORMALIZATION, *MATRICES, *MOVES])
def test_onnx_operator_equals_onnxruntime(proto: onnx.ModelProto, tmp_path: Path) -> None:
    compare(proto, tmp_path)


def test_onnx_log_equals_onnxruntime(tmp_path: Path) -> None:
    compare(model([node("Log", "x", "y")], IMAGE), tmp_path, low=0.1, high=4.0)


AFTER_CONV = [
    ("channels_constant", [node("Mul", "c k", "y")], {"k": rand(8, 1, 1)}),
    ("columns_constant", [node("Add", "c k", "y")], {"k": rand(7)}),
    ("rows_constant_left", [node("Sub", "k c", "y")], {"k": rand(9, 1)}),
    ("concat_channels", [node("Concat", "c x", "y", axis=1)], {}),
    ("concat_rows", [node("Concat", "c c", "y", axis=2)], {}),
    ("concat_negative_axis", [node("Concat", "c c", "y", axis=-1)], {}),
    ("concat_constant", [node("Concat", "c k", "y", axis=1)], {"k": rand(1, 2, 9, 7)}),
    ("pad", [node("Pad", "c p", "y")], {"p": ints(0, 1, 2, 0, 0, 0, 1, 3)}),
    ("slice", [node("Slice", "c s e a", "y")], {"s": ints(1, 2), "e": ints(7, 6), "a": ints(1, 2)}),
    ("softmax_channels", [node("Softmax", "c", "y", axis=1)], {}),
    ("softmax_columns", [node("Softmax", "c", "y", axis=3)], {}),
    ("log_softmax_channels", [node("LogSoftmax", "c", "y", axis=1)], {}),
    ("transposed_convolution", [node("ConvTranspose", "c k", "y", strides=[2, 2])], {"k": rand(8, 5, 3, 3)}),
    ("mean_rows", [node("ReduceMean", "c", "y", axes=[2], keepdims=0)], {}),
    ("sum_channels", [node("ReduceSum", "c a", "y", keepdims=0)], {"a": ints(1)}),
    ("mean_channels", [node("ReduceMean", "c", "y", axes=[1], keepdims=1)], {}),
    ("global_mean", [node("GlobalAveragePool", "c", "g"), node("Flatten", "g", "y")], {}),
    ("flatten", [node("Flatten", "c", "y")], {}),
    ("flatten_relu_gemm", [node("Flatten", "c", "f"), node("Tanh", "f", "t"), node("Gemm", "t k", "y")], {"k": rand(504, 3)}),
    ("flatten_two_readers", [node("Flatten", "c", "f"), node("Gemm", "f k", "g"), node("ReduceMean", "f", "m", axes=[1]),
                             node("Add", "g m", "y")], {"k": rand(504, 3)}),
    ("two_heads", [node("Flatten", "c", "f"), node("Gemm", "f k", "g"), node("Gemm", "f l", "h"),
                   node("Concat", "g h", "y", axis=1)],
     {"k": rand(504, 3), "l": rand(504, 4)}),
    ("reshape_tokens", [node("Reshape", "c s", "r"), node("Transpose", "r", "t", perm=[0, 2, 1]), node("MatMul", "t k", "y")],
     {"s": ints(0, 8, -1), "k": rand(8, 5)}),
    ("channel_shuffle", [node("Reshape", "c s", "r"), node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4]),
                         node("Reshape", "t u", "y")],
     {"s": ints(0, 2, 4, 9, 7), "u": ints(0, 8, 9, 7)}),
    ("transpose_reshape", [node("Transpose", "c", "t", perm=[0, 2, 3, 1]), node("Reshape", "t s", "y")], {"s": ints(0, -1)}),
    ("split", [node("Split", "c", "a b", axis=1), node("Sub", "a b", "y")], {}),
    ("squeeze_excite", [node("GlobalAveragePool", "c", "g"), node("Flatten", "g", "f"), node("Gemm", "f k", "h"),
                        node("Sigmoid", "h", "s"), node("Unsqueeze", "s a", "u"), node("Mul", "c u", "y")],
     {"k": rand(8, 8), "a": ints(2, 3)}),
    ("picture_times_matrix", [node("MatMul", "c k", "y")], {"k": rand(7, 4)}),
    ("attention", [node("Reshape", "c s", "q"), node("Transpose", "q", "t", perm=[0, 2, 1]), node("MatMul", "t q", "a"),
                   node("Softmax", "a", "p"), node("MatMul", "p t", "y")], {"s": ints(0, 8, -1)}),
    ("layout_of_sum", [node("Transpose", "c", "t", perm=[0, 1, 3, 2]), node("Transpose", "t", "u", perm=[0, 1, 3, 2]),
                       node("Sum", "c u x1", "y")], {"x1": rand(8, 1, 1)}),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "constants"), [pytest.param(n, c, id=i) for i, n, c in AFTER_CONV])
def test_onnx_layout_is_tracked_after_a_convolution(nodes: Any, constants: Any, tmp_path: Path) -> None:
    first = node("Conv", "x w", "c", pads=[1, 1, 1, 1])
    compare(model([first, *nodes], IMAGE, {"w": rand(8, 6, 3, 3), **constants}), tmp_path)


def test_onnx_value_of_lower_rank_is_broadcast_after_a_convolution(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "c", pads=[1] * 4),
        node("ReduceMean", "c", "m", axes=[0, 1], keepdims=0),
        node("Mul", "c m", "y"),
    ]
    compare(model(nodes, {"x": (2, 6, 9, 7)}, {"w": rand(8, 6, 3, 3)}), tmp_path)


def test_onnx_flatten_before_gemm_needs_no_inner_transpose(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Flatten", "r", "f"), node("Gemm", "f k", "y")]
    graph = compare(model(nodes, IMAGE, {"w": rand(8, 6, 3, 3), "k": rand(280, 3)}), tmp_path)
    assert ops(graph) == ["transpose", "conv2d", "reshape", "fully_connected"]


def test_onnx_two_heads_share_one_flatten(tmp_path: Path) -> None:
    _, nodes, constants = next(c for c in AFTER_CONV if c[0] == "two_heads")
    graph = compare(
        model([node("Conv", "x w", "c", pads=[1] * 4), *nodes], IMAGE, {"w": rand(8, 6, 3, 3), **constants}), tmp_path
    )
    assert ops(graph).count("transpose") == 1
