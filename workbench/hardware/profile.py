"""`HardwareProfile`: one YAML file = one target (device + runtime + version).

`extends: other-profile` takes over that file's arithmetic, quantization and operators (merged key by key): two boards with one
runtime share its bits and its operators, but never clocks, memories or costs.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from workbench.errors import ProfileError, nearest
from workbench.hardware.checks import check_profile
from workbench.hardware.constraints import Constraint, Fallback
from workbench.hardware.costs import Costs
from workbench.hardware.record import Record
from workbench.numerics.arithmetic import Arithmetic
from workbench.numerics.codings import SPARSE
from workbench.precision import TYPE_BITS, format_name
from workbench.resources import resource_folder
from workbench.strict_yaml import load_yaml, validate

Proof = Literal["silicon", "runtime", "reference_model", "rule"]
"""How the bits of a target are known: outputs of the device itself; the runtime's own code, run elsewhere; the vendor's model of the
device; or the rule alone, as documented or read in source."""


Emulation = Literal["unpack", "widen", "decode"]
"""How a target comes to a format that it does not have: see `Operator`."""


class Memory(Record):
    """One memory. kind: 'flash' holds weights and code, 'ram' holds activations."""

    name: str
    kind: Literal["flash", "ram"]
    size_bytes: int = Field(ge=1024)
    source: str = ""


class Operator(Record):
    """Support of one operator: formats with weights (`w8a8`) or without (`a8`, `fp16`), and arithmetic overrides.

    formats: what the runtime itself runs. emulated: formats that it runs in a roundabout way, with the bits of the format:
    `unpack` = weights stored packed and unpacked to int8 by a custom kernel before the runtime's int8 kernel (costs
    `latency.unpack`); `widen` = weights stored as 8-bit values (only a compressor makes them smaller); `decode` = weight-only codings
    that no kernel of the target reads, decoded by custom code before its float layer (costs `latency.decode`). files: formats that
    the runtime runs too, but that only files bring: no float network is lowered to them. constraints: what shapes it takes, one
    mapping of limits or a list of them.
    """

    formats: tuple[str, ...]
    emulated: dict[str, Emulation] = Field(default={})
    files: tuple[str, ...] = ()
    arithmetic: dict[str, Any] = Field(default={})
    arithmetic_by_type: dict[str, dict[str, Any]] = Field(default={})
    constraints: tuple[Constraint, ...] = ()
    note: str = ""

    @field_validator("constraints", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, dict) else value


class Scheme(Record):
    """How a float network becomes integers on this target (section `quantization`); a file with scales of its own keeps them.

    scales: any float32, or powers of two. activations: `asymmetric` = any zero point (int16: always 0); `symmetric` = zero point 0;
    `unsigned` = zero point at the lowest integer for values that are never negative, else 0. weights: `narrow` leaves out the lowest
    integer (-128, -8), `full` uses it. bias_bits, bias_shift: a bias is stored in so many bits, in units of 2**bias_shift
    accumulator units. shared_scale: operators without weights whose inputs and output have one scale.
    only: the target holds no other numbers: a file whose scales, zero points or biases this scheme does not give is refused.
    """

    scales: Literal["float32", "power_of_two"] = "float32"
    activations: Literal["asymmetric", "symmetric", "unsigned"] = "asymmetric"
    weights: Literal["narrow", "full"] = "narrow"
    bias_bits: int = Field(default=32, ge=4, le=32)
    bias_shift: int = Field(default=0, ge=0, le=16)
    shared_scale: tuple[str, ...] = ()
    only: bool = False


class HardwareProfile(Record):
    """A target: its arithmetic per operator, memories, supported operators x formats, clock and costs.

    proof: the best evidence for its bits; exactness: what it covers and what it does not.
    """

    name: str
    title: str
    source: str
    kind: Literal["mcu", "npu", "gpu", "cpu"]
    core: str
    runtime: str
    proof: Proof
    exactness: str
    clock_hz: int = Field(ge=100_000)
    memories: tuple[Memory, ...] = Field(min_length=1)
    arithmetic_base: dict[str, Any] = Field(default={}, alias="arithmetic")
    arithmetic_by_type: dict[str, dict[str, Any]] = Field(default={})
    quantization: Scheme = Scheme()
    operators: dict[str, Operator]
    fallback: Fallback | None = None
    costs: Costs | None = None

    def arithmetic(self, op: str, activation: str, coding: str = "") -> Arithmetic:
        """Return the number rules of one operator for an activation type ('int8', 'bfloat16', ...).

        coding: of the weights; only 2:4 has rules of its own (key `fp16-2:4`). The order, last wins: `arithmetic`,
        `arithmetic_by_type`, then the same two of the operator.
        """
        return _resolve(self, op, activation, coding)

    def supports(self, op: str, fmt: str) -> bool:
        """True when the target runs this operator in this format, natively or by an emulated storage."""
        return fmt in self.formats(op) or (op in self.operators and fmt in self.operators[op].files)

    def formats(self, op: str) -> tuple[str, ...]:
        """Return the formats that networks can be given for an operator, native ones first (empty: no such operator)."""
        entry = self.operators.get(op)
        return (*entry.formats, *entry.emulated) if entry else ()

    def emulation(self, op: str, fmt: str) -> Literal["", "unpack", "widen", "decode"]:
        """Return how the target comes to a format that it does not have natively, or '' when it has it."""
        entry = self.operators.get(op)
        return entry.emulated.get(fmt, "") if entry else ""

    def size_bytes(self, kind: str) -> int:
        """Return the total size of the memories of a kind ('flash' or 'ram')."""
        return sum(m.size_bytes for m in self.memories if m.kind == kind)

    @property
    def digest(self) -> str:
        """Content hash of the whole profile."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.name)


@lru_cache(maxsize=4096)
def _resolve(profile: HardwareProfile, op: str, activation: str, coding: str) -> Arithmetic:
    kind = format_name(None, activation) if activation in TYPE_BITS else ""
    kinds = (kind, f"{kind}-{SPARSE}") if coding == SPARSE else (kind,)
    values = dict(asdict(Arithmetic()), **profile.arithmetic_base)
    entry = profile.operators.get(op)
    for rules, by_type in (
        ({}, profile.arithmetic_by_type),
        (entry.arithmetic, entry.arithmetic_by_type) if entry else ({}, {}),
    ):
        values.update(rules)
        for name in kinds:
            values.update(by_type.get(name, {}))
    return Arithmetic(**values)


def list_profiles() -> list[str]:
    """Return the names of the profiles that ship with the package."""
    return sorted(p.stem for p in resource_folder("hw_profiles").glob("*.yaml"))


def load_profile(name_or_path: str | Path | HardwareProfile, costs: bool = True) -> HardwareProfile:
    """Return a profile by name (shipped) or path; ProfileError says which key is wrong and what fits.

    costs: False leaves its costs out: a cost sheet is made for the operators of a profile that names it.
    """
    if isinstance(name_or_path, HardwareProfile):
        return name_or_path
    if not isinstance(name_or_path, str | Path):
        raise ProfileError(f"a profile is given by its name or path, not by {type(name_or_path).__name__}.")
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = resource_folder("hw_profiles") / f"{name_or_path}.yaml"
        if not path.is_file():
            known = list_profiles()
            raise ProfileError(
                f"no profile '{name_or_path}'.{nearest(str(name_or_path), known)}\n"
                f"Profiles: {', '.join(known)}; or give the path of a YAML file."
            )
    value = _inherit(load_yaml(path, ProfileError), path, ())
    if not costs:
        value.pop("costs", None)
    if isinstance(value.get("costs"), dict):
        value["costs"] = {part: _sheet(found, part, path) for part, found in value["costs"].items()}
    if isinstance(value.get("fallback"), dict):
        value["fallback"] = {**value["fallback"], "profile": _fallback(value["fallback"].get("profile"), path)}
    profile = validate(HardwareProfile, value, str(path), ProfileError)
    check_profile(profile, str(path))
    return profile


def _fallback(name: Any, path: Path) -> Any:
    """Return what names the host's profile: the path of a file beside this one, or the name of a shipped profile."""
    if not isinstance(name, str):
        return name
    found = _named(name, path)
    if found is None or found.resolve() == path.resolve():
        raise ProfileError(
            f"{path}: $.fallback.profile is '{name}', and there is no such other profile.{nearest(name, list_profiles())}"
        )
    if "fallback" in load_yaml(found, ProfileError):
        raise ProfileError(
            f"{path}: $.fallback.profile: '{name}' has a fallback itself; name the profile of a processor that has none."
        )
    return name if found.parent == resource_folder("hw_profiles") else str(found)


def _sheet(value: Any, part: str, path: Path) -> Any:
    """Return a part of the costs with the cost sheet that its key `sheet` names below its own entries.

    A sheet is costs/NAME.yaml beside the profile or among the shipped ones: constants that several profiles may share.
    """
    if not isinstance(value, dict) or "sheet" not in value:
        return value
    own = {key: entry for key, entry in value.items() if key != "sheet"}
    folders = [path.parent / "costs", resource_folder("hw_profiles") / "costs"]
    found = next((f for folder in folders if (f := folder / f"{value['sheet']}.yaml").is_file()), None)
    if found is None:
        known = sorted({sheet.stem for folder in folders for sheet in folder.glob("*.yaml")})
        raise ProfileError(
            f"{path}: $.costs.{part}.sheet is '{value['sheet']}', and there is no such sheet in {folders[0]} or among the shipped ones."
            f"{nearest(str(value['sheet']), known)}"
        )
    return _merge(load_yaml(found, ProfileError), own)


def _named(name: str, path: Path) -> Path | None:
    """Return the file of a profile named in the file `path`: beside it, or shipped."""
    for folder in (path.parent, resource_folder("hw_profiles")):
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    return None


def _inherit(value: dict[str, Any], path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Return the value with `arithmetic` and `operators` of the profile named by `extends` below its own entries."""
    if "extends" not in value:
        return value
    name = value.pop("extends")
    parent = _named(str(name), path)
    if parent is None:
        raise ProfileError(f"{path}: $.extends is '{name}', and there is no such profile.{nearest(str(name), list_profiles())}")
    if parent.resolve() in (*seen, path.resolve()):
        raise ProfileError(f"{path}: $.extends: '{name}' extends this profile in turn.")
    below = _inherit(load_yaml(parent, ProfileError), parent, (*seen, path.resolve()))
    for key in ("arithmetic", "arithmetic_by_type", "quantization", "operators"):
        value[key] = _merge(below.get(key, {}), value.get(key, {}))
    if isinstance(value["operators"], dict):  # one that this target has not: null, where the other profile names it
        gone = [op for op in below.get("operators", {}) if value["operators"].get(op, 0) is None]
        value["operators"] = {op: _offered(entry) for op, entry in value["operators"].items() if op not in gone}
    return value


def _offered(entry: Any) -> Any:
    """Return an operator without the emulated formats that are null: those of the other profile that this target has not."""
    if not (isinstance(entry, dict) and isinstance(entry.get("emulated"), dict)):
        return entry
    return {**entry, "emulated": {fmt: how for fmt, how in entry["emulated"].items() if how is not None}}


def _merge(below: Any, above: Any) -> Any:
    """Return two mappings merged key by key, `above` first; anything else is replaced whole."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{k: _merge(below[k], v) if k in below else v for k, v in above.items()}}
