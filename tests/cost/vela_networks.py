"""Small networks of the shapes people deploy, and what the Vela compiler says of them (`vela_networks.csv` beside this file).

The weights are random and the same every time. Vela's figures are estimates themselves. Made again with

    python -m tests.cost.vela_networks PATH/OF/vela
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.loaders.tflite_writer import Net, Op, T, const

TABLE = Path(__file__).with_name("vela_networks.csv")
ACCELERATORS = ("ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512", "ethos-u85-256", "ethos-u85-1024")
SAME, VALID = 0, 1
QUANT: dict[str, Any] = {"scale": [0.1], "zero": [0]}


class Builder:
    """Puts one operator after another; `last` is the tensor that the next one reads."""

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.int8, seed: int = 0) -> None:
        self.tensors, self.ops, self.last, self.dtype = [T(shape, dtype, **QUANT)], list[Op](), 0, dtype
        self.random = np.random.default_rng(seed)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the last tensor."""
        return tuple(self.tensors[self.last].shape)

    def add(self, tensor: T) -> int:
        """Add a tensor; return its number."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def op(
        self, kind: str, inputs: list[int], shape: tuple[int, ...], options: tuple[str, dict[str, Any]] | None = None
    ) -> Builder:
        """Add an operator."""
        out = self.add(T(shape, self.dtype, **QUANT))
        self.ops.append(Op(kind, inputs, [out], options))
        self.last = out
        return self

    def weights(self, shape: tuple[int, ...], channels: int, axis: int, std: float, zeros: float) -> list[int]:
        """Add weights and a bias; return their numbers."""
        data = np.clip(np.round(self.random.normal(0, std, shape)), -127, 127).astype(np.int8)
        data[self.random.random(shape) < zeros] = 0
        bias = np.zeros(channels, np.int64 if self.dtype == np.int16 else np.int32)
        per = {"scale": [0.01] * channels, "zero": [0] * channels}
        return [self.add(const(data, **per, axis=axis)), self.add(const(bias, **per))]

    def conv(
        self, channels: int, k: int = 3, stride: int = 1, relu: int = 1, std: float = 20, zeros: float = 0,
        kernel: tuple[int, int] = (0, 0),
    ) -> Builder:  # fmt: skip
        """Add a convolution, or a depthwise one where channels is 0."""
        _, h, w, c = self.shape
        kh, kw = kernel if kernel != (0, 0) else (k, k)
        deep = channels == 0
        channels = channels or c
        made = self.weights((1, kh, kw, c) if deep else (channels, kh, kw, c), channels, 3 if deep else 0, std, zeros)
        geometry: dict[str, Any] = {
            "Padding": SAME, "StrideH": stride, "StrideW": stride, "DilationHFactor": 1, "DilationWFactor": 1,
            "FusedActivationFunction": relu,
        }  # fmt: skip
        shape = (1, -(-h // stride), -(-w // stride), channels)
        if deep:
            return self.op(
                "DEPTHWISE_CONV_2D", [self.last, *made], shape, ("DepthwiseConv2DOptions", {**geometry, "DepthMultiplier": 1})
            )
        return self.op("CONV_2D", [self.last, *made], shape, ("Conv2DOptions", geometry))

    def dense(self, outputs: int, relu: int = 0) -> Builder:
        """Add a fully connected layer, behind a reshape where there is a plane."""
        if len(self.shape) > 2:
            flat = (1, int(np.prod(self.shape[1:])))
            self.op(
                "RESHAPE",
                [self.last, self.add(const(np.array(flat, np.int32)))],
                flat,
                ("ReshapeOptions", {"NewShape": list(flat)}),
            )
        made = self.weights((outputs, self.shape[-1]), outputs, 0, 20, 0)
        for tensor in (self.tensors[i] for i in made):
            tensor.scale, tensor.zero = [0.01], [0]
        return self.op(
            "FULLY_CONNECTED", [self.last, *made], (1, outputs), ("FullyConnectedOptions", {"FusedActivationFunction": relu})
        )

    def pool(self, kind: str, k: int) -> Builder:
        """Add a pooling without overlap."""
        _, h, w, c = self.shape
        window = {"Padding": VALID, "StrideH": k, "StrideW": k, "FilterHeight": k, "FilterWidth": k}
        return self.op(f"{kind}_POOL_2D", [self.last], (1, h // k, w // k, c), ("Pool2DOptions", window))

    def mean(self) -> Builder:
        """Add a mean over the plane."""
        axes = self.add(const(np.array([1, 2], np.int32)))
        return self.op("MEAN", [self.last, axes], (1, 1, 1, self.shape[-1]), ("ReducerOptions", {"KeepDims": True}))

    def binary(self, kind: str, other: int) -> Builder:
        """Add an operator of the last tensor and another."""
        options = (f"{kind.title()}Options", dict[str, Any]())
        shape = np.broadcast_shapes(self.shape, tuple(self.tensors[other].shape))
        return self.op(kind, [self.last, other], shape, options)

    def softmax(self) -> Builder:
        """Add a softmax."""
        return self.op("SOFTMAX", [self.last], self.shape, ("SoftmaxOptions", {"Beta": 1.0}))

    def bytes(self) -> bytes:
        """Return the file."""
        return Net(self.tensors, self.ops, outputs=(self.last,)).bytes()


def depthwise_separable(size: int, width: float, dtype: Any = np.int8, std: float = 20, zeros: float = 0) -> Builder:
    """Depthwise and pointwise convolutions in turn."""
    net = Builder((1, size, size, 3), dtype).conv(int(32 * width), 3, 2, std=std, zeros=zeros)
    for channels, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (1024, 2)):
        net.conv(0, 3, stride, std=std, zeros=zeros).conv(int(channels * width), 1, std=std, zeros=zeros)
    return net.pool("AVERAGE", net.shape[1]).dense(10).softmax()


def inverted_residual(size: int) -> Builder:
    """Expansion, depthwise convolution, projection and addition; a mean at the end."""
    net = Builder((1, size, size, 3), seed=1).conv(16, 3, 2).conv(0).conv(8, 1, relu=0)
    for channels, repeats, stride in ((8, 2, 2), (16, 2, 2), (24, 2, 2)):
        for i in range(repeats):
            start = net.last
            net.conv(net.shape[-1] * 6, 1).conv(0, 3, stride if i == 0 else 1).conv(channels, 1, relu=0)
            if i:
                net.binary("ADD", start)
    return net.conv(128, 1).mean().dense(20).softmax()


def residual(size: int, width: int) -> Builder:
    """Blocks of two convolutions and an addition, with a convolution on the short way where the size changes."""
    net = Builder((1, size, size, 3), seed=2).conv(width)
    for factor, stride in ((1, 1), (2, 2), (4, 2)):
        start = net.last
        net.conv(width * factor, 3, stride).conv(width * factor, relu=0)
        other = net.last
        if stride != 1:
            net.last = start
            net.conv(width * factor, 1, stride, relu=0).binary("ADD", other)
        else:
            net.binary("ADD", start)
    return net.pool("AVERAGE", net.shape[1]).dense(10).softmax()


def plain(size: int, widths: tuple[int, ...], dtype: Any = np.int8) -> Builder:
    """Convolutions and poolings in turn, then two dense layers."""
    net = Builder((1, size, size, 1), dtype, seed=3)
    for width in widths:
        net.conv(width).pool("MAX", 2)
    return net.dense(64, relu=1).dense(10).softmax()


def dense(*sizes: int) -> Builder:
    """Dense layers only."""
    net = Builder((1, sizes[0]), seed=4)
    for size in sizes[1:]:
        net.dense(size, relu=1)
    return net


def excited(size: int) -> Builder:
    """A mean, two small convolutions and a logistic weigh the channels."""
    net = Builder((1, size, size, 16), seed=5).conv(32)
    whole = net.last
    net.mean().conv(8, 1).conv(32, 1, relu=0).op("LOGISTIC", [net.last], net.shape)
    return net.binary("MUL", whole).conv(16, 1)


def joined(size: int) -> Builder:
    """A product, a concatenation and a logistic."""
    net = Builder((1, size, size, 3), seed=6).conv(16).pool("MAX", 2).conv(32)
    first = net.last
    net.conv(32).binary("MUL", first)
    _, h, w, c = net.shape
    net.op("CONCATENATION", [net.last, first], (1, h, w, 2 * c), ("ConcatenationOptions", {"Axis": 3}))
    return net.conv(8, 1).op("LOGISTIC", [net.last], (1, h, w, 8))


def signal(length: int) -> Builder:
    """Convolutions along time."""
    net = Builder((1, length, 1, 16), seed=7)
    for k in (3, 5, 7):
        net.conv(32, stride=2, kernel=(k, 1)).conv(16, 1)
    return net.mean().dense(5).softmax()


NETWORKS: dict[str, Callable[[], Builder]] = {
    "depthwise-separable": lambda: depthwise_separable(96, 0.25),
    "depthwise-separable-int16": lambda: depthwise_separable(64, 0.25, np.int16),
    "depthwise-separable-pruned": lambda: depthwise_separable(96, 0.5, zeros=0.7),
    "depthwise-separable-4-bit": lambda: depthwise_separable(96, 0.5, std=2.5),
    "inverted-residual": lambda: inverted_residual(96),
    "residual": lambda: residual(48, 24),
    "plain": lambda: plain(28, (8, 16)),
    "plain-int16": lambda: plain(28, (8, 16), np.int16),
    "dense": lambda: dense(256, 128, 64, 10),
    "excited": lambda: excited(32),
    "joined": lambda: joined(32),
    "signal": lambda: signal(128),
    "wide": lambda: depthwise_separable(160, 1.0),
}  # fmt: skip


def rows(vela: str) -> Iterator[list[Any]]:
    """Yield network, accelerator, cycles, SRAM and storage (weights, and activations in a DRAM) in KiB, as Vela says."""
    for name, build in NETWORKS.items():
        for accelerator in ACCELERATORS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "m.tflite"
                path.write_bytes(build().bytes())
                command = [vela, "--accelerator-config", accelerator, "--output-dir", folder, str(path)]
                subprocess.run(command, check=True, capture_output=True)
                (summary,) = Path(folder).glob("m_summary*.csv")
                with summary.open(newline="") as file:
                    row = next(csv.DictReader(file))
            stored = float(row["off_chip_flash_memory_used"]) + float(row["dram_memory_used"])
            figures = (float(row["cycles_total"]), float(row["sram_memory_used"]), stored)
            yield [name, accelerator, *(f"{value:.10g}" for value in figures)]


if __name__ == "__main__":
    with TABLE.open("w", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["network", "accelerator", "cycles", "sram_kib", "storage_kib"])
        writer.writerows(rows(sys.argv[1]))
