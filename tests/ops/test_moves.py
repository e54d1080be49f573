"""Operators that move values, against ONNX Runtime where TFLite has no such mode, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench.errors import InputError, ModelError, UnsupportedError
from workbench.graph.ir import Array, Tensor
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS, Site
from workbench.tensor import QuantParams

R = np.random.default_rng(3)
F = np.round(R.normal(size=(2, 3, 4)) * 3).astype(np.float32)
EDGES = np.array(
    [
        [
            0.5,
            -1.9,
            127.6,
            200.0,
            300.0,
            -129.0,
            40000.0,
            2147483520.0,
            2147483648.0,
            -3e9,
            9.3e18,
            -1e19,
            np.inf,
            -np.inf,
            np.nan,
        ]
    ],
    np.float32,
)


def onnxruntime(op: str, inputs: list[Array], outputs: int = 1, **attributes: Any) -> list[Array]:
    """Return what ONNX Runtime computes."""
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    make, code = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype
    names = [f"x{i}" for i in range(len(inputs))]
    node = make.make_node(op, names, [f"y{i}" for i in range(outputs)], **attributes)
    ports = [make.make_tensor_value_info(n, code(x.dtype), x.shape) for n, x in zip(names, inputs, strict=True)]
    made = [onnx.ValueInfoProto(name=n) for n in node.output]
    model = make.make_model(make.make_graph([node], "g", ports, made), opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(y) for y in session.run(None, dict(zip(names, inputs, strict=True)))]


def both(op: str, args: list[Array], attrs: dict[str, Any], outputs: int = 1, **rules: Any) -> list[Array]:
    """Return the emulation on plain types or floats; the reference must agree."""
    spec = OPS[op]
    made = spec.attrs(**attrs)
    shapes = spec.infer_shape(made, [a.shape for a in args])
    reference = spec.reference(made, args)
    assert [tuple(y.shape) for y in reference] == [tuple(s) for s in shapes][: len(reference)]
    inputs = tuple(Tensor(f"x{i}", a.shape, a.dtype.name) for i, a in enumerate(args))
    site = Site(
        op,
        op,
        made,
        inputs,
        tuple(Tensor(f"y{i}", y.shape, y.dtype.name) for i, y in enumerate(reference)),
        Arithmetic(**rules),
    )
    found = spec.prepare(site)(args)
    if not rules:
        for y, want in zip(found, reference, strict=True):
            np.testing.assert_array_equal(y, want)
    return found


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "bool", "uint8"])
def test_moves_equal_onnxruntime(dtype: str) -> None:
    x = (R.integers(0, 2, (2, 3, 4)) if dtype == "bool" else R.integers(0, 9, (2, 3, 4))).astype(dtype)
    back = np.array([[-1, 0], [2, -3]])
    cases: list[tuple[str, list[Array], dict[str, Any], str, list[Array], dict[str, Any]]] = [
        ("gather", [x, back], {"axis": 1}, "Gather", [x, back], {"axis": 1}),
        ("gather_nd", [x, back[:, :1]], {"batch_dims": 1}, "GatherND", [x, back[:, :1]], {"batch_dims": 1}),
        ("tile", [x], {"repeats": (1, 2, 3)}, "Tile", [x, np.array([1, 2, 3])], {}),
        ("broadcast_to", [x[:, :1]], {"shape": (-1, 3, 4)}, "Expand", [x[:, :1], np.array([2, 3, 4])], {}),
    ]
    if dtype != "bool":
        condition = R.integers(0, 2, (2, 1, 4)).astype(np.bool_)
        cases.append(("select", [condition, x, x[:1, :, :1]], {}, "Where", [condition, x, x[:1, :, :1]], {}))
    if dtype in ("float32", "int64", "int32"):
        pads = np.array([0, 1, 2, 0, 2, 1])
        for mode in ("edge", "reflect"):
            attrs = {"pads": ((0, 0), (1, 2), (2, 1)), "mode": mode}
            cases.append(("mirror_pad", [x], attrs, "Pad", [x, pads], {"mode": mode}))
        cases.append(
            (
                "cumsum",
                [x],
                {"axis": 2, "exclusive": True, "reverse": True},
                "CumSum",
                [x, np.array(2)],
                {"exclusive": 1, "reverse": 1},
            )
        )
    for op, args, attrs, name, given, attributes in cases:
        np.testing.assert_array_equal(both(op, args, attrs)[0], onnxruntime(name, given, **attributes)[0], err_msg=op)


def test_searches_equal_onnxruntime() -> None:
    x = np.array([[3, 1, 3, -2, 1], [0, 0, 0, 0, 0]], np.float32)
    for op, name in (("arg_max", "ArgMax"), ("arg_min", "ArgMin")):
        for last in (False, True):
            (got,) = both(op, [x], {"axis": -1, "keep_dims": True, "last": last})
            np.testing.assert_array_equal(got, onnxruntime(name, [x], axis=-1, keepdims=1, select_last_index=int(last))[0])
    for data in (x, x.astype(np.int64), np.array([[-(2**31), 2**31 - 1, -1, 0, -(2**31)]], np.int32)):
        for largest in (False, True):
            want = onnxruntime("TopK", [data, np.array([3])], 2, largest=int(largest))
            for got, expected in zip(both("top_k", [data], {"k": 3, "largest": largest}), want, strict=True):
                np.testing.assert_array_equal(got, expected)
    ids = np.array([[0, -1, 2], [3, 5, -4]])
    ends = np.float32(2.0), np.float32(-1.0)
    want = onnxruntime("OneHot", [ids, np.array(4), np.array(ends[::-1])], axis=1)
    np.testing.assert_array_equal(both("one_hot", [ids, *map(np.asarray, ends)], {"depth": 4, "axis": 1})[0], want[0])


def test_blocks_and_sequences_equal_onnxruntime() -> None:
    x = R.normal(size=(2, 3, 5, 8)).astype(np.float32)
    first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    for mode in ("dcr", "crd"):
        (got,) = both("depth_to_space", [x], {"block": 2, "mode": mode})
        want = onnxruntime("DepthToSpace", [first], blocksize=2, mode=mode.upper())[0]
        np.testing.assert_array_equal(got, want.transpose(0, 2, 3, 1))
    lengths = np.array([2, 3])
    (got,) = both("reverse_sequence", [F, lengths], {"axis": 1, "batch_axis": 0})
    np.testing.assert_array_equal(got, onnxruntime("ReverseSequence", [F, lengths], time_axis=1, batch_axis=0)[0])


@pytest.mark.parametrize("to", ["int8", "uint8", "int16", "int32", "int64", "bool"])
def test_casts_out_of_range_keep_low_bits_as_onnxruntime_on_x86(to: str) -> None:
    from onnx.helper import np_dtype_to_tensor_dtype

    x = Tensor("x", EDGES.shape, "float32")
    site = Site(
        "cast", "cast", OPS["cast"].attrs(to), (x,), (Tensor("y", EDGES.shape, to),), Arithmetic(float_to_int="low_bits")
    )
    (want,) = onnxruntime("Cast", [EDGES], to=np_dtype_to_tensor_dtype(np.dtype(to)))
    np.testing.assert_array_equal(OPS["cast"].prepare(site)([EDGES])[0], want)


@pytest.mark.parametrize(("rule", "nan"), [("saturate", 0), ("saturate_nan_max", 2**31 - 1)])
def test_casts_out_of_range_saturate(rule: str, nan: int) -> None:
    """Read off LiteRT and tflite-micro: the nearest end of the type."""
    (y,) = both("cast", [EDGES], {"to": "int32"}, float_to_int=rule)
    assert y.tolist() == [
        [0, -1, 127, 200, 300, -129, 40000, 2147483520, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), nan]
    ]


def test_arg_max_with_nan_is_a_loop_of_comparisons() -> None:
    for row in ([np.nan, 1.0, 2.0], [1.0, np.nan, 2.0], [np.nan, np.nan, 3.0], [1.0, np.nan, 0.0]):
        best = 0
        for i, value in enumerate(row):
            best = i if value > row[best] else best
        assert both("arg_max", [np.array([row], np.float32)], {"axis": 1})[0].tolist() == [best]


def test_integers_with_a_scale_are_copied() -> None:
    q = QuantParams.per_tensor(0.5, 3)
    x = R.integers(-128, 128, (3, 4)).astype(np.int8)
    inputs = Tensor("x", (1, 4), "int8", q), Tensor("i", (2,), "int64", data=np.array([3, 0]))
    site = Site("g", "gather", OPS["gather"].attrs(axis=1), inputs, (Tensor("y", (1, 2), "int8", q),), Arithmetic())
    np.testing.assert_array_equal(OPS["gather"].prepare(site)([x, np.array([3, 0])])[0], x[:, [3, 0]])


def test_what_is_outside_is_refused_with_the_name_of_the_node() -> None:
    table, ids = Tensor("t", (4, 2), "float32"), Tensor("i", (1, 3), "int32")
    site = Site(
        "lookup", "gather", OPS["gather"].attrs(axis=0), (table, ids), (Tensor("y", (1, 3, 2), "float32"),), Arithmetic()
    )
    run = OPS["gather"].prepare(site)
    with pytest.raises(InputError, match=r"node 'lookup': gather: index 4 is outside of \[-4, 3\]"):
        run([np.ones((4, 2), np.float32), np.array([[0, 4, 1]], np.int32)])
    with pytest.raises(InputError, match="'i' is int64"):
        run([np.ones((4, 2), np.float32), np.array([[0, 1, 1]])])
    lengths = Tensor("l", (2,), "int32")
    site = Site(
        "r",
        "reverse_sequence",
        OPS["reverse_sequence"].attrs(axis=1),
        (Tensor("x", (2, 3), "float32"), lengths),
        (Tensor("y", (2, 3), "float32"),),
        Arithmetic(),
    )
    with pytest.raises(InputError, match="expected 0 to 3"):
        OPS["reverse_sequence"].prepare(site)([np.ones((2, 3), np.float32), np.array([1, 4], np.int32)])


@pytest.mark.parametrize(
    ("op", "attrs", "shapes"),
    [
        ("gather", {"axis": 3}, [(1, 2), (1,)]), ("gather", {"axis": 1, "batch_dims": 2}, [(1, 2), (1, 2)]),
        ("gather_nd", {"batch_dims": 1}, [(1, 2), (1,)]), ("gather_nd", {}, [(1, 2), (1, 3)]), ("tile", {"repeats": (1,)}, [(1, 2)]),
        ("tile", {"repeats": (1, 0)}, [(1, 2)]), ("broadcast_to", {"shape": (2, -1)}, [(2, 1)]),
        ("broadcast_to", {"shape": (3,)}, [(1, 3)]), ("select", {}, [(1, 2), (1, 3), (1, 1)]),
        ("one_hot", {"depth": 0}, [(1, 2), (), ()]), ("one_hot", {"depth": 2}, [(1, 2), (2,), ()]), ("top_k", {"k": 0}, [(1, 2)]),
        ("top_k", {"k": 3}, [(1, 2)]), ("arg_max", {"axis": 2}, [(1, 2)]), ("arg_min", {"axis": 0, "to": "int8"}, [(1, 2)]),
        ("reverse", {"axes": (1, -1)}, [(1, 2)]), ("reverse_sequence", {"axis": 0}, [(1, 2), (1,)]), ("cumsum", {"axis": -3}, [(1, 2)]),
        ("space_to_depth", {"block": 2}, [(1, 3, 2, 1)]), ("depth_to_space", {"block": 2, "mode": "abc"}, [(1, 3, 2, 4)]),
        ("space_to_batch_nd", {"block": (2,), "paddings": ((0, 0),)}, [(1, 3, 2)]), ("dilate", {"steps": (1, 0)}, [(1, 3), ()]),
        ("space_to_batch_nd", {"block": (1,), "paddings": ((-1, 0),)}, [(1, 3, 2)]), ("dilate", {"steps": (1, 2)}, [(1, 3), (2,)]),
        ("batch_to_space_nd", {"block": (3,), "crops": ((0, 0),)}, [(4, 3, 2)]), ("mirror_pad", {"pads": ((0, 0), (3, 0))}, [(1, 3)]),
        ("mirror_pad", {"pads": ((1, 0), (0, 0))}, [(1, 3)]), ("dynamic_update_slice", {}, [(1, 3), (1, 4), (2,)]),
    ],
)  # fmt: skip
def test_attributes_that_do_not_fit_are_refused(op: str, attrs: dict[str, Any], shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ModelError):
        OPS[op].infer_shape(OPS[op].attrs(**attrs), shapes)


def test_types_that_do_not_fit_are_refused() -> None:
    x, y = Tensor("x", (1, 4), "float32"), Tensor("y", (1, 4), "int32")
    for op, attrs in (
        ("tile", {"repeats": (1, 1)}),
        ("reverse", {"axes": (1,)}),
        ("cumsum", {"axis": 1}),
        ("arg_max", {"axis": 1}),
    ):
        with pytest.raises(UnsupportedError):
            OPS[op].prepare(Site("n", op, OPS[op].attrs(**attrs), (x,), (y,), Arithmetic()))
