"""Why two targets differ on a model: first difference, differences per layer, flips, and their exact attribution to rules."""

from workbench.comparison.compare import compare, compare_files
from workbench.comparison.results import Comparison
from workbench.comparison.tables import print_comparison
from workbench.comparison.write import check_folder, write_comparison

__all__ = ["Comparison", "check_folder", "compare", "compare_files", "print_comparison", "write_comparison"]
