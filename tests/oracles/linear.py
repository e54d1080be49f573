"""Linear layers as nested loops over plain lists: one product after another, in an accumulator of any width."""

from __future__ import annotations

from typing import Any

from .requantize import saturate, wrap

Nested = Any


def accumulate(pairs: list[tuple[int, int]], start: int, bits: int, overflow: str) -> int:
    """start + sum of products; the register is narrowed after every addition."""
    narrow = saturate if overflow == "saturate" else wrap
    total = narrow(start, bits)
    for x, w in pairs:
        total = narrow(total + x * w, bits)
    return total


def fully_connected(
    x: Nested, w: Nested, bias: list[int], zero_point: int, bits: int = 32, overflow: str = "wrap"
) -> list[list[int]]:
    """Accumulators of x [M][K] by w [N][K]."""
    return [
        [
            accumulate([(a - zero_point, b) for a, b in zip(row, column, strict=True)], bias[n], bits, overflow)
            for n, column in enumerate(w)
        ]
        for row in x
    ]


def conv2d(
    x: Nested,
    w: Nested,
    bias: list[int],
    zero_point: int,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    groups: int = 1,
    bits: int = 32,
    overflow: str = "wrap",
) -> Nested:
    """Accumulators [N][OH][OW][O] of x [N][H][W][C] by w [O][KH][KW][C / groups]; padded positions hold the zero point."""
    height, width = len(x[0]), len(x[0][0])
    kernel_h, kernel_w, depth = len(w[0]), len(w[0][0]), len(w[0][0][0])
    per_group = len(w) // groups
    out_h = (height + pads[0] + pads[2] - dilation[0] * (kernel_h - 1) - 1) // stride[0] + 1
    out_w = (width + pads[1] + pads[3] - dilation[1] * (kernel_w - 1) - 1) // stride[1] + 1

    def value(n: int, h: int, v: int, c: int) -> int:
        return x[n][h][v][c] - zero_point if 0 <= h < height and 0 <= v < width else 0

    def one(n: int, oh: int, ow: int, o: int) -> int:
        pairs = [
            (
                value(
                    n,
                    oh * stride[0] - pads[0] + i * dilation[0],
                    ow * stride[1] - pads[1] + j * dilation[1],
                    o // per_group * depth + c,
                ),
                w[o][i][j][c],
            )
            for i in range(kernel_h)
            for j in range(kernel_w)
            for c in range(depth)
        ]
        return accumulate(pairs, bias[o], bits, overflow)

    return [[[[one(n, h, v, o) for o in range(len(w))] for v in range(out_w)] for h in range(out_h)] for n in range(len(x))]


def depthwise_as_conv2d(w: Nested) -> Nested:
    """Depthwise weights [1][KH][KW][O] as grouped weights [O][KH][KW][1], one group per input channel."""
    return [[[[tap[o]] for tap in row] for row in w[0]] for o in range(len(w[0][0][0]))]
