"""`load_onnx`: an `.onnx` file -> a `Graph` (NHWC inside, the file's own layout at its inputs and outputs).

The work is split: `file` and `tensor` read and check, `fold` computes constants, `layout` tracks where axes are stored, the
modules of `ops` translate operators (`call`), `names` gives names, `passes` simplifies.
"""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from workbench.errors import ModelWarning, nearest
from workbench.graph.ir import Graph
from workbench.loaders.onnx.call import Call, Operand, translate
from workbench.loaders.onnx.file import Body, OnnxModel, OnnxNode, read_onnx
from workbench.loaders.onnx.fold import can_fold, constant_value
from workbench.loaders.onnx.fold_budget import Budget, CannotFold
from workbench.loaders.onnx.integers import as_stored
from workbench.loaders.onnx.layout import Builder
from workbench.loaders.onnx.names import Labels, build_graph
from workbench.loaders.onnx.ops import TRANSLATORS
from workbench.loaders.onnx.qdq import fuse_quantized
from workbench.loaders.onnx.reshape import hide, leading
from workbench.loaders.onnx.samples import independent
from workbench.loaders.onnx.tensor import printable
from workbench.loaders.onnx.values import HIDDEN, Const, Layout, Value, first, identity
from workbench.loaders.passes import simplify

_HINTS = {
    **dict.fromkeys(("Loop", "Scan"), "Export the model with fixed control flow (trace it instead of scripting it)."),
    **dict.fromkeys(
        ("NonMaxSuppression", "NonZero", "Unique", "Compress"),
        "Its output has a size that depends on the numbers; do it after.",
    ),
}
_NARROW: dict[int, str] = {onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.BFLOAT16: "bfloat16"}
Env = ChainMap[str, Operand]


def load_onnx(path: str | Path, dims: Mapping[str, int] | None = None) -> Graph:
    """Read an ONNX model.

    Args:
        path: an `.onnx` file; external data are read only from the model's own folder.
        dims: sizes of open dimensions by name ({'seq': 16}) or by input and number ({'x:2': 48}); or the value of
            an input that is one whole number.
    Returns: a graph declared for one sample when the first dimension is symbolic or 1; a symbolic one must count independent samples,
        which is checked (`samples`). Inputs and outputs have the shapes of
        the file (NCHW stays NCHW), everything between is NHWC; batch normalization folded, activations fused. Inputs without a
        first dimension in common: one run of the file is one sample, and all inputs and outputs get a dimension in front.
        float16 and bfloat16 files become float32 with the stored values; their inputs and outputs keep their types.
    Raises: ModelError, one message that names the file, the node and what could be done, for anything that cannot be read
        exactly: damaged or hostile files, unsupported operators, operator sets outside `onnx_file.OPSETS`.
    """
    model = read_onnx(Path(path), dims)
    model = replace(model, body=fuse_quantized(model.body, model.where))
    graph, constants = _graph(model)
    if constants:
        names = ", ".join(printable(name, 80) for name in constants)
        warnings.warn(f"{model.where}: left out, constants whatever the input is: output {names}.", ModelWarning, stacklevel=2)
    if not model.inputs.open:
        return graph
    return independent(graph, lambda: _graph(replace(model, inputs=model.inputs.of(2)))[0], model.where, model.inputs.open)


def _graph(model: OnnxModel) -> tuple[Graph, list[str]]:
    """Translate a file for the number of samples that its inputs have; return also its outputs that are constants, left out."""
    b = Builder(model.where, model.inputs.batch, Budget(model.size))
    constants = {name: Const(name, array) for name, array in (*model.body.constants.items(), *model.inputs.values.items())}
    env: Env = ChainMap(dict(constants))
    inputs: dict[str, int] = {}
    for name, shape in model.inputs.shapes.items():
        inputs[name] = b.add_tensor(name, shape, None, model.inputs.types[name])
        env[name] = _entered(b, inputs[name], model.inputs.whole)
    reader = _Reader(b, model, {})
    reader.run(model.body, env)
    b.node = None
    outputs, axes = _outputs(b, model, env, set(inputs.values()))
    graph = build_graph(b, model, inputs, outputs, reader.labels)
    moved = {own: axes[name] for name, own in zip(outputs, graph.outputs, strict=True) if name in axes}
    return simplify(replace(graph, sample_axes=moved)), [name for name in model.body.outputs if name not in outputs]


def _entered(b: Builder, key: int, whole: bool) -> Value:
    """Return the value of an input; narrow floats continue as float32. whole: the first stored axis is none of ONNX's."""
    if b.dtype(key) in ("float16", "bfloat16"):
        key = b.emit("cast", [key], moved=True, dtype="float32", to="float32")
    layout = first(HIDDEN, len(b.shape(key)) - 1) if whole else identity(len(b.shape(key)))
    return b.value(key, layout, HIDDEN if whole else 0)


@dataclass(frozen=True)
class _Reader:
    """Translates the nodes of a file, and of the branches that it takes. labels: key -> ONNX tensor name."""

    b: Builder
    model: OnnxModel
    labels: Labels

    def run(self, body: Body, env: Env) -> None:
        """Translate all nodes of a graph; env gets their results."""
        for node in body.nodes:
            self.b.node = node
            for name, result in zip(node.outputs, self._translate(node, env), strict=False):
                if name:
                    env[name] = result
                    if isinstance(result, Value):
                        self.labels.setdefault(result.key, name)

    def _translate(self, node: OnnxNode, env: Env) -> list[Operand]:
        b = self.b
        _refuse_unsupported(b, node)
        args = [env[name] if name else None for name in node.inputs]
        try:
            if node.op == "Constant":
                return [Const(node.outputs[0], constant_value(node.attrs))]
            if node.kind == "If":
                return self._taken(node, args[0] if args else None, env)
            return translate(Call(b, node, args, self.model.opset))
        except CannotFold as problem:
            raise b.error(f"{problem}.") from None
        except (ValueError, IndexError, TypeError, KeyError, OverflowError, AttributeError) as problem:
            # The operators check what they name; this catches attributes and constants of a type that no valid model has.
            raise b.error(f"has attributes or operands that do not fit ({type(problem).__name__}: {problem}).") from problem

    def _taken(self, node: OnnxNode, condition: Operand | None, env: Env) -> list[Operand]:
        """Return the outputs of the branch that a constant condition takes."""
        if not isinstance(condition, Const) or condition.array.size != 1:
            raise self.b.error(
                "has a condition that depends on the model's input.\n"
                "Export the model with fixed control flow (trace it), or fix what the condition reads (dims, --dim)."
            )
        name = "then_branch" if condition.array.reshape(-1)[0] else "else_branch"
        branch = node.attrs[name]
        inner = env.new_child({n: Const(n, array) for n, array in branch.constants.items()})
        self.run(branch, inner)
        return [inner[n] for n in branch.outputs]


def _refuse_unsupported(b: Builder, node: OnnxNode) -> None:
    if node.kind in TRANSLATORS or node.kind in ("Constant", "If") or can_fold(node.kind):
        return
    if node.domain:
        raise b.error(
            f"is a custom operator of domain '{printable(node.domain, 60)}', which is not supported.\n"
            "Export the model with standard ONNX operators."
        )
    known = sorted({*TRANSLATORS, "Constant"})
    hint = _HINTS.get(node.op, "Replace it before export, or simplify the model (constant folding, onnxsim).")
    read = f"{len(known)} operators are read: docs/operators.md."
    raise b.error(f"operator {node.op} is not supported.{nearest(node.op, known)} {hint}\n{read}")


def _outputs(b: Builder, model: OnnxModel, env: Env, taken: set[int]) -> tuple[dict[str, int], dict[str, int]]:
    """Bring every output into ONNX's own layout and type; one that is an input, or another output, gets a tensor of its own.

    Returns: name -> key, and name -> the axis of samples where that is not the first. Outputs that are constants are left out.
    """
    outputs: dict[str, int] = {}
    axes: dict[str, int] = {}
    for name, kind in zip(model.body.outputs, model.output_types, strict=True):
        value = env[name]
        if isinstance(value, Const):
            continue
        value = hide(b, value) if model.inputs.whole else leading(b, value)
        front: Layout = () if value.rank and not model.inputs.whole else (HIDDEN if value.batch == HIDDEN else None,)
        key = b.store(value, (*front, *identity(value.rank)))
        if kind == onnx.TensorProto.UINT8:
            key = as_stored(b, key)
        narrow = _NARROW.get(kind)
        if narrow is not None and b.dtype(key) == "float32":
            key = b.emit("cast", [key], moved=True, dtype=narrow, to=narrow)
        if key in taken:
            key = b.emit("reshape", [key], moved=True, shape=(-1, *b.shape(key)[1:]))
        taken.add(key)
        outputs[name] = key
        if value.batch not in (None, HIDDEN, 0):
            axes[name] = value.batch
    if not outputs:
        raise b.error(
            f"output '{printable(model.body.outputs[0], 80)}' is a constant: it does not depend on the model's input."
        )
    return outputs, axes
