"""`device_constants`: a fitted table as three constants of a device: seconds per multiply-accumulate, per weight byte, and
fixed.

They are what the model says of public networks of every kind on that device, not what a single row said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import hypot

import numpy as np
from scipy.optimize import nnls

from workbench.calibrate.family import Sample
from workbench.calibrate.network_facts import facts
from workbench.calibrate.rows import Row
from workbench.calibrate.table_facts import table_facts
from workbench.calibrate.tables_model import TablesModel
from workbench.hardware.costs import Basis

NETWORKS = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "vgg16", "googlenet", "inception_v3", "inception_v4",
    "densenet121", "squeezenet1_1", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "mnasnet",
    "shufflenet_v2", "efficientnet_b0", "efficientnet_b4", "efficientnet_lite0", "regnet_x_800mf", "regnet_y_8gf", "resnext50",
    "wideresnet50", "convnext_tiny", "yolov5s", "yolov5m", "yolov8n", "yolov8s", "yolov8m", "yolox_s",
)  # fmt: skip
"""Convolutional networks from 0.06 to 40 GMACs (attention is not what three constants can say)."""
BYTES = {"int8": 1, "int16": 1, "fp16": 2, "fp32": 4}
"""Bytes of a weight (int16 is about activations)."""


@dataclass(frozen=True)
class DeviceConstants:
    """Seconds per multiply-accumulate, per byte of weights and per inference. log_sd: of a network's latency around their sum
    (one for all three: they are wrong together). basis: what the fit knew of the device.
    """

    mac_s: float
    weight_byte_s: float
    fixed_s: float
    log_sd: float
    basis: Basis


def device_constants(
    fitted: TablesModel, cells: Mapping[str, str], precisions: Iterable[str], table: str = ""
) -> dict[str, DeviceConstants]:
    """Return precision (as the table writes it: 'int8', 'float', 'w8a8', ...) -> constants of a device.

    cells: what a row of the table would say of it: device, core, isa_fpu_npu, runtime.
    """
    return {precision: _constants(fitted, {**cells, "precision": precision}, table) for precision in precisions}


def _constants(fitted: TablesModel, cells: Mapping[str, str], table: str) -> DeviceConstants:
    samples = [_sample({**cells, "model": name}, table) for name in NETWORKS]
    seconds = np.array([fitted.predict(s) for s in samples])
    known = [facts(name) for name in NETWORKS]
    width = BYTES[samples[0].facts.precision.split()[0]]
    terms = np.array([[f.macs, width * f.params, 1.0] for f in known if f is not None])
    weights = 1 / seconds
    for _ in range(10):  # the error is relative to the sum, not to the least of them
        scale = (terms * weights[:, None]).max(axis=0)
        found = nnls(terms * weights[:, None] / scale, seconds * weights)[0] / scale
        weights = 1 / np.sqrt(seconds * (terms @ found))
    spread = float(np.std(np.log(seconds / (terms @ found))))
    mac, byte, fixed = (float(v) for v in found)
    return DeviceConstants(mac, byte, fixed, hypot(spread, fitted.effects.errors["all"]), fitted.basis(samples[0]))


def _sample(cells: Mapping[str, str], table: str) -> Sample:
    row = Row(table, 0, cells)
    known = table_facts(row)
    return Sample(row, "latency_s", 1.0, row.device, known.runtime, known.network, "", known)
