"""select: x where the condition holds, else y, with broadcasting; elements are copied as they are (TFLite SELECT_V2, ONNX Where).

Constraints: (C1) the condition is bool, x, y and the output have one type, (C2) shapes broadcast, (C3) a constant of one row serves
every sample.
"""

from __future__ import annotations

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.ops._moves import copying
from workbench.ops.base import Array, NoAttrs, OpSpec, Shape, count_outputs, register


def _infer(attrs: NoAttrs, shapes: list[Shape]) -> list[Shape]:
    try:
        return [tuple(np.broadcast_shapes(*shapes))]
    except ValueError:
        raise ModelError(f"select: shapes {', '.join(map(str, shapes))} cannot be broadcast.") from None


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    condition, x, y = args
    if condition.dtype != np.bool_:
        raise InputError(f"select: the condition is {condition.dtype}; expected bool.")
    _infer(attrs, [a.shape for a in args])
    return [np.where(condition, x, y)]


SELECT = register(
    OpSpec(
        name="select", attrs=NoAttrs, infer_shape=_infer, reference=_reference, prepare=copying(_infer, _reference, (1, 2)),
        count=count_outputs, output_quant="shared", plain=True, summary="one of two by a condition, with broadcasting",
    )
)  # fmt: skip
