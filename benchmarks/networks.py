"""The int8 networks that are measured and their real inputs, from WORKBENCH_MODELS (default ../shared/models)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data import read_arrays
from workbench.execute import Program, prepare
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.ops import OPS
from workbench.validate.pairing import ModelFile, input_of

PROFILES = {"double": "stm32l4r5-cortex-m4-tflm", "float32_half_even": "x86-litert-xnnpack"}
"""Requantization rule -> profile that is timed."""

FILES = {
    "ResNet-8": "ic_resnet8_int8.tflite",
    "ResNet-8-large": "ic_resnet8_large_int8.tflite",
    "MobileNetV1-0.25": "vww_96_int8.tflite",
    "DS-CNN": "kws_ref_int8.tflite",
    "autoencoder": "ad01_int8.tflite",
    "streaming wakeword": "sww_int8.tflite",
}


def folder() -> Path:
    """Return where models and data are looked for."""
    return Path(os.environ.get("WORKBENCH_MODELS") or Path(__file__).resolve().parents[2] / "shared" / "models")


@dataclass(frozen=True, eq=False)
class Network:
    """One model. x: int8 inputs, batch first, repeated to the number asked for. source: where they are from."""

    name: str
    path: Path
    graph: Graph
    x: Any
    source: str

    @property
    def macs(self) -> int:
        """Products of one inference."""
        shapes = {name: tensor.shape for name, tensor in self.graph.tensors.items()}
        return sum(
            OPS[n.op].count(n.attrs, [shapes[i] for i in n.inputs if i], [shapes[o] for o in n.outputs]).macs
            for n in self.graph.nodes
        )

    def program(self, rule: str) -> Program:
        """Return the program under the profile of a requantization rule, or under a profile."""
        return prepare(self.graph, load_profile(PROFILES.get(rule, rule)))

    def feed(self, x: Any) -> dict[str, Any]:
        """Return inputs by name."""
        return {self.graph.inputs[0]: x}


def load(name: str, samples: int) -> Network | None:
    """Return a network with that many inputs, None when its file is missing."""
    path = next(iter(sorted(folder().rglob(FILES[name]))), None)
    if path is None:
        return None
    model = ModelFile(path, load_model(path))
    tensor = model.graph.tensors[model.graph.inputs[0]]
    found: tuple[Any, str] | None = None
    for file in sorted(folder().rglob("*.npz")):
        arrays = read_arrays(file)
        fitting = [input_of(model, arrays, len(a), []) for a in arrays.values() if a.ndim and a.shape[1:] == tensor.shape[1:]]
        best = max((f for f in fitting if f is not None), key=lambda f: len(f[0]), default=None)
        if best is not None and (found is None or len(best[0]) > len(found[0])):
            found = best[0], f"{len(best[0])} samples of {file.name}"
    if found is None:
        shape = (samples, *tensor.shape[1:])
        found = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8), "random samples"
    return Network(name, path, model.graph, np.resize(found[0], (samples, *tensor.shape[1:])), found[1])
