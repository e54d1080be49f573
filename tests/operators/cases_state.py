"""Operators that keep state, and those that run other subgraphs. Feeds are one stream: one inference after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.lstm_nets import LstmNet
from tests.operators.case import LITERT, TFLITE, Case, rng
from tests.recurrent_nets import bidirectional, full_lstm, rnn, svdf
from tests.stream_nets import delay_line, running_sum
from workbench.graph.ir import Array

FLOAT_RUNTIMES = LITERT
"""tflite-micro has neither RNN nor LSTM of one step nor both directions."""


def _stream(operator: str, types: str, name: str, net: Net, frames: int, oracles: tuple[str, ...]) -> Case:
    """Return a case of some inferences in a row. Random real numbers, or every integer of the input's type up to 2**12."""
    x = net.tensors[net.inputs[0]]
    shape, kind = (frames * x.shape[0], *x.shape[1:]), np.dtype(x.dtype)

    def feeds() -> list[Array]:
        if kind == np.float32:
            return [rng(name, frames).normal(size=shape).astype(np.float32)]
        limit = min(int(np.iinfo(kind).max), 4096)
        return [rng(name, frames).integers(-limit - 1, limit + 1, shape).astype(kind)]

    return Case(operator, "tflite", types, name, net.bytes, feeds, oracles)


def cases() -> Iterator[Case]:
    yield from _variables()
    yield from _lstms()
    yield from _svdfs()
    yield from _rnns()
    yield from _subgraphs()
    yield _twice()


def _variables() -> Iterator[Case]:
    kinds: tuple[tuple[str, Any], ...] = (("float32", np.float32), ("int8", np.int8), ("int16", np.int16))
    for types, kind in kinds:
        for operator in ("READ_VARIABLE", "ASSIGN_VARIABLE", "VAR_HANDLE", "CALL_ONCE"):
            depth = {"READ_VARIABLE": 3, "ASSIGN_VARIABLE": 2, "VAR_HANDLE": 5, "CALL_ONCE": 4}[operator]
            yield _stream(operator, types, f"delay of {depth}", delay_line(kind, depth), 7, TFLITE)
    yield _stream("ASSIGN_VARIABLE", "float32", "declared batch of 2", delay_line(batch=2, start=0.5), 4, TFLITE)
    yield _stream("ASSIGN_VARIABLE", "float32", "running sum", running_sum(), 6, TFLITE)
    yield _stream("READ_VARIABLE", "float32", "running sum batch of 3", running_sum(3), 4, TFLITE)


def _lstms() -> Iterator[Case]:
    name = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    for shape, units in (((1, 1, 3), 4), ((1, 5, 3), 4), ((2, 3, 7), 5)):
        text = "x".join(map(str, shape))
        yield _stream(name, "float32", f"carried {text}", LstmNet(shape, units, "float32").net(), 4, TFLITE)
        yield _stream(name, "int8", f"carried {text}", LstmNet(shape, units).net(), 4, TFLITE)
        wide = LstmNet(shape, units, "int16", x=(0.002, 0), y=(2.0**-15, 0), hidden=(2.0**-15, 0))
        yield _stream(name, "int16", f"carried {text}", wide.net(), 4, ("tflm",))
    yield _stream(name, "float32", "carried time major", LstmNet((4, 2, 3), 4, "float32", True).net(), 3, TFLITE)
    yield _stream(name, "float32", "carried clipped", LstmNet((1, 3, 3), 4, "float32", clip=0.1).net(), 4, TFLITE)
    yield _stream(name, "int8", "carried clipped", LstmNet((1, 3, 3), 4, clip=0.3).net(), 4, TFLITE)
    yield _stream("LSTM", "float32", "one step", full_lstm(1, 3, 4), 5, FLOAT_RUNTIMES)
    yield _stream("LSTM", "float32", "batch of 2", full_lstm(2, 5, 3), 4, FLOAT_RUNTIMES)
    kind = "BIDIRECTIONAL_SEQUENCE_LSTM"
    yield _stream(kind, "float32", "two outputs", bidirectional(kind, (1, 5, 3)), 3, FLOAT_RUNTIMES)
    yield _stream(kind, "float32", "merged", bidirectional(kind, (1, 5, 3), merge=True), 3, FLOAT_RUNTIMES)
    # merged outputs of a larger batch are not compared: LiteRT reads memory there that it did not write, and differs from run to run
    yield _stream(kind, "float32", "batch of 2", bidirectional(kind, (2, 5, 3)), 3, FLOAT_RUNTIMES)
    yield _stream(kind, "float32", "time major", bidirectional(kind, (5, 2, 3), time_major=True), 3, FLOAT_RUNTIMES)


def _svdfs() -> Iterator[Case]:
    for rank, memory, units in ((1, 4, 3), (2, 4, 3), (2, 10, 5)):
        text = f"rank {rank} memory {memory}"
        yield _stream("SVDF", "float32", text, svdf(rank=rank, memory=memory, units=units), 12, TFLITE)
        yield _stream("SVDF", "int8", text, svdf(np.int8, (1, 9), units, rank, memory, activation=1), 12, TFLITE)
        bare = svdf(np.int8, (1, 9), units, rank, memory)  # LiteRT refuses it when it runs
        yield _stream("SVDF", "int8", f"no activation {text}", bare, 12, ("tflm",))
        narrow = svdf(np.int8, (1, 9), units, rank, memory, activation=1, state=np.int8)
        yield _stream("SVDF", "int8 int8 state", text, narrow, 12, ("tflm",))
    yield _stream("SVDF", "float32", "relu batch of 2", svdf(shape=(2, 6), rank=1, activation=1), 6, TFLITE)
    yield _stream("SVDF", "float32", "no bias", svdf(shape=(2, 6), rank=1, bias=False), 6, LITERT)
    yield _stream("SVDF", "int8", "saturates", svdf(np.int8, (2, 5), rank=1, memory=7, spread=9.0, activation=1), 9, TFLITE)


def _rnns() -> Iterator[Case]:
    for activation, text in ((0, "none"), (1, "relu"), (3, "relu6"), (4, "tanh")):
        yield _stream("RNN", "float32", text, rnn("RNN", (2, 3), activation=activation), 5, FLOAT_RUNTIMES)
        kind = "UNIDIRECTIONAL_SEQUENCE_RNN"
        yield _stream(kind, "float32", text, rnn(kind, (1, 4, 3), activation=activation), 3, FLOAT_RUNTIMES)
    yield _stream(kind, "float32", "batch of 2", rnn(kind, (2, 5, 3)), 3, FLOAT_RUNTIMES)
    yield _stream(kind, "float32", "time major", rnn(kind, (5, 2, 3), time_major=True), 3, FLOAT_RUNTIMES)
    kind = "BIDIRECTIONAL_SEQUENCE_RNN"
    yield _stream(kind, "float32", "two outputs", bidirectional(kind, (2, 5, 3)), 3, FLOAT_RUNTIMES)
    yield _stream(kind, "float32", "merged", bidirectional(kind, (2, 5, 3), merge=True), 3, FLOAT_RUNTIMES)
    yield _stream(kind, "float32", "time major", bidirectional(kind, (5, 2, 3), time_major=True), 3, FLOAT_RUNTIMES)


def _twice() -> Case:
    """Return |x|, put out twice."""
    net = Net([T((1, 4), name="x"), T((1, 4), name="y")], [Op("ABS", [0], [1], ("AbsOptions", {}))], outputs=(1, 1))
    return _stream("ABS", "float32", "put out twice", net, 3, TFLITE)


def branch(function: Callable[[list[int]], Op]) -> Net:
    """Return a subgraph y = f(x) of one operator. function: tensors -> operator."""
    return Net([T((1, 4), name="a"), T((1, 4), name="b")], [function([0])], (0,), (1,))


def conditional(condition: bool) -> Net:
    """Return y = tanh(x) where the constant condition holds, else |x|."""
    tensors = [T((1, 4), name="x"), const([condition], np.bool_), T((1, 4), name="y")]
    op = Op("IF", [1, 0], [2], ("IfOptions", {"ThenSubgraphIndex": 1, "ElseSubgraphIndex": 2}))
    others = [branch(lambda x: Op("TANH", x, [1])), branch(lambda x: Op("ABS", x, [1], ("AbsOptions", {})))]
    return Net(tensors, [op], (0,), (2,), others=others)


def _subgraphs() -> Iterator[Case]:
    for condition in (True, False):
        yield _stream("IF", "float32", f"constant {condition}", conditional(condition), 3, ("litert_ref", "litert_opt", "tflm"))
    named = delay_line()
    yield _stream(
        "CALL_ONCE", "float32", "unnamed tensors", replace(named, tensors=[_unnamed(t) for t in named.tensors]), 5, TFLITE
    )


def _unnamed(tensor: T) -> T:
    return replace(tensor, name="")
