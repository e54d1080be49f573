"""Every layer of a program: a proof that its accumulator cannot overflow, or an input that makes it."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.execute import Program
from workbench.graph.ir import Tensor
from workbench.ops import OPS
from workbench.overflow.activations import activation_ranges
from workbench.overflow.bounds import Bounds, bounds_of
from workbench.overflow.layer import LINEAR, Layer
from workbench.overflow.parts import parts_of
from workbench.overflow.witness import Witness, find_witness
from workbench.precision import is_float
from workbench.tensor import FLOAT8_MAX


@dataclass(frozen=True, eq=False)
class LayerReport:
    """parts: the sums of the operator (`parts_of`), none without an integer accumulator. layer: the one of them that overflows first,
    or has the least headroom; bounds: of its registers; bound: the one that decides.

    witness: an input that overflows; None with a proof, and where none is built (`Layer.alone`).
    """

    name: str
    op: str
    dtype: str
    layer: Layer | None
    bounds: tuple[Bounds, ...] = ()
    witness: Witness | None = None
    parts: tuple[Layer, ...] = ()

    @property
    def bound(self) -> Bounds:
        """The register that overflows first, or has the least headroom."""
        return _deciding(self.bounds)

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
        parts = parts_of(site, ranges)
        if not parts:
            found.append(LayerReport(site.name, site.op, site.x.dtype, None))
            continue
        every = [tuple(bounds_of(layer, sums) for sums in layer.sums) for layer in parts]
        at = min(range(len(parts)), key=lambda i: (_deciding(every[i]).proof, _deciding(every[i]).headroom_bits))
        layer, bound = parts[at], _deciding(every[at])
        witness = None if bound.proof or not layer.alone else find_witness(layer, bound)
        found.append(LayerReport(site.name, site.op, site.x.dtype, layer, every[at], witness, parts))
    return found


def _deciding(bounds: tuple[Bounds, ...]) -> Bounds:
    return next((b for b in bounds if not b.proof), min(bounds, key=lambda b: b.headroom_bits))


def inputs_of(program: Program) -> list[Tensor]:
    """Return the tensors that a program reads and does not make."""
    made = {t.name for step in program.steps for t in step.site.outputs}
    read = {t.name: t for step in program.steps for t in step.site.inputs if t is not None and not t.is_constant}
    return [t for name, t in read.items() if name not in made]
