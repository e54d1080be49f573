"""`QuantParams`: the only description of a quantized tensor. real = scale * (q - zero_point)."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np
import numpy.typing as npt

from workbench.errors import InputError

RANGES: dict[str, tuple[int, int]] = {
    "int1": (-1, 0), "binary": (-1, 1), "ternary": (-1, 1), "int2": (-2, 1), "int4": (-8, 7),
    "int7": (-64, 64), "int8": (-128, 127), "int9": (-255, 255), "uint8": (0, 255),
    "int16": (-32768, 32767), "int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1),
}  # fmt: skip
"""Smallest and largest stored integer of each type (binary: these two and nothing between).

int7: ONNX Runtime's `reduce_range`, weights so small that two products with an unsigned byte fit an int16 (2 * 255 * 64 = 32640).
int9: weights of unsigned bytes less their zero point; no file stores them so."""

STORAGE: dict[str, type[np.generic]] = {
    **dict.fromkeys(("int1", "binary", "ternary", "int2", "int4", "int7", "int8"), np.int8),
    "uint8": np.uint8, "int9": np.int16, "int16": np.int16, "int32": np.int32, "int64": np.int64, "bool": np.bool_,
    "float32": np.float32, "tfloat32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3": ml_dtypes.float8_e4m3fn, "float8_e5m2": ml_dtypes.float8_e5m2,
}  # fmt: skip
"""NumPy type that holds a tensor of each graph type (sub-byte integers: one per int8)."""

FLOAT8_MAX: dict[str, float] = {"float8_e4m3": 448.0, "float8_e5m2": 57344.0}
"""Largest finite value. Source: OCP 8-bit floating point specification 1.0."""


@dataclass(frozen=True, eq=False)
class QuantParams:
    """Scales and zero points of one tensor.

    scale: float32 [1] (per tensor) or [C] (per channel along `axis`), all finite and > 0.
    zero_point: int64, same shape as scale.
    axis: channel axis, or None for per tensor.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int | None = None

    def __post_init__(self) -> None:
        if self.scale.ndim != 1 or self.scale.shape != self.zero_point.shape or not len(self.scale):
            raise InputError(f"quantization: {self.scale.shape} scales and {self.zero_point.shape} zero points do not match")
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise InputError("quantization: every scale must be finite and > 0")
        if self.axis is None and len(self.scale) != 1:
            raise InputError(f"quantization: {len(self.scale)} scales but no channel axis")
        self.scale.flags.writeable = False
        self.zero_point.flags.writeable = False

    @staticmethod
    def per_tensor(scale: float, zero_point: int = 0) -> QuantParams:
        """Return parameters with one scale."""
        return QuantParams(np.array([scale], np.float32), np.array([zero_point], np.int64))

    @staticmethod
    def per_channel(scale: npt.ArrayLike, axis: int) -> QuantParams:
        """Return symmetric parameters with one scale per channel."""
        scales = np.atleast_1d(np.asarray(scale, np.float32)).copy()
        return QuantParams(scales, np.zeros(len(scales), np.int64), axis)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QuantParams):
            return NotImplemented
        return (
            self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    def __hash__(self) -> int:
        return hash((self.axis, self.scale.tobytes(), self.zero_point.tobytes()))

    @property
    def scalar(self) -> tuple[np.float32, int]:
        """The scale and zero point of a per-tensor quantization."""
        return self.scale[0], int(self.zero_point[0])

    def shaped(self, ndim: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return scale and zero point shaped to broadcast over an array of `ndim` dimensions."""
        if self.axis is None:
            return self.scale.reshape((1,) * ndim), self.zero_point.reshape((1,) * ndim)
        shape = [1] * ndim
        shape[self.axis] = -1
        return self.scale.reshape(shape), self.zero_point.reshape(shape)


def dequantize(q: npt.NDArray[np.generic], params: QuantParams) -> npt.NDArray[np.float32]:
    """Return scale * (q - zero_point) as float32: exact difference (integers; float8 has zero point 0), one float32 product."""
    scale, zero_point = params.shaped(q.ndim)
    exact = q.astype(np.int64) - zero_point if q.dtype.kind in "iu" else q
    return (scale * exact.astype(np.float32)).astype(np.float32)


def quantize(x: npt.NDArray[np.floating], params: QuantParams, dtype: str) -> npt.NDArray[np.generic]:
    """Return x / scale + zero_point, rounded and clipped to the storage type of `dtype`.

    Integers: the division is in float32, the rounding half away from zero (TFLite AffineQuantize). float8: half to even, saturated.
    """
    scale, zero_point = params.shaped(x.ndim)
    ratio32 = x.astype(np.float32) / scale
    if dtype in FLOAT8_MAX:
        return np.asarray(np.clip(ratio32, -FLOAT8_MAX[dtype], FLOAT8_MAX[dtype]), STORAGE[dtype])
    lo, hi = RANGES[dtype]
    ratio = ratio32.astype(np.float64)
    rounded = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio)
    return np.clip(rounded + zero_point, lo, hi).astype(STORAGE[dtype])
