"""Translators of operators on two inputs with broadcasting: add, sub, mul, div, maximum, pow, ...; prelu; sums of several inputs."""

from __future__ import annotations

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.tensor import MAX_RANK
from workbench.ops.add import BinaryAttrs
from workbench.ops.base import NoAttrs

WHOLE = ("int32", "int64", "uint8")
"""Types without a scale that can be added, divided and compared."""
_FUSED = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}
_BARE = {
    "MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions", "POW": "PowOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions", "FLOOR_DIV": "FloorDivOptions", "FLOOR_MOD": "FloorModOptions",
}  # fmt: skip
_BITS = {"BITWISE_XOR": "BitwiseXorOptions", "RIGHT_SHIFT": "RightShiftOptions"}


def one_type(call: Call, *tensors: Tensor, plain: tuple[str, ...] = ()) -> None:
    """Refuse tensors (the output is one of them) of different types; without a scale they may be of the types `plain`."""
    found = (*tensors, call.output)
    if plain and all(t.is_plain for t in found):
        if len({t.dtype for t in found}) > 1 or found[0].dtype not in plain:
            raise call.error(f"types {', '.join(t.dtype for t in found)} without scales; expected one of {', '.join(plain)}.")
        return
    call.same_type(*tensors)


def aligned_pair(call: Call, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Return both inputs of equal rank where they are activations, and whether they tie the graph to the declared batch."""
    rank = max(len(a.shape), len(b.shape))
    if rank > MAX_RANK:
        raise call.error(f"{rank} dimensions; at most {MAX_RANK} fit.")
    pair = _aligned(call, a, rank), _aligned(call, b, rank)
    # A constant with a row per sample, or one that makes more samples than there are, ties the graph to the declared batch.
    mixes = any(t.is_constant and len(t.shape) == rank and rank > 0 and t.shape[0] != 1 for t in pair)
    return *pair, mixes


def _aligned(call: Call, tensor: Tensor, rank: int) -> Tensor:
    """Return an activation with leading ones, so that dimension 0 is the batch for both operands.

    With one declared sample, [1, C] beside [1, H, W, C] means the same as [1, 1, 1, C], where every sample has its own.
    """
    missing = rank - len(tensor.shape)
    if tensor.is_constant or not missing:
        return tensor
    return call.reshaped(tensor, (*(1,) * missing, *tensor.shape))


def _fused(call: Call) -> None:
    a, b = call.input(0), call.input(1)
    one_type(call, a, b, plain=WHOLE)
    a, b, mixes = aligned_pair(call, a, b)
    kind = call.operator.kind
    attrs = BinaryAttrs(call.activation, bool(call.options.get("PotScaleInt16", kind in ("ADD", "SUB"))))
    if a.is_plain and attrs.activation != "none":
        raise call.error(f"a fused {attrs.activation} of {a.dtype} values without a scale is not supported.")
    call.emit(kind.lower(), [a, b], attrs, mixes)


def _bare(call: Call) -> None:
    a, b = call.input(0), call.input(1)
    one_type(call, a, b, plain=WHOLE)
    a, b, mixes = aligned_pair(call, a, b)
    call.emit(call.operator.kind.lower(), [a, b], NoAttrs(), mixes)


def _bits(call: Call) -> None:
    a, b = call.input(0), call.input(1)
    if not (a.is_plain and b.is_plain and call.output.is_plain):
        raise call.error(f"combines the bits of {a.dtype} values with a scale, which is not supported.")
    _bare(call)


for _kind, _options in _FUSED.items():
    translates(_kind, (2, 2), _options)(_fused)
for _kind, _options in _BARE.items():
    translates(_kind, (2, 2), _options)(_bare)
for _kind, _options in _BITS.items():
    translates(_kind, (2, 2), _options)(_bits)


@translates("PRELU", (2, 2))
def _prelu(call: Call) -> None:
    x, alpha = call.input(0), call.input(1)
    call.same_type(x)
    slope = "int8" if x.dtype == "int16" else x.dtype
    if alpha.dtype != slope or (slope != "float32" and (alpha.quant is None or alpha.quant.axis is not None)):
        raise call.error(f"the slope is {alpha.dtype}; {x.dtype} values fit {slope}, with one scale if it is an integer.")
    x, alpha, mixes = aligned_pair(call, x, alpha)
    call.emit("prelu", [x, alpha], NoAttrs(), mixes)


@translates("ADD_N", (1, 1000), "AddNOptions")
def _add_n(call: Call) -> None:
    parts = [call.input(i) for i in range(len(call.operator.inputs))]
    one_type(call, *parts, plain=("int32",))
    call.emit("add_n", parts, NoAttrs(), mixes=any(t.is_constant and t.shape[:1] != (1,) for t in parts))
