"""Translator of DENSIFY: constants that are stored sparse are decoded where they are read."""

from __future__ import annotations

from workbench.loaders.tflite.call import Call, translates


@translates("DENSIFY", (1, 1), "DensifyOptions")
def _densify(call: Call) -> None:
    x, y = call.input(0), call.output
    if x.data is None or x.index is None or not call.builder.file.tensors.is_sparse(x.index):
        raise call.error(f"the input '{x.name[:80]}' must be a constant that is stored sparse.")
    if y.dtype != x.dtype:
        raise call.error(f"types {x.dtype} -> {y.dtype}; expected the same on both sides.")
    call.constant(x.data, quant=y.quant or x.quant)
