"""Does a network fit the memories? A result with the gap in bytes and the levers, never an exception."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.cost.estimate import CostEstimate
from workbench.hardware.profile import HardwareProfile
from workbench.placement import host_of


@dataclass(frozen=True)
class MemoryFit:
    """One kind of memory: flash, ram, or `host flash`, that of a host processor.

    gap_bytes > 0: so many bytes too many. levers: what would help, largest first.
    """

    kind: str
    need_bytes: int
    have_bytes: int
    levers: tuple[str, ...]

    @property
    def gap_bytes(self) -> int:
        """Bytes missing (0 when it fits)."""
        return max(0, self.need_bytes - self.have_bytes)


@dataclass(frozen=True)
class Fit:
    """Whether a network fits a target, runtime included."""

    memories: tuple[MemoryFit, ...]

    @property
    def ok(self) -> bool:
        """True when everything fits."""
        return all(m.gap_bytes == 0 for m in self.memories)


def fits(estimate: CostEstimate, profile: HardwareProfile) -> Fit:
    """Return need, room and levers for flash and RAM (weights count as RAM on a target without flash)."""
    flash = estimate.flash_bytes + estimate.runtime_flash_bytes
    ram = estimate.ram_peak_bytes + estimate.runtime_ram_bytes
    room_flash, room_ram = profile.size_bytes("flash"), profile.size_bytes("ram")
    if room_flash == 0:
        return Fit((_fit("ram", flash + ram, room_ram, lambda: (*_flash_levers(estimate, profile), *_ram_levers(estimate))),))
    found = (
        _fit("flash", flash, room_flash, lambda: _flash_levers(estimate, profile)),
        _fit("ram", ram, room_ram, lambda: _ram_levers(estimate)),
    )
    if profile.fallback is None or profile.fallback.flash_bytes is None:
        return Fit(found)
    room = profile.fallback.flash_bytes
    return Fit((*found, _fit("host flash", estimate.host_flash_bytes, room, lambda: _flash_levers(estimate, profile, True))))


def _fit(kind: str, need: int, have: int, levers: Callable[[], tuple[str, ...]]) -> MemoryFit:
    return MemoryFit(kind, need, have, levers() if need > have else ())


def _flash_levers(estimate: CostEstimate, profile: HardwareProfile, host_too: bool = False) -> tuple[str, ...]:
    """Return the three layers whose weights at 4 bits save most, among those that their processor can run at 4 bits.

    host_too: layers on a host with a flash of its own count.
    """
    found = []
    host, fallback = host_of(profile), profile.fallback
    for row in estimate.layers:
        if row.emulation != "host":
            runner, formats = profile, profile.formats(row.op)
        elif host is not None and fallback is not None and (fallback.flash_bytes is None or host_too):
            runner, formats = host, tuple(f for f in host.formats(row.op) if f in fallback.formats)
        else:
            continue
        narrow = [f for f in formats if f.startswith("w4a") and runner.emulation(row.op, f) != "widen"]
        bits = 32 if row.format == "fp32" else 16 if row.format == "fp16" else int(row.format[1]) if row.format[0] == "w" else 0
        if narrow and bits > 4 and row.weight_bytes:
            found.append((row.weight_bytes * (bits - 4) // bits, row.layer, narrow[0]))
    found.sort(key=lambda item: (-item[0], item[1]))
    return tuple(f"{name} to {fmt}: saves {saved:,} bytes" for saved, name, fmt in found[:3])


def _ram_levers(estimate: CostEstimate) -> tuple[str, ...]:
    if not estimate.layers:
        return ()
    peak = max(estimate.layers, key=lambda row: row.ram_bytes)
    lever = f"the peak is at {peak.layer} ({peak.ram_bytes:,} bytes live): smaller feature maps there"
    half = " or 8-bit activations there" if peak.format.endswith(("a16", "fp16", "fp32")) else ""
    unpack = " or weights that need no unpacking" if peak.emulation == "unpack" else ""
    return (lever + half + unpack,)
