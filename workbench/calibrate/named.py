"""Structures of networks that are known by name: what an architecture's paper says about its layers, at a width and a resolution."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.calibrate import named_zoo
from workbench.calibrate.stack import Builder, Shape, Stack, wide
from workbench.calibrate.work import Layer

MOBILENET_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(((512, 1),) * 5), (1024, 2), (1024, 1))
"""Channels and stride of the separable blocks: arXiv 1704.04861, table 1."""
FD_MOBILENET = ((64, 2), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(((512, 1),) * 4), (1024, 1))
"""The same with fast downsampling: arXiv 1802.03750, table 1."""
MOBILENET_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, repeats, stride: arXiv 1801.04381, table 2."""


def mobilenet_v1(stack: Stack, alpha: float, classes: int, blocks: Iterable[tuple[int, int]] = MOBILENET_V1) -> Stack:
    """Return MobileNetV1 (FD-MobileNet with other blocks)."""
    stack.conv(wide(32, alpha), 3, 2)
    for channels, stride in blocks:
        stack.separable(wide(channels, alpha), stride)
    stack.head(classes)
    return stack


def mobilenet_v2(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return MobileNetV2."""
    stack.conv(wide(32, alpha, 8), 3, 2)
    for expansion, channels, repeats, stride in MOBILENET_V2:
        out = wide(channels, alpha, 8)
        for i in range(repeats):
            residual = i > 0
            if expansion > 1:
                stack.conv(stack.shape.channels * expansion, 1)
            stack.separable(out, stride if i == 0 else 1)
            if residual:
                stack.other()
    stack.conv(max(1280, wide(1280, alpha, 8)), 1)
    stack.head(classes)
    return stack


def tiny_yolo_v2(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return Tiny YOLOv2 (arXiv 1612.08242; pjreddie/darknet cfg/yolov2-tiny.cfg): 3x3 convolutions, each pooled.

    Of its two published files this is the one for COCO, whose last 3x3 convolution has 512 channels (yolov2-tiny-voc.cfg: 1024).
    """
    for channels in (16, 32, 64, 128, 256, 512):
        stack.conv(wide(channels, alpha))
        stack.pool(stride=None if channels < 512 else (1, 1))
    stack.conv(wide(1024, alpha))
    stack.conv(wide(512, alpha))
    stack.conv(5 * (5 + classes), 1)
    return stack


def resnet_8(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return the ResNet-8 of MLPerf Tiny (arXiv 2106.07597): three stacks of two 3x3 convolutions, the first at stride 1."""
    stack.conv(wide(16, alpha))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        before = stack.shape
        stack.conv(wide(channels, alpha), 3, stride)
        stack.conv(wide(channels, alpha))
        if stride > 1:
            after, stack.shape = stack.shape, before
            stack.conv(wide(channels, alpha), 1, stride)
            stack.shape = after
        stack.other()
    stack.head(classes)
    return stack


def ds_cnn(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return the DS-CNN of MLPerf Tiny (arXiv 2106.07597): a 10x4 convolution and four separable ones of 64 channels."""
    stack.conv(wide(64, alpha), (10, 4), 2)
    for _ in range(4):
        stack.separable(wide(64, alpha))
    stack.head(classes)
    return stack


def autoencoder(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return the fully connected autoencoder of MLPerf Tiny (arXiv 2106.07597): 640-128-128-128-128-8 and back."""
    inputs = stack.shape.channels
    for outputs in (128, 128, 128, 128, 8, 128, 128, 128, 128, inputs):
        macs = stack.shape.channels * outputs
        stack.layers.append(Layer("fully_connected", macs, outputs, macs, stack.shape.channels))
        stack.shape = Shape(1, 1, outputs)
    return stack


def streaming_ds_cnn(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return the streaming wake word network of MLPerf Tiny v1.3: separable convolutions along time, no padding."""
    for window, channels in ((3, 128), (5, 128), (10, 128), (15, 32)):
        steps = stack.shape.height - window + 1
        stack.shape = Shape(steps, 1, stack.shape.channels)
        stack.depthwise((window, 1))
        stack.conv(wide(channels, alpha), 1)
    stack.layers.append(Layer("fully_connected", stack.shape.channels * classes, classes, stack.shape.channels * classes))
    stack.layers.append(Layer("other", elements=classes, outputs=classes))
    return stack


ARCHITECTURES: dict[str, tuple[Builder, tuple[int, int, int], int]] = {
    "fdmobilenet": (lambda s, a, c: mobilenet_v1(s, a, c, FD_MOBILENET), (224, 224, 3), 5),
    "mobilenetv1": (mobilenet_v1, (224, 224, 3), 5),
    "mobilenetv2": (mobilenet_v2, (224, 224, 3), 1000),
    "tinyyolov2": (tiny_yolo_v2, (416, 416, 3), 1),
    "resnet8": (resnet_8, (32, 32, 3), 10),
    "dscnn": (ds_cnn, (49, 10, 1), 12),
    "autoencoder": (autoencoder, (1, 1, 640), 0),
    "streamingdscnn": (streaming_ds_cnn, (30, 1, 40), 3),
} | named_zoo.ARCHITECTURES
"""Architecture -> (builder, resolution and classes where the row does not say)."""


def layers(
    architecture: str, alpha: float, resolution: tuple[int, int, int] | None, classes: int | None = None
) -> list[Layer] | None:
    """Return the layers of a named network, None for a name that is not here."""
    if architecture not in ARCHITECTURES:
        return None
    build, usual, heads = ARCHITECTURES[architecture]
    return build(Stack(Shape(*(resolution or usual)), []), alpha, classes or heads).layers
