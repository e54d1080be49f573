"""The four plots of a target. Each returns a figure, or None when the study has nothing to show in it."""

from workbench.report.plots.cost import cost_figure
from workbench.report.plots.frontier import frontier_figure
from workbench.report.plots.layer_errors import layer_error_figure
from workbench.report.plots.sensitivity import sensitivity_figure
from workbench.report.plots.style import drawing, looks, png_bytes, svg_text

__all__ = [
    "cost_figure", "drawing", "frontier_figure", "layer_error_figure", "looks", "png_bytes", "sensitivity_figure", "svg_text",
]  # fmt: skip
