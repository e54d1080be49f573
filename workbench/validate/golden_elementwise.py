"""Golden families of the operators without weights: one builder each, field names as in the JSON beside the vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.graph.ir import Array, Graph, Tensor
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.leaky_relu import LeakyReluAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.tensor import QuantParams
from workbench.validate.golden_base import FAMILIES, CaseBuilder, single_op

Case = Mapping[str, Any]
Arrays = Mapping[str, Array]
Built = tuple[Graph, dict[str, Array]]


def _tensor(name: str, array_shape: tuple[int, ...], dtype: str, scale: float | None, zero_point: int = 0) -> Tensor:
    quant = None if scale is None else QuantParams.per_tensor(scale, zero_point)
    return Tensor(name, array_shape, dtype, quant)


def _binary(op: str) -> CaseBuilder:
    def build(case: Case, arrays: Arrays) -> Built:
        attrs = BinaryAttrs(case["activation"], case["pot_scale_int16"])
        inputs, feed = [], {}
        rank = max(arrays["a"].ndim, arrays["b"].ndim)
        for name in ("a", "b"):
            x = arrays[name].reshape((1,) * (rank - arrays[name].ndim) + arrays[name].shape)
            inputs.append(_tensor(name, x.shape, case["dtype"], case[f"{name}_scale"], case[f"{name}_zp"]))
            feed[name] = x
        shape = tuple(max(d, e) for d, e in zip(inputs[0].shape, inputs[1].shape, strict=True))
        y = _tensor("y", shape, case["dtype"], case["y_scale"], case["y_zp"])
        return single_op(op, attrs, [*inputs], y), feed

    return build


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return (before, after) of TFLite's SAME padding."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def _pool(op: str) -> CaseBuilder:
    def build(case: Case, arrays: Arrays) -> Built:
        x = arrays["x"]
        pads = ((0, 0), (0, 0))
        if case["padding"] == "SAME":
            h, w = (_same_padding(x.shape[i + 1], case["filter"][i], case["stride"][i]) for i in (0, 1))
            pads = (h, w)
        (top, bottom), (left, right) = pads
        attrs = PoolAttrs(tuple(case["filter"]), tuple(case["stride"]), (top, left, bottom, right), case["activation"])
        inputs = _tensor("x", x.shape, case["dtype"], case["scale"], case["zp"])
        return single_op(op, attrs, [inputs], _tensor("y", (), case["dtype"], case["scale"], case["zp"])), {"x": x}

    return build


def _mean(case: Case, arrays: Arrays) -> Built:
    x = arrays["x"]
    attrs = MeanAttrs(tuple(a % x.ndim for a in case["axes"]), case["keep_dims"])
    inputs = _tensor("x", x.shape, case["dtype"], case["x_scale"], case["x_zp"])
    return single_op("mean", attrs, [inputs], _tensor("y", (), case["dtype"], case["y_scale"], case["y_zp"])), {"x": x}


def _unary(op: str, attrs_of: Any) -> CaseBuilder:
    def build(case: Case, arrays: Arrays) -> Built:
        x = arrays["x"]
        x_dtype = case.get("x_dtype", "float32")
        inputs = _tensor("x", x.shape, x_dtype, case.get("x_scale"), case.get("x_zp", 0))
        y = _tensor("y", x.shape, case["y_dtype"], case["y_scale"], case["y_zp"])
        return single_op(op, attrs_of(case), [inputs], y), {"x": x}

    return build


for _op in ("add", "sub", "mul"):
    for _dtype in ("int8", "int16"):
        FAMILIES.add(f"{_op}_{_dtype}", _binary(_op))
for _dtype in ("int8", "int16"):
    FAMILIES.add(f"avgpool_{_dtype}", _pool("avg_pool2d"))
    FAMILIES.add(f"maxpool_{_dtype}", _pool("max_pool2d"))
    FAMILIES.add(f"mean_{_dtype}", _mean)
    FAMILIES.add(f"logistic_{_dtype}", _unary("logistic", lambda case: NoAttrs()))
    FAMILIES.add(f"tanh_{_dtype}", _unary("tanh", lambda case: NoAttrs()))
    FAMILIES.add(f"relu_{_dtype}", _unary("relu", lambda case: ReluAttrs()))
    FAMILIES.add(f"relu6_{_dtype}", _unary("relu", lambda case: ReluAttrs(0.0, 6.0)))
    FAMILIES.add(f"leaky_relu_{_dtype}", _unary("leaky_relu", lambda case: LeakyReluAttrs(case["alpha"])))
    FAMILIES.add(f"quantize_f32_{_dtype}", _unary("quantize", lambda case: NoAttrs()))
    for _other in ("int8", "int16"):
        FAMILIES.add(f"requantize_{_dtype}_{_other}", _unary("quantize", lambda case: NoAttrs()))
FAMILIES.add("hard_swish_int8", _unary("hard_swish", lambda case: NoAttrs()))
for _pair in ("int8_int8", "int8_int16", "int16_int16"):
    FAMILIES.add(f"softmax_{_pair}", _unary("softmax", lambda case: SoftmaxAttrs(case["beta"])))
