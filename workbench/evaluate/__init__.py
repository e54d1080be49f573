"""The only source of accuracy: plans in, exact results out, kept in a journal."""

from workbench.evaluate.evaluator import Evaluator
from workbench.evaluate.journal import Journal, Record
from workbench.evaluate.judge import Judge, output_shapes, threshold_of

__all__ = ["Evaluator", "Journal", "Judge", "Record", "output_shapes", "threshold_of"]
