"""Every shipped profile with prices has one for each format that it offers, and says which of them are assumed."""

from __future__ import annotations

import pytest

from workbench.cost.counts import LayerWork
from workbench.cost.latency import layer_time
from workbench.hardware import list_profiles, load_profile
from workbench.precision import UNSIGNED, parse_format

WEIGHTED = ("conv2d", "depthwise_conv2d", "fully_connected")


def _work(op: str, fmt: str) -> LayerWork:
    bits = 8.0 if fmt == UNSIGNED else float(parse_format(fmt).weight_bits or 8)
    return LayerWork(
        "layer", op, fmt, macs=9216, elements=0, outputs=1024, weights=144, weight_bits=bits, weight_bytes=144, channels=16,
        bias_bytes=64, out_channels=16, in_channels=16, window=9, pixels=64, groups=1, input_bytes=1024, output_bytes=1024,
    )  # fmt: skip


PRICED = [name for name in list_profiles() if load_profile(name).costs is not None]


@pytest.mark.parametrize("name", PRICED)
def test_every_format_on_offer_has_a_price(name: str) -> None:
    profile = load_profile(name)
    assert profile.costs is not None
    for op in WEIGHTED:
        for fmt in profile.formats(op):
            assert layer_time(profile, profile.costs.latency, _work(op, fmt), 208).terms, (op, fmt)


def test_narrow_weights_beside_int16_are_unpacked_at_an_assumed_price() -> None:
    boards = 0
    for profile in map(load_profile, list_profiles()):
        if profile.costs is None or not profile.name.endswith("-tflm"):
            continue
        for op in WEIGHTED:
            for fmt in {"w4a16", "w2a16"} & set(profile.formats(op)):
                assert profile.emulation(op, fmt) == "unpack" and profile.supports(op, "w8a16"), (profile.name, op, fmt)
                terms = layer_time(profile, profile.costs.latency, _work(op, fmt), 208).terms
                work = [t for t in terms if t.part in ("compute", "unpack")]
                assert work and {t.basis for t in work} == {"assumed"}, (profile.name, op, fmt)
                boards += 1
    assert boards >= 6


def test_a_format_of_another_profile_is_taken_away_by_null() -> None:
    board, other = load_profile("efr32mg24-mvp-tflm"), load_profile("stm32l4r5-cortex-m4-tflm")
    for op in WEIGHTED:
        assert other.supports(op, "w4a16") and not board.supports(op, "w4a16") and board.supports(op, "w2a8")
