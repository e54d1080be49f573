"""What an NPU or a GPU allows: the roofs of its arithmetic and memories, and the limits of the memory on its chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from workbench.cost.counts import LayerWork
from workbench.cost.interval import Term
from workbench.cost.latency import cost_format
from workbench.graph.node_format import WEIGHT_INPUT
from workbench.hardware.costs import Constant, LatencyCosts, OnChip, OperatorCost
from workbench.hardware.profile import HardwareProfile


@dataclass(frozen=True)
class Roofs:
    """What bounds the rate of a layer. bytes_per_s: `flash` (weights) and `ram` (activations), those that the profile knows."""

    macs_per_s: float
    bytes_per_s: Mapping[str, float]


def roofline(profile: HardwareProfile, fmt: str) -> Roofs | None:
    """Return the roofs of a target in a format, None where it has no price for multiply-accumulates in it.

    The roof of the arithmetic is the cheapest operator's: what the kernels reach in the middle of a large layer, not the peak of the
    data sheet.
    """
    if profile.costs is None:
        return None
    costs = profile.costs
    if costs.ethos_u is not None and fmt.startswith("w"):
        macs = int(costs.ethos_u.accelerator.split("-")[1]) * (0.5 if "a16" in fmt else 1.0)
        rates = {"flash": costs.ethos_u.storage.bytes_per_cycle, "ram": costs.ethos_u.sram.bytes_per_cycle}
        return Roofs(macs * profile.clock_hz, {name: rate * profile.clock_hz for name, rate in rates.items()})
    cheapest = min((c.value for c in _mac_costs(profile, costs.latency, fmt) if c.value > 0), default=inf)
    if cheapest == inf:
        return None
    rates = {
        name: rate.value * profile.clock_hz
        for name, rate in (("flash", costs.latency.flash_bytes_per_cycle), ("ram", costs.latency.ram_bytes_per_cycle))
        if rate is not None and rate.value > 0
    }
    return Roofs(profile.clock_hz / cheapest, rates)


def _mac_costs(profile: HardwareProfile, latency: LatencyCosts, fmt: str) -> list[Constant]:
    """Return the prices of a multiply-accumulate of all operators with weights that run in a format."""
    found: list[Constant] = []
    for op in WEIGHT_INPUT:
        if profile.supports(op, fmt):
            wanted = cost_format(profile, op, fmt)
            row = _row(latency, op, wanted)
            found += [c for c in (row.mac, row.pointwise) if c is not None] if row is not None else []
    return found


def _row(latency: LatencyCosts, op: str, fmt: str) -> OperatorCost | None:
    rows = (*latency.operators.get(op, ()), *latency.operators.get("any", ()))
    return next((row for row in rows if fmt in row.formats), None)


def streamed_share(on_chip: OnChip | None, weight_bytes: int) -> float:
    """Return the share of a network's weights that comes from outside at every inference: what the memory on the chip cannot keep."""
    if on_chip is None or weight_bytes <= 0:
        return 1.0
    return max(0.0, 1 - on_chip.weight_bytes / weight_bytes)


def outside_terms(latency: LatencyCosts, works: Sequence[LayerWork], activation_bytes: int) -> list[Term]:
    """Return the time of activations that live outside of the chip, for the whole network.

    activation_bytes: peak. What exceeds the chip's own memory is outside; while that is the smaller part, it holds what is read
    once, and costs nothing to speak of. Weights narrower than a byte pass a decompressor, which makes the wait longer (`OnChip`).
    """
    chip = latency.on_chip
    if chip is None or chip.activation_bytes is None or chip.outside is None:
        return []
    outside = activation_bytes - chip.activation_bytes
    if outside <= chip.activation_bytes:
        return []
    weights = sum(w.weights for w in works)
    narrow = sum(w.weights for w in works if w.weight_bits < 8) / weights if weights else 0.0
    terms = [Term.of("outside", chip.outside, outside, "memory")]
    if chip.decompressed is not None and narrow:
        slower = chip.outside.model_copy(
            update={
                "value": chip.outside.value * chip.decompressed.value,
                "uncertainty": max(chip.outside.uncertainty, chip.decompressed.uncertainty),
                "basis": chip.decompressed.basis,
            }
        )
        terms.append(Term.of("decompressed", slower, outside * narrow, "memory"))
    return terms
