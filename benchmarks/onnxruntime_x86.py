"""ONNX Runtime on x86: whole networks against the runtime itself, and what the saturation of AVX2 without VNNI does to their answers.

python -m benchmarks.onnxruntime_x86 [SAMPLES]

The networks of WORKBENCH_MODELS and the shipped one become QDQ models (`onnx_int8`). They run on this CPU and, where `qemu-x86_64`
(Debian: qemu-user) is installed, on a Haswell that it emulates: AVX2, no VNNI. Outputs are compared with the profile's, bit for bit.
SAMPLES (default 32): that many of each network. The other tables are emulated alone, on all inputs. Prints the tables of
docs/onnxruntime.md.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import FILES, Network, load
from benchmarks.onnx_int8 import to_onnx
from benchmarks.runtimes import onnx_input, onnx_output
from workbench.data import read_arrays
from workbench.execute import batches
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.metrics import predictions
from workbench.overflow import analyse, observe
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, calibrate

ROOT = Path(__file__).resolve().parents[1]
CHILD = Path(__file__).with_name("onnxruntime_child.py")
VNNI, AVX2 = "x86-vnni-onnxruntime", "x86-avx2-onnxruntime"
QEMU = ("qemu-x86_64", "-cpu", "Haswell")
W8, W7 = PrecisionPlan.of("w8a8"), PrecisionPlan.of("w7a8")
BATCH = 64


@dataclass(frozen=True, eq=False)
class Subject:
    """A network for both targets. x: inputs, batch first; labels: classes, or None where the file has none. classes: it has some."""

    name: str
    lowerings: dict[str, Lowering]
    x: Any
    labels: Any
    classes: bool

    def run(self, profile: str, plan: PrecisionPlan, count: int | None = None) -> Any:
        """Return the emulated outputs of the first `count` inputs."""
        graph = self.lowerings[profile].graph
        program, x = self.lowerings[profile].program(plan), self.x[:count]
        name = program.outputs[0].name
        return np.concatenate([program.run({graph.inputs[0]: x[part]})[name] for part in batches(len(x), BATCH)])

    def flips(self, y: Any, other: Any) -> int:
        """Return in how many samples the class differs."""
        return int((predictions(y) != predictions(other)).sum())

    def top1(self, y: Any) -> str:
        """Return the accuracy, or a dash."""
        return "-" if self.labels is None else f"{100 * np.mean(predictions(y) == self.labels):.1f} %"


def subjects() -> list[Subject]:
    """Return the networks that are there."""
    found = []
    for name in FILES:
        one = load(name, 1)
        if one is None or not one.source[0].isdigit():  # no inputs of its own
            continue
        network = load(name, int(one.source.split()[0]))
        assert network is not None
        lowerings = {p: Lowering(network.graph, load_profile(p)) for p in (VNNI, AVX2)}
        found.append(Subject(name, lowerings, network.x, _labels(network), name != "autoencoder"))
    return [*found, _shipped()]


def _labels(network: Network) -> Any:
    file = network.source.rpartition(" ")[2]
    path = next(iter(network.path.parents[1].rglob(file)), None)
    return None if path is None else read_arrays(path).get("y")


def _shipped() -> Subject:
    """Return the network of studies/quickstart.yaml, its scales from the same calibration samples."""
    graph = load_model(ROOT / "studies" / "models" / "fashion_cnn.onnx")
    data = read_arrays(ROOT / "studies" / "data" / "fashion_mnist.npz")
    x, seen = (data[k].astype(np.float32) * np.float32(1 / 255) for k in ("test_x", "calibration_x"))
    calibration = calibrate(graph, {graph.inputs[0]: seen}, True)
    lowerings = {p: Lowering(graph, load_profile(p), calibration) for p in (VNNI, AVX2)}
    return Subject("Fashion-MNIST CNN (shipped)", lowerings, x, data["test_y"], True)


def against_runtime(found: list[Subject], samples: int) -> None:
    """Print how many outputs differ between the runtime and its profile, on this CPU and on the emulated one."""
    here = VNNI if "vnni" in Path("/proc/cpuinfo").read_text() else AVX2
    runs: list[tuple[str, str, tuple[str, ...]]] = [("this CPU", here, ())]
    if shutil.which(QEMU[0]):
        runs.append(("QEMU, Haswell", AVX2, QEMU))
    print("\n| network | CPU | profile | samples | outputs | differ |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for i, subject in enumerate(found):
            graph = subject.lowerings[VNNI].quantized(W8)
            (Path(folder) / f"{i}.onnx").write_bytes(to_onnx(graph))
            np.save(Path(folder) / f"{i}.x.npy", _nchw(subject.x[:samples]))
        for cpu, profile, before in runs:
            subprocess.run([*before, sys.executable, str(CHILD), folder], check=True, stderr=subprocess.DEVNULL)
            for i, subject in enumerate(found):
                y = np.load(Path(folder) / f"{i}.y.npy")
                want = subject.run(profile, W8, samples)
                got = (onnx_output(y) if y.dtype == np.uint8 else y).reshape(want.shape)
                print(f"| {subject.name} | {cpu} | `{profile}` | {len(want)} | {want.size:,} | {int((got != want).sum())} |")


def _nchw(x: Any) -> Any:
    return onnx_input(x) if x.dtype == np.int8 else np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x


def networks_table(found: list[Subject]) -> None:
    """Print flips and accuracy of every network under both targets, with 8- and 7-bit weights."""
    print(
        "\n| network | samples | flips by saturation | top-1: VNNI | AVX2 | w7a8, both | flips by 7-bit weights |\n"
        "|---|---|---|---|---|---|---|"
    )
    for s in found:
        exact, saturated = s.run(VNNI, W8), s.run(AVX2, W8)
        seven = s.run(AVX2, W7)
        assert np.array_equal(seven, s.run(VNNI, W7)), "pairs of 7-bit weights saturated"
        differ = int((exact != saturated).reshape(len(exact), -1).any(axis=1).sum())
        flips = f"{s.flips(exact, saturated):,}" if s.classes else f"no classes; {differ} outputs differ"
        sevens = f"{s.flips(exact, seven):,}" if s.classes else "-"
        print(f"| {s.name} | {len(s.x):,} | {flips} | {s.top1(exact)} | {s.top1(saturated)} | {s.top1(seven)} | {sevens} |")


def layers_table(found: list[Subject]) -> None:
    """Print, of every layer in which sums saturate on data, how many do and how many classes flip because of it alone."""
    print(
        "\n| network | layer | sums with a saturated pair | flips, it alone | flips left with w7a8 there |\n|---|---|---|---|---|"
    )
    for s in found:
        if not s.classes:
            continue
        lowering = s.lowerings[AVX2]
        program = lowering.program(W8)
        seen = observe(program, analyse(program), {lowering.graph.inputs[0]: s.x})
        exact = s.run(VNNI, W8)
        all_flips = s.flips(exact, s.run(AVX2, W8))
        for name, layer in seen.layers.items():
            if layer.overflowed:
                left = s.flips(exact, s.run(AVX2, W8.replace({name: "w7a8"})))
                share = 100 * layer.overflowed / layer.outputs
                print(f"| {s.name} | {name} | {layer.overflowed:,} ({share:.2g} %) | {layer.flips} | {left} of {all_flips} |")


def main() -> None:
    """Print all tables."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    found = subjects()
    against_runtime(found, samples)
    networks_table(found)
    layers_table(found)


if __name__ == "__main__":
    main()
