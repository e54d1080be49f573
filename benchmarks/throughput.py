"""(b) Whole int8 networks: images per second of the emulator beside LiteRT, tflite-micro and ONNX Runtime, in one process, in turns.

    python -m benchmarks.throughput [NETWORK ...] [--json FILE] [--quick] [--seconds 20]

Needs the extra `verify` and the models (WORKBENCH_MODELS, default ../shared/models). Before anything is timed, `double` is compared
with tflite-micro and `float32_half_even` with LiteRT's default kernels on the same samples: a bit that differs ends the run.
Every ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks import runtimes
from benchmarks.networks import FILES, PROFILES, Network, folder, load
from benchmarks.timing import arguments, save, take_turns
from workbench.errors import UnsupportedError

BATCH, PART = 256, 64
SLOT = 0.06
CHECK_SECONDS = 3.0
"""Spent at most on the outputs of tflite-micro that are compared: it takes up to 75 ms for one image."""

Calls = dict[str, tuple[Callable[[], Any], float]]


def few(run: runtimes.Runner, x: Any, seconds: float = SLOT) -> tuple[Callable[[], Any], float]:
    """Return (call, samples of it) that takes about `seconds`: slow runtimes get fewer samples."""
    run(x[:1])
    began = time.perf_counter()
    run(x[:1])
    count = int(np.clip(seconds / (time.perf_counter() - began), 1, len(x)))
    return lambda: run(x[:count]), float(count)


def two_threads(pool: ThreadPoolExecutor, runs: list[runtimes.Runner], x: Any) -> tuple[Callable[[], Any], float]:
    """Return (call, samples of it) of two threads that run as many whole batches each as take about a slot."""
    began = time.perf_counter()
    runs[0](x)
    blocks = int(np.ceil(SLOT / (time.perf_counter() - began)))
    many = np.concatenate([x] * (2 * blocks))
    both = runtimes.in_two_threads(pool, *runs)
    return lambda: both(many), float(len(many))


def check(network: Network, outputs: dict[str, Any]) -> dict[str, Any]:
    """Compare bits; AssertionError with the count of samples that differ."""
    x, tflm = network.x, runtimes.micro(network.path)
    _, count = few(tflm, x, CHECK_SECONDS)
    pairs = {
        "double": (outputs["double"][: int(count)], tflm(x[: int(count)])),
        "float32_half_even": (outputs["float32_half_even"], runtimes.litert(network.path, "default", 1)(x)),
    }
    for rule, (ours, theirs) in pairs.items():
        differ = int((ours != theirs).reshape(len(ours), -1).any(axis=1).sum())
        assert differ == 0, f"{network.name}, {rule}: {differ} of {len(ours)} samples differ from the runtime's own bits"
    return {rule: len(ours) for rule, (ours, _) in pairs.items()}


def ort_calls(network: Network, calls: Calls, want: Any) -> dict[str, Any]:
    """Add ONNX Runtime's calls; return how close its outputs are, or why it has none."""
    try:
        whole, single = runtimes.onnx_runtime(network, BATCH), runtimes.onnx_runtime(network, 1)
    except UnsupportedError as problem:
        return {"missing": str(problem)}
    x = runtimes.onnx_input(network.x)
    got = runtimes.onnx_output(whole(x)).reshape(len(x), -1)
    want = want.reshape(len(x), -1)
    calls["onnx"] = (lambda: whole(x), float(len(x)))
    calls["onnx, one by one"] = few(single, x)
    return {"equal": float((got == want).mean()), "top1": float((got.argmax(axis=1) == want.argmax(axis=1)).mean())}


def measure(network: Network, seconds: float, rounds: int) -> dict[str, Any]:
    """Return the figures of one network."""
    x, path = network.x, network.path
    batched = {rule: runtimes.emulator(network, rule, BATCH) for rule in PROFILES}
    outputs = {rule: run(x) for rule, run in batched.items()}
    compared = check(network, outputs)
    with ThreadPoolExecutor(1) as pool:
        calls: Calls = {}
        for rule, run in batched.items():
            calls[rule] = (lambda run=run: run(x), float(len(x)))  # type: ignore[misc]
            part = runtimes.emulator(network, rule, PART)
            calls[f"{rule}, batch {PART}"] = (lambda run=part: run(x), float(len(x)))  # type: ignore[misc]
            calls[f"{rule}, two threads"] = two_threads(pool, [run, run], x)
            assert (runtimes.in_two_threads(pool, run, run)(x) == outputs[rule]).all(), "two threads give other bits than one"
            calls[f"{rule}, one by one"] = few(runtimes.emulator(network, rule, 1), x)
        for batch in (BATCH, PART):
            run = runtimes.litert(path, "default", batch)
            calls["default" if batch == BATCH else f"default, batch {batch}"] = (lambda run=run: run(x), float(len(x)))  # type: ignore[misc]
        calls["default, one by one"] = few(runtimes.litert(path, "default", 1), x)
        calls["default, two threads"] = two_threads(pool, [runtimes.litert(path, "default", BATCH) for _ in range(2)], x)
        calls["reference"] = few(runtimes.litert(path, "reference", 1), x)
        calls["tflite-micro"] = few(runtimes.micro(path), x)
        onnx = ort_calls(network, calls, outputs["float32_half_even"])
        times = take_turns(calls, SLOT, rounds, seconds)
    return {
        "network": network.name, "macs": network.macs, "inputs": network.source, "compared": compared, "onnx": onnx,
        "rounds": len(times.rounds["default"]), "seconds": {name: times.seconds(name) for name in calls},
        "ratio": {base: {name: times.ratio(name, base) for name in calls} for base in calls},
    }  # fmt: skip


def show(row: dict[str, Any]) -> None:
    """Print one network."""
    print(
        f"\n{row['network']}: {row['inputs']}; equal to tflite-micro and LiteRT default on {row['compared']}; ONNX: {row['onnx']}"
    )
    for name, seconds in row["seconds"].items():
        ratios = "  ".join(f"x {row['ratio'][base][name]:8.3f} {base}" for base in ("default", "reference", "tflite-micro"))
        print(f"  {name:32s} {1 / seconds:10.0f} images/s  {ratios}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of: {', '.join(FILES)}")
    parser.add_argument("--seconds", type=float, default=20.0, help="about, per network")
    args = parser.parse_args()
    rows, missing = [], []
    for name in args.networks or FILES:
        network = load(name, BATCH)
        if network is None:
            missing.append(name)
            print(f"{name}: skipped, no {FILES[name]} below {folder()}; set WORKBENCH_MODELS")
            continue
        rows.append(measure(network, 2.0 if args.quick else args.seconds, 3 if args.quick else 15))
        show(rows[-1])
    save(args.json, {"networks": rows, "missing": missing, "cores": os.cpu_count()})


if __name__ == "__main__":
    main()
