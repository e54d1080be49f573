"""One graph for every model format: activations NHWC, weights OHWI, nodes in topological order."""

from workbench.graph.ir import Graph, Node, Tensor

__all__ = ["Graph", "Node", "Tensor"]
