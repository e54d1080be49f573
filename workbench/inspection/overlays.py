"""Overlays for graph viewers: numbers and words of an inspection on the nodes of the model file itself.

Netron reads an attachment dropped on the open model: {"signature": "netron:attachment", "metrics": [...], "metadata": [...]}, items
{kind: "node", target: name of the node | identifier: its index, name, type, value} (Netron 9.3, view.js, metadata.Attachment; a TFLite
operator has no name, its identifier is its index). Model Explorer reads custom node data: {"name", "results": {key: {"value"}},
"gradient"}, the key being the name of an output tensor of the node (ai-edge-model-explorer 0.1.34, node_data_builder.py).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

from workbench.inspection.columns import Cell, Column, column_names, find_column
from workbench.inspection.inspect import Inspection, LayerView

GRADIENT = [{"stop": 0, "bgColor": "#fff7e0"}, {"stop": 1, "bgColor": "#d45500"}]
"""Pale to strong: smallest to largest value."""


def netron_attachment(inspection: Inspection) -> str:
    """Return the attachment of all columns: numbers are metrics, words metadata. Layers that a loader added have no node there."""
    items: dict[str, list[dict[str, Any]]] = {"metadata": [], "metrics": []}
    for name in column_names(inspection):
        column = find_column(inspection, name)
        for key, cells in _by_file_node(inspection, column).items():
            kind = "metrics" if column.is_number else "metadata"
            label = f"{name} [{column.unit}]" if column.unit else name
            value = _together(cells)
            form = "float64" if isinstance(value, float) else "int64" if isinstance(value, int) else "string"
            items[kind].append({"kind": "node", **dict([key]), "name": label, "type": form, "value": value})
    return json.dumps({"signature": "netron:attachment", **items}, indent=1, ensure_ascii=False)


def model_explorer_data(inspection: Inspection, column: str) -> str:
    """Return custom node data of one column, keyed by the names of output tensors."""
    found = find_column(inspection, column)
    results = {}
    for layer in inspection.layers:
        if layer.name in found.values:
            for output in layer.outputs:
                results[output] = {"value": found.values[layer.name]}
    data: dict[str, Any] = {"name": f"{found.name}{f' [{found.unit}]' if found.unit else ''}", "results": results}
    if found.is_number:
        data["gradient"] = GRADIENT
    return json.dumps(data, indent=1, ensure_ascii=False)


def _by_file_node(inspection: Inspection, column: Column) -> dict[tuple[str, str], list[Cell]]:
    """Return (how Netron finds the node, by what) -> values of the layers that came from it."""
    found: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for layer in inspection.layers:
        key = _file_node(layer)
        if key is not None and layer.name in column.values:
            found[key].append(column.values[layer.name])
    return found


def _file_node(layer: LayerView) -> tuple[str, str] | None:
    """Return the node of the file behind a layer: 'CONV_2D #3' by its index, 'Conv /features/0' by its name."""
    _, _, name = layer.source.partition(" ")
    number = re.fullmatch(r"#(\d+)", name)
    if number:
        return "identifier", number[1]
    return ("target", name) if name else None


def _together(cells: list[Cell]) -> Cell:
    """Return the sum of numbers, or the different words, of the layers that one node of the file became."""
    if all(isinstance(c, int | float) for c in cells):
        return sum(c for c in cells if isinstance(c, int | float))
    return ", ".join(dict.fromkeys(map(str, cells)))
