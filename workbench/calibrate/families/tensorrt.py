"""T4 with TensorRT and PPLNN, Jetson, Snapdragon, Ascend: networks of OpenMMLab."""

from workbench.calibrate.table_family import table_family

FAMILY = table_family("tensorrt", "TensorRT and its peers", "mmdeploy_tensorrt.csv")
