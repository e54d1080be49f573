"""Fit the cycle constants of the Cortex-M profiles to published MLPerf Tiny latencies; print predicted against measured.

Model, for one network on one device with one runtime:

    cycles = sum over layers of  macs * c[kind] + outputs * c[output] + elements * c[element] + c[layer]

kind: `pointwise`, `conv`, `shallow` (convolution of fewer than 4 input channels: no 32-bit word of four channels to load),
`depthwise`, `fully_connected`. Networks are few (three or four per runtime), constants are eight, so the constants of all
runtimes are fitted at once: log c = mean[kind] + deviation[runtime, kind] + scale[runtime, device], with normal priors on
each part (sigmas below). A constant that the rows hardly inform stays at the mean and is labelled `assumed`.

Rows left out, with the reason: streaming wake word (its time contains the audio front end: 2.6 cycles a MAC against 1.4 of
the same runtime on other networks), rows with weights in RAM (another memory), fp32 rows.

Usage: python benchmarks/fit_cortex_m.py [--data ../shared/ground_truth]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

KINDS = ("pointwise", "conv", "shallow", "depthwise", "fully_connected", "output", "element", "layer")
PRIOR = np.log([1.0, 1.2, 2.5, 3.5, 1.6, 10.0, 8.0, 2000.0])
"""Cycles before any row is seen: ratios as of the RP2040 layers (layers.csv: depthwise / pointwise 4-5, output / MAC 13)."""
SIGMA_MEAN = np.array([0.25, 0.25, 0.5, 0.4, 0.4, 0.5, 0.5, 0.7])
SIGMA_DEVIATION, SIGMA_SCALE, SIGMA_ROW = 0.25, 1.5, 0.04
RUNTIMES = {
    "tflm-2.3.1": ("TFLM 2.3.1 reference kernels",),
    "microtvm-cmsis-nn": ("microTVM+CMSIS-NN",),
    "x-cube-ai-7.1": ("X-CUBE-AI 7.1.0",),
    "x-cube-ai-7.3": ("X-CUBE-AI 7.3.0", "X-CUBE-AI 8.0.0"),
    "x-cube-ai-8.1": ("X-CUBE-AI 8.1.0",),
    "x-cube-ai-9-10": ("X-CUBE-AI 9.0", "X-CUBE-AI 10.2"),
    "plumerai-2022": ("Plumerai (2022)", "Plumerai (2022-11)"),
    "plumerai-2023": ("Plumerai 2023.05",),
    "hale": ("Bosch HALE", "Bosch HALE 1.0.175"),
}
DEVICES = ("STM32L4R5", "STM32U575", "STM32H7A3", "STM32F746")
PROFILES = {
    "stm32l4r5-cortex-m4-tflm": ("tflm-2.3.1", "STM32L4R5"),
    "stm32l4r5-cortex-m4-xcubeai": ("x-cube-ai-9-10", "STM32L4R5"),
    "stm32h7a3-cortex-m7-xcubeai": ("x-cube-ai-9-10", "STM32H7A3"),
    "cortex-m-cmsis-nn-single-rounding": ("microtvm-cmsis-nn", "STM32L4R5"),
}
"""Profile -> the runtime and device whose constants it carries."""
Z80 = 1.2816
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One published latency, in cycles."""

    runtime: str
    device: str
    network: str
    version: str
    cycles: float


@dataclass(frozen=True)
class Fit:
    """Fitted parameters: log cycles and the posterior standard deviation of each constant."""

    mean: Vector
    deviation: dict[str, Vector]
    scale: dict[tuple[str, str], float]
    sd: dict[tuple[str, str], Vector]

    def constants(self, runtime: str, device: str) -> Vector:
        """Return the eight constants in cycles."""
        return np.exp(self.mean + self.deviation[runtime] + self.scale[runtime, device])


def _dims(text: object) -> list[int]:
    return [int(v) for v in str(text).split("x")] if isinstance(text, str) else []


def features(layers: pd.DataFrame, network: str) -> Vector:
    """Return the work of a network by kind: [macs x 5, outputs, elements, layers]."""
    total = dict.fromkeys(KINDS, 0.0)
    for r in layers[layers.model == f"{network}_int8"].itertuples():
        total["layer"] += 1
        if r.type in ("conv", "conv1x1"):
            shallow = _dims(r.in_shape)[3] < 4
            total["shallow" if shallow else "pointwise" if r.type == "conv1x1" else "conv"] += r.macs
        elif r.type in ("dw", "fc"):
            total["depthwise" if r.type == "dw" else "fully_connected"] += r.macs
        else:
            total["element"] += max(np.prod(_dims(r.in_shape)), r.out_elems)
            continue
        total["output"] += r.out_elems
    return np.array([total[k] for k in KINDS])


def load_rows(data: Path) -> tuple[list[Row], dict[str, Vector]]:
    """Return the usable rows of mlperf_tiny.csv and the work of each network."""
    layers = pd.read_csv(data / "mlperf_tiny_model_layers.csv")
    table = pd.read_csv(data / "mlperf_tiny.csv")
    table = table[(table.division == "closed") & (table.precision == "int8") & (table.benchmark != "sww")]
    table = table[table.device.isin(DEVICES) & ~table.notes.fillna("").str.contains("weights in RAM")]
    rows = [
        Row(name, r.device, r.benchmark, r.runtime, r.latency_ms * 1e-3 * r.clock_mhz * 1e6)
        for name, versions in RUNTIMES.items()
        for r in table[table.runtime.isin(versions)].itertuples()
    ]
    return rows, {n: features(layers, n) for n in ("ad", "kws", "vww", "ic")}


def fit(rows: list[Row], work: dict[str, Vector], near: Fit | None = None) -> Fit:
    """Return the maximum a posteriori constants: Gauss-Newton on log cycles, with the exact Jacobian.

    near: a fit to start from (fewer steps, the same answer).
    """
    runtimes, groups = list(RUNTIMES), sorted({(r.runtime, r.device) for r in rows})
    n, nr = len(KINDS), len(runtimes)
    size = n * (nr + 1) + len(groups)
    start = np.concatenate([PRIOR, np.zeros(size - n)])
    sigma = np.concatenate([SIGMA_MEAN, np.full(n * nr, SIGMA_DEVIATION), np.full(len(groups), SIGMA_SCALE)])
    places = np.array([
        [*range(n), *range(n * (1 + runtimes.index(r.runtime)), n * (2 + runtimes.index(r.runtime))),
         n * (nr + 1) + groups.index((r.runtime, r.device))] for r in rows
    ])  # fmt: skip
    counts = np.array([work[r.network] for r in rows])
    measured = np.log([r.cycles for r in rows])
    each = np.arange(len(rows))[:, None]
    t = start.copy()
    if near is not None:
        t = np.concatenate([near.mean, *(near.deviation[r] for r in runtimes), [near.scale[g] for g in groups]])
    for _ in range(60):
        jacobian = np.zeros((len(rows), size))
        terms = counts * np.exp(t[places[:, :n]] + t[places[:, n : 2 * n]])
        share = terms / terms.sum(1, keepdims=True)
        jacobian[each, places] = np.hstack([share, share, np.ones((len(rows), 1))]) / SIGMA_ROW
        errors = (np.log(terms.sum(1)) + t[places[:, -1]] - measured) / SIGMA_ROW
        precision = jacobian.T @ jacobian + np.diag(sigma**-2.0)
        step = np.linalg.solve(precision, jacobian.T @ errors + (t - start) / sigma**2)
        t = t - step * min(1.0, 0.5 / np.abs(step).max())
        if np.abs(step).max() < 1e-6:
            break
    covariance = np.linalg.inv(precision)
    deviation = t[n : n * (nr + 1)].reshape(nr, n)
    sd = {}
    for g, (runtime, device) in enumerate(groups):
        first = n * (1 + runtimes.index(runtime))
        pick = np.zeros((n, size))
        for k in range(n):
            pick[k, [k, first + k, n * (nr + 1) + g]] = 1
        sd[runtime, device] = np.sqrt(np.diag(pick @ covariance @ pick.T))
    scale = dict(zip(groups, t[n * (nr + 1) :].tolist(), strict=True))
    return Fit(t[:n], dict(zip(runtimes, deviation, strict=True)), scale, sd)


def predictions(rows: list[Row], work: dict[str, Vector], runtimes: Collection[str] = tuple(RUNTIMES)) -> pd.DataFrame:
    """Return one line per row: measured Mcycles and predicted / measured, fitted on all rows and with networks left out.

    runtimes: those to print. `new_here`: the network left out of this runtime. `new_everywhere`: left out of all runtimes.
    """
    full = fit(rows, work)
    here = {
        (rt, n): fit([r for r in rows if (r.runtime, r.network) != (rt, n)], work, full)
        for rt, n in {(r.runtime, r.network) for r in rows if r.runtime in runtimes}
    }
    everywhere = {n: fit([r for r in rows if r.network != n], work, full) for n in work}

    def ratio(model: Fit, row: Row) -> float:
        return float(work[row.network] @ model.constants(row.runtime, row.device) / row.cycles)

    lines = [
        (r.runtime, r.device, r.network, r.version, r.cycles / 1e6, ratio(full, r), ratio(here[r.runtime, r.network], r),
         ratio(everywhere[r.network], r))
        for r in rows if r.runtime in runtimes
    ]  # fmt: skip
    columns = ["runtime", "device", "network", "version", "measured_mcycles", "all_rows", "new_here", "new_everywhere"]
    return pd.DataFrame(lines, columns=columns)


def network_uncertainty(table: pd.DataFrame, runtime: str) -> float:
    """Return the 80 % half-width factor - 1 for a network that the fit has not seen.

    1.28 x root mean square of the log errors of the runtime's rows, the larger of `new_here` and `new_everywhere`: a user's own
    network is in no row of any runtime.
    """
    errors = np.log(table.loc[table.runtime == runtime, ["new_here", "new_everywhere"]].to_numpy(float))
    return float(np.exp(Z80 * np.sqrt((errors**2).mean(0)).max()) - 1)


def coverage(table: pd.DataFrame) -> str:
    """Return how many rows of the profiles' runtimes lie in the 80 % interval of a fit without their network."""
    parts = []
    for column in ("new_here", "new_everywhere"):
        inside = count = 0
        for runtime in dict.fromkeys(runtime for runtime, _ in PROFILES.values()):
            errors = np.abs(np.log(table.loc[table.runtime == runtime, column].to_numpy(float)))
            inside += int((errors <= np.log1p(network_uncertainty(table, runtime))).sum())
            count += len(errors)
        parts.append(f"{column} {inside} of {count}")
    return "inside the 80 % interval with the network left out: " + ", ".join(parts)


def main() -> None:
    """Print constants and predicted against measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("WORKBENCH_GROUND_TRUTH") or Path(__file__).resolve().parents[2] / "shared" / "ground_truth"
    parser.add_argument("--data", type=Path, default=default)
    rows, work = load_rows(Path(parser.parse_args().data))
    model, table = fit(rows, work), predictions(rows, work)
    print(table.round(3).to_string(index=False))
    print(coverage(table))
    for profile, (runtime, device) in PROFILES.items():
        print(f"\n{profile}: network_uncertainty {network_uncertainty(table, runtime):.2f}")
        sd = model.sd[runtime, device]
        for name, value, s in zip(KINDS, model.constants(runtime, device), sd, strict=True):
            basis = "fitted" if s < 0.3 else "assumed"
            print(f"  {name:16s} {value:10.3f} cycles  80 % factor {np.exp(Z80 * s):.2f}  {basis}")


if __name__ == "__main__":
    main()
