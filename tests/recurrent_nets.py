"""One-layer SVDF, RNN and bidirectional networks as `.tflite` files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const


def svdf(
    dtype: Any = np.float32, shape: tuple[int, int] = (1, 6), units: int = 3, rank: int = 2, memory: int = 4, seed: int = 0,
    activation: int = 0, bias: bool = True, state: Any = np.int16, spread: float = 1.0,
) -> Net:  # fmt: skip
    """Return one SVDF layer. state: type of the state and of the weights of time under integers."""
    rng, filters = np.random.default_rng([seed, *shape, units, rank, memory]), units * rank
    floats = np.dtype(dtype) == np.float32
    kept = (shape[0], filters * memory)
    if floats:
        wf = const(rng.normal(0, spread / np.sqrt(shape[1]), (filters, shape[1])), np.float32)
        wt, b = const(rng.normal(0, 0.6, (filters, memory)), np.float32), const(rng.normal(0, 0.3, units), np.float32)
        x, h, y = T(shape, name="x"), T(kept, name="state", variable=True), T((shape[0], units), name="y")
    else:
        limit = np.iinfo(state).max
        ss, sw = (2.0**-11, 2.0**-14) if state == np.int16 else (0.05, 0.01)
        wf = const(rng.integers(-127, 128, (filters, shape[1])), np.int8, scale=[float(np.float32(0.011 * spread))], zero=[0])
        wt = const(rng.integers(-limit, limit + 1, (filters, memory)), state, scale=[sw], zero=[0])
        step = ss * sw
        b = const((rng.normal(0, 0.3, units) / step).round(), np.int32, scale=[step], zero=[0])
        x, y = T(shape, np.int8, "x", scale=[0.02], zero=[4]), T((shape[0], units), np.int8, "y", scale=[0.031], zero=[-9])
        h = T(kept, state, "state", scale=[ss], zero=[0], variable=True)
    tensors = [x, wf, wt, b, h, y]
    op = Op(
        "SVDF", [0, 1, 2, 3 if bias else -1, 4], [5], ("SVDFOptions", {"Rank": rank, "FusedActivationFunction": activation}),
        mutating=[False] * 4 + [True],
    )  # fmt: skip
    return Net(tensors, [op])


def _weights(rng: np.random.Generator, units: int, depth: int, gates: int) -> tuple[list[T], list[T], list[T]]:
    w = [const(rng.normal(0, 1 / np.sqrt(depth), (units, depth)), np.float32) for _ in range(gates)]
    r = [const(rng.normal(0, 1 / np.sqrt(units), (units, units)), np.float32) for _ in range(gates)]
    return w, r, [const(rng.normal(0, 0.3, units), np.float32) for _ in range(gates)]


def rnn(kind: str, shape: Sequence[int], units: int = 4, activation: int = 4, time_major: bool = False) -> Net:
    """Return RNN ([B, I]) or UNIDIRECTIONAL_SEQUENCE_RNN ([B, T, I])."""
    rng = np.random.default_rng([*shape, units])
    (w,), (r,), (b,) = _weights(rng, units, shape[-1], 1)
    batch = shape[1 if time_major else 0]
    tensors = [T(shape, name="x"), w, r, b, T((batch, units), name="h", variable=True), T((*shape[:-1], units), name="y")]
    options: dict[str, Any] = {"FusedActivationFunction": activation}
    name = "RNNOptions"
    if kind != "RNN":
        name, options = "SequenceRNNOptions", options | {"TimeMajor": time_major}
    return Net(tensors, [Op(kind, [0, 1, 2, 3, 4], [5], (name, options), mutating=[False] * 4 + [True])])


def bidirectional(kind: str, shape: Sequence[int], units: int = 3, merge: bool = False, time_major: bool = False) -> Net:
    """Return BIDIRECTIONAL_SEQUENCE_RNN or BIDIRECTIONAL_SEQUENCE_LSTM."""
    rng = np.random.default_rng([*shape, units, 7])
    lstm = kind.endswith("LSTM")
    batch, gates = shape[1 if time_major else 0], 4 if lstm else 1
    inputs: dict[int, T] = {0: T(shape, name="x")}
    starts = ((1, 5, 12), (18, 22, 29)) if lstm else ((1, 2, 3), (5, 6, 7))
    for places in starts:
        for place, parts in zip(places, _weights(rng, units, shape[-1], gates), strict=True):
            inputs |= {place + i: part for i, part in enumerate(parts)}
    states = (35, 36, 37, 38) if lstm else (4, 8)
    inputs |= {i: T((batch, units), name=f"state{i}", variable=True) for i in states}
    tensors, numbers, count = list[T](), list[int](), 48 if lstm else 12
    for i in range(count):
        numbers.append(len(tensors) if i in inputs else -1)
        tensors += [inputs[i]] if i in inputs else []
    first = len(tensors)
    widths = [2 * units] if merge else [units, units]
    tensors += [T((*shape[:-1], width), name=f"y{k}") for k, width in enumerate(widths)]
    options: dict[str, Any] = {"FusedActivationFunction": 4, "MergeOutputs": merge, "TimeMajor": time_major}
    name = "BidirectionalSequenceLSTMOptions" if lstm else "BidirectionalSequenceRNNOptions"
    outputs = range(first, len(tensors))
    op = Op(kind, numbers, outputs, (name, options), mutating=[i in states for i in range(count)])
    return Net(tensors, [op], outputs=tuple(outputs))


def full_lstm(batch: int, depth: int, units: int) -> Net:
    """Return LSTM (full kernel), one step at a time."""
    rng = np.random.default_rng([batch, depth, units, 9])
    w, r, b = _weights(rng, units, depth, 4)
    inputs: dict[int, T] = {0: T((batch, depth), name="x")}
    for place, parts in zip((1, 5, 12), (w, r, b), strict=True):
        inputs |= {place + i: part for i, part in enumerate(parts)}
    inputs |= {i: T((batch, units), name=f"state{i}", variable=True) for i in (18, 19)}
    tensors, numbers = list[T](), list[int]()
    for i in range(24):
        numbers.append(len(tensors) if i in inputs else -1)
        tensors += [inputs[i]] if i in inputs else []
    tensors.append(T((batch, units), name="y"))
    op = Op(
        "LSTM", numbers, [len(tensors) - 1], ("LSTMOptions", {"FusedActivationFunction": 4, "KernelType": 0}),
        mutating=[i in (18, 19) for i in range(24)],
    )  # fmt: skip
    return Net(tensors, [op])
