"""Matrix products on hostile inputs, to be computed in a process of every CPU path: python -m tests.tensor_core_set prints digests."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from tests.oracles.float_inputs import KINDS, patterns
from workbench.kernels.gemm_tensor_core import gemm_tensor_core
from workbench.numerics.float_formats import FORMATS
from workbench.numerics.tensor_core import DotRule

Array = np.ndarray[Any, Any]
SETS = {
    "turing_fp16_half": (("fp16", "fp16"), DotRule(8, 24, 2)),
    "hopper_bf16": (("bf16", "bf16"), DotRule(16, 25)),
    "hopper_fp8": (("e5m2", "e4m3"), DotRule(32, 13, 1)),
    "sparse_fp16": (("fp16", "fp16"), DotRule(32, 25)),
}


"""Together they take every branch: narrow and wide, each accumulator, none, one and two sums."""


def operands(name: str) -> list[tuple[Array, Array]]:
    """Return (a [7, K], b [19, K]) of every kind of input."""
    rng = np.random.default_rng(len(name))
    formats, _ = SETS[name]
    found = []
    for kind in (*KINDS, "normal"):
        depth = int(rng.integers(40, 90))
        shapes = zip(((7, depth), (19, depth)), formats, strict=True)
        a, b = (patterns(rng, shape, kind, form).astype(FORMATS[form].storage) for shape, form in shapes)
        found.append((a, b))
    return found


def digest(results: list[Array]) -> str:
    """Return a hash of float32 arrays, or of their patterns."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(r).view(np.uint32).tobytes() for r in results)).hexdigest()


def main() -> None:
    """Print name -> digest."""
    found = {name: digest([gemm_tensor_core(a, b, *SETS[name]) for a, b in operands(name)]) for name in SETS}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
