"""What the tests of sources share: a model's wishes, and reading a source written as in a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workbench.data import Dataset, DataSource, Wanted, read_source

PICTURE = Wanted("image", (8, 6, 3), "float32", False, False)
VECTOR = Wanted("x", (4,), "float32", False, False)


def read(path: Path, *wanted: Wanted, **keys: Any) -> Dataset:
    """Return the samples of a source for a model with these inputs."""
    return read_source(DataSource.model_validate({"file": str(path), **keys}), path, wanted or (VECTOR,))


def pictures(folder: Path, names: list[str], size: tuple[int, int] = (8, 6)) -> np.ndarray:
    """Write random pictures; return them, uint8 [N, H, W, 3]."""
    rng = np.random.default_rng(len(names))
    x = rng.integers(0, 256, (len(names), *size, 3), np.uint8)
    for name, pixels in zip(names, x, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return x
