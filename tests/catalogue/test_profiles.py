"""Every shipped profile: complete, named after its file, known operators, a price for everything that it supports."""

from __future__ import annotations

import pytest

from workbench.cost import check_operators
from workbench.cost.latency import find_row
from workbench.hardware import HardwareProfile, list_profiles, load_profile

NAMED = {
    "stm32g0b1-cortex-m0plus-tflm", "stm32l4r5-cortex-m4-tflm", "stm32l4r5-cortex-m4-xcubeai", "stm32h7a3-cortex-m7-xcubeai",
    "ethos-u55-128", "x86-litert-xnnpack", "nvidia-h100-fp16",
}  # fmt: skip


@pytest.fixture(params=list_profiles())
def profile(request: pytest.FixtureRequest) -> HardwareProfile:
    return load_profile(request.param)


def test_the_profiles_of_the_first_release_exist() -> None:
    assert set(list_profiles()) >= NAMED


@pytest.mark.parametrize("name", list_profiles())
def test_name_is_that_of_the_file(name: str) -> None:
    assert load_profile(name).name == name


def test_operators_are_known(profile: HardwareProfile) -> None:
    check_operators(profile)


def test_texts_are_written_out(profile: HardwareProfile) -> None:
    for text in (profile.title, profile.source, profile.core, profile.runtime, profile.exactness):
        assert len(text) > 8 and "draft" not in text.lower() and "todo" not in text.lower()
    assert any(word in profile.exactness.lower() for word in ("silicon", "runtime", "rule", "hardware vectors"))


def test_memories_have_sources(profile: HardwareProfile) -> None:
    assert {m.kind for m in profile.memories} == {"flash", "ram"}
    assert all(m.source for m in profile.memories) or profile.kind == "gpu"


def test_everything_supported_has_a_price(profile: HardwareProfile) -> None:
    assert profile.costs is not None
    for op in profile.operators:
        for fmt in profile.formats(op):
            find_row(profile, profile.costs.latency, op, fmt)
            if profile.emulation(op, fmt) == "unpack":
                assert int(fmt[1]) in profile.costs.latency.unpack


def test_every_arithmetic_resolves(profile: HardwareProfile) -> None:
    for op in profile.operators:
        for activation in ("int8", "int16", "float16", "float32"):
            profile.arithmetic(op, activation)
