"""Short, unique, stable names for nodes and tensors: '/features/0/Conv' -> 'features.0'."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from workbench.graph.ir import Graph, Node, Tensor
from workbench.loaders.onnx.file import OnnxModel
from workbench.loaders.onnx.layout import Builder, Emitted
from workbench.loaders.onnx.tensor import printable

Labels = dict[int, str]


def short_name(name: str, op: str) -> str:
    """Return the human part of an exporter's node name ('' when there is none).

    Scopes are joined by dots, a scope that only repeats the next one is dropped, and so is the operator type at the end:
    '/layer1/layer1.0/conv1/Conv' -> 'layer1.0.conv1', '/block/relu/Relu_1' -> 'block.relu_1'.
    """
    parts = [p for p in re.split(r"[/:\s]+", printable(name)) if p]
    parts = [p for i, p in enumerate(parts) if i + 1 == len(parts) or not parts[i + 1].startswith(p + ".")]
    again = re.fullmatch(re.escape(op) + r"(_\d+)?", parts[-1]) if len(parts) > 1 else None
    if again:
        parts = [*parts[:-2], parts[-2] + (again[1] or "")]
    return ".".join(parts).removeprefix("node_").strip(".")


class Names:
    """Hands out names that were not given before."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = {"", *taken}

    def unique(self, *wishes: str) -> str:
        """Return the first wish that is free, else the last one with a number."""
        for wish in wishes:
            if wish not in self.taken:
                self.taken.add(wish)
                return wish
        number = 2
        while f"{wishes[-1]}_{number}" in self.taken:
            number += 1
        return self.unique(f"{wishes[-1]}_{number}")


def build_graph(b: Builder, model: OnnxModel, inputs: Mapping[str, int], outputs: Mapping[str, int], labels: Labels) -> Graph:
    """Return the graph with all names given. inputs, outputs: ONNX name -> key; labels: key -> ONNX tensor name."""
    names = Names()
    tensors: dict[int, str] = {}
    for name, key in (*inputs.items(), *outputs.items()):
        tensors[key] = names.unique(printable(name))
    node_names = _node_names(b, labels, tensors)
    for emitted, name in zip(b.emitted, node_names, strict=True):
        for key in emitted.outputs:
            if key not in tensors:
                wish = printable(labels.get(key, ""))
                tensors[key] = names.unique(*((wish, f"{wish}.nhwc") if wish else (name, f"{name}.out")))
    for key, tensor in enumerate(b.tensors):
        if key not in tensors:
            tensors[key] = names.unique(printable(tensor.name))
    nodes = [_node(e, name, tensors) for e, name in zip(b.emitted, node_names, strict=True)]
    made: dict[str, Tensor] = {tensors[key]: replace(t, name=tensors[key]) for key, t in enumerate(b.tensors)}
    renamed = {name: tensors[key] for name, key in inputs.items() if tensors[key] != name}
    graph = Graph(
        model.name, (), made, tuple(tensors[k] for k in inputs.values()), tuple(tensors[k] for k in outputs.values()),
        "onnx", model.inputs.batch if b.mixes_batch else None, renamed,
    )  # fmt: skip
    return graph.with_nodes(nodes)


def _node(emitted: Emitted, name: str, tensors: Mapping[int, str]) -> Node:
    source = emitted.owner.label if emitted.owner else "layout"
    inputs = tuple("" if i is None else tensors[i] for i in emitted.inputs)
    return Node(name, emitted.op, inputs, tuple(tensors[key] for key in emitted.outputs), emitted.attrs, source)


def _node_names(b: Builder, labels: Labels, tensors: Mapping[int, str]) -> list[str]:
    """Name the main node of each ONNX node after it, its helpers '<name>.<op>', moved layouts '<what is moved>.<op>'."""
    names = Names()
    last_main: dict[int, int] = {e.owner.index: i for i, e in enumerate(b.emitted) if e.owner and e.main}
    counts: dict[str, int] = {}
    bases: dict[int, str] = {}
    found: list[str] = []
    made_by: dict[int, str] = {}
    for i, e in enumerate(b.emitted):
        if e.owner is None:
            source = e.inputs[0]
            base = made_by.get(source, tensors.get(source, "")) if source is not None else ""
            found.append(names.unique(f"{base.removesuffix('.reshape').removesuffix('.transpose')}.{e.op}"))
        else:
            index = e.owner.index
            if index not in bases:
                wish = short_name(e.owner.name, e.owner.op)
                if not wish:
                    wish = f"{e.op}_{counts.get(e.op, 0)}"
                    counts[e.op] = counts.get(e.op, 0) + 1
                bases[index] = wish
            whole = last_main.get(index, i) == i
            found.append(names.unique(bases[index] if whole else f"{bases[index]}.{e.op}"))
        made_by.update(dict.fromkeys(e.outputs, found[-1]))
    return found
