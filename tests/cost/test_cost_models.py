"""Whole model files: counts, flash and RAM as the files and the Vela compiler have them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from workbench.cost import estimate, support
from workbench.hardware import load_profile
from workbench.loaders import load_model

FILES = {"ad": "ad01_int8", "kws": "kws_ref_int8", "ic": "ic_resnet8_int8", "vww": "vww_96_int8", "sww": "sww_int8"}


@pytest.mark.parametrize("network", list(FILES))
def test_macs_and_weights_of_the_files_equal_the_published_list(ground_truth: Path, models_dir: Path, network: str) -> None:
    table = pd.read_csv(ground_truth / "mlperf_tiny_model_layers.csv")
    table = table[table.model == f"{network}_int8"]
    graph = load_model(models_dir / "mlperf_tiny" / f"{FILES[network]}.tflite")
    profile = load_profile("stm32l4r5-cortex-m4-tflm")
    assert support(graph, profile) == []
    got = estimate(graph, profile)
    assert [row.macs for row in got.layers if row.macs] == [m for m in table.macs if m]
    assert sum(row.weight_bytes for row in got.layers) == table.weights.sum()


@pytest.mark.parametrize("network", list(FILES))
def test_flash_under_tflm_is_the_size_of_the_file(models_dir: Path, network: str) -> None:
    path = models_dir / "mlperf_tiny" / f"{FILES[network]}.tflite"
    got = estimate(load_model(path), load_profile("stm32l4r5-cortex-m4-tflm"))
    # kws, vww and ic also store the calibrated minimum and maximum of every channel, which no runtime reads
    assert 0.8 * path.stat().st_size < got.flash_bytes < 1.1 * path.stat().st_size


@pytest.mark.parametrize("network", list(FILES))
def test_ethos_flash_is_near_what_vela_encodes(golden_dir: Path, models_dir: Path, network: str) -> None:
    names = {
        "ad": "ad01_int8",
        "kws": "kws_ref_model",
        "ic": "pretrainedResnet_quant",
        "vww": "vww_96_int8",
        "sww": "str_ww_ref_model",
    }
    table = pd.read_csv(golden_dir / "vela_summary.csv")
    row = table[(table.accelerator == "ethos-u55-128") & (table.model == names[network])].iloc[0]
    got = estimate(load_model(models_dir / "mlperf_tiny" / f"{FILES[network]}.tflite"), load_profile("ethos-u55-128"))
    assert sum(r.weight_bytes for r in got.layers) == pytest.approx(1024 * row.off_chip_flash_memory_used, rel=0.02)
    assert got.latency_low_s < row.inference_time < got.latency_high_s
