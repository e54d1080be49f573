"""The only graph walker: `run_reference` (float) and `Program` / `emulate` (the target's bits).

A `Program` is a list of `Step`s: one operator with everything prepared (tables, multipliers, packed weights) and a content key.
Two programs whose steps have the same keys up to some point compute the same bits up to there: the evaluator shares them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from workbench.allocator import keep_freed_memory
from workbench.errors import InputError
from workbench.graph.ir import Array, Graph, Node, Tensor
from workbench.graph.node_format import has_unsigned
from workbench.hardware.profile import HardwareProfile
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.jit import SOURCE_HASH
from workbench.ops import OPS, Site
from workbench.ops.unsigned import prepare_site
from workbench.placement import runner
from workbench.precision import is_float
from workbench.streams import LANES, Streams, check_form, stream_shape, streams_of
from workbench.tensor import RANGES, STORAGE, dequantize, quantize

Values = dict[str, Array]
keep_freed_memory()


@dataclass(frozen=True, eq=False)
class Step:
    """One prepared operator. key: content hash of operator, attributes, constants, scales and arithmetic."""

    node: Node
    site: Site
    key: str
    run: Callable[[Sequence[Array]], list[Array]] = field(repr=False)

    @cached_property
    def sources(self) -> tuple[tuple[str, Array | None], ...]:
        """Where every input comes from: (name of an activation, None) or ("", constant or None)."""
        return tuple(
            ("", None) if t is None else ("", t.data) if t.data is not None else (t.name, None) for t in self.site.inputs
        )


@dataclass(frozen=True, eq=False)
class Program:
    """A plan made ready for one target: steps in topological order, shared with other programs, and the output tensors.

    streams: how the steps run frame by frame, of a network that keeps state.
    """

    steps: tuple[Step, ...]
    outputs: tuple[Tensor, ...]
    streams: Streams | None = None

    def run(self, feed: Values, keep_all: bool = False) -> Values:
        """Run one batch of raw inputs; return the outputs, or every activation with `keep_all`.

        With state: consecutive frames of one stream, or of several, [streams, frames, ...] (`workbench.streams`).
        """
        if self.streams is not None:
            return self.streams.run(self.apply, feed, keep_all)
        values = dict(feed)
        for step, dead in zip(self.steps, self._dead, strict=True):
            run_step(step, values)
            if not keep_all:
                for name in dead:
                    values.pop(name, None)
        return values if keep_all else {tensor.name: values[tensor.name] for tensor in self.outputs}

    def apply(self, position: int, values: Values) -> None:
        """Run the step of a position on the live values, adding its outputs."""
        run_step(self.steps[position], values)

    def passes(self, feed: Values, size: int) -> Iterator[tuple[slice, Values]]:
        """Yield (samples, every activation of them [n, ...]), about `size` at a time; entries of streams one after the other."""
        if self.streams is not None:
            yield from self.streams.passes(self.apply, feed, size)
            return
        for part in batches(len(next(iter(feed.values()))), size):
            yield part, self.run({name: x[part] for name, x in feed.items()}, keep_all=True)

    @cached_property
    def _dead(self) -> tuple[tuple[str, ...], ...]:
        """Per step, the tensors that nothing reads after it."""
        last = {name: i for i, step in enumerate(self.steps) for name in (*step.node.inputs, *step.node.outputs)}
        for tensor in self.outputs:
            last[tensor.name] = len(self.steps)
        return tuple(
            tuple(name for name in (*step.node.inputs, *step.node.outputs) if last[name] == i)
            for i, step in enumerate(self.steps)
        )


def run_step(step: Step, values: Values) -> None:
    """Run one step on the live values, adding its outputs."""
    args = [values[name] if name else constant for name, constant in step.sources]
    for name, array in zip(step.node.outputs, step.run(args), strict=True):  # type: ignore[arg-type]
        values[name] = array


def last_uses(graph: Graph) -> dict[str, int]:
    """Tensor name -> index of the last node that reads it (its producer when nobody does); outputs and states never die."""
    found: dict[str, int] = {}
    for i, node in enumerate(graph.nodes):
        for name in (*node.inputs, *node.outputs):
            if name and not graph.tensors[name].is_constant:
                found[name] = i
    for name in graph.ends:
        found[name] = len(graph.nodes)
    return found


def prepare_step(node: Node, tensors: Mapping[str, Tensor], profile: HardwareProfile) -> Step:
    """Prepare one node for a target; UnsupportedError when the target has no rule for it."""
    return make_step(node, tensors, arithmetic_at(node, tensors, profile))


def arithmetic_at(node: Node, tensors: Mapping[str, Tensor], profile: HardwareProfile) -> Arithmetic:
    """Return the rules by which a target computes one node."""
    activations = [tensors[name] for name in (*node.inputs, *node.outputs) if name and not tensors[name].is_constant]
    activation = next((t.dtype for t in activations if not t.is_plain), activations[0].dtype)
    if has_unsigned(node, tensors):
        activation = "uint8"
    coding = next((tensors[name].coding for name in node.inputs if name and tensors[name].coding), "")
    return runner(node, tensors, profile).arithmetic(node.op, activation, coding)


def make_step(node: Node, tensors: Mapping[str, Tensor], arithmetic: Arithmetic) -> Step:
    """Prepare one node by some rules, of a target or not; UnsupportedError when no kernel follows them together."""
    inputs = tuple(tensors[name] if name else None for name in node.inputs)
    outputs = tuple(tensors[name] for name in node.outputs)
    site = Site(node.name, node.op, node.attrs, inputs, outputs, arithmetic)
    return Step(node, site, step_key(site), prepare_site(site))


def step_key(site: Site) -> str:
    """Return the content hash of a site and of the kernels' sources."""
    h = hashlib.sha256(repr((SOURCE_HASH, site.op, site.attrs, site.arithmetic)).encode())
    for tensor in (*site.inputs, *site.outputs):
        h.update(b"-" if tensor is None else tensor.digest.encode())
        if tensor is not None and not tensor.is_constant:
            h.update(tensor.name.encode())
    return h.hexdigest()


def prepare(graph: Graph, profile: HardwareProfile) -> Program:
    """Return the program that computes a (quantized) graph as the target does."""
    steps = tuple(prepare_step(node, graph.tensors, profile) for node in graph.nodes)
    return make_program(graph, steps)


def make_program(graph: Graph, steps: Iterable[Step]) -> Program:
    """Return the program of a (quantized) graph whose nodes became these steps."""
    return Program(tuple(steps), tuple(graph.tensors[name] for name in graph.outputs), streams_of(graph))


def run_reference(graph: Graph, inputs: Values, keep_all: bool = False) -> Values:
    """Run a float graph in float32. Integer constants with scales are dequantized; values are plain arrays.

    With state: consecutive frames of one stream, or of several, [streams, frames, ...] (`workbench.streams`).
    """
    streams = _reference_streams(graph)
    if streams is not None:
        return streams.run(_reference_apply(graph), inputs, keep_all)
    values, apply = dict(inputs), _reference_apply(graph)
    ends = last_uses(graph)
    for i, node in enumerate(graph.nodes):
        apply(i, values)
        if not keep_all:
            for name in (*node.inputs, *node.outputs):
                if ends.get(name, -1) == i:
                    values.pop(name, None)
    return values if keep_all else {name: values[name] for name in graph.outputs}


def reference_passes(graph: Graph, feed: Values, size: int) -> Iterator[tuple[slice, Values]]:
    """Yield (samples, every activation of them [n, ...]) of the reference, as `Program.passes`."""
    streams = _reference_streams(graph)
    if streams is not None:
        yield from streams.passes(_reference_apply(graph), feed, size)
        return
    for part in batches(len(next(iter(feed.values()))), graph.fixed_batch or size):
        yield part, run_reference(graph, {name: x[part] for name, x in feed.items()}, keep_all=True)


def _reference_apply(graph: Graph) -> Callable[[int, Values], None]:
    def apply(position: int, values: Values) -> None:
        node = graph.nodes[position]
        args = [None if not name else _float_value(graph.tensors[name], values) for name in node.inputs]
        outputs = OPS[node.op].reference(node.attrs, args)  # type: ignore[arg-type]
        values.update(zip(node.outputs, outputs, strict=True))

    return apply


def _reference_streams(graph: Graph) -> Streams | None:
    """Return how the reference runs over streams: states begin as real numbers."""
    found = streams_of(graph)
    if found is None:
        return None
    return replace(found, states=tuple(replace(s, initial=real_values(graph.tensors[s.read], s.initial)) for s in found.states))


def _float_value(tensor: Tensor, values: Values) -> Array:
    if tensor.data is None:
        return values[tensor.name]
    if tensor.quant is not None:
        return dequantize(tensor.data, tensor.quant)
    return tensor.data.astype(np.float32) if is_float(tensor.dtype) else tensor.data


def check_inputs(graph: Graph, inputs: Array | Mapping[str, Array]) -> Values:
    """Return the inputs by tensor name, in the type the model wants; InputError names what came and what fits.

    Floats for an integer input are quantized with the input's own scale; raw integers of another type are refused. Of a network with
    state they are one stream, or several with one more dimension in front, and stay so.
    """
    if not isinstance(inputs, Mapping):
        if len(graph.inputs) != 1:
            raise InputError(
                f"model '{graph.name}' has {len(graph.inputs)} inputs; give a dict with {', '.join(graph.inputs)}."
            )
        inputs = {graph.inputs[0]: inputs}
    named = {graph.input_names.get(k, k): v for k, v in inputs.items()}
    unknown = [k for k in named if k not in graph.inputs]
    missing = [k for k in graph.inputs if k not in named]
    if unknown or missing:
        raise InputError(f"model '{graph.name}': inputs given {sorted(map(str, inputs))}, expected {list(graph.inputs)}.")
    if graph.states:
        values = {name: _check_stream(graph.tensors[name], np.asarray(named[name])) for name in graph.inputs}
        check_form(graph, values)
        return values
    values = {name: _check_one(graph.tensors[name], np.asarray(named[name])) for name in graph.inputs}
    counts = {v.shape[0] for v in values.values()}
    if len(counts) > 1:
        raise InputError(f"model '{graph.name}': inputs have different numbers of samples: {sorted(counts)}.")
    count = counts.pop()
    if graph.fixed_batch is not None and count % graph.fixed_batch:
        raise InputError(
            f"model '{graph.name}' mixes samples and runs batches of exactly {graph.fixed_batch}; "
            f"{count} samples do not divide into them."
        )
    return values


def _check_stream(tensor: Tensor, x: Array) -> Array:
    """Check consecutive frames of one stream, or [streams, frames, ...]."""
    rank = len(tensor.shape)
    if x.ndim not in (rank, rank + 1) or x.shape[x.ndim - rank + 1 :] != tensor.shape[1:] or 0 in x.shape[: x.ndim - rank + 1]:
        raise InputError(f"input '{tensor.name}': shape {x.shape} does not fit; expected {stream_shape(tensor)}.")
    return _check_one(tensor, x.reshape(-1, *x.shape[x.ndim - rank + 1 :])).reshape(x.shape)


def _check_one(tensor: Tensor, x: Array) -> Array:
    want = tensor.shape
    if x.ndim != len(want) or x.shape[1:] != want[1:] or x.shape[0] < 1:
        raise InputError(f"input '{tensor.name}': shape {x.shape} does not fit; expected (N, {', '.join(map(str, want[1:]))}).")
    storage = np.dtype(STORAGE[tensor.dtype])
    if tensor.is_plain and x.dtype != storage and x.dtype.kind in "iub":
        x = _same_integers(tensor, x, storage)
    if x.dtype == storage:
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise InputError(f"input '{tensor.name}': NaN or infinite values.")
        if tensor.dtype in ("int4", "int2"):  # narrower than what stores them
            low, high = RANGES[tensor.dtype]
            if x.size and not low <= x.min() <= x.max() <= high:
                raise InputError(f"input '{tensor.name}': integers outside of {tensor.dtype} [{low}, {high}].")
        return np.ascontiguousarray(x)
    if not tensor.is_plain and (x.dtype.kind == "f" or (storage.kind == "f" and x.dtype.kind in "iub")):
        if not np.isfinite(x).all():
            raise InputError(f"input '{tensor.name}': NaN or infinite values.")
        if tensor.quant is not None:
            return np.ascontiguousarray(quantize(x, tensor.quant, tensor.dtype))
        if storage.kind == "f":
            return np.ascontiguousarray(x.astype(storage))
    fits = "" if tensor.is_plain else " or real numbers as float32"
    raise InputError(f"input '{tensor.name}': type {x.dtype} does not fit; expected {storage}{fits}.")


def _same_integers(tensor: Tensor, x: Array, storage: np.dtype[Any]) -> Array:
    """Return integers without a scale (token ids, indices) in the type of the input; InputError when some do not fit."""
    with np.errstate(all="ignore"):
        made = x.astype(storage)
    if not np.array_equal(made, x):
        raise InputError(f"input '{tensor.name}': integers from {x.min()} to {x.max()} do not fit its type {tensor.dtype}.")
    return made


def real_values(tensor: Tensor, x: Array) -> Array:
    """Return the real numbers of a raw tensor: dequantized integers, floats as they are; plain integers stay what they are."""
    if tensor.is_plain:
        return x
    return dequantize(x, tensor.quant) if tensor.quant is not None else x.astype(np.float32)


def apart(graph: Graph, feed: Values, size: int) -> list[slice]:
    """Return the parts of dimension 0 that may run one by one: samples, `size` at a time, or whole streams.

    Consecutive frames of one stream are never torn apart.
    """
    count = len(next(iter(feed.values())))
    streams = streams_of(graph)
    if streams is not None:
        return [slice(0, count)] if streams.is_one(feed) else list(batches(count, LANES))
    return list(batches(count, graph.fixed_batch or size))


def together(graph: Graph, parts: Sequence[Values]) -> Values:
    """Return the results of parts (`apart`) as one: along dimension 0, or where the graph says that an output has its samples."""
    return {name: np.concatenate([part[name] for part in parts], graph.sample_axes.get(name, 0)) for name in parts[0]}


def batches(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` samples."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


__all__ = [
    "Program", "Step", "Values", "apart", "arithmetic_at", "batches", "check_inputs", "last_uses", "make_program", "make_step",
    "prepare", "prepare_step", "real_values", "reference_passes", "run_reference", "run_step", "step_key",
    "together",
]  # fmt: skip
