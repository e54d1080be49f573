"""What constants may cost over a whole ONNX file: small files that ask for much are refused before they get it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.loaders.onnx_bombs import BOMBS, bomb, filled
from tests.loaders.onnx_cases import compare, load, model, node, rand
from workbench.errors import ModelError
from workbench.loaders.onnx import fold_budget
from workbench.loaders.onnx.fold import fold
from workbench.loaders.onnx.fold_budget import Budget, CannotFold

VECTOR = {"x": ("N", 4)}


@pytest.mark.parametrize("name", BOMBS)
def test_small_file_that_asks_for_much_is_refused_once_and_clearly(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx: node '.*' \(\w+\): ") as problem:
        load(bomb(name), tmp_path)
    assert len(str(problem.value)) < 600


@pytest.mark.parametrize("opset", [9, 11, 13])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_softmax_of_a_constant_is_that_of_the_operator_set(op: str, axis: int | None, opset: int, tmp_path: Path) -> None:
    nodes = [node(op, "c", "k", **({} if axis is None else {"axis": axis})), node("Add", "x k", "y")]
    compare(model(nodes, {"x": ("N", 3, 4)}, {"c": rand(2, 3, 4)[:1] * 3}, opset=opset), tmp_path)


@pytest.mark.parametrize("opset", [13, 17])
def test_products_and_normalizations_of_constants_that_fit_are_computed(opset: int, tmp_path: Path) -> None:
    nodes = [
        node("Gemm", "a b c", "g", transA=1, transB=1),
        node("MatMul", "g v", "m"),
        node("BatchNormalization", "n s s s u", "o"),
        node("ReduceSum", "o", "p", keepdims=0),
        node("ReduceSum", "m", "q", keepdims=0),
        node("Mul", "p q", "k"),
        node("Add", "x k", "y"),
    ]
    constants = {
        "a": rand(3, 5), "b": rand(2, 3), "c": rand(5, 1), "v": rand(2), "n": rand(2, 3, 4), "s": rand(3), "u": rand(3, low=0.5),
    }  # fmt: skip
    compare(model(nodes, VECTOR, constants, opset=opset), tmp_path)


def test_budget_of_a_file_grows_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_budget, "MAX_BYTES", 0)
    monkeypatch.setattr(fold_budget, "MAX_STEPS", 0)
    halves = np.ones((64, 64), np.float16)
    made = fold(Budget(halves.nbytes), "Cast", [halves], {"to": 1}, 21)
    assert made[0].dtype == np.float32
    with pytest.raises(CannotFold, match="together"):
        fold(Budget(8), "Cast", [halves], {"to": 1}, 21)


def test_views_of_constants_cost_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_budget, "MAX_BYTES", 100)
    budget, x = Budget(), np.ones((5, 5), np.float32)
    for _ in range(100):
        (x,) = fold(budget, "Transpose", [x], {}, 21)
    fold(budget, "Neg", [x], {}, 21)
    with pytest.raises(CannotFold, match="together"):
        fold(budget, "Neg", [x], {}, 21)


def test_memory_of_one_file_counts_all_of_its_constants(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fold_budget, "MAX_BYTES", 5 * 4000)
    sums = {n: [node("Add", f"{'x' if i == 0 else f's{i - 1}'} c{i}", f"s{i}") for i in range(n)] for n in (2, 9)}
    made = {n: [part for i in range(n) for part in filled(f"c{i}", 1000, 1, value=float(i))] for n in sums}
    ends = {n: [node("ReduceMax", f"s{n - 1}", "y", keepdims=0)] for n in sums}
    monkeypatch.setattr(fold_budget, "BYTES_PER_BYTE", 0)
    assert load(model([*made[2], *sums[2], *ends[2]], {"x": (1, 1)}), tmp_path)
    with pytest.raises(ModelError, match="together"):
        load(model([*made[9], *sums[9], *ends[9]], {"x": (1, 1)}), tmp_path)


@pytest.mark.parametrize("a", [7, -7, 0, 2**62, -(2**63)])
@pytest.mark.parametrize("b", [2, -2, 7, -7, 3])
def test_whole_numbers_are_divided_toward_zero(a: int, b: int) -> None:
    (got,) = fold(Budget(), "Div", [np.array([a]), np.array([b])], {}, 21)
    want = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    assert got.tolist() == [want]
