"""`Family`: one kind of measurement (latency of microcontrollers, RAM, ...) with the model that explains it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from workbench.calibrate.rows import Row, Tables
from workbench.hardware.costs import Basis

Json = dict[str, Any]
Split = Literal["network", "network_everywhere", "device"]
SPLITS: dict[Split, str] = {
    "network": "known device and runtime, new network",
    "network_everywhere": "known device and runtime, network measured nowhere",
    "device": "new device, core class and runtime family known",
}
"""What a cross-validation leaves out -> in words. `network`: a network on one device, with all runtimes of that device."""


@dataclass(frozen=True)
class Sample:
    """One measured quantity of one row.

    quantity: name with its unit (`latency_s`, `energy_j`, `ram_bytes`, `cycles`). device: what a new device is new in. runtime: the
    family of runtimes, without version: (device, runtime) is a known target or not. network: the network or layer. group: rows
    whose errors are alike (core class, device family, operator type): intervals are made per group. facts: what the family read
    from the row, for its own model. board: the device that this one is a variant of ('' = of none): where that is left out, so are
    its variants.
    """

    row: Row
    quantity: str
    measured: float
    device: str
    runtime: str
    network: str
    group: str
    facts: Any = None
    board: str = ""

    @property
    def key(self) -> str:
        """Where it stands, and which quantity it is: one of a folder."""
        return f"{self.row.where}/{self.quantity}"


@dataclass(frozen=True)
class Samples:
    """The rows of a folder that a family speaks about, and those that it leaves out, each with the reason."""

    kept: tuple[Sample, ...]
    left_out: tuple[tuple[Row, str], ...] = ()


class Fitted(Protocol):
    """A model with its fitted constants."""

    def predict(self, sample: Sample) -> float:
        """Return the predicted quantity, in the unit of the sample (positive, finite)."""

    def basis(self, sample: Sample) -> Basis:
        """Return what the prediction rests on."""

    def baseline(self, sample: Sample) -> float | None:
        """Return what the naive model fitted on the same rows says (a line in MACs alone), None where there is none."""

    def to_json(self) -> Json:
        """Return all constants; `Family.load` makes the same model of it."""


@dataclass(frozen=True)
class Claim:
    """What a family must reach on rows that took no part, in one split: |predicted / measured - 1|, at most.

    median, p90: None = stated, not judged. gain: least relative improvement of the median over the baseline. quantity, tables, bases:
    only rows of it, of those tables, whose prediction rests on one of those ('' or () = all).
    """

    name: str
    split: Split
    median: float | None = None
    p90: float | None = None
    gain: float | None = None
    quantity: str = ""
    tables: tuple[str, ...] = ()
    bases: tuple[Basis, ...] = ()


@dataclass(frozen=True)
class Family:
    """One kind of measurement.

    tables: files of the folder that it reads. samples: reads them. fit: fits the model on some samples. load: model of its JSON.
    splits: cross-validations that make sense for it. most_folds: of each. unknown: the size (of a log ratio, at 80 %) of what a
    fitted model has no constants of its own for: residuals of rows that had theirs say nothing of it (None: of nothing). whole: fits
    all rows with what profiles need besides and cross-validation does not (None: `fit` does). extra: further checks of rows and
    predictions (pairs, ranks): name -> (value, limit, reached), given the samples and the predictions of one split.
    """

    name: str
    title: str
    tables: tuple[str, ...]
    samples: Callable[[Tables], Samples]
    fit: Callable[[Sequence[Sample]], Fitted]
    load: Callable[[Json], Fitted]
    claims: tuple[Claim, ...]
    splits: tuple[Split, ...] = ("network", "network_everywhere", "device")
    most_folds: int = 10
    unknown: Callable[[Fitted, Sample], float] | None = None
    whole: Callable[[Sequence[Sample]], Fitted] | None = None
    extra: Callable[[Sequence[Sample], Sequence[float]], Mapping[str, tuple[float, float, bool]]] | None = field(default=None)


def families() -> dict[str, Family]:
    """Return all families by name, in the order of their modules."""
    from workbench.calibrate import families as package

    found: dict[str, Family] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        family = getattr(importlib.import_module(f"{package.__name__}.{module}"), "FAMILY", None)
        if family is not None:
            found[family.name] = family
    return found
