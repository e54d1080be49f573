"""One integer linear layer with everything that decides its bits: run through OPS, and computed by the oracles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from tests.oracles import linear, requantize
from workbench.graph.ir import Tensor
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS, Site, _convolution, _depthwise, _linear
from workbench.ops.batch_matmul import BatchMatmulAttrs
from workbench.tensor import RANGES, STORAGE, QuantParams

Array = np.ndarray[Any, Any]
SX, SY = np.float32(0.02), np.float32(0.05)
FUSED = {"none": (None, None), "relu": (0, None), "relu6": (0, 6), "relu_n1_to_1": (-1, 1)}


@dataclass(frozen=True, eq=False)
class Layer:
    """scale: float64 [1] or [O], sx * sw / sy before sw is rounded to float32. zero_points: of x, y (batch matmul: and w).

    units: sx, sy. x_type, y_type: tensor types where they are not those of the arrays (4 and 2 bits), or not equal.
    """

    op: str
    attrs: Any
    x: Array
    w: Array
    bias: Array | None
    scale: Array
    zero_points: tuple[int, ...] = (-7, 11, 0)
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    w_type: str = "int8"
    units: tuple[np.float32, np.float32] = (SX, SY)
    x_type: str = ""
    y_type: str = ""

    @property
    def sw(self) -> Array:
        sx, sy = self.units
        return np.atleast_1d(np.asarray(self.scale * np.float64(sy) / np.float64(sx), np.float32))

    @property
    def types(self) -> tuple[str, str]:
        """Tensor types of input and output."""
        x = self.x_type or self.x.dtype.name
        return x, self.y_type or x

    @property
    def wide(self) -> bool:
        """TFLite 16x8: the type of the bias decides."""
        if self.x.dtype != np.int16:
            return False
        return self.bias is None or self.bias.dtype == np.int64

    def site(self) -> Site:
        axis = None if len(self.sw) == 1 else 3 if self.op == "depthwise_conv2d" else 0
        zx, zy, zw = self.zero_points
        constant = None if self.op == "batch_matmul" else self.w
        (sx, sy), (x_type, y_type) = self.units, self.types
        inputs = [
            Tensor("x", (1, *self.x.shape[1:]), x_type, QuantParams.per_tensor(float(sx), zx)),
            Tensor("w", self.w.shape, self.w_type, QuantParams(self.sw, np.full(len(self.sw), zw, np.int64), axis), constant),
            None if self.bias is None else Tensor("b", self.bias.shape, self.bias.dtype.name, None, self.bias),
        ]
        y = Tensor("y", (), y_type, QuantParams.per_tensor(float(sy), zy))
        return Site("layer", self.op, self.attrs, tuple(inputs), (y,), self.arithmetic)

    def run(self) -> Array:
        return np.asarray(OPS[self.op].prepare(self.site())([self.x, self.w, self.bias])[0])  # type: ignore[list-item]

    def expected(self) -> Array:
        """The same in plain integers."""
        acc = np.array(self._accumulators(), dtype=object)
        low, high = self._limits()
        out = np.empty(acc.shape, STORAGE[self.types[1]])
        if self.types[1] == "int32":
            return np.clip(acc.astype(np.int64), low, high).astype(np.int32)
        name: str = self.arithmetic.requantize_wide if self.wide else self.arithmetic.requantize
        if name == "multiplier_floor" and self.arithmetic.product_bits == 32:
            name += "32"
        scales = np.broadcast_to(self._scales(name), acc.shape[-1:]).tolist()
        for index, value in np.ndenumerate(acc):
            c = index[-1]
            y = (
                requantize.by_wide_rule(name, value, scales[c])
                if self.wide
                else requantize.by_rule(name, requantize.wrap(value, 32), scales[c], c, acc.shape[-1])
            )
            out[index] = requantize.finish(y, self.zero_points[1], low, high)
        return out

    def _scales(self, name: str) -> Array:
        kind = np.float32 if name in ("float32_half_even", "rndnu") else np.float64
        scales = kind(kind(self.units[0]) * self.sw.astype(kind)) / kind(self.units[1])
        return scales.astype(np.float32) if name == "float32_truncate" else scales

    def _limits(self) -> tuple[int, int]:
        limits = list(RANGES[self.types[1]])
        for i, real in enumerate(FUSED[getattr(self.attrs, "activation", "none")]):
            if real is not None:
                edge = self.zero_points[1] + requantize.half_away(requantize.Fraction(float(np.float32(real) / self.units[1])))
                limits[i] = min(max(edge, limits[0]), limits[1])
        return limits[0], limits[1]

    def _accumulators(self) -> Any:
        arithmetic, zx = self.arithmetic, self.zero_points[0]
        bits = arithmetic.accumulator_bits_wide if self.wide else arithmetic.accumulator_bits
        pairs = arithmetic.overflow == "saturate_int16_pairs"
        one_to_one = self.op == "depthwise_conv2d" and self.w.shape[3] == self.x.shape[3]
        exact = pairs and (self.x.dtype == np.int16 or self.op == "batch_matmul" or one_to_one)
        overflow = "wrap" if exact else arithmetic.overflow
        bits = (64 if self.wide else 32) if pairs else bits
        tile = arithmetic.accumulator_tile if overflow == "saturate_tiles" else 1
        if self.op == "batch_matmul":
            return linear.batch_matmul(self.x.tolist(), self.w.tolist(), (zx, self.zero_points[2]), bits, overflow, tile)
        w = self.w.tolist()
        count = self.w.shape[3 if self.op == "depthwise_conv2d" else 0]
        bias = [0] * count if self.bias is None else self.bias.tolist()
        if self.op == "fully_connected":
            return linear.fully_connected(self.x.tolist(), w, bias, zx, bits, overflow, tile)
        groups = self.x.shape[3] if self.op == "depthwise_conv2d" else self.attrs.groups
        w = linear.depthwise_as_conv2d(w) if self.op == "depthwise_conv2d" else w
        a = self.attrs
        return linear.conv2d(self.x.tolist(), w, bias, zx, a.stride, a.dilation, a.pads, groups, bits, overflow, tile)


def extremes(rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Array:
    """Random integers in which the ends of the range are frequent."""
    values = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 0.3, rng.choice([low, high], shape), values).astype(dtype)


def matrices(x: Array, y: Array, scale: float, zero_points: tuple[int, int, int], arithmetic: Arithmetic) -> Layer:
    """A batch matmul x [B, M, K] by y [B, N, K]."""
    return Layer(
        "batch_matmul", BatchMatmulAttrs(adj_y=True), x, y, None, np.array([scale]), zero_points, arithmetic, x.dtype.name
    )


DRIVERS = [
    (_convolution, "convolve_lines"),
    (_convolution, "convolve_windows"),
    (_depthwise, "convolve_depthwise"),
    (_linear, "rows_product"),
]


@contextmanager
def guarded() -> Iterator[dict[str, int]]:
    """Let drivers write into the middle of a larger array and see that nothing around it changes; yields calls by driver."""
    calls: dict[str, int] = {}

    def around(driver: Any, name: str) -> Any:
        def call(*args: Any) -> None:
            out = args[-1]
            size = max(64, out.size)
            memory = np.full(out.size + 2 * size, 85, out.dtype)
            inner = memory[size:-size].reshape(out.shape)
            driver(*args[:-1], inner)
            assert (memory[:size] == 85).all() and (memory[-size:] == 85).all()
            out[...] = inner
            calls[name] = calls.get(name, 0) + 1

        return call

    with ExitStack() as stack:
        for module, name in DRIVERS:
            stack.enter_context(mock.patch.object(module, name, around(getattr(module, name), name)))
        yield calls
