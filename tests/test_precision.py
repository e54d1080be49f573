"""Formats and plans."""

from __future__ import annotations

import pytest

from workbench.errors import InputError
from workbench.precision import STANDARD_FORMATS, PrecisionPlan, format_name, parse_format


@pytest.mark.parametrize("name", STANDARD_FORMATS)
def test_every_standard_format_parses_to_its_own_name(name: str) -> None:
    fmt = parse_format(name)
    assert fmt.name == name
    assert format_name(fmt.weight, fmt.activation, fmt.granularity, fmt.coding) == name


def test_unknown_format_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'w8a8'"):
        parse_format("w8a9")


def test_int16_activations_have_int64_bias() -> None:
    assert parse_format("w8a16").bias == "int64"
    assert parse_format("w4a8").bias == "int32"


def test_plan_is_canonical() -> None:
    a = PrecisionPlan.of("w8a8", {"b": "w4a8", "a": "w8a8"})
    assert a == PrecisionPlan.of("w8a8", [("b", "w4a8")])
    assert a.format_of("a").name == "w8a8"
    assert a.format_of("b").name == "w4a8"
    assert a.label() == "w8a8 + b:w4a8"


def test_plan_names_unknown_layers() -> None:
    with pytest.raises(InputError, match="Did you mean 'conv1'"):
        PrecisionPlan.of("w8a8", {"conv2": "w4a8"}).check_layers(["conv1", "fc"])
