"""Linear layers as nested loops over plain lists: one product after another, in an accumulator of any width."""

from __future__ import annotations

from typing import Any

from .requantize import saturate, wrap

Nested = Any
Pairs = list[tuple[int, int]]


def accumulate(pairs: Pairs, start: int, bits: int, overflow: str, zero_point: int = 0, tile: int = 1) -> int:
    """start + sum of products (x - zero point) * w in a register that wraps, saturates after every tile, or `int16_pairs`."""
    if overflow == "saturate_int16_pairs":
        return int16_pairs(pairs, start, zero_point)
    if overflow == "wrap":  # narrowing after every addition and once at the end are the same
        return wrap(start + sum(x * w for x, w in pairs), bits)
    total = saturate(start, bits)
    for part in tile_sums(pairs, tile):
        total = saturate(total + part, bits)
    return total


def tile_sums(pairs: Pairs, tile: int) -> list[int]:
    """The exact sums of every `tile` products, in order."""
    return [sum(x * w for x, w in pairs[k : k + tile]) for k in range(0, len(pairs), tile)]


def running_sums(pairs: Pairs, start: int, tile: int) -> list[int]:
    """start and what it has become after every tile, exactly."""
    sums = [start]
    for part in tile_sums(pairs, tile):
        sums.append(sums[-1] + part)
    return sums


def int16_pairs(pairs: Pairs, start: int, zero_point: int) -> int:
    """VPMADDUBSW: unsigned bytes x + 128, the zero point still in them, times w; neighbours are added with int16 saturation.

    These sums are added exactly in int32, and so is what takes the zero point out again.
    """
    products = [(x + zero_point + 128) * w for x, w in pairs]
    total = start - (zero_point + 128) * sum(w for _, w in pairs)
    return wrap(total + sum(saturate(sum(products[k : k + 2]), 16) for k in range(0, len(products), 2)), 32)


def fully_connected(
    x: Nested, w: Nested, bias: list[int], zero_point: int, bits: int = 32, overflow: str = "wrap", tile: int = 1
) -> list[list[int]]:
    """Accumulators of x [M][K] by w [N][K]."""
    return [
        [
            accumulate(
                [(a - zero_point, b) for a, b in zip(row, column, strict=True)], bias[n], bits, overflow, zero_point, tile
            )
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
    tile: int = 1,
) -> Nested:
    """Accumulators [N][OH][OW][O] of x [N][H][W][C] by w [O][KH][KW][C / groups]; padded positions hold the zero point."""
    height, width = len(x[0]), len(x[0][0])
    kernel_h, kernel_w, depth = len(w[0]), len(w[0][0]), len(w[0][0][0])
    per_group = len(w) // groups
    out_h = (height + pads[0] + pads[2] - dilation[0] * (kernel_h - 1) - 1) // stride[0] + 1
    out_w = (width + pads[1] + pads[3] - dilation[1] * (kernel_w - 1) - 1) // stride[1] + 1
    columns = [[tap for row in kernel for column in row for tap in column] for kernel in w]

    def window(n: int, oh: int, ow: int, group: int) -> list[int]:
        """x - zero point under one output of a group, in (kh, kw, c) order."""
        values = []
        for i in range(kernel_h):
            for j in range(kernel_w):
                h, v = oh * stride[0] - pads[0] + i * dilation[0], ow * stride[1] - pads[1] + j * dilation[1]
                inside = 0 <= h < height and 0 <= v < width
                values += [x[n][h][v][group * depth + c] - zero_point if inside else 0 for c in range(depth)]
        return values

    def outputs(n: int, oh: int, ow: int) -> list[int]:
        windows = [window(n, oh, ow, group) for group in range(groups)]
        return [
            accumulate(list(zip(windows[o // per_group], columns[o], strict=True)), bias[o], bits, overflow, zero_point, tile)
            for o in range(len(w))
        ]

    return [[[outputs(n, h, v) for v in range(out_w)] for h in range(out_h)] for n in range(len(x))]


def depthwise_as_conv2d(w: Nested) -> Nested:
    """Depthwise weights [1][KH][KW][O] as grouped weights [O][KH][KW][1], one group per input channel."""
    return [[[[tap[o]] for tap in row] for row in w[0]] for o in range(len(w[0][0][0]))]


def batch_matmul(
    a: Nested, b: Nested, zero_points: tuple[int, int], bits: int = 32, overflow: str = "wrap", tile: int = 1
) -> list[list[list[int]]]:
    """Accumulators [B][M][N] of a [B][M][K] by b [B][N][K]; both zero points are removed."""
    return [
        fully_connected(x, [[v - zero_points[1] for v in row] for row in y], [0] * len(y), zero_points[0], bits, overflow, tile)
        for x, y in zip(a, b, strict=True)
    ]


def transpose_conv2d(
    x: Nested,
    w: Nested,
    bias: list[int],
    zero_point: int,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    start: tuple[int, int],
    size: tuple[int, int],
    groups: int = 1,
    bits: int = 32,
    overflow: str = "wrap",
    tile: int = 1,
) -> Nested:
    """Accumulators [N][*size][O] of x [N][H][W][C] spread by w [O][KH][KW][C / groups]; outputs begin at `start`.

    Products of an output in the order of the inputs that it reads; those outside of the input count as 0.
    """
    height, width, depth, per_group = len(x[0]), len(x[0][0]), len(w[0][0][0]), len(w) // groups

    def reads(at: int, axis: int, kernel: int) -> list[tuple[int, int]]:
        """(position of the input, kernel row) in the order of the input."""
        where = [(at + start[axis] - k * dilation[axis], k) for k in reversed(range(kernel))]
        return [(p // stride[axis], k) for p, k in where if p % stride[axis] == 0]

    def output(n: int, oh: int, ow: int, o: int) -> int:
        pairs = []
        for h, i in reads(oh, 0, len(w[0])):
            for v, j in reads(ow, 1, len(w[0][0])):
                inside = 0 <= h < height and 0 <= v < width
                first = o // per_group * depth
                pairs += [(x[n][h][v][first + c] - zero_point if inside else 0, w[o][i][j][c]) for c in range(depth)]
        return accumulate(pairs, bias[o], bits, overflow, zero_point, tile)

    return [
        [[[output(n, oh, ow, o) for o in range(len(w))] for ow in range(size[1])] for oh in range(size[0])]
        for n in range(len(x))
    ]
