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
from tests.stream_nets import running_sum
from workbench.cli import app
from workbench.errors import InputError
from workbench.graph.ir import Graph
from workbench.validate.models import validate_models
from workbench.validate.verdict import ModelRow


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
    def broken(path: Path, dims: object) -> Graph:
        raise ZeroDivisionError("oops")

    (row,) = validate_models(folder, loader=broken)
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
        validate_models(tmp_path / "nowhere")


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


def test_a_wrong_output_does_not_widen_its_own_tolerance(tmp_path: Path) -> None:
    net = Net([T((1, 4), name="x"), T((1, 4), name="y")], [Op("ABS", [0], [1])])
    (tmp_path / "n.tflite").write_bytes(net.bytes())
    x = np.random.default_rng(5).normal(0, 1, (8, 4)).astype(np.float32)
    y = np.abs(x)
    one = y.copy()
    one[3, 2] += 1
    for wrong, count in ((y + 50, 8), (one, 1)):
        np.savez(tmp_path / "n.npz", in_x=x, out_y=wrong, out_y_tflm=y)
        rows = validate_models(tmp_path)
        assert [r.status for r in rows] == ["differs", "equal"]
        assert f"in {count} of 8 samples" in rows[0].detail


def test_only_samples_beyond_the_tolerance_are_counted(tmp_path: Path) -> None:
    onnx_pair(tmp_path, 1.0)
    y = np.load(tmp_path / "float.npz")["out_y"] * np.float32(1.00003)
    y[6, 1] += np.float32(0.01)
    change(tmp_path / "float.npz", out_y=y)
    (row,) = validate_models(tmp_path)
    assert (row.status, row.detail) == ("differs", "in 1 of 20 samples") and row.differ > 1


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_real_numbers_that_come_from_integers_alone_are_exact(tmp_path: Path, kind: type) -> None:
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    step = 1 / (high + 1)
    x, t = T((1, 6), kind, "x", scale=[3 * step], zero=[0]), T((1, 6), kind, "t", scale=[step], zero=[0])
    net = Net([x, t, T((1, 6), np.float32, "y")], [Op("TANH", [0], [1]), Op("DEQUANTIZE", [1], [2])]).bytes()
    (tmp_path / "n.tflite").write_bytes(net)
    inputs = np.random.default_rng(6).integers(low, high, (9, 6)).astype(kind)
    y = litert(net, inputs, "litert_opt")["y"]
    np.savez(tmp_path / "n.npz", in_x=inputs, out_y_builtin=y)
    assert [r.status for r in validate_models(tmp_path)] == ["equal"]
    wrong = y.copy()
    wrong[4, 4] += np.float32(step)
    np.savez(tmp_path / "n.npz", in_x=inputs, out_y_builtin=wrong, out_y_ref=y)
    rows = validate_models(tmp_path)
    assert (rows[0].status, rows[0].differ) == ("differs", 1)


def two(folder: Path, first: str, second: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write an int8 network with two outputs; return its input and both outputs."""
    tensors = [T((1, 4), np.int8, name, scale=[0.05], zero=[3]) for name in ("x", first, second)]
    net = Net(tensors, [Op("RELU", [0], [1]), Op("ABS", [0], [2])], outputs=(1, 2)).bytes()
    (folder / "n.tflite").write_bytes(net)
    x = np.random.default_rng(7).integers(-128, 128, (9, 4)).astype(np.int8)
    found = litert(net, x, "litert_xnn")
    return x, found[first], found[second]


@pytest.mark.parametrize("names", [("y:0", "y/0"), ("输出", "概率"), ("y", "y_ref")])
def test_every_output_is_compared_whatever_its_name(tmp_path: Path, names: tuple[str, str]) -> None:
    x, *outputs = two(tmp_path, *names)
    for changed in (None, 0, 1):
        stored = {f"out_{name}": y.copy() for name, y in zip(names, outputs, strict=True)}
        if changed is not None:
            stored[f"out_{names[changed]}"][3, 1] ^= 1
        np.savez(tmp_path / "n.npz", in_x=x, **stored)
        (row,) = validate_models(tmp_path)
        assert (row.values, row.differ, row.status) == (72, int(changed is not None), "equal" if changed is None else "differs")


def test_a_name_that_may_mean_two_outputs_is_not_run(tmp_path: Path) -> None:
    x, y, _ = two(tmp_path, "y:0", "y/0")
    np.savez(tmp_path / "n.npz", in_x=x, out_y_0=y)
    (row,) = validate_models(tmp_path)
    assert row.status == "not run" and "'y:0' or 'y/0'" in row.detail
    np.savez(tmp_path / "n.npz", **{"in_x": x, "out_y:0": y, "out_y;0_builtin": y, "out_y:0_builtin": y})
    (row,) = validate_models(tmp_path)
    assert row.status == "not run"


def test_numbers_that_are_names_of_outputs_say_how_they_were_read(tmp_path: Path) -> None:
    x, first, second = two(tmp_path, "1", "0")
    np.savez(tmp_path / "n.npz", in_x=x, out_1=first, out_0=second)
    assert [r.verdict for r in validate_models(tmp_path)] == ["equal"]
    np.savez(tmp_path / "n.npz", in_x=x, out_0=first, out_1=second)
    (row,) = validate_models(tmp_path)
    assert row.status == "differs" and "read as names of outputs, not as their numbers" in row.detail


def test_nothing_of_a_folder_is_left_out(folder: Path) -> None:
    (folder / "net.tflite").rename(folder / "net.TFLITE")
    (folder / "damaged.npz").write_bytes(b"garbage")
    np.savez(folder / "lonely.npz", in_x=np.zeros((1, 4)), out_y=np.zeros((1, 4)))
    (folder / "bare.tflite").write_bytes(integers())
    rows = validate_models(folder)
    assert [(r.file, r.model, r.status) for r in rows] == [
        ("damaged.npz", "", "not run"), ("lonely.npz", "", "not run"), ("net.npz", "net.TFLITE", "equal"),
        ("net.npz", "net.TFLITE", "equal"), ("", "bare.tflite", "loaded"),
    ]  # fmt: skip
    assert "no model lonely.tflite or lonely.onnx" in rows[1].detail
    assert [r.ok for r in rows] == [False, False, True, True, True]


def test_both_models_of_one_name_are_compared(tmp_path: Path) -> None:
    onnx_pair(tmp_path, 1.0)
    net = Net([T((1, 5), name="x"), T((1, 5), name="y")], [Op("ABS", [0], [1])])
    (tmp_path / "float.tflite").write_bytes(net.bytes())
    x = np.load(tmp_path / "float.npz")["in_x"]
    change(tmp_path / "float.npz", out_y_tflm=np.abs(x))
    rows = {(r.model, r.array): r.status for r in validate_models(tmp_path)}
    assert rows.pop(("float.onnx", "out_y")) in ("equal", "within")
    assert rows == {("float.tflite", "out_y_tflm"): "equal", ("float.tflite", "out_y"): "not run"}


def test_several_streams_are_compared_each_from_its_initial_state(tmp_path: Path) -> None:
    data = running_sum().bytes()
    (tmp_path / "n.tflite").write_bytes(data)
    x = np.random.default_rng(8).normal(0, 1, (3, 7, 3)).astype(np.float32)
    y = np.stack([litert(data, one, "litert_opt")["y"] for one in x])
    for several in (x, x[:, :, None]):
        np.savez(tmp_path / "n.npz", in_x=several, out_y=y, out_y_builtin=y[:, :, None])
        assert all(r.status in ("equal", "within") for r in validate_models(tmp_path))
    np.savez(tmp_path / "n.npz", in_x=x.reshape(21, 3), out_y=y.reshape(21, 3))
    assert [r.status for r in validate_models(tmp_path)] == ["differs"]


def open_model(folder: Path) -> dict[str, np.ndarray]:
    """Write x [batch, seq] * factor + state [2, batch, 1] summed, with a branch on a whole number; return its arrays for seq = 5."""
    ort = pytest.importorskip("onnxruntime", reason="needs the extra 'verify' (onnxruntime)")
    out = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    then, other = (
        helper.make_graph([helper.make_node(op, ["x"], ["b"])], op, [], out) for op in ("Abs", "Neg")
    )  # fmt: skip
    nodes = [
        helper.make_node("Equal", ["sr", "rate"], ["is"]),
        helper.make_node("If", ["is"], ["chosen"], then_branch=then, else_branch=other),
        helper.make_node("ReduceSum", ["state", "axis"], ["sum"], keepdims=0), helper.make_node("Add", ["chosen", "sum"], ["y"]),
    ]  # fmt: skip
    info = helper.make_tensor_value_info
    inputs = [
        info("x", TensorProto.FLOAT, ["batch", "seq"]), info("state", TensorProto.FLOAT, [2, "batch", 1]),
        info("sr", TensorProto.INT64, []),
    ]  # fmt: skip
    constants = [numpy_helper.from_array(np.array(16000), "rate"), numpy_helper.from_array(np.array([0]), "axis")]
    graph = helper.make_graph(nodes, "g", inputs, [info("y", TensorProto.FLOAT, ["batch", "seq"])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "open.onnx")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(9)
    feed = {"x": rng.normal(0, 1, (1, 5)).astype(np.float32), "state": rng.normal(0, 1, (2, 1, 1)).astype(np.float32)}
    feed["sr"] = np.array(16000)
    return {"out_y": session.run(None, feed)[0]} | {f"in_{name}": x for name, x in feed.items()}


def test_stored_inputs_fix_open_dimensions_and_whole_numbers(tmp_path: Path) -> None:
    arrays = open_model(tmp_path)
    for tail in (..., None):  # as it is, and in a row of inferences
        np.savez(tmp_path / "open.npz", **{name: x[tail] for name, x in arrays.items()})
        (row,) = validate_models(tmp_path)
        assert (row.values, row.status) == (5, "equal"), row
    np.savez(tmp_path / "open.npz", **arrays | {"in_sr": np.array(8000)})  # the other branch
    assert validate_models(tmp_path)[0].status == "differs"


def test_dim_wins_and_must_be_known(tmp_path: Path) -> None:
    arrays = open_model(tmp_path)
    np.savez(tmp_path / "open.npz", **{name: x for name, x in arrays.items() if name != "in_sr"})
    command = ["validate", "models", "--data", str(tmp_path)]
    assert "not run" not in CliRunner().invoke(app, [*command, "--dim", "sr=16000"]).output
    assert CliRunner().invoke(app, [*command, "--dim", "sr=16000"]).exit_code == 0
    assert CliRunner().invoke(app, [*command, "--dim", "sr=8000"]).exit_code == 1
    with pytest.raises(InputError, match="no ONNX file here has a dimension 'sqe'"):
        validate_models(tmp_path, {"sqe": 5})
