"""Weights of 4, 2 and 1 bits: widened when they are packed, so the kernels get what they get for the same numbers in int8."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.layer_set import layers
from tests.linear_layers import DRIVERS, Layer

Array = np.ndarray[Any, Any]
VALUES = {"int4": range(-8, 8), "int2": range(-2, 2), "one bit, {-1, 0}": (-1, 0), "one bit, {-1, 1}": (-1, 1)}


def driver_arguments(layer: Layer) -> tuple[str, list[Any], Array]:
    """Return (driver, its arguments, outputs) of a layer."""
    seen: list[tuple[str, list[Any]]] = []

    def around(driver: Any, name: str) -> Any:
        def call(*args: Any) -> None:
            seen.append((name, list(args)))
            driver(*args)

        return call

    with ExitStack() as stack:
        for module, name in DRIVERS:
            stack.enter_context(mock.patch.object(module, name, around(getattr(module, name), name)))
        y = layer.run()
    ((name, args),) = seen
    return name, args, y


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and (all(map(same, a, b)) if isinstance(a, tuple) else a == b)


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("name", ["lines", "windows", "depthwise", "rows", "lines_wide", "rows_narrow", "windows_pairs"])
def test_the_kernels_get_what_they_get_for_int8(name: str, values: str) -> None:
    made = layers()[name]
    w = np.random.default_rng(3).choice(VALUES[values], made.w.shape).astype(np.int8)
    small = replace(made, w=w, w_type="int4" if values == "int4" else "int2")
    driver, args, y = driver_arguments(small)
    driver_of_int8, args_of_int8, _ = driver_arguments(replace(small, w_type="int8"))
    assert driver == driver_of_int8 and same(tuple(args), tuple(args_of_int8))
    assert np.array_equal(y, small.expected())
