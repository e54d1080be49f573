"""Ethos-U: our cycles and SRAM beside those of the Vela compiler (`vela_summary.csv`), which are estimates themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.table import Table

from workbench.calibrate.rows import Row, Tables
from workbench.cost import CostEstimate, estimate
from workbench.errors import InputError, WorkbenchError
from workbench.graph.ir import Graph
from workbench.hardware import HardwareProfile, list_profiles, load_profile
from workbench.hardware.costs_ethos import Accelerator
from workbench.loaders import load_model

LIMIT = 0.10
"""Largest |ours / Vela's - 1|."""
JUDGED = ("cycles", "SRAM KiB")
NAMES = {
    "kws_ref_model": "kws_ref_int8",
    "pretrainedResnet_quant": "ic_resnet8_int8",
    "str_ww_ref_model": "sww_int8",
}
"""Networks of MLPerf Tiny whose file in its repository has another name than in the folder of models."""
COLUMNS = ("accelerator", "model", "cycles_total", "sram_memory_used", "off_chip_flash_memory_used", "core_clock")


@dataclass(frozen=True)
class VelaLine:
    """One quantity of one network on one accelerator. why: it could not be compared because of this."""

    accelerator: str
    network: str
    quantity: str
    ours: float
    theirs: float
    why: str = ""

    @property
    def short(self) -> bool:
        """True when it is judged and too far off."""
        return self.quantity in JUDGED and abs(self.ours / self.theirs - 1) > LIMIT

    @property
    def verdict(self) -> str:
        """In words."""
        if self.why:
            return f"not checked: {self.why}"
        return "SHORT" if self.short else f"within {100 * LIMIT:.0f} %" if self.quantity in JUDGED else "stated"


def check_vela(data: Path, summary: Path | None, models: Path | None) -> list[VelaLine]:
    """Return the comparison with the given summary, or with the one beside the folder of measurements; [] where there is none."""
    path = summary or data.resolve().parent / "golden" / "vela_summary.csv"
    if not path.is_file():
        if summary is not None:
            raise InputError(
                f"{summary}: no such file. Give Vela's summary of the networks (one row per accelerator and network)."
            )
        return []
    folder = models or data.resolve().parent / "models"
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Give the folder of the networks that {path} speaks of with --models.")
    return vela_lines(path, folder)


def vela_lines(summary: Path, models: Path) -> list[VelaLine]:
    """Return cycles, SRAM and flash of every row of Vela's summary. models: folder of the `.tflite` files."""
    rows = Tables(summary.parent).rows(summary.name)
    missing = [c for c in COLUMNS if rows and c not in rows[0].cells]
    if not rows or missing:
        raise InputError(f"{summary}: {'no rows' if not rows else 'no column ' + ', '.join(missing)}; expected Vela's summary.")
    files = {path.stem: path for path in sorted(models.rglob("*.tflite"))}
    graphs: dict[str, Graph] = {}
    return [line for row in rows for line in _lines(row, files, graphs)]


def _lines(row: Row, files: dict[str, Path], graphs: dict[str, Graph]) -> list[VelaLine]:
    accelerator, name = row.text("accelerator"), row.text("model")
    path = files.get(name) or files.get(NAMES.get(name, ""))
    profile = _profile(accelerator)
    if profile is None:
        return [VelaLine(accelerator, name, "", 0, 0, "no profile of this accelerator or of its family")]
    if path is None:
        return [VelaLine(accelerator, name, "", 0, 0, f"no {name}.tflite in the folder of models")]
    try:
        graph = graphs.setdefault(name, load_model(path))
        found = estimate(graph, profile)
    except WorkbenchError as problem:
        return [VelaLine(accelerator, name, "", 0, 0, str(problem).splitlines()[0])]
    return _compared(row, profile, found)


def _profile(accelerator: str) -> HardwareProfile | None:
    """Return the shipped profile of an accelerator, else that of another size of its family (the same memories) with this size."""
    if accelerator in list_profiles():
        return load_profile(accelerator)
    family, _, _ = accelerator.rpartition("-")
    size = accelerator.removeprefix("ethos-")
    for profile in map(load_profile, (name for name in list_profiles() if family and name.startswith(f"{family}-"))):
        if profile.costs is not None and profile.costs.ethos_u is not None and size in get_args(Accelerator):
            engine = profile.costs.ethos_u.model_copy(update={"accelerator": size})
            return profile.model_copy(update={"costs": profile.costs.model_copy(update={"ethos_u": engine})})
    return None


def _compared(row: Row, profile: HardwareProfile, found: CostEstimate) -> list[VelaLine]:
    pairs = (
        ("cycles", found.latency_s * profile.clock_hz, "cycles_total"),
        ("SRAM KiB", found.ram_peak_bytes / 1024, "sram_memory_used"),
        ("encoded weights KiB", sum(row.weight_bytes for row in found.layers) / 1024, "off_chip_flash_memory_used"),
    )
    lines = [
        VelaLine(row.text("accelerator"), row.text("model"), quantity, ours, row.number(column))
        for quantity, ours, column in pairs
    ]
    return [line for line in lines if line.theirs > 0]  # nothing there: the compiler put it into another memory


def vela_table(lines: list[VelaLine]) -> Table:
    """Return one row per comparison."""
    table = Table(title="Ethos-U: our estimate beside Vela's, itself an estimate (nobody measured)")
    for name in ("accelerator", "network", "quantity"):
        table.add_column(name, overflow="fold")
    for name in ("ours", "Vela", "ours / Vela"):
        table.add_column(name, justify="right")
    table.add_column("verdict", overflow="fold")
    for x in lines:
        cells = ("", "", "") if x.why else (f"{x.ours:,.4g}", f"{x.theirs:,.4g}", f"{x.ours / x.theirs:.3f}")
        table.add_row(x.accelerator, x.network, x.quantity, *cells, x.verdict)
    return table
