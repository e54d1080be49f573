"""Can an accumulator overflow? Per layer a proof that it cannot, or an input tile that makes it; and what data really do."""

from workbench.overflow.analyse import LayerReport, analyse
from workbench.overflow.observe import Observation, observe

__all__ = ["LayerReport", "Observation", "analyse", "observe"]
