"""quantize_grid: float32 -> integers of a grid that the file describes itself, with its own range and rounding (QONNX).

    q = round(clip(x / scale + zero, low, high))        scale, zero, range and rounding are attributes
    q = round(rint(x / scale + zero) / divisor)         where low bits are cut off (divisor > 1), then clipped

The range may be narrower than that of the type which stores it. The reference is the real number that q stands for.
Source: QONNX operators Quant, BipolarQuant and Trunc. Constraints: (C1) low <= high inside the stored type, (C2) scale > 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workbench.ops._elementwise import quant_of
from workbench.ops.base import DTYPES, Array, OpSpec, Run, Site, checked, count_outputs, register, same_shape
from workbench.tensor import RANGES

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GridAttrs:
    """scale, zero: of x. low, high: range of the result. rounding: a key of ROUNDINGS. divisor: of what is cut off.

    offset: what the stored integers are lower. out_scale: of the result (scale * divisor where that stands for other numbers).
    """

    scale: float = 1.0
    zero: float = 0.0
    low: int = -2
    high: int = 1
    rounding: str = "half_even"
    divisor: float = 1.0
    offset: int = 0
    out_scale: float = 1.0
    out_zero: float = 0.0


ROUNDINGS: dict[str, Callable[[F32], F32]] = {
    "half_even": np.rint,
    "ceil": np.ceil,
    "floor": np.floor,
    "up": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "down": np.trunc,
    "half_up": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "half_down": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
    "bipolar": lambda x: np.where(x >= 0, np.float32(1), np.float32(-1)),
}
"""Name -> rounding of float32 to whole float32. up: away from zero; half_up, half_down: ties away from and toward zero."""


def levels(attrs: GridAttrs, x: Array) -> F32:
    """Return the whole numbers of the grid, before they are stored. NaN becomes the lowest."""
    with np.errstate(all="ignore"):
        y = x.astype(np.float32) / np.float32(attrs.scale) + np.float32(attrs.zero)
        low, high = np.float32(attrs.low), np.float32(attrs.high)
        if attrs.divisor != 1.0:
            y = np.rint(y) / np.float32(attrs.divisor)
        elif attrs.rounding == "bipolar":
            return np.asarray(ROUNDINGS["bipolar"](y), np.float32)
        y = ROUNDINGS[attrs.rounding](np.clip(np.nan_to_num(y, nan=attrs.low, posinf=attrs.high, neginf=attrs.low), low, high))
        return np.asarray(np.clip(y, low, high), np.float32)


def _reference(attrs: GridAttrs, args: list[Array]) -> list[Array]:
    return [(levels(attrs, args[0]) - np.float32(attrs.out_zero)) * np.float32(attrs.out_scale)]


def _prepare(site: Site) -> Run:
    attrs: GridAttrs = site.attrs
    quant_of(site, site.y)
    low, high = RANGES[site.y.dtype]
    if site.x.dtype != "float32" or not low <= attrs.low - attrs.offset <= attrs.high - attrs.offset <= high:
        raise site.unsupported(f"a grid from {attrs.low} to {attrs.high} of float32 values does not fit {site.y.dtype}.")
    dtype = DTYPES[site.y.dtype]

    def run(args: Sequence[Array]) -> list[Array]:
        return [(levels(attrs, checked(site, args[0], site.x)) - np.float32(attrs.offset)).astype(dtype)]

    return run


QUANTIZE_GRID = register(
    OpSpec(
        name="quantize_grid", attrs=GridAttrs, infer_shape=same_shape, reference=_reference, prepare=_prepare, count=count_outputs,
        summary="float to integers of a stated range and rounding (QONNX)",
    )
)  # fmt: skip
