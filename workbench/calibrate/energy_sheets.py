"""Cost sheets of `costs.energy`: the fitted active power of boards whose energy was measured, and what waiting and flash take of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, isfinite
from pathlib import Path
from typing import Literal, cast

from workbench.calibrate import store
from workbench.calibrate.families import currents, energy, streams
from workbench.calibrate.sheets import Writer, number
from workbench.hardware.costs import Basis, Constant
from workbench.resources import resource_folder

PREFIX = "energy-"
Z80 = 1.2816


@dataclass(frozen=True)
class Board:
    """A board as the table writes it. supply: of its notes. flash: the processor runs from flash. regulator: of its core's voltage."""

    device: str
    core: str
    clock_hz: float
    runtime: str
    supply: str = ""
    flash: bool = True
    regulator: Literal["", "ldo", "smps"] = ""

    @property
    def supply_v(self) -> float | None:
        """Volts of its supply, None when its rows do not say."""
        volts = energy.supply_volts(self.supply)
        return volts if isfinite(volts) else None


L4R5, U575, H7A3 = ("STM32L4R5", "Cortex-M4", 120e6), ("STM32U575", "Cortex-M33", 160e6), ("STM32H7A3", "Cortex-M7", 280e6)
BOARDS: Mapping[str, Board] = {
    "stm32l4r5-cortex-m4-tflm": Board(*L4R5, "TFLM 2.3.1 reference kernels", "1.8 V", regulator="ldo"),
    "stm32l4r5-cortex-m4-xcubeai": Board(*L4R5, "X-CUBE-AI 9.0", "1.8 V", regulator="ldo"),
    "stm32l4r5-smps-cortex-m4-xcubeai": Board(*L4R5, "X-CUBE-AI 10.2", "3 V with external SMPS", regulator="smps"),
    "cortex-m-cmsis-nn-single-rounding": Board(*L4R5, "microTVM+CMSIS-NN"),
    "stm32u575-cortex-m33-xcubeai": Board(*U575, "X-CUBE-AI 10.2", "1.8 V / SMPS", regulator="smps"),
    "stm32u575-cortex-m33-tflm": Board(*U575, "TFLM + CMSIS-NN", "1.8 V / SMPS", regulator="smps"),
    "stm32h7a3-cortex-m7-xcubeai": Board(*H7A3, "X-CUBE-AI 9.0", "3 V with SMPS", regulator="smps"),
    "rx65n-rxv2-tflm": Board("Renesas RX65N", "RXv2", 120e6, "TFLM (+vendor kernels)"),
    "efr32mg24-mvp-tflm": Board(
        "EFR32xG24 (MVP)", "Cortex-M33 + MVP", 78e6, "TFLM + Gecko SDK MVP kernels", "1.8 V", flash=False
    ),
    "gap9-ne16": Board("GAP9 0.65V", "GAP9 1+9 RISC-V + NE16", 240e6, "GAPflow", "VIN = 1.8V", flash=False),
}
"""Profile -> its board."""


def write_sheets(folder: Path | None = None) -> list[Path]:
    """Write the sheet of every board from the stored fits; return the files."""
    folder = folder or resource_folder("hw_profiles") / "costs"
    paths = []
    for name, board in BOARDS.items():
        path = folder / f"{PREFIX}{name}.yaml"
        path.write_text(sheet(board), encoding="utf-8")
        paths.append(path)
    return paths


def sheet(board: Board) -> str:
    """Return the text of one sheet."""
    text = Writer()
    text.line(f"# Made by `make calibrate`; do not edit. Power of {board.device} with {board.runtime}.")
    for name, constant in constants(board).items():
        text.constant(name, constant)
    if board.supply_v is not None:
        text.line(f"supply_v: {number(board.supply_v)}")
    if board.regulator:
        text.line(f"regulator: {board.regulator}")
    return text.text()


def constants(board: Board) -> dict[str, Constant]:
    """Return the constants of `costs.energy` that are fitted."""
    single = cast(energy.Power, store.load("energy").full)
    found = {
        "active_power_w": energy.power_constants(
            single, board.device, board.supply, core=board.core, clock_hz=board.clock_hz, runtime=board.runtime
        )
    }
    saving = cast(streams.Streams, store.load("streams").full)
    known = board.device in saving.savings
    of = saving.saving(board.device)
    where = f"family streams of `make calibrate`: {f'two clocks of {board.device}' if known else 'other boards'}"
    basis: Basis = "same device and runtime" if known else "assumed"
    idle, power = (0.15, 0.1) if known else (exp(Z80 * streams.IDLE_LOG_SD) - 1, Z80 * streams.EXPONENT_SD / of.exponent)
    found["clock_exponent"] = Constant(value=of.exponent, basis=basis, uncertainty=power, source=where)
    found["idle_share"] = Constant(value=of.idle_share, basis=basis, uncertainty=idle, source=where)
    if board.flash:
        found["flash_share"] = flash_share(board.core)
    return found


def flash_share(core: str) -> Constant:
    """Return what reading flash takes of the power: data sheets that state the same run from flash and from RAM."""
    sheets = cast(currents.Sheets, store.load("currents").full)
    same = core in ("Cortex-M33", "Cortex-M0+")
    source = "family currents of `make calibrate`: CoreMark from flash and from RAM, nRF, nRF5340, MSPM0G1106: 17 to 24 %"
    return Constant(
        value=sheets.flash_share(), basis="data sheet" if same else "assumed", uncertainty=0.3 if same else 0.6,
        source=source if same else f"{source}; parts of other core classes",
    )  # fmt: skip
