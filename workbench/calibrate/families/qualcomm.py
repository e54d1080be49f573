"""Hexagon NPUs, and the processors and GPUs that networks fall back to: Qualcomm AI Hub on real devices."""

from workbench.calibrate.table_family import table_family

FAMILY = table_family(
    "qualcomm", "Qualcomm Hexagon", "qualcomm_aihub.csv", lambda row: row.text("input_resolution"), most_folds=5
)
