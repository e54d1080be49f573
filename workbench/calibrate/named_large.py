"""Structures of larger classifiers that are known by name: what their papers say about their layers (see `named` for small ones)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil

from workbench.calibrate.named import mobilenet_v1, mobilenet_v2
from workbench.calibrate.stack import Shape, Stack
from workbench.calibrate.structures import width
from workbench.calibrate.work import Layer

EFFICIENTNET_V2 = (
    ("fused", 1, 16, 1, 1), ("fused", 4, 32, 2, 2), ("fused", 4, 48, 2, 2),
    ("inverted", 4, 96, 3, 2), ("inverted", 6, 112, 5, 1), ("inverted", 6, 192, 8, 2),
)  # fmt: skip
"""Block, expansion, channels, repeats, stride of the base size b0: arXiv 2104.00298 and its code, google/automl efficientnetv2."""
SCALES = {"0": (1.0, 1.0), "1": (1.0, 1.1), "2": (1.1, 1.2), "3": (1.2, 1.4)}
"""Size -> factors of width and depth, of the same code."""
MCUNET = {
    "0": (48, 24, ((1, 16, 1, 3), (4, 16, 2, 5), (3, 16, 1, 3), (4, 16, 1, 3), (5, 24, 2, 7), (4, 24, 1, 5), (5, 24, 1, 5),
                   (5, 48, 2, 7), (4, 48, 1, 5), (5, 56, 1, 3), (4, 56, 1, 5), (5, 56, 1, 3), (6, 112, 2, 3), (4, 112, 1, 5),
                   (6, 192, 1, 3))),
    "1": (96, 16, ((1, 8, 1, 3), (4, 16, 2, 3), (3, 16, 1, 3), (3, 24, 2, 7), (5, 24, 1, 3), (5, 40, 2, 3), (4, 40, 1, 7),
                   (4, 48, 1, 5), (3, 48, 1, 3), (4, 48, 1, 3), (5, 96, 2, 7), (4, 96, 1, 5), (4, 96, 1, 5), (6, 160, 1, 3))),
    "2": (160, 16, ((1, 8, 1, 3), (3, 16, 2, 5), (6, 16, 1, 7), (5, 16, 1, 3), (5, 16, 1, 5), (5, 24, 2, 3), (6, 24, 1, 7),
                    (6, 24, 1, 5), (4, 40, 2, 7), (5, 40, 1, 5), (5, 48, 1, 3), (5, 48, 1, 5), (4, 48, 1, 3), (6, 96, 2, 5),
                    (4, 96, 1, 5), (3, 96, 1, 5), (4, 96, 1, 3), (5, 160, 1, 5))),
    "3": (176, 16, ((1, 8, 1, 3), (3, 16, 2, 7), (5, 16, 1, 3), (5, 16, 1, 7), (4, 16, 1, 5), (5, 24, 2, 5), (5, 24, 1, 5),
                    (5, 24, 1, 5), (5, 40, 2, 3), (6, 40, 1, 7), (4, 40, 1, 5), (5, 48, 1, 5), (5, 48, 1, 7), (5, 48, 1, 3),
                    (6, 96, 2, 3), (5, 96, 1, 7), (4, 96, 1, 3), (5, 160, 1, 7))),
    "4": (160, 32, ((1, 16, 1, 3), (3, 24, 2, 7), (5, 24, 1, 3), (4, 24, 1, 5), (5, 40, 2, 7), (4, 40, 1, 3), (4, 40, 1, 7),
                    (3, 80, 2, 7), (3, 80, 1, 3), (3, 80, 1, 7), (4, 96, 1, 3), (3, 96, 1, 5), (3, 96, 1, 5), (4, 192, 2, 7),
                    (3, 192, 1, 7), (3, 192, 1, 5), (4, 320, 1, 5))),
}  # fmt: skip
"""mcunet-in0 to -in4 (arXiv 2007.10319; files mcunet-*_imagenet.json of github.com/mit-han-lab/mcunet): side of the image,
channels of the first convolution, and expansion, channels, stride and window of each block."""
RESNET = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}
"""Bottleneck blocks per stage: arXiv 1512.03385, table 1."""
USUAL_RESOLUTION = 224
USUAL_CLASSES = 1000


@dataclass(frozen=True)
class Named:
    """A network that a name speaks of. family: of its architecture; layers: of one inference."""

    family: str
    layers: tuple[Layer, ...]

    @property
    def macs(self) -> float:
        """Multiply-accumulates."""
        return sum(layer.macs for layer in self.layers)

    @property
    def activations(self) -> float:
        """Elements that the layers make, all together."""
        return sum(layer.outputs for layer in self.layers)


def find(name: str, resolution: int = 0, classes: int = 0) -> Named | None:
    """Return the network that a name speaks of, None for one that is not known. resolution, classes: 0 = the usual ones.

    find('mobilenetv2_a035_128', 128) -> MobileNetV2 at width 0.35, its images of 128 x 128.
    """
    text = re.sub(r"[^a-z0-9_]", "", name.lower())
    side = resolution or USUAL_RESOLUTION
    stack, heads = Stack(Shape(side, side, 3), []), classes or USUAL_CLASSES
    if found := re.match(r"mobilenet_?v([12])(?!\d)", text):
        build = mobilenet_v1 if found[1] == "1" else mobilenet_v2
        return _named(f"mobilenetv{found[1]}", build(stack, width(name), heads))
    if found := re.search(r"efficientnet_?v2_?b([0-3])", text):
        return _named("efficientnetv2", efficientnet_v2(stack, *SCALES[found[1]], heads))
    if found := re.search(r"mcunet_?in([0-4])", text):
        side, channels, blocks = MCUNET[found[1]]
        return _named("mcunet", mcunet(Stack(Shape(side, side, 3), []), channels, blocks, heads))
    if found := re.search(r"resnet_?(50|101|152)_?v2", text):
        return _named("resnetv2", resnet_v2(stack, RESNET[found[1]], heads))
    return None


def mcunet(stack: Stack, channels: int, blocks: Iterable[tuple[int, int, int, int]], classes: int) -> Stack:
    """Return a network of inverted residual blocks, found by search."""
    stack.conv(channels, 3, 2)
    for expansion, out, stride, window in blocks:
        inputs = stack.shape.channels
        if expansion > 1:
            stack.conv(inputs * expansion, 1)
        stack.depthwise(window, stride)
        stack.conv(out, 1)
        if stride == 1 and inputs == out:
            stack.other()
    stack.head(classes)
    return stack


def _named(family: str, stack: Stack) -> Named:
    return Named(family, tuple(stack.layers))


def efficientnet_v2(stack: Stack, wider: float, deeper: float, classes: int) -> Stack:
    """Return EfficientNetV2-b0 scaled; a swish is a logistic and a multiplication, as integer converters write it."""
    stack.conv(_eights(32 * wider), 3, 2)
    _swish(stack)
    for block, expansion, channels, repeats, stride in EFFICIENTNET_V2:
        out = _eights(channels * wider)
        for i in range(ceil(repeats * deeper)):
            step = stride if i == 0 else 1
            _fused(stack, expansion, out, step) if block == "fused" else _inverted(stack, expansion, out, step)
            if i > 0:
                stack.other()
    stack.conv(_eights(1280 * wider), 1)
    _swish(stack)
    stack.head(classes)
    return stack


def _fused(stack: Stack, expansion: int, out: int, stride: int) -> None:
    if expansion > 1:
        stack.conv(stack.shape.channels * expansion, 3, stride)
        _swish(stack)
        stack.conv(out, 1)
    else:
        stack.conv(out, 3, stride)
        _swish(stack)


def _inverted(stack: Stack, expansion: int, out: int, stride: int) -> None:
    squeezed = max(1, stack.shape.channels // 4)
    stack.conv(stack.shape.channels * expansion, 1)
    _swish(stack)
    stack.depthwise(3, stride)
    _swish(stack)
    shape = stack.shape  # squeeze and excitation: the mean, two small layers, and a multiplication of the whole activation
    stack.other()
    stack.shape = Shape(1, 1, shape.channels)
    stack.conv(squeezed, 1)
    _swish(stack)
    stack.conv(shape.channels, 1)
    stack.other()
    stack.shape = shape
    stack.other()
    stack.conv(out, 1)


def _swish(stack: Stack) -> None:
    stack.other()
    stack.other()


def resnet_v2(stack: Stack, stages: tuple[int, ...], classes: int) -> Stack:
    """Return ResNet with activations before the convolutions (arXiv 1603.05027; strides as in Keras: in the last block of a stage)."""
    stack.conv(64, 7, 2)
    stack.shape = replace(stack.shape, height=ceil(stack.shape.height / 2), width=ceil(stack.shape.width / 2))
    stack.other()
    for number, (channels, blocks) in enumerate(zip((64, 128, 256, 512), stages, strict=True)):
        for i in range(blocks):
            stack.other()
            if i == 0:
                before = stack.shape
                stack.conv(4 * channels, 1)
                stack.shape = before
            stack.conv(channels, 1)
            stack.conv(channels, 3, 2 if i == blocks - 1 and number < len(stages) - 1 else 1)
            stack.conv(4 * channels, 1)
            stack.other()
    stack.head(classes)
    return stack


def _eights(channels: float) -> int:
    """Return channels rounded to 8, never down by more than a tenth."""
    found = max(8, int(channels + 4) // 8 * 8)
    return found + 8 if found < 0.9 * channels else found
