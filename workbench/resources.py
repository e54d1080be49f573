"""What lies beside the code: `hw_profiles/` and `studies/` (beside the package in a checkout, inside it in a wheel), and its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """Return the folder `name` ('hw_profiles' or 'studies') that ships with this package."""
    checkout = _PACKAGE.parent / name
    return checkout if checkout.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file() else _PACKAGE / "_data" / name


def source_hash(*patterns: str, package: Path = _PACKAGE) -> str:
    """Return the sha256 of the package's sources that match glob patterns, their names included."""
    digest = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(package.glob(pattern)):
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
