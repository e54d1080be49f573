"""Vectors of ONNX Runtime's u8 x s8 products in the format of `validate golden`: python benchmarks/onnxruntime_vectors.py FILE.npz

Written by the CPU that runs it. tests/golden/onnxruntime holds those of AVX2 without VNNI, made with
`qemu-x86_64 -cpu Haswell python benchmarks/onnxruntime_vectors.py tests/golden/onnxruntime/ort_avx2.npz` (onnxruntime 1.31.1).
It imports nothing of the package, so that it runs on an emulated CPU. Weights are large, so that pairs do saturate; convolutions
have groups, strides, dilations, paddings and several outputs per input; matrices have one row and odd depths too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

CASES = 36
SEED = 20261121


def run(node: Any, x: Any, constants: dict[str, Any], output: int) -> Any:
    """Return the output `y` of one node that reads `x` and constants."""
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def large(rng: Any, shape: tuple[int, ...]) -> Any:
    """Return int8 weights, half of them beyond +-60."""
    small, high = rng.integers(-128, 128, shape), rng.integers(60, 128, shape) * rng.choice([-1, 1], shape)
    return np.where(rng.random(shape) < 0.5, small, high).astype(np.int8)


def quantization(rng: Any, depth: int, channels: int) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return (JSON fields, constants, weight scales); one scale or one per channel."""
    each = bool(rng.integers(0, 2)) and channels > 1
    scale = np.exp(rng.uniform(-6, -4, channels if each else 1)).astype(np.float32)
    x_scale, y_scale = np.float32(0.02), np.float32(0.012 * np.sqrt(depth))
    x_zp, y_zp = (int(v) for v in rng.integers(0, 256, 2))
    fields = {
        "x_dtype": "uint8", "w_dtype": "int8", "x_scale": float(x_scale), "x_zp": x_zp, "w_zp": 0, "y_scale": float(y_scale),
        "y_zp": y_zp, "per_channel": each,
    }  # fmt: skip
    constants = {
        "xs": x_scale, "xz": np.uint8(x_zp), "ws": scale if each else scale[0], "ys": y_scale, "yz": np.uint8(y_zp),
        "wz": np.zeros(channels, np.int8) if each else np.int8(0),
    }  # fmt: skip
    return fields, constants, scale


def convolution(rng: Any, i: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a QLinearConv case: every third has one input per group, every sixth one output as well (depthwise)."""
    groups = int(rng.choice([1, 1, 2, 3]))
    per_in, per_out = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    if i % 3 == 0:
        groups, per_in, per_out = int(rng.integers(1, 9)), 1, 1 if i % 6 == 0 else int(rng.integers(2, 8))
    kernel = tuple(int(v) for v in rng.integers(1, 4, 2))
    stride, dilation = (int(v) for v in rng.integers(1, 3, 2))
    pads = [int(v) for v in rng.integers(0, 2, 4)]
    x = rng.integers(0, 256, (1, groups * per_in, int(rng.integers(6, 10)), int(rng.integers(6, 10)))).astype(np.uint8)
    w = large(rng, (groups * per_out, per_in, *kernel))
    fields, constants, scale = quantization(rng, w[0].size, len(w))
    bias = rng.integers(-3000, 3000, len(w)).astype(np.int32)
    node = helper.make_node(
        "QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"], group=groups, kernel_shape=kernel, pads=pads,
        strides=[stride] * 2, dilations=[dilation] * 2,
    )  # fmt: skip
    y = run(node, x, {**constants, "w": w, "b": bias}, TensorProto.UINT8)
    fields |= {"op": "QLinearConv", "pads": pads, "group": groups, "strides": [stride] * 2, "dilations": [dilation] * 2}
    return fields, {"x": x, "w": w, "w_scale": scale, "b": bias, "y": y}


def matrix(rng: Any, i: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a QLinearMatMul case, or (every third) a MatMulInteger case."""
    rows, depth, columns = int(rng.choice([1, 2, 5, 17])), int(rng.integers(1, 130)), int(rng.integers(1, 30))
    x, w = rng.integers(0, 256, (rows, depth)).astype(np.uint8), large(rng, (depth, columns))
    fields, constants, scale = quantization(rng, depth, columns)
    if i % 3:
        node = helper.make_node("QLinearMatMul", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"])
        return fields | {"op": "QLinearMatMul"}, {"x": x, "w": w, "w_scale": scale, "y": run(node, x, {**constants, "w": w}, 2)}
    node = helper.make_node("MatMulInteger", ["x", "w", "xz"], ["y"])
    y = run(node, x, {"w": w, "xz": constants["xz"]}, TensorProto.INT32)
    kept = {k: fields[k] for k in ("x_dtype", "w_dtype", "x_zp", "w_zp")}
    return kept | {"op": "MatMulInteger"}, {"x": x, "w": w, "y": y}


def main() -> None:
    """Write FILE.npz and its JSON."""
    path = Path(sys.argv[1])
    rng = np.random.default_rng(SEED)
    cases, arrays = [], {}
    for i in range(CASES):
        for make in (convolution, matrix):
            fields, found = make(rng, i)
            name = f"c{len(cases):03d}"
            cases.append({"id": name, **fields})
            arrays |= {f"{name}/{k}": v for k, v in found.items()}
    np.savez_compressed(path, **arrays)
    path.with_suffix(".json").write_text(json.dumps(cases, indent=0))


if __name__ == "__main__":
    main()
