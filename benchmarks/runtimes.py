"""Runners: a function of int8 samples [N, ...] -> outputs [N, ...] for the emulator and for each real runtime (extra `verify`)."""

from __future__ import annotations

from collections.abc import Callable
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


def emulator(network: Network, rule: str, batch: int) -> Runner:
    """Return the emulator under a requantization rule, in batches."""
    program, out = network.program(rule), network.graph.outputs[0]

    def run(x: Array) -> Array:
        return np.concatenate([program.run(network.feed(x[i : i + batch]))[out] for i in range(0, len(x), batch)])

    return run


def litert(path: Path, kind: str, batch: int) -> Runner:
    """Return LiteRT with one thread. batch 1: the file as it is; else its input resized."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = getattr(OpResolverType, RESOLVERS[kind])
    interpreter = Interpreter(model_content=path.read_bytes(), experimental_op_resolver_type=resolver, num_threads=1)
    i, o = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if batch > 1:
        interpreter.resize_tensor_input(i["index"], [batch, *i["shape"][1:]])
    interpreter.allocate_tensors()

    def run(x: Array) -> Array:
        found = []
        for at in range(0, len(x), batch):
            interpreter.set_tensor(i["index"], x[at : at + batch])
            interpreter.invoke()
            found.append(interpreter.get_tensor(o["index"]))
        return np.concatenate(found)

    return run


def micro(path: Path) -> Runner:
    """Return tflite-micro: its reference kernels, sample by sample."""
    import tflite_micro

    interpreter = tflite_micro.runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=ARENA_BYTES)

    def run(x: Array) -> Array:
        found = []
        for sample in x:
            interpreter.set_input(sample[None], 0)
            interpreter.invoke()
            found.append(interpreter.get_output(0).copy())
        return np.concatenate(found)

    return run


def onnx_runtime(network: Network, batch: int) -> Runner:
    """Return ONNX Runtime with one thread on the same network in its own format (see `onnx_int8`); moving axes is not its work."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(to_onnx(network.graph), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(x: Array) -> Array:
        return np.concatenate([session.run(None, {name: x[i : i + batch]})[0] for i in range(0, len(x), batch)])

    return run


def onnx_input(x: Array) -> Array:
    """Return samples as `to_onnx` models want them: uint8, channels first."""
    moved = (x.astype(np.int16) + 128).astype(np.uint8)
    return np.ascontiguousarray(moved.transpose(0, 3, 1, 2)) if moved.ndim == 4 else moved


def onnx_output(y: Array) -> Array:
    """Return its outputs as the graph's int8."""
    return (y.astype(np.int16) - 128).astype(np.int8)


def in_two_threads(pool: ThreadPoolExecutor, first: Runner, second: Runner) -> Runner:
    """Return the runner of disjoint halves. The emulator takes one runner twice; an interpreter is not shared by threads."""

    def run(x: Array) -> Array:
        half = len(x) // 2
        job = pool.submit(first, x[:half])
        rest = second(x[half:])
        return np.concatenate([job.result(), rest])

    return run
