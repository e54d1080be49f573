"""The constants of the fit of microcontrollers (`mcu_model`) as cost sheets want them: by target, type and operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, expm1, hypot
from typing import NamedTuple, cast

import numpy as np

from workbench.calibrate import store
from workbench.calibrate.mcu_model import ALL_KINDS, Processors, keys_of
from workbench.calibrate.runtimes import Runtime, runtime
from workbench.calibrate.store import Calibration, Residual, group_weight
from workbench.calibrate.targets import Target
from workbench.hardware.costs import Basis

FAMILY = "mcu_latency"
LAYER = "layer"
"""Group of the rows of single layers."""
SHARE = 0.8
LAYERS = {"conv2d": ("conv1x1",), "depthwise_conv2d": ("dw",)}
"""Operator with products -> the names that rows of layers give it."""
ELEMENTS = {
    "add": ("elementwise_add",), "mul": ("elementwise_mul",), "hard_swish": ("hard_swish",), "max_pool2d": ("max pool",),
    "avg_pool2d": ("avg pool", "avgpool"), "mean": ("avg pool", "avgpool"),
}  # fmt: skip
"""The same for operators on elements."""
FLOAT_SD = 0.3
"""Log standard deviation that float32 adds to a constant of int8: the prior of a runtime's and of a device's effect on it."""
OPERATOR_SD = 0.3
"""The same for the effect of an operator: single rows of kernels, whose shapes and cycles do not always agree (README of the data)."""


class Known(NamedTuple):
    """A constant of the fit: cycles, log standard deviation, basis."""

    value: float
    sd: float
    basis: Basis


@dataclass(frozen=True)
class Spread:
    """What the model leaves unexplained (80 % factors - 1): of a network that the fit has not seen, of one layer; and from what."""

    network: float
    layer: float
    source: str


@dataclass(frozen=True)
class FitConstants:
    """Constants of targets. calibration: the fit with the residuals of its cross-validation."""

    calibration: Calibration

    @property
    def model(self) -> Processors:
        """The fitted model."""
        return cast("Processors", self.calibration.full.model)  # type: ignore[attr-defined]

    def constants(self, target: Target, floats: bool = False) -> Mapping[str, Known]:
        """Return kind (`work.KINDS`, and `weight`: one that comes from external flash) -> its constant."""
        ran, keys = self._keys(target)
        if floats:
            keys |= {"float": "", "float*": "", "float runtime*": ran.family, "float device*": target.device}
        spread = self.model.spread(keys)
        values = zip(ALL_KINDS, self.model.fit.constants(keys), spread, strict=True)
        basis: Basis = self.model.basis(target.core, ran, target.device)
        if floats:  # what float32 costs over int8 is shared by devices and runtimes
            basis = "same core class" if self.model.known("float runtime*", ran.family) else "assumed"
        return {kind: Known(exp(v), hypot(float(sd), FLOAT_SD if floats else 0.0), basis) for kind, v, sd in values}

    def operator(self, target: Target, op: str) -> Known | None:
        """Return the cycles of an operator over what its kinds say, None where no rows of layers tell.

        An operator with products has a factor only on targets whose constants come from rows of layers (`Target.layers`): rows of
        networks know what convolutions cost.
        """
        ran, keys = self._keys(target)
        names = ELEMENTS.get(op, LAYERS.get(op, ()) if target.layers else ())
        name = next((n for n in names if self.model.known("op*", f"{n}/{ran.family}")), None)
        if name is None:
            return None
        of = f"{name}/{ran.family}"
        levels = {"op*": of, "op core*": f"{of}/{keys['core']}", "op device*": f"{of}/{target.device}/"}
        effects = self.model.fit.effects
        found = {level: effects[level, key] for level, key in levels.items() if (level, key) in effects}
        basis: Basis = (
            "same device and runtime" if "op device*" in found else "same core class" if "op core*" in found else "assumed"
        )
        return Known(exp(float(sum(e[0] for e in found.values()))), OPERATOR_SD, basis)

    def spread(self, target: Target) -> Spread:
        """Return the uncertainty of the model itself, from rows that its fit had not seen: networks left out everywhere for a known
        device and runtime, devices left out for others.

        Rows of networks and of single layers are kept apart. A profile has no effect of a network, so that it knows less than the fit
        about networks of a known architecture.
        """
        ran, keys = self._keys(target)
        known = (target.device, ran.family) in self.calibration.targets
        of = self.calibration.residuals
        network = _within([r for r in of["network_everywhere" if known else "device"] if r.group != LAYER], keys["core"])
        layer = _within([r for r in of["network_everywhere"] if r.group == LAYER], LAYER)
        what = "networks" if known else "devices"
        source = f"make calibrate, family {FAMILY}: residuals of {what} that were left out; single layers: of layers that were"
        return Spread(network, max(network, layer), source)

    def _keys(self, target: Target) -> tuple[Runtime, dict[str, str]]:
        """Return the runtime of a target and the keys of its constants. A version without rows has those of its family."""
        ran = runtime(target.runtime)
        return ran, keys_of(target.core, ran, target.device)


def stored() -> FitConstants:
    """Return the constants of the fit in the repository."""
    return FitConstants(store.load(FAMILY))


def _within(residuals: Sequence[Residual], group: str) -> float:
    """Return the factor - 1 within which 80 % of new rows of a group lie, either way: its own residuals shrunk towards all."""
    own = [r for r in residuals if r.group == group]
    weight = group_weight(own)
    return expm1(weight * _reach(own) + (1 - weight) * _reach(residuals) if own else _reach(residuals))


def _reach(residuals: Sequence[Residual]) -> float:
    """Return what the size of a new residual stays below in 80 % of cases, finite samples counted."""
    return float(np.quantile([abs(r.value) for r in residuals], min(1.0, SHARE * (1 + 1 / len(residuals)))))
