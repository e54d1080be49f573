"""Fashion-MNIST from a folder of IDX files or from one `.npz`, and the one rule by which its training images are divided."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
TEST_IMAGES = 2000
CALIBRATION_IMAGES = 500
# Calibration images come from the first 8,000 training images: the whole set and an 8,000-image extract give the same ones.
CALIBRATION_POOL = 8000

Bytes = NDArray[np.uint8]


def read_idx(path: Path, magic: int) -> Bytes:
    """Read one gzipped IDX file of uint8: big-endian magic, one big-endian length per dimension, then the values."""
    raw = gzip.decompress(path.read_bytes())
    if int.from_bytes(raw[:4], "big") != magic:
        raise SystemExit(f"{path}: not an IDX file of the kind {magic:#010x}.")
    dims = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(magic & 0xFF))
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * len(dims)).reshape(dims)


def load(source: Path) -> dict[str, Bytes]:
    """Return x_train uint8 [M, 28, 28], y_train uint8 [M], x_test, y_test.

    Args:
        source: a folder with the four official `*-ubyte.gz` files, or an `.npz` with these four arrays.
    """
    if source.is_dir():
        return {
            f"{kind}_{part}": read_idx(source / f"{stem}-{name}-ubyte.gz", magic)
            for part, stem in (("train", "train"), ("test", "t10k"))
            for kind, name, magic in (("x", "images-idx3", 0x0803), ("y", "labels-idx1", 0x0801))
        }
    if source.is_file():
        with np.load(source) as arrays:
            return {key: arrays[key] for key in ("x_train", "y_train", "x_test", "y_test")}
    raise SystemExit(
        f"{source}: no such folder or file.\n"
        "Give --data a folder with train-images-idx3-ubyte.gz and its three companions, or an .npz with x_train, y_train,\n"
        "x_test, y_test. On Debian and Ubuntu: apt-get install dataset-fashion-mnist puts the folder at "
        + str(DEBIAN_FOLDER)
        + "."
    )


def held_out(count: int) -> NDArray[np.bool_]:
    """Return which of the first `count` training images training never sees (one in twelve): for choices and calibration."""
    return np.arange(count) % 12 == 11


def calibration_index(labels: Bytes) -> NDArray[np.int64]:
    """Return the indices of the calibration images: 50 of each class, drawn with a fixed seed from the held-out ones."""
    pool = np.flatnonzero(held_out(CALIBRATION_POOL))
    rng = np.random.default_rng(2017)
    per_class = CALIBRATION_IMAGES // 10
    picked = [rng.choice(pool[labels[pool] == c], per_class, replace=False) for c in range(10)]
    return np.sort(np.concatenate(picked))
