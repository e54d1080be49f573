"""`OpSpec`: what an operator is. A record of pure functions, no inheritance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from workbench.errors import InputError, UnsupportedError
from workbench.graph.ir import Tensor
from workbench.numerics.activation import activation_range
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.float16 import narrow, widen
from workbench.registry import Registry
from workbench.tensor import RANGES, STORAGE

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Run = Callable[[Sequence[Array]], list[Array]]
"""Arrays of all inputs in order (constants filled in, None for absent) -> arrays of all outputs."""


@dataclass(frozen=True)
class Site:
    """Where an operator stands: all that its emulation may know. Nothing here names a graph or a profile.

    inputs: tensors in order (None for an absent optional one); constants carry `.data`. outputs: tensors with their types and
    scales. arithmetic: the target's rules, already resolved for this operator and activation type. lift, lift_out: what the
    integers that the target stores are more than those here, inputs and outputs: 128 where int8 stands for unsigned bytes
    (`ops/unsigned.py`). Rules of stored integers, not of their differences to the zero point, ask for it.
    """

    name: str
    op: str
    attrs: Any
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    arithmetic: Arithmetic
    lift: int = 0
    lift_out: int = 0

    @property
    def x(self) -> Tensor:
        """The first input."""
        return self.input(0)

    @property
    def y(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    def input(self, i: int) -> Tensor:
        """Return input i, which must be present."""
        tensor = self.inputs[i] if i < len(self.inputs) else None
        if tensor is None:
            raise UnsupportedError(f"node '{self.name}' ({self.op}): input {i} is missing.")
        return tensor

    def optional(self, i: int) -> Tensor | None:
        """Return input i or None."""
        return self.inputs[i] if i < len(self.inputs) else None

    def unsupported(self, why: str) -> UnsupportedError:
        """Return the error for a combination that has no bit-exact rule."""
        types = ", ".join(t.dtype if t else "-" for t in self.inputs)
        return UnsupportedError(
            f"node '{self.name}': {self.op} of ({types}) -> {', '.join(t.dtype for t in self.outputs)}: {why}"
        )


def fused_range(site: Site, activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    """Return (q_min, q_max) of the output under a fused activation; UnsupportedError when this target does not clamp integers there."""
    whole = RANGES[site.y.dtype]
    limits = activation_range(activation, scale, zero_point, *whole)
    if limits != whole and site.arithmetic.fused_activation == "implied":
        raise site.unsupported(
            f"'{activation}' ends at {limits[0]} and {limits[1]}, inside the range of its output. This target then computes the "
            "operator in real numbers, in an order that is not known. Give the output a range that ends where the activation does."
        )
    return limits


DTYPES = {name: np.dtype(kind) for name, kind in STORAGE.items()}
"""Type of the arrays that hold a tensor type; a look-up is quicker than NumPy's reading of a name."""


def checked(site: Site, array: Array, tensor: Tensor) -> Array:
    """Return the array contiguous; InputError unless it has the declared type and shape (any batch): kernels have no bounds checks."""
    shape = array.shape
    if array.dtype != DTYPES[tensor.dtype] or shape[1:] != tensor.shape[1:] or len(shape) != len(tensor.shape):
        want = f"{tensor.dtype} (N, {', '.join(map(str, tensor.shape[1:]))})"
        raise InputError(f"node '{site.name}': '{tensor.name}' is {array.dtype} {array.shape}; expected {want}.")
    return np.ascontiguousarray(array)


@dataclass(frozen=True)
class Counts:
    """Work of one operator for one sample: multiply-accumulates and other elementary operations (element counts)."""

    macs: int = 0
    elements: int = 0


@dataclass(frozen=True)
class Weights:
    """Which inputs are weights: index of the weight and bias inputs, channel axis of the weights."""

    index: int = 1
    bias: int = 2
    channel_axis: int = 0


@dataclass(frozen=True)
class OpSpec:
    """One operator.

    attrs: frozen dataclass of its attributes.
    infer_shape(attrs, input shapes) -> output shapes.
    reference(attrs, arrays) -> float arrays, IEEE float32 (the *reference*).
    prepare(site) -> a function on arrays: the target's bits (*emulate*). Constants, tables, multipliers are made here, once.
    count(attrs, input shapes, output shapes) -> Counts for one sample.
    weights: which inputs are weights, or None.
    output_quant: how static quantization gives the output its scale:
        'own' (calibrated), 'input' (same as input 0), 'shared' (all activation inputs and the output share one),
        'fixed' (`fixed_quant`: activation type -> (scale, zero point), as the TFLite int8 specification demands),
        or 'none' (its output is a float).
    """

    name: str
    attrs: type[Any]
    infer_shape: Callable[[Any, list[Shape]], list[Shape]]
    reference: Callable[[Any, list[Array]], list[Array]]
    prepare: Callable[[Site], Run]
    count: Callable[[Any, list[Shape], list[Shape]], Counts]
    weights: Weights | None = None
    output_quant: Literal["own", "input", "shared", "fixed", "none"] = "own"
    fixed_quant: tuple[tuple[str, tuple[float, int]], ...] = ()
    plain: bool = False
    """Takes activations that are plain integers or bools (`Tensor.is_plain`), besides or instead of numbers."""
    summary: str = ""


OPS: Registry[OpSpec] = Registry("operator")


def register(spec: OpSpec) -> OpSpec:
    """Add an operator to the registry."""
    return OPS.add(spec.name, spec)


@dataclass(frozen=True)
class NoAttrs:
    """Attributes of an operator that has none."""


def count_outputs(attrs: Any, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count one elementary operation per output element."""
    return Counts(elements=int(np.prod(outputs[0][1:], dtype=np.int64)))


def same_shape(attrs: Any, shapes: list[Shape]) -> list[Shape]:
    """Infer: the output has the shape of input 0."""
    return [shapes[0]]


def run_float32(spec_reference: Callable[[Any, list[Array]], list[Array]], site: Site) -> Run:
    """Run the reference in float32: what a float32 target computes up to summation order (not claimed bit-exact)."""
    return lambda args: spec_reference(site.attrs, list(args))


def run_rounded_once(spec_reference: Callable[[Any, list[Array]], list[Array]], site: Site) -> Run:
    """Compute in float32 on float16 or bfloat16 values and round the result once, to nearest even.

    For one add, sub or mul, a maximum or a comparison this is the direct rounding, and so what hardware gives: float32 has at least
    2 * 11 + 2 bits (the double rounding is innocuous). For sums, averages and transcendental functions it is the float32 result
    rounded on store (stated as such, not as a vendor's own approximation).
    """
    dtype = site.y.dtype

    def run(args: Sequence[Array]) -> list[Array]:
        wide = [widen(a) if a is not None and a.dtype == DTYPES[dtype] else a for a in args]
        with np.errstate(over="ignore"):
            return [narrow(np.ascontiguousarray(out, np.float32), dtype) for out in spec_reference(site.attrs, wide)]

    return run
