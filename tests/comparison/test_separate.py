"""Which switches are made one: against all partitions of few switches, and on rules that no kernel follows together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from tests.comparison.cases import TFLM, adding, with_operator
from workbench.comparison.results import Attribution
from workbench.comparison.separate import example, finest_parts
from workbench.comparison.tables import CHANGES, changes_text
from workbench.data import read_arrays
from workbench.graph.ir import Array
from workbench.hardware import load_profile

ROOT = Path(__file__).resolve().parents[2]


def bit(mask: int, i: int) -> bool:
    return bool(mask >> i & 1)


def table(count: int, refuses: Callable[[int], bool]) -> Array:
    return np.array([refuses(mask) for mask in range(1 << count)])


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    """Yield every way to put items into blocks."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for blocks in partitions(rest):
        yield [[first], *blocks]
        for i, block in enumerate(blocks):
            yield [*blocks[:i], [first, *block], *blocks[i + 1 :]]


def valid(blocks: list[list[int]], refused: Array) -> bool:
    masks = [sum(1 << i for i in block) for block in blocks]
    return not any(refused[sum(m for k, m in enumerate(masks) if bit(c, k))] for c in range(1 << len(masks)))


def test_what_needs_something_is_made_one_with_that_alone() -> None:
    # 0 needs 4; 2 needs 3; 1 and 5 are free: the first refused coalition, {0}, is mended by 4 and by no pair of others.
    refused = table(6, lambda m: (bit(m, 0) and not bit(m, 4)) or (bit(m, 2) and not bit(m, 3)))
    parts, unions = finest_parts(refused, 6)
    assert parts == (0b010001, 0b000010, 0b001100, 0b100000)
    assert {(u.conflict.thrown, u.conflict.left) for u in unions} == {((0,), (4,)), ((2,), (3,))}


def test_a_conflict_is_shown_where_nothing_else_is_wrong() -> None:
    refused = table(3, lambda m: bit(m, 0) and not (bit(m, 1) and bit(m, 2)))  # {0} lacks both
    _, unions = finest_parts(refused, 3)
    assert {(u.conflict, example(refused, u.conflict)) for u in unions} == {(((0,), (1,)), 0b101), (((0,), (2,)), 0b011)}


def test_a_conflict_of_three() -> None:
    refused = table(4, lambda m: bit(m, 0) and bit(m, 2) and not bit(m, 3))  # either mends it
    parts, (union,) = finest_parts(refused, 4)
    assert len(parts) == 3 and (union.conflict.thrown, union.conflict.left) == ((0, 2), (3,))


@pytest.mark.parametrize("seed", range(12))
def test_as_many_parts_as_any_partition_has(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 5
    needs = [(*rng.choice(count, 1 + rng.integers(3), replace=False),) for _ in range(3)]
    refused = table(count, lambda m: any(bit(m, a) and not any(bit(m, b) for b in rest) for a, *rest in needs if rest))
    parts, unions = finest_parts(refused, count)
    blocks = [[i for i in range(count) if bit(part, i)] for part in parts]
    assert sorted(i for block in blocks for i in block) == list(range(count)) and valid(blocks, refused)
    assert len(parts) == max(len(p) for p in partitions(list(range(count))) if valid(p, refused)) == count - len(unions)


def attribution(a: str, b: str) -> Attribution:
    """Return the attribution on the shipped CNN: convolutions, depthwise, an addition, an average over the image, fully connected."""
    data = read_arrays(ROOT / "studies" / "data" / "fashion_mnist.npz")
    x = (data["test_x"][:24] / 255).astype(np.float32)
    model = ROOT / "studies" / "models" / "fashion_cnn.onnx"
    found = wb.compare(a, b, model, x, data["test_y"][:24], plan="w8a8-per-tensor", calibration=x).attribution
    assert found is not None and found.exact
    return found


def test_what_a_rule_cannot_do_without_goes_with_it_and_nothing_else() -> None:
    found = attribution(TFLM, "esp32-s3")
    assert [c.switch for c in found.contributions] == [
        "scale kind + requantization rule",
        "zero points + shared scales + elementwise rules + pooling, means and sums",
        "accumulator",
    ]
    note = next(n for n in found.notes if "'scale kind'" in n)
    assert note.startswith(
        "'requantization rule' and 'scale kind' are switched together. 'requantization rule' without 'scale kind':"
    )
    assert note.endswith("is no power of two, and this target only shifts.")
    assert any("without 'zero points'" in n and n.endswith("averages by a reciprocal need zero point 0.") for n in found.notes)
    assert len(found.notes) == 4 and all("accumulator" not in n for n in found.notes)


def test_rules_of_runtimes_are_separate_switches() -> None:
    found = attribution(TFLM, "x86-vnni-onnxruntime")
    assert not found.notes
    assert [c.switch for c in found.contributions] == [
        "requantization rule", "elementwise rules", "pooling, means and sums", "quantize and dequantize",
    ]  # fmt: skip


def test_a_rule_of_products_and_one_of_additions_are_separate() -> None:
    # XNNPACK's addition reads no requantization rule; the fixed-point one has none with float32_half_even.
    a = with_operator(load_profile(TFLM), "add", "a", requantize="double", add="fixed_point")
    b = with_operator(load_profile(TFLM), "add", "b", requantize="float32_half_even", add="xnnpack")
    x = np.arange(-128, 128, dtype=np.int8).reshape(-1, 4)
    found = wb.compare(a, b, adding(), x).attribution
    assert found is not None and found.exact and found.coalitions == 2 and not found.notes
    (only,) = found.contributions
    assert only.switch == "elementwise rules"
    assert only.changes == ("requantize double -> float32_half_even (add)", "add fixed_point -> xnnpack (add)")


def test_cells_show_what_fits() -> None:
    assert changes_text(("a 1 -> 2", "b 2 -> 3")) == "a 1 -> 2; b 2 -> 3"
    many = changes_text([f"field{i} 1 -> 2 (conv2d)" for i in range(90)])
    assert (
        len(many) < CHANGES + 20
        and many.startswith("field0 1 -> 2 (conv2d); field1 ")
        and many.endswith(f"; and {90 - many.count('->')} more")
    )
    assert changes_text(["x" * 900]).endswith("x…") and len(changes_text(["x" * 900])) <= CHANGES
