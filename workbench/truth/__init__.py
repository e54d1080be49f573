"""What plans really do: exact results of many plans, as arrays, from a table or computed on demand."""

from workbench.truth.build import build_table
from workbench.truth.frontier import pareto_front
from workbench.truth.oracle import Evaluated, Live, Oracle
from workbench.truth.replay import Replay
from workbench.truth.table import TruthTable

__all__ = ["Evaluated", "Live", "Oracle", "Replay", "TruthTable", "build_table", "pareto_front"]
