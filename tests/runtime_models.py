"""One-operator .tflite models for the real runtimes (extra `verify`): the schema that ai-edge-litert ships writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

TYPES = {"float32": 0, "int32": 2, "int64": 4, "int16": 7, "int8": 9}


@dataclass(frozen=True)
class Port:
    """A tensor: shape, type, (scale or scales along axis 0, zero point) or None, data of a constant or None."""

    shape: tuple[int, ...]
    dtype: str
    quant: tuple[Any, int] | None = None
    data: Any = None


def schema() -> Any:
    """Return the flatbuffer schema, or skip with a message."""
    return pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the extra 'verify' (ai-edge-litert)")


def build(
    op: str, inputs: list[Port], output: Port, options: tuple[str, dict[str, Any]] | None = None, version: int = 2
) -> bytes:
    """Return a model of one operator. options: (options table, its fields)."""
    import flatbuffers

    s = schema()
    buffers, tensors = [s.BufferT()], []
    for i, port in enumerate([*inputs, output]):
        t = s.TensorT()
        t.name, t.shape, t.type, t.buffer = f"t{i}", list(port.shape), TYPES[port.dtype], 0
        if port.quant is not None:
            t.quantization = s.QuantizationParametersT()
            scales = np.atleast_1d(port.quant[0]).tolist()
            t.quantization.scale, t.quantization.zeroPoint = scales, [port.quant[1]] * len(scales)
        if port.data is not None:
            buffer = s.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(port.data).tobytes(), np.uint8)
            buffers.append(buffer)
            t.buffer = len(buffers) - 1
        tensors.append(t)
    operator = s.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, list(range(len(inputs))), [len(inputs)]
    if options is not None:
        operator.builtinOptionsType = getattr(s.BuiltinOptions, options[0])
        operator.builtinOptions = getattr(s, f"{options[0]}T")()
        for key, value in options[1].items():
            setattr(operator.builtinOptions, key, value)
    code = s.OperatorCodeT()
    code.builtinCode = getattr(s.BuiltinOperator, op)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
    graph = s.SubGraphT()
    graph.tensors, graph.operators, graph.name = tensors, [operator], "main"
    graph.inputs = [i for i, port in enumerate(inputs) if port.data is None]
    graph.outputs = [len(inputs)]
    model = s.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers, model.description = 3, [code], [graph], buffers, ""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


RESOLVERS = {"litert_ref": "BUILTIN_REF", "litert_opt": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "litert_xnn": "AUTO"}


def run(producer: str, model: bytes, feeds: list[Any]) -> Any:
    """Return the output of one inference on `litert_ref`, `litert_opt`, `litert_xnn` or `tflm`."""
    if producer == "tflm":
        package = pytest.importorskip("tflite_micro", reason="needs the extra 'verify' (tflite-micro)")
        micro = package.runtime.Interpreter.from_bytes(model, arena_size=16 * 1024 * 1024)
        for i, x in enumerate(feeds):
            micro.set_input(x, i)
        micro.invoke()
        return micro.get_output(0)
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra 'verify' (ai-edge-litert)")
    resolver = getattr(litert.OpResolverType, RESOLVERS[producer])
    interpreter = litert.Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    for detail, x in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
