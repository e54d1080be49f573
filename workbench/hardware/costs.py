"""`Costs`: the cost constants of a profile (section `costs` of the YAML). Every constant says where it comes from.

Method: docs/cost.md. Nothing here computes; `workbench.cost` does.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Basis = Literal["measured here", "same device and runtime", "same core class", "data sheet", "assumed"]
BASES: tuple[Basis, ...] = get_args(Basis)
"""How well a constant is known, surest first."""


class Record(BaseModel):
    """Base of all profile records: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Constant(Record):
    """One number with its basis. The 80 % interval is value / (1 + uncertainty) .. value * (1 + uncertainty).

    basis: `measured here` = timings of the user on this board; `same device and runtime` = fitted to published rows of them; `same core
    class` = fitted to rows of other devices or runtimes of its kind; `data sheet`; `assumed` = anything else (also carried
    over from another device). source: file and row, data sheet, or what the assumption rests on.
    """

    value: float = Field(ge=0, allow_inf_nan=False)
    basis: Basis
    uncertainty: float = Field(gt=0, le=100, allow_inf_nan=False)
    source: str = Field(min_length=3)


class OperatorCost(Record):
    """Cycles of one operator in some formats: the sum of the terms that are given.

    mac: per multiply-accumulate (per padded one where `latency.array` is given). pointwise: the same for 1x1 convolutions.
    shallow: the same for convolutions of fewer than 4 input channels (no 32-bit word of four channels to load).
    output: per output element. element: per element worked on, max(inputs, outputs, operations). weight: per weight (fetch,
    decode). fixed: per layer, in place of `latency.layer`.
    """

    formats: tuple[str, ...] = Field(min_length=1)
    mac: Constant | None = None
    pointwise: Constant | None = None
    shallow: Constant | None = None
    output: Constant | None = None
    element: Constant | None = None
    weight: Constant | None = None
    fixed: Constant | None = None


class Array(Record):
    """A multiplier array: work is padded to whole blocks of pixels x output channels x input channels."""

    pixels: int = Field(ge=1)
    out_channels: int = Field(ge=1)
    in_channels: int = Field(ge=1)


class LatencyCosts(Record):
    """Cycles of a layer: operator terms + unpacking, bytes moved, and a fixed cost.

    memory: `overlapped` = bytes move while the arithmetic runs, so that the longest of the three counts (NPU, GPU); `added` = the
    processor waits for them (microcontroller).

    operators: operator name, or `any` for those not named, to its rows. unpack: weight bits -> cycles per weight of unpacking
    to int8 before the kernel. decode: cycles per weight of decoding to the float layer's type before it. network_uncertainty,
    layer_uncertainty: what the model itself leaves unexplained of the time of a network it was not fitted to, and of one layer
    (80 % factors - 1).
    """

    inference: Constant
    layer: Constant
    operators: dict[str, tuple[OperatorCost, ...]]
    unpack: dict[int, Constant] = {}
    decode: Constant | None = None
    network_uncertainty: float = Field(gt=0, le=100)
    layer_uncertainty: float = Field(gt=0, le=100)
    uncertainty_source: str = Field(min_length=3)
    array: Array | None = None
    memory: Literal["overlapped", "added"] = "overlapped"
    flash_bytes_per_cycle: Constant | None = None
    ram_bytes_per_cycle: Constant | None = None


class EnergyCosts(Record):
    """Energy = active power x time. idle_power_w: between inferences (not part of the energy per inference)."""

    active_power_w: Constant
    idle_power_w: Constant | None = None
    condition: str = Field(min_length=3)


class MemoryCosts(Record):
    """Bytes beside the weights and the activations.

    weight_coding: `packed` = weights at their width; `entropy` = a compressor that reaches entropy_factor x the entropy of the
    values. channel_flash_bytes: scales, zero points, multipliers per output channel. channel_ram_bytes: the same, kept in RAM.
    layer_*: per layer. runtime_*: code and state of the runtime (application not included). scratch: `im2col_int16` = two
    columns of int16 for each convolution (CMSIS-NN), `none`. reshape_copies: reshape has an output buffer of its own.
    channel_block: activations of three or more dimensions are stored with their channels rounded up to it.
    """

    weight_coding: Literal["packed", "entropy"] = "packed"
    entropy_factor: Constant | None = None
    channel_flash_bytes: Constant
    layer_flash_bytes: Constant
    channel_ram_bytes: Constant
    layer_ram_bytes: Constant
    runtime_flash_bytes: Constant
    runtime_ram_bytes: Constant
    scratch: Literal["none", "im2col_int16"] = "none"
    reshape_copies: bool = False
    channel_block: int = Field(default=1, ge=1)


class Costs(Record):
    """All cost constants of one device with one runtime."""

    latency: LatencyCosts
    energy: EnergyCosts
    memory: MemoryCosts
