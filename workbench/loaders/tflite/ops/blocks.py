"""Translators of operators that move blocks of pixels: between space, depth and batch, and what is filled in around or between."""

from __future__ import annotations

from dataclasses import replace

import tflite

from workbench.graph.ir import Tensor
from workbench.loaders.tflite.call import Call, translates
from workbench.loaders.tflite.file import FileOperator
from workbench.loaders.tflite.ops.moves import check_move, normal_axes
from workbench.loaders.tflite.ops.slice import emit_slice
from workbench.loaders.tflite.tensor import MAX_RANK
from workbench.ops.broadcast_to import BroadcastToAttrs
from workbench.ops.dilate import DilateAttrs
from workbench.ops.mirror_pad import MirrorPadAttrs
from workbench.ops.pad import PadAttrs
from workbench.ops.reverse import ReverseAttrs
from workbench.ops.space_to_batch_nd import BatchToSpaceAttrs, SpaceToBatchAttrs
from workbench.ops.space_to_depth import DepthToSpaceAttrs, SpaceToDepthAttrs
from workbench.ops.tile import TileAttrs

LARGEST = 2**28
"""Largest block, padding, repeat or step; what they make is bounded apart."""
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
MIRRORS = ("reflect", "symmetric")


def bounded(call: Call, i: int, what: str, count: int, lowest: int) -> list[int]:
    """Return `count` constant integers of input i, each from `lowest` on."""
    found = call.numbers(i, what, count)
    if len(found) != count or not all(lowest <= v <= LARGEST for v in found):
        raise call.error(f"{what} is {found}; expected {count} integers of {lowest} to {LARGEST}.")
    return found


def pairs_of(call: Call, i: int, what: str, count: int) -> tuple[tuple[int, int], ...]:
    """Return (before, after) of `count` dimensions, [count, 2] constants >= 0."""
    if call.input(i).shape != (count, 2):
        raise call.error(f"{what} are {list(call.input(i).shape)}; expected [{count}, 2].")
    flat = bounded(call, i, what, 2 * count, 0)
    return tuple((flat[j], flat[j + 1]) for j in range(0, 2 * count, 2))


@translates("SPACE_TO_DEPTH", (1, 1), "SpaceToDepthOptions")
def _space_to_depth(call: Call) -> None:
    check_move(call, call.input(0))
    call.emit("space_to_depth", [call.input(0)], SpaceToDepthAttrs(_block(call)))


@translates("DEPTH_TO_SPACE", (1, 1), "DepthToSpaceOptions")
def _depth_to_space(call: Call) -> None:
    check_move(call, call.input(0))
    call.emit("depth_to_space", [call.input(0)], DepthToSpaceAttrs(_block(call)))


def _block(call: Call) -> int:
    block = int(call.option("BlockSize"))
    if not 1 <= block <= LARGEST:
        raise call.error(f"the block is {block}; expected 1 to {LARGEST}.")
    return block


@translates("SPACE_TO_BATCH_ND", (3, 3), "SpaceToBatchNDOptions")
def _space_to_batch(call: Call) -> None:
    x = call.input(0)
    check_move(call, x)
    block = _blocks(call, len(x.shape))
    paddings = pairs_of(call, 2, "the paddings", len(block))
    if not _dilates(call, x, block, paddings):
        call.emit("space_to_batch_nd", [x], SpaceToBatchAttrs(block, paddings), mixes=True)


@translates("BATCH_TO_SPACE_ND", (3, 3), "BatchToSpaceNDOptions")
def _batch_to_space(call: Call) -> None:
    x = call.input(0)
    check_move(call, x)
    block = _blocks(call, len(x.shape))
    crops = pairs_of(call, 2, "the crops", len(block))
    if call.operator.inputs[0] not in call.builder.dilated:
        call.emit("batch_to_space_nd", [x], BatchToSpaceAttrs(block, crops), mixes=True)
        return
    if any(sum(crop) >= d for crop, d in zip(crops, x.shape[1:], strict=False)):
        raise call.error(f"crops {crops} leave nothing of {list(x.shape)}.")
    kept = [range(before, d - after) for d, (before, after) in zip(x.shape[1:], crops, strict=False)]
    emit_slice(call, x, [range(x.shape[0]), *kept, range(x.shape[3])])


def _dilates(call: Call, x: Tensor, block: tuple[int, ...], paddings: tuple[tuple[int, int], ...]) -> bool:
    """Put SPACE_TO_BATCH_ND, a convolution of stride 1 without padding and BATCH_TO_SPACE_ND together; False where they are not that.

    Every sample of the split batch holds the pixels of one phase, so the convolution of all of them is that of the padded image with
    dilation `block`: the same products in the same order, and samples stay apart. Not so where integer weights quantize float
    activations as they run: every phase then has a scale of its own.
    """
    operators = call.builder.file.operators
    conv = _only_reader(call, call.operator.outputs[0])
    if (
        conv is None
        or conv.kind not in CONVOLUTIONS
        or conv.options is None
        or len(block) != 2
        or len(x.shape) != 4
        or x.is_constant
    ):
        return False
    back = _only_reader(call, conv.outputs[0]) if len(conv.outputs) == 1 else None
    ones = [conv.options.get(k, 1) for k in ("StrideH", "StrideW", "DilationHFactor", "DilationWFactor")]
    if back is None or back.kind != "BATCH_TO_SPACE_ND" or len(back.inputs) != 3 or len(conv.inputs) < 2 or ones != [1] * 4:
        return False
    tensors = call.builder.file.tensors
    other, weights = tensors.tensor(back.inputs[1], call.where), tensors.tensor(conv.inputs[1], call.where)
    same_block = other.data is not None and tuple(other.data.reshape(-1).tolist()) == block
    dynamic = x.dtype == "float32" and weights.dtype != "float32"
    if not same_block or conv.options.get("Padding") != tflite.Padding.VALID or len(weights.shape) != 4 or dynamic:
        return False
    padded = [d + sum(pair) for d, pair in zip(x.shape[1:3], paddings, strict=True)]
    out = [d - (k - 1) * b for d, k, b in zip(padded, weights.shape[1:3], block, strict=True)]
    if any(d % b for d, b in zip(padded, block, strict=True)) or min(out) < 1:
        return False
    channels = weights.shape[0 if conv.kind == "CONV_2D" else 3]
    tensors.redeclare(conv.outputs[0], (x.shape[0], *out, channels), call.where)
    call.builder.dilated.add(conv.outputs[0])
    options = {**conv.options, "DilationHFactor": block[0], "DilationWFactor": block[1]}
    operators[operators.index(conv)] = replace(conv, options=options)
    call.outputs = (replace(call.output, shape=(x.shape[0], *padded, x.shape[3])),)
    call.emit("pad", [x], PadAttrs(((0, 0), *paddings, (0, 0)), splits=any(map(any, paddings))))
    return True


def _only_reader(call: Call, index: int) -> FileOperator | None:
    """Return the one operator that reads a tensor, as its first input; None when there are others or it leaves the network."""
    readers = [op for op in call.builder.file.operators if index in op.inputs]
    if len(readers) != 1 or index in call.builder.file.outputs or readers[0].inputs.count(index) != 1:
        return None
    return readers[0] if readers[0].inputs[0] == index else None


def _blocks(call: Call, rank: int) -> tuple[int, ...]:
    count = call.input(1).shape[0] if len(call.input(1).shape) == 1 else 0
    if not 1 <= count < rank:
        raise call.error(f"blocks are {list(call.input(1).shape)} for an input of {rank} dimensions; expected 1 to {rank - 1}.")
    return tuple(bounded(call, 1, "the block", count, 1))


@translates("MIRROR_PAD", (2, 2), "MirrorPadOptions")
def _mirror_pad(call: Call) -> None:
    x, mode = call.input(0), call.options.get("Mode", 0)
    check_move(call, x)
    if mode not in (0, 1):
        raise call.error(f"mode {mode} is not known; expected REFLECT (0) or SYMMETRIC (1).")
    pads = pairs_of(call, 1, "the paddings", len(x.shape))
    if pads and any(pads[0]):
        raise call.error(f"pads the batch (dimension 0) by {pads[0]}, which is not supported.")
    call.emit("mirror_pad", [x], MirrorPadAttrs(pads, MIRRORS[mode]))  # type: ignore[arg-type]


@translates("TILE", (2, 2), "TileOptions")
def _tile(call: Call) -> None:
    x = call.input(0)
    check_move(call, x)
    repeats = bounded(call, 1, "the repeats", len(x.shape), 1)
    call.emit("tile", [x], TileAttrs(tuple(repeats)), mixes=repeats[:1] != [1])


@translates("BROADCAST_TO", (2, 2), "BroadcastToOptions")
def _broadcast_to(call: Call) -> None:
    x = call.input(0)
    check_move(call, x)
    target = call.numbers(1, "the target shape", MAX_RANK)
    keeps = not x.is_constant and len(target) == len(x.shape) and target[:1] == list(x.shape[:1]) == [call.batch]
    call.emit("broadcast_to", [x], BroadcastToAttrs((-1, *target[1:]) if keeps else tuple(target)), mixes=not keeps)


@translates("REVERSE_V2", (2, 2), "ReverseV2Options")
def _reverse(call: Call) -> None:
    x = call.input(0)
    check_move(call, x)
    axes = normal_axes(call, call.numbers(1, "the axes", MAX_RANK), len(x.shape))
    call.emit("reverse", [x], ReverseAttrs(tuple(axes)), mixes=0 in axes)


@translates("DILATE", (3, 3))
def _dilate(call: Call) -> None:
    x, value = call.input(0), call.input(2)
    check_move(call, x)
    steps = bounded(call, 1, "the steps", len(x.shape), 1)
    if not value.is_constant or value.dtype != x.dtype:
        raise call.error(f"fills in {value.dtype} '{value.name[:80]}'; expected one constant {x.dtype}.")
    call.emit("dilate", [x, value], DilateAttrs(tuple(steps)), mixes=steps[:1] != [1])
