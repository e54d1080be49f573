"""Two inputs broadcast to one shape: flat operands for the kernels, and where LiteRT's vector loops run over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.errors import InputError
from workbench.ops._elementwise import broadcast_shape
from workbench.ops.base import Array, Run, Shape, Site
from workbench.tensor import STORAGE


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


def binary_run(site: Site, compute: Callable[[Array, Array, Array], None]) -> Run:
    """Return a run that broadcasts both inputs and calls compute(a, b, y) on flat contiguous arrays."""
    check_broadcast(site)
    tensors = (site.input(0), site.input(1))
    dtype = STORAGE[site.y.dtype]

    def run(args: Sequence[Array]) -> list[Array]:
        for array, tensor in zip(args, tensors, strict=True):
            fits = array.shape == tensor.shape if tensor.is_constant else array.shape[1:] == tensor.shape[1:]
            if array.dtype != STORAGE[tensor.dtype] or array.ndim != len(tensor.shape) or not fits:
                raise InputError(f"node '{site.name}': '{tensor.name}' is {array.dtype} {array.shape}, not {tensor.shape}.")
        shape = broadcast_shape([args[0].shape, args[1].shape], f"node '{site.name}'")
        y = np.empty(shape, dtype)
        a, b = (np.ascontiguousarray(np.broadcast_to(v, shape)).reshape(-1) for v in args)
        compute(a, b, y.reshape(-1))
        return [y]

    return run


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
