"""The model of the tables of accelerators and application processors: log latency as a sum of effects.

    log seconds = device + runtime + precision + structure of the network + network + what pairs of them do to each other +
    noise

Structure enters by multiply-accumulates first; the effects of devices, networks and pairs are shrunk towards what their
class, family and structure say, as far as the rows support it (`many_effects`). A new device is its class at its data-sheet
rate, a new network its structure and family.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import exp, isfinite, log

from workbench.calibrate.effects import Effects, Prior, Terms
from workbench.calibrate.family import Json, Sample
from workbench.calibrate.mac_line import Lines
from workbench.calibrate.many_effects import fit_many_effects, packed, unpacked
from workbench.calibrate.table_facts import USUAL_ACTIVATIONS, USUAL_LAYERS, USUAL_PARAMS, TableFacts
from workbench.hardware.costs import Basis

PRIORS: dict[str, Prior] = {"all": Prior(0.0, 5.0), "ideal": Prior(1.0, 0.1)}
"""A constant, and how latency follows the ideal one of the data sheets."""
GUESSES = {
    "rate": 0.3, "bytes": 0.2, "kernels": 0.5, "class": 0.5, "device": 0.5, "device x precision": 0.15,
    "target": 0.15, "target x precision": 0.1, "threads": 0.3, "task": 0.2,
    "family": 0.2, "family x kernels": 0.15, "family x device": 0.15,
    "guessed": 0.7, "guessed network": 0.9, "guessed x structure": 0.3,
    "network": 0.4, "network x kind": 0.2, "network x kernels": 0.1, "network x class": 0.1,
    "network x rate": 0.2, "network x threads": 0.1,
    "structure": 0.15, "structure x kernels": 0.07, "structure x class": 0.05, "structure x device": 0.05,
    "structure x rate": 0.05, "structure x device x precision": 0.03,
}  # fmt: skip
"""All other kinds of effects are around 0, their spread (in logs) found from the rows with these as first guesses: things
that are the same in fewer rows are worth less; a feature of the structure moves by a few units.
"""
REFERENCE_RATE, REFERENCE_BYTES = log(1e12), log(5e10)
USUAL_RATE = {"npu": log(3e12), "gpu": log(1e12), "cpu": log(5e10)}
USUAL_BYTES = {"npu": log(2e10), "gpu": log(5e10), "cpu": log(1e10)}
LAUNCH_S = {"npu": 3e-6, "gpu": 8e-6, "cpu": 5e-6}
"""Where the strings tell nothing: multiply-accumulates and bytes a second, seconds to begin a layer; orders of magnitude."""
TRUST = {"npu": 1.0, "gpu": 0.8, "cpu": 0.6}
"""Exponent of the peak rates: an NPU of one maker gains what its data sheet promises, processors less (memory, threads that
wait).
"""
USE = 0.3
"""Share of the peak rate that a usual network reaches."""
BROAD = ("macs", "params", "activations", "depthwise", "attention")
NPU = ("small", "over 3 M", "over 10 M", "over 30 M", "grouped", "host layers")
"""Features that have effects per device; for NPUs, whose compilers treat networks differently, more of them."""


def terms(facts: TableFacts, device: str) -> Terms:
    """Return the effects of a row and their coefficients."""
    e, precision, network, family = facts.engine, facts.precision, facts.network, facts.family
    here, kernels = f"{device.replace('|', '/').strip()}|{e.kind}", f"{facts.runtime} {precision}"
    macs = log(facts.macs / 1e9) if facts.macs > 0 else 0.0
    rate = (e.log_rate if isfinite(e.log_rate) else USUAL_RATE[e.kind]) - REFERENCE_RATE
    found: dict[tuple[str, str], float] = {("all", ""): 1.0, ("ideal", ""): ideal(facts), ("rate", e.kind): rate}
    if isfinite(e.log_bytes):
        found["bytes", e.kind] = e.log_bytes - REFERENCE_BYTES
    ones = {
        "kernels": kernels, "class": _class(facts), "device": here, "device x precision": f"{here}|{precision}",
        "target": facts.target, "target x precision": f"{facts.target}|{precision}", "family": family, "task": facts.task,
        "network": network, "network x kind": f"{network}|{e.kind}", "network x kernels": f"{network}|{kernels}",
        "family x kernels": f"{family}|{kernels}", "threads": f"{e.kind} {e.threads:g}",
    }  # fmt: skip
    if e.kind == "npu":
        ones["family x device"] = f"{family}|{here}"
    elif e.kind == "gpu":
        ones["network x class"] = f"{network}|{e.name}"
    found |= dict.fromkeys(ones.items(), 1.0)
    if not facts.known:
        found["guessed", e.kind] = found["guessed network", network] = 1.0
        found |= {("guessed x structure", feature): facts.features[feature] for feature in ("side", "params")}
    found["network x rate", network] = 0.3 * rate
    found["network x threads", f"{network}|{e.kind}"] = 0.5 * log(e.threads)
    for feature, value in {"macs": macs, **facts.features}.items():
        found["structure", feature] = value
        found["structure x kernels", f"{feature}|{kernels}"] = value
        found["structure x rate", f"{feature}|{e.kind}"] = 0.3 * value * rate
        if feature in BROAD or (feature in NPU and e.kind == "npu"):
            found["structure x class", f"{feature}|{e.name}"] = value
            found["structure x device", f"{feature}|{here}"] = value
    found["structure x device x precision", f"macs|{here}|{precision}"] = macs
    return found


def ideal(facts: TableFacts) -> float:
    """Return the log of the seconds that the data sheets allow: arithmetic, then weights and activations moved once, then
    launches.
    """
    e, f = facts.engine, facts.features
    usual = USUAL_RATE[e.kind]
    rate = exp(usual + TRUST[e.kind] * (e.log_rate - usual) if isfinite(e.log_rate) else usual)
    memory = exp(e.log_bytes if isfinite(e.log_bytes) else USUAL_BYTES[e.kind])
    width = {"int8": 1, "int16": 2, "fp16": 2}.get(facts.precision.split()[0], 4)
    macs = facts.macs if facts.macs > 0 else 1e9
    moved = width * (USUAL_PARAMS * exp(f["params"]) + 2 * USUAL_ACTIVATIONS * exp(f["activations"]))  # written, read
    return log(macs / (USE * rate) + moved / memory + LAUNCH_S[e.kind] * USUAL_LAYERS * exp(f["layers"]))


class TablesModel:
    """A fitted sum of effects, beside the line in MACs alone that was fitted on the same rows. seen: digests of their classes
    and targets.
    """

    def __init__(self, effects: Effects, lines: Lines, seen: frozenset[str]) -> None:
        self.effects, self.lines, self.seen = effects, lines, seen

    def predict(self, sample: Sample) -> float:
        """Return seconds."""
        return exp(min(max(self.effects.value(terms(sample.facts, sample.device)), -25.0), 15.0))

    def basis(self, sample: Sample) -> Basis:
        """Return what the seconds rest on: rows of this target, of its class, or of anything."""
        facts: TableFacts = sample.facts
        if _digest(facts.target) in self.seen:
            return "same device and runtime"
        return "same core class" if _digest(_class(facts)) in self.seen else "assumed"

    def baseline(self, sample: Sample) -> float | None:
        """Return the seconds of the line in MACs alone."""
        return self.lines.predict(sample)

    def to_json(self) -> Json:
        """Return the effects and lines."""
        return {"effects": packed(self.effects), "lines": self.lines.to_json(), "seen": sorted(self.seen)}


def fit(samples: Sequence[Sample]) -> TablesModel:
    """Return the model of some rows."""
    rows = [terms(s.facts, s.device) for s in samples]
    kinds = {kind for row in rows for kind, _ in row}
    effects = fit_many_effects(
        rows, [log(s.measured) for s in samples], {kind: PRIORS.get(kind, Prior()) for kind in kinds}, GUESSES
    )
    return TablesModel(
        effects, Lines.fit(samples), frozenset(_digest(name) for s in samples for name in (s.facts.target, _class(s.facts)))
    )


def load(value: Json) -> TablesModel:
    """Return the model that `to_json` wrote."""
    return TablesModel(unpacked(value["effects"]), Lines.load(value["lines"]), frozenset(value["seen"]))


def _class(facts: TableFacts) -> str:
    return f"{facts.engine.kind} {facts.engine.name}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
