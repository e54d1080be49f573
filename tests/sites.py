"""Sites of one operator for tests: tensors with quantization, any `Arithmetic`, prepared and run without a graph or profile."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.graph.ir import Array, Tensor
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops import OPS, Site
from workbench.tensor import QuantParams


def tensor(name: str, shape: tuple[int, ...], dtype: str, quant: tuple[float, int] | None = None, data: Any = None) -> Tensor:
    """Return a tensor with one scale and zero point, or none."""
    return Tensor(name, shape, dtype, None if quant is None else QuantParams.per_tensor(*quant), data)


def site(op: str, attrs: Any, inputs: list[Tensor], output: Tensor, **arithmetic: Any) -> Site:
    """Return the site of one operator."""
    return Site("node", op, attrs, tuple(inputs), (output,), Arithmetic(**arithmetic))


def emulate(place: Site, *arrays: Array) -> Array:
    """Prepare and run a site; constants take their own data."""
    feeds = iter(arrays)
    args = [t.data if t is not None and t.data is not None else next(feeds) for t in place.inputs]
    (y,) = OPS[place.op].prepare(place)(args)
    return np.asarray(y)
