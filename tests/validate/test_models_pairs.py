"""`validate models` on folders of X.tflite|onnx beside X.npz: equal, within, different, refused; that each verdict can be had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from tests.loaders.tflite_writer import Net, Op, T, const
from tests.runtime_models import RESOLVERS
from workbench.cli import app
from workbench.errors import InputError
from workbench.graph.ir import Graph
from workbench.loaders import load_model
from workbench.validate.models import ModelRow, validate_models


def integers() -> bytes:
    """int8: a fully connected layer with two outputs, its sums and their logistic."""
    rng = np.random.default_rng(1)
    x, y = T((1, 6), np.int8, "x", scale=[0.05], zero=[3]), T((1, 4), np.int8, "sums", scale=[0.1], zero=[-5])
    z = T((1, 4), np.int8, "z/Sigmoid:0", scale=[1 / 256], zero=[-128])
    w = const(rng.integers(-127, 128, (4, 6)), np.int8, scale=[0.02])
    b = const(rng.integers(-500, 500, 4), np.int32, scale=[0.05 * 0.02])
    ops = [Op("FULLY_CONNECTED", [0, 1, 2], [3], ("FullyConnectedOptions", {})), Op("LOGISTIC", [3], [4])]
    return Net([x, w, b, y, z], ops, outputs=(3, 4)).bytes()


def litert(data: bytes, inputs: np.ndarray, resolver: str) -> dict[str, np.ndarray]:
    """Return the outputs by name, one inference per row."""
    package = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra 'verify' (ai-edge-litert)")
    kind = getattr(package.OpResolverType, RESOLVERS[resolver])
    interpreter = package.Interpreter(model_content=data, experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    found: dict[str, list[np.ndarray]] = {}
    for row in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            found.setdefault(detail["name"], []).append(interpreter.get_tensor(detail["index"]))
    return {name: np.concatenate(parts) for name, parts in found.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = integers()
    x = np.random.default_rng(2).integers(-128, 128, (50, 6)).astype(np.int8)
    default, builtin = litert(data, x, "litert_xnn"), litert(data, x, "litert_opt")
    (tmp_path / "net.tflite").write_bytes(data)
    np.savez(
        tmp_path / "net.npz", in_x=x, out_sums=default["sums"], out_z_Sigmoid_0=default["z/Sigmoid:0"],
        out_sums_builtin=builtin["sums"], out_z_Sigmoid_0_builtin=builtin["z/Sigmoid:0"],
    )  # fmt: skip
    return tmp_path


def change(path: Path, **changes: np.ndarray | None) -> None:
    arrays = dict(np.load(path)) | {k: v for k, v in changes.items() if v is not None}
    np.savez(path, **{k: v for k, v in arrays.items() if changes.get(k, v) is not None})


def test_outputs_of_every_runtime_are_compared_under_its_profile(folder: Path) -> None:
    rows = validate_models(folder)
    assert [(r.profile, r.status, r.values) for r in rows] == [
        ("x86-litert-xnnpack", "equal", 400), ("x86-litert-builtin", "equal", 400),
    ]  # fmt: skip


def test_one_changed_element_differs(folder: Path) -> None:
    wrong = np.load(folder / "net.npz")["out_sums"].copy()
    wrong[7, 2] ^= 1
    change(folder / "net.npz", out_sums=wrong)
    rows = validate_models(folder)
    assert [(r.status, r.differ) for r in rows] == [("differs", 1), ("equal", 0)]
    assert "1 of 50 samples" in rows[0].detail and not rows[0].ok
    assert CliRunner().invoke(app, ["validate", "models", "--data", str(folder)]).exit_code == 1


def test_arrays_by_number_and_a_whole_inference_per_row(folder: Path) -> None:
    arrays = np.load(folder / "net.npz")
    numbered = {
        "in_0": arrays["in_x"][:, None],
        "out_1": arrays["out_z_Sigmoid_0"][:, None],
        "out_0": arrays["out_sums"][:, None],
    }
    np.savez(folder / "net.npz", **numbered)
    (row,) = validate_models(folder)
    assert (row.status, row.values) == ("equal", 400)


def test_outputs_that_name_nothing_of_the_model_are_not_run(folder: Path) -> None:
    change(folder / "net.npz", out_other=np.zeros((50, 4), np.int8))
    (row,) = validate_models(folder)
    assert row.status == "not run" and "other" in row.detail and not row.ok


def test_missing_inputs_are_not_run(folder: Path) -> None:
    change(folder / "net.npz", in_x=None)
    (row,) = validate_models(folder)
    assert row.status == "not run" and "inputs ['x']" in row.detail


def test_a_refused_model_says_which_operator_and_is_no_failure(folder: Path) -> None:
    x, y = T((1, 4), name="x"), T((1, 4), name="y")
    net = Net([x, y], [Op("CUSTOM", [0], [1], custom="MyOp")])
    (folder / "odd.tflite").write_bytes(net.bytes())
    np.savez(folder / "odd.npz", in_x=np.zeros((1, 4), np.float32), out_y=np.zeros((1, 4), np.float32))
    rows = {r.model: r for r in validate_models(folder)}
    assert rows["odd.tflite"].status == "refused" and "MyOp" in rows["odd.tflite"].detail
    assert CliRunner().invoke(app, ["validate", "models", "--data", str(folder)]).exit_code == 0


def test_a_loader_that_crashes_is_a_failure(folder: Path) -> None:
    def broken(path: Path) -> Graph:
        raise ZeroDivisionError("oops")

    (row,) = validate_models(folder, broken)
    assert row.status == "crashed" and "ZeroDivisionError: oops" in row.detail and not row.ok


def onnx_pair(folder: Path, factor: float) -> ModelRow:
    """A float model, its outputs by ONNX Runtime times a factor."""
    ort = pytest.importorskip("onnxruntime", reason="needs the extra 'verify' (onnxruntime)")
    w = np.random.default_rng(3).normal(0, 1, (5, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["g"]), helper.make_node("Tanh", ["g"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])], [numpy_helper.from_array(w, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "float.onnx")
    x = np.random.default_rng(4).normal(0, 1, (20, 5)).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": x})[0]
    np.savez(folder / "float.npz", in_x=x, out_y=(y * np.float32(factor)).astype(np.float32))
    (row,) = validate_models(folder)
    return row


def test_float_outputs_are_within_the_tolerance_or_differ(tmp_path: Path) -> None:
    assert onnx_pair(tmp_path, 1.0).status in ("equal", "within")
    assert onnx_pair(tmp_path, 1.00005).status == "within"
    assert onnx_pair(tmp_path, 1.0002).status == "differs"


def test_a_nan_where_the_runtime_has_none_differs(tmp_path: Path) -> None:
    onnx_pair(tmp_path, 1.0)
    y = np.load(tmp_path / "float.npz")["out_y"].copy()
    y[0, 0] = np.nan
    change(tmp_path / "float.npz", out_y=y)
    (row,) = validate_models(tmp_path)
    assert row.status == "differs" and row.largest == np.inf


def test_every_model_of_the_given_folder_is_run_or_refused(any_models_dir: Path) -> None:
    """shared/models, or the folder of other people's models that WORKBENCH_MODELS names."""
    rows = validate_models(any_models_dir)
    assert rows and [(r.model, r.array, r.verdict) for r in rows if not r.ok] == []


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        validate_models(tmp_path / "nowhere", load_model)


def test_floats_may_be_as_far_off_as_the_runtimes_are_from_each_other(tmp_path: Path) -> None:
    onnx_pair(tmp_path, 1.0)
    y = np.load(tmp_path / "float.npz")["out_y"]
    change(
        tmp_path / "float.npz",
        out_y=(y * np.float32(1.0003)).astype(np.float32),
        out_y_avx2=(y * np.float32(0.9998)).astype(np.float32),
    )
    assert [r.status for r in validate_models(tmp_path)] == ["within", "within"]
    change(
        tmp_path / "float.npz",
        out_y=(y * np.float32(1.002)).astype(np.float32),
        out_y_avx2=(y * np.float32(1.0015)).astype(np.float32),
    )
    assert [r.status for r in validate_models(tmp_path)] == ["differs", "differs"]
