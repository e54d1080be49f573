"""The price of any operator in any format on a microcontroller: fitted constants of int8 and float32, format factors, calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, expm1, hypot, log1p
from typing import Protocol

from workbench.calibrate import format_factors as factors
from workbench.calibrate.element_costs import float_element, integer_element
from workbench.calibrate.fit_constants import Known, Spread
from workbench.calibrate.format_factors import Floats
from workbench.calibrate.targets import Target
from workbench.graph.node_format import WEIGHT_INPUT
from workbench.hardware.costs import BASES, Basis, Constant

Z80 = 1.2816
"""Standard deviations from the middle to the ends of an 80 % interval."""
CONVOLUTION = {"mac": "convolution", "pointwise": "pointwise", "shallow": "shallow"}
PLACES = {"conv2d": CONVOLUTION, "transpose_conv2d": {"mac": "convolution"}, "depthwise_conv2d": {"mac": "depthwise"}}
"""Operator -> term of its row -> kind of constant; other operators with products multiply matrices."""
SLOWER = {
    "transpose_conv2d": (2.0, "sums are spread over a buffer and read back; not measured"),
    "batch_matmul": (1.3, "both operands move; not measured"),
    "lstm": (1.0, "as fully_connected; not measured"),
    "rnn": (1.0, "as fully_connected; not measured"),
    "svdf": (1.0, "as fully_connected; not measured"),
}
"""Operator -> cycles per product over those of the layer that it is like, and why."""
RECURRENT = ("lstm", "rnn", "svdf")
LOOP_OUTPUT = 10.0
"""Cycles of storing one output of a reference kernel."""
Terms = dict[str, Constant]


class Constants(Protocol):
    """Where fitted constants come from."""

    def constants(self, target: Target, floats: bool = False) -> Mapping[str, Known]:
        """Return kind (`workbench.calibrate.work.KINDS`, and `weight`) -> cycles, log standard deviation, basis."""

    def operator(self, target: Target, op: str) -> Known | None:
        """Return the cycles of an operator over what its kinds say, None where nothing is known of it alone."""

    def spread(self, target: Target) -> Spread:
        """Return the uncertainty of the model itself."""


@dataclass(frozen=True)
class Prices:
    """Prices of one target. int8, fp32: constants by kind."""

    target: Target
    fit: Constants
    int8: Mapping[str, Constant]
    fp32: Mapping[str, Constant]

    @property
    def floats(self) -> Floats:
        """Float operations of the target outside of optimised kernels."""
        return factors.floats(self.target.core, self.target.floats)

    def terms(self, op: str, fmt: str) -> Terms:
        """Return the terms of one operator in one format."""
        if op in WEIGHT_INPUT or op == "batch_matmul":
            return self._products(op, fmt)
        if fmt == "fp32" or op in ("quantize", "dequantize"):  # conversions are priced as those from and to float
            return float_element(op, self.target.core, self.floats)
        known = self.fit.operator(self.target, op)
        return (
            {"element": scaled(self.int8["element"], known)}
            if known is not None
            else integer_element(op, self.target.core, fmt, self._addition())
        )

    def _addition(self) -> Constant:
        """Return the price of an element of an addition: what is known of it alone, else that of any element."""
        known = self.fit.operator(self.target, "add")
        return scaled(self.int8["element"], known) if known is not None else self.int8["element"]

    def anything(self) -> list[tuple[list[str], Terms]]:
        """Return the rows of what has no row of its own: indices, masks, and operators that a profile adds to these."""
        return [
            (["a8", "a16"], {"element": self.int8["element"]}),
            (["fp32"], float_element("maximum", self.target.core, self.floats)),
        ]

    def flash_bytes_per_cycle(self) -> Constant | None:
        """Return what weights from external flash cost on top of the other constants; None where these contain it."""
        if not self.target.external_flash:
            return None
        weight, known = self.int8["weight"], self.fit.operator(self.target, "conv2d")
        return inverse(scaled(weight, known) if known else weight)

    def _products(self, op: str, fmt: str) -> Terms:
        weights = {"a8": "w8a8", "a16": "w8a16"}.get(fmt, fmt)  # both operands of batch_matmul are activations
        times, why = SLOWER.get(op, (1.0, ""))
        kinds = PLACES.get(op, {"mac": "fully_connected"})
        terms = {term: _times(self._mac(op, kind, weights), times, why) for term, kind in kinds.items()}
        if op in RECURRENT:
            gate = "logistic" if fmt == "fp32" else "mul"  # half the elements are functions, half products
            terms["element"] = self.terms(gate, fmt)["element"]
        else:
            terms["output"] = self._output(op, weights)
        return terms

    def _mac(self, op: str, kind: str, fmt: str) -> Constant:
        """Return the cycles per product of a kind of layer in a format."""
        target = self.target
        if fmt not in target.kernels:
            return factors.reference_mac(target.core, kind, fmt, target.floats)
        if fmt == "fp32":
            return self._of(op, self.fp32[kind])
        int8 = self._of(op, self.int8[kind])
        if fmt == "w8a8":
            return int8
        factor = factors.weight_factor(target.core, fmt, int8.value)
        return _times(int8, factor.value, factor.source, factor.uncertainty)

    def _output(self, op: str, fmt: str) -> Constant:
        if fmt != "fp32":
            return self._of(op, self.int8["output"])
        if fmt in self.target.kernels:
            return self._of(op, self.fp32["output"])
        cycles = LOOP_OUTPUT + self.floats.calls({"add": 1, "compare": 2})
        return factors.assumed(cycles, 1.0, f"bias, clamp of the activation, store: {self.floats.source}")

    def _of(self, op: str, constant: Constant) -> Constant:
        known = self.fit.operator(self.target, op) if self.target.layers else None
        return scaled(constant, known) if known is not None else constant


def prices(target: Target, fit: Constants) -> Prices:
    """Return the prices of a target."""
    return Prices(target, fit, _stated(target, fit, False), _stated(target, fit, True))


def _stated(target: Target, fit: Constants, floats: bool) -> dict[str, Constant]:
    """Return fitted constants by kind, as a profile states them."""
    source = f"make calibrate, family mcu_latency: {target.runtime} on {target.device} ({target.core}){', float32' if floats else ''}"
    return {
        kind: Constant(value=value, basis=basis, uncertainty=max(0.01, expm1(Z80 * sd)), source=source)
        for kind, (value, sd, basis) in fit.constants(target, floats).items()
    }


def scaled(constant: Constant, known: Known) -> Constant:
    """Return a constant times the factor of an operator; the basis is the weaker of the two."""
    spread = expm1(hypot(log1p(constant.uncertainty), Z80 * known.sd))
    source = f"{constant.source}; x {known.value:.3g} of this operator, layers.csv"
    return Constant(value=constant.value * known.value, basis=_weaker(constant, known), uncertainty=spread, source=source)


def _weaker(constant: Constant, known: Known) -> Basis:
    return max(constant.basis, known.basis, key=BASES.index)


def inverse(constant: Constant) -> Constant:
    """Return 1 / constant, which is known as well as it."""
    return constant.model_copy(update={"value": 1 / constant.value})


def _times(constant: Constant, factor: float, why: str, uncertainty: float = 0.0) -> Constant:
    """Return a constant times a factor that was not measured (in words; '' = the constant as it is)."""
    if not why:
        return constant
    spread = exp(hypot(log1p(constant.uncertainty), log1p(max(uncertainty, 0.5)))) - 1
    return factors.assumed(constant.value * factor, spread, f"{constant.source}; x {factor:.3g}: {why}")
