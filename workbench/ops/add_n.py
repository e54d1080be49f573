"""add_n: the sum of any number of inputs of one shape, from left to right.

int8 (TFLM alone): all inputs in one scale, each times 2**20 and halved, added exactly, rescaled once.
Source: TFLite add_n.cc, reference/add_n.h; TFLM add_n.cc. Constraints: (C1) one type and shape, (C2) int8 inputs of one scale and zero
point, (C3) integers without a scale wrap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.errors import InputError, ModelError
from workbench.ops._elementwise import float_run, quant_of, same_quantization, same_types
from workbench.ops._plain import are_plain, is_plain, plain_type
from workbench.ops._tables import flat_requantizer
from workbench.ops.base import DTYPES, Array, NoAttrs, OpSpec, Run, Shape, Site, checked, count_outputs, register
from workbench.tensor import RANGES

LEFT_SHIFT = 20


def _infer(attrs: NoAttrs, shapes: list[Shape]) -> list[Shape]:
    if any(tuple(shape) != tuple(shapes[0]) for shape in shapes):
        raise ModelError(f"add_n: all inputs must have one shape, not {', '.join(map(str, shapes[:8]))}.")
    return [shapes[0]]


def _reference(attrs: NoAttrs, args: list[Array]) -> list[Array]:
    total = args[0]
    with np.errstate(over="ignore", invalid="ignore"):
        for part in args[1:]:
            total = total + part
    return [np.asarray(total, args[0].dtype if are_plain(*args) else np.float32)]


def _prepare(site: Site) -> Run:
    tensors = [site.input(i) for i in range(len(site.inputs))]
    _infer(site.attrs, [t.shape for t in tensors])
    run = float_run(_reference, site)
    if run is None and is_plain(site):
        plain_type(site)
        run = lambda args: _reference(site.attrs, list(args))  # noqa: E731
    chosen = run or _integers(site)

    def run_checked(args: Sequence[Array]) -> list[Array]:
        parts = [checked(site, a, t) for a, t in zip(args, tensors, strict=True)]
        batch = {len(a) for a, t in zip(parts, tensors, strict=True) if not t.is_constant}
        if len(batch) > 1:
            raise InputError(f"node '{site.name}': inputs have different numbers of samples.")
        return chosen([np.broadcast_to(a, (*batch, *a.shape[1:])) for a in parts])

    return run_checked


def _integers(site: Site) -> Run:
    if same_types(site) != "int8":
        raise site.unsupported("only int8 has a rule.")
    for i in range(1, len(site.inputs)):
        same_quantization(site, site.x, site.input(i))
    (sx, zx), (sy, zy) = quant_of(site, site.x), quant_of(site, site.y)
    scale = 2.0 * float(sx) / (2.0**LEFT_SHIFT * float(sy))
    if scale >= 1.0 or len(site.inputs) > 7:
        raise site.unsupported("more than 7 inputs, or an output scale so small, would leave the 32-bit sum.")
    requantize = flat_requantizer(site, site.arithmetic.requantize, scale, zy, RANGES["int8"])

    def run(args: Sequence[Array]) -> list[Array]:
        # Half of 2**20 times a difference is exact, so the inputs' own rescaling rounds nothing. The sum starts from -zx, not from 0.
        total = np.full(args[0].shape, -zx, np.int32)
        for part in args:
            total += part.astype(np.int32) - np.int32(zx)
        out = np.empty(total.shape, DTYPES["int8"])
        requantize((total << (LEFT_SHIFT - 1)).reshape(-1), out.reshape(-1))
        return [out]

    return run


ADD_N = register(
    OpSpec(
        name="add_n", attrs=NoAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=count_outputs, plain=True,
        summary="sum of several inputs of one shape",
    )
)  # fmt: skip
