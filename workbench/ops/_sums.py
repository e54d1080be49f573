"""What mean and sum share: integers summed over axes. Those without a scale: `run_plain`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from workbench.kernels.mean import sum_middle
from workbench.ops._plain import plain_type
from workbench.ops.base import Array, Run, Shape, Site, checked


def middle(x: Array, axes: tuple[int, ...]) -> Array:
    """Return x as contiguous [outer, reduced, inner]; adjacent axes are not moved, others become the last ones."""
    axes = tuple(sorted(axes))
    first, last = axes[0], axes[-1] + 1
    if axes != tuple(range(first, last)):
        kept = [i for i in range(x.ndim) if i not in axes]
        x = x.transpose(*kept, *axes)
        first, last = len(kept), x.ndim
    outer, reduced, inner = (math.prod(part) for part in (x.shape[:first], x.shape[first:last], x.shape[last:]))
    return np.ascontiguousarray(x).reshape(outer, reduced, inner)


def checked_rows(site: Site, x: Array) -> Array:
    """Return the input checked: where the batch is summed too, it must be the declared one. site.attrs: MeanAttrs."""
    x = checked(site, x, site.x)
    if 0 in site.attrs.axes and x.shape[0] != site.x.shape[0]:
        raise site.unsupported(f"the {site.op} goes over the batch, which is {site.x.shape[0]}, not {x.shape[0]}.")
    return x


def run_plain(site: Site, reference: Callable[..., list[Array]]) -> Run:
    """Return the run of a reduction of integers without a scale, which is its reference."""
    plain_type(site)
    return lambda args: [np.ascontiguousarray(reference(site.attrs, [checked_rows(site, args[0])])[0])]


def run_sums(
    site: Site, axes: tuple[int, ...], shape: Shape, sums_of: Callable[[Array], Array], finish: Callable[[Array], Array]
) -> Run:
    """Return finish(sums_of(x as [outer, reduced, inner])) in the shape of the output, for any batch that is not summed itself.

    shape: of the output for one sample. sums_of: `sum_parts`, or one that corrects them.
    """

    def run(args: Sequence[Array]) -> list[Array]:
        x = checked_rows(site, args[0])
        found = finish(sums_of(middle(x, axes)))
        return [found.reshape(shape if 0 in axes else (len(x), *shape[1:]))]

    return run


def sum_parts(parts: Array) -> Array:
    """Return int32 [outer, inner]: the sums over the middle axis, wrapping."""
    found = np.empty((parts.shape[0], parts.shape[2]), np.int32)
    sum_middle(parts, found)
    return found
