"""Integer layers of all forms have the same bits for any batch, thread or memory layout, and touch no memory but their own."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench
from tests.layer_set import SHAPES, layers
from tests.linear_layers import Layer
from workbench.ops import OPS

Array = np.ndarray[Any, Any]
LAYERS: dict[str, Layer] = layers()
MATRICES = ("matrices", "matrices_wide", "matrices_shift")


def prepared(name: str) -> tuple[Any, Array, Array]:
    """Return (function of x and, for matrices, w; a batch of 23 samples; its outputs)."""
    layer = LAYERS[name]
    run = OPS[layer.op].prepare(layer.site())
    order = np.random.default_rng(0).permuted(np.tile(layer.x, (12, *[1] * (layer.x.ndim - 1)))[:23], axis=0)
    w = np.tile(layer.w, (12, 1, 1))[:23] if name in MATRICES else layer.w

    def call(x: Array, rows: slice = slice(None)) -> Array:
        (y,) = run([x, w[rows] if name in MATRICES else w, layer.bias])
        return np.asarray(y)

    return call, order, call(order)


@pytest.mark.parametrize("name", SHAPES)
def test_any_cut_of_the_batch(name: str) -> None:
    call, x, whole = prepared(name)
    for size in (1, 2, 5, 22):
        parts = [call(x[i : i + size], slice(i, i + size)) for i in range(0, len(x), size)]
        assert np.array_equal(np.concatenate(parts), whole)
    none = call(x[:0], slice(0))
    assert (none.shape, none.dtype) == ((0, *whole.shape[1:]), whole.dtype)


@pytest.mark.parametrize("name", SHAPES)
def test_many_threads_with_one_prepared_layer(name: str) -> None:
    call, x, whole = prepared(name)
    jobs = [slice(i % 20, i % 20 + 3) for i in range(60)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda rows: call(x[rows], rows), jobs))
    assert all(np.array_equal(y, whole[rows]) for y, rows in zip(found, jobs, strict=True))


@pytest.mark.parametrize("name", SHAPES)
def test_any_memory_layout(name: str) -> None:
    call, x, whole = prepared(name)
    backwards = np.ascontiguousarray(x[::-1])[::-1]
    columns = np.asfortranarray(x)
    wider = np.full((*x.shape[:-1], x.shape[-1] + 3), 99, x.dtype)
    wider[..., 1:-2] = x
    for other in (backwards, columns, wider[..., 1:-2]):
        assert not other.flags.c_contiguous
        assert np.array_equal(call(other), whole)
    kept = x.copy()
    assert np.array_equal(call(x), whole) and np.array_equal(x, kept)


@pytest.mark.parametrize("adj_x", [False, True])
@pytest.mark.parametrize("adj_y", [False, True])
@pytest.mark.parametrize("name", MATRICES)
def test_transposed_operands_are_the_same_matrices(name: str, adj_x: bool, adj_y: bool) -> None:
    layer = LAYERS[name]
    x = np.swapaxes(layer.x, 1, 2) if adj_x else layer.x
    y = layer.w if adj_y else np.swapaxes(layer.w, 1, 2)
    want = layer.expected()
    for a, b in ((x, y), (np.ascontiguousarray(x), np.ascontiguousarray(y))):
        turned = replace(layer, attrs=type(layer.attrs)(adj_x, adj_y), x=a, w=b)
        assert np.array_equal(turned.run(), want)


FENCED = """
import sys
from unittest import mock
from tests.fences import fence_all
from tests.layer_set import digest, layers
from tests.linear_layers import DRIVERS

def around(driver, after):
    def call(*args):
        inside = fence_all(args, after)
        driver(*inside)
        args[-1][...] = inside[-1]
        calls.append(driver)
    return call

calls, good = [], True
for after in (True, False):
    patched = [mock.patch.object(module, name, around(getattr(module, name), after)) for module, name in DRIVERS]
    for patch in patched:
        patch.start()
    for name, layer in layers().items():
        print(after, name, file=sys.stderr)
        good &= digest(layer.run()) == digest(layer.expected())
    mock.patch.stopall()
print(good, len(calls))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_no_byte_beside_any_array_is_read_or_written() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(workbench.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", FENCED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-300:]
    good, calls = done.stdout.split()
    assert good == "True" and int(calls) >= 2 * (len(SHAPES) - 1)
