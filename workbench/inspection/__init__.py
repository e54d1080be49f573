"""What a model is, what targets make of it, and pictures of both: tables, an SVG of the graph, overlays for graph viewers."""

from workbench.inspection.inspect import Inspection, inspect_graph, inspect_model
from workbench.inspection.tables import inspection_tables, op_table
from workbench.inspection.write import write_plots, write_views

__all__ = ["Inspection", "inspect_graph", "inspect_model", "inspection_tables", "op_table", "write_plots", "write_views"]
