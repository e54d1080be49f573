"""logical_and, logical_or, logical_xor (NumPy broadcasting) and logical_not of bools."""

from __future__ import annotations

import numpy as np

from workbench.errors import ModelError
from workbench.ops._binary import infer_two
from workbench.ops._plain import Function, is_plain, plain_binary, plain_unary
from workbench.ops.base import Array, NoAttrs, OpSpec, Run, Site, count_outputs, register, same_shape


def _bools(*arrays: Array) -> None:
    if any(a.dtype != np.bool_ for a in arrays):
        raise ModelError("logical operator: the inputs must be bools.")


def _check(site: Site) -> None:
    if not is_plain(site) or any(t is None or t.dtype != "bool" for t in (*site.inputs, site.y)):
        raise site.unsupported("inputs and output must be bools.")


def _register(name: str, function: Function, summary: str) -> OpSpec:
    def reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
        _bools(args[0], args[1])
        return [np.asarray(function(args[0], args[1]))]

    def prepare(site: Site) -> Run:
        _check(site)
        return plain_binary(site, function, ("bool",))

    return register(
        OpSpec(
            name=name, attrs=NoAttrs, infer_shape=infer_two, reference=reference, prepare=prepare, count=count_outputs,
            output_quant="none", plain=True, summary=summary,
        )
    )  # fmt: skip


LOGICAL_AND = _register("logical_and", np.logical_and, "a and b of bools")
LOGICAL_OR = _register("logical_or", np.logical_or, "a or b of bools")
LOGICAL_XOR = _register("logical_xor", np.logical_xor, "either a or b of bools")


def _not(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    _bools(args[0])
    return [np.logical_not(args[0])]


def _prepare_not(site: Site) -> Run:
    _check(site)
    return plain_unary(site, np.logical_not, ("bool",))


LOGICAL_NOT = register(
    OpSpec(
        name="logical_not", attrs=NoAttrs, infer_shape=same_shape, reference=_not, prepare=_prepare_not, count=count_outputs,
        output_quant="none", plain=True, summary="not x of bools",
    )
)  # fmt: skip
