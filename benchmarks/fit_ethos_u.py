"""Fit the NPU cycles of ethos-u55-128 to the per-layer table of the Vela compiler; print predicted against its estimate.

    cycles = padded macs * c1 + outputs * c2 [+ weights * c3 for depthwise] + c4

padded: positions to 2, output channels to 8, input channels to 8 (convolution, fully connected). Relative, non-negative least
squares. The table is a compiler's estimate, not a measurement.

Usage: python benchmarks/fit_ethos_u.py [--data ../shared]
"""

from __future__ import annotations

import argparse
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls

ACCELERATOR = "ethos-u55-128"
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


def load_layers(shared: Path) -> pd.DataFrame:
    """Return the linear layers of the five networks with Vela's NPU cycles (matched in order, MACs checked)."""
    layers = pd.read_csv(shared / "ground_truth" / "mlperf_tiny_model_layers.csv")
    vela = pd.read_csv(shared / "golden" / "vela_per_layer.csv")
    vela = vela[(vela.accelerator == ACCELERATOR) & vela["NNG Operator"].isin(["Conv2D", "DepthwiseConv2D", "FullyConnected"])]
    rows = []
    for short, name in NETWORKS.items():
        ours = layers[(layers.model == f"{short}_int8") & layers.type.isin(LINEAR)]
        theirs = vela[vela.model == name]
        if ours.macs.tolist() != theirs["MAC Count"].tolist():
            raise SystemExit(f"{name}: the two layer lists differ")
        for layer, cycles in zip(ours.itertuples(), theirs.NPU, strict=True):
            w, out = [int(v) for v in layer.w_shape.split("x")], [int(v) for v in layer.out_shape.split("x")]
            op = LINEAR[layer.type]
            pixels = 1 if op == "fully_connected" else out[1] * out[2]
            channels = out[-1]
            depth = 1 if op == "depthwise_conv2d" else _blocks(w[-1], 8)
            window = 1 if op == "fully_connected" else w[1] * w[2]
            padded = _blocks(pixels, 2) * _blocks(channels, 8) * window * depth
            rows.append((short, op, padded, layer.out_elems, layer.weights, 1, cycles))
    return pd.DataFrame(rows, columns=["network", "op", "padded", "outputs", "weights", "fixed", "cycles"])


def fit(layers: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """Return the constants of the columns, in cycles."""
    work = layers[columns].to_numpy(float)
    return np.asarray(nnls(work / layers.cycles.to_numpy(float)[:, None], np.ones(len(layers)))[0])


def main() -> None:
    """Print constants and predicted / Vela per network, fitted on all and without that network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    layers = load_layers(parser.parse_args().data)
    for op, columns in COLUMNS.items():
        chosen = layers[layers.op == op].reset_index(drop=True)
        constants = fit(chosen, columns)
        print(op, len(chosen), "layers", dict(zip(columns, constants.round(6).tolist(), strict=True)))
        for network in dict.fromkeys(chosen.network):
            part = chosen[chosen.network == network]
            rest = chosen[chosen.network != network]
            work = part[columns].to_numpy(float)
            total = part.cycles.sum()
            new = (work @ fit(rest, columns)).sum() / total if len(rest) > len(columns) else float("nan")
            print(f"  {network:4s} {len(part):3d} layers  fitted {(work @ constants).sum() / total:.3f}  left out {new:.3f}")


if __name__ == "__main__":
    main()
