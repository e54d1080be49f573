"""Two networks too large to enumerate: a verified frontier with a sampling certificate within a time, beside other searches.

    python -m benchmarks.choice.real [NAME ...] [--minutes 10] [--threads 2] [--no-peers] [--out FILE.json]

| name | network | space | judged by |
|---|---|---|---|
| vww | MobileNetV1-0.25, int8, 28 layers | 3**28 plans of W{2,4,8} | agreement with the float network on 260 images |
| vww-error | the same | the same | squared error of the outputs against the float network's, same images |
| large | ResNet-8-large, int8, 10 layers | 59,049 plans of W{2,4,8} | top-1 on 846 test images of CIFAR-10 |

The vww images have no labels (no labelled test set of visual wake words could be had): 14 photographs and 246 CIFAR-10 test images (of
846, each pixel repeated to 96 x 96), those of which the float network is least sure: on the others hardly any plan disagrees, and they
would cost time. They say how often a plan decides as the float network does where that is hard, and nothing about how often that is
right. It sees a person in 6 of the 260: a plan that never sees one agrees on 97.7 %, so agreement is nearly flat and its frontier
short. Hence vww-error: how far the two probabilities are from the float network's, which every plan changes.

The time is for everything between loading and the certificate: a few draws say how long an evaluation takes, what the certificate
needs is kept back (draws for one that improves the frontier, or for none where those take over half of the time; never more than
80 %), the search has the rest. Afterwards random draws and NSGA-II get as many evaluations as the search took, without a limit of
time, and all three are compared with the frontier that they have together.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.choice.score import hypervolume
from benchmarks.choice.tables import BOARD, MODELS, W248
from workbench.cost.axes import COST_AXES
from workbench.data import make_dataset, read_arrays
from workbench.evaluate import Evaluator, Judge
from workbench.execute import run_reference
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.metrics import named_metric
from workbench.progress import Tick
from workbench.quantize import Lowering
from workbench.search.baselines import nsga2, random
from workbench.search.certificates import BATCH, CONFIDENCE, draws_needed, sampling_certificate
from workbench.search.found import Found
from workbench.search.verified import verified_frontier
from workbench.sweep import Codes, Space, decision_groups
from workbench.truth import Evaluated, Live, pareto_front
from workbench.truth.prices import plan_costs

F64 = npt.NDArray[np.float64]
AGAINST = ("flash",)
SHARE = 0.01
"""Of all plans: at most so many may improve the frontier, by the certificate."""
TIMED = 32
"""Draws that say how long an evaluation takes."""
MARGIN = 1.25
"""Time kept back for draws, relative to what they should take: other programs may want the machine as well."""
ENLARGED = 246
"""CIFAR-10 images beside the 14 photographs; with them an evaluation takes a few hundredths of a second."""


@dataclass(frozen=True)
class Outcome:
    """How it went. share: of the frontier that all searches have together, by search. volume: hypervolume relative to it. spent:
    evaluations of the search; seconds: of the search and of all."""

    name: str
    plans: int
    samples: int
    metric: str
    certificate: str
    reached: bool
    bound: float
    draws: int
    frontier: int
    spent: float
    search_seconds: float
    seconds: float
    share: dict[str, float]
    volume: dict[str, float]


def vww(threads: int) -> Evaluator:
    """Return MobileNetV1-0.25 on images without labels."""
    small = read_arrays(MODELS / "data/cifar10_test846.npz")["x"].repeat(3, axis=1).repeat(3, axis=2)
    pictures = np.concatenate((read_arrays(MODELS / "data/vww_fidelity14.npz")["x"], small))
    network = load_model(MODELS / "mlperf_tiny/vww_96_float.tflite")
    reference = float_outputs(network, pictures.astype(np.float32) / np.float32(255))
    photographs = len(pictures) - len(small)
    unsure = np.argsort(np.abs(np.diff(reference[photographs:], axis=1)[:, 0]), kind="stable")[:ENLARGED]
    chosen = np.concatenate((np.arange(photographs), photographs + np.sort(unsure)))
    lowering = Lowering(load_model(MODELS / "mlperf_tiny/vww_96_int8.tflite"), load_profile(BOARD))
    data = make_dataset("vww", typed(lowering.graph, pictures[chosen]), None)
    judge = Judge.of(lowering.graph, False, named_metric("agreement"))
    return Evaluator(lowering, data, threads=threads, reference=reference[chosen], judge=judge)


def large(threads: int) -> Evaluator:
    """Return ResNet-8-large on CIFAR-10."""
    arrays = read_arrays(MODELS / "data/cifar10_test846.npz")
    lowering = Lowering(load_model(MODELS / "mlperf_tiny/ic_resnet8_large_int8.tflite"), load_profile(BOARD))
    return Evaluator(lowering, make_dataset("large", typed(lowering.graph, arrays["x"]), arrays["y"]), threads=threads)


def float_outputs(network: Graph, x: npt.NDArray[np.float32]) -> F64:
    """Return what a float network answers to samples, [N, C]."""
    name, answer = network.inputs[0], network.outputs[0]
    parts = [np.asarray(run_reference(network, {name: x[i : i + 64]})[answer]) for i in range(0, len(x), 64)]
    return np.concatenate(parts).astype(np.float64)


def typed(graph: Graph, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return pixels of 0 to 255 as a network takes them: int8 ones have a zero point of -128, the others want the same as floats."""
    whole = pixels.astype(np.int16) - 128
    return whole.astype(np.int8) if graph.tensors[graph.inputs[0]].dtype == "int8" else pixels.astype(np.float32)


@dataclass(frozen=True)
class Network:
    """A network with its samples. quality: 'metric' or 'loss', as `verified_frontier` takes it."""

    evaluator: Callable[[int], Evaluator]
    quality: str = "metric"


NETWORKS = {"vww": Network(vww), "vww-error": Network(vww, "loss"), "large": Network(large)}


def oracle_of(evaluator: Evaluator) -> Live:
    """Return the oracle of W{2,4,8} on every group of layers."""
    lowering = evaluator.lowering
    space = Space.of(decision_groups(lowering.graph, lowering.layers, W248), W248)
    return Live(evaluator, space, tuple(COST_AXES), plan_costs(lowering, space))


def quality_of(found: Found | Evaluated, quality: str) -> F64:
    """Return the metric or the mean loss of plans, smaller is better: [P]."""
    if quality == "metric":
        return found.badness
    return found.loss if isinstance(found, Found) else found.losses.mean(axis=1)


def values_of(found: Found, quality: str) -> F64:
    """Return what a search minimized, of its frontier: [F, 2]."""
    return np.column_stack((quality_of(found, quality), found.costs))[found.frontier]


def kept_back(each: float, seconds: float) -> float:
    """Return how many of the seconds are kept for the certificate: its draws, and a batch by which the search may end late.

    each: seconds a drawn plan takes.
    """
    wanted, least = (MARGIN * (BATCH + draws_needed(k, SHARE, (1 - CONFIDENCE) / 2 ** (k + 1))) * each for k in (1, 0))
    return wanted if wanted <= seconds / 2 else least


def compared(fronts: dict[str, F64]) -> tuple[dict[str, float], dict[str, float]]:
    """Return by search which share of their joint frontier it has, and its hypervolume relative to it (axes scaled to the joint
    frontier; 1.1 is the reference)."""
    every = np.unique(np.concatenate(list(fronts.values())), axis=0)
    joint = every[pareto_front(every)]
    low, spread = joint.min(axis=0), np.maximum(np.ptp(joint, axis=0), np.finfo(np.float64).tiny)
    whole = hypervolume((joint - low) / spread)
    points = set(map(tuple, joint.tolist()))
    share = {name: len(points & set(map(tuple, front.tolist()))) / len(points) for name, front in fronts.items()}
    return share, {name: hypervolume((front - low) / spread) / whole for name, front in fronts.items()}


def run(name: str, minutes: float, threads: int, peers: bool, say: Callable[[str], None] = print) -> Outcome:
    """Search and certify within a time, then compare."""
    network, began = NETWORKS[name], time.monotonic()
    oracle = oracle_of(network.evaluator(threads))
    column = oracle.axes.index(AGAINST[0])

    def measure(codes: Codes, progress: Tick | None) -> F64:
        found = oracle.evaluate(codes, progress=progress)
        return np.column_stack((quality_of(found, network.quality), oracle.costs(codes)[:, column]))

    measure(oracle.space.draw(2, np.random.default_rng(1)), None)  # compiles
    timed = time.monotonic()
    measure(oracle.space.draw(TIMED, np.random.default_rng(2)), None)
    each = (time.monotonic() - timed) / TIMED
    left = 60 * minutes - (time.monotonic() - began)
    limit = max(left - kept_back(each, left), 0.2 * left)
    say(
        f"{name}: {oracle.space.size:,} plans, {oracle.samples} samples, {1e3 * each:.0f} ms a drawn plan; the search has {limit:.0f} s"
    )
    options: dict[str, Any] = {"against": AGAINST, "quality": network.quality}
    spent, searched = oracle.spent, time.monotonic()
    # Rounds are shares of the evaluations: so many as the time allows, then.
    evaluations = min(oracle.space.size, max(limit / each, 1.0))
    found = verified_frontier(oracle, **options, evaluations=evaluations, seconds=limit)
    spent, searched = oracle.spent - spent, time.monotonic() - searched
    say(f"{name}: {len(found.frontier)} plans on the frontier after {spent:.0f} evaluations, {searched:.0f} s")

    # It looks at the clock after every batch.
    left = max(60 * minutes - (time.monotonic() - began) - BATCH * each, 0.0)
    axes = (network.quality, *AGAINST)
    sampled = sampling_certificate(
        oracle.space, measure, found.codes[found.frontier], axes, oracle.samples,
        metric=oracle.metric.title, share=SHARE, seconds=left,
    )  # fmt: skip
    seconds = time.monotonic() - began
    say(f"{name}: {sampled.certificate.text} {seconds:.0f} s in all.")
    fronts = {"verified": values_of(found, network.quality)}
    for search in (random, nsga2) if peers else ():
        fronts[search.__name__] = values_of(search(oracle, **options, evaluations=spent), network.quality)
        say(f"{name}: {search.__name__} has {len(fronts[search.__name__])} plans on its frontier")
    share, volume = compared(fronts)
    for who in fronts:
        say(f"{name}: {who} has {share[who]:.0%} of the joint frontier and {volume[who]:.1%} of its hypervolume")
    data, judged = sampled.certificate.data, oracle.metric.name if network.quality == "metric" else network.quality
    return Outcome(
        name, oracle.space.size, oracle.samples, judged, sampled.certificate.text, bool(data["reached"]), float(data["bound"]),
        int(data["draws"]), len(sampled.frontier), spent, searched, seconds, share, volume,
    )  # fmt: skip


def keep(path: Path, outcome: Outcome) -> None:
    """Write an outcome into a file of them, in the place of an earlier one of its network."""
    found = {o["name"]: o for o in json.loads(path.read_text())} if path.exists() else {}
    found[outcome.name] = asdict(outcome)
    path.write_text(json.dumps([found[name] for name in NETWORKS if name in found], indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the networks asked for; return 1 when a certificate did not reach its share or the time was not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NETWORKS)} (default: all)")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-peers", action="store_true", help="leave out random draws and NSGA-II")
    parser.add_argument(
        "--out", type=Path, help="a JSON file that keeps the outcomes (the page reads real.json beside this file)"
    )
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(NETWORKS)
    if unknown:
        parser.error(f"no network {', '.join(sorted(unknown))}; known: {', '.join(NETWORKS)}")
    outcomes = []
    for name in options.names or NETWORKS:
        outcomes.append(run(name, options.minutes, options.threads, not options.no_peers))
        if options.out:
            keep(options.out, outcomes[-1])
    return int(any(not o.reached or o.seconds > 60 * options.minutes * 1.05 for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
