"""`Costs`: the cost constants of a profile (section `costs` of the YAML). Every constant says where it comes from.

Method: docs/cost.md. Nothing here computes; `workbench.cost` does.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from workbench.hardware.costs_ethos import EthosUCosts
from workbench.hardware.record import Record

Basis = Literal["measured here", "same device and runtime", "same core class", "data sheet", "assumed"]
BASES: tuple[Basis, ...] = get_args(Basis)
"""How well a constant is known, surest first."""


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
    shallow: the same for convolutions of fewer than 4 input channels, counted as if they had 4 (a word of 32 bits).
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


class OnChip(Record):
    """Memory on the chip of an accelerator, in front of slower ones outside.

    weight_bytes: weights of a network that stay there between inferences; of a larger network that share alone, the rest is read at
    `flash_bytes_per_cycle` each time. activation_bytes: activations that fit; when the larger part of the peak is outside, each byte
    outside costs `outside` cycles an inference, and decompressed times as much again for the share of weights below 8 bits.
    """

    weight_bytes: int = Field(default=0, ge=0)
    activation_bytes: int | None = Field(default=None, ge=1)
    outside: Constant | None = None
    decompressed: Constant | None = None
    source: str = Field(min_length=3)


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
    unpack: dict[int, Constant] = Field(default={})
    decode: Constant | None = None
    network_uncertainty: float = Field(gt=0, le=100)
    layer_uncertainty: float = Field(gt=0, le=100)
    uncertainty_source: str = Field(min_length=3)
    array: Array | None = None
    memory: Literal["overlapped", "added"] = "overlapped"
    flash_bytes_per_cycle: Constant | None = None
    ram_bytes_per_cycle: Constant | None = None
    on_chip: OnChip | None = None


class SleepMode(Record):
    """A sleep mode between inferences that keeps the RAM. wake_s: from the event to the first instruction of the network, at active
    power. wake_j: energy of waking beyond that (starting oscillators, loading weights anew). supply_v: at which power_w holds.
    """

    power_w: Constant
    supply_v: float | None = Field(default=None, gt=0, le=60)
    wake_s: Constant | None = None
    wake_j: Constant | None = None


class EnergyCosts(Record):
    """Energy = active power x time; docs/energy.md.

    idle_power_w: between inferences, in the mode named `idle` (not part of the energy per inference). sleep: other sleep modes by name.
    clock_exponent: active power ~ clock ^ exponent on this board. idle_share: what the board draws while it waits with its clock
    running, of its active power. flash_share: part of the active power that goes away when code and constants are read from RAM.
    mac_j: format -> energy of one multiply-accumulate; byte_j: of one byte of weights or activations moved (of a device whose process
    and memories are known). condition: supply, regulator, clock in words.

    supply_v: volts at which active_power_w holds. regulator: of the core's voltage, `ldo` (linear: the same current at any supply)
    or `smps` (switching: the same power). idle_supply_v: volts at which idle_power_w holds.
    """

    active_power_w: Constant
    idle_power_w: Constant | None = None
    sleep: dict[str, SleepMode] = Field(default={})
    clock_exponent: Constant | None = None
    idle_share: Constant | None = None
    flash_share: Constant | None = None
    mac_j: dict[str, Constant] = Field(default={})
    byte_j: Constant | None = None
    supply_v: float | None = Field(default=None, gt=0, le=60)
    regulator: Literal["ldo", "smps"] | None = None
    idle_supply_v: float | None = Field(default=None, gt=0, le=60)
    condition: str = Field(min_length=3)


Library = Literal["none", "im2col_int16", "tflm", "cmsis_nn", "cmsis_nn_dsp", "cmsis_nn_mve"]
"""Whose kernels ask for working memory: `tflm` = reference kernels of TFLite Micro; `cmsis_nn` on cores without DSP (M0+, M3), with DSP
(M4, M33, M7) and with MVE (M55, M85), called by TFLite Micro; `im2col_int16` = two int16 columns of every convolution beyond 1x1."""


class Banks(Record):
    """Memories of an accelerator, each of which is read or written by one buffer at a time at full speed.

    count, size_bytes: banks side by side, of that size each. next_bytes: the memory used after them. What fits neither lies outside.
    """

    count: int = Field(ge=1, le=64, strict=True)
    size_bytes: int = Field(ge=1, strict=True)
    next_bytes: int = Field(ge=0, strict=True)


class MemoryCosts(Record):
    """Bytes beside the weights and the activations, and how a runtime lays out its RAM.

    channel_flash_bytes: scales, zero points, multipliers per output channel. channel_ram_bytes: the same, kept in RAM.
    layer_*: per layer. runtime_*: code and state of the runtime (application not included). kernel_flash_bytes: operator -> code of its
    kernels, of all formats of a network together, on top of runtime_flash_bytes (`any`: of each operator not named).

    scratch: working memory of the kernels. reshape_copies: reshape has an output buffer of its own. in_place: operators that write over
    an input that nobody reads afterwards. planner: `greedy` = TFLite Micro's; `optimised` = the best of several orders; `none` =
    the sum of what is live (an allocator that never fragments); `banks` = each buffer whole in one of `banks`, input and output of a
    layer apart. alignment: sizes of buffers are rounded up to it. channel_block:
    activations of three or more dimensions are stored with their channels rounded up to it. arena_factor: what the runtime reports /
    what this plan needs; its uncertainty is that of the RAM.
    """

    channel_flash_bytes: Constant
    layer_flash_bytes: Constant
    channel_ram_bytes: Constant
    layer_ram_bytes: Constant
    runtime_flash_bytes: Constant
    runtime_ram_bytes: Constant
    kernel_flash_bytes: dict[str, Constant] = Field(default={})
    scratch: Library = "none"
    reshape_copies: bool = False
    in_place: tuple[str, ...] = ()
    planner: Literal["greedy", "optimised", "none", "banks"] = "optimised"
    banks: Banks | None = None
    alignment: int = Field(default=1, ge=1, le=4096)
    channel_block: int = Field(default=1, ge=1)
    arena_factor: Constant | None = None

    @model_validator(mode="after")
    def _banks_of_their_planner(self) -> MemoryCosts:
        if (self.planner == "banks") != (self.banks is not None):
            raise ValueError("planner: banks needs `banks` (count, size_bytes, next_bytes), and no other planner takes them")
        return self


class Costs(Record):
    """All cost constants of one device with one runtime.

    ethos_u: an NPU whose layers are scheduled as its compiler does; the rest then prices what the compiler does not know.
    """

    latency: LatencyCosts
    energy: EnergyCosts
    memory: MemoryCosts
    ethos_u: EthosUCosts | None = None
