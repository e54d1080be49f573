"""The models that the onnx package ships for its own backend tests: equal to the stored outputs, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.loaders.onnx_cases import load
from workbench.errors import ModelError
from workbench.execute import run_reference

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data"


def stored(path: Path) -> np.ndarray:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def run(path: Path, folder: Path) -> bool:
    """Compare one model with its stored outputs; False when it is refused.

    The files state operator set 6, written before NumPy broadcasting; they are read as 9, under which what remains of set 6
    (the attributes `broadcast` and `is_test`) is refused by the checker.
    """
    proto = onnx.load(path)
    proto.opset_import[0].version = max(proto.opset_import[0].version, 9)
    try:
        graph = load(proto, folder)
    except ModelError:
        return False
    data = path.parent / "test_data_set_0"
    constants = {t.name for t in proto.graph.initializer}
    names = [i.name for i in proto.graph.input if i.name not in constants]
    got = run_reference(graph, {name: stored(data / f"input_{i}.pb") for i, name in enumerate(names)})
    for i, name in enumerate(graph.outputs):
        want = stored(data / f"output_{i}.pb")
        assert got[name].shape == want.shape, path
        np.testing.assert_allclose(got[name], want, rtol=0, atol=1e-5 * float(np.abs(want).max()), err_msg=str(path))
    return True


def test_models_of_the_onnx_package_equal_their_stored_outputs(tmp_path: Path) -> None:
    paths = sorted([*FOLDER.glob("pytorch-*/*/model.onnx"), *FOLDER.glob("simple/*/model.onnx")])
    if not paths:
        pytest.skip(f"{FOLDER} is not there: this onnx package comes without its backend test data")
    assert sum(run(path, tmp_path) for path in paths) >= 50
