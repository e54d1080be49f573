"""`EthosUCosts`: which Ethos-U a profile has and the memories around it (key `ethos_u` of its costs).

With it the cycles, the live SRAM and the encoded weights of the layers on the NPU come from the structure of the accelerator
(`workbench.cost.ethos_u`) instead of from constants per operator.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.hardware.record import Record

Accelerator = Literal[
    "u55-32", "u55-64", "u55-128", "u55-256", "u65-256", "u65-512", "u85-128", "u85-256", "u85-512", "u85-1024", "u85-2048",
]  # fmt: skip
"""Family and multiply-accumulates per cycle of 8-bit values."""


class EthosMemory(Record):
    """One memory as the NPU sees it, in cycles of the NPU.

    bytes_per_cycle: over all ports. latencies: of a transfer, in cycles. burst_bytes: longest transfer of one request. ports,
    max_reads, max_writes: requests under way at a time bound what one channel of a U85 gets.
    """

    bytes_per_cycle: float = Field(gt=0, allow_inf_nan=False)
    read_latency: int = Field(ge=0)
    write_latency: int = Field(ge=0)
    burst_bytes: int = Field(ge=8)
    ports: int = Field(default=1, ge=1)
    max_reads: int = Field(default=1, ge=1)
    max_writes: int = Field(default=1, ge=0)


class EthosUCosts(Record):
    """sram: next to the NPU. storage: where the encoded weights lie, a flash or a DRAM.

    staging_bytes: None = the activations live in the SRAM, which is as large as they need; otherwise they live in the storage (a
    DRAM) and this much SRAM is the NPU's own, for the activations and weights that fit.
    source: of the numbers. uncertainty: of the cycles against silicon, as 80 % factor - 1.
    """

    accelerator: Accelerator
    sram: EthosMemory
    storage: EthosMemory
    staging_bytes: int | None = Field(default=None, ge=1024)
    uncertainty: float = Field(gt=0, le=100, allow_inf_nan=False)
    source: str = Field(min_length=3)
