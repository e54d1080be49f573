"""rnn: a sequence through a plain recurrent layer. Inputs x [B, T, I], w [N, I], bias [N], r [N, N], state h [B, N].

    h = activation(x w + bias + h r)

Outputs y [B, T, N] and the state after the last step. time_major: x and y are [T, B, ...]. Floats only: the runtimes have no integer
kernel.
Source: TFLite kernel_utils.cc (RnnBatchStep), basic_rnn.cc, unidirectional_sequence_rnn.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import ModelError
from workbench.kernels.gemm_f32 import gemm_f32
from workbench.ops._elementwise import float_run
from workbench.ops._linear import fuse, real_constants
from workbench.ops.base import Array, Counts, OpSpec, Run, Shape, Site, Weights, register
from workbench.ops.logistic import tanh32


@dataclass(frozen=True)
class RnnAttrs:
    """activation: of every step: 'tanh' or what a layer can fuse. time_major: x is [T, B, I]."""

    activation: str = "tanh"
    time_major: bool = False


def _infer(attrs: RnnAttrs, shapes: list[Shape]) -> list[Shape]:
    x, w, bias, r, h = shapes
    units = r[-1] if r else 0
    kept = (x[1 if attrs.time_major else 0], units) if len(x) == 3 else ()
    if w != (units, x[-1] if x else 0) or bias != (units,) or r != (units, units) or h != kept:
        raise ModelError(f"rnn: shapes {x}, {w}, {bias}, {r}, {h} are not [B, T, I], [N, I], [N], [N, N], [B, N].")
    return [(x[0], x[1], units), h]


def _reference(attrs: RnnAttrs, args: list[Array]) -> list[Array]:
    x, w, bias, r, h = args
    x = np.ascontiguousarray(x.transpose(1, 0, 2) if attrs.time_major else x, np.float32)
    samples, steps, depth = x.shape
    entering = (
        gemm_f32(x.reshape(samples * steps, depth), np.ascontiguousarray(w.T, np.float32)).reshape(samples, steps, -1) + bias
    )
    recurrent = np.ascontiguousarray(r.T, np.float32)
    y = np.empty((samples, steps, len(bias)), np.float32)
    for t in range(steps):
        total = entering[:, t] + gemm_f32(np.ascontiguousarray(h, np.float32), recurrent)
        h = tanh32(total) if attrs.activation == "tanh" else fuse(total, attrs.activation)
        y[:, t] = h
    return [np.ascontiguousarray(y.transpose(1, 0, 2)) if attrs.time_major else y, np.ascontiguousarray(h, np.float32)]


def _prepare(site: Site) -> Run:
    _infer(site.attrs, [site.input(i).shape for i in range(5)])
    run = float_run(_reference, site)
    if run is None:
        raise site.unsupported("no runtime has an integer kernel for it; in float it runs.")
    return lambda args: run(real_constants(site, args))


def _count(attrs: RnnAttrs, inputs: list[Shape], outputs: list[Shape]) -> Counts:
    """Count the products of both matrices and the activations, per entry of dimension 0."""
    repeats, depth = inputs[0][1:]
    units = outputs[0][2]
    return Counts(macs=repeats * units * (depth + units), elements=repeats * units)


RNN = register(
    OpSpec(
        name="rnn", attrs=RnnAttrs, infer_shape=_infer, reference=_reference, prepare=_prepare, count=_count, weights=Weights(),
        summary="sequence through a plain recurrent layer",
    )
)  # fmt: skip
