"""The models that the onnx package ships for its own backend tests: equal to the stored outputs, or refused with a reason."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.loaders.onnx_cases import load
from workbench.errors import WorkbenchError
from workbench.execute import run_reference

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data"
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2}
"""Largest difference relative to the largest output, 1e-5 for others: these files round every step, the reference none but the last."""
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 2e-4}
"""Outputs that are stored with four digits."""
OTHERWISE = {"test_resize_downsample_scales_linear_align_corners", "test_resize_downsample_scales_cubic_align_corners"}
"""ONNX Runtime gives other outputs: there the resized length is a whole number, here 0.6 * 4. It is the runtime that is followed."""
SCALED = {
    "QuantizeLinear",
    "DequantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "DynamicQuantizeLinear",
    "ConvInteger",
    "MatMulInteger",
}
"""Compared elsewhere, under the profile of a runtime: their outputs are integers with scales."""


def stored(path: Path) -> np.ndarray:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def equal(got: np.ndarray, want: np.ndarray, what: str) -> None:
    """Integers and bools equal; floats within the tolerance of their type, NaN and infinities in the same places."""
    assert got.size == want.size, what
    got = got.reshape(want.shape)
    if want.dtype.kind in "iub":
        assert got.dtype == want.dtype, what
        np.testing.assert_array_equal(got, want, err_msg=what)
        return
    tolerance = ROUNDED.get(what, TOLERANCE.get(want.dtype.name, 1e-5))
    have, wide = got.astype(np.float64), want.astype(np.float64)
    scale = float(np.abs(wide[np.isfinite(wide)]).max(initial=0.0))
    np.testing.assert_allclose(have, wide, rtol=0, atol=tolerance * max(scale, 1e-6), err_msg=what)


def compare(proto: onnx.ModelProto, feeds: Sequence[np.ndarray], wants: Sequence[np.ndarray], folder: Path, what: str) -> None:
    graph = load(proto, folder)
    constants = {t.name for t in proto.graph.initializer}
    names = [graph.input_names.get(i.name, i.name) for i in proto.graph.input if i.name not in constants]
    feed = {n: np.asarray(x).reshape(graph.tensors[n].shape) for n, x in zip(names, feeds, strict=True)}
    with np.errstate(all="ignore"):  # some tests are about NaN
        got = run_reference(graph, feed)
    for name, want in zip(graph.outputs, wants, strict=True):
        equal(got[name], np.asarray(want), what)


def test_models_of_the_onnx_package_equal_their_stored_outputs(tmp_path: Path) -> None:
    """Files state operator set 6, from before NumPy broadcasting; they are read as 9, under which the rest of set 6 is refused."""
    paths = sorted([*FOLDER.glob("pytorch-*/*/model.onnx"), *FOLDER.glob("simple/*/model.onnx")])
    if not paths:
        pytest.skip(f"{FOLDER} is not there: this onnx package comes without its backend test data")
    done = 0
    for path in paths:
        proto = onnx.load(path)
        proto.opset_import[0].version = max(proto.opset_import[0].version, 9)
        data = path.parent / "test_data_set_0"
        feeds, wants = (
            [stored(data / f"{kind}_{i}.pb") for i in range(len(list(data.glob(f"{kind}_*.pb"))))]
            for kind in ("input", "output")
        )
        try:
            compare(proto, feeds, wants, tmp_path, path.parent.name)
        except WorkbenchError:
            continue
        done += 1
    assert done >= 91


def node_tests() -> Iterator[tuple[str, onnx.ModelProto, list[Any], list[Any]]]:
    """Yield name, model, inputs and outputs of the package's tests of single operators, and of functions as their bodies."""
    cases = pytest.importorskip("onnx.backend.test.case.node", reason="this onnx package comes without its backend tests")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = cases.collect_testcases(None)
    for case in found:
        if case.model is not None and case.name not in OTHERWISE and not {n.op_type for n in case.model.graph.node} & SCALED:
            inputs, outputs = case.data_sets[0]
            yield case.name, case.model, list(inputs), list(outputs)


def is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic) and np.asarray(x).dtype != object and np.asarray(x).size > 0


def with_constants(proto: onnx.ModelProto, feeds: Sequence[np.ndarray]) -> onnx.ModelProto:
    """Return the model with all inputs but the first as constants: axes, shapes, weights."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    made.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(x), i.name) for i, x in zip(proto.graph.input[1:], feeds[1:], strict=True)
    )
    del made.graph.input[1:]
    return made


def test_operator_tests_of_the_onnx_package_equal_their_stored_outputs(tmp_path: Path) -> None:
    """Every test of one operator on float, integer or bool arrays runs equal or is refused; how many run only grows."""
    counts: Counter[tuple[bool, bool]] = Counter()
    for name, proto, feeds, wants in node_tests():
        if not all(map(is_array, (*feeds, *wants))):
            continue
        attempts = [(proto, feeds)] + ([(with_constants(proto, feeds), feeds[:1])] if len(feeds) > 1 else [])
        done = False
        for model, given in attempts:
            try:
                compare(model, given, wants, tmp_path, name)
                done = True
                break
            except WorkbenchError:
                continue
        counts["_expanded" in name, done] += 1
    assert counts[False, True] >= 650
    assert counts[True, True] >= 315
