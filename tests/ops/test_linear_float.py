"""Float layers: what the graph computes equals the written-out rule (order over k, groups, padding, scales, bias, rounding)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.oracles import tensor_core as oracle
from workbench.errors import UnsupportedError
from workbench.execute import prepare
from workbench.graph.ir import Tensor
from workbench.hardware import load_profile
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.codings import SPARSE
from workbench.numerics.float_formats import FORMATS
from workbench.ops import OPS, Site, _windows
from workbench.ops._linear_float import INPUT_FORMATS
from workbench.ops.batch_matmul import BatchMatmulAttrs
from workbench.ops.conv2d import Conv2dAttrs
from workbench.ops.depthwise_conv2d import DepthwiseConv2dAttrs
from workbench.ops.fully_connected import FullyConnectedAttrs
from workbench.ops.transpose_conv2d import TransposeConv2dAttrs
from workbench.tensor import STORAGE, QuantParams
from workbench.validate.golden_base import single_op

PROFILE = "nvidia-h100"
Array = np.ndarray[Any, Any]
ARITHMETIC = {
    "float16": Arithmetic(),
    "bfloat16": Arithmetic(float_products_per_step=8, float_fraction_bits=24),
    "tfloat32": Arithmetic(float_products_per_step=4, float_fraction_bits=24),
    "float8_e4m3": Arithmetic(float_products_per_step=32, float_fraction_bits=13, float_accumulator="float32_e8m13"),
    "float8_e5m2": Arithmetic(float_products_per_step=16, float_fraction_bits=13, float_accumulator="float16"),
}
OUTPUT = {"float32": "f32", "float32_e8m13": "e8m13", "float16": "f16"}
WRITTEN = {"float16": "fp16", "bfloat16": "bf16", "tfloat32": "fp32"}


def _values(rng: np.random.Generator, dtype: str, *shape: int) -> Array:
    return rng.normal(size=shape).astype(STORAGE[dtype])


def _bits(values: Array) -> Array:
    return np.ascontiguousarray(values).view(f"uint{8 * values.itemsize}")


def _run(op: str, attrs: Any, tensors: list[Tensor], output: Tensor, args: list[Array], dtype: str) -> Array:
    site = Site("node", op, attrs, tuple(tensors), (output,), ARITHMETIC[dtype])
    found: Array = OPS[op].prepare(site)(args)[0]
    assert found.dtype == STORAGE[output.dtype]
    return found


def _tensors(
    x: Array, w: Array, bias: Array | None, dtypes: tuple[str, str], rng: np.random.Generator, axis: int
) -> list[Tensor]:
    """Return the tensors of a layer; float8 ones with scales, the weights' per channel."""
    quants: list[QuantParams | None] = [None, None]
    if dtypes[0].startswith("float8"):
        scales = rng.uniform(0.01, 0.1, w.shape[axis]).astype(np.float32)
        quants = [QuantParams.per_tensor(0.037), QuantParams.per_channel(scales, axis)]
    tensors = [Tensor("x", (1, *x.shape[1:]), dtypes[0], quants[0]), Tensor("w", w.shape, dtypes[1], quants[1], w)]
    if bias is not None:
        tensors.append(Tensor("b", bias.shape, {"float32": "tfloat32"}.get(bias.dtype.name, bias.dtype.name), None, bias))
    return tensors


def _dot(a: Array, b: Array, tensors: list[Tensor], channel: int, written: str) -> int:
    """Return the pattern that a layer with these tensors writes for two vectors."""
    arithmetic = ARITHMETIC[tensors[0].dtype]
    formats = INPUT_FORMATS[tensors[0].dtype], INPUT_FORMATS[tensors[1].dtype]
    acc = oracle.dot_add(
        _bits(a).reshape(-1).tolist(), _bits(b).reshape(-1).tolist(), 0, formats, arithmetic.float_products_per_step,
        arithmetic.float_fraction_bits, OUTPUT[arithmetic.float_accumulator],
    )  # fmt: skip
    if arithmetic.float_accumulator == "float16":
        acc = oracle.encode_nearest(oracle.value_of(acc, "fp16"), "fp32", acc >> 15 == 1)
    scale = bias = None
    if tensors[0].quant is not None and tensors[1].quant is not None:
        factors = tensors[1].quant.scale
        scale = int((tensors[0].quant.scale[0] * factors[channel % len(factors)]).view(np.uint32))
    if len(tensors) > 2 and tensors[2].data is not None:
        bias = int(tensors[2].data[channel].astype(np.float32).view(np.uint32))
    return oracle.epilogue(acc, bias, WRITTEN[written], scale)


TYPES = [("float16", "float16", "float16", "float16"), ("bfloat16", "bfloat16", "float32", "bfloat16"),
         ("tfloat32", "tfloat32", "float32", "tfloat32"), ("float8_e4m3", "float8_e4m3", "float16", "float16"),
         ("float8_e5m2", "float8_e4m3", "float32", "float16")]  # fmt: skip
"""Input, weights, bias, output."""


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("groups", [1, 2])
def test_conv2d_takes_k_in_kh_kw_c_order_per_group(
    types: tuple[str, str, str, str], groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_windows, "WINDOW_BYTES", 300)  # bands of one output line
    rng = np.random.default_rng(groups)
    x, w = _values(rng, types[0], 2, 5, 4, 6), _values(rng, types[1], 4, 3, 2, 6 // groups)
    bias = rng.normal(size=4).astype(types[2])
    tensors = _tensors(x, w, bias, types[:2], rng, 0)
    attrs = Conv2dAttrs(stride=(2, 1), dilation=(1, 2), pads=(1, 1, 1, 0), groups=groups)
    got = _bits(_run("conv2d", attrs, tensors, Tensor("y", (1, 3, 3, 4), types[3]), [x, w, bias], types[0]))
    assert got.shape == (2, 3, 3, 4)
    padded = np.zeros((2, 7, 5, 6), x.dtype)
    padded[:, 1:6, 1:5] = x
    for n, i, j, o in np.ndindex(*got.shape):
        first = o // (4 // groups) * (6 // groups)
        window = padded[n, 2 * i : 2 * i + 3, j : j + 3 : 2, first : first + 6 // groups]
        assert got[n, i, j, o] == _dot(window, w[o], tensors, o, types[3])


@pytest.mark.parametrize("types", TYPES)
def test_fully_connected_and_pointwise_convolution(types: tuple[str, str, str, str]) -> None:
    rng = np.random.default_rng(3)
    x, w, bias = _values(rng, types[0], 2, 3, 2, 40), _values(rng, types[1], 5, 40), rng.normal(size=5).astype(types[2])
    tensors = _tensors(x, w, bias, types[:2], rng, 0)
    y = Tensor("y", (1, 3, 2, 5), types[3])
    got = _bits(_run("fully_connected", FullyConnectedAttrs(), tensors, y, [x, w, bias], types[0]))
    for n, i, j, o in np.ndindex(*got.shape):
        assert got[n, i, j, o] == _dot(x[n, i, j], w[o], tensors, o, types[3])
    pixels = [*tensors[:1], Tensor("w", (5, 1, 1, 40), types[1], tensors[1].quant, w.reshape(5, 1, 1, 40)), *tensors[2:]]
    assert np.array_equal(_bits(_run("conv2d", Conv2dAttrs(), pixels, y, [x, w, bias], types[0])), got)


@pytest.mark.parametrize("types", TYPES)
def test_batch_matmul_of_two_activations(types: tuple[str, str, str, str]) -> None:
    rng = np.random.default_rng(4)
    x, y = _values(rng, types[0], 2, 3, 20), _values(rng, types[1], 2, 20, 4)
    scale = QuantParams.per_tensor(0.037) if types[0].startswith("float8") else None
    tensors = [Tensor("x", (1, 3, 20), types[0], scale), Tensor("z", (1, 20, 4), types[1], scale)]
    got = _bits(_run("batch_matmul", BatchMatmulAttrs(), tensors, Tensor("y", (1, 3, 4), types[3]), [x, y], types[0]))
    for n, i, j in np.ndindex(*got.shape):
        assert got[n, i, j] == _dot(x[n, i], y[n, :, j], tensors, 0, types[3])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "tfloat32"])
def test_depthwise_is_a_fused_float32_chain_in_kh_kw_order_rounded_once(dtype: str) -> None:
    rng = np.random.default_rng(5)
    x, w, bias = _values(rng, dtype, 2, 4, 5, 3), _values(rng, dtype, 1, 3, 3, 6), rng.normal(size=6).astype(np.float32)
    tensors = _tensors(x, w, bias, (dtype, dtype), rng, 3)
    attrs = DepthwiseConv2dAttrs(pads=(1, 1, 1, 1))
    got = _bits(_run("depthwise_conv2d", attrs, tensors, Tensor("y", (1, 4, 5, 6), dtype), [x, w, bias], dtype))
    wide, taps = (_bits(v.astype(np.float32)) for v in (x, w))
    for n, i, j, o in np.ndindex(*got.shape):
        acc = 0
        for kh, kw in np.ndindex(3, 3):
            if 0 <= i + kh - 1 < 4 and 0 <= j + kw - 1 < 5:
                acc = oracle.fma_f32(int(wide[n, i + kh - 1, j + kw - 1, o // 2]), int(taps[0, kh, kw, o]), acc)
        assert got[n, i, j, o] == oracle.epilogue(acc, int(bias[o].view(np.uint32)), WRITTEN[dtype])


@pytest.mark.parametrize(
    ("x", "w"),
    [
        ([-1.5 * 2.0**63, 1.5 * 2.0**64], [2.0**64, 2.0**64]),  # the second product lies above float32, the sum does not
        ([2.0**-133, 2.0**-75], [2.0**-16, 2.0**-75]),  # half a unit of its subnormals, added to one unit
        ([2.0**-125, 1.0078125 * 2.0**-74], [1.0, 2.0**-75]),  # a little more than half a unit of the sum
    ],
)
def test_products_of_bfloat16_outside_of_float32_are_not_rounded_before_the_sum(x: list[float], w: list[float]) -> None:
    a, b = np.array(x).reshape(1, 1, 2, 1), np.array(w).reshape(1, 1, 2, 1)
    left, right = a.astype(STORAGE["bfloat16"]), b.astype(STORAGE["bfloat16"])
    tensors = _tensors(left, right, None, ("bfloat16", "bfloat16"), np.random.default_rng(0), 3)
    y = Tensor("y", (1, 1, 1, 1), "float32")
    got = _run("depthwise_conv2d", DepthwiseConv2dAttrs(), tensors, y, [left, right], "bfloat16")
    wide, acc = [_bits(v.astype(np.float32)).reshape(-1) for v in (left, right)], 0
    for k in range(2):
        acc = oracle.fma_f32(int(wide[0][k]), int(wide[1][k]), acc)
    assert _bits(got).item() == acc
    assert acc & 0x7FFFFFFF < 0x7F800000


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3", "float8_e5m2"])
def test_a_pruned_weight_never_meets_its_activation(dtype: str) -> None:
    """`mma.sp` picks activations by the metadata of the compressed weights: infinities and NaN beside them change nothing."""
    rng = np.random.default_rng(9)
    w = rng.normal(size=(5, 40))
    w[:, 2::4] = w[:, 3::4] = 0
    w[0, 2::4] = -0.0
    x, w = _values(rng, dtype, 3, 40), w.astype(STORAGE[dtype])
    quant = (QuantParams.per_tensor(0.5), QuantParams.per_tensor(1.0)) if dtype.startswith("float8") else (None, None)
    weights = Tensor("w", w.shape, dtype, quant[1], w)
    y = Tensor("y", (1, 5), "float16" if quant[0] else dtype)

    def run(values: Array, coding: str) -> Array:
        tensors = [Tensor("x", (1, 40), dtype, quant[0]), replace(weights, coding=coding)]
        return _run("fully_connected", FullyConnectedAttrs(), tensors, y, [values, w], dtype)

    hard = x.copy()
    hard[0, 2], hard[1, 3] = np.nan, np.inf  # e4m3 has no infinity: NaN
    assert np.array_equal(_bits(run(hard, SPARSE)), _bits(run(x, SPARSE)))
    assert np.isnan(run(hard, "")[:2].astype(np.float32)).all()  # a dense product multiplies them: 0 * inf
    hard[2, 0] = np.nan  # a weight that is there
    assert np.isnan(run(hard, SPARSE)[2].astype(np.float32)).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "tfloat32"])
def test_float16_accumulators_are_refused_where_no_matrix_unit_has_them(dtype: str) -> None:
    rng = np.random.default_rng(10)
    x, w = _values(rng, dtype, 1, 8), _values(rng, dtype, 2, 8)
    site = Site(
        "node", "fully_connected", FullyConnectedAttrs(), tuple(_tensors(x, w, None, (dtype, dtype), rng, 0)),
        (Tensor("y", (1, 2), dtype),), replace(ARITHMETIC[dtype], float_accumulator="float16"),
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match=f"adds products of {dtype} in float16"):
        OPS["fully_connected"].prepare(site)


def test_transposed_convolution_by_phases() -> None:
    rng = np.random.default_rng(6)
    x, w = _values(rng, "bfloat16", 1, 2, 2, 3), _values(rng, "bfloat16", 2, 2, 2, 3)
    tensors = _tensors(x, w, None, ("bfloat16", "bfloat16"), rng, 0)
    attrs = TransposeConv2dAttrs(stride=(2, 2))
    got = _bits(_run("transpose_conv2d", attrs, tensors, Tensor("y", (1, 4, 4, 2), "bfloat16"), [x, w], "bfloat16"))
    for i, j, o in np.ndindex(4, 4, 2):  # every output has one tap
        assert got[0, i, j, o] == _dot(x[0, i // 2, j // 2], w[o, i % 2, j % 2], tensors, o, "bfloat16")


def test_a_profile_resolves_the_rule_of_a_type() -> None:
    rng = np.random.default_rng(7)
    x, w = _values(rng, "float16", 3, 40), _values(rng, "float16", 5, 40)
    tensors = _tensors(x, w, None, ("float16", "float16"), rng, 0)
    graph = single_op("fully_connected", FullyConnectedAttrs("relu6"), [*tensors], Tensor("y", (1, 5), "float16"))
    got = prepare(graph, load_profile(PROFILE)).run({"x": x})["y"]
    for n, o in np.ndindex(3, 5):
        value = np.array([_dot(x[n], w[o], tensors, o, "float16")], np.uint16).view(np.float16)[0]
        assert got[n, o] == min(max(value, np.float16(0)), np.float16(6))


def test_a_layer_with_other_types_or_scales_is_refused() -> None:
    rng = np.random.default_rng(8)

    def run(x: str, w: str, y: str = "float16", **changes: Any) -> None:
        arrays = _values(rng, x, 1, 4), _values(rng, w, 2, 4)
        tensors = _tensors(*arrays, changes.get("bias"), (x, w), rng, 0)
        if "quant" in changes:
            tensors[0] = Tensor("x", (1, 4), x, changes["quant"])
        _run("fully_connected", FullyConnectedAttrs(), tensors, Tensor("y", (1, 2), y), list(arrays), x)

    for arguments, says in (
        (("float16", "float32"), "needs float16 weights"), (("float8_e4m3", "float16"), "needs float8_e4m3 weights"),
        (("float16", "float16", "int8"), "the output must be float16"),
    ):  # fmt: skip
        with pytest.raises(UnsupportedError, match=says):
            run(*arguments)
    with pytest.raises(UnsupportedError, match="bias must be a constant"):
        run("float16", "float16", bias=np.zeros(3, np.float32))
    for quant, says in ((None, "one scale of the input"), (QuantParams.per_tensor(1.0, 3), "no zero point")):
        with pytest.raises(UnsupportedError, match=says):
            run("float8_e4m3", "float8_e4m3", quant=quant)


def test_every_input_type_is_stored_as_its_format() -> None:
    for dtype, form in INPUT_FORMATS.items():
        assert np.dtype(STORAGE[dtype]).itemsize == np.dtype(FORMATS[form].storage).itemsize
