"""top_k: the k largest (or smallest) elements along an axis in order, and their positions; of equals the first one comes first.

Integers are compared as they are: one scale keeps their order. Elements are copied as they are.
Source: TFLite topk_v2.cc, ONNX TopK. Constraints: (C1) 1 <= k <= size, (C2) positions are int32, int64 or int16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.ops._elementwise import normal_axis
from workbench.ops.base import DTYPES, Array, Counts, OpSpec, Run, Shape, Site, checked, register


@dataclass(frozen=True)
class TopKAttrs:
    """k: how many. axis: along which. largest: or the smallest ones. to: type of the positions."""

    k: int
    axis: int = -1
    largest: bool = True
    to: str = "int64"


def _infer(attrs: TopKAttrs, shapes: list[Shape]) -> list[Shape]:
    x = shapes[0]
    axis = normal_axis(attrs.axis, len(x), "top_k")
    if not 1 <= attrs.k <= x[axis] or attrs.to not in ("int16", "int32", "int64"):
        raise ModelError(
            f"top_k: {attrs.k} of {x[axis]} elements, positions as {attrs.to}; expected 1 to {x[axis]}, int32 or int64."
        )
    made = (*x[:axis], attrs.k, *x[axis + 1 :])
    return [made, made]


def _reference(attrs: TopKAttrs, args: list[Array]) -> list[Array]:
    x = args[0]
    axis = attrs.axis % x.ndim
    _infer(attrs, [x.shape])
    rank = (
        x if not attrs.largest else -x if x.dtype.kind not in "iub" else np.invert(x)
    )  # ~x: no overflow of the lowest integer
    order = np.argsort(rank, axis, kind="stable")
    at = np.take(order, np.arange(attrs.k), axis)
    return [np.take_along_axis(x, at, axis), at.astype(DTYPES[attrs.to])]


def _prepare(site: Site) -> Run:
    attrs: TopKAttrs = site.attrs
    _infer(attrs, [site.x.shape])
    if site.y.dtype != site.x.dtype or any(t.dtype != attrs.to or not t.is_plain for t in site.outputs[1:]):
        raise site.unsupported(f"values must have the type of the input, positions {attrs.to}.")

    def run(args: Sequence[Array]) -> list[Array]:
        made = _reference(attrs, [checked(site, args[0], site.x)])
        return [np.ascontiguousarray(y) for y in made[: len(site.outputs)]]

    return run


def _count(attrs: TopKAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    return Counts(elements=int(np.prod(inputs[0][1:], dtype=np.int64)))


TOP_K = register(
    OpSpec(
        name="top_k", attrs=TopKAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=_count,
        output_quant="input", plain=True, summary="the largest elements and their positions",
    )
)  # fmt: skip
