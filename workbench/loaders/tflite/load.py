"""`load_tflite`: a `.tflite` file -> a `Graph` (NHWC, weights OHWI, scales and zero points as the file states them).

The work is split: `verify` proves that the file can be read; `file`, `tensor`, `quant` read and check; the modules of `ops`
translate operators (`call`); `build` and `names` put them together.
"""

from __future__ import annotations

from pathlib import Path

from workbench.errors import ModelError, nearest
from workbench.graph.ir import Graph, Node, State, Tensor
from workbench.loaders.passes import simplify
from workbench.loaders.tflite.build import Builder
from workbench.loaders.tflite.call import Call
from workbench.loaders.tflite.file import FileOperator, TfliteFile
from workbench.loaders.tflite.ops import TRANSLATORS
from workbench.loaders.tflite.variables import finish


def load_tflite(path: str | Path, data: bytes, signature: str | None = None) -> Graph:
    """Read a TFLite model: float32, int8, uint8 or int16 activations; float16, int8, uint8, int4 and int2 weights.

    Args:
        path: where the bytes came from: for messages, and the name of the graph.
        data: the whole file. signature: which of the file's networks; default `serving_default`, else the first subgraph.
    Returns: that subgraph. `Tensor.index` is the TFLite tensor index, `Node.source` operator and position. Constants are
        folded; float graphs are simplified (activations fused); `fixed_batch` is set when an operator mixes samples.
    Raises: ModelError, one message 'file: operator CONV_2D #3: what came; what fits', for anything that cannot be read exactly:
        damaged or hostile files, operators or types without a rule, control flow that is not constant; InputError for a signature that
        the file lacks.
    """
    file = TfliteFile(str(path), data, signature)
    _refuse_unknown(file)
    builder = Builder(file)
    inputs = [builder.add_input(i) for i in file.inputs]
    for operator in file.operators:
        TRANSLATORS[operator.kind](Call(builder, operator))
    outputs: list[Tensor] = []
    for i in file.outputs:
        outputs.append(_output(builder, i, {t.name for t in (*inputs, *outputs)}))
    states = [*builder.kept, *finish(list(builder.variables.values()), builder.tensors)]
    nodes, states = _needed(builder.nodes, {t.name for t in outputs}, states)
    together = builder.mixes_batch or (states and builder.batch != 1)
    graph = Graph(
        Path(path).stem, (), builder.tensors, tuple(t.name for t in inputs), tuple(t.name for t in outputs), "tflite",
        builder.batch if together else None, _public_names(file, builder), tuple(states),
    ).with_nodes(nodes)  # fmt: skip
    return graph if graph.has_scales else simplify(graph)


def _refuse_unknown(file: TfliteFile) -> None:
    """Refuse operators that cannot be translated: the first one with its position, then the kinds of all others."""
    unknown = [op for op in file.operators if op.kind not in TRANSLATORS]
    if not unknown:
        return
    first = unknown[0]
    others = sorted({_kind(op) for op in unknown} - {_kind(first)})
    more = f"\nAlso not supported in this file: {', '.join(others[:12])}." if others else ""
    if first.kind == "CUSTOM":
        hint = "Custom operators have no public definition; export the model with builtin operators only."
        raise ModelError(
            f"{file.where}: operator {first.label}: custom operator '{first.custom}' is not supported.\n{hint}{more}"
        )
    hint = "Replace it in the model, or ask for it: one file in `ops/` and one entry in `loaders/`."
    raise ModelError(
        f"{file.where}: operator {first.label}: {first.kind} is not supported.{nearest(first.kind, TRANSLATORS)} {hint}{more}\n"
        f"{len(TRANSLATORS)} operators are read: docs/operators.md."
    )


def _kind(operator: FileOperator) -> str:
    return f"CUSTOM '{operator.custom}'" if operator.kind == "CUSTOM" else operator.kind


def _output(builder: Builder, index: int, taken: set[str]) -> Tensor:
    """Return what the network puts out. taken: inputs, and outputs before it."""
    where = f"{builder.file.where}: output"
    tensor = builder.operand(index, where)
    if tensor.is_constant:
        raise ModelError(f"{where} '{tensor.name[:80]}' is a constant: it does not depend on the input.")
    if not tensor.shape:
        raise ModelError(
            f"{where} '{tensor.name[:80]}' is a single number for the whole batch; expected one result per sample."
        )
    held = {v.read.name for v in builder.variables.values() if v.read is not None}
    if tensor.name in taken or tensor.name in held:  # an output of its own, so that both ends stay visible
        return builder.reshaped(tensor, tensor.shape, "output", "output")
    return tensor


def _needed(nodes: list[Node], outputs: set[str], states: list[State]) -> tuple[list[Node], list[State]]:
    """Drop the nodes and states that no output needs, now or in a later inference."""
    needed = set(outputs)
    while True:
        kept = []
        for node in reversed(nodes):
            if not needed.isdisjoint(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        later = {s.write for s in states if s.read in needed} - needed
        if not later:
            return kept[::-1], [s for s in states if s.write in needed]
        needed |= later


def _public_names(file: TfliteFile, builder: Builder) -> dict[str, str]:
    """Return the names of the signature and the file's input names that had to be changed -> the names in the graph."""
    signed = {name: builder.values[i].name for i, name in file.names.items() if i in file.inputs}
    renamed = {
        file.tensors.name(i): builder.values[i].name for i in file.inputs if builder.values[i].name != file.tensors.name(i)
    }
    taken = {builder.values[i].name for i in file.inputs}
    return {name: new for name, new in {**renamed, **signed}.items() if name and name not in taken}
