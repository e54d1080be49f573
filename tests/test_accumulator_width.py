"""The picture of accuracy against accumulator width: what is measured is what it says, and every point is drawn."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from benchmarks.accumulator_width import A2Q, FORMATS, OVERFLOWS, WIDTHS, Curve, Needs, draw, table, variant
from workbench.hardware import load_profile


def test_every_operator_gets_the_accumulator() -> None:
    profile = load_profile("x86-litert-xnnpack")  # operators with arithmetic of their own
    made = variant(profile, 17, "saturate_tiles")
    for op in profile.operators:
        for activation in ("int8", "int16"):
            rules, before = made.arithmetic(op, activation), profile.arithmetic(op, activation)
            assert (rules.accumulator_bits, rules.overflow, rules.accumulator_tile) == (17, "saturate_tiles", 16)
            assert (rules.requantize, rules.add) == (before.requantize, before.add)


def test_all_points_are_drawn_and_printed() -> None:
    rng = np.random.default_rng(0)
    curves = [Curve(f, o, tuple(rng.uniform(10, 90, len(WIDTHS)).tolist())) for f in FORMATS for o in OVERFLOWS]
    (axes,) = draw(curves, {f: Needs(23, 19) for f in FORMATS}, 846).axes
    drawn = {line.get_label(): [*zip(*map(list, line.get_data()), strict=True)] for line in axes.lines}  # type: ignore[call-overload]
    for c in curves:
        points = [*zip(WIDTHS, c.top1, strict=True)]
        assert points in drawn.values()
    assert [*A2Q.items()] in drawn.values()
    rows = table(curves).splitlines()
    assert len(rows) == 2 + len(WIDTHS)
    assert f"| 12 | {curves[0].top1[WIDTHS.index(12)]:.1f} |" in rows[2 + WIDTHS.index(12)] and rows[
        2 + WIDTHS.index(12)
    ].endswith("| 83.9 |")


def test_the_profile_on_the_page_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "accumulators.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "own.yaml").write_text(text)
    found = load_profile(tmp_path / "own.yaml")
    assert (
        found.arithmetic("conv2d", "int8").accumulator_bits == 24
        and found.arithmetic("fully_connected", "int8").accumulator_bits == 20
    )
