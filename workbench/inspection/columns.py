"""Columns of an inspection by name: one word or number per layer, for pictures and overlays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.errors import InputError, nearest
from workbench.inspection.inspect import Inspection, LayerView, TargetLayer

Cell = str | float


@dataclass(frozen=True)
class Column:
    """One value per layer (those without one are left out). name: as asked for; unit: of numbers, '' for words."""

    name: str
    unit: str
    values: Mapping[str, Cell]

    @property
    def is_number(self) -> bool:
        """True when all values are numbers."""
        return all(isinstance(v, int | float) for v in self.values.values())


_MODEL: dict[str, tuple[str, Callable[[LayerView], Cell]]] = {
    "operator": ("", lambda layer: layer.op),
    "format": ("", lambda layer: layer.format),
    "macs": ("MAC", lambda layer: layer.macs),
    "parameters": ("", lambda layer: layer.parameters),
}
_TARGET: dict[str, tuple[str, Callable[[TargetLayer], Cell | None]]] = {
    "runs": ("", lambda on: on.runs),
    "formats": ("", lambda on: " ".join(on.formats) or "none"),
    "latency": ("ms", lambda on: None if on.cost is None else on.cost.latency_s * 1e3),
    "energy": ("uJ", lambda on: None if on.cost is None else on.cost.energy_j * 1e6),
    "flash": ("B", lambda on: None if on.cost is None else on.cost.flash_bytes),
    "ram": ("B", lambda on: None if on.cost is None else on.cost.ram_bytes),
}


def column_names(inspection: Inspection) -> list[str]:
    """Return every column: of the model, and '<column>:<profile>' of each target."""
    return [*_MODEL, *(f"{column}:{t.profile.name}" for t in inspection.targets for column in _TARGET)]


def find_column(inspection: Inspection, name: str) -> Column:
    """Return a column by name; with one target its profile may be left out. InputError names those that there are."""
    if name in _MODEL:
        unit, read = _MODEL[name]
        return Column(name, unit, {layer.name: read(layer) for layer in inspection.layers})
    what, _, profile = name.partition(":")
    targets = [t for t in inspection.targets if t.profile.name == profile or (not profile and len(inspection.targets) == 1)]
    if what not in _TARGET or not targets:
        known = column_names(inspection)
        more = "" if inspection.targets else " Columns of a target need --profile."
        raise InputError(f"no column '{name}'.{nearest(name, known)}\nColumns: {', '.join(known)}.{more}")
    unit, pick = _TARGET[what]
    cells = {layer: pick(on) for layer, on in targets[0].layers.items()}
    return Column(f"{what}:{targets[0].profile.name}", unit, {layer: cell for layer, cell in cells.items() if cell is not None})
