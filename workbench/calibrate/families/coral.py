"""Edge TPU behind USB and on its board, against two processors."""

from workbench.calibrate.table_family import table_family

FAMILY = table_family("coral", "Coral Edge TPU", "coral_edgetpu.csv")
