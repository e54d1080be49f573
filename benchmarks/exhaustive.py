"""Exhaustive sweeps beside the naive loop: plans, passes, seconds by part, memory, growth.

    .venv/bin/python benchmarks/exhaustive.py                      # the three sweeps below, each in a process of its own
    .venv/bin/python benchmarks/exhaustive.py --model M.tflite --data D.npz --inputs x --labels y --formats w8a8,w4a8

Defaults (below WORKBENCH_MODELS, default ../shared/models): ResNet-8 on 846 images of CIFAR-10 with W{4,8} and W{2,4,8} of its ten
layers, DS-CNN on 1,000 keywords with W{4,8}. Kernels are compiled before anything is timed. The naive loop rewrites, prepares and
runs the whole network for every plan, on as many threads; a random sample of plans goes through it, its time is extrapolated to
all plans, and its outputs are scored and compared with the evaluator's records, every bit.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from workbench.data import Dataset, make_dataset, pick, read_arrays
from workbench.evaluate import Evaluator, Journal, Record
from workbench.evaluate.evaluator import MEMORY_BYTES
from workbench.evaluate.schedule import make_schedule, sort_programs
from workbench.execute import Program, Step, batches, prepare
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.metrics import Raw, Scores, Truth
from workbench.ops import OPS
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering
from workbench.sweep import Group, exhaustive

FOLDER = Path(os.environ.get("WORKBENCH_MODELS") or Path(__file__).resolve().parents[2] / "shared" / "models")
RESNET = ["mlperf_tiny/ic_resnet8_int8.tflite", "data/cifar10_test846.npz", "x", "y"]
KEYWORDS = ["mlperf_tiny/kws_ref_int8.tflite", "data/kws01_1000.npz", "x_int8", "y"]
SWEEPS = [(*RESNET, "w8a8,w4a8"), (*RESNET, "w8a8,w4a8,w2a8"), (*KEYWORDS, "w8a8,w4a8")]
BATCH = 64


class TimedJournal(Journal):
    """A journal that knows how long records took to make, write and sync."""

    seconds = 0.0

    def add(self, records: Iterable[Record]) -> None:
        began = time.perf_counter()
        super().add(records)
        self.seconds += time.perf_counter() - began


@cache
def macs(step: Step) -> int:
    """Return the multiply-accumulates of a step on one sample."""
    shapes = [() if t is None else t.shape for t in step.site.inputs]
    return OPS[step.site.op].count(step.site.attrs, shapes, [t.shape for t in step.site.outputs]).macs


def trie_macs(programs: Sequence[Program]) -> int:
    """Return the multiply-accumulates of sorted programs when shared prefixes run once, on one sample."""
    total, previous = 0, ()
    for program in programs:
        shared = next((i for i, (a, b) in enumerate(zip(previous, program.steps, strict=False)) if a is not b), len(previous))
        total += sum(macs(step) for step in program.steps[shared:])
        previous = program.steps
    return total


@dataclass
class Timing:
    """Seconds of one sweep into a fresh journal (processor: of all threads together); records by plan; size of the journal."""

    evaluator: Evaluator
    records: dict[PrecisionPlan, Record]
    reference: float
    recording: float
    total: float
    processor: float
    journal_bytes: int


def sweep(args: argparse.Namespace, lowering: Lowering, plans: Sequence[PrecisionPlan], data: Dataset) -> Timing:
    """Run a sweep with nothing computed beforehand but the compiled kernels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        journal = TimedJournal(path)
        began, processor = time.perf_counter(), time.process_time()
        evaluator = Evaluator(lowering, data, journal, args.threads, args.memory << 20)
        evaluator.reference  # noqa: B018 - computed when first asked for
        reference = time.perf_counter() - began
        records = evaluator.evaluate(plans)
        total, processor = time.perf_counter() - began, time.process_time() - processor
        return Timing(evaluator, records, reference, journal.seconds, total, processor, path.stat().st_size)


def naive(plan: PrecisionPlan, evaluator: Evaluator) -> tuple[float, dict[str, float], np.ndarray]:
    """Run one plan alone; return its seconds, figures and classes."""
    began = time.perf_counter()
    graph, profile = evaluator.lowering.graph, evaluator.lowering.profile
    program = prepare(Lowering(graph, profile).quantized(plan), profile)
    (out,) = program.outputs

    def run(part: slice) -> np.ndarray:
        return program.run({name: x[part] for name, x in evaluator.feed.items()})[out.name]

    with ThreadPoolExecutor(evaluator.threads) as pool:
        raw = np.concatenate(list(pool.map(run, batches(len(evaluator.data), graph.fixed_batch or BATCH))))
    seconds = time.perf_counter() - began
    assert out.quant is not None
    truth = Truth(evaluator.reference, evaluator.data.labels, evaluator.probabilities)
    scores = Scores.empty(1, truth)
    scores.put(0, 0, [Raw(raw.reshape(len(raw), -1), *out.quant.scalar)], truth)
    return seconds, {m.name: float(m.figures(scores, truth)[0]) for m in evaluator.metrics}, scores.classes[0]


def compare(timing: Timing, plans: Sequence[PrecisionPlan], count: int) -> tuple[float, int]:
    """Return the seconds per plan of the naive loop on a random sample, and how many of its results differ."""
    runs = [(plan, naive(plan, timing.evaluator)) for plan in random.Random(0).sample(list(plans), count)]
    differ = 0
    for plan, (_, figures, classes) in runs:
        record = timing.records[plan]
        differ += not (np.array_equal(record.predictions, classes) and record.metrics == figures)
    return sum(seconds for _, (seconds, _, _) in runs) / count, differ


def run_one(args: argparse.Namespace) -> int:
    """Print one sweep; return 1 when a plan differs from the naive loop."""
    graph, formats, profile = load_model(args.model), args.formats.split(","), load_profile(args.profile)
    data = load_data(args, graph)
    groups = [Group(name, (name,)) for name in Lowering(graph, profile).layers]
    plans = exhaustive(groups, formats, args.limit)
    warm = data.take(slice(0, args.threads * (graph.fixed_batch or 8)), "warm")
    Evaluator(Lowering(graph, profile), warm, threads=args.threads).evaluate([PrecisionPlan.of(f) for f in formats])
    clock = [time.perf_counter()]
    lowering = Lowering(graph, profile)
    programs = [lowering.program(plan) for plan in plans]
    clock.append(time.perf_counter())
    programs = [programs[i] for i in sort_programs(programs)]
    schedule = make_schedule(programs, graph.inputs)
    clock.append(time.perf_counter())
    one, trie = sum(macs(step) for step in programs[0].steps), trie_macs(programs)
    work = sum(macs(run.step) for segment in schedule.segments for run in segment.runs)
    lowered, scheduled = (b - a for a, b in pairwise(clock))
    held = min(schedule.peak_bytes * len(data) / 2**20, args.memory)
    del lowering, programs, schedule

    t = sweep(args, Lowering(graph, profile), plans, data)
    walking = t.total - t.reference - lowered - scheduled - t.recording
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each, differ = compare(t, plans, min(args.sample, len(plans)))
    print(f"""
{graph.name}, {len(groups)} layers x {args.formats}: {len(plans):,} plans on {len(data):,} samples
  work       {work / one:,.0f} passes by MAC count ({trie / one:,.0f} as a trie), {work * len(data) / 1e12:.2f} TMAC
  seconds    {t.total:.2f} ({t.processor:.2f} of processor time): reference {t.reference:.2f}, lowering {lowered:.2f}, \
scheduling {scheduled:.2f}, walking {walking:.2f}, recording {t.recording:.2f}
  rate       {len(plans) / t.total:,.0f} plans/s, {work * len(data) / walking / 1e9:,.0f} GMAC/s while walking
  memory     peak RSS {rss:,.0f} MB; activations at most {held:,.0f} MiB; journal {t.journal_bytes / 1e6:.1f} MB
  naive loop {each * len(plans):,.0f} s ({1e3 * each:.0f} ms per plan): x {each * len(plans) / t.total:.1f}; \
{differ} of {args.sample} plans differ
  growth     {growth(args, graph, groups, data, (len(plans), t.total - t.reference))}""")
    return int(differ > 0)


def load_data(args: argparse.Namespace, graph: Graph) -> Dataset:
    """Return samples and labels; samples of another type than the model's input are real numbers to be quantized."""
    arrays = read_arrays(args.data)
    x, y = (pick(arrays, key, args.data.name) for key in (args.inputs, args.labels))
    return make_dataset(args.data.name, x if x.dtype == graph.tensors[graph.inputs[0]].dtype else x.astype(np.float32), y)


def growth(args: argparse.Namespace, graph: Graph, groups: Sequence[Group], data: Dataset, last: tuple[int, float]) -> str:
    """Return time (without the reference) against plans: the last 2, 4, ... layers free, the others in the first format."""
    points, formats = [], args.formats.split(",")
    for free in range(2, len(groups), 2):
        offered = {g.name: formats if i >= len(groups) - free else formats[:1] for i, g in enumerate(groups)}
        plans = exhaustive(groups, offered, args.limit)
        t = sweep(args, Lowering(graph, load_profile(args.profile)), plans, data)
        points.append((len(plans), t.total - t.reference))
    points.append(last)
    counts, seconds = np.log(np.array(points)).T
    exponent = np.polyfit(counts, seconds, 1)[0]
    return ", ".join(f"{n:,} plans {s:.2f} s" for n, s in points) + f": plans ** {exponent:.2f}"


def main() -> int:
    """Run the default sweeps in processes of their own (so that each has its own peak memory), or the one that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a quantized model")
    parser.add_argument("--data", type=Path, help="an NPZ with samples and labels")
    parser.add_argument("--inputs", default="x", help="array of samples (default x)")
    parser.add_argument("--labels", default="y", help="array of labels (default y)")
    parser.add_argument("--formats", default="w8a8,w4a8")
    parser.add_argument("--profile", default="stm32l4r5-cortex-m4-tflm")
    parser.add_argument("--limit", type=int, default=100_000, help="most plans (default 100,000)")
    parser.add_argument("--sample", type=int, default=8, help="plans through the naive loop (default 8)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--memory", type=int, default=MEMORY_BYTES >> 20, help="MiB for activations (default 512)")
    args = parser.parse_args()
    if (args.model is None) != (args.data is None):
        parser.error("--model and --data come together")
    if args.model is not None:
        return run_one(args)
    if not (FOLDER / RESNET[0]).exists():
        parser.error(f"no {RESNET[0]} below {FOLDER}; set WORKBENCH_MODELS, or give --model and --data")
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, ", end="")
    print(f"{args.threads} threads, {args.profile}", flush=True)
    code = 0
    for model, data, inputs, labels, formats in SWEEPS:
        own = ["--model", str(FOLDER / model), "--data", str(FOLDER / data), "--inputs", inputs, "--labels", labels]
        rest = ["--formats", formats, "--profile", args.profile, "--limit", str(args.limit), "--sample", str(args.sample)]
        rest += ["--threads", str(args.threads), "--memory", str(args.memory)]
        code |= subprocess.run([sys.executable, __file__, *own, *rest], check=False).returncode
    return code


if __name__ == "__main__":
    raise SystemExit(main())
