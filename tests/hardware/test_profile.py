"""Bad profiles: one message that names the file, the path, what came, what fits and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import ProfileError
from workbench.hardware import load_profile
from workbench.numerics.arithmetic import Arithmetic

GOOD = """
name: board
title: "a board"
source: "a data sheet"
kind: mcu
core: "Cortex-M4"
runtime: "TFLM"
proof: rule
exactness: "rule only"
clock_hz: 120_000_000
memories:
  - {name: flash, kind: flash, size_bytes: 1_048_576}
  - {name: sram, kind: ram, size_bytes: 131_072}
arithmetic: {requantize: single}
operators:
  conv2d: {formats: [w8a8], emulated: {w2a8: unpack}, arithmetic_by_type: {a16: {requantize: double}}}
  add: {formats: [a8]}
"""


def write(folder: Path, text: str, name: str = "board.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def message(folder: Path, old: str, new: str) -> str:
    assert old in GOOD
    with pytest.raises(ProfileError) as caught:
        load_profile(write(folder, GOOD.replace(old, new)))
    text = str(caught.value)
    assert "board.yaml" in text
    return text


def test_a_good_profile_answers(tmp_path: Path) -> None:
    profile = load_profile(write(tmp_path, GOOD))
    assert profile.supports("conv2d", "w8a8") and profile.supports("conv2d", "w2a8") and not profile.supports("conv2d", "w4a8")
    assert profile.formats("conv2d") == ("w8a8", "w2a8") and profile.formats("softmax") == ()
    assert profile.emulation("conv2d", "w2a8") == "unpack" and profile.emulation("conv2d", "w8a8") == ""
    assert profile.size_bytes("flash") == 1_048_576 and profile.size_bytes("ram") == 131_072
    assert profile.arithmetic("conv2d", "int8").requantize == "single"
    assert profile.arithmetic("conv2d", "int16").requantize == "double"
    assert profile.arithmetic("conv2d", "int8").accumulator_bits == Arithmetic().accumulator_bits


@pytest.mark.parametrize(
    ("old", "new", "path", "hint"),
    [
        ("clock_hz", "clok_hz", "$.clok_hz is not a known key", "'clock_hz'"),
        ("clock_hz: 120_000_000", "clock_mhz: 120", "$.clock_mhz is not a known key", "'clock_hz'"),
        ("clock_hz: 120_000_000", "clock_hz: 120", "$.clock_hz is 120", "greater than or equal"),
        ("size_bytes: 1_048_576", "size_kib: 1024", "$.memories[0].size_kib is not a known key", "'size_bytes'"),
        ("size_bytes: 1_048_576", "size_bytes: 1024 KiB", "$.memories[0].size_bytes is '1024 KiB'", "integer"),
        ("kind: ram", "kind: rom", "$.memories[1].kind is 'rom'", "'ram'"),
        ("requantize: single", "requantise: single", "$.arithmetic.requantise is not a known rule", "'requantize'"),
        ("requantize: single", "requantize: singel", "$.arithmetic.requantize is 'singel'", "'single'"),
        (
            "requantize: double",
            "requantize: duble",
            "$.operators.conv2d.arithmetic_by_type.a16.requantize is 'duble'",
            "'double'",
        ),
        ("requantize: single", "accumulator_bits: wide", "$.arithmetic.accumulator_bits is 'wide'", "an integer"),
        ("requantize: single", "accumulator_bits: true", "$.arithmetic.accumulator_bits is True", "an integer"),
        ("requantize: single", "accumulator_bits: 1", "$.arithmetic.accumulator_bits is 1", "from 2 to 32"),
        ("requantize: single", "accumulator_bits_wide: 65", "$.arithmetic.accumulator_bits_wide is 65", "from 2 to 64"),
        ("requantize: single", "accumulator_tile: 0", "$.arithmetic.accumulator_tile is 0", "from 1 to 65536"),
        ("[w8a8]", "[w8a9]", "$.operators.conv2d.formats: 'w8a9' is not a format", "'w8a8'"),
        ("{w2a8: unpack}", "{w2a8: unpak}", "$.operators.conv2d.emulated.w2a8 is 'unpak'", "'unpack'"),
        ("{w2a8: unpack}", "{w2a8: decode}", "$.operators.conv2d.emulated.w2a8 is 'decode'", "unpack or widen for integers"),
        ("{w2a8: unpack}", "{nf4-fp16: widen}", "$.operators.conv2d.emulated.nf4-fp16 is 'widen'", "decode for weight-only"),
        ("{w2a8: unpack}", "{w8a8: unpack}", "$.operators.conv2d.emulated has 'w8a8'", "also in formats"),
        ("{w2a8: unpack}", "{w2a8: unpack}, files: [w2a8]", "$.operators.conv2d.files has 'w2a8'", "also in formats"),
        ("{w2a8: unpack}", "{w2a8: unpack}, files: [w3a8]", "$.operators.conv2d.files", "w3a8"),
        ("name: sram", "name: flash", "$.memories: two memories have one name", "flash"),
        ("title:", "titel:", "$.titel is not a known key", "'title'"),
    ],
)
def test_a_wrong_entry_is_named_with_what_fits(tmp_path: Path, old: str, new: str, path: str, hint: str) -> None:
    text = message(tmp_path, old, new)
    assert path in text and hint in text


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert "$.source is missing" in message(tmp_path, 'source: "a data sheet"\n', "")


def test_a_repeated_key_is_refused_with_its_line(tmp_path: Path) -> None:
    text = message(tmp_path, "kind: mcu\n", "kind: mcu\nkind: npu\n")
    assert "key 'kind' is repeated" in text and "board.yaml:6" in text


def test_an_unknown_name_lists_what_exists() -> None:
    with pytest.raises(ProfileError, match=r"no profile 'ethos-u55-12'. Did you mean 'ethos-u55-128'"):
        load_profile("ethos-u55-12")


COSTS = """costs:
  latency:
    inference: &c {value: 1, basis: assumed, uncertainty: 1.0, source: "test"}
    layer: *c
    network_uncertainty: 0.5
    layer_uncertainty: 0.5
    uncertainty_source: "test"
    operators:
      conv2d: [{formats: [w8a8], mac: *c}]
  energy: {active_power_w: *c, condition: "1.8 V"}
  memory:
    {channel_flash_bytes: *c, layer_flash_bytes: *c, channel_ram_bytes: *c, layer_ram_bytes: *c,
     runtime_flash_bytes: *c, runtime_ram_bytes: *c}
"""


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (
            "conv2d: [{",
            "conv2: [{",
            "$.costs.latency.operators.conv2 is not an operator of this profile. Did you mean 'conv2d'",
        ),
        ("mac: *c", "mca: *c", "$.costs.latency.operators.conv2d[0].mca is not a known key. Did you mean 'mac'"),
        ("basis: assumed", "basis: asumed", "$.costs.latency.inference.basis is 'asumed'"),
        (', source: "test"}', "}", "$.costs.latency.inference.source is missing"),
        ("value: 1", "value: -1", "$.costs.latency.inference.value is -1"),
        ("active_power_w", "active_power_mw", "active_power_mw is not a known key. Did you mean 'active_power_w'"),
    ],
)
def test_wrong_costs_are_named(tmp_path: Path, old: str, new: str, path: str) -> None:
    load_profile(write(tmp_path, GOOD + COSTS))
    assert old in COSTS
    with pytest.raises(ProfileError) as caught:
        load_profile(write(tmp_path, GOOD + COSTS.replace(old, new)))
    assert path in str(caught.value)


def test_extends_takes_over_arithmetic_and_operators_only(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    child = GOOD.replace("name: board", "name: child\nextends: board").replace("{requantize: single}", "{overflow: saturate}")
    child = child[: child.index("operators:")] + "operators:\n  add: {formats: [a16]}\n"
    profile = load_profile(write(tmp_path, child, "child.yaml"))
    assert profile.arithmetic("conv2d", "int8").requantize == "single"
    assert profile.arithmetic("conv2d", "int16").requantize == "double"
    assert profile.arithmetic("add", "int8").overflow == "saturate"
    assert profile.formats("conv2d") == ("w8a8", "w2a8") and profile.formats("add") == ("a16",)


def test_null_takes_an_operator_of_the_other_profile_away(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    child = GOOD.replace("name: board", "name: child\nextends: board")
    child = child[: child.index("operators:")] + "operators: {add: null, conv2d: {formats: [w4a8]}}\n"
    assert list(load_profile(write(tmp_path, child, "child.yaml")).operators) == ["conv2d"]
    with pytest.raises(ProfileError):  # there is nothing to take away
        load_profile(write(tmp_path, GOOD.replace("add: {formats: [a8]}", "add: null"), "lone.yaml"))


def test_extends_in_a_circle_or_of_nothing_is_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("name: board", "name: board\nextends: child"))
    child = write(tmp_path, GOOD.replace("name: board", "name: child\nextends: board"), "child.yaml")
    with pytest.raises(ProfileError, match="extends this profile in turn"):
        load_profile(child)
    lost = write(tmp_path, GOOD.replace("name: board", "name: lost\nextends: x86-litert-xnnpak"), "lost.yaml")
    with pytest.raises(ProfileError, match=r"no such profile. Did you mean 'x86-litert-xnnpack'"):
        load_profile(lost)
