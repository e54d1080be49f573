"""Fit the NPU cycles of an Ethos-U to the per-layer table of the Vela compiler; print predicted against its estimate.

    cycles = padded macs * c1 + outputs * c2 [+ weights * c3 for depthwise] + c4

padded: positions, output channels and input channels to whole blocks of the array (input channels: not depthwise). Non-negative least
squares of errors relative to cycles ** power. The table is a compiler's estimate, not a measurement.

Usage: python benchmarks/fit_ethos_u.py [--accelerator ethos-u55-128] [--data ../shared]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls


@dataclass(frozen=True)
class Accelerator:
    """blocks: pixels, output channels, input channels of the array. column: of Vela's table (U85: memory decides many layers, and
    `Op Cycles` has it). power: 1 weighs small layers as much as large ones, 0.5 lies between that and the sum."""

    blocks: tuple[int, int, int]
    column: str
    power: float


ACCELERATORS = {
    "ethos-u55-128": Accelerator((2, 8, 8), "NPU", 1.0),
    "ethos-u65-256": Accelerator((4, 8, 8), "NPU", 0.5),
    "ethos-u85-256": Accelerator((4, 16, 4), "Op Cycles", 0.5),
}
NETWORKS = {
    "kws": "kws_ref_model",
    "ic": "pretrainedResnet_quant",
    "vww": "vww_96_int8",
    "sww": "str_ww_ref_model",
    "ad": "ad01_int8",
}
LINEAR = {"conv": "conv2d", "conv1x1": "conv2d", "dw": "depthwise_conv2d", "fc": "fully_connected"}
COLUMNS = {
    "conv2d": ["padded", "outputs", "fixed"],
    "depthwise_conv2d": ["padded", "outputs", "weights", "fixed"],
    "fully_connected": ["padded", "outputs", "fixed"],
}


def _blocks(n: int, size: int) -> int:
    return ceil(n / size) * size


def load_layers(shared: Path, name: str) -> pd.DataFrame:
    """Return the linear layers of the five networks with Vela's cycles (matched in order).

    MACs are checked: Vela's are the file's, or half of them where it has folded every other column away (depthwise on U85).
    """
    accelerator = ACCELERATORS[name]
    in_pixels, in_outputs, in_inputs = accelerator.blocks
    layers = pd.read_csv(shared / "ground_truth" / "mlperf_tiny_model_layers.csv")
    vela = pd.read_csv(shared / "golden" / "vela_per_layer.csv")
    vela = vela[(vela.accelerator == name) & vela["NNG Operator"].isin(["Conv2D", "DepthwiseConv2D", "FullyConnected"])]
    rows = []
    for short, network in NETWORKS.items():
        ours = layers[(layers.model == f"{short}_int8") & layers.type.isin(LINEAR)]
        theirs = vela[vela.model == network]
        pairs = zip(ours.macs, theirs["MAC Count"], strict=True)
        if len(ours) != len(theirs) or not all(mine in (macs, 2 * macs) for mine, macs in pairs):
            raise SystemExit(f"{network}: the two layer lists differ")
        for layer, cycles in zip(ours.itertuples(), theirs[accelerator.column], strict=True):
            w, out = [int(v) for v in layer.w_shape.split("x")], [int(v) for v in layer.out_shape.split("x")]
            op = LINEAR[layer.type]
            pixels = 1 if op == "fully_connected" else out[1] * out[2]
            channels = out[-1]
            depth = 1 if op == "depthwise_conv2d" else _blocks(w[-1], in_inputs)
            window = 1 if op == "fully_connected" else w[1] * w[2]
            padded = _blocks(pixels, in_pixels) * _blocks(channels, in_outputs) * window * depth
            rows.append((short, op, padded, layer.out_elems, layer.weights, 1, cycles))
    return pd.DataFrame(rows, columns=["network", "op", "padded", "outputs", "weights", "fixed", "cycles"])


def fit(layers: pd.DataFrame, columns: list[str], power: float) -> np.ndarray:
    """Return the constants of the columns, in cycles."""
    work, cycles = layers[columns].to_numpy(float), layers.cycles.to_numpy(float)
    return np.asarray(nnls(work / cycles[:, None] ** power, cycles ** (1 - power))[0])


def main() -> None:
    """Print constants and predicted / Vela per network, fitted on all and without that network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--accelerator", choices=list(ACCELERATORS), default="ethos-u55-128")
    options = parser.parse_args()
    layers, power = load_layers(options.data, options.accelerator), ACCELERATORS[options.accelerator].power
    for op, columns in COLUMNS.items():
        chosen = layers[layers.op == op].reset_index(drop=True)
        constants = fit(chosen, columns, power)
        print(op, len(chosen), "layers", dict(zip(columns, constants.round(6).tolist(), strict=True)))
        for network in dict.fromkeys(chosen.network):
            part = chosen[chosen.network == network]
            rest = chosen[chosen.network != network]
            work = part[columns].to_numpy(float)
            total = part.cycles.sum()
            new = (work @ fit(rest, columns, power)).sum() / total if len(rest) > len(columns) else float("nan")
            print(f"  {network:4s} {len(part):3d} layers  fitted {(work @ constants).sum() / total:.3f}  left out {new:.3f}")


if __name__ == "__main__":
    main()
