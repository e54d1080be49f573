"""What the validation commands claim, and that they can fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.validate.golden import check_file
from workbench.validate.models import validate_models
from workbench.validate.silicon import validate_silicon


@pytest.fixture(scope="module")
def kws_only(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the logs of real boards and the network that made them."""
    folder = tmp_path_factory.mktemp("models")
    for path in models_dir.rglob("*.npz"):
        if any(name.startswith("hw_") for name in np.load(path).files):
            shutil.copy(path, folder)
    for path in models_dir.rglob("*_int8.tflite"):
        shutil.copy(path, folder)
    return folder


def test_boards_printed_what_their_profiles_compute(kws_only: Path) -> None:
    rows = validate_silicon(kws_only)
    logs = {r.log for r in rows}
    claimed = [r for r in rows if r.claimed]
    assert {r.log for r in claimed} == logs, "every log has a profile that claims its board"
    assert [(r.log, r.equal, r.rows) for r in claimed if r.equal != r.rows] == []
    tflm = {r.rule: r.equal for r in rows if "tflm" in r.log}
    assert tflm["double"] == 1000
    assert tflm["single"] < 1000
    cube = {r.rule: r.equal for r in rows if "xcubeai" in r.log}
    assert (cube["float32_half_even"], cube["single"]) == (1000, 999)


def test_silicon_check_fails_on_a_changed_log(kws_only: Path, tmp_path: Path) -> None:
    for path in kws_only.iterdir():
        if path.suffix == ".tflite":
            shutil.copy(path, tmp_path)
            continue
        arrays = dict(np.load(path))
        for name in arrays:
            if name.startswith("hw_"):
                arrays[name] = arrays[name].copy()
                arrays[name][3, 0] += 0.004
        np.savez(tmp_path / path.name, **arrays)
    rows = validate_silicon(tmp_path)
    assert {r.equal for r in rows if r.claimed} == {999}
    assert not any(r.ok for r in rows if r.claimed)


def test_every_stored_output_of_every_network_is_met(models_dir: Path) -> None:
    rows = validate_models(models_dir)
    assert [(r.model, r.array, r.verdict) for r in rows if not r.ok] == []
    integer = [r for r in rows if r.profile not in ("", "reference")]
    assert len(integer) >= 18
    # Floats between dynamic-range layers are added in another order; whatever is integers is equal.
    assert {r.model for r in integer if r.differ} == {"kws_ref_dynrange.tflite"}
    assert all(r.status == "within" and r.largest < 2e-6 for r in integer if r.differ)


def test_models_check_fails_on_a_changed_output(models_dir: Path, tmp_path: Path) -> None:
    data = next(p for p in models_dir.rglob("*.npz") if "sww" in p.name)
    shutil.copy(next(models_dir.rglob("sww_int8.tflite")), tmp_path)
    arrays = dict(np.load(data))
    arrays["tflm_int8"] = arrays["tflm_int8"].copy()
    arrays["tflm_int8"][5, 1] += 1
    np.savez(tmp_path / data.name, **arrays)
    rows = {r.array: r for r in validate_models(tmp_path)}
    assert rows["tflm_int8"].differ == 1 and not rows["tflm_int8"].ok
    assert rows["litert_int8"].ok


def test_golden_check_fails_on_one_changed_element(golden_dir: Path, tmp_path: Path) -> None:
    name = "litert_conv2d_s8"
    arrays = dict(np.load(golden_dir / f"{name}.npz"))
    arrays["c000/y__litert_ref"] = arrays["c000/y__litert_ref"].copy()
    arrays["c000/y__litert_ref"].flat[0] ^= 1
    np.savez(tmp_path / f"{name}.npz", **arrays)
    shutil.copy(golden_dir / f"{name}.json", tmp_path)
    rows = {r.producer: r for r in check_file(tmp_path / f"{name}.npz")}
    assert rows["litert_ref"].mismatches == 1
    assert not rows["litert_ref"].ok


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip"])
def test_damaged_vectors_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "litert_conv2d_s8.npz"
    path.write_bytes(content)
    path.with_suffix(".json").write_text(json.dumps([{"id": "c000"}]))
    with pytest.raises(InputError):
        check_file(path)
