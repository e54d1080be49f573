"""Which layers may have a format: refused ones get the nearest that they may have while the rest is tried."""

from __future__ import annotations

import numpy as np

from tests.networks import small_cnn
from workbench.hardware import load_profile
from workbench.hardware.constraints import Constraint
from workbench.quantize import Lowering, calibrate
from workbench.sweep import legal_formats

X = np.random.default_rng(0).standard_normal((4, 8, 8, 1)).astype(np.float32)


def lowering(name: str, **operators: dict[str, object]) -> Lowering:
    """Return the lowering of the small network; operators: fields of the profile's operators to change."""
    profile, graph = load_profile(name), small_cnn()
    changed = {op: profile.operators[op].model_copy(update=fields) for op, fields in operators.items()}
    return Lowering(graph, profile.model_copy(update={"operators": {**profile.operators, **changed}}), calibrate(graph, X))


def test_a_format_is_legal_for_the_layers_that_may_have_it() -> None:
    legal, left_out = legal_formats(lowering("nvidia-h100"), ["fp16", "fp8", "w4a8"])
    assert legal == {"fp16": frozenset({"conv1", "dw2", "pw3", "fc6"}), "fp8": frozenset({"conv1", "pw3", "fc6"})}
    (fp8, why), (w4a8, why_not) = left_out
    assert (fp8, w4a8) == ("fp8", "w4a8")
    assert why.startswith("not on dw2: node 'dw2': depthwise_conv2d in fp8 is not supported") and "Nearest: fp16." in why
    assert why_not.startswith("node 'conv1': conv2d in w4a8 is not supported") and "Nearest: w8a8." in why_not


def test_a_constraint_keeps_a_format_from_one_layer() -> None:
    small = (Constraint.model_validate({"formats": ["a16"], "kernel_area": 1}),)
    legal, left_out = legal_formats(lowering("stm32l4r5-cortex-m4-tflm", conv2d={"constraints": small}), ["w8a8", "w8a16"])
    assert legal["w8a16"] == frozenset({"dw2", "pw3", "fc6"}) and legal["w8a8"] == frozenset({"conv1", "dw2", "pw3", "fc6"})
    ((fmt, why),) = left_out
    assert fmt == "w8a16" and "kernel_area is 9; 1 fits. Nearest: w8a8." in why


def test_a_format_that_an_operator_without_weights_lacks_is_left_out_with_the_reason() -> None:
    legal, left_out = legal_formats(lowering("stm32l4r5-cortex-m4-tflm", add={"formats": ("a8",)}), ["w8a8", "w8a16"])
    assert list(legal) == ["w8a8"]
    ((fmt, why),) = left_out
    assert fmt == "w8a16" and why.startswith("node 'add4': add in a16 is not supported") and "Nearest: a8." in why


def test_what_no_rule_computes_is_left_out() -> None:
    rules = {"mean": {"arithmetic": {"requantize": "float64_half_away"}}}
    legal, left_out = legal_formats(lowering("stm32l4r5-cortex-m4-tflm", **rules), ["w8a8", "fp32"])  # type: ignore[arg-type]
    assert list(legal) == ["fp32"] and "no rule for mean" in left_out[0][1]
