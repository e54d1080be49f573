"""bitwise_and, bitwise_or, bitwise_xor and shifts of integers, NumPy broadcasting: the bits as they are stored, no arithmetic.

A shift to the right keeps the sign; counts are clipped to what the type has (0 to bits - 1). Shifts are for integers without a scale.
Source: ONNX BitwiseAnd, BitwiseOr, BitwiseXor; MAX78000 element-wise `or`, `xor`; TFLite bitwise_xor.cc, right_shift.cc.
Constraints: (C1) all tensors of one integer type and, where they have scales, of one scale and zero point: bits of numbers in different
units have nothing in common. Reals have no such operation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.errors import ModelError
from workbench.ops._binary import infer_two
from workbench.ops._broadcast import binary_run
from workbench.ops._elementwise import same_quantization, same_types
from workbench.ops._plain import Function, is_plain, plain_binary
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register


def _register(name: str, function: Function, summary: str, stored: Callable[[Site], None] | None) -> OpSpec:
    """Register an operator. stored: checks integers with scales, whose bits are combined too; None: they are refused."""

    def reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
        if any(a.dtype.kind not in "iu" for a in args):
            raise ModelError(f"{name}: the operands must be integers; real numbers have no bits to combine.")
        return [function(args[0], args[1])]

    def prepare(site: Site) -> Run:
        if is_plain(site):
            return plain_binary(site, function)
        if stored is None:
            raise site.unsupported("integers with scales have no shifts.")
        stored(site)

        def compute(a: Array, b: Array, y: Array) -> None:
            y[:] = function(a, b)

        return binary_run(site, compute)

    return register(
        OpSpec(
            name=name, attrs=NoAttrs, infer_shape=infer_two, reference=reference, prepare=prepare, count=count_outputs,
            output_quant="shared", plain=True, summary=summary,
        )
    )  # fmt: skip


def _one_unit(site: Site) -> None:
    same_types(site)
    for tensor in (site.input(0), site.input(1)):
        same_quantization(site, tensor, site.y)


def _right(a: Array, b: Array) -> Array:
    return np.asarray(np.right_shift(a, np.clip(b, 0, 8 * a.dtype.itemsize - 1)))


def _left(a: Array, b: Array) -> Array:
    return np.asarray(np.left_shift(a, np.clip(b, 0, 8 * a.dtype.itemsize - 1)))


BITWISE_AND = _register("bitwise_and", np.bitwise_and, "a & b of integers, with broadcasting", _one_unit)
BITWISE_OR = _register("bitwise_or", np.bitwise_or, "a | b of integers, with broadcasting", _one_unit)
BITWISE_XOR = _register("bitwise_xor", np.bitwise_xor, "a ^ b of integers, with broadcasting", _one_unit)
RIGHT_SHIFT = _register("right_shift", _right, "a >> b of integers without scales", None)
LEFT_SHIFT = _register("left_shift", _left, "a << b of integers without scales", None)
