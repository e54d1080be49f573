"""Model files -> one graph."""

from workbench.loaders.load import load_model

__all__ = ["load_model"]
