"""Hailo-8, -15H, -15L: seconds per inference at full throughput (from FPS), compiled for the whole network."""

from workbench.calibrate.table_family import table_family

FAMILY = table_family("hailo", "Hailo NPU", "hailo_npu.csv")
