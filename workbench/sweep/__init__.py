"""Which plans to ask for, and what the answers say about each layer."""

from workbench.sweep.exhaustive import PLAN_LIMIT, exhaustive
from workbench.sweep.groups import Group, decision_groups
from workbench.sweep.layer_errors import LayerError, layer_errors
from workbench.sweep.legality import legal_formats
from workbench.sweep.one_at_a_time import Sensitivity, one_at_a_time

__all__ = [
    "PLAN_LIMIT",
    "Group",
    "LayerError",
    "Sensitivity",
    "decision_groups",
    "exhaustive",
    "layer_errors",
    "legal_formats",
    "one_at_a_time",
]
