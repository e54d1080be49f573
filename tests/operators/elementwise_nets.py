"""Networks of one operator on one or two inputs, for the cases of elementwise operators, comparisons and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.operators.case import Case, rng

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Quant = tuple[float, int] | None
SAMPLES = 2
"""Declared batches that every case runs."""


def port(shape: Shape, dtype: str, name: str, quant: Quant = None) -> T:
    """Return an activation; quant: (scale, zero point)."""
    more: dict[str, Any] = {} if quant is None else {"scale": [quant[0]], "zero": [quant[1]]}
    return T(shape, np.dtype(dtype), name, **more)


def numbers(seed: Any, shape: Shape, dtype: str, low: float | None = None, high: float | None = None) -> Array:
    """Return random values of a type between limits (by default: all bytes, 1000 * all int16, small integers, about +-3)."""
    r = rng(*seed)
    if dtype == "bool":  # high: how likely True is
        return r.integers(0, 2, shape).astype(np.bool_) if high is None else r.uniform(size=shape) < high
    if dtype == "float32":
        return r.uniform(-3.0 if low is None else low, 3.0 if high is None else high, shape).astype(np.float32)
    limits = {"int8": (-128, 127), "int16": (-32768, 32767), "uint8": (0, 255)}.get(dtype, (-1000, 1000))
    first, last = (int(d if v is None else v) for v, d in zip((low, high), limits, strict=True))
    return r.integers(first, last, shape, endpoint=True).astype(dtype)


def unary(
    kind: str, dtype: str, shape: Shape, oracles: Sequence[str], x: Quant = None, y: Quant = None, out: str | None = None,
    options: tuple[str, dict[str, Any]] | None = None, limits: tuple[float | None, float | None] = (None, None), name: str = "",
    tolerance: float = 1e-5,
) -> Case:  # fmt: skip
    """Return a case of one input and one output of equal shapes."""

    def model() -> bytes:
        tensors = [port(shape, dtype, "x", x), port(shape, out or dtype, "y", y)]
        return Net(tensors, [Op(kind, [0], [1], options)]).bytes()

    def feeds() -> list[Array]:
        return [numbers((kind, dtype, *shape), (SAMPLES * shape[0], *shape[1:]), dtype, *limits)]

    label = name or "x".join(map(str, shape))
    return Case(kind, "tflite", dtype, label, model, feeds, tuple(oracles), tolerance)


def binary(
    kind: str, dtype: str, a: Shape, b: Shape, oracles: Sequence[str], quants: tuple[Quant, Quant, Quant] = (None, None, None),
    out: str | None = None, options: tuple[str, dict[str, Any]] | None = None, constant: str = "",
    limits: Sequence[tuple[float | None, float | None]] = ((None, None), (None, None)), name: str = "", tolerance: float = 1e-5,
    avoid: int | None = None, second: str | None = None, whole: bool = False,
) -> Case:  # fmt: skip
    """Return a case of two inputs with broadcasting. constant: a or b. avoid: what b must not have. second: type of b.

    whole: floats are whole numbers, of which many are equal.
    """
    shape, types = tuple(np.broadcast_shapes(a, b)), (dtype, second or dtype)
    label = name or " ".join([f"{'x'.join(map(str, a)) or 'scalar'} {'x'.join(map(str, b)) or 'scalar'}", *constant])

    def values(which: int) -> Array:
        size = (a, b)[which]
        rows = size if "ab"[which] == constant or not size else (SAMPLES * size[0], *size[1:])
        found = numbers((kind, dtype, which, *a, *b), rows, types[which], *limits[which])
        found = np.rint(found).astype(found.dtype) if whole else found
        return np.where(found == avoid, found + 1, found).astype(found.dtype) if which and avoid is not None else found

    def model() -> bytes:
        tensors = []
        for which, size in enumerate((a, b)):
            tensor = port(size, types[which], "ab"[which], quants[which])
            if "ab"[which] == constant:
                tensor.data = values(which)
            tensors.append(tensor)
        tensors.append(port(shape, out or dtype, "y", quants[2]))
        inputs = [i for i in (0, 1) if "ab"[i] != constant]
        return Net(tensors, [Op(kind, [0, 1], [2], options)], inputs=inputs).bytes()

    def feeds() -> list[Array]:
        return [values(which) for which in (0, 1) if "ab"[which] != constant]

    return Case(kind, "tflite", dtype, label, model, feeds, tuple(oracles), tolerance)


def reduction(
    kind: str, dtype: str, shape: Shape, axes: Sequence[int], keep: bool, oracles: Sequence[str], x: Quant = None, y: Quant = None,
    limits: tuple[float | None, float | None] = (None, None), name: str = "", tolerance: float = 1e-5,
) -> Case:  # fmt: skip
    """Return a case of a reduction over axes."""
    positive = {axis % len(shape) for axis in axes}
    made = tuple(1 if i in positive else d for i, d in enumerate(shape) if keep or i not in positive)

    def model() -> bytes:
        tensors = [port(shape, dtype, "x", x), const(list(axes), np.int32, name="axes"), port(made, dtype, "y", y)]
        return Net(tensors, [Op(kind, [0, 1], [2], ("ReducerOptions", {"KeepDims": keep}))]).bytes()

    def feeds() -> list[Array]:
        return [numbers((kind, dtype, *shape, *positive), (SAMPLES * shape[0], *shape[1:]), dtype, *limits)]

    label = name or f"{'x'.join(map(str, shape))} over {' '.join(map(str, axes))}{' kept' if keep else ''}"
    return Case(kind, "tflite", dtype, label, model, feeds, tuple(oracles), tolerance)
