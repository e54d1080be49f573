"""Recurrent layers with outer states, and normalization over trailing axes: rules, prices, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from workbench.cost import estimate, support
from workbench.errors import InputError, ModelError, UnsupportedError
from workbench.execute import check_inputs, prepare, run_reference
from workbench.graph.ir import Graph, Node, Tensor
from workbench.hardware import list_profiles, load_profile
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS, Site
from workbench.ops.recurrent import DEFAULTS, GATES
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering
from workbench.tensor import QuantParams

STEPS, DEPTH, UNITS = 4, 3, 5


def rand(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


def network(cell: str, **attrs: Any) -> Graph:
    """Return one layer whose initial states are inputs."""
    rows = GATES[cell] * UNITS
    constants = {"w": rand(rows, DEPTH), "r": rand(rows, UNITS), "b": rand(2 * rows)}
    tensors = {name: Tensor(name, data.shape, "float32", data=data) for name, data in constants.items()}
    states = ("h0", "c0") if cell == "lstm_with_states" else ("h0",)
    outputs = ("y", "h", "c")[: len(states) + 1]
    tensors |= {"x": Tensor("x", (1, STEPS, DEPTH), "float32"), "y": Tensor("y", (1, STEPS, UNITS), "float32")}
    tensors |= {name: Tensor(name, (1, UNITS), "float32") for name in (*states, *outputs[1:])}
    node = Node(
        "op",
        cell,
        ("x", "w", "r", "b", *states),
        outputs,
        OPS[cell].attrs(cell, attrs.pop("functions", DEFAULTS[cell]), **attrs),
    )
    return Graph(cell, (node,), tensors, ("x", *states), outputs)


def feed(graph: Graph, samples: int) -> dict[str, np.ndarray]:
    return {name: rand(samples, *graph.tensors[name].shape[1:]) for name in graph.inputs}


@pytest.mark.parametrize("cell", GATES)
def test_sequence_in_two_parts_equals_the_whole(cell: str) -> None:
    """States that go out come back: the second half of a sequence continues where the first ended."""
    graph = network(cell)
    values = feed(graph, 3)
    whole = run_reference(graph, values)
    half = replace(graph, tensors={**graph.tensors, "x": replace(graph.tensors["x"], shape=(1, STEPS // 2, DEPTH))})
    first = run_reference(half, {**values, "x": values["x"][:, : STEPS // 2]})
    states = {"h0": first["h"], **({"c0": first["c"]} if "c" in first else {})}
    second = run_reference(half, {"x": values["x"][:, STEPS // 2 :], **states})
    np.testing.assert_array_equal(np.concatenate([first["y"], second["y"]], axis=1), whole["y"])
    np.testing.assert_array_equal(second["h"], whole["h"])


@pytest.mark.parametrize("cell", GATES)
def test_reverse_is_the_layer_on_the_turned_sequence(cell: str) -> None:
    graph, turned = network(cell), network(cell, reverse=True)
    values = feed(graph, 2)
    want = run_reference(graph, {**values, "x": values["x"][:, ::-1]})
    got = run_reference(turned, values)
    np.testing.assert_array_equal(got["y"][:, ::-1], want["y"])
    np.testing.assert_array_equal(got["h"], want["h"])


@pytest.mark.parametrize("name", [n for n in list_profiles() if "gru" in load_profile(n).operators])
@pytest.mark.parametrize("cell", GATES)
def test_every_recurrent_layer_has_a_rule_and_a_price(name: str, cell: str) -> None:
    profile, graph = load_profile(name), network(cell)
    values = feed(graph, 2)
    want = run_reference(graph, values)["y"]
    for fmt in profile.formats(cell):
        low, plan = Lowering(graph, profile), PrecisionPlan.of(fmt)
        lowered = low.quantized(plan)
        assert support(lowered, profile) == []
        assert estimate(lowered, profile).latency_s > 0
        got = next(iter(low.program(plan).run(check_inputs(lowered, values)).values()))
        np.testing.assert_allclose(got.astype(np.float32), want, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"functions": ("sigmoid",)}, "functions"), ({"functions": ("sigmoid", "affine")}, "affine"), ({"clip": -1.0}, "clip"),
        ({"clip": float("nan")}, "clip"),
    ],
)  # fmt: skip
def test_attributes_that_mean_nothing_are_refused(change: dict[str, Any], word: str) -> None:
    graph = network("gru", **change)
    with pytest.raises(ModelError, match=word):
        run_reference(graph, feed(graph, 1))


def test_shapes_that_do_not_fit_are_refused() -> None:
    attrs = OPS["gru"].attrs("gru", DEFAULTS["gru"])
    good = [(1, STEPS, DEPTH), (15, DEPTH), (15, UNITS), (30,), (1, UNITS)]
    assert OPS["gru"].infer_shape(attrs, good)[0] == (1, STEPS, UNITS)
    for i, bad in ((0, (1, DEPTH)), (1, (14, DEPTH)), (1, (15, DEPTH + 1)), (2, (15, 4)), (3, (15,)), (4, (2, UNITS)), (2, ())):
        with pytest.raises(ModelError, match="gru: shapes"):
            OPS["gru"].infer_shape(attrs, [*good[:i], bad, *good[i + 1 :]])


def test_states_of_another_number_of_samples_are_refused() -> None:
    graph = network("gru")
    with pytest.raises(ModelError, match=r"gru: shapes .*\(2, 5\)"):
        run_reference(graph, {"x": rand(3, STEPS, DEPTH), "h0": rand(2, UNITS)})


@pytest.mark.parametrize("op", ["gru", "layer_norm", "rms_norm"])
def test_integers_have_no_rule(op: str) -> None:
    quant = QuantParams.per_tensor(0.1)
    if op == "gru":
        graph = network("gru")
        node, tensors = (
            graph.nodes[0],
            {n: t if t.is_constant else replace(t, dtype="int8", quant=quant) for n, t in graph.tensors.items()},
        )
        inputs, outputs = tuple(tensors[n] for n in node.inputs), tuple(tensors[n] for n in node.outputs)
        attrs = node.attrs
    else:
        inputs = outputs = (Tensor("x", (1, 4), "int8", quant),)
        attrs = OPS[op].attrs(1)
    with pytest.raises(UnsupportedError, match="integers have no rule"):
        OPS[op].prepare(Site("node", op, attrs, inputs, outputs, Arithmetic()))


def test_program_checks_the_shapes_of_what_it_is_fed() -> None:
    graph = network("gru")
    program = prepare(graph, load_profile("x86-vnni-onnxruntime"))
    with pytest.raises(InputError, match="'x'"):
        program.run({"x": rand(2, STEPS, DEPTH + 1), "h0": rand(2, UNITS)})


@pytest.mark.parametrize(
    ("axis", "epsilon", "part", "word"),
    [(2, 1e-5, (), "axis"), (0, -1.0, (), "epsilon"), (1, float("inf"), (), "epsilon"), (1, 1e-5, (3,), "scale or bias")],
)
def test_normalization_refuses_what_does_not_fit(axis: int, epsilon: float, part: tuple[int, ...], word: str) -> None:
    with pytest.raises(ModelError, match=word):
        OPS["layer_norm"].infer_shape(OPS["layer_norm"].attrs(axis, epsilon), [(2, 4), part])


@pytest.mark.parametrize("op", ["layer_norm", "rms_norm"])
def test_normalization_equals_its_formula(op: str) -> None:
    """In plain Python floats; what is normalized are the last two of three axes."""
    x, scale, bias = rand(2, 3, 4), rand(3, 4), rand(3, 4) * 0.5
    args = [x, scale, bias] if op == "layer_norm" else [x, scale]
    (got,) = OPS[op].reference(OPS[op].attrs(1, 1e-3), args)
    for sample, made in zip(x.tolist(), got.tolist(), strict=True):
        numbers = [v for row in sample for v in row]
        mean = sum(numbers) / 12 if op == "layer_norm" else 0.0
        root = (sum((v - mean) ** 2 for v in numbers) / 12 + 1e-3) ** 0.5
        for i, row in enumerate(sample):
            for j, v in enumerate(row):
                want = (v - mean) / root * float(scale[i, j]) + (float(bias[i, j]) if op == "layer_norm" else 0.0)
                assert made[i][j] == pytest.approx(want, abs=1e-6)
