"""Operators on unsigned bytes with a scale (the scheme of converters before 2019), prepared as their int8 twins.

Only differences to the zero point enter, so x - 128 with zero point - 128 is the same number in int8: the run turns the highest bit of
every byte on the way in and out. Weights have a zero point of their own here. The twin has weights less it: int8 where they fit, else
int9, which the kernels of 16-bit operands multiply exactly. Rules that look at stored integers ask `Site.lift`; what a runtime computes
otherwise on unsigned bytes is arithmetic of the type `uint8`. Source: gemmlowp doc/quantization.md; TFLite reference/conv.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.graph.ir import Tensor
from workbench.ops.base import OPS, Array, Run, Site, checked
from workbench.tensor import QuantParams

HALF = 128
"""What an unsigned byte is more than its twin."""
AS_STORED = ("cast",)
"""Operators that read the stored integers, whatever scale they have."""


def prepare_site(site: Site) -> Run:
    """Return the emulation of a site; unsigned bytes with a scale run as int8."""
    if site.op in AS_STORED or not any(is_unsigned(t) for t in (*site.inputs, *site.outputs)):
        return OPS[site.op].prepare(site)
    twin = signed_twin(site)
    run = OPS[site.op].prepare(twin)
    turned_in = [t if is_unsigned(t) else None for t in site.inputs]
    turned_out = [is_unsigned(t) for t in site.outputs]
    constants = [None if t is None else t.data for t in twin.inputs]

    def unsigned(args: Sequence[Array]) -> list[Array]:
        signed = [
            constant if constant is not None else a if t is None else turned(checked(site, a, t)).view(np.int8)
            for a, constant, t in zip(args, constants, turned_in, strict=True)
        ]
        return [turned(y.view(np.uint8)) if turn else y for y, turn in zip(run(signed), turned_out, strict=True)]

    return unsigned


def is_unsigned(tensor: Tensor | None) -> bool:
    """True for unsigned bytes with a scale (not plain ones: bytes of pictures, masks)."""
    return tensor is not None and tensor.dtype == "uint8" and tensor.quant is not None


def turned(x: Array) -> Array:
    """Return bytes with the highest bit turned: x +- 128."""
    return np.asarray(x ^ np.uint8(HALF))


def signed_twin(site: Site) -> Site:
    """Return the same operator on int8. Weights (`OpSpec.weights`) lose their zero point, all other tensors move by 128."""
    spec = OPS[site.op].weights
    inputs = tuple(
        t if t is None or not is_unsigned(t) else _weights(site, t) if spec is not None and i == spec.index else _moved(t)
        for i, t in enumerate(site.inputs)
    )
    outputs = tuple(_moved(t) if is_unsigned(t) else t for t in site.outputs)
    lifts = (HALF if any(is_unsigned(t) for t in side) else 0 for side in (site.inputs, site.outputs))
    return replace(site, inputs=inputs, outputs=outputs, lift=next(lifts), lift_out=next(lifts))


def _moved(tensor: Tensor) -> Tensor:
    assert tensor.quant is not None
    quant = QuantParams(tensor.quant.scale, tensor.quant.zero_point - HALF, tensor.quant.axis)
    data = None if tensor.data is None else turned(tensor.data).view(np.int8)
    return replace(tensor, dtype="int8", quant=quant, data=data)


def _weights(site: Site, tensor: Tensor) -> Tensor:
    """Return weights with zero point 0, in int8 where they fit: the kernels of bytes are quicker.

    Products of two unsigned bytes do not saturate in pairs (`saturate_int16_pairs`: those of a signed and an unsigned one do).
    """
    assert tensor.quant is not None
    if tensor.data is None:
        raise site.unsupported("weights must be a constant with scales.")
    exact = tensor.data.astype(np.int16) - tensor.quant.shaped(tensor.data.ndim)[1].astype(np.int16)
    pairs = site.arithmetic.overflow == "saturate_int16_pairs"
    narrow = not pairs and exact.size > 0 and exact.min() >= -HALF and exact.max() < HALF
    quant = QuantParams(tensor.quant.scale, np.zeros_like(tensor.quant.zero_point), tensor.quant.axis)
    return replace(tensor, dtype="int8" if narrow else "int9", quant=quant, data=exact.astype(np.int8) if narrow else exact)
