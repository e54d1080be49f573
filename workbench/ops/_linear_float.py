"""Linear layers on float tensors: conv2d, depthwise_conv2d, fully_connected and batch_matmul of a matrix unit.

    y = round(clamp(acc * (sx * sw[c]) + bias[c]))      float32 but for the last rounding; without float8 there is no scale

Products: `kernels/gemm_tensor_core` (exact steps of the target's dot-product rule, k in (kh, kw, c) order, one product per group). The
order over k of a real library's convolution is an assumption (implicit GEMM over NHWC: taps outside, channels inside); so is that K is
not split over thread blocks. tfloat32 tensors are float32: only the product drops their low 13 bits.
float8: both operands have a scale (the weights one, or one per channel), the product sx * sw in float32 multiplies the accumulator.
Depthwise: no matrix unit is used, so it is a float32 fused multiply-add chain in (kh, kw) order from +0 (the order is an assumption).
Weights pruned to 2:4: the unit multiplies the compressed operand, so a pruned weight does not meet its activation, whatever that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from workbench.kernels.depthwise_float import depthwise_float
from workbench.kernels.float_epilogue import finish
from workbench.kernels.gemm_tensor_core import Columns, multiply, pack_columns
from workbench.kernels.load import Window
from workbench.numerics.activation import fused_limits
from workbench.numerics.codings import SPARSE
from workbench.numerics.float16 import widen
from workbench.numerics.float_formats import FORMATS
from workbench.numerics.tensor_core import DotRule, rule_of
from workbench.ops._windows import banded_windows, padded_size
from workbench.ops.base import DTYPES, Array, Run, Site, checked
from workbench.precision import format_name
from workbench.tensor import FLOAT8_MAX

INPUT_FORMATS = {
    "float16": "fp16", "bfloat16": "bf16", "tfloat32": "tf32", "float8_e4m3": "e4m3", "float8_e5m2": "e5m2",
}  # fmt: skip
"""Tensor type -> format of the matrix unit's inputs."""
OUTPUTS = ("float16", "bfloat16", "tfloat32", "float32")
BIASES = OUTPUTS


def patterns(array: Array, dtype: str) -> Array:
    """Return the bit patterns of a tensor of the type, contiguous."""
    return np.ascontiguousarray(array).view(FORMATS[INPUT_FORMATS[dtype]].storage)


@dataclass(frozen=True, eq=False)
class Epilogue:
    """What follows the sums. scale, bias: float32 [O] or None."""

    dtype: str
    scale: Array | None
    bias: Array | None
    clamp: tuple[float, float]

    def part(self, columns: slice) -> Callable[[Array], Array]:
        """Return the function on the accumulators float32 [M, ...] of some columns."""
        scale, bias = (None if v is None else v[columns] for v in (self.scale, self.bias))
        return partial(finish, dtype=self.dtype, bias=bias, clamp=self.clamp, scale=scale)


def epilogue_of(site: Site, channels: int, activation: str) -> Epilogue:
    """Return the epilogue of a layer after checking types and scales."""
    return Epilogue(site.y.dtype, _scale(site, channels), _bias(site, channels), fused_limits(activation))


def prepare_convolution(site: Site, window: Window, groups: int) -> Run:
    """Return the convolution of NHWC by constant weights [O, KH, KW, C / groups]."""
    w, dtype = _weights(site), site.x.dtype
    rows = patterns(w.reshape(groups, w.shape[0] // groups, -1), site.input(1).dtype)
    columns = [_columns(site, rows[g]) for g in range(groups)]
    epilogue = epilogue_of(site, w.shape[0], site.attrs.activation)
    per_in, per_out = w.shape[3], w.shape[0] // groups
    pixels = groups == 1 and padded_size(window) == site.x.shape[1:3] and window[:4] == (1, 1, 1, 1)

    def run(args: Sequence[Array]) -> list[Array]:
        x = patterns(checked(site, args[0], site.x), dtype)
        if pixels and not (window.top or window.left):
            return [_product(x, columns[0], epilogue)]
        y = np.empty((x.shape[0], window.out_h, window.out_w, w.shape[0]), DTYPES[site.y.dtype])
        for g in range(groups):
            channels = slice(g * per_out, (g + 1) * per_out)
            end = epilogue.part(channels)
            for samples, lines, views in banded_windows(x[..., g * per_in : (g + 1) * per_in], window):
                out = end(multiply(views.reshape(-1, rows.shape[2]), columns[g]))
                y[samples, lines, :, channels] = out.reshape(*views.shape[:3], per_out)
        return [y]

    return run


def prepare_rows(site: Site) -> Run:
    """Return the fully connected layer: x [..., I] by constant weights [O, I]."""
    w, dtype = _weights(site), site.x.dtype
    columns = _columns(site, patterns(w, site.input(1).dtype))
    epilogue = epilogue_of(site, w.shape[0], site.attrs.activation)
    return lambda args: [_product(patterns(checked(site, args[0], site.x), dtype), columns, epilogue)]


def prepare_matrices(site: Site) -> Callable[[Array, Array], Array]:
    """Return the product of two activations: a [B, M, K] by b [B, N, K] -> [B, M, N]."""
    left, right = site.x.dtype, site.input(1).dtype
    _check_types(site)
    rule, scale = _rule(site), _scale(site, 1)

    def run(a: Array, b: Array) -> Array:
        out = np.empty((len(a), a.shape[1], b.shape[1]), DTYPES[site.y.dtype])
        factor = None if scale is None else np.full(b.shape[1], scale[0])
        for i in range(len(a)):
            columns = pack_columns(patterns(b[i], right), INPUT_FORMATS[right], INPUT_FORMATS[left], rule)
            acc = multiply(patterns(a[i], left), columns)
            out[i] = finish(acc, site.y.dtype, scale=factor)
        return out

    return run


def prepare_depthwise(site: Site, window: Window, multiplier: int) -> Run:
    """Return the depthwise convolution by constant weights [1, KH, KW, O], O = C * multiplier."""
    w = widen(_weights(site))[0]
    end = epilogue_of(site, w.shape[2], site.attrs.activation).part(slice(None))
    fused = site.x.dtype != "float16"  # its products are exact; of bfloat16 they overflow and underflow float32

    def run(args: Sequence[Array]) -> list[Array]:
        x = widen(checked(site, args[0], site.x))
        acc = np.zeros((len(x), window.out_h, window.out_w, w.shape[2]), np.float32)
        depthwise_float(np.repeat(x, multiplier, axis=3) if multiplier > 1 else x, w, tuple(window), fused, acc)
        return [end(acc.reshape(-1, w.shape[2])).reshape(acc.shape)]

    return run


def _product(x: Array, columns: Columns, epilogue: Epilogue) -> Array:
    """Return the layer's outputs [..., O] of patterns x [..., I]."""
    acc = multiply(x.reshape(-1, x.shape[-1]), columns)
    return epilogue.part(slice(None))(acc).reshape(*x.shape[:-1], acc.shape[1])


def _columns(site: Site, w: Array) -> Columns:
    form, other = INPUT_FORMATS[site.input(1).dtype], INPUT_FORMATS[site.x.dtype]
    return pack_columns(w, form, other, _rule(site))


def _rule(site: Site) -> DotRule:
    """Return the rule of the products; a type that no matrix unit accumulates in float16 is refused with such an accumulator."""
    rule, dtype = rule_of(site.arithmetic, site.input(1).coding == SPARSE), site.x.dtype
    if rule.is_float16 and dtype in ("bfloat16", "tfloat32"):
        kind = format_name(None, dtype)
        raise site.unsupported(
            f"no matrix unit adds products of {dtype} in float16. Give the profile's arithmetic_by_type "
            f"{kind}: {{float_accumulator: float32}}."
        )
    return rule


def _check_types(site: Site) -> None:
    """Refuse operands that do not meet in a matrix unit."""
    x, w, y = site.x.dtype, site.input(1).dtype, site.y.dtype
    if w not in INPUT_FORMATS or (w != x and not (w in FLOAT8_MAX and x in FLOAT8_MAX)):
        raise site.unsupported(f"a {x} layer needs {x} weights (two float8 types may meet).")
    if y not in OUTPUTS:
        raise site.unsupported(f"the output must be {', '.join(OUTPUTS)}.")


def _weights(site: Site) -> Array:
    """Return the constant weights after checking the types of the site."""
    _check_types(site)
    w = site.input(1)
    if w.data is None or w.data.dtype != DTYPES[w.dtype] or w.data.size == 0:
        raise site.unsupported(f"the weights must be a {w.dtype} constant that is not empty.")
    return w.data


def _scale(site: Site, channels: int) -> npt.NDArray[np.float32] | None:
    """Return sx * sw as float32 [channels], None for types without a scale."""
    x, w = site.x, site.input(1)
    if x.dtype not in FLOAT8_MAX:
        return None
    if x.quant is None or w.quant is None or x.quant.axis is not None or len(w.quant.scale) not in (1, channels):
        raise site.unsupported(f"float8 needs one scale of the input, and one or {channels} of the weights.")
    if x.quant.zero_point.any() or w.quant.zero_point.any():
        raise site.unsupported("float8 has no zero point.")
    return np.broadcast_to((x.quant.scale * w.quant.scale).astype(np.float32), channels)


def _bias(site: Site, channels: int) -> npt.NDArray[np.float32] | None:
    """Return the bias as float32 [channels] or None."""
    bias = site.optional(2)
    if bias is None:
        return None
    if bias.dtype not in BIASES or bias.data is None or bias.data.size != channels:
        shape = None if bias.data is None else bias.data.shape
        raise site.unsupported(f"the bias must be a constant {', '.join(BIASES)} [{channels}], it is {bias.dtype} {shape}.")
    return widen(bias.data.reshape(-1))
