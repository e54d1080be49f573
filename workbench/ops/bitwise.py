"""bitwise_or and bitwise_xor of integers, NumPy broadcasting: the bits as they are stored, no arithmetic.

Source: ONNX BitwiseOr, BitwiseXor; MAX78000 element-wise `or`, `xor`. Constraints: (C1) all tensors of one integer type and, where they
have scales, of one scale and zero point: bits of numbers in different units have nothing in common. Reals have no such operation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.ops._broadcast import binary_run
from workbench.ops._elementwise import broadcast_shape, same_quantization, same_types
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Shape, Site, count_outputs, register


def _infer(attrs: NoAttrs, shapes: list[Shape]) -> list[Shape]:
    return [broadcast_shape(shapes[:2], "bitwise operator")]


def _register(name: str, function: Any, summary: str) -> OpSpec:
    def reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
        if any(a.dtype.kind not in "iu" for a in args):
            raise ModelError(f"{name}: the operands must be integers; real numbers have no bits to combine.")
        return [function(args[0], args[1])]

    def prepare(site: Site) -> Run:
        same_types(site)
        for tensor in (site.input(0), site.input(1)):
            same_quantization(site, tensor, site.y)

        def compute(a: Array, b: Array, y: Array) -> None:
            function(a, b, out=y)

        return binary_run(site, compute)

    return register(
        OpSpec(
            name=name, attrs=NoAttrs, infer_shape=_infer, reference=reference, prepare=prepare, count=count_outputs,
            output_quant="shared", summary=summary,
        )
    )  # fmt: skip


BITWISE_OR = _register("bitwise_or", np.bitwise_or, "a | b of integers, with broadcasting")
BITWISE_XOR = _register("bitwise_xor", np.bitwise_xor, "a ^ b of integers, with broadcasting")
