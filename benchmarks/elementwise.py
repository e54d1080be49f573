"""Time of the operators without weights: ours beside the runtime's kernel whose bits the profile claims, in one process.

    .venv/bin/python -m benchmarks.elementwise [OP ...] [--dtype int8 int16] [--seconds 0.3]

From the root of the repository; needs the extra `verify` for the runtime's column (`-` where it refuses the model). One thread.
For every operator, type and target: ns per input element on a batch of 64 samples of 16 x 16 x 32 (softmax: rows of 10), the same of
one call of LiteRT on the same batch (the profile's own kernels: reference, optimised, XNNPACK), the ratio of the two (above 1: ours is
faster), and the microseconds that a call on one sample takes beyond a 64th of the batch: what a call costs whatever its size. The
batch and LiteRT take turns, the sample runs by itself; each figure is the lower quartile of its times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.runtime_models import RESOLVERS, Port, build, schema
from workbench.errors import WorkbenchError
from workbench.execute import prepare
from workbench.graph.ir import Tensor
from workbench.hardware import load_profile
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs
from workbench.ops.concat import ConcatAttrs
from workbench.ops.leaky_relu import LeakyReluAttrs
from workbench.ops.mean import MeanAttrs
from workbench.ops.pad import PadAttrs
from workbench.ops.pool import PoolAttrs
from workbench.ops.relu import ReluAttrs
from workbench.ops.reshape import ReshapeAttrs
from workbench.ops.softmax import SoftmaxAttrs
from workbench.ops.strided_slice import StridedSliceAttrs
from workbench.ops.transpose import TransposeAttrs
from workbench.tensor import QuantParams
from workbench.validate.golden_base import PRODUCERS, single_op

Shape = tuple[int, ...]
Quant = tuple[float, int]
BATCH, IMAGE, ROW = 64, (16, 16, 32), (10,)
X, Y = (0.05, 3), (0.073, -5)
HALF = {"padding": 1, "strideW": 2, "strideH": 2, "filterWidth": 2, "filterHeight": 2}
WHOLE = {"padding": 1, "strideW": 16, "strideH": 16, "filterWidth": 16, "filterHeight": 16}
NINE = {"padding": 1, "strideW": 1, "strideH": 1, "filterWidth": 3, "filterHeight": 3}


@dataclass(frozen=True)
class Case:
    """One operator. shapes: of the activations, without the batch; out: of the output. constants: further inputs of the model."""

    op: str
    attrs: Any
    builtin: str
    options: tuple[str, dict[str, Any]] | None = None
    shapes: tuple[Shape, ...] = (IMAGE,)
    out: Shape = IMAGE
    x: Quant = X
    y: Quant = Y
    fixed: tuple[tuple[str, Quant], ...] = ()
    constants: tuple[Any, ...] = ()
    from_dtype: str = ""
    to_dtype: str = ""


SIGMOID, TANH = (("int8", (1 / 256, -128)), ("int16", (1 / 32768, 0))), (("int8", (1 / 128, 0)), ("int16", (1 / 32768, 0)))
NOT_POT = {"potScaleInt16": False}
PADS = ((0, 0), (1, 1), (1, 1), (0, 0))
CASES: dict[str, Case] = {
    "add": Case("add", BinaryAttrs("relu"), "ADD", ("AddOptions", {"fusedActivationFunction": 1, **NOT_POT}), (IMAGE,) * 2),
    "add channels": Case("add", BinaryAttrs(), "ADD", ("AddOptions", NOT_POT), (IMAGE, (1, 1, 32))),
    "sub": Case("sub", BinaryAttrs(), "SUB", ("SubOptions", NOT_POT), (IMAGE,) * 2),
    "mul": Case("mul", BinaryAttrs(), "MUL", ("MulOptions", {}), (IMAGE,) * 2),
    "average 2x2": Case("avg_pool2d", PoolAttrs((2, 2), (2, 2)), "AVERAGE_POOL_2D", ("Pool2DOptions", HALF), out=(8, 8, 32), y=X),
    "average 3x3": Case("avg_pool2d", PoolAttrs((3, 3)), "AVERAGE_POOL_2D", ("Pool2DOptions", NINE), out=(14, 14, 32), y=X),
    "average all": Case("avg_pool2d", PoolAttrs((16, 16), (16, 16)), "AVERAGE_POOL_2D", ("Pool2DOptions", WHOLE), out=(1, 1, 32), y=X),
    "maximum 2x2": Case("max_pool2d", PoolAttrs((2, 2), (2, 2)), "MAX_POOL_2D", ("Pool2DOptions", HALF), out=(8, 8, 32), y=X),
    "maximum 3x3": Case("max_pool2d", PoolAttrs((3, 3)), "MAX_POOL_2D", ("Pool2DOptions", NINE), out=(14, 14, 32), y=X),
    "mean": Case("mean", MeanAttrs((1, 2), True), "MEAN", ("ReducerOptions", {"keepDims": True}), out=(1, 1, 32),
                 constants=(np.array([1, 2], np.int32),)),
    "mean channels": Case("mean", MeanAttrs((3,), True), "MEAN", ("ReducerOptions", {"keepDims": True}), out=(16, 16, 1),
                          constants=(np.array([3], np.int32),)),
    "softmax": Case("softmax", SoftmaxAttrs(), "SOFTMAX", ("SoftmaxOptions", {"beta": 1.0}), (ROW,), ROW, fixed=SIGMOID),
    "logistic": Case("logistic", NoAttrs(), "LOGISTIC", fixed=SIGMOID),
    "tanh": Case("tanh", NoAttrs(), "TANH", fixed=TANH),
    "hard_swish": Case("hard_swish", NoAttrs(), "HARD_SWISH", ("HardSwishOptions", {})),
    "relu": Case("relu", ReluAttrs(), "RELU"),
    "relu6": Case("relu", ReluAttrs(0.0, 6.0), "RELU6", y=X),
    "leaky_relu": Case("leaky_relu", LeakyReluAttrs(0.3), "LEAKY_RELU", ("LeakyReluOptions", {"alpha": 0.3})),
    "requantize": Case("quantize", NoAttrs(), "QUANTIZE", ("QuantizeOptions", {})),
    "quantize": Case("quantize", NoAttrs(), "QUANTIZE", ("QuantizeOptions", {}), from_dtype="float32"),
    "dequantize": Case("dequantize", NoAttrs(), "DEQUANTIZE", ("DequantizeOptions", {}), to_dtype="float32"),
    "concat": Case("concat", ConcatAttrs(3), "CONCATENATION", ("ConcatenationOptions", {"axis": 3}), (IMAGE,) * 2, (16, 16, 64), y=X),
    "pad": Case("pad", PadAttrs(PADS), "PAD", ("PadOptions", {}), out=(18, 18, 32), y=X, constants=(np.array(PADS, np.int32),)),
    "slice": Case("strided_slice", StridedSliceAttrs((0, 2, 2, 0), (None, 14, 14, 32), (1, 1, 1, 1)), "SLICE", ("SliceOptions", {}),
                  out=(12, 12, 32), y=X, constants=(np.array([0, 2, 2, 0], np.int32), np.array([-1, 12, 12, 32], np.int32))),
    "transpose": Case("transpose", TransposeAttrs((0, 3, 1, 2)), "TRANSPOSE", ("TransposeOptions", {}), out=(32, 16, 16), y=X,
                      constants=(np.array([0, 3, 1, 2], np.int32),)),
    "reshape": Case("reshape", ReshapeAttrs((-1, 8192)), "RESHAPE", ("ReshapeOptions", {"newShape": [BATCH, 8192]}), out=(8192,), y=X,
                    constants=(np.array([BATCH, 8192], np.int32),)),
}  # fmt: skip
TARGETS = {
    "litert_ref": "stm32l4r5-cortex-m4-tflm",
    "litert_opt": PRODUCERS["litert_opt"],
    "litert_xnn": PRODUCERS["litert_xnn"],
}
"""LiteRT's kernels that run -> profile that is timed beside them."""


def ports(case: Case, dtype: str, batch: int) -> tuple[list[Port], Port]:
    """Return the model's tensors. int16 has zero points 0 and scales 256 times smaller."""

    def port(shape: Shape, kind: str, quant: Quant) -> Port:
        if kind == "float32":
            return Port((batch, *shape), kind)
        symmetric = kind == "int16" and quant[1] not in (-128, -32768) and quant[0] > 1 / 256
        return Port((batch, *shape), kind, (quant[0] / 256, 0) if symmetric else quant)

    inputs = [port(shape, case.from_dtype or dtype, case.x) for shape in case.shapes]
    inputs += [Port(c.shape, "int32", None, c) for c in case.constants]
    return inputs, port(case.out, case.to_dtype or dtype, dict(case.fixed).get(dtype, case.y))


def feed(port: Port) -> Any:
    """Return random values of a tensor: integers over the whole range, floats over most of it."""
    rng = np.random.default_rng(len(port.shape))
    if port.dtype == "float32":
        return rng.uniform(-6, 6, port.shape).astype(np.float32)
    limits = np.iinfo(port.dtype)
    return rng.integers(limits.min, limits.max + 1, port.shape).astype(port.dtype)


def ours(case: Case, dtype: str, profile: str, batch: int, one: bool = False) -> Callable[[], Any]:
    """Return a call of the prepared operator on `batch` samples (one: on the first of them)."""
    inputs, output = ports(case, dtype, batch)
    tensors = [
        Tensor(f"x{i}", (1, *p.shape[1:]), p.dtype, None if p.quant is None else QuantParams.per_tensor(*p.quant))
        for i, p in enumerate(inputs)
        if p.data is None
    ]
    quant = None if output.quant is None else QuantParams.per_tensor(*output.quant)
    graph = single_op(case.op, case.attrs, [*tensors], Tensor("y", (1, *output.shape[1:]), output.dtype, quant))
    step = prepare(graph, load_profile(profile)).steps[0]
    feeds = [feed(p)[: 1 if one else batch] for p in inputs if p.data is None]
    return lambda: step.run(feeds)


def runtime(case: Case, dtype: str, kind: str) -> Callable[[], Any] | None:
    """Return one invocation of LiteRT on the batch, or None when it refuses the model."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    inputs, output = ports(case, dtype, BATCH)
    model = build(case.builtin, inputs, output, case.options)
    try:
        it = Interpreter(
            model_content=model, experimental_op_resolver_type=getattr(OpResolverType, RESOLVERS[kind]), num_threads=1
        )
        it.allocate_tensors()
        for detail, port in zip(it.get_input_details(), [p for p in inputs if p.data is None], strict=True):
            it.set_tensor(detail["index"], feed(port))
        it.invoke()
    except (RuntimeError, ValueError):
        return None
    return it.invoke  # type: ignore[no-any-return]


def take_turns(calls: list[Callable[[], Any] | None], seconds: float) -> list[float]:
    """Return the lower quartile of the seconds of every call (NaN for None); they take turns."""
    spent: list[list[float]] = [[] for _ in calls]
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or not spent[0]:
        for call, times in zip(calls, spent, strict=True):
            if call is not None:
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
    return [float(np.quantile(times, 0.25)) if times else float("nan") for times in spent]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ops", nargs="*", choices=[[], *CASES], metavar="OP", help=f"of {', '.join(CASES)}")
    parser.add_argument("--dtype", nargs="+", default=["int8", "int16"], choices=["int8", "int16"])
    parser.add_argument("--seconds", type=float, default=0.3, help="per line")
    args = parser.parse_args()
    try:
        schema()
        with_runtime = True
    except pytest.skip.Exception:
        with_runtime = False
    print(f"{'operator':16s}{'type':7s}{'kernels':12s}{'ns/element':>11s}{'LiteRT':>9s}{'ratio':>8s}{'us/call':>9s}")
    for name in args.ops or CASES:
        for dtype in args.dtype:
            for kind, profile in TARGETS.items():
                case = CASES[name]
                try:
                    calls = [ours(case, dtype, profile, BATCH)]
                    single = ours(case, dtype, profile, BATCH, one=True)
                except WorkbenchError:
                    continue
                for call in (*calls, single):
                    call()
                elements = BATCH * sum(int(np.prod(s)) for s in case.shapes[:1])
                own, other = take_turns([*calls, runtime(case, dtype, kind) if with_runtime else None], args.seconds)
                (one,) = take_turns([single], args.seconds / 4)
                fixed = max(0.0, one - own / BATCH)
                figures = f"{own / elements * 1e9:11.3f}{other / elements * 1e9:9.3f}{other / own:8.2f}{fixed * 1e6:9.1f}"
                print(f"{name:16s}{dtype:7s}{kind:12s}{figures.replace('nan', '  -')}", flush=True)


if __name__ == "__main__":
    main()
