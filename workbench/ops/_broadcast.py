"""Two inputs broadcast to one shape: flat operands for the kernels, and where LiteRT's vector loops run over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.errors import InputError
from workbench.ops._elementwise import broadcast_shape
from workbench.ops._tables import tail_positions
from workbench.ops.base import DTYPES, Array, Run, Shape, Site

Compute = Callable[[Array, Array, Array], None]
"""(a, b, y to fill), flat and of equal size."""


def check_broadcast(site: Site) -> Shape:
    """Return the declared output shape; refuse shapes whose broadcast would mix samples."""
    a, b = site.input(0), site.input(1)
    shape = broadcast_shape([a.shape, b.shape], f"node '{site.name}'")
    if tuple(shape[1:]) != tuple(site.y.shape[1:]) or len(shape) != len(site.y.shape):
        raise site.unsupported(f"inputs {a.shape} and {b.shape} give {shape}, the output is declared {site.y.shape}.")
    for tensor in (a, b):
        aligned = len(tensor.shape) == len(shape)
        if not tensor.is_constant and not aligned:
            raise site.unsupported(f"'{tensor.name}' {tensor.shape} has fewer dimensions than {shape}: no common batch.")
    return shape


def spread(array: Array, shape: Shape) -> Array:
    """Return the array broadcast to a shape, contiguous (np.broadcast_to and a copy, in a fifth of their fixed time)."""
    if array.shape == shape:
        return array
    full = np.empty(shape, array.dtype)
    full[...] = array
    return full


def binary_run(site: Site, compute: Compute) -> Run:
    """Return a run that broadcasts both inputs and calls compute(a, b, y) on flat contiguous arrays."""
    declared = check_broadcast(site)
    tensors = (site.input(0), site.input(1))
    dtype = DTYPES[site.y.dtype]
    # What the run checks: type, first dimension (any for an activation) and the other dimensions.
    wants = [(DTYPES[t.dtype], t.shape[:1] if t.is_constant else None, t.shape[1:], len(t.shape)) for t in tensors]

    def run(args: Sequence[Array]) -> list[Array]:
        for array, (kind, first, rest, rank), tensor in zip(args, wants, tensors, strict=True):
            shape = array.shape
            if array.dtype != kind or len(shape) != rank or shape[1:] != rest or (first is not None and shape[:1] != first):
                raise InputError(f"node '{site.name}': '{tensor.name}' is {array.dtype} {array.shape}, not {tensor.shape}.")
        a, b = args
        if a.shape != b.shape:
            batch = {v.shape[0] for v in args if v.ndim == len(declared)} - {1} or {1}
            if len(batch) > 1:
                raise InputError(f"node '{site.name}': inputs have different numbers of samples: {a.shape} and {b.shape}.")
            shape = (*batch, *declared[1:])
            a, b = spread(a, shape), spread(b, shape)
        y = np.empty(a.shape, dtype)
        compute(np.ascontiguousarray(a).reshape(-1), np.ascontiguousarray(b).reshape(-1), y.reshape(-1))
        return [y]

    return run


def with_tail(body: Compute, tail: Compute, run: int, block: int) -> Compute:
    """Return what computes whole blocks of every `run` elements by `body` and what is left of each run by `tail`."""
    if run % block == 0:
        return body
    if run < block:
        return tail

    def compute(a: Array, b: Array, y: Array) -> None:
        body(a, b, y)
        at = tail_positions(y.size, run, block)
        rest = np.empty(at.size, y.dtype)
        tail(a[at], b[at], rest)
        y[at] = rest

    return compute


def vector_runs(a: Shape, b: Shape) -> tuple[int, bool] | None:
    """Return (elements per call of LiteRT's vector loop, whether one operand is a scalar there), or None for its slow path.

    Equal shapes are one run. Otherwise the innermost dimensions that agree are one run; when there are none, the
    innermost dimensions in which one operand is 1 are, with that operand as a scalar. Shapes that change the broadcast side
    more than once go to a loop without vectors. Source: ProcessBroadcastShapes, BinaryBroadcastFiveFold.
    """
    rank = max(len(a), len(b))
    left = [1] * (rank - len(a)) + list(a)
    right = [1] * (rank - len(b)) + list(b)
    if left == right:
        return max(1, int(np.prod(left, dtype=np.int64))), False
    differs = next(i for i in range(rank - 1, -1, -1) if left[i] != right[i])
    fast, other = (left, right) if left[differs] == 1 else (right, left)
    sizes = [1, 1, 1, 1, 1]
    i = rank - 1
    for k, agrees in ((4, "equal"), (3, "fast"), (2, "equal"), (1, "other"), (0, "equal")):
        while i >= 0 and ((agrees == "equal" and fast[i] == other[i]) or (agrees == "fast" and fast[i] == 1)
                          or (agrees == "other" and other[i] == 1)):  # fmt: skip
            sizes[k] *= max(fast[i], other[i])
            i -= 1
    if i >= 0:
        return None
    return (sizes[4], False) if sizes[4] > 1 else (sizes[3], True)
