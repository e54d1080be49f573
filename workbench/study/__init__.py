"""A study: one YAML in, one report out."""

from workbench.study.run import run_study
from workbench.study.spec import StudySpec, load_study

__all__ = ["StudySpec", "load_study", "run_study"]
