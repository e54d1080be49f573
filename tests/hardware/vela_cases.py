"""Single-operator TFLite files at both sides of every limit of the Ethos-U, and where the Vela compiler puts them.

`vela_placement.csv` beside this file holds what Vela 5.2.0 says. Made again with

    python -m tests.hardware.vela_cases PATH/OF/vela
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const

TABLE = Path(__file__).with_name("vela_placement.csv")
ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-256")
SAME, VALID = 0, 1
QUANT: dict[str, Any] = {"scale": [0.1], "zero": [0]}


def activation(shape: tuple[int, ...], dtype: Any = np.int8) -> T:
    """Return an activation with one scale (floats: none)."""
    return T(shape, dtype, **({} if dtype == np.float32 else QUANT))


def plain(kind: str, x: tuple[int, ...], y: tuple[int, ...], options: Any = None, *constants: T, dtype: Any = np.int8) -> Net:
    """Return one operator of one activation and constants."""
    tensors = [activation(x, dtype), activation(y, dtype), *constants]
    return Net(tensors, [Op(kind, [0, *range(2, 2 + len(constants))], [1], options)])


def binary(kind: str, options: str, dtype: Any) -> Net:
    """Return one operator of two activations."""
    tensors = [activation((1, 4, 4, 8), dtype) for _ in range(3)]
    return Net(tensors, [Op(kind, [0, 1], [2], (options, {}))], inputs=(0, 1))


def out_size(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """Return the output size of one dimension."""
    return -(-size // stride) if padding == SAME else (size - (kernel - 1) * dilation - 1) // stride + 1


def convolution(
    x: tuple[int, int, int], kernel: tuple[int, int], out: int = 8, stride: int = 1, dilation: int = 1, padding: int = SAME,
    dtype: Any = np.int8, weight: int = 1, bias: int = 0, depthwise: bool = False,
) -> Net:  # fmt: skip
    """Return a convolution of one sample [H, W, C]."""
    h, w = (out_size(n, k, stride, dilation, padding) for n, k in zip(x, kernel, strict=False))
    shape = (1, *kernel, out) if depthwise else (out, *kernel, x[2])
    zeros: dict[str, Any] = {"scale": [0.1] * out, "zero": [0] * out}
    tensors = [
        activation((1, *x), dtype),
        const(np.full(shape, weight, np.int8), **zeros, axis=3 if depthwise else 0),
        const(np.full(out, bias, np.int64 if dtype == np.int16 else np.int32), scale=[0.01] * out, zero=[0] * out),
        activation((1, h, w, out), dtype),
    ]
    geometry = {
        "Padding": padding, "StrideH": stride, "StrideW": stride, "DilationHFactor": dilation, "DilationWFactor": dilation,
    }  # fmt: skip
    op = Op("CONV_2D", [0, 1, 2], [3], ("Conv2DOptions", geometry))
    if depthwise:
        op = Op("DEPTHWISE_CONV_2D", [0, 1, 2], [3], ("DepthwiseConv2DOptions", {**geometry, "DepthMultiplier": out // x[2]}))
    return Net(tensors, [op])


def dense(inputs: int, weight: int = 1, dtype: Any = np.int8) -> Net:
    """Return a fully connected layer with 4 outputs."""
    tensors = [
        activation((1, inputs), dtype),
        const(np.full((4, inputs), weight, np.int8), **QUANT),
        const(np.zeros(4, np.int64 if dtype == np.int16 else np.int32), scale=[0.01], zero=[0]),
        activation((1, 4), dtype),
    ]
    return Net(tensors, [Op("FULLY_CONNECTED", [0, 1, 2], [3], ("FullyConnectedOptions", {}))])


def pool(kind: str, x: tuple[int, int, int], kernel: tuple[int, int], stride: int, padding: int, dtype: Any = np.int8) -> Net:
    """Return a pooling of one sample [H, W, C]."""
    h, w = (out_size(n, k, stride, 1, padding) for n, k in zip(x, kernel, strict=False))
    window = {"Padding": padding, "StrideH": stride, "StrideW": stride, "FilterHeight": kernel[0], "FilterWidth": kernel[1]}
    return plain(kind, (1, *x), (1, h, w, x[2]), ("Pool2DOptions", window), dtype=dtype)


def mean(x: tuple[int, ...], axes: tuple[int, ...], dtype: Any = np.int8) -> Net:
    """Return a mean that keeps its dimensions."""
    y = tuple(1 if i in axes else n for i, n in enumerate(x))
    return plain("MEAN", x, y, ("ReducerOptions", {"KeepDims": True}), ints(*axes), dtype=dtype)


def ints(*values: int) -> T:
    """Return a constant of int32."""
    return const(np.array(values, np.int32))


def softmax(x: tuple[int, ...], dtype: Any = np.int8) -> Net:
    """Return a softmax with the output scale of the specification."""
    scale, zero = (1 / 256, -128) if dtype == np.int8 else (1 / 32768, 0)
    tensors = [activation(x, dtype), T(x, dtype, scale=[scale], zero=[zero])]
    return Net(tensors, [Op("SOFTMAX", [0], [1], ("SoftmaxOptions", {"Beta": 1.0}))])


def convert(kind: str, source: Any, target: Any) -> Net:
    """Return a conversion between types."""
    x, y = activation((1, 4, 4, 8), source), activation((1, 4, 4, 8), target)
    y.scale = [0.2] if y.scale else []
    return Net([x, y], [Op(kind, [0], [1], (f"{kind.title()}Options", {}))])


def table(kind: str, dtype: Any) -> Net:
    """Return logistic or tanh with the output scale of the specification."""
    scale, zero = {("LOGISTIC", np.int8): (1 / 256, -128), ("TANH", np.int8): (1 / 128, 0)}.get((kind, dtype), (1 / 32768, 0))
    x = T((1, 4, 4, 8), dtype, scale=[2.0**-12] if dtype == np.int16 else [0.05], zero=[0])
    return Net([x, T((1, 4, 4, 8), dtype, scale=[scale], zero=[zero])], [Op(kind, [0], [1])])


def transposed(
    x: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: int, full: bool = False
) -> Net:
    """Return a transposed convolution of one sample [H, W, C] to 8 channels. full: VALID has the gaps behind the last too."""
    at_least = stride if full else (0, 0)
    h, w = (
        n * s if padding == SAME else (n - 1) * s + max(k, gap)
        for n, k, s, gap in zip(x, kernel, stride, at_least, strict=False)
    )
    zeros: dict[str, Any] = {"scale": [0.1] * 8, "zero": [0] * 8}
    tensors = [
        activation((1, *x)), ints(1, h, w, 8), const(np.ones((8, *kernel, x[2]), np.int8), **zeros),
        const(np.zeros(8, np.int32), scale=[0.01] * 8, zero=[0] * 8), activation((1, h, w, 8)),
    ]  # fmt: skip
    options = ("TransposeConvOptions", {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1]})
    return Net(tensors, [Op("TRANSPOSE_CONV", [1, 2, 0, 3], [4], options)])


def matmul(dtype: Any) -> Net:
    """Return a product of two activations."""
    tensors = [activation((1, 6, 5), dtype), activation((1, 5, 7), dtype), activation((1, 6, 7), dtype)]
    return Net(tensors, [Op("BATCH_MATMUL", [0, 1], [2], ("BatchMatMulOptions", {}))], inputs=(0, 1))


def cases() -> Iterator[tuple[str, Net]]:
    """Yield (name, network of one operator)."""
    i16 = np.int16
    yield "conv-3x3", convolution((8, 8, 4), (3, 3))
    yield "conv-stride-3-same", convolution((9, 9, 4), (4, 4), stride=3)
    yield "conv-stride-4-same", convolution((9, 9, 4), (5, 5), stride=4)
    yield "conv-stride-4-valid", convolution((9, 9, 4), (4, 4), stride=4, padding=VALID)
    yield "conv-dilation-2", convolution((12, 12, 4), (3, 3), dilation=2)
    yield "conv-dilation-2-stride-4-valid", convolution((16, 16, 4), (3, 3), stride=4, dilation=2, padding=VALID)
    yield "conv-kernel-70-valid", convolution((72, 72, 1), (70, 70), padding=VALID)
    yield "conv-weight-sum-below", convolution((1, 1, 65_536), (1, 1), 1, weight=127)
    yield "conv-weight-sum-above", convolution((1, 1, 65_552), (1, 1), 1, weight=127)
    yield "conv-16x8", convolution((8, 8, 4), (3, 3), dtype=i16)
    yield "conv-16x8-bias-2**39", convolution((8, 8, 4), (3, 3), dtype=i16, bias=2**39)
    yield "conv-16x8-bias-2**41", convolution((8, 8, 4), (3, 3), dtype=i16, bias=2**41)
    yield "depthwise-3x3", convolution((8, 8, 8), (3, 3), depthwise=True)
    yield "depthwise-stride-3", convolution((9, 9, 8), (4, 4), stride=3, depthwise=True)
    yield "depthwise-stride-4-valid", convolution((9, 9, 8), (4, 4), stride=4, padding=VALID, depthwise=True)
    yield "depthwise-multiplier-2", convolution((8, 8, 4), (3, 3), depthwise=True)
    yield "dense", dense(64)
    yield "dense-16x8", dense(64, dtype=i16)
    yield "dense-weight-sum-above", dense(65_552, 127)
    for kind, name in (("AVERAGE_POOL_2D", "avg-pool"), ("MAX_POOL_2D", "max-pool")):
        yield f"{name}-8-same", pool(kind, (12, 12, 4), (8, 8), 1, SAME)
        yield f"{name}-9-same", pool(kind, (12, 12, 4), (9, 9), 1, SAME)
        yield f"{name}-9-valid", pool(kind, (12, 12, 4), (9, 9), 1, VALID)
        yield f"{name}-stride-3-same", pool(kind, (12, 12, 4), (4, 4), 3, SAME)
        yield f"{name}-stride-4-same", pool(kind, (13, 13, 4), (5, 5), 4, SAME)
        yield f"{name}-stride-4-valid", pool(kind, (12, 12, 4), (4, 4), 4, VALID)
        yield f"{name}-256-high-valid", pool(kind, (256, 2, 4), (256, 1), 1, VALID)
        yield f"{name}-257-high-valid", pool(kind, (257, 2, 4), (257, 1), 1, VALID)
        yield f"{name}-int16", pool(kind, (12, 12, 4), (2, 2), 2, VALID, i16)
    yield "mean-plane", mean((1, 8, 8, 4), (1, 2))
    yield "mean-plane-int16", mean((1, 8, 8, 4), (1, 2), i16)
    yield "mean-plane-int16-65536", mean((1, 256, 256, 4), (1, 2), i16)
    yield "mean-plane-int16-66049", mean((1, 257, 257, 4), (1, 2), i16)
    yield "mean-depth", mean((1, 8, 8, 4), (3,))
    yield "mean-depth-of-a-row", mean((1, 1, 8, 4), (3,))
    yield "mean-axis-4095", mean((1, 1, 4095, 4), (2,))
    yield "mean-axis-4097", mean((1, 1, 4097, 4), (2,))
    yield "softmax", softmax((1, 10))
    yield "softmax-int16", softmax((1, 10), i16)
    yield "softmax-plane-65535", softmax((1, 255, 257, 2))
    yield "softmax-plane-66049", softmax((1, 257, 257, 2))
    for kind, options in (("ADD", "AddOptions"), ("SUB", "SubOptions"), ("MUL", "MulOptions")):
        yield kind.lower(), binary(kind, options, np.int8)
        yield f"{kind.lower()}-int16", binary(kind, options, i16)
    for kind in ("LOGISTIC", "TANH"):
        yield kind.lower(), table(kind, np.int8)
        yield f"{kind.lower()}-int16", table(kind, i16)
    for stride in ((1, 1), (2, 2), (1, 2), (2, 1), (3, 3)):
        name = f"transpose-conv-stride-{stride[0]}x{stride[1]}"
        yield name, transposed((4, 6, 8), (3, 3), stride, SAME)
        yield f"{name}-valid", transposed((4, 6, 8), (3, 3), stride, VALID)
    yield "transpose-conv-row-stride-1x2", transposed((1, 6, 8), (1, 3), (1, 2), SAME)
    yield "transpose-conv-column-stride-2x1", transposed((6, 1, 8), (3, 1), (2, 1), SAME)
    shape = (1, 4, 6, 8)
    for kind in ("ELU", "EXP", "LOG", "RSQRT", "GELU"):
        options = None if kind in ("ELU", "LOG", "RSQRT") else (f"{kind.title()}Options", {})
        yield kind.lower(), plain(kind, shape, shape, options)
        if kind not in ("ELU", "GELU"):
            yield f"{kind.lower()}-int16", plain(kind, shape, shape, options, dtype=i16)
    yield "sum", plain("SUM", (1, 4, 6, 8), (1, 4, 6, 1), ("ReducerOptions", {"KeepDims": True}), ints(3))
    yield "log-softmax", plain("LOG_SOFTMAX", (1, 10), (1, 10), ("LogSoftmaxOptions", {}))
    yield "relu", plain("RELU", shape, shape)
    yield "leaky-relu", plain("LEAKY_RELU", shape, shape, ("LeakyReluOptions", {"Alpha": 0.1}))
    yield "leaky-relu-int16", plain("LEAKY_RELU", shape, shape, ("LeakyReluOptions", {"Alpha": 0.1}), dtype=i16)
    yield "hard-swish", plain("HARD_SWISH", shape, shape, ("HardSwishOptions", {}))
    yield "reshape", plain("RESHAPE", shape, (1, 192), ("ReshapeOptions", {"NewShape": [1, 192]}), ints(1, 192))
    paddings = const(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    yield "pad", plain("PAD", shape, (1, 6, 8, 8), ("PadOptions", {}), paddings)
    concat = ("ConcatenationOptions", {"Axis": 3})
    parts = [activation(shape), activation(shape), activation((1, 4, 6, 16))]
    yield "concat", Net(parts, [Op("CONCATENATION", [0, 1], [2], concat)], inputs=(0, 1))
    for name, step, out in (("w", (1, 1, 2, 1), (1, 4, 3, 8)), ("c", (1, 1, 1, 2), (1, 4, 6, 4))):
        yield (
            f"slice-step-2-{name}",
            plain("STRIDED_SLICE", shape, out, ("StridedSliceOptions", {}), ints(0, 0, 0, 0), ints(*shape), ints(*step)),
        )
    for perm in ((0, 2, 1, 3), (0, 3, 1, 2), (0, 3, 2, 1)):
        name = f"transpose-{''.join(map(str, perm))}"
        yield name, plain("TRANSPOSE", shape, tuple(shape[i] for i in perm), ("TransposeOptions", {}), ints(*perm))
    yield "quantize-int8-int8", convert("QUANTIZE", np.int8, np.int8)
    yield "quantize-int8-int16", convert("QUANTIZE", np.int8, i16)
    yield "quantize-float-int8", convert("QUANTIZE", np.float32, np.int8)
    yield "dequantize-int8", convert("DEQUANTIZE", np.int8, np.float32)
    yield "batch-matmul", matmul(np.int8)
    yield "batch-matmul-int16", matmul(i16)
    for kernel in ((1, 1), (1, 3), (3, 1)):
        name = f"transpose-conv-{kernel[0]}x{kernel[1]}-stride-2-valid"
        yield name, transposed((4, 6, 8), kernel, (2, 2), VALID)
        yield f"{name}-full", transposed((4, 6, 8), kernel, (2, 2), VALID, full=True)


def placed(vela: str, net: Net, accelerator: str, folder: Path) -> str:
    """Return 'NPU' or 'CPU', as Vela's table of layers has it for all that an operator becomes."""
    (folder / "m.tflite").write_bytes(net.bytes())
    words = [
        vela,
        str(folder / "m.tflite"),
        "--accelerator-config",
        accelerator,
        "--output-dir",
        str(folder),
        "--verbose-performance",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = list(folder.glob("*per-layer*.csv"))
    if done.returncode or not found:
        raise SystemExit(f"{accelerator}: {done.stdout[-800:]}{done.stderr[-800:]}")
    with found[0].open(newline="") as file:
        targets = {row["Target"] for row in csv.DictReader(file)}
    return "NPU" if targets == {"NPU"} else "CPU"


def main() -> None:
    """Write the table anew."""
    rows = []
    for name, net in cases():
        for accelerator in ACCELERATORS:
            with tempfile.TemporaryDirectory() as folder:
                rows.append((name, accelerator, placed(sys.argv[1], net, accelerator, Path(folder))))
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "accelerator", "target"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
