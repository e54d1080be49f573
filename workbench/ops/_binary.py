"""Operators of two inputs without attributes, NumPy broadcasting: functions for reals and plain integers, a rule for quantized ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from workbench.errors import ModelError
from workbench.ops._broadcast import check_broadcast
from workbench.ops._elementwise import broadcast_shape, float_run
from workbench.ops._plain import NUMBERS, Function, are_plain, is_plain, plain_binary
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Shape, Site, count_outputs, register


def infer_two(attrs: Any, shapes: list[Shape]) -> list[Shape]:
    """Infer the broadcast of both inputs."""
    return [broadcast_shape(shapes[:2], "elementwise operator")]


def register_binary(
    name: str,
    real: Function,
    summary: str,
    whole: Function | None = None,
    types: Sequence[str] = NUMBERS,
    quantized: Callable[[Site], Run] | None = None,
    output_quant: Literal["own", "shared"] = "own",
) -> OpSpec:
    """Register an operator.

    real: of float32. whole: of integers without a scale, which may be of `types`; None when there is no such operator.
    quantized: prepares the run on integers with scales; None when no rule is known.
    """

    def reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
        a, b = args[0], args[1]
        if are_plain(a, b):
            if whole is None:
                raise ModelError(f"{name} of integers without a scale is not known.")
            return [whole(a, b)]
        with np.errstate(all="ignore"):
            return [np.asarray(real(a, b), np.float32)]

    def prepare(site: Site) -> Run:
        run = float_run(reference, site)
        if run is not None:
            check_broadcast(site)
            return run
        if whole is not None and is_plain(site):
            return plain_binary(site, whole, types)
        if quantized is None:
            raise site.unsupported("there is no rule for integers with scales; use a float format.")
        return quantized(site)

    return register(
        OpSpec(
            name=name, attrs=NoAttrs, infer_shape=infer_two, reference=reference, prepare=prepare, count=count_outputs,
            output_quant=output_quant, plain=whole is not None, summary=summary,
        )
    )  # fmt: skip
