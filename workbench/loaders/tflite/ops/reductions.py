"""Translators of reductions over axes: mean, sum, product, largest, smallest; any and all of bools."""

from __future__ import annotations

from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.ops.arithmetic import one_type
from workbench.loaders.tflite.ops.moves import normal_axes
from workbench.ops.mean import MeanAttrs

MAX_AXES = 64
_NUMBERS, _BOOLS = ("int32", "int64", "uint8"), ("bool",)
_KINDS = {
    "MEAN": ("mean", _NUMBERS), "SUM": ("sum", _NUMBERS), "REDUCE_PROD": ("reduce_prod", _NUMBERS),
    "REDUCE_MAX": ("reduce_max", (*_NUMBERS, *_BOOLS)), "REDUCE_MIN": ("reduce_min", (*_NUMBERS, *_BOOLS)),
    "REDUCE_ANY": ("reduce_any", _BOOLS), "REDUCE_ALL": ("reduce_all", _BOOLS),
}  # fmt: skip
"""TFLite operator -> operator of the graph, and the types without a scale that it takes."""


def _reduce(call: Call) -> None:
    x = call.input(0)
    op, types = _KINDS[call.operator.kind]
    one_type(call, x, plain=types)
    axes = tuple(sorted(set(normal_axes(call, call.numbers(1, "the axes", MAX_AXES), len(x.shape)))))
    if not axes:
        raise call.error("names no axis.")
    call.emit(op, [x], MeanAttrs(axes, bool(call.options.get("KeepDims", False))), mixes=0 in axes)


for _kind in _KINDS:
    translates(_kind, (2, 2), "ReducerOptions")(_reduce)
