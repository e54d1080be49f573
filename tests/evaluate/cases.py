"""Small networks, data and plans that the tests of the evaluator share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from tests.networks import small_cnn
from workbench.data import Dataset
from workbench.evaluate import Evaluator, Record
from workbench.execute import Program, check_inputs, prepare, real_values, run_reference
from workbench.graph.ir import Array, Graph
from workbench.hardware import load_profile
from workbench.metrics import PROBABILITY_FLOOR
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate

PROFILE = "stm32l4r5-cortex-m4-tflm"


def dataset(n: int = 90, graph: Graph | None = None) -> Dataset:
    """Return random samples, labelled by the reference but for every seventh."""
    graph = graph or small_cnn()
    shape, classes = graph.tensors[graph.inputs[0]].shape[1:], graph.tensors[graph.outputs[0]].shape[-1]
    x = np.random.default_rng(3).standard_normal((n, *shape)).astype(np.float32)
    y = run_reference(graph, {graph.inputs[0]: x})[graph.outputs[0]].argmax(axis=1)
    y[::7] = (y[::7] + 1) % classes
    return Dataset("random", x, y.astype(np.int64))


def lowering(graph: Graph | None = None, profile: str = PROFILE) -> Lowering:
    """Return the lowering of a network for a profile (TFLM's), calibrated on random samples."""
    graph = graph or small_cnn()
    x = np.random.default_rng(5).standard_normal((40, *graph.tensors[graph.inputs[0]].shape[1:])).astype(np.float32)
    return Lowering(graph, load_profile(profile), calibrate(graph, x))


def all_plans(
    formats: Sequence[str] = ("w8a8", "w4a8", "w8a16"), layers: Sequence[str] = ("conv1", "dw2", "pw3", "fc6")
) -> list[PrecisionPlan]:
    """Return every plan, made without the code under test."""
    return [PrecisionPlan.of("w8a8", zip(layers, f, strict=True)) for f in itertools.product(formats, repeat=len(layers))]


def same(a: Record, b: Record) -> bool:
    """Return whether two records are the same, bit for bit."""
    return a.to_json() == b.to_json()


def plain_outputs(low: Lowering, plan: PrecisionPlan, data: Dataset) -> Array:
    """Return the real outputs of one plan: the whole graph rewritten for it alone, prepared, run in one batch."""
    alone = Lowering(low.graph, low.profile, low.calibration)
    program: Program = prepare(alone.quantized(plan), alone.profile)
    (out,) = program.outputs
    return real_values(out, program.run(check_inputs(low.graph, data.inputs))[out.name]).reshape(len(data), -1)


def check_against_plain_loop(
    evaluator: Evaluator, records: dict[PrecisionPlan, Record], plans: Sequence[PrecisionPlan]
) -> None:
    """Assert that records say what a plain loop over plans finds, bit for bit: all sums are made from left to right."""
    data, reference = evaluator.data, evaluator.reference
    assert data.labels is not None
    signal = left_to_right((reference**2).reshape(-1))
    for plan in plans:
        record, real = records[plan], plain_outputs(evaluator.lowering, plan, data).astype(np.float64)
        np.testing.assert_array_equal(record.predictions, real.argmax(axis=1))
        np.testing.assert_array_equal(record.correct, real.argmax(axis=1) == data.labels)
        noise = left_to_right([left_to_right(row) for row in (real - reference) ** 2])
        assert record.metrics["top1"] == (real.argmax(axis=1) == data.labels).mean()
        assert record.metrics["agreement"] == (real.argmax(axis=1) == reference.argmax(axis=1)).mean()
        assert record.metrics["mse"] == noise / real.size
        assert record.metrics["sqnr_db"] == (10 * np.log10(signal / noise) if noise else np.inf)
        own = real[np.arange(len(real)), data.labels]
        if evaluator.probabilities:
            entropy = [-math.log(max(p, PROBABILITY_FLOOR)) for p in own.tolist()]
        else:
            entropy = [
                math.log(math.fsum(math.exp(v - max(y)) for v in y)) + max(y) - o
                for y, o in zip(real.tolist(), own, strict=True)
            ]
        # the logarithms and exponentials are those of another library, and differ in their last bit
        assert record.metrics["cross_entropy"] == pytest.approx(math.fsum(entropy) / len(entropy), rel=1e-13)


def left_to_right(values: Iterable[float]) -> float:
    """Return the sum, one addition after the other (Python's own `sum` of floats compensates since 3.12)."""
    total = 0.0
    for value in values:
        total += float(value)
    return total
