"""Runners: a function of int8 samples [N, ...] -> outputs [N, ...] for the emulator and for each real runtime (extra `verify`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.networks import Network
from benchmarks.onnx_int8 import to_onnx

Array = npt.NDArray[Any]
Runner = Callable[[Array], Array]
ARENA_BYTES = 16 * 1024 * 1024
RESOLVERS = {"default": "AUTO", "reference": "BUILTIN_REF"}


def in_batches(run: Runner, batch: int) -> Runner:
    """Return the runner of any number of samples, some at a time."""
    return lambda x: np.concatenate([run(x[i : i + batch]) for i in range(0, len(x), batch)])


def emulator(network: Network, rule: str, batch: int) -> Runner:
    """Return the emulator under a requantization rule."""
    program, out = network.program(rule), network.graph.outputs[0]
    return in_batches(lambda x: program.run(network.feed(x))[out], batch)


def litert(path: Path, kind: str, batch: int, threads: int = 1) -> Runner:
    """Return LiteRT. batch 1: the file as it is; else its input resized: it takes whole batches only."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = getattr(OpResolverType, RESOLVERS[kind])
    interpreter = Interpreter(model_content=path.read_bytes(), experimental_op_resolver_type=resolver, num_threads=threads)
    i, o = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if batch > 1:
        interpreter.resize_tensor_input(i["index"], [batch, *i["shape"][1:]])
    interpreter.allocate_tensors()

    def run(x: Array) -> Array:
        interpreter.set_tensor(i["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(o["index"])

    return in_batches(run, batch)


def micro(path: Path) -> Runner:
    """Return tflite-micro: its reference kernels, sample by sample."""
    import tflite_micro

    interpreter = tflite_micro.runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=ARENA_BYTES)

    def run(x: Array) -> Array:
        interpreter.set_input(x, 0)
        interpreter.invoke()
        return interpreter.get_output(0).copy()

    return in_batches(run, 1)


def onnx_runtime(network: Network, batch: int, threads: int = 1) -> Runner:
    """Return ONNX Runtime on the network's twin (see `onnx_int8`), with inputs and outputs as `onnx_input` and `onnx_output` say."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # else its idle threads slow whoever comes next
    session = onnxruntime.InferenceSession(to_onnx(network.graph), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return in_batches(lambda x: session.run(None, {name: x})[0], batch)


def onnx_input(x: Array) -> Array:
    """Return samples as the twin wants them: uint8, channels first."""
    moved = (x.astype(np.int16) + 128).astype(np.uint8)
    return np.ascontiguousarray(moved.transpose(0, 3, 1, 2)) if moved.ndim == 4 else moved


def onnx_output(y: Array) -> Array:
    """Return the twin's outputs as the graph's int8."""
    return (y.astype(np.int16) - 128).astype(np.int8)


def in_two_threads(pool: ThreadPoolExecutor, runs: Sequence[Runner]) -> Runner:
    """Return the runner of disjoint halves, as the evaluator splits samples. An interpreter is not shared by threads: two of them."""

    def run(x: Array) -> Array:
        half = len(x) // 2
        job = pool.submit(runs[0], x[:half])
        rest = runs[-1](x[half:])
        return np.concatenate([job.result(), rest])

    return run
