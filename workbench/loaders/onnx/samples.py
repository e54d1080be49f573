"""Is an open first dimension one of independent samples? Networks also leave open how many time steps, tokens or points come.

A file is translated for one sample and for two. The same nodes and constants, none of which mixes samples, treat them apart.
Otherwise both run on random numbers: what comes out for two must be what comes out for one and for one, side by side.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from workbench.errors import ModelError, ModelWarning, WorkbenchError
from workbench.execute import Values, real_values, run_reference
from workbench.graph.ir import Array, Graph, Tensor
from workbench.loaders.onnx.inputs import way_to_fix
from workbench.loaders.onnx.tensor import printable
from workbench.ops import OPS
from workbench.precision import is_float
from workbench.tensor import RANGES, STORAGE

MAX_WORK = 2**31
"""Most multiply-accumulates and elementary operations of one sample that are spent on the check."""
TOLERANCE = 1e-3
"""Root mean square of the difference, relative to that of the values: sums in another order stay far below."""


def independent(one: Graph, make_two: Callable[[], Graph], where: str, names: Mapping[str, str]) -> Graph:
    """Return the graph of one sample, knowing where its outputs have their samples; ModelError when samples are not independent.

    make_two: translates the same file for two samples. names: input -> what its first dimension is called.
    """
    problem = f"{where}: input '{printable(next(iter(names)))}': dimension 0 ('{printable(next(iter(names.values())))}') is open, and "
    way = way_to_fix(list(dict.fromkeys(names.values())))
    try:
        two = make_two()
    except (
        ModelError
    ) as reason:  # an exporter wrote the size of its example into a Reshape: one sample is all that the file takes
        return one if one.fixed_batch is None else _unchecked(one, f"{problem}only one of its entries is read ({reason})", way)
    if _same(one, two):
        return one
    if len(one.outputs) != len(two.outputs):
        raise ModelError(f"{problem}which outputs are constants depends on it. {way}")
    axes = [_grown(one.tensors[a].shape, two.tensors[b].shape) for a, b in zip(one.outputs, two.outputs, strict=True)]
    if None in axes:
        name = printable(one.outputs[axes.index(None)])
        raise ModelError(f"{problem}output '{name}' does not have one result for each of its entries. {way}")
    moved = {name: axis for name, axis in zip(one.outputs, axes, strict=True) if axis}
    found = replace(one, sample_axes=moved, fixed_batch=1 if moved else one.fixed_batch)
    if _work(one) > MAX_WORK:
        return _unchecked(found, f"{problem}the network is too large to try whether its entries are independent samples", way)
    try:
        apart = _runs_apart(found, two)
    except WorkbenchError as reason:
        return _unchecked(found, f"{problem}whether its entries are independent samples could not be tried ({reason})", way)
    if not apart:
        raise ModelError(f"{problem}the network does not treat its entries as independent samples. {way}")
    return found


def _unchecked(graph: Graph, problem: str, way: str) -> Graph:
    warnings.warn(f"{problem}; it is taken so. {way}", ModelWarning, stacklevel=2)
    return graph


def _same(one: Graph, two: Graph) -> bool:
    """True when two graphs that mix no samples have the same nodes and constants: the number of samples enters nowhere."""
    if one.fixed_batch is not None or two.fixed_batch is not None or len(one.nodes) != len(two.nodes):
        return False
    if len(one.outputs) != len(two.outputs):
        return False
    names = {"": "", **dict(zip(one.inputs, two.inputs, strict=True))}

    def alike(a: str, b: str) -> bool:
        if a in names or b == "":
            return names.get(a) == b
        return _same_constant(one.tensors[a], two.tensors[b])

    for a, b in zip(one.nodes, two.nodes, strict=True):
        if (a.op, repr(a.attrs), len(a.inputs)) != (b.op, repr(b.attrs), len(b.inputs)):
            return False
        if not all(map(alike, a.inputs, b.inputs)):
            return False
        names.update(zip(a.outputs, b.outputs, strict=True))
    return all(names[a] == b for a, b in zip(one.outputs, two.outputs, strict=True))


def _same_constant(a: Tensor, b: Tensor) -> bool:
    if a.data is None or b.data is None:
        return False
    return (
        a.data.dtype == b.data.dtype
        and a.quant == b.quant
        and np.array_equal(a.data, b.data, equal_nan=a.data.dtype.kind == "f")
    )


def _grown(one: tuple[int, ...], two: tuple[int, ...]) -> int | None:
    """Return the one axis that is twice as long for two samples; None when it is not one."""
    if len(one) != len(two):
        return None
    axes = [i for i, (a, b) in enumerate(zip(one, two, strict=True)) if a != b]
    return axes[0] if len(axes) == 1 and two[axes[0]] == 2 * one[axes[0]] else None


def _work(graph: Graph) -> int:
    """Return the operations of one sample."""
    total = 0
    for node in graph.nodes:
        shapes = [[graph.tensors[n].shape for n in names if n] for names in (node.inputs, node.outputs)]
        counts = OPS[node.op].count(node.attrs, *shapes)
        total += counts.macs + counts.elements
    return total


def _runs_apart(one: Graph, two: Graph) -> bool:
    """True when two samples give what each of them gives, in the float reference on random numbers."""
    rng = np.random.default_rng(0)
    feed = {name: _random(one.tensors[name], rng) for name in one.inputs}
    other = dict(zip(one.inputs, two.inputs, strict=True))
    with np.errstate(all="ignore"):
        alone = [run_reference(one, {name: x[i : i + 1] for name, x in feed.items()}) for i in range(2)]
        both = run_reference(two, {other[name]: x for name, x in feed.items()})
    return all(_close(_side_by_side(one, name, alone), both[own]) for name, own in zip(one.outputs, two.outputs, strict=True))


def _side_by_side(graph: Graph, name: str, parts: list[Values]) -> Array:
    return np.concatenate([part[name] for part in parts], graph.sample_axes.get(name, 0))


def _random(tensor: Tensor, rng: np.random.Generator) -> Array:
    """Return two samples: normal numbers, 0 and 1 for indices and masks (which every table has), all integers that have a scale."""
    shape = (2, *tensor.shape[1:])
    if is_float(tensor.dtype):
        return rng.normal(size=shape).astype(np.float32)
    low, high = RANGES[tensor.dtype] if tensor.quant is not None else (0, 1)
    return real_values(tensor, rng.integers(low, high + 1, shape).astype(STORAGE[tensor.dtype]))


def _close(want: Array, got: Array) -> bool:
    if want.shape != got.shape:
        return False
    if want.dtype.kind != "f":
        return bool(np.array_equal(want, got))
    a, b = np.asarray(want, np.float64), np.asarray(got, np.float64)
    real = np.isfinite(a)
    if not np.array_equal(a[~real], b[~real], equal_nan=True):
        return False
    return bool(np.linalg.norm(a[real] - b[real]) <= TOLERANCE * np.linalg.norm(a[real]) + 1e-12)
