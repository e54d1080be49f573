"""Format factors against the counts that they name, and their directions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from workbench.calibrate import format_factors as f
from workbench.calibrate.cores import traits


@pytest.fixture(scope="module")
def counts(ground_truth: Path) -> pd.DataFrame:
    table = pd.read_csv(ground_truth / "cortexm_cycles.csv")
    return table.assign(cycles=pd.to_numeric(table.cycles, errors="coerce"))


def cycles(table: pd.DataFrame, core: str, start: str, end: str = "") -> float:
    """Return the cycles of the only routine of a core whose name starts so (and ends so)."""
    found = table[(table.core == core) & table.routine.str.startswith(start) & table.routine.str.endswith(end)]
    assert len(found) == 1, (core, start, list(found.routine))
    return float(found.cycles.iloc[0])


@pytest.mark.parametrize("name", list(f.LOOPS))
def test_inner_loops_are_those_of_the_table(counts: pd.DataFrame, name: str) -> None:
    loops = f.LOOPS[name]
    single = "(MULS=1 cycles) [per MAC]" if loops.row == "m0+" else "[per MAC]"
    assert loops.int8 == cycles(counts, loops.row, "int8 dot with input offset", single)
    assert loops.int4 == cycles(counts, loops.row, "int4-packed weight dot", single)
    assert loops.int16 == cycles(counts, loops.row, "int16xint8 dot", single)
    assert loops.requantize == cycles(counts, loops.row, "requant int32->int8")


@pytest.mark.parametrize(("library", "core"), [("libgcc-m0plus", "m0+"), ("libgcc-m3", "m3")])
def test_software_floats_are_those_of_the_table(counts: pd.DataFrame, library: str, core: str) -> None:
    got = f.FLOATS[library]
    names = {"add": "fadd", "multiply": "fmul", "divide": "fdiv", "compare": "fcmplt", "from_int": "i2f", "to_int": "f2iz"}
    for field, routine in names.items():
        assert getattr(got, field) == cycles(counts, core, f"libgcc __aeabi_{routine}"), routine
    assert got.exp == cycles(counts, core, "newlib expf")


def test_floats_of_the_rp2040_rom_are_those_of_the_table(counts: pd.DataFrame) -> None:
    rom = f.FLOATS["rp2040-rom"]
    names = {"add": "fadd", "multiply": "fmul", "exp": "fexp", "from_int": "int2float", "to_int": "float2int"}
    for field, routine in names.items():
        assert getattr(rom, field) == cycles(counts, "m0+", f"RP2040 bootrom mufp_{routine}"), routine
    assert rom.divide == pytest.approx(f.FLOATS["libgcc-m0plus"].divide / 5.86, rel=0.01)


def test_a_float_dot_product_in_software_is_its_add_and_multiply(counts: pd.DataFrame) -> None:
    """The table counts whole loops too: calls explain them but for the loop itself."""
    for name in ("cortex-m0plus", "cortex-m3"):
        loop = cycles(counts, f.LOOPS[name].row, "fp32 dot")
        assert f.floats(name).mac == pytest.approx(loop, rel=0.15)


def test_rv32_soft_float_lies_above_the_hand_written_library(counts: pd.DataFrame) -> None:
    core = "GD32VF103 (RV32IMAC Bumblebee)"
    for field, routine in {"add": "addsf3", "multiply": "mulsf3", "divide": "divsf3"}.items():
        fast = cycles(counts, core, f"SEGGER emFloat __{routine}")
        assert getattr(f.FLOATS["libgcc-rv32"], field) == pytest.approx(1.5 * fast, rel=0.01)


def per_product(folder: Path, file: str, **where: str) -> pd.Series:
    """Return cycles per product of the rows of a table whose cells are these."""
    table = pd.read_csv(folder / file)
    for column, value in where.items():
        table = table[table[column] == value]
    table = table[table.macs.notna()]
    assert len(table)
    return table.latency_ms * 1e3 * table.clock_mhz / table.macs


@pytest.mark.parametrize(
    ("core", "file", "where"),
    [
        ("cortex-m7", "tinyengine_h743.csv", {"runtime": "TFLM@713b6ed"}),
        ("xtensa-simd", "espressif_nordic.csv", {"device": "ESP32-S3", "runtime": "TFLM without ESP-NN"}),
        ("xtensa", "espressif_nordic.csv", {"device": "ESP32", "runtime": "TFLM without ESP-NN"}),
        ("rv32-simd", "espressif_nordic.csv", {"device": "ESP32-P4", "runtime": "TFLM without ESP-NN"}),
        ("rv32", "mlperf_tiny.csv", {"device": "PCL Scepu02"}),
    ],
)
def test_reference_kernels_are_as_slow_as_published(ground_truth: Path, core: str, file: str, where: dict[str, str]) -> None:
    constant = f.REFERENCE[core]
    published = per_product(ground_truth, file, **where)
    assert constant.value == pytest.approx(published.median(), rel=0.06)
    matrix = constant.value * f.REFERENCE_MATRIX
    assert matrix / (1 + constant.uncertainty) <= published.min() and published.max() <= constant.value * (
        1 + constant.uncertainty
    )


@pytest.mark.parametrize("core", [*f.LOOPS, *f.LIKE, *f.VECTOR, "rv32", "xtensa"])
def test_fewer_bits_are_never_assumed_to_be_faster_arithmetic(core: str) -> None:
    assert f.weight_factor(core, "w4a8").value > 1
    assert f.weight_factor(core, "w4a8", 100.0).value > 1
    unpack = f.unpack_weights(core)
    assert set(unpack) == {2, 4} and all(c.value > 0 and c.basis == "assumed" for c in unpack.values())


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "rv32", "mcu-scalar"])
def test_without_an_fpu_every_float_operation_is_a_call(core: str) -> None:
    assert not traits(core).fpu and f.floats(core).mac > 80 > f.floats("cortex-m4").mac
    assert f.reference_mac(core, "convolution", "fp32").value > f.reference_mac(core, "convolution", "w8a8").value + 80
    assert f.reference_mac("cortex-m4", "convolution", "fp32") == f.reference_mac("cortex-m4", "convolution", "w8a16")


def test_classes_with_an_fpu_are_those_that_have_no_library() -> None:
    for core in (*f.LOOPS, *f.LIKE, *f.VECTOR, *f.SOFT, "xtensa", "rv32f"):
        assert traits(core).fpu == (core not in f.SOFT) or core == "npu-mvp", core


def test_slow_kernels_pay_the_difference_of_the_loops_and_fast_ones_their_ratio() -> None:
    """18 against 11 cycles on M0+: seven more on a kernel of 22 cycles, 64 % more on one of 5.5."""
    assert f.weight_factor("cortex-m0plus", "w4a8", 22.0).value == pytest.approx(29 / 22)
    assert f.weight_factor("cortex-m0plus", "w4a8", 5.5).value == pytest.approx(9 / 5.5)


def test_lanes_of_a_vector_unit_are_those_of_the_table(ground_truth: Path) -> None:
    said = pd.read_csv(ground_truth / "cortexm_cycles.csv").set_index("core").routine["m55"]
    assert "8 int8 MAC/cycle" in said and "S16 4/cycle" in said and "F16 4/cycle" in said
    for fmt in ("w8a16", "fp16"):
        assert f.weight_factor("cortex-m55", fmt).value == 8 / 4
