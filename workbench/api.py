"""`emulate`, the core of the stable Python interface. Plain arrays in, plain arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.cost.support import support
from workbench.errors import InputError, UnsupportedError
from workbench.execute import Program, apart, check_inputs, prepare, together
from workbench.graph.ir import Array, Graph
from workbench.hardware import HardwareProfile, load_profile
from workbench.loaders import load_model
from workbench.ops import OPS
from workbench.precision import PrecisionPlan
from workbench.quantize import Lowering, PlanFile, calibrate, parse_plan, read_plan

BATCH = 64
"""Samples that run together; the result does not depend on it."""

PlanLike = PlanFile | PrecisionPlan | str | Path | Mapping[str, Any] | None


def emulate(
    model: Graph | str | Path,
    inputs: Array | Mapping[str, Array],
    profile: HardwareProfile | str | Path,
    plan: PlanLike = None,
    tensors: bool = False,
    *,
    calibration: Array | Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Run a model bit for bit as a target computes it.

    Args:
        model: a loaded model or the path of a `.tflite` or `.onnx` file.
        inputs: one array or a dict by input name; batch first; raw integers or real numbers, as the model's inputs want them.
            Of a network with state: consecutive frames of one stream, or [streams, frames, ...]; outputs have the same form.
        profile: a profile, its name, or the path of its YAML.
        plan: format per layer: a plan, the path of a plan YAML, a format name (`"w8a8"`), or a dict `{"default": ..., "layers": ...}`.
            None: a quantized model as it is; a float model in the target's float format (fp16 if its layers and all operators of the
            model have it there, else fp32).
        tensors: return every activation instead of the outputs, raw as stored (the output of a float model under an integer plan
            then stands twice: `y`, integers, and `y:float32`, what the model's user reads).
        calibration: samples that set the scales of a float model under an integer plan that does not bring its own.
    Returns: arrays by output name, in the model's own output types, samples in order.
    Raises: WorkbenchError subclasses; a message says where, what came and what fits.
    """
    graph = load_model(model) if not isinstance(model, Graph) else model
    target = load_profile(profile)
    program = make_program(graph, target, plan, calibration)
    feed = check_inputs(graph, inputs)
    parts = [program.run({k: v[p] for k, v in feed.items()}, keep_all=tensors) for p in apart(graph, feed, BATCH)]
    found = together(replace(graph, sample_axes=_own_names(graph, program)), parts)
    if tensors:
        return found
    return {public: found[own.name] for public, own in zip(graph.outputs, program.outputs, strict=True)}


def _own_names(graph: Graph, program: Program) -> dict[str, int]:
    """Return where outputs have their samples, also by the names that a program gives them."""
    pairs = zip(graph.outputs, program.outputs, strict=True)
    return dict(graph.sample_axes) | {own.name: graph.sample_axes.get(public, 0) for public, own in pairs}


def make_program(
    graph: Graph, profile: HardwareProfile, plan: PlanLike, calibration: Array | Mapping[str, Array] | None = None
) -> Program:
    """Return the program of a model under a plan (see `emulate`); UnsupportedError when the target lacks an operator or format."""
    if plan is None and graph.has_scales:
        check_supported(graph, profile)
        return prepare(graph, profile)
    file = plan_file_of(graph, profile, plan)
    seen = None if calibration is None else calibrate(graph, calibration, file.options.activations != "min_max")
    lowering = Lowering(graph, profile, seen, file.options, file.scales)
    check_supported(lowering.quantized(file.plan), profile)
    return lowering.program(file.plan)


def check_supported(graph: Graph, profile: HardwareProfile) -> None:
    """Raise UnsupportedError with every node that the target does not run: bits that no such target computes are worth nothing."""
    problems = support(graph, profile)
    if problems:
        more = f"\nand {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UnsupportedError(f"profile '{profile.name}':\n" + "\n".join(map(str, problems[:5])) + more)


def _runs_fp16(graph: Graph, profile: HardwareProfile) -> bool:
    """True when a target computes layers in float16, and has all operators of a float model in it."""
    layers = (op for name, op in profile.operators.items() if OPS[name].weights is not None or name == "batch_matmul")
    if not any("fp16" in op.formats for op in layers):
        return False
    return not support(Lowering(graph, profile).quantized(PrecisionPlan.of("fp16")), profile)


def plan_file_of(graph: Graph, profile: HardwareProfile, plan: PlanLike) -> PlanFile:
    """Return a plan with what came with it (see `emulate`); none means the target's float format."""
    if isinstance(plan, PlanFile):
        return plan
    if isinstance(plan, PrecisionPlan):
        return PlanFile(plan)
    if isinstance(plan, Mapping):
        return parse_plan(plan)
    if plan is None:
        return PlanFile(PrecisionPlan.of("fp16" if _runs_fp16(graph, profile) else "fp32"))
    if not isinstance(plan, str | Path):
        raise InputError(f"a plan is given by its path, a format name or a mapping, not by {type(plan).__name__}.")
    path = Path(plan)
    if path.suffix in (".yaml", ".yml"):
        return read_plan(path)
    return PlanFile(PrecisionPlan.of(str(plan)))
