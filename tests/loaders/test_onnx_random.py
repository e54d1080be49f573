"""Random networks: whatever is chained after whatever, the layouts are tracked and the numbers equal ONNX Runtime's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.loaders.onnx_cases import compare, ints, model, rand
from workbench.errors import ModelError

Shape = tuple[int, ...]


class Maker:
    """Grows a network: a pool of values with known shapes, one random operator at a time."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        batch = self.pick([1, 1, 1, 2])
        first: Shape = self.pick([(4, 6, 5), (3, 7, 7), (6, 8), (5, 4), (10,), (2, 5, 1), (4, 1, 6)])
        self.values: dict[str, Shape] = {"x": (batch, *first)}

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def weights(self, *shape: int) -> str:
        name = f"w{len(self.constants)}"
        self.constants[name] = rand(*shape, seed=len(self.constants))
        return name

    def whole(self, *values: int) -> str:
        name = f"i{len(self.constants)}"
        self.constants[name] = ints(*values)
        return name

    def add(self, op: str, inputs: list[str], shape: Shape, **attrs: Any) -> None:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attrs))
        self.values[name] = shape

    def step(self) -> None:
        x = self.pick(list(self.values)[-3:])
        kind = self.pick(
            ["conv", "conv", "pool", "act", "constant", "constant", "pair", "transpose", "transpose", "reshape", "reshape",
             "flatten", "dense", "left", "concat", "pad", "slice", "softmax", "mean", "norm", "unsqueeze", "squeeze", "matmul"]
        )  # fmt: skip
        getattr(self, kind)(x, self.values[x])

    def conv(self, x: str, s: Shape) -> None:
        if len(s) not in (3, 4):
            return
        group = self.pick([1, 1, s[1]])
        out = group * self.number(1, 3)
        kernel = [self.number(1, min(3, d)) for d in s[2:]]
        pads = [self.number(0, 1) for _ in kernel]
        strides = [self.number(1, 2) for _ in kernel]
        size = [(d + 2 * p - k) // t + 1 for d, p, k, t in zip(s[2:], pads, kernel, strides, strict=True)]
        inputs = [x, self.weights(out, s[1] // group, *kernel), *([self.weights(out)] if self.number(0, 1) else [])]
        self.add("Conv", inputs, (s[0], out, *size), group=group, pads=[*pads, *pads], strides=strides)

    def pool(self, x: str, s: Shape) -> None:
        if len(s) not in (3, 4) or min(s[2:]) < 2:
            return
        size = [d // 2 for d in s[2:]]
        self.add(
            self.pick(["MaxPool", "AveragePool"]), [x], (*s[:2], *size), kernel_shape=[2] * len(size), strides=[2] * len(size)
        )

    def act(self, x: str, s: Shape) -> None:
        self.add(self.pick(["Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSwish"]), [x], s)

    def constant(self, x: str, s: Shape) -> None:
        rank = self.number(0, len(s))
        shape = tuple(self.pick([1, d]) if i or len(s) > rank else 1 for i, d in enumerate(s[len(s) - rank :]))
        inputs = [x, self.weights(*shape)]
        self.add(self.pick(["Add", "Sub", "Mul"]), inputs[:: self.pick([1, -1])], s)

    def pair(self, x: str, s: Shape) -> None:
        other = self.pick(list(self.values))
        try:
            shape = np.broadcast_shapes(s, self.values[other])
        except ValueError:
            return
        self.add(self.pick(["Add", "Sub", "Mul"]), [x, other], tuple(int(d) for d in shape))

    def transpose(self, x: str, s: Shape) -> None:
        perm = [int(p) for p in self.rng.permutation(len(s))]
        if self.number(0, 5):
            perm = [0, *(p for p in perm if p)]
        self.add("Transpose", [x], tuple(s[p] for p in perm), perm=perm)

    def reshape(self, x: str, s: Shape) -> None:
        factors = [p for d in s[1:] for p in _primes(d)]
        if self.number(0, 1):
            self.rng.shuffle(factors)
        cuts = sorted(self.number(0, len(factors)) for _ in range(self.number(0, 3)))
        target = (s[0], *(math.prod(factors[a:b]) for a, b in zip([0, *cuts], [*cuts, len(factors)], strict=True)))
        self.add("Reshape", [x, self.whole(self.pick([0, -1, s[0]]), *target[1:])], target)

    def flatten(self, x: str, s: Shape) -> None:
        axis = self.pick([1, 1, 1, len(s), 2]) if len(s) > 1 else 1
        axis = min(axis, len(s))
        self.add("Flatten", [x], (math.prod(s[:axis]), math.prod(s[axis:])), axis=axis)

    def dense(self, x: str, s: Shape) -> None:
        out = self.number(1, 6)
        if len(s) == 2 and self.number(0, 1):
            self.add("Gemm", [x, self.weights(out, s[1]), self.weights(out)], (s[0], out), transB=1)
        elif len(s) >= 2:
            self.add("MatMul", [x, self.weights(s[-1], out)], (*s[:-1], out))

    def left(self, x: str, s: Shape) -> None:
        if len(s) >= 2:
            out = self.number(1, 6)
            self.add("MatMul", [self.weights(out, s[-2]), x], (*s[:-2], out, s[-1]))

    def matmul(self, x: str, s: Shape) -> None:
        if len(s) >= 3:
            self.add("Transpose", [x], (*s[:-2], s[-1], s[-2]), perm=[*range(len(s) - 2), len(s) - 1, len(s) - 2])
            self.add("MatMul", [x, f"t{len(self.nodes) - 1}"], (*s[:-1], s[-2]))

    def concat(self, x: str, s: Shape) -> None:
        axis = self.number(0 if self.number(0, 5) == 0 else min(1, len(s) - 1), len(s) - 1)
        fits = [
            n for n, t in self.values.items() if len(t) == len(s) and (*t[:axis], *t[axis + 1 :]) == (*s[:axis], *s[axis + 1 :])
        ]
        parts = [x, *(self.pick(fits) for _ in range(self.number(1, 2)))]
        self.add("Concat", parts, (*s[:axis], sum(self.values[p][axis] for p in parts), *s[axis + 1 :]), axis=axis)

    def pad(self, x: str, s: Shape) -> None:
        before, after = ([0, *(self.number(0, 2) for _ in s[1:])] for _ in range(2))
        self.add("Pad", [x, self.whole(*before, *after)], tuple(d + a + b for d, a, b in zip(s, before, after, strict=True)))

    def slice(self, x: str, s: Shape) -> None:
        axis = self.number(0, len(s) - 1)
        start, step = self.number(0, s[axis] - 1), self.number(1, 2)
        stop = self.number(start + 1, s[axis])
        shape = (*s[:axis], len(range(start, stop, step)), *s[axis + 1 :])
        self.add("Slice", [x, self.whole(start), self.whole(stop), self.whole(axis), self.whole(step)], shape)

    def softmax(self, x: str, s: Shape) -> None:
        self.add("Softmax", [x], s, axis=self.number(-1, len(s) - 1))

    def mean(self, x: str, s: Shape) -> None:
        axes = sorted({self.number(min(1, len(s) - 1), len(s) - 1) for _ in range(self.number(1, 2))})
        keep = self.number(0, 1)
        shape = tuple(1 if i in axes else d for i, d in enumerate(s) if keep or i not in axes)
        if shape:
            self.add("ReduceMean", [x], shape, axes=axes, keepdims=keep)

    def norm(self, x: str, s: Shape) -> None:
        if len(s) > 1:
            parts = [self.weights(s[1]) for _ in range(4)]
            self.constants[parts[3]] = np.abs(self.constants[parts[3]]) + np.float32(0.5)
            self.add("BatchNormalization", [x, *parts], s)

    def unsqueeze(self, x: str, s: Shape) -> None:
        if len(s) < 5:
            axis = self.number(1, len(s))
            self.add("Unsqueeze", [x, self.whole(axis)], (*s[:axis], 1, *s[axis:]))

    def squeeze(self, x: str, s: Shape) -> None:
        axes = [i for i, d in enumerate(s) if d == 1 and i]
        if axes:
            axis = self.pick(axes)
            self.add("Squeeze", [x, self.whole(axis)], (*s[:axis], *s[axis + 1 :]))


def _primes(n: int) -> list[int]:
    found = []
    for p in range(2, n + 1):
        while n % p == 0:
            found.append(p)
            n //= p
    return found


def check(seed: int, folder: Path) -> bool:
    """Build, load and compare one network; False when the loader (rightly or not) refused it."""
    maker = Maker(seed)
    for _ in range(maker.number(2, 9)):
        maker.step()
    if not maker.nodes:
        return True
    outputs = sorted({list(maker.values)[-1], maker.pick(list(maker.values)[1:])})
    proto = model(maker.nodes, {"x": maker.values["x"]}, maker.constants, outputs)
    try:
        compare(proto, folder, tolerance=1e-4)
    except ModelError as problem:
        assert "not supported" in str(problem) or "constant" in str(problem), (seed, problem)
        return False
    except AssertionError as problem:
        raise AssertionError(f"seed {seed}: {[n.op_type for n in maker.nodes]}: {problem}") from None
    return True


def test_random_networks_equal_onnxruntime(tmp_path: Path) -> None:
    assert sum(check(seed, tmp_path) for seed in range(150)) >= 145


@pytest.mark.slow
def test_many_random_networks_equal_onnxruntime(tmp_path: Path) -> None:
    assert sum(check(seed, tmp_path) for seed in range(1000, 5000)) >= 3900
