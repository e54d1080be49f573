"""The plan YAML: what a study recommends and `workbench emulate --plan` runs, complete enough to give the same bits.

```yaml
default: w8a8
layers: {dw2: w4a8}
quantization: {activations: min_max, weights: mse}   # how weights become integers
activations:                                         # scale and zero point per tensor; absent for a model with its own
  relu1: {int8: [0.0235, -128]}
```
Only `default` is required; without `activations` a float model needs calibration data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, field_validator

from workbench.errors import InputError
from workbench.precision import PrecisionPlan, parse_format
from workbench.quantize.options import QuantizeOptions
from workbench.strict_yaml import load_yaml, validate
from workbench.tensor import FLOAT8_MAX, RANGES, QuantParams

Scales = Mapping[tuple[str, str], QuantParams]
"""(tensor, type) -> parameters."""


@dataclass(frozen=True)
class PlanFile:
    """A plan with everything that turns it into integers."""

    plan: PrecisionPlan
    options: QuantizeOptions = field(default_factory=QuantizeOptions)
    scales: Scales = field(default_factory=dict)

    def to_yaml(self, *comments: str) -> str:
        """Return the file's text; float32 scales are printed so that they read back to the same bits."""
        activations: dict[str, dict[str, list[float | int]]] = {}
        for (tensor, dtype), params in self.scales.items():
            activations.setdefault(tensor, {})[dtype] = [float(params.scale[0]), int(params.zero_point[0])]
        body: dict[str, object] = {"default": self.plan.default, "layers": dict(self.plan.layers)}
        body["quantization"] = self.options.model_dump()
        if activations:
            body["activations"] = activations
        head = "".join(f"# {line}\n" for comment in comments for line in comment.splitlines())
        return head + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


_SCALED = ("int2", "int4", "int8", "int16", *FLOAT8_MAX)


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    default: str
    layers: dict[str, str] = {}
    quantization: QuantizeOptions = QuantizeOptions()
    activations: dict[str, dict[str, tuple[float, int]]] = {}

    @field_validator("default")
    @classmethod
    def _format(cls, name: str) -> str:
        return _known(name)

    @field_validator("layers")
    @classmethod
    def _formats(cls, layers: dict[str, str]) -> dict[str, str]:
        return {layer: _known(name) for layer, name in layers.items()}

    @field_validator("activations")
    @classmethod
    def _scales(cls, value: dict[str, dict[str, tuple[float, int]]]) -> dict[str, dict[str, tuple[float, int]]]:
        for tensor, types in value.items():
            for dtype, (scale, zero_point) in types.items():
                if dtype not in _SCALED:
                    raise ValueError(f"'{tensor}': type '{dtype}' is not one of {', '.join(_SCALED)}")
                low, high = RANGES.get(dtype, (0, 0))
                if not (math.isfinite(scale) and scale > 0 and low <= zero_point <= high):
                    raise ValueError(
                        f"'{tensor}': scale {scale} must be finite and > 0, zero point {zero_point} within {low}..{high}"
                    )
        return value


def _known(name: str) -> str:
    try:
        return parse_format(name).name
    except InputError as problem:
        raise ValueError(str(problem)) from None


def read_plan(path: Path) -> PlanFile:
    """Return the plan of a YAML file; InputError names the key that is wrong and what fits."""
    return parse_plan(load_yaml(path), str(path))


def plan_of(text: str) -> PlanFile:
    """Return the plan of what a user names it by: the path of a YAML, or a format."""
    return read_plan(Path(text)) if text.endswith((".yaml", ".yml")) else PlanFile(PrecisionPlan.of(text))


def parse_plan(value: Mapping[str, Any], where: str = "plan") -> PlanFile:
    """Return the plan of a mapping with the keys of a plan file; InputError names the key that is wrong and what fits."""
    spec = validate(_Spec, dict(value), where)
    scales = {
        (tensor, dtype): QuantParams.per_tensor(scale, zero_point)
        for tensor, types in spec.activations.items()
        for dtype, (scale, zero_point) in types.items()
    }
    return PlanFile(PrecisionPlan.of(spec.default, spec.layers), spec.quantization, scales)
