"""space_to_batch_nd, batch_to_space_nd: every k-th pixel as a sample of its own, and back; elements are copied as they are.

space_to_batch_nd: x is padded with zero (integers: their zero point), then
    y[(i_0 * B_1 + i_1 ...) * N + n, s_0, s_1, ..., c] = padded[n, s_0 * B_0 + i_0, s_1 * B_1 + i_1, ..., c].
batch_to_space_nd: the inverse, then `crops` elements are cut off both ends. Both change the number of samples.
Source: TFLite space_to_batch_nd.h, batch_to_space_nd.h. Constraints: (C1) one block >= 1 and one pair >= 0 per spatial dimension, which
follow the batch, (C2) the sizes divide, something is left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.ops._elementwise import quant_of, same_quantization
from workbench.ops._moves import copying
from workbench.ops.base import Array, OpSpec, Run, Shape, Site, count_outputs, register

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class SpaceToBatchAttrs:
    """block: per spatial dimension. paddings: (before, after) each."""

    block: tuple[int, ...]
    paddings: Pairs


@dataclass(frozen=True)
class BatchToSpaceAttrs:
    """block: per spatial dimension. crops: (before, after) each."""

    block: tuple[int, ...]
    crops: Pairs


def _check(op: str, block: tuple[int, ...], pairs: Pairs, shape: Shape) -> None:
    fits = len(pairs) == len(block) < len(shape) and all(b >= 1 for b in block)
    if not fits or any(len(p) != 2 or min(p) < 0 for p in pairs):
        raise ModelError(f"{op}: blocks {block} and {pairs} do not fit the shape {shape}.")


def _infer_batch(attrs: SpaceToBatchAttrs, shapes: list[Shape]) -> list[Shape]:
    x, m = shapes[0], len(attrs.block)
    _check("space_to_batch_nd", attrs.block, attrs.paddings, x)
    padded = [d + before + after for d, (before, after) in zip(x[1 : m + 1], attrs.paddings, strict=True)]
    if any(d % b for d, b in zip(padded, attrs.block, strict=True)):
        raise ModelError(f"space_to_batch_nd: {x} padded to {padded} does not divide into blocks {attrs.block}.")
    return [(x[0] * math.prod(attrs.block), *(d // b for d, b in zip(padded, attrs.block, strict=True)), *x[m + 1 :])]


def _to_batch(attrs: SpaceToBatchAttrs, x: Array, zero: int) -> Array:
    m = len(attrs.block)
    shape = _infer_batch(attrs, [x.shape])[0]
    pairs = ((0, 0), *attrs.paddings, *((0, 0),) * (x.ndim - m - 1))
    padded = np.full([d + sum(p) for d, p in zip(x.shape, pairs, strict=True)], zero, x.dtype)
    padded[tuple(slice(p[0], p[0] + d) for d, p in zip(x.shape, pairs, strict=True))] = x
    split = padded.reshape(x.shape[0], *(v for i, b in enumerate(attrs.block) for v in (shape[i + 1], b)), *x.shape[m + 1 :])
    order = (*range(2, 2 * m + 1, 2), 0, *range(1, 2 * m, 2), *range(2 * m + 1, split.ndim))
    return split.transpose(order).reshape(shape)


def _reference_batch(attrs: SpaceToBatchAttrs, args: list[Array]) -> list[Array]:
    return [_to_batch(attrs, args[0], 0)]


def _infer_space(attrs: BatchToSpaceAttrs, shapes: list[Shape]) -> list[Shape]:
    x, m = shapes[0], len(attrs.block)
    _check("batch_to_space_nd", attrs.block, attrs.crops, x)
    sizes = [d * b - sum(crop) for d, b, crop in zip(x[1 : m + 1], attrs.block, attrs.crops, strict=True)]
    if x[0] % math.prod(attrs.block) or any(s < 1 for s in sizes):
        raise ModelError(f"batch_to_space_nd: blocks {attrs.block} and crops {attrs.crops} do not fit the shape {x}.")
    return [(x[0] // math.prod(attrs.block), *sizes, *x[m + 1 :])]


def _to_space(attrs: BatchToSpaceAttrs, args: list[Array]) -> list[Array]:
    x, m = args[0], len(attrs.block)
    shape = _infer_space(attrs, [x.shape])[0]
    split = x.reshape(*attrs.block, shape[0], *x.shape[1:])
    order = (m, *(v for i in range(m) for v in (m + 1 + i, i)), *range(2 * m + 1, split.ndim))
    whole = split.transpose(order).reshape(
        shape[0], *(d * b for d, b in zip(x.shape[1:], attrs.block, strict=False)), *x.shape[m + 1 :]
    )
    return [whole[(slice(None), *(slice(c[0], c[0] + d) for c, d in zip(attrs.crops, shape[1:], strict=False)))]]


def _prepare_batch(site: Site) -> Run:
    zero = 0
    if site.y.quant is not None:
        same_quantization(site, site.x, site.y)
        zero = quant_of(site, site.y)[1]
    return copying(_infer_batch, lambda attrs, args: [_to_batch(attrs, args[0], zero)])(site)


SPACE_TO_BATCH_ND = register(
    OpSpec(
        name="space_to_batch_nd", attrs=SpaceToBatchAttrs, infer_shape=_infer_batch, reference=_reference_batch,
        prepare=_prepare_batch, count=count_outputs, output_quant="input", plain=True, summary="every k-th pixel as a sample",
    )
)  # fmt: skip
BATCH_TO_SPACE_ND = register(
    OpSpec(
        name="batch_to_space_nd", attrs=BatchToSpaceAttrs, infer_shape=_infer_space, reference=_to_space,
        prepare=copying(_infer_space, _to_space), count=count_outputs, output_quant="input", plain=True,
        summary="samples as every k-th pixel",
    )
)  # fmt: skip
