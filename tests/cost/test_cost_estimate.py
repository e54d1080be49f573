"""estimate, fits, support: sums, units, intervals, and that fewer bits may be slower."""

from __future__ import annotations

from dataclasses import replace
from math import isclose, isnan

import numpy as np
import pytest

from tests.cost.graphs import dense, residual, weight
from workbench.cost import check_operators, estimate, fits, support
from workbench.cost.counts import layer_work
from workbench.cost.estimate import LayerCost
from workbench.cost.interval import Term, basis_text, combine
from workbench.cost.latency import host_time
from workbench.errors import ProfileError
from workbench.hardware import list_profiles, load_profile

M0, M4, ETHOS = "stm32g0b1-cortex-m0plus-tflm", "stm32l4r5-cortex-m4-tflm", "ethos-u55-128"


def test_totals_are_the_sums_of_the_layers() -> None:
    profile = load_profile(M4)
    got = estimate(residual(), profile)
    assert profile.costs is not None
    start = profile.costs.latency.inference.value / profile.clock_hz
    assert isclose(got.latency_s, start + sum(row.latency_s for row in got.layers))
    assert isclose(got.energy_j, got.latency_s * profile.costs.energy.active_power_w.value)
    assert got.flash_bytes == sum(row.weight_bytes + row.parameter_bytes for row in got.layers)
    assert got.macs == 36 * 8 * 36 + 36 * 64
    assert got.frame().layer.tolist() == ["conv0", "conv1", "add", "flat"]
    for row in (*got.layers, got):
        assert row.latency_low_s <= row.latency_s <= row.latency_high_s
        assert row.energy_low_j <= row.energy_j <= row.energy_high_j


def test_latency_is_the_formula_of_the_page() -> None:
    profile = load_profile(M0)
    row = estimate(dense(), profile).layers[0]
    assert profile.costs is not None
    dense_row = profile.costs.latency.operators["fully_connected"][0]
    assert dense_row.mac is not None and dense_row.output is not None
    cycles = 640 * dense_row.mac.value + 10 * dense_row.output.value + profile.costs.latency.layer.value
    assert isclose(row.latency_s, cycles / profile.clock_hz)


def test_ram_is_the_liveness_peak_by_hand() -> None:
    profile = load_profile("stm32l4r5-cortex-m4-xcubeai")
    assert profile.costs is not None and profile.costs.memory.arena_factor is not None
    xcube = estimate(residual(), profile)
    x, a = 6 * 6 * 4, 6 * 6 * 8
    assert [row.ram_bytes for row in xcube.layers] == [x + a, a + a, a + a + a, a]
    assert xcube.ram_peak_bytes == round(3 * a * profile.costs.memory.arena_factor.value)
    assert xcube.ram_low_bytes < xcube.ram_peak_bytes + xcube.runtime_ram_bytes < xcube.ram_high_bytes
    tflm = estimate(residual(), load_profile(M4))
    columns = 2 * 2 * 9 * 4
    assert tflm.layers[0].ram_bytes == x + a + columns
    assert tflm.layers[-1].ram_bytes == a + a  # reshape has a buffer of its own there


@pytest.mark.parametrize("name", [M0, M4])
def test_fewer_bits_are_smaller_and_slower_where_they_must_be_unpacked(name: str) -> None:
    rows = {kind: estimate(dense(kind, per_channel=False), load_profile(name)).layers[0] for kind in ("int8", "int4", "int2")}
    assert rows["int8"].weight_bytes == 640 and rows["int4"].weight_bytes == 320 and rows["int2"].weight_bytes == 160
    assert rows["int4"].latency_s > rows["int8"].latency_s and rows["int2"].latency_s > rows["int8"].latency_s
    assert (rows["int4"].emulation, rows["int2"].emulation) == ("", "unpack")
    assert rows["int2"].ram_bytes == rows["int8"].ram_bytes + 640
    assert "assumed" in rows["int2"].basis


def test_float_on_a_core_without_fpu_costs_soft_float() -> None:
    ratio = estimate(dense("float32", "float32"), load_profile(M0)).latency_s / estimate(dense(), load_profile(M0)).latency_s
    assert ratio > 5


def test_widened_weights_save_only_what_the_compressor_makes_of_them() -> None:
    profile = load_profile(ETHOS)
    rng = np.random.default_rng(0)

    def size(kind: str, levels: int) -> int:
        graph = dense(kind, inputs=640)
        values = rng.integers(-levels // 2, levels // 2, (10, 640)).astype(np.int8)
        tensors = {**graph.tensors, "w": replace(graph.tensors["w"], data=values)}
        return estimate(replace(graph, tensors=tensors), profile).layers[0].weight_bytes

    raw = 6400
    assert size("int8", 256) == pytest.approx(8576, rel=0.02)  # Vela 5.2.0 on such weights: 10 outputs are filled up to 16
    assert 0.5 * raw < size("int4", 16) < 0.7 * raw  # Vela: 4,416
    assert estimate(dense("int4"), profile).layers[0].emulation == "widen"


def test_unsupported_layers_are_named_and_never_priced() -> None:
    graph, profile = dense("int4", "int16"), load_profile("ethos-u55-128")
    (problem,) = support(graph, profile)
    assert (problem.node, problem.op, problem.format) == ("dense", "fully_connected", "w4a16")
    assert "w8a16" in problem.has and "w4a16" in problem.hint
    got = estimate(graph, profile)
    assert isnan(got.latency_s) and got.layers[0].basis == "not supported" and got.basis == "not supported"


def test_a_missing_operator_is_named() -> None:
    graph = dense("float32", "float32")
    (problem,) = support(graph, load_profile(ETHOS))
    assert problem.format == "fp32" and "w8a8" in problem.has


def test_what_fits_and_the_levers_of_what_does_not() -> None:
    profile = load_profile(M0)
    assert fits(estimate(dense(), profile), profile).ok
    big = fits(estimate(dense(inputs=1000, outputs=1000), profile), profile)
    flash = big.memories[0]
    assert not big.ok and flash.kind == "flash" and flash.gap_bytes == flash.need_bytes - 524_288 > 0
    assert "dense to w4a8-per-tensor: saves 500,000 bytes" in flash.levers[0]


def test_a_profile_without_costs_says_so() -> None:
    profile = load_profile(M4).model_copy(update={"costs": None})
    with pytest.raises(ProfileError, match="no section 'costs'"):
        estimate(dense(), profile)


def test_operators_unknown_to_the_workbench_are_refused() -> None:
    profile = load_profile(M4)
    wrong = profile.model_copy(update={"operators": {"conv2": profile.operators["conv2d"]}})
    with pytest.raises(ProfileError, match=r"conv2 is not a known operator. Did you mean 'conv2d'"):
        check_operators(wrong)


def test_shared_constants_err_together_and_different_ones_do_not() -> None:
    together = combine([Term("a", 1.0, "assumed", 0.5), Term("a", 1.0, "assumed", 0.5)], 0.1)
    apart = combine([Term("a", 1.0, "assumed", 0.5), Term("b", 1.0, "assumed", 0.5)], 0.1)
    assert together.relative == 0.5 and isclose(apart.relative, 0.5 / 2**0.5)
    assert (
        combine(
            [Term("a", 1.0, "same device and runtime", 0.01), Term("b", 1.0, "same device and runtime", 0.01)], 0.3
        ).relative
        == 0.3
    )
    assert isclose(together.low, 2 / 1.5) and isclose(together.high, 3.0)
    assert (
        basis_text([Term("a", 96.0, "same device and runtime", 0.1), Term("b", 4.0, "assumed", 1.0)])
        == "same device and runtime"
    )


@pytest.mark.parametrize("name", list_profiles())
def test_every_profile_prices_a_network_that_it_supports(name: str) -> None:
    profile = load_profile(name)
    kinds = [("int8", "int8", True), ("int8", "int8", False), ("float16", "float16", True)]
    graph = next(g for g in (dense(*kind) for kind in kinds) if not support(g, profile))
    got = estimate(graph, profile)
    assert got.latency_s > 0 and got.energy_j > 0 and got.flash_bytes > 0


def test_arithmetic_of_a_kernel_that_unpacks_is_as_unsure_as_its_unpacking() -> None:
    """A convolution over many positions spends next to nothing on unpacking; nobody has measured its kernel all the same."""
    profile = load_profile(M4)
    assert profile.costs is not None
    unpack = profile.costs.latency.unpack[2]
    assert unpack.basis == "assumed"
    graph = residual()

    def layer(kind: str) -> LayerCost:
        tensors = dict(graph.tensors, w0=weight("w0", (8, 3, 3, 4), kind))
        return estimate(replace(graph, tensors=tensors), profile).layers[0]

    eight, two = layer("int8"), layer("int2")
    assert two.emulation == "unpack" and "assumed" in two.basis and "assumed" not in eight.basis
    arithmetic = (two.compute_s + two.unpack_s) / two.latency_s
    assert two.latency_high_s / two.latency_s - 1 >= 0.99 * unpack.uncertainty * arithmetic


def test_a_layer_of_the_host_is_as_unsure_as_its_constants_and_the_clocks_together() -> None:
    profile = load_profile("max78000")
    host = load_profile("stm32l4r5-cortex-m4-tflm")
    assert profile.fallback is not None and host.costs is not None
    work = layer_work(dense(), dense().nodes[0])
    factor, there = profile.fallback.cycles, host.costs.latency
    known = host_time(profile, host, work, 0).terms
    assert {t.key for t in known} == {"host"}
    assert all(t.uncertainty >= np.hypot(there.layer_uncertainty, factor.uncertainty) - 1e-9 for t in known)
    guess = there.model_copy(update={"layer": there.layer.model_copy(update={"basis": "assumed", "uncertainty": 3.0})})
    unsure = host.model_copy(update={"costs": host.costs.model_copy(update={"latency": guess})})
    assert max(t.uncertainty for t in host_time(profile, unsure, work, 0).terms) >= 3.0
    assert "assumed" in {t.basis for t in host_time(profile, unsure, work, 0).terms} and "assumed" not in {
        t.basis for t in known
    }


def test_ram_is_that_of_the_samples_that_a_graph_mixes() -> None:
    graph = residual()
    many = {n: t if t.is_constant else replace(t, shape=(4, *t.shape[1:])) for n, t in graph.tensors.items()}
    profile = load_profile("stm32l4r5-cortex-m4-xcubeai")
    one, four = estimate(graph, profile), estimate(replace(graph, tensors=many, fixed_batch=4), profile)
    assert [row.ram_bytes for row in four.layers] == [4 * row.ram_bytes for row in one.layers]
