"""Run every model of a folder with ONNX Runtime, sample by sample: python onnxruntime_child.py FOLDER.

NAME.onnx reads NAME.x.npy and writes NAME.y.npy. It imports nothing of the package, so that it also runs on an emulated CPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime


def run_models(folder: Path) -> None:
    """Write the outputs of every model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    for path in sorted(folder.glob("*.onnx")):
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        x = np.load(path.with_suffix(".x.npy"))
        outputs = [session.run(None, {name: x[i : i + 1]})[0] for i in range(len(x))]
        np.save(path.with_suffix(".y.npy"), np.concatenate(outputs))


if __name__ == "__main__":
    run_models(Path(sys.argv[1]))
