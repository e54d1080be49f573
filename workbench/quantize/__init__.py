"""Static post-training quantization: observe ranges, choose scales, lower a graph and a plan to a target's program."""

from workbench.quantize.calibrate import Calibration, calibrate
from workbench.quantize.lower import Lowering
from workbench.quantize.options import QuantizeOptions
from workbench.quantize.plan_file import PlanFile, parse_plan, plan_of, read_plan

__all__ = ["Calibration", "Lowering", "PlanFile", "QuantizeOptions", "calibrate", "parse_plan", "plan_of", "read_plan"]
