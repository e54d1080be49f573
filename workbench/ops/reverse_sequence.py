"""reverse_sequence: the first `lengths[n]` elements of every row in the opposite order (TFLite REVERSE_SEQUENCE, ONNX ReverseSequence).

y[n, t] = x[n, lengths[n] - 1 - t] for t < lengths[n], else x[n, t]; n along `batch_axis`, t along `axis`.
Constraints: (C1) two different axes, one length per row, (C2) 0 <= length <= size: checked for every batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.ops._elementwise import normal_axis
from workbench.ops._moves import copying
from workbench.ops.base import Array, OpSpec, Shape, count_outputs, register


@dataclass(frozen=True)
class ReverseSequenceAttrs:
    """axis: of the sequence. batch_axis: along which `lengths` has one entry each."""

    axis: int
    batch_axis: int = 0


def _infer(attrs: ReverseSequenceAttrs, shapes: list[Shape]) -> list[Shape]:
    x, lengths = shapes
    axis, batch = (normal_axis(a, len(x), "reverse_sequence") for a in (attrs.axis, attrs.batch_axis))
    if axis == batch or lengths != (x[batch],):
        raise ModelError(f"reverse_sequence: lengths {lengths} do not fit {x} along {axis} with one each of dimension {batch}.")
    return [x]


def _reference(attrs: ReverseSequenceAttrs, args: list[Array]) -> list[Array]:
    x, lengths = args
    _infer(attrs, [x.shape, lengths.shape])
    axis, batch = attrs.axis % x.ndim, attrs.batch_axis % x.ndim
    size = x.shape[axis]
    if lengths.dtype.kind not in "iu" or (lengths < 0).any() or (lengths > size).any():
        raise InputError(
            f"reverse_sequence: lengths {lengths.min()} to {lengths.max()} ({lengths.dtype}); expected 0 to {size}."
        )
    shape = [1] * x.ndim
    shape[axis] = size
    steps = np.arange(size).reshape(shape)
    shape[axis], shape[batch] = 1, x.shape[batch]
    ends = lengths.astype(np.int64).reshape(shape)
    at = np.where(steps < ends, ends - 1 - steps, steps)
    return [np.take_along_axis(x, np.broadcast_to(at, x.shape), axis)]


REVERSE_SEQUENCE = register(
    OpSpec(
        name="reverse_sequence", attrs=ReverseSequenceAttrs, infer_shape=_infer, reference=_reference,
        prepare=copying(_infer, _reference), count=count_outputs, output_quant="input", plain=True,
        summary="the beginning of every row in the opposite order",
    )
)  # fmt: skip
