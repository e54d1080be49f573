"""Translators of weights in blocks (com.microsoft): MatMulNBits and GatherBlockQuantized, whose weights become real numbers.

The runtime may quantize activations as it runs (accuracy_level 4) and sums in an order of its own: its outputs are near, not equal.
Source: ONNX Runtime docs/ContribOperators.md.
"""

from __future__ import annotations

import numpy as np

from workbench.graph.ir import Array
from workbench.loaders.onnx.call import Call, Operand, onnx_op
from workbench.loaders.onnx.file import CONTRIB
from workbench.loaders.onnx.fold_reference import bounded
from workbench.loaders.onnx.ops.matrix import contract
from workbench.loaders.onnx.values import Const

WIDTHS = (2, 4, 8)


@onnx_op(f"{CONTRIB}.MatMulNBits")
def translate_matmul_nbits(call: Call) -> list[Operand]:
    """MatMulNBits (A, B, scales, zero points, group index, bias): A [..., K] by B^T of packed weights [N, blocks, bytes]."""
    x, stored = call.value(0), call.const(1)
    depth, outputs, bits, block = (call.integer(name, 0) for name in ("K", "N", "bits", "block_size"))
    bits = bits or 4
    if bits not in WIDTHS or block < 16 or block & (block - 1) or min(depth, outputs) < 1:
        raise call.b.error(
            f"has {bits} bits, blocks of {block} and weights {outputs} x {depth}; expected {WIDTHS} bits, blocks of 16, 32, ..."
        )
    group = call.const(4)
    if (
        group is not None
        and group.array.size
        and not np.array_equal(group.array.reshape(-1)[:depth], np.arange(depth) // block)
    ):
        raise call.b.error(
            "has a group index that reorders its blocks (act_order), which is not supported. Quantize without it."
        )
    blocks = -(-depth // block)
    bounded([outputs, blocks * block])
    if stored is None or stored.array.dtype != np.uint8 or stored.array.size != outputs * blocks * (block * bits // 8):
        raise call.b.error(f"needs constant uint8 weights [{outputs}, {blocks}, {block * bits // 8}].")
    codes = _unpacked(stored.array.reshape(outputs, -1), bits).reshape(outputs, blocks, block)
    scales, zeros = _scales(call, outputs, blocks), _zeros(call, outputs, blocks, bits)
    real = ((codes.astype(np.float32) - zeros[..., None]) * scales[..., None]).reshape(outputs, -1)[:, :depth]
    w = Const(f"{stored.name}:{call.node.inputs[2]}", np.ascontiguousarray(real))
    bias = call.const(5)
    made = contract(call, x, x.rank - 1, w, w.array, "as is")
    return [made if bias is None else call.make("Add", made, bias)]


def _unpacked(packed: Array, bits: int) -> Array:
    """Return the codes of bytes along the last axis, lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return ((packed[..., None] >> shifts) & np.uint8(2**bits - 1)).reshape(*packed.shape[:-1], -1)


def _scales(call: Call, outputs: int, blocks: int) -> Array:
    found = call.const(2)
    if found is None or found.array.dtype.kind != "f" or found.array.size != outputs * blocks:
        raise call.b.error(f"needs constant float scales [{outputs}, {blocks}].")
    return found.array.reshape(outputs, blocks).astype(np.float32)


def _zeros(call: Call, outputs: int, blocks: int, bits: int) -> Array:
    """Return the zero points [outputs, blocks]: half of the range, floats, or packed like the weights."""
    found = call.const(3)
    if found is None:
        return np.full((outputs, blocks), 2.0 ** (bits - 1), np.float32)
    if found.array.dtype.kind == "f" and found.array.size == outputs * blocks:
        return found.array.reshape(outputs, blocks).astype(np.float32)
    width = -(-blocks * bits // 8)
    if found.array.dtype != np.uint8 or found.array.size != outputs * width:
        raise call.b.error(
            f"has zero points {found.array.dtype.name} {list(found.array.shape)}; expected uint8 [{outputs}, {width}]."
        )
    return _unpacked(found.array.reshape(outputs, width), bits)[:, :blocks].astype(np.float32)


@onnx_op(f"{CONTRIB}.GatherBlockQuantized")
def translate_gather_blocks(call: Call) -> list[Operand]:
    """GatherBlockQuantized (data, indices, scales, zero points): a Gather of the real numbers."""
    data, scales, zeros = call.const(0), call.const(2), call.const(3)
    if data is None or scales is None:
        raise call.b.error("needs constant data and scales.")
    bits = call.integer("bits", 4)
    if data.array.dtype == np.uint8 and bits not in (4, 8):
        raise call.b.error(f"has {bits} bits; expected 4 or 8.")
    packed = data.array.dtype == np.uint8 and bits == 4
    codes = (
        _unpacked(data.array, bits) if packed else data.array.astype(np.int8 if data.array.dtype.name == "int4" else np.uint8)
    )
    points = None
    if zeros is not None:
        points = _unpacked(zeros.array, bits) if packed else zeros.array.astype(codes.dtype)
        points = points[..., : scales.array.shape[-1]]
    elif data.array.dtype == np.uint8:  # bytes that hold codes; unsigned types of 4 bits count from 0
        points = np.full(scales.array.shape, 2 ** (bits - 1), np.uint8)
    attrs = {"axis": call.axis("quantize_axis", 1, codes.ndim), "block_size": call.integer("block_size", 128)}
    given = None if points is None else Const(f"{data.name}:zeros", np.asarray(points))
    real = call.make("DequantizeLinear", Const(f"{data.name}:codes", codes), scales, given, **attrs)
    return [call.make("Gather", real, call.operand(1), axis=call.integer("gather_axis", 0))]
