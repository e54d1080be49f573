"""Golden families of the table functions, sum, transposed convolution and LSTM; field names as in the JSON beside the vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.graph.ir import Array, Graph, Tensor
from workbench.ops.base import NoAttrs
from workbench.ops.elu import EluAttrs
from workbench.ops.gelu import GeluAttrs
from workbench.ops.log_softmax import LogSoftmaxAttrs
from workbench.ops.lstm import LstmAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.transpose_conv2d import TransposeConv2dAttrs
from workbench.tensor import QuantParams
from workbench.validate.golden_base import FAMILIES, CaseBuilder, single_op
from workbench.validate.golden_linear import bias_of, weights_of

Case = Mapping[str, Any]
Arrays = Mapping[str, Array]
Built = tuple[Graph, dict[str, Array]]
GATES = "ifco"
"""Order of the LSTM's gates in the files and in the operator."""


def _tensor(name: str, shape: tuple[int, ...], dtype: str, scale: float, zero_point: int) -> Tensor:
    return Tensor(name, shape, dtype, QuantParams.per_tensor(scale, zero_point))


def _unary(op: str, attrs_of: Any) -> CaseBuilder:
    def build(case: Case, arrays: Arrays) -> Built:
        shape = arrays["x"].shape
        x = _tensor("x", shape, case["x_dtype"], case["x_scale"], case["x_zp"])
        y = _tensor("y", shape, case["y_dtype"], case["y_scale"], case["y_zp"])
        return single_op(op, attrs_of(case), [x], y), {"x": arrays["x"]}

    return build


def _sum(case: Case, arrays: Arrays) -> Built:
    x = arrays["x"]
    attrs = MeanAttrs(tuple(a % x.ndim for a in case["axes"]), case["keep_dims"])
    inputs = _tensor("x", x.shape, case["dtype"], case["x_scale"], case["x_zp"])
    return single_op("sum", attrs, [inputs], _tensor("y", (), case["dtype"], case["y_scale"], case["y_zp"])), {"x": x}


def _transpose_conv(case: Case, arrays: Arrays) -> Built:
    """SAME: output = input * stride; VALID: all that the kernel reaches."""
    x, w = arrays["x"], arrays["w"]
    same = case["padding"] == "SAME"
    pads, extra = [], []
    for kernel, stride in zip(w.shape[1:3], case["stride"], strict=True):
        beyond = kernel - stride if same else 0
        cut = max(beyond, 0)
        pads.append((cut // 2, cut - cut // 2))
        extra.append(max(-beyond, 0))
    (top, bottom), (left, right) = pads
    attrs = TransposeConv2dAttrs(
        tuple(case["stride"]),
        (1, 1),
        (top, left, bottom, right),
        (extra[0], extra[1]),
        activation=case["activation"],
        same=same,
    )
    inputs = [_tensor("x", x.shape, case["x_dtype"], case["x_scale"], case["x_zp"]), weights_of(case, arrays, 0)]
    y = _tensor("y", (), case["x_dtype"], case["y_scale"], case["y_zp"])
    return single_op("transpose_conv2d", attrs, [*inputs, bias_of(case, arrays, len(w))], y), {"x": x}


def _lstm(case: Case, arrays: Arrays) -> Built:
    x = arrays["x"]
    units = arrays["w_rec_i"].shape[1]

    def stacked(name: str, kind: str, scales: str) -> Tensor:
        data = np.concatenate([arrays[f"{kind}_{gate}"] for gate in GATES])
        scale = np.repeat(np.array(case[scales], np.float32), units)
        return Tensor(name, data.shape, "int8", QuantParams.per_channel(scale, 0), data)

    bias = np.concatenate([arrays[f"b_{gate}"] for gate in GATES])
    attrs = LstmAttrs(case["time_major"], case["cell_clip"], case["cell_scale_log2"], case["hidden_scale"], case["hidden_zp"])
    inputs = [
        _tensor("x", x.shape, "int8", case["x_scale"], case["x_zp"]),
        stacked("w", "w_in", "w_in_scales"),
        Tensor("b", bias.shape, "int32", None, bias),
        stacked("r", "w_rec", "w_rec_scales"),
    ]
    return single_op("lstm", attrs, [*inputs], _tensor("y", (), "int8", case["h_scale"], case["h_zp"])), {"x": x}


for _dtype in ("int8", "int16"):
    FAMILIES.add(f"exp_{_dtype}", _unary("exp", lambda case: NoAttrs()))
    FAMILIES.add(f"gelu_{_dtype}", _unary("gelu", lambda case: GeluAttrs(case["approximate"])))
    FAMILIES.add(f"rsqrt_{_dtype}", _unary("rsqrt", lambda case: NoAttrs()))
    FAMILIES.add(f"sum_{_dtype}", _sum)
FAMILIES.add("elu_int8", _unary("elu", lambda case: EluAttrs()))
FAMILIES.add("log_int8", _unary("log", lambda case: NoAttrs()))
FAMILIES.add("log_softmax_int8", _unary("log_softmax", lambda case: LogSoftmaxAttrs()))
FAMILIES.add("transpose_conv_s8", _transpose_conv)
FAMILIES.add("transpose_conv_s16s8", _transpose_conv)
FAMILIES.add("lstm_int8x16", _lstm)
