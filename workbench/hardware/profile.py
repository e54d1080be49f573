"""`HardwareProfile`: one YAML file = one target (device + runtime + version)."""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench.errors import ProfileError, nearest
from workbench.numerics.arithmetic import Arithmetic
from workbench.precision import TYPE_BITS
from workbench.resources import resource_folder
from workbench.strict_yaml import load_yaml, validate

ARITHMETIC_FIELDS = tuple(f.name for f in fields(Arithmetic))


class Record(BaseModel):
    """Base of all profile records: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Memory(Record):
    """One memory. kind: 'flash' holds weights and code, 'ram' holds activations."""

    name: str
    kind: Literal["flash", "ram"]
    size_bytes: int = Field(gt=0)


class Operator(Record):
    """Support of one operator: formats with weights (`w8a8`) or without (`a8`, `fp16`), and arithmetic overrides."""

    formats: tuple[str, ...]
    arithmetic: dict[str, Any] = {}
    arithmetic_a8: dict[str, Any] = {}
    arithmetic_a16: dict[str, Any] = {}
    note: str = ""


class HardwareProfile(Record):
    """A target: its arithmetic per operator, memories, supported operators x formats, clock and costs."""

    name: str
    title: str
    source: str
    kind: Literal["mcu", "npu", "gpu", "cpu"]
    core: str
    runtime: str
    exactness: str
    clock_hz: int = Field(gt=0)
    memories: tuple[Memory, ...]
    arithmetic_base: dict[str, Any] = Field(default={}, alias="arithmetic")
    operators: dict[str, Operator]

    def arithmetic(self, op: str, activation: str) -> Arithmetic:
        """Return the number rules of one operator for an activation type ('int8', 'int16', 'float16', 'float32')."""
        return _resolve(self, op, activation)

    def supports(self, op: str, fmt: str) -> bool:
        """True when the target runs this operator in this format."""
        entry = self.operators.get(op)
        return entry is not None and fmt in entry.formats

    def formats(self, op: str) -> tuple[str, ...]:
        """Return the formats that the target supports for an operator (empty when it has no such operator)."""
        entry = self.operators.get(op)
        return entry.formats if entry else ()

    def size_bytes(self, kind: str) -> int:
        """Return the total size of the memories of a kind ('flash' or 'ram')."""
        return sum(m.size_bytes for m in self.memories if m.kind == kind)

    def __hash__(self) -> int:
        return hash(self.name)


@lru_cache(maxsize=4096)
def _resolve(profile: HardwareProfile, op: str, activation: str) -> Arithmetic:
    values = dict(asdict(Arithmetic()), **profile.arithmetic_base)
    entry = profile.operators.get(op)
    if entry is not None:
        values.update(entry.arithmetic)
        bits = TYPE_BITS.get(activation)
        values.update(entry.arithmetic_a8 if bits == 8 else entry.arithmetic_a16 if activation == "int16" else {})
    return Arithmetic(**values)


def list_profiles() -> list[str]:
    """Return the names of the profiles that ship with the package."""
    return sorted(p.stem for p in resource_folder("hw_profiles").glob("*.yaml"))


def load_profile(name_or_path: str | Path | HardwareProfile) -> HardwareProfile:
    """Return a profile by name (shipped) or path; ProfileError says which key is wrong and what fits."""
    if isinstance(name_or_path, HardwareProfile):
        return name_or_path
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = resource_folder("hw_profiles") / f"{name_or_path}.yaml"
        if not path.is_file():
            known = list_profiles()
            raise ProfileError(
                f"no profile '{name_or_path}'.{nearest(str(name_or_path), known)}\n"
                f"Profiles: {', '.join(known)}; or give the path of a YAML file."
            )
    profile = validate(HardwareProfile, load_yaml(path, ProfileError), str(path), ProfileError)
    return profile
