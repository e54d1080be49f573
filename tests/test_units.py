"""Quantities with units."""

from __future__ import annotations

import pytest

from workbench.study.units import parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("64 KiB", "bytes", 65536),
        ("1.0 %", "share", 0.01),
        ("10 ms", "seconds", 0.01),
        ("1_000 B", "bytes", 1000),
        ("2.5mJ", "joules", 0.0025),
    ],
)
def test_quantity(text: str, dimension: str, value: float) -> None:
    assert parse_quantity(text, dimension) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("64", "bytes"),
        (64, "bytes"),
        ("64 Kib", "bytes"),
        ("-1 %", "share"),
        ("1 ms", "bytes"),
        ("1e999 B", "bytes"),
        (None, "share"),
    ],
)
def test_wrong_quantity_says_what_fits(text: object, dimension: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_quantity(text, dimension)
