"""batch_matmul: x [..., M, K] by y [..., K, N], both activations (or one a constant). Bit-exact with TFLM, CMSIS-NN and LiteRT.

int8: int32 accumulator, ordinary rule. int16: int64 accumulator, wide rule. Both zero points are removed before the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.kernels.gemm import gemm_s64
from workbench.kernels.gemm_f32 import gemm_f32
from workbench.numerics.requantize import Requantizer, effective_scale, make_requantizer, product_precision, rule_name
from workbench.ops._float_output import scale_of, writes_float
from workbench.ops._hybrid import is_hybrid
from workbench.ops._hybrid_matrix import prepare_matrix
from workbench.ops._linear import BYTES, accumulator_for, make_rows, narrow_rows, quant_of, real_constants
from workbench.ops._linear_float import INPUT_FORMATS, prepare_matrices
from workbench.ops._packed import Accumulator, words_of
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, checked, register
from workbench.tensor import RANGES


@dataclass(frozen=True)
class BatchMatmulAttrs:
    """adj_x, adj_y: the last two dimensions of that operand are swapped. asymmetric: as in `FullyConnectedAttrs`."""

    adj_x: bool = False
    adj_y: bool = False
    asymmetric: bool = False


def _swap(shape: Shape, adjoint: bool) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2]) if adjoint else shape


def infer_shape(attrs: BatchMatmulAttrs, shapes: list[Shape]) -> list[Shape]:
    """Return [..., M, N]; leading dimensions broadcast."""
    if min(len(shapes[0]), len(shapes[1])) < 2:
        raise ModelError(f"batch_matmul: operands need at least two dimensions, they are {shapes[0]} and {shapes[1]}.")
    x, y = _swap(shapes[0], attrs.adj_x), _swap(shapes[1], attrs.adj_y)
    try:
        lead = np.broadcast_shapes(x[:-2], y[:-2])
    except ValueError:
        lead = None
    if lead is None or x[-1] != y[-2]:
        raise ModelError(f"batch_matmul: {shapes[0]} and {shapes[1]} do not fit (adj_x {attrs.adj_x}, adj_y {attrs.adj_y}).")
    return [(*lead, x[-2], y[-1])]


def _matrices(attrs: BatchMatmulAttrs, x: Array, y: Array) -> tuple[Array, Array, Shape]:
    """Return a [B, M, K], b [B, N, K] (views where possible) and the output shape."""
    a = np.swapaxes(x, -1, -2) if attrs.adj_x else x
    b = y if attrs.adj_y else np.swapaxes(y, -1, -2)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = int(np.prod(lead, dtype=np.int64))
    full = (*lead, a.shape[-2], b.shape[-2])
    a = np.broadcast_to(a, (*lead, *a.shape[-2:])).reshape(count, *a.shape[-2:])
    b = np.broadcast_to(b, (*lead, *b.shape[-2:])).reshape(count, *b.shape[-2:])
    return a, b, full


def reference(attrs: BatchMatmulAttrs, arrays: list[Array]) -> list[Array]:
    """Multiply in float32, sums in the order of K."""
    a, b, shape = _matrices(attrs, arrays[0], arrays[1])
    out = np.empty((len(a), *shape[-2:]), np.float32)
    for i in range(len(a)):
        out[i] = gemm_f32(np.ascontiguousarray(a[i], np.float32), np.ascontiguousarray(b[i].T, np.float32))
    return [out.reshape(shape)]


def prepare(site: Site) -> Run:
    """Return the target's batch matmul."""
    attrs: BatchMatmulAttrs = site.attrs
    infer_shape(attrs, [site.x.shape, site.input(1).shape])
    if is_hybrid(site):
        return prepare_matrix(site)
    if site.x.dtype == "float32":
        return lambda args: reference(attrs, real_constants(site, args))
    if site.x.dtype in INPUT_FORMATS:
        return _prepare_float(site)
    if writes_float(site) and site.input(1).dtype == "int8":
        return _to_float(site)
    if site.x.dtype not in (*BYTES, "int16") or {site.input(1).dtype, site.y.dtype} != {site.x.dtype}:
        raise site.unsupported("both operands and the output must be of one type: int8, int4, int2 or int16.")
    zx, zy = quant_of(site, site.x)[1], quant_of(site, site.input(1))[1]
    wide = site.x.dtype == "int16"
    accumulator = matrix_accumulator(site)

    def run(args: Sequence[Array]) -> list[Array]:
        a, b, shape = _matrices(attrs, *_operands(site, args))
        requantize = _requantizer(site, shape[-1], wide)
        out = np.empty((len(a), *shape[-2:]), args[0].dtype)
        for i in range(len(a)):
            right = (b[i].astype(np.int32) - zy).astype(np.int16)
            _multiply(np.ascontiguousarray(a[i]), zx, right, accumulator, requantize, out[i])
        return [out.reshape(shape)]

    _requantizer(site, 1, wide)  # refuse impossible scales now, not at run time
    return run


def _to_float(site: Site) -> Run:
    """Return float32(acc) * (sx * sy): ONNX Runtime's MatMulIntegerToFloat."""
    (_, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.input(1))
    scale = scale_of(site, np.asarray(sy))

    def run(args: Sequence[Array]) -> list[Array]:
        a, b, shape = _matrices(site.attrs, *_operands(site, args))
        exact = np.matmul(a.astype(np.float64) - zx, np.swapaxes(b.astype(np.float64) - zy, -1, -2))  # far below 2**53
        return [(exact.astype(np.int64).astype(np.int32).astype(np.float32) * scale).reshape(shape)]

    return run


def matrix_accumulator(site: Site) -> Accumulator:
    """Return the accumulator of a site. Both operands are activations: pairs of u8 x s8 products do not occur."""
    stated = accumulator_for(site.arithmetic, site.x.dtype == "int16")
    return replace(stated, overflow="wrap") if stated.overflow == "saturate_int16_pairs" else stated


def _operands(site: Site, args: Sequence[Array]) -> tuple[Array, Array]:
    x, y = (a if t.is_constant else checked(site, a, t) for a, t in zip(args, (site.x, site.input(1)), strict=False))
    return x, y


def _multiply(a: Array, zero_point: int, b: Array, accumulator: Accumulator, requantize: Requantizer, out: Array) -> None:
    """out = a [M, K] by b int16 [N, K] (its zero point removed)."""
    nothing = np.zeros(len(b), np.int64)
    if accumulator.wide and accumulator.native:
        acc = np.empty(out.shape, np.int64)
        gemm_s64((a.astype(np.int32) - zero_point).astype(np.int16), np.ascontiguousarray(b), 1, acc)
        unused = 64 - accumulator.bits
        requantize((acc << unused) >> unused, nothing, out)
    elif accumulator.wide or not accumulator.vector:
        rows = (a.astype(np.int32) - zero_point).astype(np.int16)
        narrow_rows(rows, b, nothing, accumulator, requantize, out, 0)
    else:
        make_rows(words_of(accumulator, zero_point), accumulator, b, nothing, zero_point, requantize, RANGES["int8"])(a, out)


def _requantizer(site: Site, channels: int, wide: bool) -> Requantizer:
    (sx, _), (sw, _), (sy, zy) = (quant_of(site, t) for t in (site.x, site.input(1), site.y))
    rule = rule_name(site.arithmetic, wide)
    scale = effective_scale(site.arithmetic, sx, sw, sy, rule, product_precision(site.arithmetic, rule))
    try:
        return make_requantizer(site.arithmetic, scale, channels, zy, RANGES[site.y.dtype], wide)
    except InputError as problem:
        raise site.unsupported(f"{problem}.") from None


def _prepare_float(site: Site) -> Run:
    product = prepare_matrices(site)

    def run(args: Sequence[Array]) -> list[Array]:
        a, b, shape = _matrices(site.attrs, *_operands(site, args))
        return [product(a, b).reshape(shape)]

    return run


def count(attrs: BatchMatmulAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count K products per output element."""
    elements = int(np.prod(outputs[0][1:], dtype=np.int64))
    depth: Any = _swap(inputs[0], attrs.adj_x)[-1]
    return Counts(macs=elements * int(depth), elements=elements)


BATCH_MATMUL = register(
    OpSpec(
        name="batch_matmul", attrs=BatchMatmulAttrs, infer_shape=infer_shape, reference=reference, prepare=prepare, count=count,
        summary="x [..., M, K] by y [..., K, N], either transposed",
    )
)  # fmt: skip
