"""Which plans to ask for, and what the answers say about each layer."""

from workbench.sweep.exhaustive import PLAN_LIMIT, exhaustive, whole_space
from workbench.sweep.groups import Group, decision_groups
from workbench.sweep.layer_errors import LayerError, layer_errors
from workbench.sweep.legality import legal_formats
from workbench.sweep.one_at_a_time import Sensitivity, one_at_a_time
from workbench.sweep.space import Codes, Space

__all__ = [
    "PLAN_LIMIT",
    "Codes",
    "Group",
    "LayerError",
    "Sensitivity",
    "Space",
    "decision_groups",
    "exhaustive",
    "layer_errors",
    "legal_formats",
    "one_at_a_time",
    "whole_space",
]
