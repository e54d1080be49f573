"""hard_swish: y = x * clip(x + 3, 0, 6) / 6. int8 in 16-bit fixed point, scales evaluated in float32.

Source: TFLite hard_swish.h, activations.cc (HardSwishPrepare). Constraints: (C1) int8, (C2) sx / 128 <= sy (the runtime's own
check: no left shift of the output), (C3) the relu multiplier shifts by at most 15.
"""

from __future__ import annotations

import numpy as np

from workbench.kernels.hard_swish import hard_swish_s8
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.ops._elementwise import float_run, quant_of, same_types
from workbench.ops._float32 import quotient_table, real_grid
from workbench.ops._tables import grid, table_run
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    x = args[0].astype(np.float32)
    return [(x * np.clip(x + np.float32(3.0), np.float32(0.0), np.float32(6.0)) / np.float32(6.0)).astype(np.float32)]


def _as_hard_sigmoid(x: Array) -> Array:
    """ONNX Runtime: x * clip(x * (1/6) + 1/2, 0, 1), each step rounded to float32."""
    return np.asarray(x * np.clip(np.float32(1 / 6) * x + np.float32(0.5), np.float32(0.0), np.float32(1.0)))


def _to_int16(multiplier: int) -> int:
    """Return the upper 16 bits of a Q31 multiplier, rounded and saturated: DownScaleInt32ToInt16Multiplier."""
    return 32767 if multiplier >= 0x7FFFFFFF - (1 << 15) else (multiplier + (1 << 15)) >> 16


def _prepare(site: Site) -> Run:
    run = float_run(_reference, site)
    if run is not None:
        return run
    if same_types(site) != "int8":
        raise site.unsupported("only int8 has a rule.")
    if site.arithmetic.rescale == "float32":
        return table_run(site, quotient_table(site, _as_hard_sigmoid(real_grid(site))))
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    high = np.float32(np.float32(1.0 / 128.0) * sx)
    m, shift = (int(v) for v in quantize_multiplier(float(high / sy)))
    relu_m, relu_shift = (int(v) for v in quantize_multiplier(float(high / np.float32(3.0 / 32768.0))))
    if shift > 0:
        raise site.unsupported(f"the input scale {sx:g} is more than 128 times the output scale {sy:g}.")
    if not -31 <= relu_shift <= 15:
        raise site.unsupported(f"the input scale {sx:g} is out of the range of 16-bit fixed point (below 384 fits).")
    table = np.empty(256, np.int8)
    hard_swish_s8(grid("int8") - np.int32(zx), _to_int16(m), -shift, _to_int16(relu_m), relu_shift, zy, table)
    return table_run(site, table)


HARD_SWISH = register(
    OpSpec(
        name="hard_swish", attrs=NoAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        summary="x * clip(x + 3, 0, 6) / 6",
    )
)  # fmt: skip
