"""fully_connected: y = x w^T + b over the last dimension. Bit-exact with TFLM, CMSIS-NN and LiteRT under their profiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.kernels.gemm_f32 import gemm_f32
from workbench.ops._float_output import prepare_float_output, writes_float
from workbench.ops._hybrid import is_hybrid
from workbench.ops._hybrid import prepare_rows as prepare_hybrid_rows
from workbench.ops._linear import check_integer, fuse, prepare_rows, real_constants
from workbench.ops._linear_float import INPUT_FORMATS
from workbench.ops._linear_float import prepare_rows as prepare_float_rows
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, Weights, checked, register


@dataclass(frozen=True)
class FullyConnectedAttrs:
    """activation: fused. asymmetric: float32 activations that are quantized as it runs may have a zero point (`ops/_hybrid.py`)."""

    activation: str = "none"
    asymmetric: bool = False


def infer_shape(attrs: FullyConnectedAttrs, shapes: list[Shape]) -> list[Shape]:
    """Return [..., O] of x [..., I] and w [O, I]."""
    x, w = shapes[0], shapes[1]
    if len(x) < 2 or len(w) != 2 or x[-1] != w[1]:
        raise ModelError(f"fully_connected: x [..., I] and weights [O, I] do not fit: {x} and {w}.")
    return [(*x[:-1], w[0])]


def reference(attrs: FullyConnectedAttrs, arrays: list[Array]) -> list[Array]:
    """Multiply in float32, sums in the order of the inputs."""
    x, w, bias = arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None
    y = gemm_f32(x.reshape(-1, x.shape[-1]), np.ascontiguousarray(w.T, np.float32)).reshape(*x.shape[:-1], w.shape[0])
    return [fuse(y if bias is None else y + bias, attrs.activation)]


def prepare(site: Site) -> Run:
    """Return the target's fully connected layer."""
    attrs: FullyConnectedAttrs = site.attrs
    w = site.input(1)
    infer_shape(attrs, [site.x.shape, w.shape])
    if is_hybrid(site):
        return prepare_hybrid_rows(site, attrs.activation, attrs.asymmetric)
    if site.x.dtype == "float32":
        return lambda args: reference(attrs, real_constants(site, args))
    if site.x.dtype in INPUT_FORMATS:
        return prepare_float_rows(site)
    if writes_float(site):
        return prepare_float_output(site, prepare)
    rows = prepare_rows(site, check_integer(site), attrs.activation)
    return lambda args: rows([checked(site, args[0], site.x)])


def count(attrs: FullyConnectedAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count I products per output element."""
    elements = int(np.prod(outputs[0][1:], dtype=np.int64))
    return Counts(macs=elements * inputs[1][1], elements=elements)


FULLY_CONNECTED = register(
    OpSpec(
        name="fully_connected", attrs=FullyConnectedAttrs, infer_shape=infer_shape, reference=reference, prepare=prepare,
        count=count, weights=Weights(), summary="x [..., I] by weights [O, I], fused activation",
    )
)  # fmt: skip
