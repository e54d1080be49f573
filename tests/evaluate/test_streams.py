"""Networks that keep state: one rule for run, reference, emulation, calibration, evaluation and comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.loaders.tflite_writer import Net
from tests.lstm_nets import LstmNet
from tests.recurrent_nets import rnn
from tests.stream_nets import delay_line, running_sum
from workbench.comparison import compare
from workbench.cost.counts import layer_work
from workbench.cost.lifetimes import live_bytes
from workbench.cost.memory import arena_buffers, scratch_bytes
from workbench.data import Dataset
from workbench.errors import InputError
from workbench.evaluate import Evaluator, Journal
from workbench.evaluate.streams import Unroller
from workbench.execute import Program, check_inputs, prepare, reference_passes, run_reference
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate
from workbench.streams import phases
from workbench.sweep import layer_errors

TARGET = "stm32l4r5-cortex-m4-tflm"
RNG = np.random.default_rng(5)


def load(net: Net) -> Graph:
    return load_tflite("model.tflite", net.bytes())


NETS: dict[str, Any] = {
    "delay": lambda: delay_line(), "delay_int8": lambda: delay_line(np.int8), "sum": lambda: running_sum(),
    "batch_of_2": lambda: delay_line(batch=2, start=0.5), "lstm": lambda: LstmNet((1, 3, 3), 4, "float32").net(),
    "lstm_int8": lambda: LstmNet((1, 3, 3), 4).net(), "rnn": lambda: rnn("RNN", (1, 3)),
    "time_major": lambda: LstmNet((3, 2, 3), 4, "float32", True).net(),
}  # fmt: skip


def streams(graph: Graph, count: int = 3, frames: int = 5) -> np.ndarray:
    x = graph.tensors[graph.inputs[0]]
    shape = (count, frames * (graph.fixed_batch or 1), *x.shape[1:])
    if x.dtype == "float32":
        return np.random.default_rng(3).normal(size=shape).astype(np.float32)
    return np.random.default_rng(3).integers(-128, 128, shape).astype(x.dtype)


def one_by_one(graph: Graph, program: Program | None, x: np.ndarray) -> np.ndarray:
    """Return the outputs of one stream by running nodes on one inference after the other, states handed over here."""
    frame, found = graph.fixed_batch or 1, []
    states = {
        s.read: s.initial for s in (graph.states if program is None or program.streams is None else program.streams.states)
    }
    stateless = replace(graph, states=(), inputs=(*graph.inputs, *states), outputs=graph.ends)
    for start in range(0, len(x), frame):
        feed = {graph.inputs[0]: x[start : start + frame], **states}
        values = run_reference(stateless, feed) if program is None else replace(program, streams=None).run(feed, keep_all=True)
        kept = graph.states if program is None or program.streams is None else program.streams.states
        states = {s.read: values[s.write] for s in kept}
        found.append(values[graph.outputs[0]])
    return np.concatenate(found)


@pytest.mark.parametrize("name", NETS)
def test_streams_equal_inferences_one_after_the_other(name: str) -> None:
    graph = load(NETS[name]())
    x = streams(graph)
    program = prepare(graph, load_profile("x86-litert-reference")) if graph.is_quantized else None
    whole = (run_reference(graph, {graph.inputs[0]: x}) if program is None else program.run({graph.inputs[0]: x}))[
        graph.outputs[0]
    ]
    for own, y in zip(x, whole, strict=True):
        np.testing.assert_array_equal(y, one_by_one(graph, program, own))
        alone = run_reference(graph, {graph.inputs[0]: own}) if program is None else program.run({graph.inputs[0]: own})
        np.testing.assert_array_equal(alone[graph.outputs[0]], y)


def test_the_running_sum_of_ones_counts() -> None:
    graph = load(running_sum(width=1))
    (y,) = run_reference(graph, {"x": np.ones((4, 1), np.float32)}).values()
    assert y[:, 0].tolist() == [2, 3, 4, 5]
    (y,) = run_reference(graph, {"x": np.ones((3, 2, 1), np.float32)}).values()
    assert y[..., 0].tolist() == [[2, 3]] * 3


def test_phases_of_a_delay_line_and_of_a_sum() -> None:
    delay, running = load(delay_line()), load(running_sum())
    ops = [[delay.nodes[i].op for i in part] for part in phases(delay.nodes, delay.states)]
    assert ops == [[], ["concat", "strided_slice"], ["fully_connected"]]
    assert [len(part) for part in phases(running.nodes, running.states)] == [0, 1, 0]


@pytest.mark.parametrize("name", ["delay", "lstm", "batch_of_2"])
def test_passes_give_every_frame_once_in_order(name: str) -> None:
    graph = load(NETS[name]())
    x = streams(graph, 3, 7)
    whole = run_reference(graph, {graph.inputs[0]: x}, keep_all=True)
    for size in (1, 4, 7, 15, 100):
        parts = list(reference_passes(graph, {graph.inputs[0]: x}, size))
        bounds = [(rows.start, rows.stop) for rows, _ in parts]
        assert [a for a, _ in bounds[1:]] == [b for _, b in bounds[:-1]] and bounds[-1][1] == x.shape[0] * x.shape[1]
        for tensor, values in whole.items():
            joined = np.concatenate([found[tensor] for _, found in parts])
            np.testing.assert_array_equal(joined, values.reshape(-1, *values.shape[2:]))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((5, 3), "(frames, 4) for one stream"),
        ((0, 4), "does not fit"),
        ((2, 0, 4), "does not fit"),
        ((1, 2, 3, 4), "does not fit"),
    ],
)
def test_inputs_that_are_no_streams_are_refused(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_inputs(load(delay_line()), np.zeros(shape, np.float32))
    assert words in str(caught.value)


def test_a_stream_divides_into_declared_batches() -> None:
    with pytest.raises(InputError, match="an inference takes 2 entries"):
        check_inputs(load(delay_line(batch=2)), np.zeros((5, 4), np.float32))


# -- plans --------------------------------------------------------------------------------------------------------------------


def lowering() -> tuple[Lowering, np.ndarray]:
    graph = load(delay_line(start=0.5))
    x = streams(graph, 6, 9)
    return Lowering(graph, load_profile(TARGET), calibrate(graph, x)), x


@pytest.mark.parametrize(("fmt", "dtype"), [("w8a8", "int8"), ("w4a8", "int8"), ("w8a16", "int16"), ("fp32", "float32")])
def test_a_state_gets_a_type_and_one_scale(fmt: str, dtype: str) -> None:
    low, x = lowering()
    graph = low.quantized(PrecisionPlan.of(fmt))
    (state,) = graph.states
    read, write = graph.tensors[state.read], graph.tensors[state.write]
    assert read.dtype == write.dtype == dtype and read.quant == write.quant and state.initial.dtype == np.dtype(dtype)
    y = low.program(PrecisionPlan.of(fmt)).run({"x": x})
    own = prepare(graph, low.profile).run({"x": x})
    for a, b in zip(y.values(), own.values(), strict=True):
        np.testing.assert_array_equal(a, b)
    (real,) = run_reference(low.graph, {"x": x}).values()
    error = np.abs(next(iter(y.values())).reshape(real.shape) - real).max()
    assert error < {"w4a8": 0.8, "w8a8": 0.2, "w8a16": 0.1, "fp32": 1e-5}[fmt]


def test_calibration_sees_the_state() -> None:
    graph = load(delay_line(start=50.0))
    seen = calibrate(graph, streams(graph, 2, 3))
    assert seen.samples == 6 and seen.observed[graph.states[0].read].high == 50.0


# -- evaluation ---------------------------------------------------------------------------------------------------------------

PLANS = [PrecisionPlan.of(f) for f in ("w8a8", "w4a8", "w8a16", "fp32", "w2a8")]


def test_the_evaluator_follows_streams_frame_by_frame() -> None:
    low, x = lowering()
    labels = RNG.integers(0, 5, x.shape[:2])
    records = Evaluator(low, Dataset("x", x, labels)).evaluate(PLANS)
    for plan, record in records.items():
        (y,) = low.program(plan).run({"x": x}).values()
        classes = y.reshape(-1, 5).argmax(axis=1)
        np.testing.assert_array_equal(record.predictions, classes)
        assert record.samples == labels.size and record.metrics["top1"] == (classes == labels.reshape(-1)).mean()


def test_labels_of_streams_count_for_their_last_frame() -> None:
    low, x = lowering()
    labels = RNG.integers(0, 5, len(x))
    evaluator = Evaluator(low, Dataset("x", x, labels))
    (record,) = evaluator.evaluate(PLANS[:1]).values()
    (y,) = low.program(PLANS[0]).run({"x": x}).values()
    np.testing.assert_array_equal(record.predictions, y[:, -1].argmax(axis=1))
    assert record.samples == len(x) == len(evaluator.reference)


def test_labels_that_fit_neither_are_refused() -> None:
    low, x = lowering()
    with pytest.raises(InputError, match=r"expected \[streams, results\]"):
        Evaluator(low, Dataset("x", x, np.zeros((5, 9), np.int64)))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("memory", [2**29, 6000])
def test_records_do_not_depend_on_threads_and_memory(threads: int, memory: int, tmp_path: Path) -> None:
    low, x = lowering()
    data = Dataset("x", x, RNG.permutation(5)[np.arange(54).reshape(6, 9) % 5])
    known = Evaluator(low, data, threads=1).evaluate(PLANS)
    found = Evaluator(low, data, Journal(tmp_path / "j.jsonl"), threads, memory).evaluate(PLANS)
    assert [r.to_json() for r in known.values()] == [r.to_json() for r in found.values()]


@pytest.mark.parametrize("name", NETS)
def test_an_unrolled_program_computes_the_same(name: str) -> None:
    graph = load(NETS[name]())
    x = streams(graph)
    program = prepare(graph, load_profile("x86-litert-reference"))
    unrolled = Unroller(x.shape[1]).program(program)
    assert unrolled.streams is None and sum(s.node.op == "recurrence" for s in unrolled.steps) == 1
    for y, own in zip(program.run({"x": x}).values(), unrolled.run({"x": x}).values(), strict=True):
        np.testing.assert_array_equal(y, own)


def test_one_stream_without_a_stream_dimension_is_one_sample() -> None:
    low, x = lowering()
    labels = RNG.integers(0, 5, x.shape[1])
    (one,) = Evaluator(low, Dataset("x", x[0], labels)).evaluate(PLANS[:1]).values()
    (same,) = Evaluator(low, Dataset("x", x[:1], labels[None])).evaluate(PLANS[:1]).values()
    np.testing.assert_array_equal(one.predictions, same.predictions)
    assert one.metrics == same.metrics and one.samples == x.shape[1]


def test_the_order_of_frames_matters() -> None:
    low, x = lowering()
    forward, backward = (low.program(PLANS[0]).run({"x": v}) for v in (x, np.ascontiguousarray(x[:, ::-1])))
    assert any((a != b[:, ::-1]).any() for a, b in zip(forward.values(), backward.values(), strict=True))


# -- what stands above --------------------------------------------------------------------------------------------------------


def test_emulate_keeps_the_form_of_its_inputs() -> None:
    graph = load(delay_line(np.int8))
    x = streams(graph)
    whole = wb.emulate(graph, x, TARGET)["y"]
    assert whole.shape == (3, 5, 5) and wb.emulate(graph, x[1], TARGET)["y"].shape == (5, 5)
    np.testing.assert_array_equal(wb.emulate(graph, x[1], TARGET)["y"], whole[1])
    tensors = wb.emulate(graph, x, TARGET, tensors=True)
    np.testing.assert_array_equal(tensors["frames"][:, 1:], tensors["next"][:, :-1])


def test_layer_errors_follow_the_stream() -> None:
    low, x = lowering()
    (row,) = layer_errors(low, Dataset("x", x, None), PLANS[0])
    (y,) = low.program(PLANS[0]).run({"x": x}).values()
    (real,) = run_reference(low.graph, {"x": x}).values()
    noise = ((y.reshape(real.shape).astype(np.float64) - real) ** 2).sum()
    assert row.cumulative_sqnr_db == pytest.approx(10 * np.log10((real.astype(np.float64) ** 2).sum() / noise), abs=0.1)


@pytest.mark.parametrize("several", [True, False])
def test_compare_counts_frames_of_streams(several: bool) -> None:
    graph = load(delay_line(np.int8))
    x = streams(graph, 4, 6)
    x = x if several else x[0]
    a, b = "x86-litert-reference", "x86-litert-xnnpack"
    found = compare(a, b, graph, x, np.zeros(x.shape[: x.ndim - 1], np.int64))
    one, other = (wb.emulate(graph, x, p)["y"] for p in (a, b))
    layer = found.layers[-1]
    assert found.samples == one.size // 5 and layer.cumulative.differing == (one != other).sum()
    assert found.flips is not None and len(found.flips.flipped) == (one.argmax(-1) != other.argmax(-1)).sum()


def test_states_take_memory_all_the_time_and_count_once() -> None:
    """A delay line of 8 float32: 32 bytes are held while the dense layer (window 48, y 20) runs; x 16, next 32 before it."""
    profile = load_profile(TARGET)
    assert profile.costs is not None
    graph = load(delay_line())
    works = [layer_work(graph, node) for node in graph.nodes]
    concat, cut, dense = (b - scratch_bytes(graph, n, w, profile, profile.costs.memory) for b, n, w in zip(
        live_bytes(arena_buffers(graph, works, profile, profile.costs.memory), 3), graph.nodes, works, strict=True))  # fmt: skip
    assert (concat, cut, dense) == (32 + 16 + 48, 32 + 48 + 32, 32 + 48 + 32 + 20)
    lstm = load(LstmNet((1, 3, 3), 4, "float32").net())
    (work,) = [layer_work(lstm, node) for node in lstm.nodes]
    assert (work.macs, work.outputs, work.output_bytes) == (3 * 16 * 7, 12, 48)
    (live,) = live_bytes(arena_buffers(lstm, [work], profile, profile.costs.memory), 1)
    assert live == 36 + 48 + 2 * 16
