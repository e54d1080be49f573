"""Flash by parts: against the files and the published sizes, and by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cost.graphs import activation, dense, residual, tied
from workbench.cost import estimate
from workbench.cost.flash import flash_parts
from workbench.graph.ir import Graph, Node
from workbench.hardware import list_profiles, load_profile
from workbench.loaders.load import load_model
from workbench.ops import OPS

TFLM, ST = "stm32l4r5-cortex-m4-tflm", "stm32l4r5-cortex-m4-xcubeai"


@pytest.mark.parametrize("network", ["ad01_int8", "ic_resnet8_int8", "kws_ref_int8", "vww_96_int8", "sww_int8"])
def test_model_in_flash_is_about_its_file(models_dir: Path, network: str) -> None:
    """A .tflite file is what lies in flash; converters leave more or less of their notes in it (up to 17 %)."""
    path = models_dir / "mlperf_tiny" / f"{network}.tflite"
    parts = flash_parts(load_model(path), load_profile(TFLM))
    assert parts.weights.value + parts.parameters.value == pytest.approx(path.stat().st_size, rel=0.18)


def test_weights_flash_is_what_st_edge_ai_reports(models_dir: Path) -> None:
    """resnet8_32_tfs in st_modelzoo_mcu.csv: 76.90 KiB of weights (scales are in the code)."""
    parts = flash_parts(load_model(models_dir / "mlperf_tiny" / "ic_resnet8_int8.tflite"), load_profile(ST))
    assert (parts.weights.value + 1384) / 1024 == pytest.approx(76.90, rel=1e-3)  # 346 biases of 4 bytes
    assert parts.parameters.value == 1384 + 4 * 337  # the last layer has one scale for its ten channels


def test_every_part_has_an_interval_around_it_and_the_total_is_the_sum() -> None:
    parts = flash_parts(residual(), load_profile(TFLM))
    for part in (parts.weights, parts.parameters, parts.tables, parts.code, parts.total):
        assert part.low <= part.value <= part.high
    assert parts.total.value == sum(p.value for p in (parts.weights, parts.parameters, parts.tables, parts.code))
    assert parts.code.high > parts.code.low > 0


def test_code_grows_with_operators_not_with_layers() -> None:
    one, many = flash_parts(dense(), load_profile(TFLM)).code.value, flash_parts(residual(), load_profile(TFLM)).code.value
    memory = load_profile(TFLM).costs.memory  # type: ignore[union-attr]
    kernels = memory.kernel_flash_bytes
    assert one == memory.runtime_flash_bytes.value + kernels["fully_connected"].value
    assert many == memory.runtime_flash_bytes.value + kernels["conv2d"].value + 2 * kernels["any"].value  # add, reshape


def test_tables_are_one_per_layer_of_bytes_and_one_per_operator_of_int16() -> None:
    def chain(dtype: str) -> Graph:
        tensors = [activation(f"t{i}", (1, 8), dtype) for i in range(4)]
        nodes = tuple(
            Node(op + str(i), op, (f"t{i}",), (f"t{i + 1}",), OPS[op].attrs())
            for i, op in enumerate(("logistic", "tanh", "logistic"))
        )
        return Graph("chain", nodes, {t.name: t for t in tensors}, ("t0",), ("t3",))

    profile = load_profile(TFLM)
    assert flash_parts(chain("int8"), profile).tables.value == 3 * 256
    assert flash_parts(chain("int16"), profile).tables.value == 512


@pytest.mark.parametrize("name", list_profiles())
def test_estimate_lies_in_its_own_interval(name: str) -> None:
    profile = load_profile(name)
    if profile.costs is None:
        pytest.skip("has no costs")
    got = estimate(residual(), profile)
    assert got.flash_low_bytes <= got.flash_bytes + got.runtime_flash_bytes + 1
    assert got.ram_low_bytes - 1 <= got.ram_peak_bytes + got.runtime_ram_bytes <= got.ram_high_bytes + 1


FALLBACKS = [name for name in list_profiles() if (p := load_profile(name)).fallback is not None and p.costs is not None]


@pytest.mark.parametrize("name", FALLBACKS)
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_layers_of_a_host_that_shares_the_flash_are_in_the_interval(name: str, kind: str) -> None:
    got = estimate(dense(kind, kind, per_channel=False, inputs=4096, outputs=100), load_profile(name))
    assert got.flash_low_bytes - 1 <= got.flash_bytes + got.runtime_flash_bytes <= got.flash_high_bytes + 1
    assert got.ram_low_bytes - 1 <= got.ram_peak_bytes + got.runtime_ram_bytes <= got.ram_high_bytes + 1


@pytest.mark.parametrize("name", [TFLM, ST, "max78000", "stm32n6-neural-art"])
def test_a_matrix_that_ten_layers_share_is_stored_once(name: str) -> None:
    profile = load_profile(name)
    one, ten = estimate(tied(1), profile), estimate(tied(10), profile)
    apart = sum(row.parameter_bytes for row in ten.layers)
    assert ten.flash_bytes == 64 * 64 + apart and one.flash_bytes == 64 * 64 + apart / 10
    assert [row.weight_bytes for row in ten.layers] == [64 * 64] * 10  # each reads all of it
    assert ten.flash_low_bytes - 1 <= ten.flash_bytes + ten.runtime_flash_bytes <= ten.flash_high_bytes + 1
    assert ten.host_flash_bytes in (0, ten.flash_bytes)
