"""Peak RAM of rows: structure from columns and names, and the fit on rows whose truth is known."""

from __future__ import annotations

from math import isnan, sqrt
from pathlib import Path

import numpy as np
import pytest

from workbench.calibrate.families import ram
from workbench.calibrate.folds import cross_validate
from workbench.calibrate.footprint import footprint
from workbench.calibrate.rows import Tables

HEAD = (
    "device,core,clock_mhz,runtime,dataset,model,resolution,"
    "precision,macs,peak_act_bytes_naive,activation_ram_kib,runtime_ram_kib,ram_kib,notes"
)
TABLE = "st_modelzoo_mcu.csv"


def tables(folder: Path, *lines: str) -> Tables:
    (folder / TABLE).write_text("\n".join([HEAD, *lines]) + "\n", encoding="utf-8")
    return Tables(folder)


def test_structure_comes_from_the_name_where_columns_give_none(tmp_path: Path) -> None:
    """MobileNetV1 0.25 on 224 x 224 x 3: its largest activation is 112 x 112 x 16 (the first pointwise layer)."""
    data = tables(
        tmp_path, "STM32H747,Cortex-M7,400,X-CUBE-AI 8.1.0,,mobilenet_v1_0.25_224_int8.tflite,224x224x3,int8,,,,,220,"
    )
    (row,) = data.rows(TABLE)
    facts = footprint(row, data)
    assert (facts.kept.source, facts.kept.activations, facts.layers) == ("plain", 112 * 112 * 16, 28)
    assert facts.target == "mcu st-ai" and facts.version == "mcu st-ai 8"


def test_rows_without_any_structure_are_predicted_from_what_there_is(tmp_path: Path) -> None:
    data = tables(
        tmp_path,
        "Board,Some core,100,New runtime 1.2,,unheard,24x24x1,int8,,,,,9,",
        "Board,Some core,100,New runtime 1.2,,unheard2,,int8,2000000,,,,30,",
        "Board,Some core,100,New runtime 1.2,,unheard3,,int8,,,,,30,",
    )
    found = ram.samples(data).kept
    assert [s.facts.kept.source for s in found] == ["input", "products", "nothing"]
    model = ram.fit(found)
    assert all(np.isfinite(model.predict(s)) and model.predict(s) > 0 for s in found)
    assert isnan(found[0].facts.weights)


def test_what_cannot_be_used_is_listed_with_the_reason(tmp_path: Path) -> None:
    data = tables(
        tmp_path,
        "A,Cortex-M4,80,X-CUBE-AI 8,,m,8x8x2,int8,,,1024,2,1026,README figure dropped: unit error",
        "A,Cortex-M4,80,X-CUBE-AI 8,,m,8x8x2,int8,,,,,0,",
        "A,Cortex-M4,80,X-CUBE-AI 8,,m,8x8x2,int8,,,,,much,",
        "A,Cortex-M4,80,X-CUBE-AI 8,,m,8x8x2,int8,,,,,,",
    )
    found = ram.samples(data)
    assert not found.kept
    reasons = [why for _, why in found.left_out]
    assert len(reasons) == 3 and "units" in reasons[0] and "not positive" in reasons[1] and "'much', not a number" in reasons[2]


def test_a_known_rule_is_found_again_and_survives_its_json(tmp_path: Path) -> None:
    """Two runtimes plan 0.8 and 1.2 times the live activations, with 2 and 20 rows and 200 and 600 bytes a layer: so they do for a
    network that took no part.
    """
    lines = []
    for i, naive in enumerate((40_000, 55_000, 80_000, 120_000, 200_000, 310_000)):
        row, layers = sqrt(naive * 16), 20  # of networks of which nothing else is known
        for runtime, ratio, rows, record in (("X-CUBE-AI 8.1.0", 0.8, 2, 200), ("TFLM", 1.2, 20, 600)):
            planned, own = (ratio * naive + rows * row) / 1024, layers * record / 1024
            lines.append(f"B,Cortex-M7,400,{runtime},,net{'abcdef'[i]},64x64x3,int8,,{naive},{planned},{own},{planned + own},")
    found = ram.samples(tables(tmp_path, *lines)).kept
    model = ram.fit([s for s in found if s.network != found[0].network])
    for s in found[:2]:
        assert model.predict(s) == pytest.approx(s.measured, rel=0.03)
        assert ram.load(model.to_json()).predict(s) == pytest.approx(model.predict(s), rel=1e-3)


def test_a_row_of_another_precision_gives_the_live_values(tmp_path: Path) -> None:
    """The same network in float32 keeps four times the bytes that the table counts for int8."""
    data = tables(
        tmp_path,
        "B,Cortex-M33,160,X-CUBE-AI 8.1.0,WISDM,gesture_24.h5,24 x 3 x 1,fp32,14000,,,,4.9,",
        "B,Cortex-M33,160,X-CUBE-AI 8.1.0,WISDM,gesture_24_int8.tflite,24 x 3 x 1,int8,13008,864,,,,",
    )
    facts = footprint(data.rows(TABLE)[0], data)
    assert (facts.kept.source, facts.kept.activations) == ("residual", 4 * 864)


def test_a_hybrid_is_a_network_of_its_own(tmp_path: Path) -> None:
    """ST's hybrid ResNet-8 begins with 32 filters on 32 x 32, not with the 16 of the one in int8 whose peak the table gives."""
    data = tables(
        tmp_path,
        "B,Cortex-M7,400,X-CUBE-AI 8.1.0,cifar10,ST ResNet 8 Hybrid v1,32x32x3,hybrid (some layers <8 bit),,,,,92,",
        "B,Cortex-M7,400,X-CUBE-AI 8.1.0,cifar10,resnet_v1_8_32_int8.tflite,32x32x3,int8,12501632,49152,,,63,",
    )
    assert footprint(data.rows(TABLE)[0], data).kept.activations == 2 * 32 * 32 * 32


def test_a_support_vector_machine_keeps_a_value_a_vector(tmp_path: Path) -> None:
    data = tables(tmp_path, "B,Cortex-M33,160,X-CUBE-AI 8.1.0,WISDM,svc_wl_24_pct_5.onnx,1 x 1 x 1 x 72,fp32,72000,,,,6,")
    assert footprint(data.rows(TABLE)[0], data).kept.activations == 4 * 1000


@pytest.mark.parametrize(
    ("runtime", "model", "resolution", "kibibytes"),
    [
        ("X-CUBE-AI 8.1.0", "tiny_yolo_v2", "224x224x3", 112 * 112 * 16 / 1024),  # pooled by the convolution itself
        ("X-CUBE-AI 8.1.0", "mobilenetv1_a025_224", "224x224x3", 112 * 112 * 16 / 1024),
        (
            "ST Edge AI 3.0.0",
            "mobilenetv1_a025_224",
            "224x224x3",
            (224 * 224 * 3 + 112 * 112 * 8) / 1024,
        ),  # input and first output
        ("X-CUBE-AI 8.1.0", "ign_wl_24", "24x3x1", 3 * 3 * 24 / 1024),  # 9 x 3 x 24 pooled by the convolution itself
        ("TinyEngine@1", "mcunet-in0", "", (9216 + 36864) / 1024),  # a depthwise layer in place: the next larger is pointwise
    ],
)
def test_what_runtimes_plan(tmp_path: Path, runtime: str, model: str, resolution: str, kibibytes: float) -> None:
    data = tables(tmp_path, f"B,Cortex-M7,400,{runtime},,{model},{resolution},int8,,,,,220,")
    assert footprint(data.rows(TABLE)[0], data).kept.activations == pytest.approx(kibibytes * 1024)


@pytest.mark.parametrize(
    ("model", "resolution", "source", "kibibytes"),
    [
        ("mobilenetv2_a035_128", "128x128x3", "banks", 192 + 48),  # one bank: 48 channels on 64 x 64, then on 32 x 32
        ("mobilenetv1_a050_224", "224x224x3", "banks", 392 + 196),  # two: 32 channels on 112 x 112 apart from the 16 before
        ("mobilenetv1_a100_224", "224x224x3", "banks", 784 + 392 + 392),  # 64 channels do not fit a bank: the second memory
        ("efficientnetv2b0_224", "224x224x3", "operands", 784 + 36.75 + 3 * 392),  # products of 32 channels on 112 x 112
    ],
)
def test_what_an_accelerator_with_banks_plans(
    tmp_path: Path, model: str, resolution: str, source: str, kibibytes: float
) -> None:
    data = tables(
        tmp_path, f"STM32N6570-DK,Cortex-M55 + Neural-ART NPU,800,ST Edge AI 3.0.0,imagenet,{model},{resolution},int8,,,,,600,"
    )
    facts = footprint(data.rows(TABLE)[0], data)
    assert (facts.kept.source, facts.kept.activations) == (source, pytest.approx(kibibytes * 1024))
    assert ram.counts(facts)[1:] == (0.0, 0.0)


def test_the_widest_row_is_counted(tmp_path: Path) -> None:
    """Of MobileNetV1 0.5: 112 positions of 32 channels, as of all its later layers."""
    data = tables(tmp_path, "B,Cortex-M7,400,X-CUBE-AI 8.1.0,,mobilenetv1_a050_224,224x224x3,int8,,,,,423,")
    assert footprint(data.rows(TABLE)[0], data).kept.row == 112 * 32


def test_one_number_holds_the_records_too(tmp_path: Path) -> None:
    """Half of the rows give activations and records, half their sum: they are the same networks."""
    lines = []
    for i, naive in enumerate((40_000, 55_000, 80_000, 120_000, 200_000, 310_000)):
        parts = naive / 1024, 30.0
        given = f"{parts[0]},{parts[1]},{sum(parts)}" if i % 2 else f",,{sum(parts)}"
        lines.append(f"B,Cortex-M7,400,X-CUBE-AI 8.1.0,,net{'abcdef'[i]},64x64x3,int8,,{naive},{given},")
    found = ram.samples(tables(tmp_path, *lines)).kept
    model = ram.fit(found)
    assert [model.predict(s) for s in found] == pytest.approx([s.measured for s in found], rel=0.03)


def test_what_lies_outside_of_an_accelerator_is_of_its_plan(tmp_path: Path) -> None:
    """A network that uses 2,000 KiB inside and 3,000 outside teaches of plans that 5,000 are needed, of the inside that it is 2,000."""
    (tmp_path / "stm32n6_npu_w4w8.csv").write_text(
        "device,core,clock_mhz,isa_fpu_npu,runtime,model,dataset,resolution,precision,ram_kib,external_ram_kib,notes\n"
        + "".join(
            f"N6,Cortex-M55 + Neural-ART NPU,800,npu,ST Edge AI 3.0.0,resnet50v2_{side},imagenet,{side}x{side}x3,int8,2000,3000,\n"
            for side in (200, 208, 216, 224)
        )
    )
    found = ram.samples(Tables(tmp_path)).kept
    assert [round(np.exp(i.log_value) / 1024) for s in found for i in ram.items(s)] == [5000] * 4
    model = ram.fit(found)
    assert model.room == pytest.approx(2000 * 1024) and model.predict(found[0]) == model.room


def test_an_accelerator_holds_no_more_than_its_own_memory(ground_truth: Path) -> None:
    found = [s for s in ram.samples(Tables(ground_truth)).kept if s.facts.engine != "mcu"]
    model = ram.fit(found)
    assert model.room is not None
    assert max(model.predict(s) for s in found) <= model.room <= max(s.measured for s in found)


def test_networks_that_took_no_part_are_predicted(ground_truth: Path) -> None:
    """What the page says of cross-validation: no worse than this, so that a change that spoils it is seen."""
    found = ram.samples(Tables(ground_truth)).kept
    errors = [
        abs(fold.fitted.predict(found[i]) / found[i].measured - 1)
        for fold in cross_validate(ram.FAMILY, found, "network")
        for i in fold.left_out
    ]
    assert len(errors) == len(found) and np.median(errors) < 0.05 and np.quantile(errors, 0.9) < 0.2
