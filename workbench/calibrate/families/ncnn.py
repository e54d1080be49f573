"""latency of ncnn with some threads, and over Vulkan."""

from workbench.calibrate.table_family import table_family

FAMILY = table_family("ncnn", "ncnn on processors and GPUs", "ncnn_cpu_gpu.csv", most_folds=5)
