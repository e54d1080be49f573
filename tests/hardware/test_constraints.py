"""Constraints of operators: the little language, what a layer is, and where layers go that do not meet them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.hardware.test_profile import GOOD, write
from tests.hardware.vela_cases import cases
from workbench.cost import estimate, on_host, support
from workbench.errors import ProfileError
from workbench.execute import prepare
from workbench.graph.ir import Graph
from workbench.graph.quantities import QUANTITIES, Layer
from workbench.hardware import HardwareProfile, load_profile
from workbench.hardware.constraints import Constraint, Limit, Quantities
from workbench.loaders import load_model

LIMITS = "add: {formats: [a8]}"


def network(folder: Path, name: str) -> Graph:
    path = folder / "m.tflite"
    path.write_bytes(dict(cases())[name].bytes())
    return load_model(path)


def profile(folder: Path, operators: str, more: str = "") -> HardwareProfile:
    return load_profile(write(folder, GOOD[: GOOD.index("operators:")] + f"operators:\n{operators}\n{more}"))


def layer(folder: Path, name: str) -> Layer:
    graph = network(folder, name)
    return Layer(graph.nodes[0], graph.tensors)


@pytest.mark.parametrize(
    ("limit", "fits", "does_not", "text"),
    [
        ({"max": 3}, (-1, 0, 3), (4, 3.5), "at most 3"),
        ({"min": 2}, (2, 9), (1,), "at least 2"),
        ({"min": 1, "max": 70_000}, (1, 70_000), (0, 70_001), "1 to 70,000"),
        ({"multiple_of": 4}, (0, 4, 8), (3,), "a multiple of 4"),
        ({"multiple_of": 4, "max": 8}, (4, 8), (12, 6), "at most 8, a multiple of 4"),
        ([1, 3], (1, 3), (2,), "1 or 3"),
        (1, (1,), (0, 2), "1"),
        ([[1, 1], [3, 3]], ((1, 1), (3, 3)), ((1, 3), (2, 2)), "1x1 or 3x3"),
    ],
)
def test_a_limit_says_what_fits(limit: Any, fits: tuple[Any, ...], does_not: tuple[Any, ...], text: str) -> None:
    found = Limit.model_validate(limit)
    assert [found.missed(v) for v in fits] == [""] * len(fits)
    assert [found.missed(v) for v in does_not] == [text] * len(does_not)


def test_every_quantity_of_the_language_is_known_of_a_layer() -> None:
    assert set(QUANTITIES) == set(Quantities.model_fields)
    assert all(name in (Quantities.__doc__ or "") or name.endswith(("_h", "_w")) for name in QUANTITIES)


def test_quantities_by_hand(tmp_path: Path) -> None:
    def values(case: str, *names: str) -> list[Any]:
        found = layer(tmp_path, case)
        return [QUANTITIES[name](found) for name in names]

    conv = values(
        "conv-stride-4-same", "kernel", "kernel_area", "stride_h", "dilation", "padded", "in_channels", "out_channels", "groups",
        "group_channels", "in_plane", "out_h", "batch", "rank", "weights", "weight_bytes", "weight_sum", "bias_largest",
    )  # fmt: skip
    assert conv == [(5, 5), 25, 4, (1, 1), 1, 4, 8, 1, 4, 81, 3, 1, 4, 800, 800, 100, 0]
    assert values("depthwise-multiplier-2", "groups", "depth_multiplier", "weight_sum", "group_channels") == [4, 2, 9, 1]
    assert values("conv-16x8-bias-2**39", "bias_largest") == [2**39]
    assert values("mean-depth", "reduced", "largest_reduced", "reduces_channels", "smallest_dimension") == [4, 4, 1, 4]
    assert values("slice-step-2-c", "smallest_step", "channel_step") == [1, 2]
    assert values("transpose-0312", "permutation", "all_but_two", "largest_dimension") == [(0, 3, 1, 2), 48, 8]
    assert values("quantize-float-int8", "from_float") == [1] and values("quantize-int8-int8", "from_float") == [0]
    assert values("avg-pool-9-valid", "kernel", "padded", "inputs") == [(9, 9), 0, 1]


def test_a_broken_constraint_names_the_value_the_limit_and_the_source() -> None:
    rule = Constraint.model_validate({"when": {"padded": 1}, "kernel_h": {"max": 8}, "source": "a manual"})
    values = {"padded": 1, "kernel_h": 9}
    assert rule.violation(values.__getitem__) == "kernel_h is 9 with padded 1; at most 8 fits"
    assert (
        rule.violation({**values, "padded": 0}.__getitem__) == ""
        and rule.violation({**values, "kernel_h": 8}.__getitem__) == ""
    )
    assert rule.text == "kernel_h at most 8 when padded 1"


def test_a_layer_outside_of_the_constraints_is_unsupported_with_the_reason(tmp_path: Path) -> None:
    small = "  conv2d: {formats: [w8a8], constraints: {kernel: [[1, 1], [3, 3]], stride: [[1, 1]]}}"
    target = profile(tmp_path, small)
    assert support(network(tmp_path, "conv-3x3"), target) == []
    (problem,) = support(network(tmp_path, "conv-stride-4-same"), target)
    assert problem.reason == "kernel is 5x5; 1x1 or 3x3 fits" and problem.nearest == "" and "change the layer" in problem.hint


def test_constraints_of_one_type_leave_the_other_as_nearest(tmp_path: Path) -> None:
    rule = "constraints: [{formats: [a16], in_channels: {max: 2}, source: page 7}]"
    target = profile(tmp_path, f"  conv2d: {{formats: [w8a8, w8a16], {rule}}}")
    assert support(network(tmp_path, "conv-3x3"), target) == []
    (problem,) = support(network(tmp_path, "conv-16x8"), target)
    assert (problem.reason, problem.nearest) == ("in_channels is 4; at most 2 fits (page 7)", "w8a8")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{kernl_h: {max: 3}}", "$.operators.conv2d.constraints[0].kernl_h is not a known key. Did you mean 'kernel_h'"),
        ("{kernel_h: {maximum: 3}}", "constraints[0].kernel_h.maximum is not a known key. Did you mean 'max'"),
        ("{kernel_h: {}}", "give min, max, multiple_of, or a list of what fits"),
        ("{kernel_h: three}", "constraints[0].kernel_h is 'three'"),
        ("{kernel: {max: 3, one_of: [[3, 3]]}}", "are for single numbers"),
        ("{when: {padded: 1}}", "$.operators.conv2d.constraints[0] limits nothing"),
        ("{formats: [a9], batch: 1}", "$.operators.conv2d.constraints[0].formats: 'a9' is not a format"),
    ],
)
def test_a_wrong_constraint_is_named(tmp_path: Path, entry: str, message: str) -> None:
    with pytest.raises(ProfileError) as caught:
        profile(tmp_path, f"  conv2d: {{formats: [w8a8], constraints: [{entry}]}}")
    assert message in str(caught.value)


def test_a_quantity_that_the_operator_lacks_is_refused(tmp_path: Path) -> None:
    target = profile(tmp_path, "  add: {formats: [a8], constraints: {kernel_h: {max: 3}}}")
    with pytest.raises(ProfileError, match=r"operators.add.constraints: add has no 'kernel_h'"):
        support(network(tmp_path, "add"), target)


FALLBACK = """fallback:
  profile: stm32l4r5-cortex-m4-tflm
  formats: [w8a8, a8]
  cycles: {value: 0.5, basis: assumed, uncertainty: 1.0, source: "test"}
  source: "test"
"""
STRICT = "  conv2d: {formats: [w8a8], arithmetic: {requantize: single}, constraints: {kernel_area: {max: 1}}}"


def test_a_layer_falls_back_to_the_host_with_its_arithmetic_and_its_cost(tmp_path: Path) -> None:
    graph, target = network(tmp_path, "conv-3x3"), load_profile("ethos-u55-128")
    tight = target.operators["conv2d"].model_copy(update={"constraints": (Constraint.model_validate({"kernel_area": 1}),)})
    narrow = target.model_copy(update={"operators": {**target.operators, "conv2d": tight}})
    assert support(graph, narrow) == []
    (moved,) = on_host(graph, narrow)
    assert moved.host == "stm32l4r5-cortex-m4-tflm" and "kernel_area is 9; 1 fits" in str(moved)
    row, host = estimate(graph, narrow).layers[0], estimate(graph, load_profile(moved.host)).layers[0]
    assert row.emulation == "host" and row.basis == "assumed" and row.weight_bytes == host.weight_bytes == 288
    assert narrow.fallback is not None and narrow.clock_hz == 500_000_000
    cycles = host.latency_s * 120_000_000 * narrow.fallback.cycles.value
    assert row.latency_s == pytest.approx(cycles / narrow.clock_hz)
    # the arithmetic is the host's: another rule there, other bits
    target = profile(tmp_path, STRICT, FALLBACK)
    assert prepare(graph, target).steps[0].site.arithmetic == load_profile(moved.host).arithmetic("conv2d", "int8")
    own = target.model_copy(update={"fallback": None})
    assert prepare(graph, own).steps[0].site.arithmetic.requantize == "single"
    assert len(support(graph, own)) == 1


def test_the_host_takes_only_the_formats_that_the_profile_leaves_to_it(tmp_path: Path) -> None:
    target = profile(tmp_path, STRICT, FALLBACK)
    assert support(network(tmp_path, "softmax"), target) == [] and len(on_host(network(tmp_path, "softmax"), target)) == 1
    (problem,) = support(network(tmp_path, "softmax-int16"), target)
    assert problem.reason.startswith("'board' has no softmax") and problem.nearest == "a8"  # that the host takes
    graph = network(tmp_path, "conv-3x3")
    real = {k: replace(t, dtype="float32", quant=None, data=None if t.data is None else t.data.astype(np.float32))
            for k, t in graph.tensors.items()}  # fmt: skip
    (problem,) = support(replace(graph, tensors=real), target)
    assert problem.format == "fp32" and problem.nearest == "w8a8"  # not on the target, whose kernels are 1x1: on its host


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "stm32l4r5-cortex-m4-tflm",
            "stm32l4r5-cortex-m4-tflite",
            "no such other profile. Did you mean 'stm32l4r5-cortex-m4-tflm'",
        ),
        ("stm32l4r5-cortex-m4-tflm", "ethos-u55-128", "'ethos-u55-128' has a fallback itself"),
        ("stm32l4r5-cortex-m4-tflm", "board", "no such other profile"),
        ("[w8a8, a8]", "[w8a9]", "$.fallback.formats: 'w8a9' is not a format"),
        ("cycles:", "cycle:", "$.fallback.cycle is not a known key. Did you mean 'cycles'"),
    ],
)
def test_a_wrong_fallback_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ProfileError) as caught:
        profile(tmp_path, STRICT, FALLBACK.replace(old, new))
    assert message in str(caught.value)


def test_a_host_beside_the_profile_is_found(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("name: board", "name: host").replace(LIMITS, "add: {formats: [a8, a16]}"), "host.yaml")
    target = profile(tmp_path, STRICT, FALLBACK.replace("stm32l4r5-cortex-m4-tflm", "host"))
    (moved,) = on_host(network(tmp_path, "add"), target)
    assert moved.host == "host"
