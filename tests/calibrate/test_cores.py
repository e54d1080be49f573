"""Core classes and runtimes, from texts as sources write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.calibrate.cores import core_class, traits
from workbench.calibrate.rows import Tables
from workbench.calibrate.runtimes import Runtime, runtime

TABLES = ("mlperf_tiny.csv", "st_modelzoo_mcu.csv", "tinyengine_h743.csv", "espressif_nordic.csv", "layers.csv")


@pytest.mark.parametrize(
    ("core", "isa", "device", "expected"),
    [
        ("Cortex-M0+", "none (no DSP, no FPU)", "STM32G0B1", "cortex-m0plus"),
        ("Cortex-M4F", "", "nRF52840", "cortex-m4"),
        ("", "", "STM32F401", "cortex-m4"),
        ("", "", "nRF5340", "cortex-m33"),
        ("Cortex-M33 (no DSP/FPU)", "", "nRF5340 network core", "cortex-m3"),
        ("Cortex-M33 + MVP", "DSP+FPU+MVP accelerator", "EFR32xG24 (MVP)", "npu-mvp"),
        ("Cortex-M7", "DSP+FPU", "NXP i.MX RT1062", "cortex-m7"),
        ("Cortex-M85", "MVE+FPU", "Renesas RA8D1", "cortex-m85"),
        ("Cortex-M55 + Neural-ART NPU", "NPU int8", "STM32N6570-DK", "npu-neural-art"),
        ("Cortex-M55", "MVE", "Alif Ensemble E7", "cortex-m55"),
        ("Xtensa LX7", "SIMD PIE", "ESP32-S3", "xtensa-simd"),
        ("Xtensa LX7", "", "ESP32-S2", "xtensa"),
        ("RISC-V HP", "PIE SIMD", "ESP32-P4", "rv32-simd"),
        ("", "", "ESP32-C6", "rv32"),
        ("RV32IMAC", "RV32IMAC+FPU", "PCL Scepu02", "rv32f"),
        ("NX27V", "RV64 V (VLEN 128)", "AndesCore NX27V (FPGA)", "rv-vector"),
        ("RXv2", "DSP+FPU", "Renesas RX65N", "rxv2"),
        ("Cortex-A7 x2", "NEON", "STM32MP157F", "cortex-a7"),
        ("CPU", "", "Raspberry Pi 4 Model B Broadcom BCM2711B0, Cortex-A72 (ARMv8) (1.8GHz x 4)", "cortex-a72"),
        ("CPU", "", "NVIDIA Jetson Nano", "cpu"),
        ("GPU (Vulkan)", "", "NVIDIA Jetson Nano", "gpu"),
        ("GAP9 1+9 RISC-V + NE16", "NPU NE16 + 9 RV cores", "GAP9 0.65V", "npu-ne16"),
        ("FPGA dataflow", "FPGA", "PYNQ-Z2 (Zynq-7020)", "fpga"),
        ("", "", "", "unknown"),
        ("Quark X1000", "", "a board of the year 2040", "unknown"),
    ],
)
def test_core_class(core: str, isa: str, device: str, expected: str) -> None:
    assert core_class(core, isa, device) == expected


def test_every_row_of_the_microcontroller_tables_has_a_class(ground_truth: Path) -> None:
    tables = Tables(ground_truth)
    for row in (row for name in TABLES for row in tables.rows(name)):
        assert core_class(row.core, row.text("isa_fpu_npu"), row.device) != "unknown", row.where


def test_traits_tell_soft_float_and_vectors() -> None:
    assert not traits("cortex-m0plus").fpu and traits("cortex-m4").fpu
    assert [traits(c).family for c in ("rv32", "cortex-m33", "cortex-m85", "cortex-a72", "npu-mvp", "gpu", "unknown")] == [
        "scalar", "dsp", "vector", "application", "npu", "gpu", "other",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X-CUBE-AI 7.3.0", Runtime("st-ai", (7, 3, 0))),
        ("X-CUBE-AI ", Runtime("st-ai")),
        ("ST Edge AI 3.0.0", Runtime("st-ai", (11, 0, 0))),  # X-CUBE-AI 9.0 = ST Edge AI 1.0, 10.0 = 2.0
        ("Plumerai (2022-11)", Runtime("plumerai", (2022, 11))),
        ("Bosch HALE 1.0.175", Runtime("hale", (1, 0, 175))),
        ("TFLM@713b6ed", Runtime("tflm")),
        ("TFLM without ESP-NN", Runtime("tflm")),
        ("TFLM with ESP-NN", Runtime("tflm-esp-nn")),
        ("TFLM + CMSIS-NN (Helium)", Runtime("tflm-cmsis-nn")),
        ("CMSIS-NN v1 q7", Runtime("cmsis-nn-q7", (1,))),
        ("microTVM+CMSIS-NN", Runtime("microtvm-cmsis-nn")),
        ("TFLite 2.18 (X-LINUX-AI 6.1.0)", Runtime("tflite", (2, 18))),
        ("ncnn threads=4", Runtime("ncnn")),
        ("A Thing Of Ours v3.1 (beta)", Runtime("a-thing-of", (3, 1))),
        ("", Runtime("unknown")),
    ],
)
def test_runtime(text: str, expected: Runtime) -> None:
    assert runtime(text) == expected
