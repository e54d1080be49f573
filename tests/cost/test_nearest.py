"""The nearest supported format: same kind of activations, then the next wider activation, then the next wider weight."""

from __future__ import annotations

import pytest

from workbench.cost import nearest_format

INTEGERS = ("w8a8", "w8a8-per-tensor", "w4a8", "w8a16")
FLOATS = ("fp16", "tf32", "fp32")


@pytest.mark.parametrize(
    ("wanted", "known", "nearest"),
    [
        ("w4a16", INTEGERS, "w8a16"),  # activations of the same width before weights of the same width
        ("w2a8", INTEGERS, "w4a8"),  # the next wider weight
        ("w8a4", INTEGERS, "w8a8"),  # the next wider activation, then the same weight
        ("w4a4", INTEGERS, "w4a8"),
        ("w4a8-per-tensor", ("w8a8-per-tensor", "w4a8"), "w4a8"),  # the width of weights before their granularity
        ("w8a8-per-tensor", ("w8a8", "w4a8-per-tensor"), "w8a8"),
        ("w8a16", ("w4a8", "w8a8"), "w8a8"),  # nothing wider: the next narrower activation
        ("w8a8", ("w4a8", "w2a8"), "w4a8"),  # nothing wider: the next narrower weight
        ("w8a8", FLOATS, "fp16"),  # no integers: floats, the next wider
        ("fp16", INTEGERS, "w8a16"),
        ("fp32", INTEGERS, "w8a16"),
        ("fp8", (*FLOATS, "w8a8"), "fp16"),  # same kind before same width
        ("fp8-e5m2", ("fp16", "fp8"), "fp8"),
        ("bf16", ("fp32", "fp16"), "fp16"),
        ("tf32", ("fp16", "fp32"), "fp32"),
        ("fp16-2:4", ("fp32", "fp16", "w8a8-2:4"), "fp16"),
        ("w8a8-2:4", ("fp16-2:4", "w4a8", "w8a8"), "w8a8"),
        ("a16", ("a8", "fp16"), "a8"),  # operators without weights
        ("a4", ("a16", "a8"), "a8"),
        ("a8", ("fp32", "fp16"), "fp16"),
        ("fp16", ("a8", "a16"), "a16"),
        ("fp8", ("a8", "fp16"), "fp16"),
        ("float32/int8", ("w8a8",), "w8a8"),  # a mixture that has no name
        ("w8a8", (), ""),
    ],
)
def test_nearest(wanted: str, known: tuple[str, ...], nearest: str) -> None:
    assert nearest_format(wanted, known) == nearest
    assert nearest_format(wanted, known[::-1]) == nearest  # not by chance of the order
