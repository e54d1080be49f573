"""Files of a vectors folder that are no vectors of operators: tables, summaries, a compiler's estimates.

Each is compared with what the package has of the same thing, so that a file that was damaged or belongs to others is noticed.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data import read_arrays
from workbench.errors import InputError
from workbench.graph.ir import Graph
from workbench.numerics.tables import SIGMOID_UINT16
from workbench.ops import OPS
from workbench.validate.cases import CaseFile, Fields, read_json
from workbench.validate.golden_base import OTHERS, Row, count, make_row
from workbench.validate.golden_models import models_folder
from workbench.validate.golden_single_op import CMSIS_BUILDS, expected_outputs
from workbench.validate.pairing import load_models

LINEAR = {"Conv2D": "conv2d", "DepthwiseConv2D": "depthwise_conv2d", "FullyConnected": "fully_connected"}
"""Vela's name of an operator with weights -> ours."""


def _compared(path: Path, producer: str, cases: int, pairs: Sequence[tuple[float, float]], note: str) -> Row:
    """Return the row of numbers that must be equal: (ours, theirs)."""
    mismatches = sum(ours != theirs for ours, theirs in pairs)
    largest = max((round(abs(ours - theirs)) for ours, theirs in pairs), default=0)
    return Row(path.name, producer, "-", cases, len(pairs), mismatches, largest, note)


def check_tables(path: Path) -> list[Row]:
    """Compare the table of int16 logistic and tanh."""
    total = [0, 0, 0, 0]
    count(total, SIGMOID_UINT16.astype(np.int64), np.array(read_json(path)["sigmoid_table_uint16"], np.int64))
    return [make_row(path.name, "TensorFlow Lite", "-", total, "table of int16 logistic and tanh")]


def _counts(vectors: Path) -> dict[str, list[int]]:
    """Return producer -> [cases, elements, elements that are not the base output's] of a file of vectors ({} without the file)."""
    found: dict[str, list[int]] = {}
    if not (vectors.exists() and vectors.with_suffix(".json").exists()):
        return found
    file = CaseFile(vectors)
    for case, arrays in file.cases:
        with file.attempt(case["id"]):
            outputs = expected_outputs(case, arrays)
            base = outputs.get("litert_ref", outputs.get("tflm"))
            for producer, y in outputs.items():
                total = found.setdefault(producer, [0, 0, 0])
                total[0] += 1
                total[1] += y.size
                if base is not None and base.shape == y.shape:
                    total[2] += int((base != y).sum())
    return found


def _families(path: Path, prefix: str) -> tuple[dict[str, Any], str]:
    """Return what a summary says of every family, and a note that names those whose file is not there."""
    said = read_json(path)
    if not isinstance(said, dict) or not all(isinstance(v, dict) for v in said.values()):
        raise InputError(f"{path}: expected the counts of every family, by its name.")
    absent = [family for family in said if not path.with_name(f"{prefix}_{family}.npz").exists()]
    values = {family: Fields(v, f"{path}: {family}") for family, v in said.items()}
    return values, f"; MISSING files: {', '.join(f'{prefix}_{family}.npz' for family in absent)}" if absent else ""


def check_litert_summary(path: Path) -> list[Row]:
    """Compare cases, elements and differences of every family and producer with what the files hold."""
    pairs: list[tuple[float, float]] = []
    families, absent = _families(path, "litert")
    for family, producers in families.items():
        found = _counts(path.with_name(f"litert_{family}.npz"))
        for producer, said in producers.items():
            ours = found.get(producer, [0, 0, 0])
            pairs += zip(ours, (said["cases"], said["elements"], said["differ_from_ref"]), strict=True)
    note = f"cases, elements and differences of each producer{absent}"
    return [_compared(path, "counts of litert_*", len(pairs) // 3, pairs, note)]


def check_cmsis_summary(path: Path) -> list[Row]:
    """Compare the number of elements of every family and build with what the files hold."""
    pairs: list[tuple[float, float]] = []
    families, absent = _families(path, "cmsis")
    for family, said in families.items():
        found = _counts(path.with_name(f"cmsis_{family}.npz"))
        pairs += [
            (found.get(f"cmsis_{build}", [0, 0])[1], said[f"{build}_n"]) for build in CMSIS_BUILDS if f"{build}_n" in said
        ]
    return [_compared(path, "counts of cmsis_*", len(pairs), pairs, f"elements of each build{absent}")]


def check_model_summary(path: Path) -> list[Row]:
    """Compare the operators of every network and input, and how many of their outputs TFLM changes, with the stored tensors."""
    pairs: list[tuple[float, float]] = []
    absent: list[str] = []
    for entry in (Fields(e, f"{path}: entry {i}") for i, e in enumerate(read_json(path))):
        vectors = path.with_name(f"model_{entry['model']}.npz")
        if not vectors.exists() and vectors.name not in absent:
            absent.append(vectors.name)
        stored = list(read_arrays(vectors)) if vectors.exists() else []
        keys = [k for k in stored if k.startswith(f"i{entry['input']}/t")]
        pairs.append((sum(k.endswith("__litert_ref") for k in keys), len(entry["ops"])))
        pairs.append((sum(k.endswith("__tflm") for k in keys), entry["tflm"]["tensors_differing"]))
    note = "operators, and outputs that TFLM changes" + (f"; MISSING files: {', '.join(absent)}" if absent else "")
    return [_compared(path, "counts of model_*", len(pairs) // 2, pairs, note)]


def layer_macs(graph: Graph) -> list[int]:
    """Return the products of every layer with weights, in order."""
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
    return [
        OPS[n.op].count(n.attrs, [shapes[i] for i in n.inputs if i], [shapes[o] for o in n.outputs]).macs
        for n in graph.nodes
        if n.op in LINEAR.values()
    ]


def _read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    missing = [c for c in columns if not rows or c not in rows[0]]
    if missing:
        raise InputError(f"{path}: column '{missing[0]}' is missing.")
    return rows


def check_vela_layers(path: Path) -> list[Row]:
    """Compare the products of every layer with our count, accelerator by accelerator; a layer that Vela splits counts by its half."""
    by_run: dict[tuple[str, str], list[int]] = {}
    for row in _read_csv(path, ("accelerator", "model", "NNG Operator", "MAC Count")):
        if row["NNG Operator"] in LINEAR:
            by_run.setdefault((row["accelerator"].strip(), row["model"]), []).append(round(float(row["MAC Count"])))
    networks = _networks(path)
    if not networks:
        return [Row(path.name, "Ethos-U Vela", "-", 0, 0, 0, 0, "not compared: no networks; set WORKBENCH_MODELS")]
    pairs: list[tuple[float, float]] = []
    halves = 0
    for (_, _), theirs in by_run.items():
        best = min(networks, key=lambda macs: (len(macs) != len(theirs), _unequal(macs, theirs)))
        for ours, counted in zip(best, theirs, strict=False):
            halves += ours == 2 * counted
            pairs.append((ours, ours if ours == 2 * counted else counted))
        pairs += [(0, counted) for counted in theirs[len(best) :]]
    note = f"products of each layer (estimates: workbench validate cost); {halves} layers run in two parts are counted by one"
    return [_compared(path, "Ethos-U Vela", len(by_run), pairs, note)]


def _unequal(ours: Sequence[int], theirs: Sequence[int]) -> int:
    return sum(a != b for a, b in zip(ours, theirs, strict=False))


def _networks(path: Path) -> list[list[int]]:
    folder = models_folder(path.parent)
    return [layer_macs(m.graph) for m in load_models(folder)[0]] if folder.is_dir() else []


def check_vela_summary(path: Path) -> list[Row]:
    """Compare every run's number of products with the sum over its layers in the other file: the estimates themselves are no truth."""
    layers: dict[tuple[str, str], int] = {}
    for row in _read_csv(path.with_name("vela_per_layer.csv"), ("accelerator", "model", "MAC Count")):
        key = row["accelerator"].strip(), row["model"]
        layers[key] = layers.get(key, 0) + round(float(row["MAC Count"]))
    runs = _read_csv(path, ("accelerator", "model", "nn_macs"))
    pairs = [(layers.get((r["accelerator"].strip(), r["model"]), 0), round(float(r["nn_macs"]))) for r in runs]
    note = "products of each run: sum of vela_per_layer.csv (estimates: workbench validate cost, docs/cost-accuracy.md)"
    return [_compared(path, "Ethos-U Vela", len(runs), pairs, note)]


OTHERS.add("tflite_tables.json", check_tables)
OTHERS.add("litert_SUMMARY.json", check_litert_summary)
OTHERS.add("cmsis_SUMMARY.json", check_cmsis_summary)
OTHERS.add("model_SUMMARY.json", check_model_summary)
OTHERS.add("vela_per_layer.csv", check_vela_layers)
OTHERS.add("vela_summary.csv", check_vela_summary)
