"""The truth tables of the frozen benchmark, and their digests.

    python -m benchmarks.choice.tables [NAME ...] [--out FOLDER] [--threads N] [--freeze]

Four networks, all plans of each on its judged samples; what is in `frozen.json` beside this module must come out again. --freeze writes
that file. Parts of an interrupted table are kept in OUT/parts/NAME, and the same command goes on from them.

| table | network | samples | formats |
|---|---|---|---|
| resnet8 | MLPerf Tiny ResNet-8, int8 | 846 CIFAR-10 test images | W{2,4,8} A8 on 10 layers |
| dscnn | MLPerf Tiny DS-CNN, int8 | 1,000 keywords | W{2,4,8} A8 on 10 layers |
| fashion | the quickstart's CNN, float, calibrated | the first 1,000 Fashion-MNIST test images | W{2,4,8} x A{8,16} on 6 groups |
| ad01 | MLPerf Tiny autoencoder, int8 | 196 windows of one normal file | W{2,4,8} A8 on 10 layers |

The autoencoder's data hold no anomaly, so there is no AUC: it is judged by the SQNR of its outputs against the float reference, and its
loss is the squared error.

A space of more than 60,000 plans is made smaller: as long as it is too large, of all neighbours the two groups that together have the
fewest weights are decided together.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from workbench.data import Dataset, make_dataset, pick, read_arrays
from workbench.evaluate import Evaluator, Judge
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.metrics import named_metric
from workbench.ops import OPS
from workbench.progress import make_reporter
from workbench.quantize import Lowering, QuantizeOptions, calibrate
from workbench.resources import resource_folder
from workbench.sweep import Group, Space, decision_groups, legal_formats
from workbench.truth import TruthTable, build_table
from workbench.truth.prices import plan_costs

MODELS = Path(os.environ.get("WORKBENCH_MODELS") or Path(__file__).resolve().parents[3] / "shared" / "models")
FROZEN = Path(__file__).with_name("frozen.json")
MOST_PLANS = 60_000
BOARD = "stm32l4r5-cortex-m4-tflm"
"""A microcontroller with W{2,4,8} x A{8,16} and costs that were fitted to measurements."""
W248 = ("w8a8", "w4a8", "w2a8")


@dataclass(frozen=True)
class Source:
    """What a table is made of. samples: file and arrays (inputs, labels or None). calibration: array that sets the scales of a float
    model. scale: raw value 1 as a real number. most: only so many samples, the first ones. metric: decides; None = the usual one."""

    model: str
    samples: str
    inputs: str
    labels: str | None
    formats: tuple[str, ...] = W248
    profile: str = BOARD
    calibration: str | None = None
    scale: float | None = None
    most: int | None = None
    metric: str | None = None


SOURCES = {
    "resnet8": Source("mlperf_tiny/ic_resnet8_int8.tflite", "data/cifar10_test846.npz", "x", "y"),
    "dscnn": Source("mlperf_tiny/kws_ref_int8.tflite", "data/kws01_1000.npz", "x_int8", "y"),
    "ad01": Source("mlperf_tiny/ad01_int8.tflite", "data/ad01_one_normal_file.npz", "x_int8", None, metric="sqnr_db"),
    "fashion": Source(
        "studies/models/fashion_cnn.onnx", "studies/data/fashion_mnist.npz", "test_x", "test_y", (*W248, "w8a16", "w4a16", "w2a16"),
        calibration="calibration_x", scale=1 / 255, most=1000,
    ),
}  # fmt: skip


def path_of(name: str) -> Path:
    """Return where a model or its data lie: `studies/` ships with the project."""
    return resource_folder("studies") / name.removeprefix("studies/") if name.startswith("studies/") else MODELS / name


def lowering_of(source: Source, profile: str | None = None) -> Lowering:
    """Return the lowering of a table's model for its target, or for another."""
    graph = load_model(path_of(source.model))
    seen = None
    if source.calibration is not None:
        samples = _real(source, pick(read_arrays(path_of(source.samples)), source.calibration, source.samples))
        seen = calibrate(graph, samples, QuantizeOptions().activations != "min_max")
    return Lowering(graph, load_profile(profile or source.profile), seen)


def evaluator_of(source: Source, lowering: Lowering, threads: int | None = None) -> Evaluator:
    """Return the evaluator of a table: target, judged samples, metric."""
    data = _data(source, lowering.graph)
    metric = None if source.metric is None else named_metric(source.metric)
    judge = Judge.of(lowering.graph, data.labels is not None, metric)
    return Evaluator(lowering, data, threads=threads, judge=judge)


def _data(source: Source, graph: Graph) -> Dataset:
    arrays = read_arrays(path_of(source.samples))
    x = pick(arrays, source.inputs, source.samples)[: source.most]
    if x.dtype != graph.tensors[graph.inputs[0]].dtype:
        x = _real(source, x)
    labels = None if source.labels is None else pick(arrays, source.labels, source.samples)[: source.most]
    return make_dataset(Path(source.samples).name, x, labels)


def _real(source: Source, x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) * np.float32(1.0 if source.scale is None else source.scale)


def space_of(source: Source, lowering: Lowering) -> Space:
    """Return the space of a table: what the target has for every group, the groups merged until it fits (see above)."""
    legal, _ = legal_formats(lowering, source.formats)
    groups = decision_groups(lowering.graph, lowering.layers, list(legal))

    def offered(group: Group) -> list[str]:
        return [f for f, layers in legal.items() if layers.issuperset(group.layers)]

    groups = merged(groups, lambda g: len(offered(g)), lambda g: _weights(lowering.graph, g), MOST_PLANS)
    return Space.of(groups, {g.name: offered(g) for g in groups})


def merged(groups: Sequence[Group], formats: Callable[[Group], int], weights: Callable[[Group], int], most: int) -> list[Group]:
    """Return groups, neighbours merged until there are at most so many plans. formats: how many a group has on offer."""
    left = list(groups)
    while len(left) > 1 and math.prod(map(formats, left)) > most:
        pairs = [weights(a) + weights(b) for a, b in pairwise(left)]
        at = pairs.index(min(pairs))
        left[at : at + 2] = [Group(left[at].name, left[at].layers + left[at + 1].layers)]
    return left


def _weights(graph: Graph, group: Group) -> int:
    """Return the number of weights of a group; shared ones count once."""
    names = {}
    for layer in group.layers:
        node = graph.node(layer)
        spec = OPS[node.op].weights
        if spec is not None:
            name = node.inputs[spec.index]
            names[name] = math.prod(graph.tensors[name].shape)
    return sum(names.values())


def make(name: str, out: Path, threads: int | None = None) -> TruthTable:
    """Make a table, or read it where it is still what the code makes."""
    source = SOURCES[name]
    lowering = lowering_of(source)
    space = space_of(source, lowering)
    evaluator = evaluator_of(source, lowering, threads)
    with make_reporter(False).phase(f"{name}: {space.size:,} plans on {len(evaluator.data):,} samples") as tick:
        table = build_table(evaluator, space, plan_costs(lowering, space), out / "parts" / name, progress=tick)
    table.save(out / f"{name}.parquet")
    return table


def spots(space: Space) -> list[int]:
    """Return the numbers of some plans: the uniform ones, and as many spread over the space."""
    uniform = np.array([space.uniform(f) for f in dict.fromkeys(f for names in space.formats for f in names)])
    spread = np.linspace(0, space.size - 1, 2 + len(uniform)).astype(np.int64)
    return sorted({*space.numbers(uniform).tolist(), *spread.tolist()})


def spot_facts(table: TruthTable) -> dict[str, dict[str, object]]:
    """Return what `spots` do: how many samples are right, a digest of which, the mean loss to 9 digits. A run of these alone shows
    whether a table would come out again."""
    found = {}
    for number in spots(table.space):
        fact: dict[str, object] = {"loss": f"{table.mean_loss[number]:.9g}"}
        if table.correct is not None:
            fact["bits"] = hashlib.sha256(table.correct[number].tobytes()).hexdigest()[:16]
            fact["right"] = int(table.right(np.array([number])).sum())
        found[str(number)] = fact
    return found


def facts(table: TruthTable) -> dict[str, object]:
    """Return what of a table is frozen: digests, sizes, names of what it was made of."""
    origin = table.origin
    return {
        "model": origin.model, "graph": origin.graph, "samples": origin.samples, "profile": origin.profile,
        "groups": {g.name: list(names) for g, names in zip(table.space.groups, table.space.formats, strict=True)},
        "plans": len(table), "judged": table.samples, "metric": table.metric.name, "digests": table.digests(),
        "spots": spot_facts(table),
    }  # fmt: skip


def main() -> int:
    """Make the tables that were asked for (all); return 1 when one is not what was frozen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SOURCES)} (default: all)")
    parser.add_argument("--out", type=Path, default=Path("build/choice/tables"), help="folder (default build/choice/tables)")
    parser.add_argument("--threads", type=int, help="default: all cores")
    parser.add_argument("--freeze", action="store_true", help="write frozen.json")
    args = parser.parse_args()
    unknown = set(args.names) - set(SOURCES)
    if unknown:
        parser.error(f"no table {', '.join(sorted(unknown))}; known: {', '.join(SOURCES)}")
    frozen = json.loads(FROZEN.read_text()) if FROZEN.exists() else {}
    differ = 0
    for name in args.names or SOURCES:
        table = make(name, args.out, args.threads)
        found = facts(table)
        if args.freeze:
            frozen[name] = found
            FROZEN.write_text(json.dumps(frozen, indent=1, sort_keys=True) + "\n")
        same = frozen.get(name) == found
        differ += not same
        size = (args.out / f"{name}.parquet").stat().st_size
        print(
            f"{name}: {len(table):,} plans, {table.samples:,} samples, {size / 1e6:.1f} MB", "as frozen" if same else "DIFFERS"
        )
    return int(differ > 0)


if __name__ == "__main__":
    raise SystemExit(main())
