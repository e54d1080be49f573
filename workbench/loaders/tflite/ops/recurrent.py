"""Translators of SVDF, RNN, UNIDIRECTIONAL_SEQUENCE_RNN and BIDIRECTIONAL_SEQUENCE_RNN.

Inputs of the file: SVDF 0 x, 1 weights of features, 2 weights of time, 3 bias, 4 state. RNN 0 x, 1 weights, 2 recurrent
weights, 3 bias, 4 state; the backward direction of BIDIRECTIONAL_SEQUENCE_RNN has 5 to 8, auxiliary inputs follow.
Source: TFLite svdf.cc, basic_rnn.cc, unidirectional_sequence_rnn.cc, bidirectional_sequence_rnn.cc.
"""

from __future__ import annotations

from workbench.graph.ir import State, Tensor
from workbench.loaders.tflite.call import FUSED, Call, translates
from workbench.loaders.tflite.ops.directions import both_ways, one_step
from workbench.ops.rnn import RnnAttrs
from workbench.ops.svdf import SvdfAttrs

TANH = 4


@translates("SVDF", (5, 5), "SVDFOptions")
def _svdf(call: Call) -> None:
    x, wf, wt = call.input(0), call.input(1), call.input(2)
    call.same_type(x, types=("float32", "int8"))
    rank = int(call.option("Rank"))
    if any(w.data is None or len(w.shape) != 2 for w in (wf, wt)) or len(x.shape) != 2:
        raise call.error(
            f"x {list(x.shape)} and weights {list(wf.shape)}, {list(wt.shape)}; expected [B, I] and constants [F, I], [F, M]."
        )
    kinds = ("int16", "int8") if x.dtype == "int8" else ("float32",)
    if wt.dtype not in kinds or wf.dtype != x.dtype:
        raise call.error(
            f"weights are {wf.dtype} and {wt.dtype} for {x.dtype} activations; expected {x.dtype} and {' or '.join(kinds)}.\n"
            "Weights that are integers beside floats (dynamic range) are not supported: export it in float, or fully quantized."
        )
    if call.activation not in ("none", "relu"):
        raise call.error(f"fused activation {call.activation}; none or relu fits.")
    state = call.state(4, (x.shape[0], wt.shape[0] * wt.shape[1]), wt.dtype)
    call.emit("svdf", [x, wf, call.optional(3), wt], SvdfAttrs(rank, call.activation), states=[state])


@translates("UNIDIRECTIONAL_SEQUENCE_RNN", (5, 5), "SequenceRNNOptions")
def _sequence(call: Call) -> None:
    major = bool(call.options.get("TimeMajor", False))
    inputs, state = _direction(call, 1, major)
    call.emit("rnn", [call.input(0), *inputs], RnnAttrs(_activation(call), major), mixes=major, states=[state])


@translates("RNN", (5, 5), "RNNOptions")
def _rnn(call: Call) -> None:
    x = call.input(0)
    if len(x.shape) != 2:
        raise call.error(f"the input is {list(x.shape)}; expected [batch, features].")
    inputs, state = _direction(call, 1, False)
    one_step(call, "rnn", [x, *inputs], RnnAttrs(_activation(call)), [state])


@translates("BIDIRECTIONAL_SEQUENCE_RNN", (12, 12), "BidirectionalSequenceRNNOptions", outputs=(1, 2))
def _bidirectional(call: Call) -> None:
    if any(call.optional(i) is not None for i in range(9, 12)):
        raise call.error("has auxiliary inputs, which are not supported.")
    major = bool(call.options.get("TimeMajor", False))
    attrs = RnnAttrs(_activation(call), major)
    (weights, state), (back, kept) = _direction(call, 1, major), _direction(call, 5, major)
    both_ways(call, "rnn", [(weights, [state]), (back, [kept])], attrs, major)


def _direction(call: Call, first: int, major: bool) -> tuple[list[Tensor], State]:
    """Return weights, bias and recurrent weights of one direction, whose inputs begin at `first`, and its state [B, N]."""
    x, w, r, bias = call.input(0), call.input(first), call.input(first + 1), call.input(first + 2)
    call.same_type(x, types=("float32",))
    if any(t.data is None or t.dtype != "float32" for t in (w, r, bias)):
        raise call.error(
            f"weights are {w.dtype} and {r.dtype}; expected constants of float32.\n"
            "Weights that are integers beside floats (dynamic range) are not supported: export it in float."
        )
    batch = x.shape[1 if major and len(x.shape) == 3 else 0]
    return [w, bias, r], call.state(first + 3, (batch, bias.shape[0] if bias.shape else 0), "float32")


def _activation(call: Call) -> str:
    code = call.activation_code
    if code != TANH and code not in FUSED:
        raise call.error(f"activation {code} is not supported; expected tanh, {', '.join(FUSED.values())}.")
    return "tanh" if code == TANH else FUSED[code]
