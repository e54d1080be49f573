"""The plots of a target. Each returns a figure, or None when the study has nothing to show in it."""

from workbench.report.plots.arena import arena_figure
from workbench.report.plots.breakdown import breakdown_figure
from workbench.report.plots.cost import cost_figure
from workbench.report.plots.density import density_figure
from workbench.report.plots.distribution import distribution_figure
from workbench.report.plots.frontier import frontier_figure
from workbench.report.plots.heat import heat_figure
from workbench.report.plots.layer_errors import layer_error_figure
from workbench.report.plots.pairs import additivity_figure, interaction_figure
from workbench.report.plots.parts import cumulative_figure, parts_figure, steps_figure
from workbench.report.plots.progress import progress_figure
from workbench.report.plots.roofline import roofline_figure
from workbench.report.plots.sensitivity import sensitivity_figure
from workbench.report.plots.style import drawing, looks, png_bytes, svg_text
from workbench.report.plots.targets import targets_figure

__all__ = [
    "additivity_figure", "arena_figure", "breakdown_figure", "cost_figure", "cumulative_figure", "density_figure",
    "distribution_figure", "drawing", "frontier_figure", "heat_figure", "interaction_figure", "layer_error_figure", "looks",
    "parts_figure", "png_bytes", "progress_figure", "roofline_figure", "sensitivity_figure", "steps_figure", "svg_text",
    "targets_figure",
]  # fmt: skip
