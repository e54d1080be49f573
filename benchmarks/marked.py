"""A part of a page that is made from the code, between two marks."""

from __future__ import annotations

from pathlib import Path

END = "<!-- end -->"


def filled(page: Path, begin: str, made: str) -> str:
    """Return the page with `made` between its line `begin` and the mark that ends it."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    return before + begin + made + END + rest.partition(END)[2]
