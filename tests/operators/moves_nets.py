"""Networks of one operator that moves values: inputs and outputs by shape and type, constants, options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.operators.case import LITERT, TFLITE, Case, rng

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
SCALED: dict[str, int] = {"int8": 3, "int16": 0, "uint8": 7}
"""Types that carry a scale here -> their zero point."""
BATCHES = 2
"""Declared batches that every case runs."""


def port(shape: Shape, dtype: str, name: str) -> T:
    """Return an activation."""
    scaled: dict[str, Any] = {"scale": [0.5], "zero": [SCALED[dtype]]} if dtype in SCALED else {}
    return T(shape, np.dtype(dtype), name, **scaled)


def fixed(data: Any, dtype: str) -> T:
    """Return a constant of a type that carries a scale."""
    made = const(data, np.dtype(dtype))
    if dtype in SCALED:
        made.scale, made.zero = [0.5], [SCALED[dtype]]
    return made


def whole(data: Any, dtype: str = "int32") -> T:
    """Return a constant of indices, axes or sizes."""
    return const(data, np.dtype(dtype))


def values(seed: Sequence[Any], shape: Shape, dtype: str, limits: tuple[int, int] | None = None) -> Array:
    """Return random values of a type, few enough for equal ones to meet."""
    r = rng(*seed)
    if dtype == "bool":
        return r.integers(0, 2, shape).astype(np.bool_)
    if dtype == "float32":
        return np.round(r.normal(size=shape) * 4, 1).astype(np.float32)
    low, high = limits or ((0, 256) if dtype == "uint8" else (-100, 100))
    return r.integers(low, high, shape).astype(dtype)


def move(
    kind: str, dtype: str, name: str, inputs: Sequence[Shape | tuple[Shape, str] | T], outputs: Sequence[Shape | tuple[Shape, str]],
    oracles: Sequence[str] = TFLITE, options: tuple[str, dict[str, Any]] | None = None,
    limits: Mapping[int, tuple[int, int]] | None = None, version: int = 1,
) -> Case:  # fmt: skip
    """Return a case. inputs: shapes of `dtype`, (shape, other type), or constants; limits: of the integers of an input."""

    def tensor(i: int, given: Any, name: str) -> T:
        if isinstance(given, T):
            return given
        shape, kind = given if len(given) == 2 and isinstance(given[1], str) else (given, dtype)
        return port(shape, kind, f"{name}{i}")

    tensors = [tensor(i, x, "x") for i, x in enumerate(inputs)]
    made = [tensor(i, y, "y") for i, y in enumerate(outputs)]
    fed = [i for i, t in enumerate(tensors) if t.data is None]
    count = len(tensors)

    def model() -> bytes:
        op = Op(kind, list(range(count)), list(range(count, count + len(made))), options, version=version)
        return Net([*tensors, *made], [op], fed, op.outputs).bytes()

    def feeds() -> list[Array]:
        seed = (kind, dtype, name)
        return [
            values(
                (*seed, i),
                (BATCHES * tensors[i].shape[0], *tensors[i].shape[1:]),
                np.dtype(tensors[i].dtype).name,
                (limits or {}).get(i),
            )
            for i in fed
        ]

    return Case(kind, "tflite", dtype, name, model, feeds, tuple(oracles))


def per_type(all_of: str = "", litert: str = "") -> list[tuple[str, tuple[str, ...]]]:
    """Return (type, oracles): types that every runtime takes, and types that LiteRT takes alone."""
    return [*((t, TFLITE) for t in all_of.split()), *((t, LITERT) for t in litert.split())]
