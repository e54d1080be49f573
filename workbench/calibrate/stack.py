"""Layers in a row: what builders of architectures write down (`named`, `named_zoo`, `named_large`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from workbench.calibrate.work import Layer


@dataclass(frozen=True)
class Shape:
    """An activation of one sample."""

    height: int
    width: int
    channels: int


@dataclass
class Stack:
    """Layers in a row, `same` padding. shape: of the activation that the last one made."""

    shape: Shape
    layers: list[Layer]

    def conv(self, channels: int, window: int | tuple[int, int] = 3, stride: int = 1) -> None:
        """Add a convolution."""
        self._add("convolution", channels, window, stride)

    def depthwise(self, window: int | tuple[int, int] = 3, stride: int = 1) -> None:
        """Add a depthwise convolution."""
        self._add("depthwise", self.shape.channels, window, stride)

    def separable(self, channels: int, stride: int = 1, window: int = 3) -> None:
        """Add a depthwise convolution and a pointwise one."""
        self.depthwise(window, stride)
        self.conv(channels, 1)

    def head(self, classes: int) -> Stack:
        """Add global pooling, a fully connected layer and a softmax; return the whole."""
        s = self.shape
        self.layers.append(Layer("other", elements=s.height * s.width * s.channels, outputs=s.channels))
        self.layers.append(Layer("fully_connected", s.channels * classes, classes, s.channels * classes, s.channels))
        self.layers.append(Layer("other", elements=classes, outputs=classes))
        return self

    def other(self) -> None:
        """Add an elementwise operator or a pooling that reads the whole activation."""
        s = self.shape
        count = s.height * s.width * s.channels
        self.layers.append(Layer("other", elements=count, outputs=count))

    def squeeze(self, channels: int) -> None:
        """Add squeeze and excitation: the mean of the activation, two small layers and a product with the whole (arXiv 1709.01507)."""
        shape = self.shape
        self.layers.append(Layer("other", elements=shape.height * shape.width * shape.channels, outputs=shape.channels))
        self.shape = Shape(1, 1, shape.channels)
        self.conv(channels, 1)
        self.conv(shape.channels, 1)
        self.other()
        self.shape = shape
        self.other()

    def valid(self, channels: int, window: tuple[int, int] = (3, 3)) -> None:
        """Add a convolution without padding."""
        s = self.shape
        self.shape = Shape(max(1, s.height - window[0] + 1), max(1, s.width - window[1] + 1), s.channels)
        self.conv(channels, window)

    def dense(self, outputs: int) -> None:
        """Add a fully connected layer on everything there is."""
        inputs = self.shape.height * self.shape.width * self.shape.channels
        self.shape = Shape(1, 1, outputs)
        self.layers.append(Layer("fully_connected", inputs * outputs, outputs, inputs * outputs, inputs))

    def pool(self, window: tuple[int, int] = (2, 2), stride: tuple[int, int] | None = None) -> None:
        """Add a pooling, `same` padding. stride: that of the window where it is None."""
        s, (down, right) = self.shape, stride or window
        self.shape = Shape(ceil(s.height / down), ceil(s.width / right), s.channels)
        count = self.shape.height * self.shape.width * s.channels
        self.layers.append(
            Layer("other", elements=s.height * s.width * s.channels, outputs=count, window=window[0] * window[1])
        )

    def _add(self, op: str, channels: int, window: int | tuple[int, int], stride: int) -> None:
        s = self.shape
        positions = window * window if isinstance(window, int) else window[0] * window[1]
        self.shape = Shape(ceil(s.height / stride), ceil(s.width / stride), channels)
        inputs = 1 if op == "depthwise" else s.channels
        weights = positions * inputs * channels
        outputs = self.shape.height * self.shape.width * channels
        macs = outputs * positions * inputs
        self.layers.append(Layer(op, macs, outputs, weights, inputs, positions, row=self.shape.width * channels))


def wide(channels: int, alpha: float, unit: int = 1) -> int:
    """Return scaled channels, rounded to the unit but never down by more than a tenth (`make_divisible` of the papers' code)."""
    scaled = max(unit, int(channels * alpha + unit / 2) // unit * unit)
    return scaled + unit if scaled < 0.9 * channels * alpha else scaled


Builder = Callable[[Stack, float, int], Stack]
"""Adds the layers of an architecture of a width and with some classes to the input."""
