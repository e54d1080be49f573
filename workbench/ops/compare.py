"""compare: equal, not_equal, less, less_equal, greater, greater_equal of two inputs, NumPy broadcasting; the output is a bool.

Inputs: both float, both plain integers, or both bools (equal and not_equal). int8 with scales: (q - z) * 2**8 * scale of each input is
rounded to an integer, half away from zero, and these are compared: numbers less than 2**-8 apart may be equal. int16 the same for
equal and not_equal; the others compare the integers as they are stored, whatever their scales, as LiteRT does.
Source: TFLite comparisons.cc, reference/comparisons.h. Constraints: (C1) one type, (C2) scales that are rescaled are below 1:
the runtimes' multipliers have no left shift there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from workbench.errors import ModelError
from workbench.graph.ir import Tensor
from workbench.numerics.fixed_point import quantize_multiplier
from workbench.numerics.tflite_fixed_point import multiply
from workbench.ops._binary import infer_two
from workbench.ops._broadcast import Compute, binary_run
from workbench.ops._elementwise import quant_of, symmetric_int16
from workbench.ops._plain import NUMBERS, Function, is_plain, plain_binary
from workbench.ops._tables import grid
from workbench.ops.base import DTYPES, Array, OpSpec, Run, Shape, Site, count_outputs, register
from workbench.precision import is_float

Kind = Literal["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
KINDS: dict[str, Function] = {
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal, "greater": np.greater,
    "greater_equal": np.greater_equal,
}  # fmt: skip
LEFT_SHIFT = 8
"""Of both inputs before they are brought to one unit."""


@dataclass(frozen=True)
class CompareAttrs:
    """kind: the relation that is asked for: `a kind b`."""

    kind: Kind


def _infer(attrs: CompareAttrs, shapes: list[Shape]) -> list[Shape]:
    if attrs.kind not in KINDS:
        raise ModelError(f"compare: '{attrs.kind}' is not known; expected one of {', '.join(KINDS)}.")
    return infer_two(attrs, shapes)


def _reference(attrs: CompareAttrs, args: list[Array]) -> list[Array]:
    return [np.asarray(KINDS[attrs.kind](args[0], args[1]))]


def _filling(function: Function) -> Compute:
    def compute(a: Array, b: Array, y: Array) -> None:
        y[:] = function(a, b)

    return compute


def _prepare(site: Site) -> Run:
    function, types = KINDS[site.attrs.kind], {site.input(0).dtype, site.input(1).dtype}
    if site.y.dtype != "bool":
        raise site.unsupported("the output is a bool.")
    if is_plain(site):
        return plain_binary(site, function, (*NUMBERS, "bool") if site.attrs.kind in ("equal", "not_equal") else NUMBERS)
    if len(types) == 1 and is_float(types.pop()):
        return binary_run(site, _filling(function))
    return binary_run(site, _quantized(site, function))


def _quantized(site: Site, function: Function) -> Compute:
    a, b = site.input(0), site.input(1)
    if a.dtype != b.dtype or a.dtype not in ("int8", "int16"):
        raise site.unsupported("the inputs must be of one type: int8 or int16, or without scales.")
    symmetric_int16(site, a, b)
    if a.dtype == "int16" and site.attrs.kind not in ("equal", "not_equal"):
        return _filling(function)
    left, right, bits = _unit_table(site, a), _unit_table(site, b), f"uint{8 * DTYPES[a.dtype].itemsize}"
    return _filling(lambda x, y: function(left[x.view(bits)], right[y.view(bits)]))


def _unit_table(site: Site, tensor: Tensor) -> Array:
    """Return int64: (q - zero point) * 2**8 * scale of every value, by its bits: the values from 0 on come first."""
    scale, zero_point = quant_of(site, tensor)
    if scale >= 1.0:
        raise site.unsupported(
            f"the scale {scale:g} of '{tensor.name}' is not below 1, as the comparison's multiplier must be."
        )
    multiplier, shift = (int(v) for v in quantize_multiplier(float(scale)))
    values = grid(tensor.dtype).astype(np.int64)
    return np.roll(multiply((values - zero_point) << LEFT_SHIFT, multiplier, shift), len(values) // 2)


COMPARE = register(
    OpSpec(
        name="compare", attrs=CompareAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=count_outputs,
        output_quant="none", plain=True, summary="equal, less, ...: a bool for each pair",
    )
)  # fmt: skip
