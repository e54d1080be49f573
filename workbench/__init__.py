"""The workbench: choose a precision for every layer, bit for bit as the target computes."""
