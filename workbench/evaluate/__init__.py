"""The only source of accuracy: plans in, exact results out, kept in a journal."""

from workbench.evaluate.evaluator import Evaluator
from workbench.evaluate.journal import Journal, Record

__all__ = ["Evaluator", "Journal", "Record"]
