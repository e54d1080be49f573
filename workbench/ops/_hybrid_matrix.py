"""batch_matmul of float32 rows, quantized as they are read, by constant integers. Rules: `ops/_hybrid.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.ops._hybrid import rule_of, stored_weights
from workbench.ops._hybrid_levels import F32, quantize_groups
from workbench.ops.base import Array, Run, Site, checked

MOST_BATCHES = 2
"""Batch dimensions of constant weights: with three LiteRT reads sums of weights that it did not make."""


def prepare_matrix(site: Site) -> Run:
    """Return x [..., M, K] float32 by constant weights [..., K, N]; every row of x is a group.

    y = float32(acc) * (sw * sx)        LiteRT; XNNPACK: (float32(acc) * sx) * sw
    """
    attrs = site.attrs
    rule, scale, stored = rule_of(site, asymmetric=attrs.asymmetric), site.input(1).quant, stored_weights(site)
    assert scale is not None
    if len(stored.shape) - 2 > MOST_BATCHES:
        raise site.unsupported(f"weights under float32 activations have at most {MOST_BATCHES + 2} dimensions.")
    columns = (stored if attrs.adj_y else np.swapaxes(stored, -1, -2)).astype(np.float64)
    if len(scale.scale) not in (1, columns.shape[-2]):
        raise site.unsupported(f"expected 1 or {columns.shape[-2]} weight scales.")
    sums = columns.sum(axis=-1).astype(np.float32)

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        rows = np.ascontiguousarray(np.swapaxes(x, -1, -2)) if attrs.adj_x else x
        q, inputs, zero = quantize_groups(rows.reshape(-1, rows.shape[-1]), rule.levels)
        acc = np.matmul(q.reshape(rows.shape).astype(np.float64), np.swapaxes(columns, -1, -2))  # exact: far below 2**53
        lead = acc.shape[:-2]
        with np.errstate(all="ignore"):
            if rule.order == "fused":
                return [(_narrow(acc) * inputs.reshape(*rows.shape[:-1], 1)) * scale.scale]
            sx, zx = (_rows(v, lead, rows.shape) for v in (inputs, zero))
            own = zero.reshape(*rows.shape[:-1], 1) * sums[..., None, :].astype(np.float64)
            share = _rows(sums, lead, columns.shape)
            return [_narrow(_less_share(acc + own, zx[..., None], share[..., None, :])) * (scale.scale * sx[..., None])]

    return run


def _narrow(acc: Array) -> F32:
    """Return sums as float32, from an int32 that wraps."""
    return acc.astype(np.int64).astype(np.int32).astype(np.float32)


def _less_share(acc: Array, zero: F32, sums: F32) -> Array:
    """Return sums of q * w less those of zero * w as LiteRT's batch matmul does: in float32, which holds 24 bits, then an integer."""
    return np.trunc(acc.astype(np.float32) - sums * zero)


def _rows(values: F32, lead: tuple[int, ...], shape: tuple[int, ...]) -> F32:
    """Return values (one per row of matrices `shape`) for every batch of `lead`, [*lead, rows], as LiteRT finds them.

    It steps by one matrix in every batch dimension, whatever lies inside: batch (i, j) reads the values of matrix i + j.
    """
    steps = [n > 1 for n in shape[:-2]]
    index = np.zeros(lead, np.int64)
    for step, axis in zip(steps[::-1], reversed(range(len(lead))), strict=False):
        index += np.arange(lead[axis]).reshape(-1, *[1] * (len(lead) - axis - 1)) * step
    return values.reshape(-1, shape[-2])[index]
