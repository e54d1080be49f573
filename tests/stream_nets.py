"""Networks that keep state in variables, as `.tflite` files: delay lines before layers, counters, running sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const

RESOURCE = 13


def handle(name: str) -> T:
    """Return the tensor of a variable."""
    return T((), np.int32, name, code=RESOURCE)


def var_handle(output: int, name: str) -> Op:
    """Return the operator that makes a variable."""
    return Op("VAR_HANDLE", [], [output], ("VarHandleOptions", {"Container": "", "SharedName": name}))


def initialization(values: dict[str, T]) -> Net:
    """Return a subgraph that assigns constants to variables."""
    tensors, ops = list[T](), list[Op]()
    for name, value in values.items():
        first = len(tensors)
        tensors += [handle(name), value]
        ops += [var_handle(first, name), Op("ASSIGN_VARIABLE", [first, first + 1], [])]
    return Net(tensors, ops, (), ())


CALL_ONCE = Op("CALL_ONCE", [], [], ("CallOnceOptions", {"InitSubgraphIndex": 1}))


def delay_line(
    dtype: Any = np.float32, depth: int = 3, width: int = 4, units: int = 5, batch: int = 1, seed: int = 0, start: float = 0.0
) -> Net:
    """Return y = dense(the last `depth` frames): x [B, width] is put behind the frames kept [B, (depth - 1) * width]."""
    rng, kept = np.random.default_rng([seed, depth, width]), (depth - 1) * width
    q: dict[str, Any] = {} if dtype == np.float32 else {"scale": [0.05], "zero": [3 if dtype == np.int8 else 0]}
    out: dict[str, Any] = {} if dtype == np.float32 else {"scale": [0.11], "zero": [-5 if dtype == np.int8 else 0]}
    w = rng.normal(0, 0.4, (units, depth * width))
    weights = const(w, np.float32)
    bias = const(rng.normal(0, 0.1, units), np.float32)
    if dtype != np.float32:
        weights = const(np.round(w / 0.01).clip(-127, 127), np.int8, scale=[0.01], zero=[0])
        bias = const(rng.integers(-300, 300, units), np.int32 if dtype == np.int8 else np.int64, scale=[0.0005], zero=[0])
    tensors = [
        T((batch, width), dtype, "x", **q), handle("frames"), T((batch, kept), dtype, "kept", **q),
        T((batch, depth * width), dtype, "window", **q), const([0, width], np.int32), const([0, depth * width], np.int32),
        const([1, 1], np.int32), T((batch, kept), dtype, "next", **q), weights, bias, T((batch, units), dtype, "y", **out),
    ]  # fmt: skip
    ops = [
        CALL_ONCE,
        var_handle(1, "frames"),
        Op("READ_VARIABLE", [1], [2]),
        Op("CONCATENATION", [2, 0], [3], ("ConcatenationOptions", {"Axis": 1})),
        Op("STRIDED_SLICE", [3, 4, 5, 6], [7], ("StridedSliceOptions", {"BeginMask": 1, "EndMask": 3})),
        Op("ASSIGN_VARIABLE", [1, 7], []),
        Op("FULLY_CONNECTED", [3, 8, 9], [10], ("FullyConnectedOptions", {})),
    ]
    value = start if dtype == np.float32 else 3 if dtype == np.int8 else 0
    initial = const(np.full((batch, kept), value), dtype, **q)
    return Net(tensors, ops, (0,), (10,), others=[initialization({"frames": initial})])


def running_sum(batch: int = 1, width: int = 3) -> Net:
    """Return y = x + y of the frame before, which begins at 1: the state is behind and before one addition."""
    x, s, y = (T((batch, width), name=n) for n in ("x", "s", "y"))
    ops = [
        CALL_ONCE, var_handle(1, "sum"), Op("READ_VARIABLE", [1], [2]), Op("ADD", [0, 2], [3], ("AddOptions", {})),
        Op("ASSIGN_VARIABLE", [1, 3], []),
    ]  # fmt: skip
    return Net(
        [x, handle("sum"), s, y], ops, (0,), (3,), others=[initialization({"sum": const(np.ones((batch, width)), np.float32)})]
    )
