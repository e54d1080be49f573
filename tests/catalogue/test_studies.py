"""Every shipped study: reads, names its file, and asks for profiles, formats and files that exist."""

from __future__ import annotations

import pytest

from workbench.hardware import load_profile
from workbench.precision import parse_format
from workbench.resources import resource_folder
from workbench.study.spec import load_study


@pytest.mark.parametrize("name", sorted(p.stem for p in resource_folder("studies").glob("*.yaml")))
def test_study_is_complete(name: str) -> None:
    study, _ = load_study(name)
    assert study.study == name
    profiles = [load_profile(target) for target in study.hardware]
    formats = dict.fromkeys((*study.formats.search, *study.formats.baseline))
    for fmt in map(parse_format, formats):  # somebody among the targets has it
        assert any(profile.supports("conv2d", fmt.name) for profile in profiles), fmt.name
