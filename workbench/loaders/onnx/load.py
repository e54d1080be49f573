"""`load_onnx`: a float `.onnx` file -> a `Graph` (NHWC inside, the file's own layout at its inputs and outputs).

The work is split: `file` and `tensor` read and check, `fold` computes constants, `layout` tracks where axes are stored, the
modules of `ops` translate operators (`call`), `names` gives names, `passes` simplifies.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workbench.errors import nearest
from workbench.graph.ir import Graph
from workbench.loaders.onnx.call import Call, Operand
from workbench.loaders.onnx.file import OnnxModel, OnnxNode, read_onnx
from workbench.loaders.onnx.fold import FOLDS, CannotFold, constant_value, fold, shape_of
from workbench.loaders.onnx.layout import Builder, Const, Value, identity
from workbench.loaders.onnx.names import Labels, build_graph
from workbench.loaders.onnx.ops import TRANSLATORS
from workbench.loaders.passes import simplify

_HINTS = {
    **dict.fromkeys(("If", "Loop", "Scan"), "Export the model with fixed control flow (trace it instead of scripting it)."),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), "Recurrent layers are not read from ONNX; unroll them before export."),
    **dict.fromkeys(("Resize", "Upsample"), "Enlarge pictures with a transposed convolution (ConvTranspose)."),
    **dict.fromkeys(("Max", "Min"), "Use Clip for constant bounds."),
    "Erf": "Export Gelu as one operator (operator set 20 or later).",
}
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


def load_onnx(path: str | Path) -> Graph:
    """Read an ONNX model.

    Args:
        path: an `.onnx` file; external data are read only from the model's own folder.
    Returns: a graph declared for one sample when the first dimension is symbolic or 1; inputs and outputs have the shapes of
        the file (NCHW stays NCHW), everything between is NHWC; batch normalization folded, activations fused.
    Raises: ModelError, one message that names the file, the node and what could be done, for anything that cannot be read
        exactly: damaged or hostile files, unsupported operators, operator sets outside `onnx_file.OPSETS`, quantized models.
    """
    model = read_onnx(Path(path))
    b = Builder(model.where, model.batch)
    env: dict[str, Operand] = {name: Const(name, array) for name, array in model.constants.items()}
    labels: Labels = {}
    inputs: dict[str, int] = {}
    for name, (shape, dtype) in model.inputs.items():
        inputs[name] = b.add_tensor(name, shape, None, dtype)
        env[name] = Value(inputs[name], shape, identity(len(shape)))
    for node in model.nodes:
        b.node = node
        for name, result in zip(node.outputs, _translate(b, model, node, env), strict=False):
            if name:
                env[name] = result
                if isinstance(result, Value):
                    labels.setdefault(result.key, name)
    b.node = None
    outputs = _outputs(b, model, env, set(inputs.values()))
    return simplify(build_graph(b, model, inputs, outputs, labels))


def _translate(b: Builder, model: OnnxModel, node: OnnxNode, env: dict[str, Operand]) -> list[Operand]:
    _refuse_unsupported(b, node)
    args = [env[name] if name else None for name in node.inputs]
    first = args[0] if args else None
    arrays = [arg.array if isinstance(arg, Const) else None for arg in args]
    try:
        if node.op == "Constant":
            return [Const(node.outputs[0], constant_value(node.attrs))]
        if node.op in ("Shape", "Size") and isinstance(first, Value):
            found = shape_of(first.shape, node.attrs) if node.op == "Shape" else np.array(np.prod(first.shape), np.int64)
            return [Const(node.outputs[0], found)]
        if not any(isinstance(arg, Value) for arg in args):
            folded = fold(node.op, arrays, node.attrs, model.opset)
            return [Const(name, array) for name, array in zip(node.outputs, folded, strict=False)]
        if node.op not in TRANSLATORS:
            raise b.error("is supported on constants and shapes only, not on values that depend on the model's input.")
        return list(TRANSLATORS[node.op](Call(b, node, args, model.opset)))
    except CannotFold as problem:
        raise b.error(f"{problem}.") from None
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, AttributeError) as problem:
        # The operators check what they name; this catches attributes and constants of a type that no valid model has.
        raise b.error(f"has attributes or operands that do not fit ({type(problem).__name__}: {problem}).") from problem


def _refuse_unsupported(b: Builder, node: OnnxNode) -> None:
    if node.op in _QUANTIZED or node.op.startswith("QLinear"):
        raise b.error(
            "belongs to an already quantized model; quantized ONNX is planned for later and not read yet.\n"
            "Give the float32 model: formats are chosen here. A quantized .tflite file is read as it is."
        )
    if node.domain:
        raise b.error(
            f"is a custom operator of domain '{node.domain[:60]}', which is not supported.\n"
            "Export the model with standard ONNX operators."
        )
    if node.op in TRANSLATORS or node.op in ("Constant", *FOLDS):
        return
    known = sorted({*TRANSLATORS, "Constant"})
    hint = _HINTS.get(node.op, "Replace it before export, or simplify the model (constant folding, onnxsim).")
    raise b.error(f"operator {node.op} is not supported.{nearest(node.op, known)} {hint}\nSupported: {', '.join(known)}.")


def _outputs(b: Builder, model: OnnxModel, env: dict[str, Operand], taken: set[int]) -> dict[str, int]:
    """Bring every output into ONNX's own layout; an output that is an input, or another output, gets a tensor of its own."""
    outputs: dict[str, int] = {}
    for name in model.outputs:
        value = env[name]
        if isinstance(value, Const):
            raise b.error(f"output '{name[:80]}' is a constant: it does not depend on the model's input.")
        key = b.store(value, identity(value.rank))
        if key in taken:
            key = b.emit("reshape", [key], moved=True, shape=(-1, *b.shape(key)[1:]))
        taken.add(key)
        outputs[name] = key
    return outputs
