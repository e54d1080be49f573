"""`estimate(graph, profile)`: flash, RAM, latency and energy, per layer and in total, each with its interval and its basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import TYPE_CHECKING

from workbench.cost import memory as mem
from workbench.cost.accelerator import outside_terms, streamed_share
from workbench.cost.arena import Arena
from workbench.cost.counts import LayerWork, layer_work
from workbench.cost.flash import FlashParts, flash_parts, stored_bytes, stored_once
from workbench.cost.interval import PARTS, Interval, Part, Term, basis_text, combine, product
from workbench.cost.latency import LayerTime, host_time, layer_time
from workbench.cost.lifetimes import live_bytes
from workbench.cost.npu import scheduled
from workbench.errors import ProfileError
from workbench.graph.ir import Graph
from workbench.hardware.costs import Costs
from workbench.hardware.profile import HardwareProfile
from workbench.placement import host_of, place

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LayerCost:
    """Estimate of one layer for one sample. Intervals are 80 %.

    emulation: how the target comes to the format ('' natively; `unpack`, `widen`, or `host`: its host processor runs the layer).
    weight_bytes: flash, as the target stores them.
    parameter_bytes: bias, scales, descriptors. ram_bytes: live while the layer runs. basis: of the latency. bound: what the largest
    share of its time goes to (`compute`, `memory`, `overhead`; empty where it takes none). bytes_moved: weights, parameters, inputs and
    outputs. compute_s, ...:
    the latency split (see `PARTS`); where moves run beside the arithmetic, only the slower of them is seen.
    """

    layer: str
    op: str
    format: str
    emulation: str
    macs: int
    elements: int
    weight_bytes: int
    parameter_bytes: int
    ram_bytes: int
    latency_s: float
    latency_low_s: float
    latency_high_s: float
    energy_j: float
    energy_low_j: float
    energy_high_j: float
    basis: str
    bound: str = ""
    bytes_moved: int = 0
    compute_s: float = 0.0
    unpack_s: float = 0.0
    memory_s: float = 0.0
    overhead_s: float = 0.0
    host_s: float = 0.0

    @property
    def parts(self) -> dict[Part, float]:
        """Return what the time is spent on, in seconds; the sum is the latency."""
        return {part: getattr(self, f"{part}_s") for part in PARTS}

    @property
    def flash_bytes(self) -> int:
        """Weights and parameters."""
        return self.weight_bytes + self.parameter_bytes


@dataclass(frozen=True)
class CostEstimate:
    """Estimate of a whole network for one sample; RAM for the batch that the graph mixes, where it does (`Graph.fixed_batch`).

    flash_bytes: weights and parameters of the model; what layers share is there once, though each of their rows counts it.
    runtime_flash_bytes, runtime_ram_bytes: the runtime's own (the application
    is not counted). ram_peak_bytes: live activations and scratch at the peak, and what is held all along.
    host_flash_bytes: what a host with a flash of its own keeps there, its runtime and the weights that the target loads included;
    layers that it runs are then in no other number of flash. host_share: of the latency. flash_low_bytes .. ram_high_bytes: 80 %
    intervals of flash and RAM, the runtime's own included.
    """

    graph: str
    profile: str
    layers: tuple[LayerCost, ...]
    macs: int
    flash_bytes: int
    runtime_flash_bytes: int
    ram_peak_bytes: int
    runtime_ram_bytes: int
    latency_s: float
    latency_low_s: float
    latency_high_s: float
    energy_j: float
    energy_low_j: float
    energy_high_j: float
    basis: str
    energy_basis: str
    host_flash_bytes: int = 0
    host_share: float = 0.0
    flash_low_bytes: int = 0
    flash_high_bytes: int = 0
    ram_low_bytes: int = 0
    ram_high_bytes: int = 0

    def frame(self) -> pd.DataFrame:
        """Return one row per layer, in network order."""
        import pandas as pd  # heavy: nothing else here needs it

        return pd.DataFrame([asdict(layer) for layer in self.layers])

    def layer(self, name: str) -> LayerCost:
        """Return the row of one layer (KeyError when absent)."""
        for row in self.layers:
            if row.layer == name:
                return row
        raise KeyError(name)


def estimate(
    graph: Graph,
    profile: HardwareProfile,
    works: Sequence[LayerWork] | None = None,
    runners: Sequence[HardwareProfile | None] | None = None,
) -> CostEstimate:
    """Return the cost of a graph on a target. works, runners: the counts of its nodes and who runs them, found here unless given.

    A quantized graph is counted at the widths of its tensors, a float one as fp32. Layers in a format that the target does not
    support have NaN for latency and energy, and so have the totals: see `support`. ProfileError when the profile has no costs.
    """
    costs = profile.costs
    if costs is None:
        raise ProfileError(
            f"profile '{profile.name}' has no section 'costs'; its bits can be emulated, its costs not estimated."
        )
    works = [layer_work(graph, node) for node in graph.nodes] if works is None else works
    buffers = mem.arena_buffers(graph, works, profile, costs.memory)
    live = live_bytes(buffers, len(works))
    if runners is None:
        runners = [place(node, graph.tensors, profile).runner for node in graph.nodes]
    npu = scheduled(graph, costs, profile, runners)
    stored = [stored_bytes(graph, *each, profile) for each in zip(graph.nodes, works, runners, strict=True)]
    if npu is not None:
        stored = [npu.stored(layer, size) for layer, size in zip((w.layer for w in works), stored, strict=True)]
        live = [npu.live(layer, size) for layer, size in zip((w.layer for w in works), live, strict=True)]
    mine = [i for i, runner in enumerate(runners) if runner is profile]
    own = sum(stored_once(graph, [graph.nodes[i] for i in mine], [stored[i] for i in mine]))
    streamed = streamed_share(costs.latency.on_chip, own)
    rows, terms = [], [Term.of("inference", costs.latency.inference, 1, "overhead")]
    for work, runner, size, ram in zip(works, runners, stored, live, strict=True):
        flash = round(sum(size) * streamed) if runner is profile else sum(size)
        time = npu.time(work.layer) if npu and runner is profile else time_of(profile, runner, costs, work, flash)
        terms += time.terms
        rows.append(_row(profile, runner, costs, work, time, (*size, ram)))
    terms += outside_terms(costs.latency, works, max(live, default=0))
    if npu is not None:
        others = npu.elsewhere([work.layer for work in works], stored)
        parts = npu.flash(flash_parts(graph, profile, works, runners, others))
        return _total(graph, profile, costs, rows, terms, parts, npu.ram(live))
    parts = flash_parts(graph, profile, works, runners, stored)
    peak = mem.ram_peak(buffers, works, costs.memory)
    return _total(graph, profile, costs, rows, terms, parts, peak)


def arena_of(graph: Graph, profile: HardwareProfile) -> Arena | None:
    """Return the plan that the RAM of `estimate` comes from; None where a compiler's schedule does (Ethos-U), or without prices."""
    if profile.costs is None or profile.costs.ethos_u is not None:
        return None
    return mem.plan_arena(graph, profile)


def time_of(profile: HardwareProfile, runner: HardwareProfile | None, costs: Costs, work: LayerWork, flash: int) -> LayerTime:
    """Return the time of a layer that no compiler schedules. runner: who runs it. flash: bytes that it reads from there."""
    if runner is None:
        return LayerTime((Term(f"unsupported/{work.layer}", float("nan"), "assumed", inf),), "compute", 0)
    return layer_time(profile, costs.latency, work, flash) if runner is profile else host_time(profile, runner, work, flash)


def _row(
    profile: HardwareProfile, runner: HardwareProfile | None, costs: Costs, work: LayerWork, spent: LayerTime,
    sizes: tuple[int, int, int],
) -> LayerCost:  # fmt: skip
    cycles = combine(spent.terms, costs.latency.layer_uncertainty)
    time = Interval(cycles.value / profile.clock_hz, cycles.relative)
    energy = product(time, costs.energy.active_power_w)
    how = profile.emulation(work.op, work.format) if runner in (profile, None) else "host"
    parts = dict.fromkeys(PARTS, 0.0)
    for term in spent.terms:
        parts[term.part] += term.amount / profile.clock_hz
    return LayerCost(
        work.layer, work.op, work.format, how, work.macs, work.elements, *sizes,
        time.value, time.low, time.high, energy.value, energy.low, energy.high,
        basis_text(spent.terms) if runner is not None else "not supported",
        spent.bound if time.value > 0 else "", spent.bytes_moved, *parts.values(),
    )  # fmt: skip


def _total(
    graph: Graph,
    profile: HardwareProfile,
    costs: Costs,
    rows: list[LayerCost],
    terms: list[Term],
    parts: FlashParts,
    ram: Interval,
) -> CostEstimate:
    cycles = combine(terms, costs.latency.network_uncertainty)
    time = Interval(cycles.value / profile.clock_hz, cycles.relative)
    energy = product(time, costs.energy.active_power_w)
    power = costs.energy.active_power_w.basis
    supported = all(row.basis != "not supported" for row in rows)
    basis = basis_text(terms) if supported else "not supported"
    on_host = [row for row in rows if row.emulation == "host"]
    own = costs.memory.runtime_ram_bytes
    own_ram = Interval(own.value, own.uncertainty)
    return CostEstimate(
        graph=graph.name,
        profile=profile.name,
        layers=tuple(rows),
        macs=sum(row.macs for row in rows),
        flash_bytes=round(parts.weights.value + parts.parameters.value),
        runtime_flash_bytes=round(parts.runtime.value),
        ram_peak_bytes=round(ram.value),
        runtime_ram_bytes=round(costs.memory.runtime_ram_bytes.value),
        latency_s=time.value,
        latency_low_s=time.low,
        latency_high_s=time.high,
        energy_j=energy.value,
        energy_low_j=energy.low,
        energy_high_j=energy.high,
        basis=basis,
        energy_basis=f"latency {basis}, power {power}",
        host_flash_bytes=_host_flash(graph, profile, rows),
        host_share=sum(row.latency_s for row in on_host) / time.value if on_host and supported else 0.0,
        flash_low_bytes=round(parts.total.low),
        flash_high_bytes=round(parts.total.high),
        ram_low_bytes=round(ram.low + own_ram.low),
        ram_high_bytes=round(ram.high + own_ram.high),
    )


def _host_flash(graph: Graph, profile: HardwareProfile, rows: Sequence[LayerCost]) -> int:
    """Return the bytes in the host's own flash (0: it has none): all constants once, and its runtime where it runs layers."""
    host = host_of(profile)
    if host is None or profile.fallback is None or profile.fallback.flash_bytes is None:
        return 0
    runs = any(row.emulation == "host" for row in rows)
    code = round(host.costs.memory.runtime_flash_bytes.value) if runs and host.costs is not None else 0
    return sum(stored_once(graph, graph.nodes, [(row.weight_bytes, row.parameter_bytes) for row in rows])) + code
