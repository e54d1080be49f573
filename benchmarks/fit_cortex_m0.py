"""Fit the Cortex-M0+ constants to the layers of TFLM person detection on an RP2040; print predicted against measured.

    pointwise:  cycles = macs * c1 + outputs * c2 + weights * c3      (c3: weights in XIP flash, not carried over)
    depthwise:  cycles = macs * c1                                    (9 products an output: requantization inside)

Relative least squares with non-negative constants; each layer is also predicted by a fit without it.

Usage: python benchmarks/fit_cortex_m0.py [--data ../shared/ground_truth]
"""

from __future__ import annotations

import argparse
import os
from math import prod
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls


def size(shape: str) -> int:
    """Return the number of elements of '24x24x32'."""
    return prod(int(v) for v in shape.split("x"))


def load_layers(data: Path) -> pd.DataFrame:
    """Return the single-core layers: op, macs, outputs, weights, cycles (first layer left out: depth multiplier 8)."""
    table = pd.read_csv(data / "layers.csv")
    table = table[(table.core == "Cortex-M0+") & table.op.isin(["conv1x1", "dw"]) & (table.in_shape != "96x96x1")]
    outputs, weights = table.out_shape.map(size), table.w_shape.map(size)
    return table[["op", "macs", "cycles"]].assign(outputs=outputs, weights=weights).reset_index(drop=True)


def fit(layers: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """Return the constants of the columns, in cycles."""
    work = layers[columns].to_numpy(float)
    return np.asarray(nnls(work / layers.cycles.to_numpy(float)[:, None], np.ones(len(layers)))[0])


MODELS = {"conv1x1": ["macs", "outputs", "weights"], "dw": ["macs"]}


def main() -> None:
    """Print constants and predicted / measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("WORKBENCH_GROUND_TRUTH") or Path(__file__).resolve().parents[2] / "shared" / "ground_truth"
    parser.add_argument("--data", type=Path, default=default)
    layers = load_layers(Path(parser.parse_args().data))
    for op, columns in MODELS.items():
        chosen = layers[layers.op == op].reset_index(drop=True)
        constants = fit(chosen, columns)
        print(op, dict(zip(columns, constants.round(3).tolist(), strict=True)))
        work = chosen[columns].to_numpy(float)
        left_out = [work[i] @ fit(chosen.drop(index=i), columns) / chosen.cycles[i] for i in range(len(chosen))]
        print(chosen.assign(fitted=(work @ constants / chosen.cycles).round(3), left_out=np.round(left_out, 3)).to_string())


if __name__ == "__main__":
    main()
