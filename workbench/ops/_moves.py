"""What the operators share that only copy elements: bits are copied as they are, whatever their type means.

A reference that is exact for floats, integers and bools is the emulation too; what changes with the data (indices) is checked by
the reference itself while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.ops._elementwise import Reference
from workbench.ops.base import Array, Run, Shape, Site, checked

Infer = Callable[[Any, list[Shape]], list[Shape]]


def copying(infer: Infer, reference: Reference, values: Sequence[int] | None = (0,)) -> Callable[[Site], Run]:
    """Return the `prepare` of an operator whose outputs hold elements of its inputs `values` (None: of all), unchanged.

    The others are indices and conditions. Types are checked once, shapes for every batch.
    """

    def prepare(site: Site) -> Run:
        tensors = [site.input(i) for i in range(len(site.inputs))]
        for i in range(len(tensors)) if values is None else values:
            if any(tensors[i].dtype != y.dtype for y in site.outputs):
                raise site.unsupported("input and output must have the same type.")
        infer(site.attrs, [t.shape for t in tensors])

        def run(args: Sequence[Array]) -> list[Array]:
            arrays = [checked(site, a, t) for a, t in zip(args, tensors, strict=True)]
            try:
                made = reference(site.attrs, arrays)
            except (InputError, ModelError) as problem:
                raise InputError(f"node '{site.name}': {problem}") from None
            return [np.asarray(y, order="C") for y in made]

        return run

    return prepare


def checked_indices(indices: Array, size: int, from_end: bool, op: str) -> Array:
    """Return indices into a dimension as non-negative int64; InputError when one is outside.

    from_end: negative ones count from the end (ONNX); otherwise they are errors (TFLite).
    """
    found = indices.astype(np.int64)
    low = -size if from_end else 0
    bad = (found < low) | (found >= size)
    if bad.any():
        raise InputError(f"{op}: index {found[bad][0]} is outside of [{low}, {size - 1}].")
    return np.where(found < 0, found + size, found)
