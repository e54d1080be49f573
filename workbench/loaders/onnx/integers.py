"""Operands of integer operators: scales and zero points checked, unsigned integers as their signed twins.

Only differences to the zero point enter, so unsigned activations of b bits are stored as signed ones, 2^(b-1) lower together with
their zero point. Weights of unsigned bytes stay what they are: their zero point is their own, and some CPUs multiply them otherwise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import Call, Operand
from workbench.loaders.onnx.layout import Builder
from workbench.loaders.onnx.values import Const, Value
from workbench.tensor import STORAGE, QuantParams

TWINS: dict[str, tuple[str, int]] = {
    "int8": ("int8", 0), "uint8": ("int8", 128), "int16": ("int16", 0), "uint16": ("int16", 2**15),
    "int4": ("int4", 0), "uint4": ("int4", 8), "int2": ("int2", 0), "uint2": ("int2", 2),
}  # fmt: skip
"""Type of a file's integers -> (type in the graph, how much lower they are there)."""
BYTES = ("int8", "uint8")
FITS = "expected " + ", ".join(TWINS)


def scales_of(call: Call, i: int) -> Array:
    """Return the constant scales of input i as float32 [n], all finite and > 0."""
    const = call.const(i)
    if const is None or const.array.dtype.kind != "f" or const.array.ndim > 1 or not const.array.size:
        raise call.b.error(f"input {i} must be a constant scale, or one per channel.")
    with np.errstate(over="ignore"):
        scale = const.array.reshape(-1).astype(np.float32)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise call.b.error(f"input {i} ('{const.name}') has scales that are not finite and > 0.")
    return scale


def zeros_of(call: Call, i: int, count: int) -> tuple[Array, str]:
    """Return the zero points of input i as int64 [1] or [count], and their type ('' and 0 where there are none)."""
    const = call.const(i)
    if const is None:
        return np.zeros(1, np.int64), ""
    if const.array.dtype.name not in TWINS or const.array.ndim > 1 or const.array.size not in (1, count):
        found = f"{const.array.dtype.name} {list(const.array.shape)}"
        raise call.b.error(f"input {i} ('{const.name}') is a zero point of {found}; {FITS}, one or one per scale.")
    return const.array.reshape(-1).astype(np.int64), const.array.dtype.name


def params_of(call: Call, scale: int, zero: int, kind: str = "") -> tuple[str, QuantParams, str]:
    """Return type and scale in the graph of a tensor with one scale, and the type in the file.

    scale, zero: which inputs. kind: of the integers where there is no zero point.
    """
    scales = scales_of(call, scale)
    if len(scales) != 1:
        raise call.b.error(
            f"quantizes activations with {len(scales)} scales; expected one scale per tensor. Quantize activations per tensor."
        )
    zeros, stated = zeros_of(call, zero, 1)
    kind = stated or kind
    dtype, offset = TWINS[kind]
    return dtype, QuantParams(scales, zeros - offset), kind


def activation(call: Call, i: int, scale: int, zero: int) -> Operand:
    """Return input i as integers with their scale (inputs `scale` and `zero`), in the types of the graph."""
    x = call.operand(i)
    found = x.array.dtype.name if isinstance(x, Const) else call.b.dtype(x.key)
    dtype, quant, kind = params_of(call, scale, zero, found if found in TWINS else "uint8")
    if isinstance(x, Const):
        if found != kind:
            raise call.b.error(f"input {i} is {found}, its zero point {kind}.")
        offset = TWINS[kind][1]
        return Const(x.name, (x.array.astype(np.int32) - offset).astype(STORAGE[dtype]), quant, dtype)
    return scaled(call.b, x, dtype, quant, kind)


def scaled(b: Builder, x: Value, dtype: str, quant: QuantParams, kind: str) -> Value:
    """Return integers read with a scale. Plain ones (inputs of the graph) get it; others keep their bits where theirs differs."""
    tensor = b.tensors[x.key]
    if tensor.quant is None and tensor.dtype in BYTES:
        if tensor.dtype != kind:
            raise b.error(f"reads {tensor.dtype} with a zero point of {kind}.")
        _adopt(b, x.key, QuantParams(quant.scale, quant.zero_point + TWINS[kind][1]))
        tensor = b.tensors[x.key]
    if tensor.quant is not None and tensor.dtype == "uint8" == kind:
        return replace(x, key=_twin(b, x.key))
    if tensor.dtype != dtype or tensor.quant is None:
        raise b.error(f"reads {tensor.dtype} values; expected integers of type {kind}.")
    if tensor.quant == quant:
        return x
    return replace(x, key=b.emit("reshape", [x.key], main=False, dtype=dtype, quant=quant, shape=(-1, *tensor.shape[1:])))


def _adopt(b: Builder, key: int, quant: QuantParams) -> None:
    """Give plain bytes a scale, back to the input of the graph that they were moved from."""
    while True:
        tensor = b.tensors[key]
        b.tensors[key] = replace(tensor, quant=quant)
        maker = next((e for e in b.emitted if key in e.outputs), None)
        if maker is None:
            return
        source = maker.inputs[0]
        if (
            maker.op not in ("reshape", "transpose", "strided_slice")
            or source is None
            or b.tensors[source].dtype != tensor.dtype
        ):
            raise b.error(f"reads integers that {maker.op} made without a scale; expected those of a quantized operator.")
        if b.tensors[source].quant is not None:
            return
        key = source


def _twin(b: Builder, key: int) -> int:
    """Return the signed twin of unsigned bytes with a scale: made once."""
    cached = ("twin", key)
    if cached not in b.made:
        quant = b.tensors[key].quant
        assert quant is not None
        b.made[cached] = b.emit(
            "quantize", [key], moved=True, dtype="int8", quant=QuantParams(quant.scale, quant.zero_point - 128)
        )
    return b.made[cached]


def as_stored(b: Builder, key: int) -> int:
    """Return an output of the graph that the file states as unsigned bytes: the twin turned back."""
    tensor = b.tensors[key]
    if tensor.dtype != "int8" or tensor.quant is None:
        return key
    return b.emit(
        "quantize", [key], moved=True, dtype="uint8", quant=QuantParams(tensor.quant.scale, tensor.quant.zero_point + 128)
    )


def layer_weights(call: Call, i: int, scale: int, zero: int, channels: int) -> Const:
    """Return the constant weights of a layer (bytes) with one scale, or one per output channel.

    int8 with zero point 0 as they are; all others as unsigned bytes with their zero points.
    """
    w = call.const(i)
    if w is None or w.array.dtype.name not in BYTES:
        found = "computed" if w is None else w.array.dtype.name
        raise call.b.error(f"weights are {found}; expected constants of int8 or uint8.")
    scales = scales_of(call, scale)
    zeros, stated = zeros_of(call, zero, channels)
    if len(scales) not in (1, channels) or (stated and stated != w.array.dtype.name):
        raise call.b.error(
            f"has {len(scales)} scales and zero points of {stated} for {channels} channels of {w.array.dtype.name}."
        )
    many = max(len(scales), len(zeros))
    scales, zeros = np.broadcast_to(scales, (many,)).copy(), np.broadcast_to(zeros, (many,)).copy()
    axis = 0 if many > 1 else None
    if w.array.dtype == np.int8 and not zeros.any():
        return Const(w.name, w.array, QuantParams(scales, zeros, axis), "int8")
    if w.array.dtype == np.int8:
        raised = (w.array.astype(np.int16) + 128).astype(np.uint8)
        return Const(f"{w.name}:uint8", raised, QuantParams(scales, zeros + 128, axis), "uint8")
    return Const(w.name, w.array, QuantParams(scales, zeros, axis), "uint8")


def layer_bias(call: Call, i: int, x: Operand, weights: Const, channels: int) -> Const | None:
    """Return the constant int32 bias of a layer, in the scale of its products."""
    bias = call.const(i)
    if bias is None:
        return None
    if bias.array.dtype != np.int32 or bias.array.size != channels or bias.array.shape[-1:] != (channels,):
        raise call.b.error(f"bias is {bias.array.dtype.name} {list(bias.array.shape)}; expected int32 [{channels}].")
    own = x.quant if isinstance(x, Const) else call.b.tensors[x.key].quant
    assert own is not None and weights.quant is not None
    with np.errstate(over="ignore", under="ignore"):
        scale = np.maximum(own.scale[0] * weights.quant.scale, np.finfo(np.float32).tiny).astype(np.float32)
    quant = QuantParams(scale, np.zeros(len(scale), np.int64), weights.quant.axis)
    return Const(bias.name, bias.array.reshape(-1), quant, "int32")
