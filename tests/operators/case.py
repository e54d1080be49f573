"""`Case`: a network of one operator (or few) with inputs, and the runtimes whose outputs it must have.

Every module `tests/operators/cases_*.py` has a function `cases()` that yields some. They are run by `test_operator_cases.py`, and
`docs/operators.md` is made from them: what stands there as proven is what runs here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import tests.operators
from tests.runtime_models import RESOLVERS
from workbench.execute import Values, apart, check_inputs, prepare, run_reference
from workbench.graph.ir import Array, Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.loaders.onnx import load_onnx
from workbench.loaders.tflite import load_tflite
from workbench.validate.golden_base import PRODUCERS

LITERT = ("litert_ref", "litert_opt", "litert_xnn")
TFLITE = (*LITERT, "tflm")
ORACLES: dict[str, str] = {
    "litert_ref": "LiteRT, reference kernels", "litert_opt": "LiteRT, builtin kernels", "litert_xnn": "LiteRT, default (XNNPACK)",
    "tflm": "tflite-micro", "onnxruntime": "ONNX Runtime",
}  # fmt: skip
PROFILES: dict[str, str] = {**PRODUCERS, "onnxruntime": "x86-vnni-onnxruntime"}


@dataclass(frozen=True)
class Case:
    """One network on some inputs.

    operator: as its format names it (RESIZE_BILINEAR, Resize). types: 'int8', 'float32', 'uint8', 'int16', 'int32', 'hybrid', ...: what
    is shown by the case, for the table. name: what is special about it. model: makes the file. feeds: one array per input of the file,
    batch first, for one or more inferences: the oracle runs one declared batch after the other, the workbench all of them at once
    unless the batch is fixed.
    oracles: keys of ORACLES. tolerance: largest |difference| / largest |value| of float outputs; integers are compared bit by bit.
    constant: an output may be one value throughout (that of one element is always); else the runtime's numbers must vary, so that the
    case can notice something.
    """

    operator: str
    source: Literal["tflite", "onnx"]
    types: str
    name: str
    model: Callable[[], bytes]
    feeds: Callable[[], list[Array]]
    oracles: tuple[str, ...]
    tolerance: float = 1e-5
    constant: bool = False

    @property
    def id(self) -> str:
        """Name of the test."""
        return f"{self.source}-{self.operator}-{self.types}-{self.name}".replace(" ", "_")


def all_cases() -> list[Case]:
    """Return every case of every module; names must differ within a module, and tell the module where two modules have the same."""
    found: dict[str, Case] = {}
    for module in pkgutil.iter_modules(tests.operators.__path__):
        if not module.name.startswith("cases_"):
            continue
        own: set[str] = set()
        for case in importlib.import_module(f"tests.operators.{module.name}").cases():
            if case.id in own:
                raise ValueError(f"two cases of {module.name} are named '{case.id}'")
            own.add(case.id)
            named = replace(case, name=f"{case.name} ({module.name})") if case.id in found else case
            found[named.id] = named
    return list(found.values())


def check(case: Case, oracle: str, folder: Path) -> None:
    """Run a case on a runtime and here; integers must be equal, floats within the case's tolerance."""
    data, feeds = case.model(), case.feeds()
    graph = load(case, data, folder)
    named = dict(zip(graph.inputs, feeds, strict=True))
    want = run_oracle(oracle, data, feeds, graph)
    got = run_here(graph, named, oracle)
    assert len(want) == len(graph.outputs)
    for name, expected in zip(graph.outputs, want, strict=True):
        compare(got[name], expected, case.tolerance, f"{case.id}: {name}")
        assert case.constant or varies(expected), (
            f"{case.id}: {name} is {expected.reshape(-1)[0]} throughout: choose other numbers"
        )


def varies(want: Array) -> bool:
    """False when many numbers are one number."""
    return want.size < 4 or bool((want != want.reshape(-1)[0]).any())


def load(case: Case, data: bytes, folder: Path) -> Graph:
    """Return the graph of a case's file."""
    if case.source == "tflite":
        return load_tflite("model.tflite", data)
    path = folder / "model.onnx"
    path.write_bytes(data)
    return load_onnx(path)


def run_here(graph: Graph, feeds: Values, oracle: str) -> Values:
    """Return the outputs: the target's bits where the file brings integers, else the float reference."""
    values = check_inputs(graph, feeds)
    plain = all(graph.tensors[n].is_plain for n in (*graph.inputs, *graph.outputs))
    if not graph.has_scales and not plain:
        return _by_batch(graph, values, lambda part: run_reference(graph, part))
    return _by_batch(graph, values, prepare(graph, _profile(PROFILES[oracle])).run)


def _by_batch(graph: Graph, values: Values, run: Callable[[Values], Values]) -> Values:
    """Run all samples at once, or one fixed batch after the other where the network mixes them; a stream is never torn apart."""
    count = len(next(iter(values.values())))
    parts = [run({k: v[part] for k, v in values.items()}) for part in apart(graph, values, count)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@lru_cache(maxsize=16)
def _profile(name: str) -> HardwareProfile:
    return load_profile(name)


def compare(got: Array, want: Array, tolerance: float, what: str) -> None:
    """Integers and bools equal; floats within tolerance of the largest value, NaN and infinities in the same places."""
    assert got.size == want.size, what
    want = want.reshape(got.shape)
    if want.dtype.kind != "f":
        assert got.dtype == want.dtype, what
        np.testing.assert_array_equal(got, want, err_msg=what)
        return
    finite = np.isfinite(want)
    scale = max(float(np.abs(want[finite]).max(initial=0.0)), 1e-6)
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=0, atol=tolerance * scale, err_msg=what)


def run_oracle(oracle: str, data: bytes, feeds: Sequence[Array], graph: Graph) -> list[Array]:
    """Return the outputs of a runtime, one declared batch after the other in one interpreter, joined along the batch."""
    batch = graph.fixed_batch or graph.tensors[graph.inputs[0]].shape[0]
    count = len(feeds[0]) // batch
    parts = [[x[i * batch : (i + 1) * batch] for x in feeds] for i in range(count)]
    rounds = list(_RUNNERS[oracle](oracle, data, parts))
    return [np.concatenate(found) for found in zip(*rounds, strict=True)]


def _litert(oracle: str, data: bytes, parts: list[list[Array]]) -> Iterator[list[Array]]:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra 'verify' (ai-edge-litert)")
    resolver = getattr(litert.OpResolverType, RESOLVERS[oracle])
    interpreter = litert.Interpreter(model_content=data, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    for feeds in parts:
        for detail, x in zip(interpreter.get_input_details(), feeds, strict=True):
            interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
        yield [np.array(interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()]


def _micro(oracle: str, data: bytes, parts: list[list[Array]]) -> Iterator[list[Array]]:
    package = pytest.importorskip("tflite_micro", reason="needs the extra 'verify' (tflite-micro)")
    micro = package.runtime.Interpreter.from_bytes(data, arena_size=16 * 1024 * 1024)
    for feeds in parts:
        for i, x in enumerate(feeds):
            micro.set_input(x, i)
        micro.invoke()
        yield [np.array(micro.get_output(i)) for i in range(_outputs(data))]


def _outputs(data: bytes) -> int:
    import tflite

    return int(tflite.Model.GetRootAs(data, 0).Subgraphs(0).OutputsLength())


def _onnx(oracle: str, data: bytes, parts: list[list[Array]]) -> Iterator[list[Array]]:
    ort = pytest.importorskip("onnxruntime", reason="needs the extra 'verify' (onnxruntime)")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    for feeds in parts:
        yield [np.asarray(y) for y in session.run(None, dict(zip(names, feeds, strict=True)))]


_RUNNERS: dict[str, Callable[[str, bytes, list[list[Array]]], Iterator[list[Array]]]] = {
    **dict.fromkeys(LITERT, _litert), "tflm": _micro, "onnxruntime": _onnx,
}  # fmt: skip


def rng(*seed: Any) -> np.random.Generator:
    """Return a generator that is the same for the same words and numbers."""
    return np.random.default_rng([sum(map(ord, s)) if isinstance(s, str) else int(s) for s in seed])
