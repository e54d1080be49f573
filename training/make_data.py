"""Write studies/data/fashion_mnist.npz: 500 calibration images (from the training set) and the first 2,000 test images.

    python training/make_data.py --data /usr/share/datasets/fashion-mnist

The file holds uint8 [N, 1, 28, 28] images (a study divides by 255), uint8 labels, and the official index of every image. The
whole set and an extract with its first 8,000 training and 2,000 test images give the same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from fashion_mnist import DEBIAN_FOLDER, TEST_IMAGES, calibration_index, load

OUT = Path(__file__).resolve().parent.parent / "studies" / "data" / "fashion_mnist.npz"


def main() -> None:
    """Read the data set, pick, write, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=DEBIAN_FOLDER, help="folder with the IDX files, or an .npz (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="file to write (default: %(default)s)")
    args = parser.parse_args()
    data = load(args.data)
    picked = calibration_index(data["y_train"])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        args.out,
        calibration_x=data["x_train"][picked][:, None],
        calibration_y=data["y_train"][picked],
        calibration_index=picked.astype(np.int32),
        test_x=data["x_test"][:TEST_IMAGES][:, None],
        test_y=data["y_test"][:TEST_IMAGES],
        test_index=np.arange(TEST_IMAGES, dtype=np.int32),
    )
    print(f"{args.out}: {len(picked)} calibration and {TEST_IMAGES} test images, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
