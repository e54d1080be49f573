"""Functions of one value: registers an operator from its float32 function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from workbench.errors import ModelError
from workbench.ops._elementwise import float_run
from workbench.ops._lut import Floats, lut_run
from workbench.ops._plain import NUMBERS, are_plain, is_plain, plain_unary
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape

Real = Callable[[Any, Floats], Floats]
"""(attributes, float32) -> float32, element by element."""


def register_function(
    name: str,
    real: Real,
    summary: str,
    attrs: type[Any] = NoAttrs,
    whole: Callable[[Array], Array] | None = None,
    types: Sequence[str] = NUMBERS,
    quantized: Callable[[Site], Run] | None = None,
    table: bool = False,
) -> OpSpec:
    """Register an operator.

    whole: of integers without a scale, of one of `types`. quantized: prepares the run on integers with scales; table: that run is
    the table that TFLite's and ONNX Runtime's functions of one value are (`_lut`), for functions that are finite everywhere.
    """

    def reference(options: Any, args: list[Array]) -> list[Array]:
        if are_plain(args[0]):
            if whole is None:
                raise ModelError(f"{name} of integers without a scale is not known.")
            with np.errstate(over="ignore"):
                return [np.asarray(whole(args[0]), args[0].dtype)]
        with np.errstate(all="ignore"):
            return [np.asarray(real(options, args[0].astype(np.float32, copy=False)), np.float32)]

    def prepare(site: Site) -> Run:
        run = float_run(reference, site)
        if run is not None:
            return run
        if whole is not None and is_plain(site):
            return plain_unary(site, whole, types)
        if quantized is not None:
            return quantized(site)
        if not table:
            raise site.unsupported("there is no rule for integers with scales; use a float format.")
        return lut_run(site, lambda x: reference(site.attrs, [x])[0])

    return register(
        OpSpec(
            name=name, attrs=attrs, infer_shape=same_shape, reference=reference, prepare=prepare, count=count_outputs,
            plain=whole is not None, summary=summary,
        )
    )  # fmt: skip
