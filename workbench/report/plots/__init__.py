"""The plots of a target. Each returns a figure, or None when the study has nothing to show in it."""

from workbench.report.plots.arena import arena_figure
from workbench.report.plots.breakdown import breakdown_figure
from workbench.report.plots.cost import cost_figure
from workbench.report.plots.frontier import frontier_figure
from workbench.report.plots.layer_errors import layer_error_figure
from workbench.report.plots.roofline import roofline_figure
from workbench.report.plots.sensitivity import sensitivity_figure
from workbench.report.plots.style import drawing, looks, png_bytes, svg_text

__all__ = [
    "arena_figure", "breakdown_figure", "cost_figure", "drawing", "frontier_figure", "layer_error_figure", "looks", "png_bytes",
    "roofline_figure", "sensitivity_figure", "svg_text",
]  # fmt: skip
