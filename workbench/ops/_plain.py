"""Operators on plain integers and bools: exact in the width of their type; what is beyond it wraps around (two's complement).

Plain: without a scale (`Tensor.is_plain`). No target changes them, so the reference and the emulation are one function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.ops._broadcast import binary_run, check_broadcast
from workbench.ops._elementwise import float_run
from workbench.ops.base import DTYPES, Array, Run, Site, checked

NUMBERS = ("int32", "int64", "uint8")
"""Plain types that can be added and compared; bools only can be equal or not."""
Function = Callable[[Array, Array], Array]


def are_plain(*arrays: Array) -> bool:
    """True for arrays that hold integers or bools: in a reference these are plain, as quantized values come as reals."""
    return all(a.dtype.kind in "iub" for a in arrays)


def is_plain(site: Site) -> bool:
    """True when every activation and constant of a site is plain."""
    return all(t.is_plain for t in (*site.inputs, *site.outputs) if t is not None)


def plain_type(site: Site, types: Sequence[str] = NUMBERS) -> str:
    """Return the one type of all inputs; UnsupportedError when they differ or it is none of `types`."""
    found = {t.dtype for t in site.inputs if t is not None}
    if len(found) != 1 or not found <= set(types):
        raise site.unsupported(f"integers without a scale must be of one type here: {', '.join(types)}.")
    return found.pop()


def no_activation(attrs: Any) -> None:
    """Refuse a fused activation: its limits are real numbers."""
    if attrs.activation != "none":
        raise ModelError(f"a fused {attrs.activation} has no meaning for integers without a scale.")


def modular(function: Function) -> Function:
    """Return the function without warnings where integers wrap around."""

    def silent(a: Array, b: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(function(a, b))

    return silent


def float_or_plain(site: Site, reference: Callable[[Any, list[Array]], list[Array]], function: Function) -> Run | None:
    """Return the run of an operator on two operands that are floats (by its reference) or plain integers (by a function of both).

    None for quantized operands, whose rule is the operator's own.
    """
    run = float_run(reference, site)
    if run is not None:
        check_broadcast(site)
        return run
    if not is_plain(site):
        return None
    no_activation(site.attrs)
    return plain_binary(site, function)


def plain_binary(site: Site, function: Function, types: Sequence[str] = NUMBERS) -> Run:
    """Return the run of function(a, b), NumPy broadcasting. An InputError of the function is given the node's name."""
    plain_type(site, types)

    def compute(a: Array, b: Array, y: Array) -> None:
        try:
            y[:] = function(a, b)
        except InputError as problem:
            raise InputError(f"node '{site.name}': {problem}") from None

    return binary_run(site, compute)


def plain_unary(site: Site, function: Callable[[Array], Array], types: Sequence[str] = NUMBERS) -> Run:
    """Return the run of function(x), one value for each."""
    plain_type(site, types)
    dtype = DTYPES[site.y.dtype]

    def run(args: Sequence[Array]) -> list[Array]:
        with np.errstate(over="ignore"):
            return [np.asarray(function(checked(site, args[0], site.x)), dtype)]

    return run


def divide(a: Array, b: Array) -> Array:
    """Return a / b toward zero; -2**31 / -1 wraps. InputError when b has a zero."""
    quotient = floor_divide(a, b)
    with np.errstate(over="ignore"):
        up = (quotient * b != a) & ((a < 0) != (b < 0))
        return np.asarray(quotient + up.astype(quotient.dtype))


def floor_divide(a: Array, b: Array) -> Array:
    """Return floor(a / b); -2**31 / -1 wraps. InputError when b has a zero."""
    _no_zero(b)
    with np.errstate(over="ignore"):
        return np.asarray(np.floor_divide(a, b))


def floor_mod(a: Array, b: Array) -> Array:
    """Return a - floor(a / b) * b, which has the sign of b. InputError when b has a zero."""
    _no_zero(b)
    return np.asarray(np.mod(a, b))


def _no_zero(b: Array) -> None:
    if not np.all(b):
        raise InputError("an integer is divided by zero.")
