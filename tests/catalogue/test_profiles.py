"""Every shipped profile: complete, named after its file, known operators, a price for everything that it supports."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from benchmarks.profile_index import PAGE, page
from workbench.cost import check_operators
from workbench.cost.latency import find_row
from workbench.hardware import HardwareProfile, list_profiles, load_profile
from workbench.listings import KINDS, PROOFS, profile_details, profile_table
from workbench.numerics.codings import SPARSE
from workbench.placement import host_of
from workbench.precision import TYPE_BITS

NAMED = {
    "stm32g0b1-cortex-m0plus-tflm", "stm32l4r5-cortex-m4-tflm", "stm32l4r5-cortex-m4-xcubeai", "stm32h7a3-cortex-m7-xcubeai",
    "ethos-u55-128", "ethos-u65-256", "ethos-u85-256", "x86-litert-xnnpack", "nvidia-v100", "nvidia-t4", "nvidia-a100",
    "nvidia-jetson-orin", "nvidia-h100", "nvidia-b200",
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
    said = {
        "silicon": r"silicon|hardware vectors",
        "runtime": "runtime",
        "reference_model": "mma-sim|model|simulator",
        "rule": "rule",
    }
    assert re.search(said[profile.proof], profile.exactness.lower())


def test_memories_have_sources(profile: HardwareProfile) -> None:
    assert {m.kind for m in profile.memories} == {"flash", "ram"}
    assert all(m.source for m in profile.memories)


def test_everything_supported_has_a_price(profile: HardwareProfile) -> None:
    assert profile.costs is not None
    for op in profile.operators:
        for fmt in profile.formats(op):
            find_row(profile, profile.costs.latency, op, fmt)
            if profile.emulation(op, fmt) == "unpack":
                assert int(fmt[1]) in profile.costs.latency.unpack


def test_every_arithmetic_resolves(profile: HardwareProfile) -> None:
    for op in profile.operators:
        for activation in TYPE_BITS:
            for coding in ("", SPARSE):
                profile.arithmetic(op, activation, coding)


def test_hosts_exist_and_price_what_they_take_over(profile: HardwareProfile) -> None:
    host = host_of(profile)
    if host is None or profile.fallback is None:
        return
    assert host.costs is not None and host.fallback is None
    for op in host.operators:
        for fmt in set(host.formats(op)) & set(profile.fallback.formats):
            find_row(host, host.costs.latency, op, fmt)


def test_the_list_of_profiles_says_how_the_bits_of_each_are_known() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(profile_table())
    lines = console.export_text().splitlines()
    shown = [next(line for line in lines if f" {name} " in line) for name in list_profiles()]
    assert all(PROOFS[load_profile(name).proof][0] in line for name, line in zip(list_profiles(), shown, strict=True))
    order = [line.split("│")[1].strip() for line in lines if any(f" {name} " in line for name in list_profiles())]
    assert order == sorted(order, key=KINDS.index)


def test_the_page_of_profiles_lists_what_ships() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m benchmarks.profile_index"


@pytest.mark.parametrize("width", [120, 200])
def test_details_of_every_profile_fit_the_terminal(profile: HardwareProfile, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    for part in profile_details(profile.name):
        console.print(part)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert all(op in text for op in profile.operators) and PROOFS[profile.proof][1][:20] in text
