"""A transposed convolution of floats by phases (`_phases`), each a product of the matrix unit over its own taps.

That is an assumption: libraries may do otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from workbench.ops._linear_float import prepare_convolution
from workbench.ops._phases import POINT, Line, Pair, cover, input_cut, input_part, phase_weights, phase_window
from workbench.ops.base import DTYPES, Array, Run, Site, checked


def prepare_phases(site: Site, rows: Sequence[Line], columns: Sequence[Line], size: Pair) -> Run:
    """Return the layer. rows, columns: its phases. size: of the output."""
    weights = site.input(1)
    if weights.data is None:
        raise site.unsupported("the weights must be a constant.")
    phases = [(_phase(site, weights.data, row, column), row, column) for row in rows for column in columns]
    nothing = None if cover(rows, size[0]) and cover(columns, size[1]) else _without_taps(site, weights.data)
    stride_h, stride_w = site.attrs.stride

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked(site, args[0], site.x)
        y = np.empty((len(x), *size, weights.shape[0]), DTYPES[site.y.dtype])
        if nothing is not None:
            y[:] = nothing
        for phase, row, column in phases:
            y[:, row.first :: stride_h, column.first :: stride_w] = phase(x)
        return [y]

    return run


def _phase(site: Site, weights: Array, row: Line, column: Line) -> Callable[[Array], Array]:
    window, w = phase_window(row, column), phase_weights(weights, row, column)
    cut = input_cut(window, site.x.shape)
    x = site.x if cut is None else replace(site.x, shape=(site.x.shape[0], *cut, site.x.shape[3]))
    inner = replace(site, inputs=(x, replace(site.input(1), data=w, shape=w.shape), *site.inputs[2:]))
    run = prepare_convolution(inner, window if cut is None else window._replace(top=0, left=0), site.attrs.groups)
    return lambda x: run([x if cut is None else input_part(x, window, cut, 0)])[0]


def _without_taps(site: Site, weights: Array) -> Array:
    """Return the output [1, 1, 1, O] of the bias alone."""
    x = np.zeros((1, 1, 1, site.x.shape[3]), DTYPES[site.x.dtype])
    w = np.zeros((len(weights), 1, 1, weights.shape[3]), weights.dtype)
    inner = replace(
        site, inputs=(replace(site.x, shape=x.shape), replace(site.input(1), data=w, shape=w.shape), *site.inputs[2:])
    )
    return prepare_convolution(inner, POINT, site.attrs.groups)([x])[0]
