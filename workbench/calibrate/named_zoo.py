"""Structures of the STM32 model zoo's own networks, as its public code defines them (see `named` for those of papers).

STMicroelectronics/stm32ai-modelzoo and -services, the files that are named below. A name is one network: no widths.
"""

from __future__ import annotations

import re
from dataclasses import replace

from workbench.calibrate.stack import Builder, Stack, wide

EFFICIENTNET = ((1, 16, 3, 1), (2, 24, 3, 2), (2, 40, 5, 2), (3, 80, 3, 2), (3, 112, 5, 1), (4, 192, 5, 2), (1, 320, 3, 1))
"""Repeats, channels, window, stride of EfficientNet's stages: arXiv 1905.11946, table 1; the LC variant has a width of 0.45 and
expands by 3 instead of 6 (st_efficientnet_lc_v1.py)."""
LC_WIDTH, LC_EXPANSION = 0.45, 3
FD_CHANNELS = ((48, 2), (80, 2), (64, 1), (96, 2), (64, 1), (128, 2), *(((128, 1),) * 4), (256, 1))
"""Channels and stride of the separable blocks (st_fdmobilenet_v1.py: 64 to 1024 channels, each with a width of its own)."""
HYBRID_FILTERS = (32, 96, 128)
"""Of the three sections of version 1 (st_resnet_8_hybrid.py)."""


def human_activity_ign(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return IGN (ign.py): 24 filters of 16 x 1 without padding, pooled by 3 x 1, two fully connected layers."""
    stack.valid(24, (16, 1))
    stack.shape = replace(stack.shape, height=max(1, stack.shape.height // 3 * 3))  # the pooling leaves what fills no window
    stack.pool((3, 1))
    stack.dense(12)
    stack.dense(classes)
    stack.other()
    return stack


def human_activity_gmp(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return GMP (gmp.py): a normalization, two convolutions of 16 filters of 5 x 1 without padding, global pooling."""
    stack.other()
    stack.valid(16, (5, 1))
    stack.valid(16, (5, 1))
    return stack.head(classes)


def hand_posture(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return CNN2D_ST_HandPosture (its page says 2,752 parameters): 8 filters of 3 x 3 without padding, pooled, two fully connected
    layers.
    """
    stack.valid(8)
    stack.pool()
    stack.dense(32)
    stack.dense(classes)
    stack.other()
    return stack


def st_mnist(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return STMNIST (stmnist.py)."""
    stack.conv(16, 3, 2)
    stack.depthwise()
    stack.conv(32)
    stack.depthwise(3, 2)
    stack.conv(64, 1)
    return stack.head(classes)


def st_fdmobilenet(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return ST FD-MobileNet v1."""
    stack.conv(16, 3, 2)
    for channels, stride in FD_CHANNELS:
        stack.separable(channels, stride)
    return stack.head(classes)


def st_efficientnet(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return ST EfficientNet LC v1: squeeze and excitation of a quarter of each block's input channels."""
    stack.conv(wide(32, LC_WIDTH, 8), 3, 2)
    for number, (repeats, channels, window, stride) in enumerate(EFFICIENTNET):
        for i in range(repeats):
            inputs = stack.shape.channels
            if number:
                stack.conv(inputs * LC_EXPANSION, 1)
            stack.depthwise(window, stride if i == 0 else 1)
            stack.squeeze(max(1, inputs // 4))
            stack.conv(wide(channels, LC_WIDTH, 8), 1)
            if i:
                stack.other()
    stack.conv(wide(1280, LC_WIDTH, 8), 1)
    return stack.head(classes)


def st_resnet_8_hybrid(stack: Stack, alpha: float, classes: int) -> Stack:
    """Return ST ResNet 8 Hybrid v1: pairs of a binary separable cell and one of 8 bits, the first pair of a section at stride 2.
    (The one-bit copy of its input that a binary cell concatenates is not counted.)
    """
    stack.conv(HYBRID_FILTERS[0])
    for channels in HYBRID_FILTERS:
        before = stack.shape
        for stride in (2, 1):
            stack.separable(stack.shape.channels)
            stack.separable(channels, stride)
        if channels > HYBRID_FILTERS[0]:
            after, stack.shape = stack.shape, before
            stack.conv(channels, 1, 2)
            stack.shape = after
            stack.other()
    return stack.head(classes)


ARCHITECTURES: dict[str, tuple[Builder, tuple[int, int, int], int]] = {
    "ign": (human_activity_ign, (24, 3, 1), 4),
    "gmp": (human_activity_gmp, (24, 3, 1), 4),
    "handposture": (hand_posture, (8, 8, 2), 8),
    "stmnist": (st_mnist, (28, 28, 1), 36),
    "stfdmobilenet": (st_fdmobilenet, (224, 224, 3), 5),
    "stefficientnet": (st_efficientnet, (224, 224, 3), 5),
    "stresnet8hybrid": (st_resnet_8_hybrid, (32, 32, 3), 10),
}
"""Architecture -> (builder, resolution and classes where the row does not say), as in `named.ARCHITECTURES`."""
OF_ACCELERATIONS = ("ign", "gmp")
"""Those whose input is a window of samples along three axes: the number in their names is its length."""
NAMES = (
    (r"(^|\W)ign_wl_\d+", "ign"),
    (r"(^|\W)gmp_wl_\d+", "gmp"),
    (r"st_?hand_?posture", "handposture"),
    (r"(^|\W)st_?mnist", "stmnist"),
    (r"st[ _]?fd-?_?mobilenet[ _]?v1", "stfdmobilenet"),
    (r"st[ _]?efficientnet[ _]?lc", "stefficientnet"),
)
"""Name in lower case -> architecture. (Hybrids are told by their precision: a name of them is of several releases.)"""


def architecture(name: str) -> str:
    """Return the architecture of one of the zoo's own networks by its name, '' for any other."""
    return next((found for pattern, found in NAMES if re.search(pattern, name.lower())), "")
