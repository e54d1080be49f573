"""The project files: the lock covers every dependency, names no address, and the wheel carries its data."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "lock.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What `make setup` installs; torch and dask are pinned too, and not there unless asked for.
INSTALLED_EXTRAS = ("dev", "verify")


def locked() -> dict[str, Version]:
    """Canonical name -> version of every line of the lock; a line of another form is a failure."""
    found: dict[str, Version] = {}
    for line in LOCK.read_text().splitlines():
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!_]+)", line)
        assert match, f"{LOCK.name}: '{line}' is not name==version"
        name = canonicalize_name(match[1])
        assert name not in found, f"{LOCK.name}: {name} stands there twice"
        found[name] = Version(match[2])
    return found


def direct_requirements() -> list[Requirement]:
    """The requirements of pyproject.toml: core, every extra, and what builds the package."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in (*PROJECT["dependencies"], *extras, *build)]


@pytest.mark.parametrize("requirement", direct_requirements(), ids=str)
def test_lock_pins_every_direct_dependency_to_a_version_that_fits(requirement: Requirement) -> None:
    version = locked().get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement} is not in {LOCK.name}: run `make lock`"
    assert requirement.specifier.contains(version, prereleases=True)


def needed(requirement: Requirement, seen: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the names that a requirement pulls in, by the metadata of what is installed here."""
    name = canonicalize_name(requirement.name)
    for extra in ("", *sorted(requirement.extras)):
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        yield name
        for line in importlib.metadata.requires(name) or []:
            child = Requirement(line)
            if child.marker is None or child.marker.evaluate({"extra": extra}):
                yield from needed(child, seen)


def test_lock_pins_every_indirect_dependency() -> None:
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in INSTALLED_EXTRAS for line in extras[extra])]
    seen: set[tuple[str, str]] = set()
    try:
        names = {name for line in lines for name in needed(Requirement(line), seen)}
    except importlib.metadata.PackageNotFoundError as missing:
        pytest.skip(f"{missing}: only an environment made by `make setup` can tell")
    assert names <= set(locked()), f"not in {LOCK.name}: {sorted(names - set(locked()))}; run `make lock`"


def test_lock_names_no_address() -> None:
    found = re.search(r"://|@|^\s*-|\blocalhost\b", LOCK.read_text(), flags=re.MULTILINE)
    assert found is None, "an address or a pip option stands in the lock"


def test_commands_are_documented_by_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    documented = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE))
    assert documented == set(phony[1].split())


def test_ci_runs_what_a_person_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("exec make test")


def test_default_task_is_small_and_licensed() -> None:
    data = ROOT / "studies" / "data"
    assert sum(path.stat().st_size for path in data.iterdir()) <= 1_500_000
    notice = (data / "LICENSE-fashion-mnist.txt").read_text()
    assert "Copyright (c) 2017 Zalando SE, https://tech.zalando.com" in notice and "Permission is hereby granted" in notice


@pytest.mark.slow
def test_wheel_finds_profiles_and_studies_without_the_checkout(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("workbench-*.whl")
    installed = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(installed), str(wheel)], check=True)
    script = (
        "from workbench import resources; from pathlib import Path\n"
        "print(Path(resources.__file__).parent)\n"
        "for name in ('hw_profiles', 'studies'):\n"
        "    folder = resources.resource_folder(name)\n"
        "    print(*sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file()), sep='|')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    package, profiles, studies = ran.stdout.splitlines()
    assert package == str(installed / "workbench")
    assert set(profiles.split("|")) == {p.name for p in (ROOT / "hw_profiles").glob("*.yaml")}
    wanted = {str(p.relative_to(ROOT / "studies")) for p in (ROOT / "studies").rglob("*") if p.is_file()}
    assert set(studies.split("|")) == wanted
    assert {"models/fashion_cnn.onnx", "data/fashion_mnist.npz", "data/LICENSE-fashion-mnist.txt"} <= wanted
