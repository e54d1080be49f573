"""Predicted against measured: the cost model on every published row that belongs to a shipped profile.

Prints a Markdown table and the share of rows inside their 80 % interval; `--write` puts it into docs/cost.md. Rows of the
X-CUBE-AI, TFLM and CMSIS-NN profiles are the ones that the constants were fitted to: `fit_cortex_m.py` prints what happens
without them. Streaming wake word rows are shown but not counted: their time presumably contains the audio front end.

Usage: python benchmarks/cost_check.py [--shared ../shared] [--models ../shared/models] [--write]
Exit code 1 when a row lies outside its interval by more than a factor of 1.5.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.layer_graph import network_graph
from workbench.cost import CostEstimate, estimate
from workbench.errors import WorkbenchError
from workbench.hardware import load_profile

MEASURED = (
    ("stm32l4r5-cortex-m4-tflm", "STM32L4R5", ("TFLM 2.3.1 reference kernels",), "fitted"),
    ("stm32l4r5-cortex-m4-xcubeai", "STM32L4R5", ("X-CUBE-AI 9.0", "X-CUBE-AI 10.2"), "fitted"),
    ("stm32h7a3-cortex-m7-xcubeai", "STM32H7A3", ("X-CUBE-AI 9.0", "X-CUBE-AI 10.2"), "fitted"),
    ("cortex-m-cmsis-nn-single-rounding", "STM32L4R5", ("microTVM+CMSIS-NN",), "fitted"),
    ("stm32g0b1-cortex-m0plus-tflm", "STM32G0B1", ("Bosch HALE", "Bosch HALE 1.0.175"), "other runtime, not fitted"),
)
"""Profile, device, runtimes, and what the rows are to the profile."""
FILES = {"ad": "ad01_int8", "kws": "kws_ref_int8", "ic": "ic_resnet8_int8", "vww": "vww_96_int8", "sww": "sww_int8"}
ETHOS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
VELA = {
    "ad": "ad01_int8",
    "kws": "kws_ref_model",
    "ic": "pretrainedResnet_quant",
    "vww": "vww_96_int8",
    "sww": "str_ww_ref_model",
}


@dataclass(frozen=True)
class Line:
    """One comparison. unit: of predicted, low, high and measured."""

    profile: str
    network: str
    quantity: str
    unit: str
    predicted: float
    low: float
    high: float
    measured: float
    source: str
    counted: bool = True

    @property
    def inside(self) -> bool:
        """True when the measured value lies in the interval."""
        return self.low <= self.measured <= self.high

    @property
    def far(self) -> bool:
        """True when it lies outside by more than a factor of 1.5."""
        return self.counted and not self.low / 1.5 <= self.measured <= self.high * 1.5


def mlperf_lines(ground_truth: Path) -> list[Line]:
    """Return latency and energy of every MLPerf Tiny row of a shipped profile (energy where the row gives it)."""
    table = pd.read_csv(ground_truth / "mlperf_tiny.csv")
    table = table[
        (table.division == "closed") & (table.precision == "int8") & ~table.notes.fillna("").str.contains("weights in RAM")
    ]
    lines = []
    for name, device, runtimes, relation in MEASURED:
        profile = load_profile(name)
        rows = table[(table.device == device) & table.runtime.isin(runtimes)].drop_duplicates(
            ["benchmark", "runtime", "clock_mhz"]
        )
        for row in rows.itertuples():
            if row.clock_mhz * 1e6 != profile.clock_hz:
                continue
            got = estimate(network_graph(ground_truth, row.benchmark), profile)
            front_end = row.benchmark == "sww"
            note = f"{row.runtime} {row.version}, {relation if not front_end else 'not fitted: with audio front end'}"
            time = (1e3 * got.latency_s, 1e3 * got.latency_low_s, 1e3 * got.latency_high_s)
            lines.append(Line(name, row.benchmark, "latency", "ms", *time, row.latency_ms, note, not front_end))
            if pd.notna(row.energy_uj) and row.benchmark != "sww" and "v1.3" not in row.version:
                energy = (1e6 * got.energy_j, 1e6 * got.energy_low_j, 1e6 * got.energy_high_j)
                lines.append(Line(name, row.benchmark, "energy", "uJ", *energy, row.energy_uj, note))
    return lines


def float_lines(ground_truth: Path) -> list[Line]:
    """Return the float rows measured elsewhere that the assumed fp32 constants can be held against."""
    table = pd.read_csv(ground_truth / "mlperf_tiny.csv")
    rows = table[(table.device == "STM32H7A3") & (table.precision == "fp32")]
    profile = load_profile("stm32h7a3-cortex-m7-xcubeai")
    lines = []
    for row in rows.itertuples():
        got = estimate(network_graph(ground_truth, row.benchmark, "float32", "float32"), profile)
        time = (1e3 * got.latency_s, 1e3 * got.latency_low_s, 1e3 * got.latency_high_s)
        lines.append(
            Line(profile.name, f"{row.benchmark} fp32", "latency", "ms", *time, row.latency_ms, f"{row.runtime}, other runtime")
        )
    return lines


def _model(models: Path, network: str, profile: str) -> CostEstimate:
    from workbench.loaders import load_model

    return estimate(load_model(models / "mlperf_tiny" / f"{FILES[network]}.tflite"), load_profile(profile))


def vela_lines(shared: Path, models: Path) -> list[Line]:
    """Return cycles of the five networks against the Vela compiler's own estimate; on U55, whose memories are apart, flash and RAM."""
    whole = pd.read_csv(shared / "golden" / "vela_summary.csv")
    lines = []
    for profile, (network, name) in itertools.product(ETHOS, VELA.items()):
        row = whole[(whole.accelerator == profile) & (whole.model == name)].iloc[0]
        got = _model(models, network, profile)
        time = (1e6 * got.latency_s, 1e6 * got.latency_low_s, 1e6 * got.latency_high_s)
        lines.append(Line(profile, network, "latency", "us", *time, 1e6 * row.inference_time, "Vela 5.2.0, an estimate"))
        pairs = (
            ("flash", got.flash_bytes, row.off_chip_flash_memory_used),
            ("peak RAM", got.ram_peak_bytes, row.sram_memory_used),
        )
        for what, mine, theirs in pairs if profile == ETHOS[0] else ():
            kib = mine / 1024
            lines.append(
                Line(profile, network, what, "KiB", kib, kib / 1.25, kib * 1.25, theirs, "Vela 5.2.0; interval +-25 %")
            )
    return lines


def markdown(lines: list[Line]) -> str:
    """Return the table."""
    head = "| profile | network | quantity | predicted | 80 % interval | measured | predicted / measured | inside | row |"
    text = [head, "|" + "---|" * 9]
    for x in lines:
        inside = "not counted" if not x.counted else "yes" if x.inside else "NO"
        text.append(
            f"| {x.profile} | {x.network} | {x.quantity} | {x.predicted:.4g} {x.unit} | {x.low:.4g} .. {x.high:.4g} "
            f"| {x.measured:.4g} | {x.predicted / x.measured:.2f} | {inside} | {x.source} |"
        )
    counted = [x for x in lines if x.counted]
    share = sum(x.inside for x in counted)
    return "\n".join([*text, "", f"{share} of {len(counted)} rows lie inside their 80 % interval."])


def write_page(table: str) -> None:
    """Replace the table of docs/cost.md between its two marks."""
    page = Path(__file__).resolve().parents[1] / "docs" / "cost.md"
    before, _, rest = page.read_text().partition("<!-- cost_check -->\n")
    _, _, after = rest.partition("<!-- end -->")
    page.write_text(f"{before}<!-- cost_check -->\n{table}\n<!-- end -->{after}")


def main() -> int:
    """Print the tables; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shared = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=shared)
    parser.add_argument("--models", type=Path, default=None)
    parser.add_argument("--write", action="store_true", help="put the table into docs/cost.md")
    args = parser.parse_args()
    lines = [*mlperf_lines(args.shared / "ground_truth"), *float_lines(args.shared / "ground_truth")]
    try:
        lines += vela_lines(args.shared, args.models or args.shared / "models")
    except (ImportError, WorkbenchError) as problem:
        print(f"Ethos-U: not compared: {problem}\n")
    print(markdown(lines))
    if args.write:
        write_page(markdown(lines))
    return int(any(x.far for x in lines))


if __name__ == "__main__":
    sys.exit(main())
