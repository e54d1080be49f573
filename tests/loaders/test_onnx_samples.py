"""An open first dimension: independent samples, checked, and outputs as ONNX Runtime gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import workbench as wb
from tests.loaders.onnx_cases import ints, model, node, rand, runtime
from workbench.errors import InputError, ModelError, ModelWarning
from workbench.loaders import load_model
from workbench.loaders.onnx import samples

TARGET = "x86-vnni-onnxruntime"


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def lstm(inputs: tuple[int | str, ...], batch_first: bool) -> onnx.ModelProto:
    """A bidirectional LSTM; torch moves the axes of a batch-first one around it."""
    before = [node("Transpose", "x", "t", perm=[1, 0, 2])] if batch_first else [node("Identity", "x", "t")]
    nodes = [*before, node("LSTM", "t w r b", "y h c", hidden_size=5, direction="bidirectional")]
    weights = {"w": rand(2, 20, 4), "r": rand(2, 20, 5, seed=1), "b": rand(2, 40, seed=2)}
    return model(nodes, {"x": inputs}, weights, outputs=("y", "h"))


MIXING: list[Any] = [
    pytest.param([node(op, "x", "y", **attrs)], {}, id=name)
    for name, op, attrs in [
        ("softmax", "Softmax", {"axis": 0}),
        ("all mean", "ReduceMean", {"keepdims": 0}),
        ("axis mean", "ReduceMean", {"axes": [0], "keepdims": 1}),
    ]
] + [
    pytest.param([node("ArgMax", "x", "i", axis=0, keepdims=0), node("Cast", "i", "y", to=1)], {}, id="arg max"),
    pytest.param([node("ReduceSum", "x a", "y", keepdims=1)], {"a": ints(0)}, id="sum"),
    pytest.param([node("CumSum", "x a", "y")], {"a": np.array(0)}, id="running sum"),
    pytest.param([node("Concat", "x x", "y", axis=0)], {}, id="concatenation"),
    pytest.param([node("Slice", "x a b a", "y")], {"a": ints(0), "b": ints(1)}, id="slice"),
    pytest.param([node("Gather", "x a", "y", axis=0)], {"a": ints(0)}, id="gather"),
    pytest.param(
        [node("Transpose", "x", "t"), node("MatMul", "x t", "s"), node("Softmax", "s", "p", axis=-1), node("MatMul", "p x", "y")],
        {}, id="attention",
    ),
    pytest.param(
        [node("Shape", "x", "s"), node("Gather", "s i", "n"), node("Cast", "n", "f", to=1), node("Mul", "x f", "y")],
        {"i": np.array(0)}, id="number of samples",
    ),
    pytest.param(
        [node("Unsqueeze", "x a", "u"), node("Unsqueeze", "x b", "v"), node("Sub", "u v", "d"),
         node("ReduceSum", "d c", "y", keepdims=0)],
        {"a": ints(0), "b": ints(1), "c": ints(2)}, id="pairs",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "constants"), MIXING)
def test_an_open_dimension_that_mixes_is_refused_and_runs_with_a_size(nodes: Any, constants: Any, tmp_path: Path) -> None:
    proto = model(nodes, {"x": ("T", 4)}, constants)
    path = saved(proto, tmp_path)
    with pytest.raises(ModelError, match=r"input 'x': dimension 0 \('T'\) is open.*dims=\{'T': 16\}, or --dim T=16"):
        load_model(path)
    x = rand(3, 4)
    got = wb.emulate(load_model(path, dims={"T": 3}), x, TARGET, "fp32")["y"]
    want = runtime(proto, {"x": x})[0]
    np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-5, atol=1e-6)  # a scalar comes as one element


def test_a_condition_on_the_number_of_samples_is_refused(tmp_path: Path) -> None:
    branches = [
        onnx.helper.make_graph([node(op, "x x", "z")], op, [], [onnx.helper.make_tensor_value_info("z", 1, None)])
        for op in ("Add", "Mul")
    ]
    condition = [node("Shape", "x", "s"), node("Gather", "s i", "n"), node("Equal", "n one", "c")]
    nodes = [*condition, node("If", "c", "y", then_branch=branches[0], else_branch=branches[1])]
    path = saved(model(nodes, {"x": ("N", 4)}, {"i": np.array(0), "one": np.array(1)}), tmp_path)
    with pytest.raises(ModelError, match="independent samples"):
        load_model(path)
    np.testing.assert_array_equal(wb.emulate(load_model(path, dims={"N": 1}), np.ones((3, 4)), TARGET, "fp32")["y"], 2.0)


def test_a_recurrent_network_over_an_open_number_of_steps_is_refused(tmp_path: Path) -> None:
    proto = lstm(("seq", 1, 4), batch_first=False)
    path = saved(proto, tmp_path)
    with pytest.raises(ModelError, match=r"\('seq'\) is open"):
        load_model(path)
    x = rand(7, 1, 4)
    got = wb.emulate(load_model(path, dims={"seq": 7}), x, TARGET, "fp32")
    for name, want in zip(("y", "h"), runtime(proto, {"x": x}), strict=True):
        np.testing.assert_allclose(got[name].reshape(want.shape), want, atol=1e-6)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_outputs_have_their_samples_where_the_file_has_them(batch: int | str, tmp_path: Path) -> None:
    path = saved(lstm((batch, 6, 4), batch_first=True), tmp_path)
    x = rand(5, 6, 4)
    got = wb.emulate(path, x, TARGET, "fp32")
    open_file = lstm(("batch", 6, 4), batch_first=True)
    for name, want in zip(("y", "h"), runtime(open_file, {"x": x}), strict=True):
        assert got[name].shape == want.shape
        np.testing.assert_allclose(got[name], want, atol=1e-6)
    values = wb.emulate(path, x, TARGET, "fp32", tensors=True)
    np.testing.assert_array_equal(values["h"], got["h"])


def test_heads_joined_with_the_batch_pass_the_check(tmp_path: Path) -> None:
    """As exporters write attention: [B, T, D] -> [B * heads, T, D / heads], with B read from the input's shape."""
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s i", "b"), node("Mul", "b two", "bh"), node("Concat", "bh tail", "joined", axis=0),
        node("Concat", "b rest", "split", axis=0), node("Reshape", "x split", "q"), node("Transpose", "q", "t", perm=[0, 2, 1, 3]),
        node("Reshape", "t joined", "h"), node("Transpose", "h", "k", perm=[0, 2, 1]), node("MatMul", "h k", "a"),
        node("Softmax", "a", "p", axis=-1), node("MatMul", "p h", "o"), node("Concat", "b heads", "back", axis=0),
        node("Reshape", "o back", "r"), node("Transpose", "r", "u", perm=[0, 2, 1, 3]), node("Reshape", "u s", "y"),
    ]  # fmt: skip
    constants = {"i": ints(0), "two": ints(2), "tail": ints(5, 4), "rest": ints(5, 2, 4), "heads": ints(2, 5, 4)}
    proto = model(nodes, {"x": ("batch", 5, 8)}, constants)
    x = rand(3, 5, 8)
    got = wb.emulate(saved(proto, tmp_path), x, TARGET, "fp32")["y"]
    np.testing.assert_allclose(got, runtime(proto, {"x": x})[0], atol=1e-6)


def test_what_is_too_large_to_try_is_taken_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MAX_WORK", 3)
    path = saved(model([node("Softmax", "x", "y", axis=0)], {"x": ("batch_size", 4)}), tmp_path)
    with pytest.warns(ModelWarning, match=r"too large to try.*--dim batch_size=1\."):
        load_model(path)


def test_a_size_that_an_exporter_wrote_down_is_the_size(tmp_path: Path) -> None:
    """Reshape to [1, 8], of a file that says any number of samples: ONNX Runtime refuses more than one, and here each is one run."""
    path = saved(model([node("Reshape", "x s", "y")], {"x": ("N", 2, 4)}, {"s": ints(1, 8)}), tmp_path)
    x = rand(3, 2, 4)
    np.testing.assert_array_equal(wb.emulate(path, x, TARGET, "fp32")["y"], x.reshape(3, 8))
    mixed = [node("Softmax", "x", "m", axis=0), node("Reshape", "m s", "y")]
    path = saved(model(mixed, {"x": ("N", 2, 4)}, {"s": ints(1, 8)}), tmp_path)
    with pytest.warns(ModelWarning, match="only one of its entries is read"):
        load_model(path)


# -- names of dimensions, constant outputs, float formats --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "?"])
def test_dimensions_without_a_name_are_given_by_input_and_number(name: str, tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], {"x": ("batch", 3, "H", "W")})
    for axis in (2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    path = saved(proto, tmp_path)
    with pytest.raises(ModelError, match=r"dimension 2 is symbolic.*dims=\{'x:2': 16\}, or --dim x:2=16"):
        load_model(path)
    with pytest.raises(ModelError, match="--dim x:3=16"):
        load_model(path, dims={"x:2": 48})
    assert load_model(path, dims={"x:2": 48, "x:3": 64}).tensors["x"].shape == (1, 3, 48, 64)
    with pytest.raises(InputError, match=r"no dimension 'x:1'.*batch, x:2, x:3"):
        load_model(path, dims={"x:1": 3})


def test_one_name_for_two_dimensions_and_a_size_of_its_own(tmp_path: Path) -> None:
    path = saved(model([node("Relu", "x", "y")], {"x": ("n", "side", "side", "batch_2")}), tmp_path)
    assert load_model(path, dims={"side": 8, "x:2": 6, "batch_2": 1}).tensors["x"].shape == (1, 8, 6, 1)
    with pytest.raises(ModelError, match=r"--dim batch_2=1\. Of this input alone: --dim x:3=16"):
        load_model(path, dims={"side": 8})


def test_constant_outputs_are_left_out_with_a_warning(tmp_path: Path) -> None:
    path = saved(model([node("Relu", "x", "y"), node("Shape", "x", "s")], {"x": ("N", 4)}, outputs=("y", "s")), tmp_path)
    with pytest.warns(ModelWarning, match="left out.*output s"):
        assert load_model(path).outputs == ("y",)


def test_a_float_model_without_a_plan_runs_where_only_casts_know_float16(tmp_path: Path) -> None:
    proto = model(
        [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "t w", "y")], {"x": ("N", 3, 4)}, {"w": rand(3, 2)}
    )
    x = rand(2, 3, 4)
    np.testing.assert_allclose(
        wb.emulate(saved(proto, tmp_path), x, TARGET)["y"], runtime(proto, {"x": x})[0], rtol=1e-5, atol=1e-6
    )
