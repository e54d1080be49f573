"""The accelerators and application processors that cost sheets are made for: whose rows, and what their data sheets promise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from workbench.calibrate.rows import Row

THROUGHPUT = "; seconds are 1 / throughput of a pipelined device, not its response time"
KINDS = ("inference", "layer", "element", "weight", "depthwise")
"""Constants beside the ones per multiply-accumulate: seconds per inference, layer, activation element and weight byte that comes
from outside; depthwise: a multiply-accumulate of a depthwise layer over one of another layer."""
Prior = tuple[float, float]
"""Median and log standard deviation."""


@dataclass(frozen=True)
class Format:
    """How a precision of a table reaches a profile.

    pattern: of the column `precision`. formats, plain: of the profile, with weights and without. mac: prior of seconds per
    multiply-accumulate.
    """

    pattern: str
    formats: tuple[str, ...]
    plain: tuple[str, ...]
    mac: Prior


@dataclass(frozen=True)
class Machine:
    """A device with a runtime. device, runtime, core: patterns of the rows of the table that are its own (searched).

    priors: of KINDS. source: of the priors. weight_bytes: weights that stay on the chip. streams: the others are read at every
    inference. remark: on the rows. others: formats without rows -> (times the multiply-accumulate of the nearest format with rows,
    why).
    """

    table: str
    device: str
    formats: tuple[Format, ...]
    priors: Mapping[str, Prior]
    source: str
    runtime: str = ""
    core: str = ""
    weight_bytes: int = 0
    streams: bool = False
    remark: str = ""
    others: Mapping[tuple[str, ...], tuple[float, str]] = field(default_factory=dict)

    def owns(self, row: Row) -> bool:
        """Return whether a row is of this device with this runtime."""
        pairs = ((self.device, row.device), (self.runtime, row.runtime), (self.core, row.core))
        return all(re.search(pattern, text) for pattern, text in pairs)

    def format_of(self, row: Row) -> int | None:
        """Return which of the formats a row is in."""
        return next((i for i, f in enumerate(self.formats) if re.search(f.pattern, row.precision)), None)


def _int8(mac: float, spread: float = 1.0) -> Format:
    return Format(r"int8|w8a8$", ("w8a8",), ("a8",), (mac, spread))


def _float(pattern: str, name: str, mac: float, spread: float = 1.0) -> Format:
    return Format(pattern, (name,), (name,), (mac, spread))


def _priors(inference: float, layer: float, element: float, weight: float, depthwise: float = 8.0) -> dict[str, Prior]:
    return {
        "inference": (inference, 1.0), "layer": (layer, 1.0), "element": (element, 1.0), "weight": (weight, 0.7),
        "depthwise": (depthwise, 0.7),
    }  # fmt: skip


def _processor(device: str, name: str, macs: tuple[float, float], element: float, **others: tuple[float, str]) -> Machine:
    """Return an application processor with ncnn on one thread. macs: int8, float; name: the float format that it computes in."""
    return Machine(
        "ncnn_cpu_gpu.csv", device, (_int8(macs[0], 0.5), _float("^float", name, macs[1], 0.5)),
        _priors(1e-4, 1e-5, element, 3e-10, 2.0), "NEON at half its peak, data in caches", runtime=r"threads=1$", core="^CPU$",
        others={(fmt,): assumed for fmt, assumed in others.items()},
    )  # fmt: skip


HEXAGON = (2e-4, 2e-6, 1e-11, 2e-11)
A_THIRD = "a third of the peak"
MACHINES: dict[str, Machine] = {
    "coral-edgetpu": Machine(
        "coral_edgetpu.csv", "Coral USB", (_int8(1.5e-12),), _priors(5e-4, 5e-6, 2e-11, 3.1e-9),
        f"4 TOPS, {A_THIRD}; USB 3.0, 320 MB/s", weight_bytes=8_000_000, streams=True,
    ),
    "hailo-8": Machine(
        "hailo_npu.csv", r"^Hailo-8$", (_int8(2.3e-13),), _priors(2e-4, 2e-6, 1e-11, 1e-10), f"26 TOPS, {A_THIRD}", remark=THROUGHPUT,
    ),
    "rk3588-npu": Machine(
        "rockchip_npu.csv", r"RK3588", (_int8(3e-12), _float("fp16", "fp16", 6e-12)), _priors(3e-4, 1e-5, 1e-10, 1e-10),
        f"one core of three, 2 TOPS, {A_THIRD}; half as fast in fp16", remark=THROUGHPUT,
    ),
    "snapdragon-8-elite-hexagon-qnn": Machine(
        "qualcomm_aihub.csv", r"^Samsung Galaxy S25$",
        (_int8(1.3e-13), Format("^w8a16$", ("w8a16",), ("a16",), (2.6e-13, 1.0)), _float("^float$", "fp16", 2.6e-13)),
        _priors(*HEXAGON), f"45 TOPS of 8 bits (press), {A_THIRD}; LPDDR5X", runtime="qnn_dlc", streams=True,
    ),
    "qcs8550-hexagon-tflite": Machine(
        "qualcomm_aihub.csv", r"^QCS8550", (_int8(1.3e-13), _float("^float$", "fp16", 2.6e-13)),
        _priors(*HEXAGON), f"48 TOPS of 8 bits (product brief), {A_THIRD}; LPDDR5X", runtime="tflite", streams=True,
    ),
    "nvidia-t4": Machine(
        "mmdeploy_tensorrt.csv", "^T4$", (_float("fp16", "fp16", 7e-14, 0.7), _float("fp32", "fp32", 4e-13, 0.7), _int8(4e-14, 0.7)),
        _priors(2e-5, 1e-5, 1e-11, 3e-12), "gpu_specs.csv, from memory: 65, 8.1 and 130 T/s; launches of about 10 us",
        runtime="^TensorRT",
    ),
    "gap9-ne16": Machine(
        "mlperf_tiny.csv", r"GAP9", (_int8(2e-11),), _priors(1e-4, 2e-6, 1e-9, 1e-9, 4.0),
        "NE16: 9 x 9 x 16 products of 8 x 1 bit a cycle, eight cycles a product of 8 bits; a third of it", runtime="GAPflow",
    ),
    "raspberry-pi-4-cortex-a72-ncnn": _processor("Raspberry Pi 4", "fp32", (1e-10, 1.4e-10), 1e-9),
    "rk3588-cortex-a76-ncnn": _processor(
        r"^Rockchip RK3588 \(Quad", "fp16", (3e-11, 4e-11), 5e-10, fp32=(2.0, "half as many lanes as fp16, which the rows are in")
    ),
    "rk3228h-cortex-a53-ncnn": _processor("EAIDK 310", "fp32", (2e-10, 3e-10), 2e-9),
}  # fmt: skip
"""Profile -> its rows."""
