"""Golden families of the linear operators: conv2d, depthwise, fully connected, batch matmul, and the requantization sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.graph.ir import Array, Graph, Tensor
from workbench.ops.batch_matmul import BatchMatmulAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.tensor import QuantParams
from workbench.validate.golden_base import CHECKS, FAMILIES, Row, single_op
from workbench.validate.golden_single_op import check_single_op_file

Case = Mapping[str, Any]
Arrays = Mapping[str, Array]


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return (before, after) of TFLite SAME padding: output ceil(size / stride), the smaller half before."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _window(case: Case, x: Array, kernel: tuple[int, int]) -> dict[str, Any]:
    stride, dilation = tuple(case["stride"]), tuple(case["dilation"])
    pads = (0, 0, 0, 0)
    if case["padding"] == "SAME":
        top, bottom = same_padding(x.shape[1], kernel[0], stride[0], dilation[0])
        left, right = same_padding(x.shape[2], kernel[1], stride[1], dilation[1])
        pads = (top, left, bottom, right)
    return {"stride": stride, "dilation": dilation, "pads": pads, "activation": case["activation"]}


def weights_of(case: Case, arrays: Arrays, axis: int) -> Tensor:
    scale = arrays["w_scale"]
    quant = QuantParams(scale.copy(), np.zeros(len(scale), np.int64), axis if len(scale) > 1 else None)
    return Tensor("w", arrays["w"].shape, case["w_dtype"], quant, arrays["w"])


def bias_of(case: Case, arrays: Arrays, channels: int) -> Tensor | None:
    """Return the bias. An absent one of an int16 layer is zeros of its declared type, which decides the accumulator."""
    if not case["has_bias"]:
        if case["x_dtype"] != "int16":
            return None
        return Tensor("b", (channels,), case["b_dtype"], None, np.zeros(channels, case["b_dtype"]))
    return Tensor("b", arrays["b"].shape, case["b_dtype"], None, arrays["b"])


def _activation(name: str, shape: tuple[int, ...], case: Case, dtype: str) -> Tensor:
    return Tensor(name, shape, dtype, QuantParams.per_tensor(case[f"{name}_scale"], case[f"{name}_zp"]))


def _linear(op: str, attrs: Any, case: Case, arrays: Arrays, axis: int) -> tuple[Graph, dict[str, Array]]:
    x = _activation("x", arrays["x"].shape, case, case["x_dtype"])
    w = weights_of(case, arrays, axis)
    y = _activation("y", (), case, case["x_dtype"])
    return single_op(op, attrs, [x, w, bias_of(case, arrays, w.shape[axis])], y), {"x": arrays["x"]}


def conv2d(case: Case, arrays: Arrays) -> tuple[Graph, dict[str, Array]]:
    """Build a conv2d case."""
    w = arrays["w"]
    return _linear("conv2d", Conv2dAttrs(**_window(case, arrays["x"], (w.shape[1], w.shape[2]))), case, arrays, 0)


def depthwise(case: Case, arrays: Arrays) -> tuple[Graph, dict[str, Array]]:
    """Build a depthwise_conv2d case."""
    w = arrays["w"]
    attrs = DepthwiseConv2dAttrs(**_window(case, arrays["x"], (w.shape[1], w.shape[2])))
    return _linear("depthwise_conv2d", attrs, case, arrays, 3)


def fully_connected(case: Case, arrays: Arrays) -> tuple[Graph, dict[str, Array]]:
    """Build a fully_connected case."""
    return _linear("fully_connected", FullyConnectedAttrs(case["activation"]), case, arrays, 0)


def batch_matmul(case: Case, arrays: Arrays) -> tuple[Graph, dict[str, Array]]:
    """Build a batch_matmul case."""
    tensors = [
        Tensor(k, arrays[k].shape, case["dtype"], QuantParams.per_tensor(case[f"{k}_scale"], case[f"{k}_zp"]))
        for k in ("a", "b")
    ]
    y = _activation("y", (), case, case["dtype"])
    graph = single_op("batch_matmul", BatchMatmulAttrs(case["adj_x"], case["adj_y"]), [*tensors], y)
    return graph, {"a": arrays["a"], "b": arrays["b"]}


for _name, _builder in {
    "conv2d_s8": conv2d,
    "conv2d_s8s4": conv2d,
    "conv2d_s16s8_b32": conv2d,
    "conv2d_s16s8_b64": conv2d,
    "conv_requant_sweep": conv2d,
    "depthwise_s8": depthwise,
    "depthwise_s8s4": depthwise,
    "depthwise_s16s8_b64": depthwise,
    "fc_s8": fully_connected,
    "fc_s8s4": fully_connected,
    "fc_s16s8_b32": fully_connected,
    "fc_s16s8_b64": fully_connected,
    "fc_requant_sweep": fully_connected,
    "batch_matmul_int8": batch_matmul,
    "batch_matmul_int16": batch_matmul,
}.items():
    FAMILIES.add(_name, _builder)


def check_cmsis_depthwise_s8s4(path: Path) -> list[Row]:
    """Compare CMSIS-NN depthwise with 4-bit weights; cases that the README of the vectors rules out are counted in the note."""

    def skip(case: Case, producer: str) -> str:
        defect = case["dr"]["ndiff_tflm"] != 0
        return "not truth per README (CMSIS-NN defect: odd input channels, kernel over 1x1)" if defect else ""

    return check_single_op_file(path, skip)


CHECKS.add("cmsis_depthwise_s8s4", check_cmsis_depthwise_s8s4)
