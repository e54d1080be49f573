"""Reading `.onnx` files: `load_onnx`."""

from workbench.loaders.onnx.load import load_onnx

__all__ = ["load_onnx"]
