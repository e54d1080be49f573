"""RK3566, RK3562, RK3588 and others: seconds per inference at full throughput (from FPS)."""

from workbench.calibrate.table_family import table_family

FAMILY = table_family("rockchip", "Rockchip NPU", "rockchip_npu.csv")
