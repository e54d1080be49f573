"""The report of a study: a page, tables and plots. It reads results and never recomputes them."""

from workbench.report.write_report import write_report

__all__ = ["write_report"]
