"""Pages that are made from the code are as the code is."""

from __future__ import annotations

from benchmarks import operators_table
from tests.models import page as models_page


def test_the_page_of_operators_is_made_from_the_cases() -> None:
    assert operators_table.PAGE.read_text(encoding="utf-8") == operators_table.page(), (
        "run python -m benchmarks.operators_table"
    )


def test_the_page_of_models_lists_the_catalogue() -> None:
    assert models_page.PAGE.read_text(encoding="utf-8") == models_page.page(), "run python -m tests.models.page"


def test_four_hundred_operator_cases_and_more() -> None:
    from tests.operators.case import all_cases

    assert len(all_cases()) >= 400
