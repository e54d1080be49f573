"""Which device, core class and runtime each cost sheet of a microcontroller is made for."""

from __future__ import annotations

from dataclasses import dataclass

CMSIS_NN = ("w8a8", "w4a8", "w8a16")
"""Formats that CMSIS-NN has kernels for (arm_convolve_s8, _s4, _s16 and their likes)."""
INT8_ONLY = ("w8a8",)
CODE_GENERATOR = ("w8a8", "fp32")


@dataclass(frozen=True)
class Target:
    """A device with a runtime of a version.

    device, runtime: as tables of measurements write them, without what stands in brackets behind a device (the fit looks them up).
    core: its class (`cores.core_class`). kernels: formats that the runtime has optimised kernels for; others run the reference
    kernels of TensorFlow Lite Micro. floats: float library (`format_factors.FLOATS`), '' = what compilers link for the class.
    layers: no network of this runtime was measured on this class, only single layers: what they say of an operator holds for it.
    external_flash: weights come from a flash outside, and the rows that the constants were fitted to say how many bytes did.
    """

    device: str
    core: str
    runtime: str
    kernels: tuple[str, ...]
    floats: str = ""
    layers: bool = False
    external_flash: bool = False


TARGETS = {
    "cortex-m-cmsis-nn-single-rounding": Target("STM32L4R5", "cortex-m4", "microTVM+CMSIS-NN", CMSIS_NN),
    "stm32l4r5-cortex-m4-tflm": Target("STM32L4R5", "cortex-m4", "TFLM 2.3.1 reference kernels", CMSIS_NN),
    "stm32l4r5-cortex-m4-xcubeai": Target("STM32L4R5", "cortex-m4", "X-CUBE-AI 9.0", CODE_GENERATOR),
    "stm32l4r5-smps-cortex-m4-xcubeai": Target("STM32L4R5", "cortex-m4", "X-CUBE-AI 10.2", CODE_GENERATOR),
    "stm32u575-cortex-m33-xcubeai": Target("STM32U575", "cortex-m33", "X-CUBE-AI 10.2", CODE_GENERATOR),
    "stm32u575-cortex-m33-tflm": Target("STM32U575", "cortex-m33", "TFLM + CMSIS-NN", CMSIS_NN),
    "stm32h7a3-cortex-m7-xcubeai": Target("STM32H7A3", "cortex-m7", "X-CUBE-AI 9.0", CODE_GENERATOR),
    "stm32f746-cortex-m7-xcubeai": Target("STM32F746", "cortex-m7", "X-CUBE-AI 8.1.0", CODE_GENERATOR),
    "stm32f746-cortex-m7-tflm": Target("STM32F746", "cortex-m7", "TFLM + CMSIS-NN", CMSIS_NN),
    "stm32h747-cortex-m7-xcubeai": Target("STM32H747", "cortex-m7", "X-CUBE-AI 8.1.0", CODE_GENERATOR),
    "stm32h747-cortex-m7-stedgeai": Target("STM32H747", "cortex-m7", "ST Edge AI 3.0.0", CODE_GENERATOR),
    "nrf5340-cortex-m33-tflm": Target("nRF5340", "cortex-m33", "TFLM + CMSIS-NN", CMSIS_NN),
    "ra8d1-cortex-m85-tflm": Target("Renesas RA8D1", "cortex-m85", "TFLM + CMSIS-NN (Helium)", CMSIS_NN),
    "rx65n-rxv2-tflm": Target("Renesas RX65N", "rxv2", "TFLM (+vendor kernels)", INT8_ONLY),
    "stm32g0b1-cortex-m0plus-tflm": Target("STM32G0B1", "cortex-m0plus", "TFLM + CMSIS-NN", CMSIS_NN, layers=True),
    "rp2040-cortex-m0plus-tflm": Target(
        "RP2040", "cortex-m0plus", "TFLM + CMSIS-NN", CMSIS_NN, floats="rp2040-rom", layers=True, external_flash=True
    ),
    "esp32-s3": Target("ESP32-S3", "xtensa-simd", "ESP-DL", INT8_ONLY),
    "esp32-p4": Target("ESP32-P4", "rv32-simd", "ESP-DL", INT8_ONLY),
    "esp32-lx6-tflm-espnn": Target("ESP32", "xtensa", "TFLM with ESP-NN", INT8_ONLY),
    "esp32-s3-tflm-espnn": Target("ESP32-S3", "xtensa-simd", "TFLM with ESP-NN", INT8_ONLY),
    "esp32-p4-tflm-espnn": Target("ESP32-P4", "rv32-simd", "TFLM with ESP-NN", INT8_ONLY),
    "esp32-c3-rv32-tflm-espnn": Target("ESP32-C3", "rv32", "TFLM with ESP-NN", INT8_ONLY),
    "efr32mg24-mvp-tflm": Target("EFR32xG24", "npu-mvp", "TFLM + Gecko SDK MVP kernels", INT8_ONLY),
}  # fmt: skip
