"""`python -m tests.models.page` writes the table of networks into docs/models.md, from the catalogue that the tests check."""

from __future__ import annotations

from pathlib import Path

from benchmarks.marked import filled
from tests.models.catalogue import MODELS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
BEGIN = "<!-- made by python -m tests.models.page -->\n"


def table() -> str:
    """Return the rows."""
    lines = ["| package | network | task | claim |", "|---|---|---|---|"]
    for m in MODELS:
        claim = f"refused: {m.why}" if m.claim == "refused" else m.claim
        given = f" ({', '.join(f'{k}={v}' for k, v in m.dims.items())})" if m.dims else ""
        lines.append(f"| {m.package} | `{m.file.rsplit('/', 1)[-1]}`{given} | {m.task} | {claim} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the page as it should be."""
    return filled(PAGE, BEGIN, table())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
