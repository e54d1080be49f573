"""Flash of rows: counted from columns and names, against what the vendor's tool reports."""

from __future__ import annotations

from math import exp
from pathlib import Path

import numpy as np
import pytest

from workbench.calibrate import store
from workbench.calibrate.families import flash
from workbench.calibrate.family import Sample
from workbench.calibrate.folds import cross_validate
from workbench.calibrate.memory_sheets import tflm, write_sheets
from workbench.calibrate.rows import Tables
from workbench.errors import ProfileError
from workbench.hardware.costs import MemoryCosts
from workbench.resources import resource_folder
from workbench.strict_yaml import load_yaml, validate

HEAD = (
    "device,core,clock_mhz,runtime,dataset,model,resolution,"
    "precision,macs,const_bytes,weights_flash_kib,code_flash_kib,flash_kib,notes"
)
TABLE = "st_modelzoo_mcu.csv"


def samples(folder: Path, *lines: str) -> list[Sample]:
    (folder / TABLE).write_text("\n".join([HEAD, *lines]) + "\n", encoding="utf-8")
    return list(flash.samples(Tables(folder)).kept)


def test_weights_are_counted_from_the_name_at_the_classes_of_the_data_set(tmp_path: Path) -> None:
    """mobilenetv1_a025_224 in st_modelzoo_mcu.csv: 467.33 KiB for ImageNet; 214.69 KiB for five flowers."""
    (found,) = samples(
        tmp_path, "STM32H747,Cortex-M7,400,ST Edge AI 3.0.0,imagenet,mobilenetv1_a025_224,224x224x3,int8,41030272,,467.33,,,"
    )
    assert flash.stored_weights(found.facts) == pytest.approx(found.measured, rel=1e-3)


def test_constants_without_biases_get_them_back(tmp_path: Path) -> None:
    """208880 bytes are the weights of MobileNetV1 0.25 with five classes; the tool stores 2741 biases of 4 bytes as well."""
    line = (
        "STM32H747,Cortex-M7,400,ST Edge AI 3.0.0,tf_flowers,mobilenetv1_a025_224_fft,224x224x3,int8,40775552,208880,214.69,,,"
    )
    (found,) = samples(tmp_path, line)
    assert flash.stored_weights(found.facts) == pytest.approx(found.measured, rel=1e-3)
    whole = "STM32H747,Cortex-M7,400,X-CUBE-AI 7.3.0,flowers,mobilenet_v1_0.25_224_int8.tflite,224x224x3,int8,40775552,219884,214.69,,,"
    (found,) = samples(tmp_path, whole)
    assert flash.stored_weights(found.facts) == 219884


def test_rows_that_say_nothing_of_their_weights_are_listed(tmp_path: Path) -> None:
    (tmp_path / TABLE).write_text(
        "\n".join([HEAD, "A,Cortex-M4,80,X-CUBE-AI 8,,unheard,8x8x2,int8,,,12,14,26,"]) + "\n", encoding="utf-8"
    )
    found = flash.samples(Tables(tmp_path))
    assert not found.kept and len(flash.samples(Tables(tmp_path), flash.CODE).kept) == 1
    assert [why for _, why in found.left_out] == [
        "weights_flash_bytes: neither its columns nor its name say how many weights there are"
    ]


def test_four_bit_weights_take_half_a_byte(ground_truth: Path) -> None:
    """mobilenetv2_a035_128_fft on the STM32N6: 530.59 KiB in 8 bits, 396.44 with 53.32 % of the weights in 4."""
    found = {s.facts.coded: s for s in flash.samples(Tables(ground_truth)).kept if s.row.network == "mobilenetv2_a035_128_fft"
             and s.row.text("dataset") == "food101"}  # fmt: skip
    whole, coded = flash.stored_weights(found[0.0].facts), flash.stored_weights(found[0.5332].facts)
    assert whole is not None and coded is not None
    assert whole - coded == pytest.approx(found[0.0].measured - found[0.5332].measured, rel=0.01)


def test_weights_of_networks_that_took_no_part(ground_truth: Path) -> None:
    every = flash.samples(Tables(ground_truth)).kept
    errors = [
        abs(fold.fitted.predict(every[i]) / every[i].measured - 1)
        for fold in cross_validate(flash.FAMILY, every, "network")
        for i in fold.left_out
        if every[i].row.table == TABLE
    ]
    assert len(errors) > 30 and np.median(errors) < 0.001


def test_a_kind_of_target_without_rows_has_a_wider_interval(ground_truth: Path) -> None:
    """Microcontrollers say nothing of how an accelerator stores weights: the prior of that is in the interval, and only there."""
    every = flash.FAMILY.samples(Tables(ground_truth)).kept
    calibration = store.read(flash.FAMILY, store.calibrate(flash.FAMILY, every))
    by = {(s.facts.engine, p.split): p for s in every for p in calibration.predictions(s)}
    assert by["npu-neural-art", "device"].high / by["npu-neural-art", "device"].value >= exp(flash.UNKNOWN_STORAGE)
    known = calibration.full
    assert {flash.unknown(known, s) for s in every} == {0.0}


def test_model_survives_its_json(ground_truth: Path) -> None:
    data = Tables(ground_truth)
    every = [s for quantity in (flash.WEIGHTS, flash.CODE, flash.TOTAL) for s in flash.samples(data, quantity).kept]
    model = flash.fit(every)
    again = flash.load(model.to_json())
    assert [again.predict(s) for s in every] == pytest.approx([model.predict(s) for s in every])


def test_sheets_are_complete_and_those_in_the_repository(ground_truth: Path, tmp_path: Path) -> None:
    shipped = resource_folder("hw_profiles") / "costs"
    for path in write_sheets(Tables(ground_truth), tmp_path):
        validate(MemoryCosts, load_yaml(path, ProfileError), str(path), ProfileError)
        assert path.read_text(encoding="utf-8") == (shipped / path.name).read_text(encoding="utf-8"), path.name


def test_sheet_of_tflm_names_its_library() -> None:
    assert "scratch: cmsis_nn_mve" in tflm("cmsis_nn_mve", "why")
