"""What kernels, networks, sweeps and starts are meant to reach, what was measured, and where the time goes when they do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.throughput import PART, WHOLE, fastest
from benchmarks.timing import Middle, Times

Results = dict[str, Any]
"""Section -> its figures; None where it did not run."""

COMPARED = ("ResNet-8", "ResNet-8-large", "MobileNetV1-0.25", "DS-CNN")
RULES = ("double", "float32_half_even")
OVER_REFERENCE = 75
SWEEPS = {  # (model, formats) -> (name, samples, seconds)
    ("ic_resnet8_int8", "w8a8,w4a8"): ("ResNet-8, W{4,8}", 846, 8),
    ("ic_resnet8_int8", "w8a8,w4a8,w2a8"): ("ResNet-8, W{2,4,8}", 846, 150),
    ("kws_ref_int8", "w8a8,w4a8"): ("DS-CNN, W{4,8}", 1000, 8),
}
SWEEP_MB = 2000
STARTS = {"workbench --help": 0.4, "emulate, empty cache": 10.0, "emulate, filled cache": 1.0}


class Target(NamedTuple):
    """One line: what is wanted, what was found, whether that is enough (None: nothing was asked for), and why not."""

    wanted: str
    found: str
    reached: bool | None
    why: str = ""


def interval(r: Middle, digits: int = 2) -> str:
    """Return "median (low-high)"."""
    return f"{r.median:.{digits}f} ({r.low:.{digits}f}-{r.high:.{digits}f})"


def percent(of_peak: list[float]) -> str:
    """Return the median of a share."""
    return f"{of_peak[0]:.0%}"


def network(results: Results, name: str) -> dict[str, Any] | None:
    """Return the throughput of one network."""
    rows = (results.get("throughput") or {"networks": []})["networks"]
    return next((row for row in rows if row["network"] == name), None)


def layers_of(results: Results, name: str, rule: str) -> list[dict[str, Any]]:
    """Return the layers of one network under a rule, none when they were not measured."""
    networks = (results.get("layers") or {"networks": {}})["networks"]
    found: list[dict[str, Any]] = networks.get(name, {"rules": {}})["rules"].get(rule, [])
    return found


def small_windows(results: Results) -> list[tuple[str, dict[str, Any]]]:
    """Return (rule, layer) of the 3 x 3 convolutions of ResNet-8."""
    return [
        (rule, row) for rule in RULES for row in layers_of(results, "ResNet-8", rule)
        if row["op"] == "conv2d" and row["w"][1:3] == [3, 3]
    ]  # fmt: skip


def title(row: dict[str, Any]) -> str:
    """Return what a convolution is."""
    o, kh, kw, c = row["w"]
    return f"{kh} x {kw}, {c} to {o} channels at {row['shape'][0]} x {row['shape'][1]}"


def shares(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the microseconds per sample of every part of some layers."""
    parts = {part: sum(row.get(part, 0.0) for row in rows) / 1e3 for part in ("product", "load", "requantize", "call")}
    return parts | {"other operators": sum(row["whole"] for row in rows if "product" not in row) / 1e3}


def spelled(rows: list[dict[str, Any]]) -> str:
    """Return the microseconds of some layers and their parts in words; nothing when they were not measured."""
    if not rows:
        return ""
    parts = ", ".join(f"{name} {us:.1f}" for name, us in shares(rows).items() if us)
    return f". Layer by layer {sum(row['whole'] for row in rows) / 1e3:.1f} us: {parts}"


def products(results: Results) -> Iterator[Target]:
    """Yield the targets of matrix products and convolutions."""
    rows = [r for r in (results.get("gemm") or {"gemm": []})["gemm"] if r["kind"] == "bytes" and r["k"] >= 128 and r["n"] >= 48]
    if rows:
        low = min(rows, key=lambda r: r["tiles"]["of_peak"][0])
        whole = min(rows, key=lambda r: r["layer"]["of_peak"][0])
        count = sum(r["tiles"]["of_peak"][0] >= 0.8 for r in rows)
        yield Target(
            "GEMM kernels: at least 80 % of the instruction's peak for K >= 128, N >= 48",
            f"{count} of {len(rows)} shapes, lowest {percent(low['tiles']['of_peak'])} (K {low['k']}, N {low['n']}); loads and "
            f"requantization included: lowest {percent(whole['layer']['of_peak'])} (K {whole['k']}, N {whole['n']})",
            count == len(rows),
        )
    found = small_windows(results)
    if found:
        missed = [(rule, row) for rule, row in found if row["of_peak"][0] < 0.5]
        why = "; ".join(
            f"{title(row)} under `{rule}`: {percent(row['of_peak'])}; {row['macs'] / row['executed']:.0%} of the registers' products "
            f"are its own, the rest pads K {np.prod(row['w'][1:])} and N {row['w'][0]}{spelled([row])}"
            for rule, row in missed
        )
        low = min((row for _, row in found), key=lambda r: r["of_peak"][0])
        yield Target(
            "3 x 3 convolutions of ResNet-8, requantization included: at least 50 % of the peak",
            f"{len(found) - len(missed)} of {len(found)} (layers x rules), lowest {percent(low['of_peak'])} ({title(low)})",
            not missed, why,
        )  # fmt: skip


def over_default(results: Results, row: dict[str, Any], rule: str) -> Target:
    """Return the target of one network beside LiteRT's default kernels: the faster of the two large batches."""
    times, base = Times(row["seconds"]), fastest(row, "default")
    key = min((f"{rule}/{batch}/1" for batch in (WHOLE, PART)), key=times.seconds)
    ratio, layers = times.ratio(key, base), layers_of(results, row["network"], rule)
    bound = row["macs"] / results["machine"]["noise"]["bytes"] / 1e3
    why = (
        f"{row['network']} under `{rule}` takes {1e6 * times.seconds(key):.1f} us a sample, LiteRT {1e6 * times.seconds(base):.1f}; "
        f"the products alone need {bound:.1f} us at the peak{spelled(layers)}"
    )
    return Target(
        f"{row['network']}, `{rule}`, one thread: at least 1.0 x LiteRT's default kernels",
        f"{interval(ratio)} at batch {key.split('/')[1]}, LiteRT's fastest at batch {base.split('/')[1]}", ratio.median >= 1, why,
    )  # fmt: skip


def over_reference(results: Results, row: dict[str, Any]) -> Target:
    """Return the target beside LiteRT's reference kernels, with what the peak allows."""
    times, base, noise = Times(row["seconds"]), fastest(row, "reference"), results["machine"]["noise"]
    ratios = {rule: times.ratio(fastest(row, rule), base) for rule in RULES}
    theirs, bound = 1e6 * times.seconds(base), row["macs"] / noise["bytes"] / 1e3
    wanted = theirs / OVER_REFERENCE
    return Target(
        f"{row['network']}, one thread: at least {OVER_REFERENCE} x LiteRT's reference kernels",
        ", ".join(f"`{rule}` {interval(r, 1)}" for rule, r in ratios.items()),
        all(r.median >= OVER_REFERENCE for r in ratios.values()),
        f"The reference kernels take {theirs:.0f} us a sample; a {OVER_REFERENCE}th of that is {wanted:.1f} us. The "
        f"{row['macs'] / 1e6:.2f} million products alone take {bound:.1f} us at the measured peak of {noise['bytes']:.0f} GMAC/s "
        f"({instructions(noise)}): x {theirs / bound:.0f} is the most that these instructions allow on one core of this CPU, with "
        f"nothing else to do, {'less' if bound > wanted else 'more'} than the target. LiteRT's default kernels reach x "
        f"{interval(times.ratio(fastest(row, 'default'), base), 1)}",
    )  # fmt: skip


def instructions(noise: dict[str, Any]) -> str:
    """Return the peak in instructions: a wide one that a CPU runs as two halves is started every second time only."""
    rate = noise["per_cycle"] / noise["per_instruction"]
    return f"{noise['per_cycle']} products a cycle at {noise['ghz']:.2f} GHz: {rate:.1f} instructions of {noise['per_instruction']}"


def two_threads(results: Results) -> Iterator[Target]:
    """Yield the target of two threads."""
    rows = results["throughput"]["networks"]
    ratios = {
        (row["network"], rule): Times(row["seconds"]).ratio(f"{rule}/{WHOLE}/2", f"{rule}/{WHOLE}/1")
        for row in rows
        for rule in RULES
    }
    control = Middle(*results["machine"]["noise"]["two_threads"])
    low = min(ratios, key=lambda k: ratios[k].median)
    missed = [f"{name} `{rule}` {interval(r)}" for (name, rule), r in ratios.items() if r.median < 1.8]
    yield Target(
        f"two threads: at least 1.8 x one (batch {WHOLE}, every network and rule)",
        f"{len(ratios) - len(missed)} of {len(ratios)}, lowest {interval(ratios[low])} ({low[0]}, `{low[1]}`)", not missed,
        f"Two register loops, which share nothing, reach {interval(control)} on this machine; below 1.8: {', '.join(missed)}",
    )  # fmt: skip


def networks(results: Results) -> Iterator[Target]:
    """Yield the targets of whole networks."""
    for name in COMPARED:
        row = network(results, name)
        if row is not None:
            yield from (over_default(results, row, rule) for rule in RULES)
    row = network(results, "ResNet-8")
    if row is not None:
        yield over_reference(results, row)
        times = Times(row["seconds"])
        found = (f"`{rule}` {interval(times.ratio(fastest(row, rule), 'tflite-micro/1/1'), 0)}" for rule in RULES)
        yield Target("ResNet-8: the ratio to tflite-micro is printed", ", ".join(found), None)
        yield from two_threads(results)


def sweeps(results: Results) -> Iterator[Target]:
    """Yield the targets of the sweeps that ran on all samples."""
    for row in (results.get("sweeps") or {"sweeps": []})["sweeps"]:
        name, samples, seconds = SWEEPS[row["model"], row["formats"]]
        if row["samples"] < samples:
            continue
        title = f"{name}, all {row['plans']:,.0f} plans on {samples:,} samples"
        yield Target(
            f"{title}: at most {seconds} s and {SWEEP_MB:,} MB", f"{row['seconds']:.1f} s, {row['rss_mb']:,.0f} MB",
            row["seconds"] <= seconds and row["rss_mb"] <= SWEEP_MB,
            f"{row['processor']:.1f} s of processor time; its parts stand below, under the sweeps",
        )  # fmt: skip
        found = f"{row['differ']:.0f} of {row['compared']:.0f} random plans differ"
        yield Target(f"{title}: equal to a plain loop, bit for bit", found, row["differ"] == 0, "A defect")


def starts(results: Results) -> Iterator[Target]:
    """Yield the targets of the command line."""
    for name, row in (results.get("startup") or {"runs": {}})["runs"].items():
        yield Target(
            f"{name}: at most {STARTS[name]} s", f"{row['wall_s']:.2f} s", row["wall_s"] <= STARTS[name],
            f"{row['cpu_s']:.2f} s of processor time; its parts stand below, under start-up",
        )  # fmt: skip


def targets(results: Results) -> list[Target]:
    """Return every target that the measured sections have figures for."""
    return [t for part in (products, networks, sweeps, starts) for t in part(results)]
