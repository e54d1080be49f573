"""Every layer of a program: a proof that its accumulator cannot overflow, or an input that makes it."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.execute import Program
from workbench.graph.ir import Tensor
from workbench.ops import OPS
from workbench.overflow.activations import activation_ranges
from workbench.overflow.bounds import Bounds, bounds_of
from workbench.overflow.layer import LINEAR, Layer, layer_of
from workbench.overflow.witness import Witness, find_witness
from workbench.precision import is_float
from workbench.tensor import FLOAT8_MAX


@dataclass(frozen=True, eq=False)
class LayerReport:
    """layer: None without an integer accumulator that this package knows. bounds: of all its registers; bound: the one that decides.

    witness: an input that overflows; None with a proof, and where none is built (`Layer.exact`).
    """

    name: str
    op: str
    dtype: str
    layer: Layer | None
    bounds: tuple[Bounds, ...] = ()
    witness: Witness | None = None

    @property
    def bound(self) -> Bounds:
        """The register that overflows first, or has the least headroom."""
        return next((b for b in self.bounds if not b.proof), min(self.bounds, key=lambda b: b.headroom_bits))

    @property
    def proven(self) -> bool:
        """True when nothing can overflow."""
        return self.layer is not None and all(b.proof for b in self.bounds)

    @property
    def is_float(self) -> bool:
        """True when there are no integers to overflow."""
        return is_float(self.dtype) or self.dtype in FLOAT8_MAX


def analyse(program: Program) -> list[LayerReport]:
    """Return a report for every layer with products, in order."""
    ranges = activation_ranges(program.steps, inputs_of(program))
    found = []
    for step in program.steps:
        site = step.site
        if OPS[site.op].weights is None and site.op not in LINEAR:
            continue
        layer = layer_of(site, ranges)
        if layer is None:
            found.append(LayerReport(site.name, site.op, site.x.dtype, None))
            continue
        bounds = tuple(bounds_of(layer, sums) for sums in layer.sums)
        open_ = next((b for b in bounds if not b.proof), None)
        witness = None if open_ is None or not layer.exact else find_witness(layer, open_)
        found.append(LayerReport(site.name, site.op, site.x.dtype, layer, bounds, witness))
    return found


def inputs_of(program: Program) -> list[Tensor]:
    """Return the tensors that a program reads and does not make."""
    made = {t.name for step in program.steps for t in step.site.outputs}
    read = {t.name: t for step in program.steps for t in step.site.inputs if t is not None and not t.is_constant}
    return [t for name, t in read.items() if name not in made]
