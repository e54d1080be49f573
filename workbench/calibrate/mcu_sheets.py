"""Cost sheets of microcontrollers: one YAML file for each target of `targets.py`.

A sheet holds what `costs.latency` of a profile holds, with a price for every operator and format of the profile of its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from workbench.calibrate import format_factors as factors
from workbench.calibrate.fit_constants import stored
from workbench.calibrate.mcu_prices import Constants, Prices, Terms, prices
from workbench.calibrate.sheets import Writer, number, quoted
from workbench.calibrate.targets import TARGETS, Target
from workbench.cost.latency import cost_format
from workbench.hardware.profile import HardwareProfile, load_profile
from workbench.precision import PLAIN, UNSIGNED
from workbench.resources import resource_folder

Rows = list[tuple[list[str], Terms]]


def write_sheets(fit: Constants | None = None, folder: Path | None = None) -> list[Path]:
    """Write the sheet of every target; return the files. fit: None = the one in the repository."""
    fit = fit or stored()
    folder = folder or resource_folder("hw_profiles") / "costs"
    paths = []
    for name, target in TARGETS.items():
        path = folder / f"{name}.yaml"
        path.write_text(sheet(name, target, fit), encoding="utf-8")
        paths.append(path)
    return paths


def sheet(name: str, target: Target, fit: Constants) -> str:
    """Return the text of one sheet."""
    profile = load_profile(name, costs=False)
    found, spread = prices(target, fit), fit.spread(target)
    text = Writer()
    text.line(f"# Made by `make calibrate`; do not edit. Cycles of {target.device} ({target.core}) with {target.runtime}.")
    text.constant("inference", found.int8["inference"])
    text.constant("layer", found.int8["layer"])
    text.line(f"network_uncertainty: {number(spread.network)}")
    text.line(f"layer_uncertainty: {number(spread.layer)}")
    text.line(f"uncertainty_source: {quoted(spread.source)}")
    flash = found.flash_bytes_per_cycle()
    if flash is not None:
        text.line("memory: added")
        text.constant("flash_bytes_per_cycle", flash)
    text.line("unpack:")
    for bits, constant in factors.unpack_weights(target.core).items():
        text.constant(str(bits), constant, 1)
    text.line("operators:")
    for op, rows in {**_rows(profile, found), "any": found.anything()}.items():
        text.line(f"{op}:", 1)
        for formats, terms in rows:
            text.line(f"- formats: [{', '.join(formats)}]", 2)
            for term, constant in terms.items():
                text.constant(term, constant, 3)
    return text.text()


def _rows(profile: HardwareProfile, found: Prices) -> dict[str, Rows]:
    """Return operator -> its rows; formats of one price share a row. Operators on indices alone are priced by `any`."""
    result: dict[str, Rows] = {}
    for op in profile.operators:
        rows: Rows = []
        for fmt in dict.fromkeys(cost_format(profile, op, f) for f in _formats(profile, op)):
            terms = found.terms(op, fmt)
            same = next((formats for formats, known in rows if known == terms), None)
            if same is not None:
                same.append(fmt)
            else:
                rows.append(([fmt], terms))
        if rows:
            result[op] = rows
    return result


def _formats(profile: HardwareProfile, op: str) -> Iterable[str]:
    return [f for f in (*profile.formats(op), *profile.operators[op].files) if f not in (PLAIN, UNSIGNED)]
