"""Conversions to and from float8 tensors: real = scale * q, one scale for each tensor.

    q = float8(clip(real / scale, +-largest))      the quotient in float32, half to even, saturated (cvt.rn.satfinite)
    real = float32(scale * q), then once more rounded where the output is float16 or bfloat16

Source: PTX ISA (`cvt` to e4m3x2, e5m2x2). That a runtime divides by the scale, in float32, is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.graph.ir import Tensor
from workbench.numerics.float16 import narrow, widen
from workbench.ops.base import Array, Run, Site, checked
from workbench.precision import FLOATS, is_float
from workbench.tensor import FLOAT8_MAX, QuantParams, dequantize, quantize


def to_float8(site: Site) -> Run:
    """Return the run that quantizes floats, integers with a scale or float8 of another scale."""
    scale = _scale(site, site.y)
    return lambda args: [quantize(_real(site, args), scale, site.y.dtype)]


def from_float8(site: Site) -> Run:
    """Return the run that gives the real numbers in the output's float type."""
    _scale(site, site.x)
    if not is_float(site.y.dtype):
        raise site.unsupported(f"the output must be {', '.join(FLOATS.values())}.")
    return lambda args: [narrow(_real(site, args), site.y.dtype)]


def _real(site: Site, args: Sequence[Array]) -> Array:
    x = checked(site, args[0], site.x)
    return widen(x) if site.x.quant is None else dequantize(x, site.x.quant)


def _scale(site: Site, tensor: Tensor) -> QuantParams:
    if tensor.dtype not in FLOAT8_MAX or tensor.quant is None or tensor.quant.axis is not None or tensor.quant.zero_point.any():
        raise site.unsupported(f"'{tensor.name}' must be float8 with one scale and zero point 0.")
    return tensor.quant
