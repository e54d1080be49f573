"""`workbench inspect --overflow`: proofs, tiles and data from the command line; it never fails because something overflows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.test_cli import cli

PROFILE = """
extends: stm32l4r5-cortex-m4-tflm
name: narrow
title: "Narrow accumulators"
source: "made up"
kind: npu
core: "none"
runtime: "none"
proof: rule
exactness: "rule only"
clock_hz: 100_000_000
memories: [{name: flash, kind: flash, size_bytes: 1_048_576}, {name: ram, kind: ram, size_bytes: 1_048_576}]
operators:
  fully_connected: {arithmetic: {accumulator_bits: 12, overflow: saturate_tiles, accumulator_tile: 2}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of one fully connected layer, a profile whose accumulator is narrow, and data."""
    unit = {"scale": [1.0], "zero": [0]}
    w = np.array([[10, 10, -10, 1], [1, 1, 1, 1]], np.int8)
    tensors = [
        T([1, 4], np.int8, "x", **unit), const(w, name="w", **unit), const(np.zeros(2, np.int32), name="b", **unit),
        T([1, 2], np.int8, "y", scale=[32.0], zero=[0]),
    ]  # fmt: skip
    layer = Op("FULLY_CONNECTED", [0, 1, 2], [3], ("FullyConnectedOptions", {}))
    (tmp_path / "m.tflite").write_bytes(Net(tensors, [layer]).bytes())
    (tmp_path / "narrow.yaml").write_text(PROFILE)
    np.save(tmp_path / "x.npy", np.array([[127, 127, 120, 0], [1, 2, 3, 4], [127, 127, -127, 127]], np.int8))
    return tmp_path


def test_a_proof_a_tile_and_what_data_do(folder: Path) -> None:
    names = [str(folder / "narrow.yaml"), "stm32l4r5-cortex-m4-tflm"]
    words = ["inspect", str(folder / "m.tflite"), *(w for n in names for w in ("-p", n)), "--overflow"]
    done = cli(*words, "--data", str(folder / "x.npy"), "--tiles", str(folder / "tiles.npz"), "--quiet")
    assert done.returncode == 0, done.stderr
    narrow, wide = done.stdout.split("m.tflite on stm32l4r5-cortex-m4-tflm")
    assert "12 bits, saturates every 2 products" in narrow and "overflows: channel 0" in narrow
    assert "No layer of 1 is proven." in narrow and "2 (33.33%)" in narrow  # two sums of six
    assert "after 2 of 4 products the sum is" in narrow
    assert "cannot overflow" in wide and "1 of 1 layers" in wide and "0 of 3 samples have another class" in wide
    tiles = np.load(folder / "tiles.npz")
    (name,) = tiles.files
    assert name.startswith("narrow/") and name.endswith("/channel0")
    sums = np.array([10, 10]) @ tiles[name][:2].astype(np.int64)
    assert abs(sums) > 2047


def test_a_layer_without_an_integer_accumulator_says_so(folder: Path) -> None:
    w = np.ones((2, 4), np.float32)
    tensors = [T([1, 4], np.float32, "x"), const(w, name="w"), T([1, 2], np.float32, "y")]
    net = Net(tensors, [Op("FULLY_CONNECTED", [0, 1, -1], [2], ("FullyConnectedOptions", {}))])
    (folder / "f.tflite").write_bytes(net.bytes())
    words = ("inspect", str(folder / "f.tflite"), "-p", "x86-litert-reference", "--overflow", "--plan")
    done = cli(*words, "fp32")
    assert done.returncode == 0, done.stderr
    assert "no integer accumulator" in done.stdout and "No layer has an integer accumulator." in done.stdout
    refused = cli(*words, "w8a8")
    assert refused.returncode == 2 and "has no scale" in refused.stderr
    np.save(folder / "f.npy", np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32))
    calibrated = cli(*words, "w8a8", "--data", str(folder / "f.npy"), "-q")
    assert calibrated.returncode == 0 and "cannot overflow" in calibrated.stdout


def test_a_target_that_does_not_run_the_model_ends_as_inspect_does(folder: Path) -> None:
    (folder / "other.yaml").write_text(PROFILE.replace("{arithmetic:", "{formats: [fp32], arithmetic:"))
    done = cli("inspect", str(folder / "m.tflite"), "-p", str(folder / "other.yaml"), "--overflow")
    assert done.returncode == 3 and "not supported" in done.stdout


@pytest.mark.parametrize("words", [("--overflow",), ("-p", "x86-litert-reference", "--data", "x.npy"), ("--tiles", "t.npz")])
def test_options_that_lack_another_are_refused(folder: Path, words: tuple[str, ...]) -> None:
    done = cli("inspect", str(folder / "m.tflite"), *words)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "overflow" in done.stderr
