"""Random networks as .tflite files, and what TFLite Micro itself says about its arena when it has run them."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime_models import TYPES, schema


def reported(path: Path, capfd: Any) -> dict[str, int]:
    """Return `head` (planned buffers), `tail` (persistent) and `total` bytes of the arena of TFLite Micro after one inference."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="needs the extra 'verify' (tflite-micro)")
    interpreter = runtime.Interpreter.from_file(str(path), arena_size=8_000_000)
    details = interpreter.get_input_details(0)
    interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
    interpreter.invoke()
    capfd.readouterr()
    interpreter.print_allocations()
    found = re.findall(r"Arena allocation (total|head|tail) (\d+) bytes", capfd.readouterr().err)
    return {name: int(number) for name, number in found}


class RandomNet:
    """Additions, concatenations and slices of rows of bytes, read again at random much later: buffers of many sizes and spans."""

    def __init__(self, seed: int, length: int = 20) -> None:
        self.s, self.rng = schema(), random.Random(seed)
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [self.s.BufferT()]
        self.operators: list[Any] = []
        self.sizes: dict[int, int] = {self._tensor((1, 4 * self.rng.randrange(8, 200))): 0}
        self.sizes[0] = self.tensors[0].shape[1]
        for _ in range(length):
            self._step()
        unread = set(self.sizes) - {int(i) for op in self.operators for i in op.inputs}
        self.outputs = sorted(unread)

    def write(self, path: Path) -> Path:
        """Write the file."""
        import flatbuffers

        s, model, graph = self.s, self.s.ModelT(), self.s.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, [0], self.outputs
        codes = []
        for name in ("ADD", "CONCATENATION", "STRIDED_SLICE"):
            code = s.OperatorCodeT()
            code.builtinCode = getattr(s.BuiltinOperator, name)
            code.deprecatedBuiltinCode, code.version = code.builtinCode, 2
            codes.append(code)
        model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], codes, self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path

    def _tensor(self, shape: tuple[int, ...], data: Any = None) -> int:
        t = self.s.TensorT()
        t.name, t.shape, t.buffer = f"t{len(self.tensors)}", list(shape), 0
        t.type = TYPES["int8" if data is None else "int32"]
        if data is None:
            t.quantization = self.s.QuantizationParametersT()
            t.quantization.scale, t.quantization.zeroPoint = [0.125], [0]
        else:
            buffer = self.s.BufferT()
            buffer.data = np.frombuffer(np.asarray(data, np.int32).tobytes(), np.uint8)
            self.buffers.append(buffer)
            t.buffer = len(self.buffers) - 1
        self.tensors.append(t)
        return len(self.tensors) - 1

    def _step(self) -> None:
        kind = self.rng.choice(("ADD", "CONCATENATION", "STRIDED_SLICE"))
        a = self.rng.choice(list(self.sizes)[-4:])
        b = self.rng.choice(list(self.sizes))
        size = self.sizes[a]
        if kind == "CONCATENATION" and size + self.sizes[b] <= 4000:
            self._operator(1, [a, b], size + self.sizes[b], "ConcatenationOptions", axis=1)
        elif kind == "STRIDED_SLICE" and size > 40:
            cut = self.rng.randrange(20, size)
            ends = [self._tensor((2,), values) for values in ((0, 0), (1, cut), (1, 1))]
            self._operator(2, [a, *ends], cut, "StridedSliceOptions")
        else:
            same = [t for t, n in self.sizes.items() if n == size]
            self._operator(0, [a, self.rng.choice(same)], size, "AddOptions")

    def _operator(self, code: int, inputs: list[int], size: int, options: str, **fields: int) -> None:
        op = self.s.OperatorT()
        op.opcodeIndex, op.inputs = code, inputs
        op.builtinOptionsType = getattr(self.s.BuiltinOptions, options)
        op.builtinOptions = getattr(self.s, f"{options}T")()
        for key, value in fields.items():
            setattr(op.builtinOptions, key, value)
        out = self._tensor((1, size))
        self.sizes[out], op.outputs = size, [out]
        self.operators.append(op)
