"""One process that loads and runs broken files: `python -m tests.fuzz.worker SEED COUNT FOLDER`.

Before a file is read it is written to FOLDER/mutant.*, so that a process that dies leaves its cause behind. The last line printed is
a JSON record: how many loaded, ran, were refused; the largest memory of the process; every file that was neither run nor refused.
"""

from __future__ import annotations

import json
import math
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from benchmarks.memory import peak_bytes
from tests.fuzz.mutate import of_bytes, of_structure
from tests.fuzz.networks import small_networks
from tests.loaders.onnx_bombs import BOMBS, bomb
from tests.operators.case import all_cases
from workbench.errors import WorkbenchError
from workbench.execute import check_inputs, prepare, run_reference
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders import load_model

SECONDS = 5.0
MOST_ELEMENTS, MOST_WORK = 1_000_000, 50_000_000
PROFILES = {
    "tflite": ("stm32l4r5-cortex-m4-tflm", "x86-litert-xnnpack", "x86-litert-builtin", "x86-litert-reference"),
    "onnx": ("x86-vnni-onnxruntime", "x86-avx2-onnxruntime"),
}  # fmt: skip


def corpus() -> list[tuple[str, bytes]]:
    """Return (suffix, content): operator cases that differ in operator or types, small networks, small files that ask for much."""
    chosen: dict[tuple[str, str, str], tuple[str, bytes]] = {}
    for case in all_cases():
        key = case.source, case.operator, case.types
        if key not in chosen:
            chosen[key] = f".{case.source}", case.model()
    bombs = [(".onnx", bomb(name).SerializeToString()) for name in BOMBS] * 3  # as likely as an operator of many types
    return [*chosen.values(), *((".tflite", data) for data in small_networks()), *bombs]


def main(seed: int, count: int, folder: Path) -> None:
    """Run the mutants of one seed."""
    rng = np.random.default_rng(seed)
    files = [f for f in corpus() if len(f[1]) < 200_000]
    totals = {"mutants": 0, "loaded": 0, "ran": 0, "refused": 0}
    problems: list[str] = []
    for i in range(count):
        suffix, data = files[int(rng.integers(len(files)))]
        mutant = (of_structure if rng.random() < 0.6 else of_bytes)(data, rng)
        path = folder / f"mutant{suffix}"
        path.write_bytes(mutant)
        totals["mutants"] += 1
        found = _timed(path, rng.integers(2**32), totals)
        if found:
            kept = folder / f"problem-{seed}-{i}{suffix}"
            kept.write_bytes(mutant)
            problems.append(f"{kept.name}: {found}")
    print(json.dumps({**totals, "memory_bytes": peak_bytes(), "problems": problems}))


def _timed(path: Path, seed: int, totals: dict[str, int]) -> str:
    """Return what is wrong with how a file was treated, ''. Too slow counts the second time: the first one may compile a kernel."""
    start = time.monotonic()
    found = _treat(path, seed, totals)
    if not found and time.monotonic() - start > SECONDS:
        start = time.monotonic()
        found = _treat(path, seed, dict.fromkeys(totals, 0))
        if time.monotonic() - start > SECONDS:
            return f"took {time.monotonic() - start:.1f} s"
    return found


def _treat(path: Path, seed: int, totals: dict[str, int]) -> str:
    try:
        graph = load_model(path)
    except WorkbenchError as problem:
        totals["refused"] += 1
        text = str(problem)
        return "" if text.startswith(str(path)) and len(text) < 4000 else f"message: {text[:300]!r}"
    except BaseException:
        return traceback.format_exc(limit=-4)
    totals["loaded"] += 1
    if not _small(graph):
        return ""
    try:
        _run(graph, np.random.default_rng(seed))
        totals["ran"] += 1
    except WorkbenchError as problem:
        return "" if len(str(problem)) < 4000 else f"message: {str(problem)[:300]!r}"
    except BaseException:
        return traceback.format_exc(limit=-4)
    return ""


def _small(graph: Graph) -> bool:
    from workbench.ops import OPS

    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
    if sum(math.prod(s) for s in shapes.values()) > MOST_ELEMENTS or (graph.fixed_batch or 1) > 64:
        return False
    work = 0
    for node in graph.nodes:
        counts = OPS[node.op].count(
            node.attrs, [shapes[n] if n else () for n in node.inputs], [shapes[n] for n in node.outputs]
        )
        work += counts.macs + counts.elements
    return work * (graph.fixed_batch or 1) < MOST_WORK


def _run(graph: Graph, rng: np.random.Generator) -> None:
    """Run a mutant that loaded, on numbers of its input types; results must have the declared shapes."""
    batch = graph.fixed_batch or 2
    feed = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        shape = (batch, *tensor.shape[1:])
        feed[name] = (
            rng.integers(0, 2, shape).astype(np.int64) if tensor.is_plain else rng.normal(0, 3, shape).astype(np.float32)
        )
    values = check_inputs(graph, feed)
    with np.errstate(all="ignore"):
        if any(t.quant is not None for t in graph.tensors.values()):
            names = PROFILES[graph.source_format]
            outputs = prepare(graph, load_profile(names[int(rng.integers(len(names)))])).run(values)
        else:
            outputs = run_reference(graph, values)
    for name in graph.outputs:
        if outputs[name].shape[1:] != graph.tensors[name].shape[1:]:
            raise AssertionError(f"output '{name}' is {outputs[name].shape}, declared {graph.tensors[name].shape}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
