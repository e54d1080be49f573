"""Synthetic study results for the report: every status, with and without labels, short and long networks, hostile names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from workbench.cost import CostEstimate, LayerCost
from workbench.evaluate import Record
from workbench.hardware.profile import HardwareProfile, load_profile
from workbench.metrics import METRICS
from workbench.precision import PrecisionPlan
from workbench.quantize import PlanFile
from workbench.results import Status, StudyResult, TargetResult
from workbench.search import Candidate, Limits, choose, pareto
from workbench.statistics import Difference, paired_difference
from workbench.sweep import Group, LayerError, Sensitivity

HOSTILE = "<script>alert('x')</script>&\"$\\frac{"
SMALL = ("conv1", "dw2", "pw2", "dw3", "pw3", "dw4", "pw4", "residual_add", "pool", "dense", "softmax")
LONG_NAME = "mobilenet_v2/block_12/expand/Conv2D;mobilenet_v2/block_12/expand_relu/Relu6"
LIMITS = Limits(drop=0.01, flash=2**21, ram=655_360)
LEFT_OUT = (("fp16", "conv2d in fp16 is not supported (node 'conv1'; the target has w8a8, w4a8)"),)
GAP = (
    "flash: at least 42.1 KiB (w2a8 everywhere), limit 32 KiB: 10.1 KiB too much.\n"
    "Levers: offer formats with fewer weight bits, prune or cluster the weights, or take a device with more flash."
)
BITS_LOSS = {"w8a8": 0.0, "w8a16": 0.0, "w4a8": 0.004, "w4a8-per-tensor": 0.03, "w2a8": 0.12, "fp16": -0.0005}


def between(base: Record, other: Record) -> Difference:
    return paired_difference(base.evidence, other.evidence)


def op_of(layer: str) -> str:
    for mark, op in (
        ("dw", "depthwise_conv2d"),
        ("dense", "fully_connected"),
        ("add", "add"),
        ("pool", "avg_pool2d"),
        ("softmax", "softmax"),
    ):
        if mark in layer:
            return op
    return "conv2d"


def weighted(layers: Sequence[str]) -> list[str]:
    return [n for n in layers if op_of(n) in ("conv2d", "depthwise_conv2d", "fully_connected")]


class Maker:
    """Makes the records of one target. fragility: layer -> factor on the loss of fewer bits."""

    def __init__(
        self, layers: Sequence[str], labels: bool = True, seed: int = 0, samples: int = 1000, profile: str = "target"
    ) -> None:
        self.layers, self.labels, self.samples, self.profile = tuple(layers), labels, samples, profile
        self.rng = np.random.default_rng(seed)
        self.fragility = {n: float(self.rng.lognormal(-0.3, 0.9)) for n in weighted(layers)}

    def loss(self, plan: PrecisionPlan) -> float:
        return 1.0 - math.prod(1.0 - min(BITS_LOSS[plan.format_of(n).name] * f, 0.8) for n, f in self.fragility.items())

    def record(self, plan: PrecisionPlan, data: str = "selection") -> Record:
        wrong = self.rng.permutation(self.samples)
        base = np.random.default_rng(len(data)).random(self.samples) < (0.902 if data == "selection" else 0.893)
        lost = self.loss(plan)
        flips = np.zeros(self.samples, bool)
        flips[wrong[: round(self.samples * max(lost, 0.0) * 1.2)]] = True
        flips |= self.rng.random(self.samples) < 0.002 * len(plan.layers)
        correct = np.where(flips & (self.rng.random(self.samples) < 0.85), False, np.where(flips, True, base))
        db = 34.0 - 60.0 * lost + float(self.rng.normal(0, 0.2)) - 0.3 * len(plan.layers)
        metrics = {"sqnr_db": db, "mse": 10 ** (-db / 10), "agreement": float(1 - flips.mean())}
        if self.labels:
            metrics |= {"top1": float(correct.mean()), "cross_entropy": 0.28 + 2.5 * max(lost, 0.0)}
        predictions = np.where(flips, 1, 0).astype(np.int64)
        return Record(
            f"key-{plan.label()[:40]}",
            self.profile,
            plan,
            data,
            self.samples,
            metrics,
            predictions,
            correct if self.labels else ~flips,
            None,
            "top1" if self.labels else "agreement",
        )

    def cost(self, plan: PrecisionPlan) -> CostEstimate:
        rows = []
        for i, layer in enumerate(self.layers):
            fmt = plan.format_of(layer)
            has = layer in self.fragility
            weights = (64 + 977 * ((i * 7) % 11) ** 2) if has else 0
            macs = weights * (300 - 3 * min(i, 90)) if has else 0
            seconds = (macs * (1.0 if fmt.weight_bits >= 8 else 1.15) + 20_000) / 60e6
            rows.append(
                LayerCost(
                    layer,
                    op_of(layer),
                    fmt.name if has else f"a{fmt.activation_bits}",
                    "unpack" if has and fmt.weight_bits < 8 else "",
                    macs,
                    10_000,
                    weights * fmt.weight_bits // 8,
                    8 * 32 if has else 0,
                    18_000 - 100 * i,
                    seconds,
                    seconds / 1.3,
                    seconds * 1.3,
                    seconds * 0.04,
                    seconds * 0.04 / 1.5,
                    seconds * 0.04 * 1.5,
                    "same device and runtime",
                    ("compute", "memory", "overhead")[i % 3] if has else "overhead",
                    (weights * fmt.weight_bits // 8 + 8 * 32 if has else 0) + 20_000,
                    0.6 * seconds,
                    0.1 * seconds if has and fmt.weight_bits < 8 else 0.0,
                    0.2 * seconds,
                    (0.1 if has and fmt.weight_bits < 8 else 0.2) * seconds,
                )
            )
        time = sum(r.latency_s for r in rows)
        return CostEstimate(
            "net",
            self.profile,
            tuple(rows),
            sum(r.macs for r in rows),
            sum(r.flash_bytes for r in rows),
            38_000,
            max(r.ram_bytes for r in rows) + 900,
            4_000,
            time,
            time / 1.15,
            time * 1.15,
            time * 0.04,
            time * 0.04 / 1.35,
            time * 0.04 * 1.35,
            "same device and runtime",
            "latency fitted, power data_sheet",
        )

    def sensitivity(self, group: Group, fmt: str, baseline: PrecisionPlan, base: Record) -> Sensitivity:
        plan = group.plan(baseline, fmt)
        record = self.record(plan)
        change = between(base, record)
        entropy = record.metrics.get("cross_entropy")
        return Sensitivity(
            group,
            fmt,
            plan,
            record,
            change,
            int((record.predictions != base.predictions).sum()),
            None if entropy is None else entropy - base.metrics["cross_entropy"],
            record.metrics["sqnr_db"],
            record.metrics["mse"] - base.metrics["mse"],
        )

    def candidate(
        self,
        plan: PrecisionPlan,
        base: Record,
        confirm: Record | None,
        singles: Mapping[tuple[str, str], Sensitivity],
        limits: Limits,
    ) -> Candidate:
        record = self.record(plan) if plan.layers else base
        cost = self.cost(plan)
        change = between(base, record)
        parts = [singles[item] for item in plan.layers if item in singles]
        drop = -sum(s.change.estimate for s in parts)
        within = (
            record.metrics["sqnr_db"] >= (limits.sqnr_db or -math.inf)
            and -change.estimate <= (limits.drop or 1.0)
            and (limits.flash is None or cost.flash_bytes <= limits.flash)
        )
        found = Candidate(plan, cost, sum(s.predicted_loss for s in parts), drop, record, change, within)
        if confirm is None:
            return found
        again = self.record(plan, "confirmation") if plan.layers else confirm
        confirm_change = between(confirm, again)
        return Candidate(plan, cost, found.predicted_loss, drop, record, change, within, again, confirm_change, confirm, 0.005)


def errors(layers: Sequence[str], fmt: str, seed: int) -> tuple[LayerError, ...]:
    rng = np.random.default_rng(seed)
    step = {"w8a8": 0.0, "fp16": -28.0}.get(fmt, 6.0 + 6.0 * fmt.startswith("w2"))
    local = 36.0 - step + rng.normal(0, 2.5, len(layers))
    return tuple(
        LayerError(n, fmt, float(v), float(min(v, 34 - step) - 0.25 * i))
        for i, (n, v) in enumerate(zip(layers, local, strict=True))
    )


def target(
    name: str,
    layers: Sequence[str] = SMALL,
    formats: Sequence[str] = ("w8a8", "w4a8", "w4a8-per-tensor", "w2a8"),
    *,
    labels: bool = True,
    seed: int = 1,
    limits: Limits = LIMITS,
    proposals: int = 14,
    status: Status = "chosen",
    confirm: bool = True,
    samples: int = 1000,
) -> TargetResult:
    make = Maker(layers, labels, seed, samples, name)
    metric = METRICS["top1" if labels else "agreement"]
    baseline = PrecisionPlan.of(formats[0])
    base = make.record(baseline)
    base_confirm = make.record(baseline, "confirmation") if confirm else None
    groups = [Group(n, (n,)) for n in weighted(layers)]
    if len(groups) > 4:
        groups[2:4] = [Group(groups[2].name, (*groups[2].layers, *groups[3].layers))]
    sens = [make.sensitivity(g, f, baseline, base) for g in groups for f in formats[1:]]
    singles = {(layer, s.format): s for s in sens for layer in s.group.layers[:1]}
    rng = np.random.default_rng(seed + 50)
    plans = [baseline]
    for share in np.linspace(0.05, 1.0, proposals if sens else 0):
        ordered = sorted(make.fragility, key=lambda n: make.fragility[n])
        taken = ordered[: max(1, round(share * len(ordered)))]
        hard = [f for f in formats if f.startswith("w2")] if share > 0.8 and rng.random() < 0.4 else []
        plans.append(baseline.replace({n: (hard or [formats[1]])[0] for n in taken}))
    found = [make.candidate(p, base, base_confirm, singles, limits) for p in dict.fromkeys(plans)]
    chosen, found = choose(found, baseline, limits, "flash", metric)
    if status == "nothing_fits":
        chosen = None
    text = PlanFile(chosen.plan).to_yaml(f"study sample, target {name}") if chosen else ""
    verdict = (
        f"{name}: nothing fits: {GAP.splitlines()[0]}"
        if chosen is None
        else (
            f"{name}: put dw2, pw3 at {formats[-1]}, keep the rest at {formats[0]}: flash 31.2 KiB (-38 %), "
            f"top-1 -0.3 points [-0.9, +0.2] on {samples:,} samples that did not choose it."
        )
    )
    return TargetResult(
        profile=profile(name),
        status=status,
        verdict=verdict,
        message=GAP if chosen is None else "",
        objective="flash",
        limits=limits,
        metric=metric,
        groups=tuple(groups),
        formats=tuple(formats),
        left_out=LEFT_OUT,
        baseline_plan=baseline,
        baseline=base,
        baseline_confirm=base_confirm,
        baseline_cost=make.cost(baseline),
        reference_figure=0.905 if labels else None,
        sensitivities=tuple(sens),
        layer_errors={f: errors(weighted(layers), f, seed + i) for i, f in enumerate(formats)},
        candidates=tuple(found),
        frontier=tuple(pareto(found, "flash", metric)),
        chosen=chosen,
        plan_yaml=text,
        notes=("Bits: requantization checked on 1,000 rows of the board", "Decided together: pw2, dw3."),
    )


def profile(name: str) -> HardwareProfile:
    base = load_profile("stm32l4r5-cortex-m4-tflm")
    return base.model_copy(
        update={
            "name": name,
            "title": "STM32L4R5 at 120 MHz (Cortex-M4) with TensorFlow Lite Micro",
            "exactness": "double rounding; equal to the board in 1000 of 1000 rows of keyword spotting outputs",
            "runtime": "TensorFlow Lite Micro 2023-10, CMSIS-NN 4.1",
        }
    )


def study(*targets: TargetResult, layers: Sequence[str] = SMALL, name: str = "sample", samples: int = 1000) -> StudyResult:
    return StudyResult(
        name=name,
        title="Fashion-MNIST on a microcontroller, an NPU and a GPU",
        model="fashion_cnn",
        layers=tuple(layers),
        selection_samples=samples,
        confirmation_samples=samples,
        data_names={
            "calibration": "fashion_mnist.npz#calibration_x",
            "selection": "fashion_mnist.npz#test_x, 1000 to choose",
            "confirmation": "fashion_mnist.npz#test_x, 1000 to confirm",
        },
        spec={
            "study": name,
            "model": "models/fashion_cnn.onnx",
            "formats": {"search": ["w8a8", "w4a8"], "baseline": ["w8a8"]},
            "seed": 0,
            "sweep": {"layer_error_samples": 64},
        },
        manifest={
            "created": "2026-11-21T07:12:33+00:00",
            "python": "3.11.9",
            "machine": "Linux x86_64",
            "packages": {"numpy": "2.4.1", "numba": "0.68.0"},
            "commit": "0123456789abcdef",
            "kernel_sources": "ab" * 16,
            "seed": "0",
        },
        targets=tuple(targets),
    )


def full_study() -> StudyResult:
    """One target of every status."""
    missing = TargetResult(
        profile("ethos-u55-128"),
        "not_supported",
        "ethos-u55-128: none of the baseline formats (fp16) runs on this target.",
        "fp16: conv2d in fp16 is not supported (node 'conv1'; the target has w8a8, w8a16)",
        "flash",
        Limits(),
        METRICS["top1"],
        left_out=(("fp16", "conv2d in fp16 is not supported (node 'conv1'; the target has w8a8, w8a16)"),),
    )
    return study(
        target("stm32l4r5-cortex-m4-tflm"),
        target("stm32g0b1-cortex-m0plus-tflm", seed=7, status="nothing_fits", limits=Limits(drop=0.01, flash=32768, ram=65536)),
        missing,
        target("nvidia-h100", formats=("fp16",), seed=3, status="nothing_to_choose"),
        target("unlabelled-target", labels=False, seed=5, limits=Limits(sqnr_db=25.0, flash=2**21), confirm=False),
    )


__all__ = ["HOSTILE", "LONG_NAME", "SMALL", "Limits", "full_study", "study", "target"]
