"""Finite differences against closed forms: a linear network with a softmax cross-entropy or a squared error."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.data import Dataset
from workbench.evaluate import Evaluator
from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.hardware import load_profile
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.quantize import Lowering, calibrate
from workbench.sweep import Group
from workbench.sweep.derivatives import along_changes, layer_traces
from workbench.sweep.reference_steps import layer_weights, weights_in

CLASSES, INPUTS, SAMPLES = 3, 5, 60


def linear(labelled: bool) -> Evaluator:
    """Return an evaluator of y = W x + b with three classes, as logits."""
    rng = np.random.default_rng(2)
    w, b = (rng.standard_normal(s).astype(np.float32) for s in ((CLASSES, INPUTS), (CLASSES,)))
    tensors = [
        Tensor("x", (1, INPUTS), "float32"), Tensor("y", (1, CLASSES), "float32"),
        Tensor("w", (CLASSES, INPUTS), "float32", data=w), Tensor("b", (CLASSES,), "float32", data=b),
    ]  # fmt: skip
    node = Node("fc", "fully_connected", ("x", "w", "b"), ("y",), FullyConnectedAttrs())
    graph = Graph("linear", (node,), {t.name: t for t in tensors}, ("x",), ("y",))
    x = rng.standard_normal((SAMPLES, INPUTS)).astype(np.float32)
    labels = rng.integers(0, CLASSES, SAMPLES).astype(np.int64) if labelled else None
    lowering = Lowering(graph, load_profile("stm32l4r5-cortex-m4-tflm"), calibrate(graph, x))
    return Evaluator(lowering, Dataset("random", x, labels), threads=1)


def parts_of(evaluator: Evaluator) -> tuple[Array, Array, Array]:
    """Return samples x [N, D], softmax p [N, C], and one-hot labels [N, C]."""
    x = np.asarray(evaluator.data.one_input, np.float64)
    graph = evaluator.lowering.graph
    w, b = (np.asarray(graph.tensors[n].data, np.float64) for n in ("w", "b"))
    y = x @ w.T + b
    p = np.exp(y - y.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    assert evaluator.data.labels is not None
    return x, p, np.eye(CLASSES)[evaluator.data.labels]


def test_hessian_trace_of_a_softmax_regression_is_the_closed_form() -> None:
    """The Hessian by W is E[(diag(p) - p p') (x) x x'], whose trace is E[(1 - |p|^2) |x|^2]."""
    evaluator = linear(labelled=True)
    x, p, _ = parts_of(evaluator)
    blocks = np.einsum("nc,cd->ncd", p, np.eye(CLASSES)) - np.einsum("nc,nd->ncd", p, p)
    whole = np.einsum("ncd,ni,nj->cidj", blocks, x, x).reshape(CLASSES * INPUTS, -1) / SAMPLES
    trace = float(((1 - (p**2).sum(axis=1)) * (x**2).sum(axis=1)).mean())
    assert np.isclose(np.trace(whole), trace)
    draws = 400
    error = np.sqrt(2 * ((whole**2).sum() - (np.diag(whole) ** 2).sum()) / draws)  # of Hutchinson's estimate, Rademacher signs
    found = layer_traces(evaluator, ["fc"], draws=draws)["fc"].hessian
    assert abs(found - trace) < 4 * error + 0.01 * trace
    assert error < 0.05 * trace


def test_every_draw_of_a_trace_is_the_quadratic_form_of_its_signs() -> None:
    evaluator = linear(labelled=True)
    x, p, _ = parts_of(evaluator)
    seed = 5
    signs = 2.0 * np.random.default_rng([seed, *b"fc"]).integers(0, 2, (CLASSES, INPUTS)) - 1.0
    y = x @ signs.T
    form = float(((p * y**2).sum(axis=1) - (p * y).sum(axis=1) ** 2).mean())
    assert layer_traces(evaluator, ["fc"], draws=1, seed=seed)["fc"].hessian == pytest.approx(form, rel=2e-3)


def test_fisher_trace_of_a_softmax_regression_is_the_closed_form() -> None:
    """The gradient of a sample by W is (p - label) x', whose square is |p - label|^2 |x|^2."""
    evaluator = linear(labelled=True)
    x, p, label = parts_of(evaluator)
    want = float((((p - label) ** 2).sum(axis=1) * (x**2).sum(axis=1)).mean())
    assert layer_traces(evaluator, ["fc"], draws=400)["fc"].fisher == pytest.approx(want, rel=0.1)


def test_derivatives_along_a_change_of_weights_are_the_closed_forms() -> None:
    """w8a8-dynamic changes no activation by a fixed grid, so the way is W + t D: the gradient is (p - label) . (D x)."""
    evaluator = linear(labelled=True)
    x, p, label = parts_of(evaluator)
    move = weights_in(evaluator.lowering, "fc", "w4a8-dynamic").astype(np.float64) - layer_weights(
        evaluator.lowering.graph, "fc"
    )
    y = x @ move.T
    (found,) = along_changes(evaluator, [(Group("fc", ("fc",)), "w4a8-dynamic")])
    assert np.allclose(found.first, ((p - label) * y).sum(axis=1), rtol=5e-3, atol=1e-4 * np.abs(y).max())
    second = (p * y**2).sum(axis=1) - (p * y).sum(axis=1) ** 2
    assert found.second.mean() == pytest.approx(second.mean(), rel=5e-3)


def test_without_labels_the_curvature_is_that_of_the_squared_error() -> None:
    """Squared error at its minimum: 2 |D x|^2 along D, the trace 2 C E|x|^2."""
    evaluator = linear(labelled=False)
    x = np.asarray(evaluator.data.one_input, np.float64)
    move = weights_in(evaluator.lowering, "fc", "w4a8-dynamic").astype(np.float64) - layer_weights(
        evaluator.lowering.graph, "fc"
    )
    (found,) = along_changes(evaluator, [(Group("fc", ("fc",)), "w4a8-dynamic")])
    assert np.allclose(found.second, 2 * ((x @ move.T) ** 2).sum(axis=1), rtol=1e-3)
    assert np.abs(found.first).max() < 1e-4 * found.second.max()
    trace = 2 * CLASSES * float((x**2).sum(axis=1).mean())
    assert layer_traces(evaluator, ["fc"], draws=200)["fc"].hessian == pytest.approx(trace, rel=0.15)
