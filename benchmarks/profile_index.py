"""Write the table of shipped profiles into docs/profiles.md: the rows of `workbench profiles`, as Markdown.

Usage: python -m benchmarks.profile_index
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.marked import filled
from workbench.listings import COLUMNS, profile_rows

PAGE = Path(__file__).resolve().parents[1] / "docs" / "profiles.md"
BEGIN = "<!-- made by benchmarks/profile_index.py -->\n"


def markdown() -> str:
    """Return the table."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *((kind, f"`{name}`", *rest) for kind, name, *rest in profile_rows())]
    return "".join(f"| {' | '.join(cell.replace('*', chr(92) + '*') for cell in line)} |\n" for line in lines)


def page() -> str:
    """Return the page with the table as it should be."""
    return filled(PAGE, BEGIN, markdown())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
