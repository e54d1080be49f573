"""The YAML of a profile that a user's measurements changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from workbench.hardware.profile import HardwareProfile, list_profiles

INHERITED = ("arithmetic", "arithmetic_by_type", "quantization", "operators")
"""What `extends` takes over: bits and operators are those of the base, whatever was measured."""


def profile_yaml(profile: HardwareProfile, base: str, name: str, source: str) -> str:
    """Return the YAML. base: name of the shipped profile, or path of the file, that was calibrated. source: file and date."""
    dump: dict[str, Any] = profile.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    dump.update(name=name, title=f"{profile.title}, with own measurements", source=f"{profile.source} Costs: {source}.")
    if base in list_profiles():
        dump = {key: value for key, value in dump.items() if key not in INHERITED}
        head = {key: dump.pop(key) for key in ("name", "title", "source")}
        dump = {**head, "extends": base, **dump}
    return yaml.safe_dump(dump, sort_keys=False, allow_unicode=True, width=120)


def default_path(base: str) -> Path:
    """Return where the profile goes when the user names no file."""
    return Path(f"{Path(base).stem}-measured.yaml")
