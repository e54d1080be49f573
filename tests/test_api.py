"""The stable Python interface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from tests.networks import small_cnn
from workbench.errors import InputError, UnsupportedError
from workbench.precision import PrecisionPlan

X = np.random.default_rng(5).standard_normal((70, 8, 8, 1)).astype(np.float32)
BOARD = "stm32l4r5-cortex-m4-tflm"


def test_inputs_are_an_array_or_a_dict() -> None:
    a = wb.emulate(small_cnn(), X, BOARD, "w8a8", calibration=X)
    b = wb.emulate(small_cnn(), {"x": X}, BOARD, "w8a8", calibration={"x": X})
    assert list(a) == ["y"] and a["y"].dtype == np.float32 and a["y"].shape == (70, 3)
    np.testing.assert_array_equal(a["y"], b["y"])


def test_plans_are_names_dicts_plans_or_files(tmp_path: Path) -> None:
    want = wb.emulate(small_cnn(), X, BOARD, PrecisionPlan.of("w8a8", {"pw3": "w4a8"}), calibration=X)["y"]
    (tmp_path / "p.yaml").write_text("default: w8a8\nlayers: {pw3: w4a8}\n")
    for plan in ({"default": "w8a8", "layers": {"pw3": "w4a8"}}, tmp_path / "p.yaml", str(tmp_path / "p.yaml")):
        np.testing.assert_array_equal(wb.emulate(small_cnn(), X, BOARD, plan, calibration=X)["y"], want)


def test_tensors_are_raw() -> None:
    found = wb.emulate(small_cnn(), X, BOARD, "w8a8", tensors=True, calibration=X)
    assert found["t4"].dtype == np.int8 and found["y"].dtype == np.int8 and found["y:float32"].dtype == np.float32


def test_float_models_run_in_the_targets_float_format() -> None:
    fp16 = wb.emulate(small_cnn(), X, "nvidia-h100", tensors=True)
    assert fp16["t4"].dtype == np.float16
    assert wb.emulate(small_cnn(), X, BOARD)["y"].dtype == np.float32


def test_samples_do_not_depend_on_each_other() -> None:
    whole = wb.emulate(small_cnn(), X, "nvidia-h100")["y"]
    np.testing.assert_array_equal(wb.emulate(small_cnn(), X[13:14], "nvidia-h100")["y"], whole[13:14])


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (X[:, :7], r"shape \(70, 7, 8, 1\) does not fit"),
        (X.astype(np.complex64), "type complex64 does not fit"),
        ({"z": X}, "expected"),
        (X[:0], "shape"),
        (np.full_like(X, np.nan), "NaN"),
    ],
)
def test_wrong_inputs_are_refused(inputs: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        wb.emulate(small_cnn(), inputs, BOARD)  # type: ignore[arg-type]


def test_a_target_without_the_format_refuses_instead_of_inventing_bits() -> None:
    with pytest.raises(
        UnsupportedError, match=r"conv2d in w4a8 is not supported: 'nvidia-h100' has it in fp16, .* Nearest: w8a8\."
    ):
        wb.emulate(small_cnn(), X, "nvidia-h100", "w4a8", calibration=X)


def test_unknown_layers_of_a_plan_are_named() -> None:
    with pytest.raises(InputError, match="Did you mean 'pw3'"):
        wb.emulate(small_cnn(), X, BOARD, {"default": "w8a8", "layers": {"pw33": "w4a8"}}, calibration=X)


def test_wrong_plan_mappings_are_refused() -> None:
    with pytest.raises(InputError, match=r"plan: \$\.default is missing"):
        wb.emulate(small_cnn(), X, BOARD, {"layers": {}}, calibration=X)


@pytest.mark.parametrize("bad", [None, 3, b"x", [1]])
def test_things_of_a_wrong_type_get_a_message(bad: object) -> None:
    for call in (wb.load_model, wb.load_profile, wb.run_study):
        with pytest.raises(InputError, match="is given by its"):
            call(bad)  # type: ignore[operator]


def test_unknown_attribute_of_the_package() -> None:
    with pytest.raises(AttributeError):
        wb.nothing  # noqa: B018


def test_exhaustive_is_emulate_for_every_plan(tmp_path: Path) -> None:
    labels = np.arange(70) % 3
    args = (small_cnn(), X, labels, BOARD, ["w8a8", "w4a8"])
    table = wb.exhaustive(*args, calibration=X, folder=tmp_path / "t")
    assert list(table.columns[:5]) == ["top1", "cross_entropy", "agreement", "sqnr_db", "mse"]
    assert list(table.columns[5:9]) == ["flash", "ram", "latency", "energy"]
    layers = [name for name in table.columns if set(table[name]) <= {"w8a8", "w4a8"}]
    assert len(table) == 2 ** len(layers) == len(table[layers].drop_duplicates())
    for _, row in table.sample(4, random_state=0).iterrows():
        out = wb.emulate(small_cnn(), X, BOARD, {"default": "w8a8", "layers": dict(row[layers])}, calibration=X)["y"]
        assert row["top1"] == (out.argmax(1) == labels).mean()
    again = wb.exhaustive(*args, calibration=X, folder=tmp_path / "t", threads=1)
    assert again.equals(table)
    whole = wb.exhaustive_table(*args, calibration=X)
    assert whole.frame().equals(table) and whole.losses is not None
    whole.save(tmp_path / "w.parquet")
    assert wb.TruthTable.load(tmp_path / "w.parquet").frame().equals(table)
    assert wb.TruthTable.load(tmp_path / "t" / "table.parquet").losses is None


def test_exhaustive_refuses_what_it_cannot_do() -> None:
    with pytest.raises(InputError, match="limit is 3"):
        wb.exhaustive(small_cnn(), X, None, BOARD, ["w8a8", "w4a8"], calibration=X, limit=3)
    with pytest.raises(InputError, match="limit is 0; at least 1"):
        wb.exhaustive(small_cnn(), X, None, BOARD, ["w8a8"], calibration=X, limit=0)
    with pytest.raises(InputError, match=r"test_api\.py: no folder for a table"):
        wb.exhaustive(small_cnn(), X, None, BOARD, ["w8a8"], calibration=X, folder=__file__)
    with pytest.raises(InputError, match="list of names"):
        wb.exhaustive(small_cnn(), X, None, BOARD, "w8a8", calibration=X)
    with pytest.raises(UnsupportedError, match="has none of the formats"):
        wb.exhaustive(small_cnn(), X, None, BOARD, ["fp16"])
