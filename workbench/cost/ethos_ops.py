"""The operations of the NPU, and the feature maps between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.cost.ethos_engine import Size, round_up
from workbench.graph.ir import Tensor

Kind = Literal["conv", "depthwise", "vector", "pool", "reduce_sum", "elementwise"]
BRICK = 16
"""Channels that stand together in a brick of a feature map (format NHCWB16)."""
LINEAR_ALIGN = 16
"""Bytes to which every buffer is aligned."""


@dataclass(frozen=True)
class Kernel:
    """Window of a convolution or pooling. upscale: 2 where zeros are put between the inputs (transposed convolution)."""

    h: int = 1
    w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    upscale: int = 1

    @property
    def area(self) -> int:
        """Positions."""
        return self.h * self.w

    @property
    def reach(self) -> tuple[int, int]:
        """Height and width with the gaps of dilation."""
        return (self.h - 1) * self.dilation_h + 1, (self.w - 1) * self.dilation_w + 1


POINT = Kernel()
ACTIVATION = "activation"
"""Type of a pass that is nothing but an activation."""


@dataclass(frozen=True)
class Map:
    """A feature map in memory. size: as its producer writes it. external: exchanged with the host, hence plain NHWC.

    linear: NHWC instead of bricks of 16 channels. constant: part of the model.
    """

    name: str
    size: Size
    bits: int
    external: bool = False
    linear: bool = False
    constant: bool = False

    @property
    def stored(self) -> int:
        """Bytes that its buffer takes."""
        depth = self.size.c if self.linear else round_up(self.size.c, BRICK)
        return round_up(self.size.area * depth * self.bits // 8, LINEAR_ALIGN)


@dataclass(frozen=True)
class View:
    """A map as an operation sees it: reshaped, broadcast, or one number."""

    map: Map
    size: Size

    @property
    def scalar(self) -> bool:
        """True when it is one number."""
        return self.size.volume == 1

    @property
    def rounded(self) -> Size:
        """Its size with the channels of whole bricks."""
        return self.size if self.map.linear else Size(self.size.h, self.size.w, round_up(self.size.c, BRICK))


@dataclass(frozen=True)
class Link:
    """An elementwise operation on the way out of another one. other: its second input, where that lies in memory."""

    type: str
    bits: int
    other: View | None = None
    table: bool = False


@dataclass(frozen=True)
class NpuOp:
    """One operation. layer: node of the graph it comes from. type: what it computes (`mul`, `add`, `maxpool`, ...).

    repeats: groups of a convolution, done one after the other. table: the activation is looked up. relu: it is a bound. first_bits:
    width of the result in bits before the links.
    """

    layer: str
    kind: Kind
    type: str
    inputs: tuple[View, ...]
    out: View
    kernel: Kernel = POINT
    weights: Tensor | None = None
    channels: int = 0
    repeats: int = 1
    table: bool = False
    relu: bool = False
    links: tuple[Link, ...] = ()
    first_bits: int = 0

    @property
    def bits(self) -> int:
        """Width of an input element."""
        return self.inputs[0].map.bits

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        if self.kind == "elementwise":
            return 0
        depth = self.inputs[0].size.c if self.kind in ("conv", "vector", "reduce_sum") else 1
        return self.out.size.volume * self.kernel.area * depth * self.repeats

    @property
    def in_place(self) -> bool:
        """True where every output element depends on one element of each input: the output may overwrite an input."""
        return self.kind == "elementwise" or (self.kind == "pool" and self.kernel.area == 1)

    def reads(self) -> tuple[View, ...]:
        """Return everything read from memory: the inputs, and those of the links."""
        return (*self.inputs, *(link.other for link in self.links if link.other is not None))
