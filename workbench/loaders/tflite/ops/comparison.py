"""Translators of comparisons and logical operators: their outputs are bools."""

from __future__ import annotations

from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.ops.arithmetic import WHOLE, aligned_pair, one_type
from workbench.ops.base import NoAttrs
from workbench.ops.compare import CompareAttrs

_COMPARE = {
    "EQUAL": "EqualOptions", "NOT_EQUAL": "NotEqualOptions", "LESS": "LessOptions", "LESS_EQUAL": "LessEqualOptions",
    "GREATER": "GreaterOptions", "GREATER_EQUAL": "GreaterEqualOptions",
}  # fmt: skip
_QUANTIZED = ("float32", "int8", "uint8", "int16")


def _compare(call: Call) -> None:
    a, b = call.input(0), call.input(1)
    kind = call.operator.kind.lower()
    if call.output.dtype != "bool" or a.dtype != b.dtype or a.is_plain != b.is_plain:
        raise call.error(f"types {a.dtype}, {b.dtype} -> {call.output.dtype}; expected two of one type -> bool.")
    fits = (*WHOLE, "bool") if kind in ("equal", "not_equal") else WHOLE
    if a.dtype not in (fits if a.is_plain else _QUANTIZED):
        raise call.error(f"compares {a.dtype} values, which is not supported.")
    for t in (a, b):
        if t.quant is not None and t.quant.axis is not None:
            raise call.error(f"'{t.name[:80]}' needs one scale and one zero point.")
    a, b, mixes = aligned_pair(call, a, b)
    call.emit("compare", [a, b], CompareAttrs(kind), mixes)  # type: ignore[arg-type]


def _logical(call: Call) -> None:
    a, b = call.input(0), call.input(1)
    one_type(call, a, b, plain=("bool",))
    a, b, mixes = aligned_pair(call, a, b)
    call.emit(call.operator.kind.lower(), [a, b], NoAttrs(), mixes)


for _kind, _options in _COMPARE.items():
    translates(_kind, (2, 2), _options)(_compare)
for _kind, _options in (("LOGICAL_AND", "LogicalAndOptions"), ("LOGICAL_OR", "LogicalOrOptions")):
    translates(_kind, (2, 2), _options)(_logical)


@translates("LOGICAL_NOT", (1, 1), "LogicalNotOptions")
def _not(call: Call) -> None:
    x = call.input(0)
    one_type(call, x, plain=("bool",))
    call.emit("logical_not", [x], NoAttrs())
