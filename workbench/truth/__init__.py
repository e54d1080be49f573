"""What plans really do: exact results of many plans, as arrays, from a table or computed on demand."""

from workbench.truth.frontier import pareto_front
from workbench.truth.oracle import Evaluated, Live, Oracle

__all__ = ["Evaluated", "Live", "Oracle", "pareto_front"]
