"""`workbench compare`: what it prints and writes, and wrong words."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.comparison.cases import TFLM
from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.cli import main

RULES = "x86-litert-xnnpack"
X = np.array([[4, 5], [5, 4], [6, 2], [5, 7]], np.int8)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `workbench compare` on a layer that halves its input: (exit code, output, errors)."""
    eye = const(np.eye(2, dtype=np.int8), name="w", scale=[1.0], zero=[0])
    tensors = [T([1, 2], np.int8, "x", scale=[1.0], zero=[0]), eye, T([1, 2], np.int8, "y", scale=[2.0], zero=[0])]
    (tmp_path / "m.tflite").write_bytes(
        Net(tensors, [Op("FULLY_CONNECTED", [0, 1, -1], [2], ("FullyConnectedOptions", {}))]).bytes()
    )
    np.savez(tmp_path / "d.npz", x=X, y=np.zeros(4, np.uint8), short=np.zeros(3, np.uint8), wide=np.zeros((4, 5), np.int8))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("atexit.register", lambda *_: None)

    def command(*words: str) -> tuple[int, str, str]:
        own = ("--model", "m.tflite", "--data", "d.npz", *(() if "--inputs" in words else ("--inputs", "x")), "--quiet")
        monkeypatch.setattr("sys.argv", ["workbench", "compare", *words, *own])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return command


def test_tables_and_files_say_the_same(run: Run, tmp_path: Path) -> None:
    code, out, err = run(TFLM, RULES, "--labels", "y", "--out", "found")
    assert code == 0 and not err
    assert "3 of 8 elements (37.5 %) in 3 of 4 samples, by at most 1 step" in out
    assert "sample 0 [1]: A 3, B 2" in out and "gained 1 (B alone is right), lost 0" in out
    assert "counted on B" in out and "equal" in out and "NOT EQUAL" not in out
    found = json.loads((tmp_path / "found" / "compare.json").read_text())
    assert found["first"]["sizes"] == {"differing": 3, "samples": 3, "largest": 1, "total": 3}
    assert found["flips"]["flipped"] == [{"sample": 0, "a": 1, "b": 0, "label": 0}]
    assert found["attribution"]["adds_up"] is True
    rule = next(c for c in found["attribution"]["contributions"] if c["switch"] == "requantization rule")
    assert rule["share"] == {
        k: {"exact": v, "value": float(v)} for k, v in (("outputs", "3"), ("flips", "1"), ("correct", "1"))
    }
    with (tmp_path / "found" / "compare.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["cumulative_differing"], row["local_differing"], row["elements"], row["unit"]) == ("3", "3", "8", "step")
    with (tmp_path / "found" / "attribution.csv").open() as file:
        assert next(csv.DictReader(file))["flips_exact"] == "1"
    assert (tmp_path / "found" / "compare.png").read_bytes().startswith(b"\x89PNG")
    again, _, problem = run(TFLM, RULES, "--out", "found")
    assert again == 2 and "never overwritten" in problem


def test_without_labels_and_with_a_recording(run: Run) -> None:
    np.save("own.npy", np.array([[2, 3], [3, 2], [3, 1], [3, 4]], np.int8))
    code, out, _ = run("own.npy", RULES)
    assert code == 0 and "No labels" in out and "A: own.npy" in out and "a recording has no rules to switch" in out
    assert "No tensor differs." in run(TFLM, "own.npy", "--out", "same")[1]


def test_identical_sides_have_no_interval(run: Run) -> None:
    out = run(TFLM, TFLM, "--labels", "y")[1]
    assert "the outputs of both sides are identical; correct: 2 (50.00 %)" in out and "interval" not in out


def test_ctrl_c_says_that_nothing_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.comparison.compare_files", interrupted)
    code, _, err = run(TFLM, RULES)
    assert code == 130 and err.strip() == "interrupted; nothing is kept, the same command starts anew."


@pytest.mark.parametrize("side", ["w8a8", "plan.yaml"])
def test_a_plan_in_the_place_of_a_target_is_told_where_it_belongs(run: Run, side: str) -> None:
    Path("plan.yaml").write_text("default: w8a8\nlayers: {fc: w4a8}\n")
    code, _, err = run(TFLM, side)
    assert code == 2 and err.startswith(f"error: compare: '{side}' is a plan, not a target.") and "--plan-b" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((TFLM, "stm32l4r5-cortex-m4-tflmm"), "Did you mean"),
        ((TFLM, "none.yaml"), "none.yaml"),
        ((TFLM, "none.npz"), "none.npz"),
        ((TFLM, "d.npz#wide"), "the array is int8 (4, 5); the output is int8 (N, 2)"),
        ((TFLM, "d.npz#z"), "no array 'z'"),
        ((TFLM, RULES, "--labels", "short"), "3 labels for 4 samples"),
        ((TFLM, RULES, "--labels", "wide"), "labels of shape (4, 5)"),
        ((TFLM, RULES, "--labels", "z"), "no array 'z'"),
        ((TFLM, RULES, "--inputs", "wide"), "shape (4, 5) does not fit"),
        ((TFLM, RULES, "--by", "rule"), "Did you mean 'rules'"),
        ((TFLM, RULES, "--samples", "9"), "samples is 9; 1 to 4 fit"),
        ((TFLM, RULES, "--plan", "w8a9"), "unknown format 'w8a9'"),
        ((TFLM,), "Missing argument"),
    ],
)
def test_wrong_words_are_one_message(run: Run, words: tuple[str, ...], says: str) -> None:
    code, out, err = run(*words)
    assert code == 2 and says in err and err.startswith("error: ") and "Traceback" not in out + err
