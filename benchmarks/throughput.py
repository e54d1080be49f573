"""Images per second of int8 networks: this emulator beside LiteRT's reference and default kernels, paired in one process.

    .venv/bin/python benchmarks/throughput.py [MODEL.tflite ...] [--batch 64] [--seconds 2]

Without models: every *_int8.tflite below WORKBENCH_MODELS (default ../shared/models). Needs the extra `verify`. One thread
everywhere. LiteRT runs the same samples one by one (the files are declared for batch 1, and resizing is not allowed for all of
them); the emulator runs them as a batch and one by one. The runtimes take turns within every round, the median of the rounds is
printed, and every ratio is the median of the rounds' ratios. Before timing, the emulator's outputs are compared with the runtime's
whose bits the profile claims.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from workbench.execute import prepare
from workbench.hardware import load_profile
from workbench.loaders import load_model

ROUNDS = 7


def litert(path: Path, x: np.ndarray, kind: str) -> Callable[[], np.ndarray]:
    """Return a function that runs all samples through LiteRT with one thread."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = {"reference": OpResolverType.BUILTIN_REF, "default": OpResolverType.AUTO}[kind]
    interpreter = Interpreter(model_content=path.read_bytes(), experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    i, o = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run() -> np.ndarray:
        found = []
        for sample in x:
            interpreter.set_tensor(i, sample[None])
            interpreter.invoke()
            found.append(interpreter.get_tensor(o)[0].copy())
        return np.stack(found)

    return run


def emulator(path: Path, x: np.ndarray, profile: str, batch: int) -> Callable[[], np.ndarray]:
    """Return a function that runs all samples through the emulator, one thread, in batches."""
    graph = load_model(path)
    program = prepare(graph, load_profile(profile))
    name, out = graph.inputs[0], graph.outputs[0]
    return lambda: np.concatenate([program.run({name: x[i : i + batch]})[out] for i in range(0, len(x), batch)])


def main() -> None:
    """Print one table per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.0, help="about, per runtime and model")
    args = parser.parse_args()
    folder = Path(os.environ.get("WORKBENCH_MODELS") or Path(__file__).resolve().parents[2] / "shared" / "models")
    models = args.models or sorted(folder.rglob("*_int8.tflite"))
    if not models:
        parser.error(f"no *_int8.tflite below {folder}; give the paths of int8 models, or set WORKBENCH_MODELS")
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, one thread"
    )
    for path in models:
        shape = load_model(path).tensors[load_model(path).inputs[0]].shape[1:]
        x = np.random.default_rng(0).integers(-128, 128, (args.batch, *shape)).astype(np.int8)
        runs = {
            "LiteRT reference kernels": litert(path, x, "reference"),
            "LiteRT default (XNNPACK)": litert(path, x, "default"),
            f"emulate float32_half_even, batch {args.batch}": emulator(path, x, "x86-litert-xnnpack", args.batch),
            f"emulate double, batch {args.batch}": emulator(path, x, "stm32l4r5-cortex-m4-tflm", args.batch),
            "emulate double, batch 1": emulator(path, x, "stm32l4r5-cortex-m4-tflm", 1),
        }
        outputs = {name: run() for name, run in runs.items()}
        names = list(runs)
        differ = int((outputs[names[1]] != outputs[names[2]]).any(axis=tuple(range(1, outputs[names[1]].ndim))).sum())
        print(f"\n{path.name}: {differ} of {len(x)} random samples differ between LiteRT default and its emulation")
        rates: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                began, count = time.perf_counter(), 0
                while count == 0 or time.perf_counter() - began < args.seconds / ROUNDS:
                    run()
                    count += len(x)
                rates[name].append(count / (time.perf_counter() - began))
        for name in names:
            ratio = [statistics.median(a / b for a, b in zip(rates[name], rates[base], strict=True)) for base in names[:2]]
            print(
                f"  {name:42s} {statistics.median(rates[name]):10.0f} images/s   x{ratio[0]:7.2f} reference   x{ratio[1]:6.3f} default"
            )


if __name__ == "__main__":
    main()
