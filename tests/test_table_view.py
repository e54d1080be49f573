"""`workbench table`: what it shows, writes and refuses, and that --check finds a false row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import workbench as wb
from tests.loaders.tflite_writer import Net, Op, T, const
from tests.truth.cases import table
from workbench.cli import app
from workbench.errors import InputError
from workbench.table_view import front_frame


@pytest.fixture
def file(tmp_path: Path) -> Path:
    table().save(tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def run(*words: object) -> tuple[int, str]:
    """Return the exit code of a command and all that it printed, spaces folded."""
    done = CliRunner().invoke(app, ["table", *map(str, words)], env={"COLUMNS": "200"})
    if isinstance(done.exception, InputError):
        raise done.exception
    return done.exit_code, " ".join(done.output.split())


def test_it_says_what_a_table_is_of(file: Path) -> None:
    code, text = run(file)
    assert code == 0
    for part in (
        "small_cnn",
        "stm32l4r5-cortex-m4-tflm",
        "90 of random",
        "81 (81 different programs)",
        "top1: share of samples",
    ):
        assert part in text
    assert "conv1 │ conv1 │ w8a8, w4a8, w2a8" in text


def test_the_frontier_is_printed_and_written(file: Path) -> None:
    out = file.with_name("front.csv")
    code, text = run(file, "--axes", "flash,metric", "--csv", out)
    numbers = table().front(["flash", "metric"])
    assert code == 0 and f"over flash, metric: {len(numbers)} points" in text and "w2a8" in text
    frame = pd.read_csv(out)
    assert frame["plan"].tolist() == numbers.tolist() and frame["flash"].is_monotonic_increasing
    assert frame["top1"].is_monotonic_increasing and frame["flash"].is_unique
    assert front_frame(table(), ["flash", "metric"])["top1"].tolist() == frame["top1"].tolist()


def test_fewer_formats_and_all_plans(file: Path) -> None:
    out = file.with_name("all.csv")
    code, _ = run(file, "--formats", "w8a8, w4a8", "--csv", out)
    assert code == 0 and len(pd.read_csv(out)) == 16


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--axes", "flush"], r"axis 'flush' is not in this table. Did you mean 'flash'\?"),
        (["--formats", "w16a8"], "format 'w16a8' is not in this table"),
        (["--check"], "give --model and --data too"),
        (["--model", "m.tflite"], "belong to --check"),
    ],
)
def test_wrong_words_get_a_message(file: Path, words: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        run(file, *words)


def test_check_finds_a_false_row_and_another_sample(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (40, 12), dtype=np.int8)
    y = rng.integers(0, 5, 40)
    tensors = [
        T((1, 12), np.int8, "x", scale=[0.05], zero=[0]),
        const(rng.integers(-127, 128, (5, 12)), np.int8, scale=[0.01], zero=[0]),
        const(rng.integers(-99, 99, 5), np.int32, scale=[0.0005], zero=[0]),
        T((1, 5), np.int8, "y", scale=[0.1], zero=[0]),
    ]
    layer = Op("FULLY_CONNECTED", [0, 1, 2], [3], ("FullyConnectedOptions", {}))
    (tmp_path / "m.tflite").write_bytes(Net(tensors, [layer]).bytes())
    np.savez(tmp_path / "d.npz", x=x, y=y, z=(y + 1) % 5)
    found = wb.exhaustive_table(tmp_path / "m.tflite", x, y, "stm32l4r5-cortex-m4-tflm", ["w8a8", "w4a8", "w2a8"])
    found.save(tmp_path / "t.parquet")
    again = [
        "--check",
        "-m",
        tmp_path / "m.tflite",
        "--data",
        tmp_path / "d.npz",
        "--inputs",
        "x",
        "--plans",
        3,
        "-q",
        "--labels",
    ]
    code, text = run(tmp_path / "t.parquet", *again, "y")
    assert code == 0 and "DIFFERS" not in text and "right or wrong │ 120 │ 0 │ equal" in text
    with pytest.raises(InputError, match=r"d\.npz: these are other samples or labels"):
        run(tmp_path / "t.parquet", *again, "z")
    assert found.correct is not None
    correct = found.correct.copy()
    correct[1, 0] ^= 128
    replace(found, correct=correct).save(tmp_path / "t.parquet")
    code, text = run(tmp_path / "t.parquet", *again, "y")
    assert code == 1 and "right or wrong │ 120 │ 1 │ DIFFERS" in text
    with pytest.raises(InputError, match="--plans is 4; the table has 3"):
        run(tmp_path / "t.parquet", *again, "y", "--plans", 4)
