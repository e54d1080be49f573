"""Mutated files: every one either loads (and then runs) or is refused with one clear message; nothing crashes or hangs."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.errors import ModelError, WorkbenchError
from workbench.execute import check_inputs, prepare, run_reference
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite

MODELS = ("kws_ref_int8", "kws_ref_dynrange")
SECONDS = 5.0
EXTREMES = (0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 0x40000000)
Mutation = Callable[[bytearray, np.random.Generator, np.ndarray], None]


def _flip(data: bytearray, rng: np.random.Generator, places: np.ndarray) -> None:
    for _ in range(int(rng.integers(1, 5))):
        data[int(rng.choice(places))] ^= 1 << int(rng.integers(0, 8))


def _byte(data: bytearray, rng: np.random.Generator, places: np.ndarray) -> None:
    data[int(rng.choice(places))] = int(rng.integers(0, 256))


def _word(data: bytearray, rng: np.random.Generator, places: np.ndarray) -> None:
    at = int(rng.choice(places)) & ~3
    if at + 4 <= len(data):
        struct.pack_into("<I", data, at, int(rng.choice(EXTREMES)))


def _half(data: bytearray, rng: np.random.Generator, places: np.ndarray) -> None:
    at = int(rng.choice(places)) & ~1
    if at + 2 <= len(data):
        struct.pack_into("<H", data, at, int(rng.choice(EXTREMES)) & 0xFFFF)


def _nudge(data: bytearray, rng: np.random.Generator, places: np.ndarray) -> None:
    at = int(rng.choice(places)) & ~3
    if at + 4 <= len(data):
        value = struct.unpack_from("<I", data, at)[0] + int(rng.integers(-16, 17))
        struct.pack_into("<I", data, at, value & 0xFFFFFFFF)


def _cut(data: bytearray, rng: np.random.Generator, places: np.ndarray) -> None:
    del data[int(rng.integers(0, len(data))) :]


def _move(data: bytearray, rng: np.random.Generator, places: np.ndarray) -> None:
    size = int(rng.integers(1, 64))
    a, b = (int(rng.choice(places)) for _ in range(2))
    piece = data[a : a + size]
    data[b : b + len(piece)] = piece


MUTATIONS: tuple[Mutation, ...] = (_flip, _byte, _word, _word, _half, _nudge, _nudge, _cut, _move)


def structure(data: bytes) -> np.ndarray:
    """Return the positions that are not weights: runs of bytes outside of large buffers."""
    import tflite

    model = tflite.Model.GetRootAs(data, 0)
    keep = np.ones(len(data), bool)
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength() > 64:
            raw = buffer.DataAsNumpy()
            start = raw.__array_interface__["data"][0] - np.frombuffer(data, np.uint8).__array_interface__["data"][0]
            keep[start : start + len(raw)] = False
    return np.flatnonzero(keep)


def mutants(data: bytes, count: int, seed: int) -> list[bytes]:
    rng, places, found = np.random.default_rng(seed), structure(data), []
    for _ in range(count):
        mutant = bytearray(data)
        MUTATIONS[int(rng.integers(0, len(MUTATIONS)))](mutant, rng, places)
        found.append(bytes(mutant))
    return found


def load_or_refuse(data: bytes) -> Graph | None:
    start = time.monotonic()
    try:
        graph = load_tflite("mutant.tflite", data)
    except ModelError as problem:
        text = str(problem)
        assert text.startswith("mutant.tflite: ") and len(text) < 4000
        graph = None
    assert time.monotonic() - start < SECONDS
    return graph


def run_if_small(graph: Graph) -> None:
    """Run an accepted mutant: kernels have no bounds checks, so what loads must be safe to run."""
    sizes = [math.prod(t.shape) for t in graph.tensors.values()]
    if sum(sizes) > 2_000_000 or any(len(t.shape) < 1 or t.shape[0] > 64 for t in graph.activations()):
        return
    work = [a for n in graph.nodes for a in (*getattr(n.attrs, "filter", ()), *getattr(n.attrs, "dilation", ()))]
    if work and max(work) > 256:
        return
    batch = graph.fixed_batch or 1
    feed = {i: np.ones((batch, *graph.tensors[i].shape[1:]), np.float32) for i in graph.inputs}
    with np.errstate(all="ignore"):
        try:
            if graph.is_quantized:
                prepare(graph, load_profile("stm32l4r5-cortex-m4-tflm")).run(check_inputs(graph, feed))
            else:
                run_reference(graph, check_inputs(graph, feed))
        except WorkbenchError:
            pass


def small_networks() -> list[bytes]:
    rng = np.random.default_rng(3)
    scale = {"scale": [0.05], "zero": [3]}
    q = {"dtype": np.int8, **scale}
    window = {"Padding": 0, "StrideW": 1, "StrideH": 2, "FusedActivationFunction": 1}
    integers = Net(
        [
            T((1, 6, 6, 3), name="x", **q),
            const(rng.integers(-127, 127, (4, 3, 3, 3)), np.int8, scale=[0.01, 0.02, 0.03, 0.02]),
            const(rng.integers(-99, 99, 4), np.int32),
            T((1, 3, 6, 4), name="c", **q),
            T((1, 2, 5, 4), name="p", **q),
            const([[0, 0], [1, 0], [0, 1], [0, 0]], np.int32),
            T((1, 3, 6, 4), name="d", **q),
            T((1, 3, 6, 4), name="e", **q),
            const([1, 72], np.int32),
            T((1, 72), name="r", **q),
            const(rng.integers(-9, 9, (5, 72)), np.int8, scale=[0.1]),
            T((1, 5), name="f", **q),
            T((1, 5), np.int8, "s", scale=[1 / 256], zero=[-128]),
            T((1, 5), name="y"),
        ],
        [
            Op("CONV_2D", [0, 1, 2], [3], ("Conv2DOptions", {**window, "DilationHFactor": 1, "DilationWFactor": 1})),
            Op(
                "MAX_POOL_2D",
                [3],
                [4],
                ("Pool2DOptions", {"Padding": 1, "StrideW": 1, "StrideH": 1, "FilterWidth": 2, "FilterHeight": 2}),
            ),
            Op("PAD", [4, 5], [6]),
            Op("ADD", [6, 3], [7], ("AddOptions", {})),
            Op("RESHAPE", [7, 8], [9]),
            Op("FULLY_CONNECTED", [9, 10, -1], [11], ("FullyConnectedOptions", {})),
            Op("SOFTMAX", [11], [12], ("SoftmaxOptions", {"Beta": 1.0})),
            Op("DEQUANTIZE", [12], [13]),
        ],
    )
    floats = Net(
        [
            T((1, 4, 5, 3), name="x"),
            const([0, 2, 1, 3], np.int32),
            T((1, 5, 4, 3), name="t"),
            const([0, 1, 0, 0], np.int32),
            const([0, 4, 9, 0], np.int32),
            const([1, 2, 1, 1], np.int32),
            T((1, 2, 4, 3), name="s"),
            const(rng.normal(size=(4, 3)), np.float16),
            T((4, 3), name="h"),
            T((1, 2, 4, 3), name="m"),
            const([1, 2], np.int32),
            T((1, 3), name="n"),
            T((1, 3), name="l"),
            T((1, 6), name="j"),
            const(rng.normal(size=(6, 5)), np.float32),
            T((1, 5), name="b"),
            T((1, 5), name="y"),
        ],
        [
            Op("TRANSPOSE", [0, 1], [2]),
            Op("STRIDED_SLICE", [2, 3, 4, 5], [6], ("StridedSliceOptions", {"BeginMask": 1, "EndMask": 9})),
            Op("DEQUANTIZE", [7], [8]),
            Op("MUL", [6, 8], [9], ("MulOptions", {})),
            Op("MEAN", [9, 10], [11], ("ReducerOptions", {})),
            Op("LEAKY_RELU", [11], [12], ("LeakyReluOptions", {"Alpha": 0.1})),
            Op("CONCATENATION", [11, 12], [13], ("ConcatenationOptions", {"Axis": 1})),
            Op("BATCH_MATMUL", [13, 14], [15], ("BatchMatMulOptions", {})),
            Op("HARD_SWISH", [15], [16]),
        ],
    )
    return [integers.bytes(), floats.bytes()]


def run_fuzz(files: list[bytes], count: int, seed: int) -> None:
    accepted = 0
    for data in files:
        assert load_or_refuse(data) is not None
        for mutant in mutants(data, count, seed):
            graph = load_or_refuse(mutant)
            if graph is not None:
                accepted += 1
                if len(data) < 20_000:
                    run_if_small(graph)
    assert 0 < accepted < len(files) * count


def test_mutated_small_networks_load_and_run_or_are_refused() -> None:
    run_fuzz(small_networks(), 400, 1)


def test_mutated_real_networks_load_or_are_refused(models_dir: Path) -> None:
    run_fuzz([(models_dir / "mlperf_tiny" / f"{name}.tflite").read_bytes() for name in MODELS], 100, 2)


def test_every_truncation_of_a_small_network_is_refused() -> None:
    for data in small_networks():
        for length in range(0, len(data), 7):
            assert load_or_refuse(data[:length]) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_twenty_thousand_mutations(models_dir: Path, seed: int) -> None:
    run_fuzz(small_networks(), 2000, 100 + seed)
    run_fuzz([(models_dir / "mlperf_tiny" / f"{name}.tflite").read_bytes() for name in MODELS], 500, 200 + seed)
