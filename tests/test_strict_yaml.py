"""YAML traps are refused with the place."""

from __future__ import annotations

import pytest

from workbench.errors import InputError
from workbench.strict_yaml import parse_yaml


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1e6", "not a number to YAML"),
        ("a: 010", "not a number to YAML"),
        ("a: 1\na: 2", "key 'a' is repeated"),
        ("a: ]", "x:1:4"),
        ("- 1", "expected a mapping"),
        ("? [1, 2]\n: 3", "keys must be plain text"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: " + "[" * 200_000, "x:1:53: is nested deeper than 50 levels"),
        ("- " * 200_000, "is nested deeper than 50 levels"),
    ],
)
def test_traps_are_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says.replace("(", "\\(")):
        parse_yaml(text, "x")


def test_plain_values_pass() -> None:
    assert parse_yaml("a: 1_000\nb: 1.0e+6\nc: '1e6'\nd: {e: yes}", "x") == {"a": 1000, "b": 1e6, "c": "1e6", "d": {"e": True}}
