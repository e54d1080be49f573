"""Reading `.tflite` files: `load_tflite`."""

from workbench.loaders.tflite.load import load_tflite

__all__ = ["load_tflite"]
