"""The accelerators: sizes of their arrays and buffers. Data of the hardware, as the compiler for it publishes them.

Source: architecture tables of Vela 5.2.0 (`regor/architecture/ethosu55`, `ethosu65`, `ethosu85`; Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Size(NamedTuple):
    """Height, width and depth (channels) of a feature map or a block."""

    h: int
    w: int
    c: int

    @property
    def area(self) -> int:
        """Height x width."""
        return self.h * self.w

    @property
    def volume(self) -> int:
        """Elements."""
        return self.h * self.w * self.c

    def clip(self, other: Size) -> Size:
        """Return the smaller of both along each side."""
        h, w, c = other
        return Size(
            self.h if self.h < h else h, self.w if self.w < w else w, self.c if self.c < c else c
        )  # no calls: asked often

    def per(self, other: Size) -> Size:
        """Return how many of `other` cover it along each side."""
        return Size(-(-self.h // other.h), -(-self.w // other.w), -(-self.c // other.c))

    def aligned(self, other: Size) -> Size:
        """Return the smallest multiple of `other` that covers it."""
        n = self.per(other)
        return Size(n.h * other.h, n.w * other.w, n.c * other.c)


def round_up(value: int, step: int) -> int:
    """Return the smallest multiple of step that is at least value."""
    return -(-value // step) * step


@dataclass(frozen=True)
class Shram:
    """The shared buffer of a U55 or U65, in banks of 1 KiB, for inputs, accumulators and tables.

    ifm, elementwise: bits of an element -> banks that the input is given at a time. acc: bits of an accumulator -> the same.
    """

    banks: int
    ifm: dict[int, int]
    elementwise: dict[int, int]
    acc: dict[int, int]

    BANK_BYTES = 1024
    OUTPUT_BANKS = 2

    @property
    def table_banks(self) -> int:
        """Banks kept at the end even where no table is used."""
        return 2 if self.banks > 16 else 0


@dataclass(frozen=True)
class Rams:
    """The buffers of a U85 in bytes. channels: words of 16 bytes that each kind of request may have under way, see `CHANNELS`.

    allocation: per micro-block, how the input buffer is cut up: at up to 128, 256 and more bits of depth.
    """

    ifm_bytes: int
    acc_bytes: int
    chain_bytes: int
    channels: dict[str, int]
    allocation: tuple[tuple[Size, Size, Size], ...]


@dataclass(frozen=True, eq=False)
class Engine:
    """One accelerator (one record each: compared by identity).

    macs: of one core. ublocks: what the array makes at a time (U85: one of them, by operator and shape). output_cycles: cycles per
    output element by kind of operation. activation_cycles: the same by kind of activation.
    """

    name: str
    macs: int
    cores: int
    ublocks: tuple[Size, ...]
    output_cycles: tuple[float, ...]
    activation_cycles: tuple[float, ...]
    shram: Shram | None = None
    rams: Rams | None = None

    @property
    def ublock(self) -> Size:
        """The only micro-block of a U55 or U65."""
        return self.ublocks[0]

    @property
    def chains(self) -> bool:
        """True where elementwise operators are done on the way out of the one before."""
        return self.rams is not None


CHANNELS = ("copy", "ifm_stream", "weights", "fast_weights", "ifm", "scales")

_SMALL = {8: 2, 16: 2, 32: 4}


def _small(
    name: str, macs: int, ublock: Size, acc40: int, banks: int, out: tuple[float, ...], act: tuple[float, ...]
) -> Engine:
    return Engine(name, macs, 1, (ublock,), out, act, Shram(banks, _SMALL, _SMALL, {32: 4, 40: acc40}))


def _large(name: str, cores: int, out: tuple[float, ...], act: tuple[float, ...]) -> Engine:
    granules = {8: 8, 16: 8, 32: 16}
    return Engine(name, 256, cores, (Size(2, 2, 8),), out, act, Shram(48, granules, granules, {32: 16, 40: 20}))


_U256 = (0.625, 1.125, 0.5, 0.375, 0.5, 0.75, 0.125, 0.25)
_WIDE = (Size(1, 2, 2), Size(1, 1, 4))
_RAMS: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    "u85-128": (8192, 8192, 2048, (64, 64, 128, 128, 104, 16)),
    "u85-256": (16384, 16384, 2048, (104, 104, 128, 128, 128, 16)),
    "u85-512": (16384, 32768, 4096, (128, 128, 256, 256, 128, 16)),
    "u85-1024": (16384, 65536, 4096, (256, 256, 416, 208, 256, 16)),
    "u85-2048": (32768, 131072, 8192, (256, 256, 512, 256, 256, 16)),
}


def _u85(
    macs: int, cores: int, blocks: tuple[tuple[Size, tuple[Size, Size, Size]], ...], out: tuple[float, ...],
    act: tuple[float, ...],
) -> Engine:  # fmt: skip
    name = f"u85-{macs}"
    ifm, acc, chain, channels = _RAMS[name]
    rams = Rams(ifm, acc, chain, dict(zip(CHANNELS, channels, strict=True)), tuple(cut for _, cut in blocks))
    return Engine(name, macs, cores, tuple(block for block, _ in blocks), out, act, rams=rams)


_CUT_128 = (Size(1, 2, 1), Size(1, 1, 2), Size(1, 1, 2))
_CUT_22 = (Size(2, 2, 1), *_WIDE)
_CUT_14 = (Size(1, 4, 1), *_WIDE)
_CUT_1K = (Size(2, 4, 1), Size(2, 2, 2), Size(1, 2, 4))
_CUT_1K_ROW = (Size(2, 4, 1), Size(1, 4, 2), Size(1, 2, 4))
_CUT_2K = (Size(4, 4, 1), Size(2, 4, 2), Size(2, 2, 4))
_CUT_2K_ROW = (Size(4, 4, 1), Size(2, 4, 2), Size(1, 4, 4))

_ALL = (
    _small("u55-32", 32, Size(1, 1, 4), 4, 16, (2, 3, 3, 3, 4, 6, 1, 2), (1, 1, 0)),
    _small("u55-64", 64, Size(1, 1, 8), 8, 16, (1, 1.5, 1.5, 1.5, 2, 3, 0.5, 1), (1, 1, 0)),
    Engine(
        "u55-128", 128, 1, (Size(1, 2, 8),), (0.75, 1.25, 0.75, 0.75, 1, 1.5, 0.25, 0.5), (1, 0.5, 0),
        Shram(24, {8: 4, 16: 4, 32: 8}, {8: 4, 16: 4, 32: 8}, {32: 8, 40: 12}),
    ),
    _large("u55-256", 1, _U256, (1, 0.25, 0)),
    _large("u65-256", 1, _U256, (1, 0.25, 0)),
    _large("u65-512", 2, tuple(x / 2 for x in _U256), (0.5, 0.125, 0)),
    _u85(128, 1, ((Size(1, 2, 8), _CUT_128), (Size(1, 1, 16), _CUT_128)), (0.5, 0.5, 0.5, 1, 1, 1), (0.5, 1)),
    _u85(
        256, 1, ((Size(1, 2, 16), _CUT_22), (Size(1, 4, 8), _CUT_14), (Size(2, 2, 8), _CUT_22)),
        (0.25, 0.25, 0.25, 0.5, 0.5, 0.5), (0.25, 0.5),
    ),
    _u85(512, 2, ((Size(2, 2, 16), _CUT_22), (Size(1, 4, 16), _CUT_14)), (0.125, 0.125, 0.25, 0.5, 0.25, 0.25), (0.125, 0.25)),
    _u85(
        1024, 4, ((Size(2, 2, 32), _CUT_1K), (Size(1, 4, 32), _CUT_1K_ROW), (Size(2, 4, 16), _CUT_1K)),
        (0.0625, 0.125, 0.25, 0.5, 0.125, 0.25), (0.0625, 0.125),
    ),
    _u85(
        2048, 4, ((Size(2, 2, 64), _CUT_2K), (Size(1, 4, 64), _CUT_2K_ROW), (Size(4, 4, 16), _CUT_2K)),
        (0.03125, 0.0625, 0.125, 0.25, 0.0625, 0.125), (0.03125, 0.0625),
    ),
)  # fmt: skip
ENGINES = {engine.name: engine for engine in _ALL}
"""Accelerator -> its sizes. The key is that of the profile (`costs.ethos_u.accelerator`)."""
