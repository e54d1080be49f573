"""What `inspect` writes: the picture, the table, the overlays of graph viewers; and what it says of targets."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.loaders.tflite_writer import Net, Op, T, const
from workbench.cli import app
from workbench.errors import InputError
from workbench.inspection import Inspection, inspect_graph, inspection_tables, write_views
from workbench.inspection.columns import column_names, find_column
from workbench.inspection.overlays import model_explorer_data, netron_attachment
from workbench.inspection.picture import graph_svg
from workbench.inspection.tables import layers_csv
from workbench.loaders.tflite import load_tflite

MCU, NPU = "stm32l4r5-cortex-m4-tflm", "ethos-u55-128"


def residual() -> bytes:
    """A float file: two convolutions, their sum, a logistic; names with signs that mean something in XML and JSON."""
    rng = np.random.default_rng(5)

    def weights() -> T:
        return const(rng.normal(0, 1, (4, 3, 3, 4)), np.float32)

    image = (1, 6, 6, 4)
    tensors = [
        T(image, name="in<&>"), weights(), T(image, name='first "layer" & <more>/Conv2D'), weights(), T(image, name="second/Conv2D"),
        T(image, name="sum/Add"), T(image, name="out"),
    ]  # fmt: skip
    geometry = ("Conv2DOptions", {"StrideH": 1, "StrideW": 1, "Padding": 0})
    ops = [
        Op("CONV_2D", [0, 1], [2], geometry), Op("CONV_2D", [2, 3], [4], geometry), Op("ADD", [2, 4], [5], ("AddOptions", {})),
        Op("LOGISTIC", [5], [6]),
    ]  # fmt: skip
    return Net(tensors, ops).bytes()


def dense() -> bytes:
    """A float file of one fully connected layer."""
    w = const(np.random.default_rng(6).normal(0, 1, (4, 8)), np.float32)
    return Net(
        [T((1, 8), name="x"), w, T((1, 4), name="y")], [Op("FULLY_CONNECTED", [0, 1], [2], ("FullyConnectedOptions", {}))]
    ).bytes()


@pytest.fixture(scope="module")
def inspection() -> Inspection:
    return inspect_graph(load_tflite("net.tflite", residual()), "net <1>.tflite", [MCU, NPU])


def test_every_layer_has_the_formats_of_each_target(inspection: Inspection) -> None:
    mcu, npu = inspection.targets
    first = inspection.layers[0].name
    assert {"w8a8", "w4a8", "w8a16", "fp32"} <= {*mcu.layers[first].formats}
    assert "fp32" not in {f for f in npu.layers[first].formats if npu.layers[first].runs == "target"}
    assert not any(f.endswith("-per-tensor") for f in mcu.layers[first].formats)
    assert inspection.ok and all(t.fit is not None and t.fit.ok for t in inspection.targets)
    assert sum(layer.macs for layer in inspection.layers) == 2 * 6 * 6 * 4 * 3 * 3 * 4


def test_an_unsupported_operator_is_named_with_its_reason() -> None:
    x, y = T((1, 4, 4, 2), name="x"), T((1, 4, 4, 2), name="y")
    found = inspect_graph(load_tflite("n.tflite", Net([x, y], [Op("EXP", [0], [1])]).bytes()), "n", ["gap8-pulp-nn"])
    assert not found.ok
    layer = found.targets[0].layers["y"]
    assert layer.runs == "nowhere" and "has no exp" in layer.reason and layer.formats == ()
    assert "has no exp" in found.targets[0].problems[0]
    assert "has no exp" in str(inspection_tables(found)[-1])


@pytest.mark.parametrize("target", ["max78000", "gap8-pulp-nn", "esp32-s3"])
def test_a_float_model_is_shown_in_whatever_format_the_target_has(target: str) -> None:
    found = inspect_graph(load_tflite("net.tflite", dense()), "net", [target])
    assert found.ok and found.targets[0].tried.startswith("w8a8")


def test_svg_has_a_box_per_layer_and_a_line_per_edge(inspection: Inspection) -> None:
    root = ElementTree.fromstring(graph_svg(inspection, "macs"))
    space = "{http://www.w3.org/2000/svg}"
    boxes = root.findall(f"{space}g")
    assert len(boxes) == len(inspection.layers) == 4
    assert len(root.findall(f"{space}path")) == 4  # first -> second, first -> sum, second -> sum, sum -> out
    titles = [g.findtext(f"{space}title") for g in boxes]
    assert all(layer.name in str(title) for layer, title in zip(inspection.layers, titles, strict=True))
    corners = {(r.get("x"), r.get("y")) for g in boxes for r in g.findall(f"{space}rect")}
    assert len(corners) == 4, "boxes do not cover each other"


def test_an_edge_that_passes_layers_goes_round_them(inspection: Inspection) -> None:
    text = graph_svg(inspection, "operator")
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    rect = root.findall(f"{space}g")[1].find(f"{space}rect")
    assert rect is not None
    left = int(rect.get("x") or 0)
    middles = [int(m) for m in re.findall(r"L(\d+) ", text)]
    assert middles and all(not left <= m <= left + 230 for m in middles)


@pytest.mark.parametrize(
    "column", ["operator", "format", "macs", "parameters", f"latency:{MCU}", f"runs:{NPU}", f"formats:{NPU}"]
)
def test_every_column_colours_the_picture(inspection: Inspection, column: str) -> None:
    assert column in column_names(inspection)
    assert f"coloured by {column}" in graph_svg(inspection, column)


def test_unknown_column_is_refused_with_those_there_are(inspection: Inspection) -> None:
    with pytest.raises(InputError, match=r"no column 'latncy:.*Did you mean.*latency"):
        find_column(inspection, f"latncy:{MCU}")
    with pytest.raises(InputError, match="Columns"):
        find_column(inspection, "latency")  # of which target?


def test_netron_attachment_names_the_operators_of_the_file(inspection: Inspection) -> None:
    data = json.loads(netron_attachment(inspection))
    assert data["signature"] == "netron:attachment"
    macs = {item["identifier"]: item["value"] for item in data["metrics"] if item["name"] == "macs [MAC]"}
    assert macs == {"0": 6 * 6 * 4 * 36, "1": 6 * 6 * 4 * 36, "2": 0, "3": 0}
    assert all(
        item["kind"] == "node" and item["type"] == "int64" for item in data["metrics"] if item["name"].startswith("macs")
    )
    assert {item["identifier"]: item["value"] for item in data["metadata"] if item["name"] == "operator"}["3"] == "logistic"


def test_model_explorer_data_is_keyed_by_output_tensors(inspection: Inspection) -> None:
    data = json.loads(model_explorer_data(inspection, "macs"))
    assert data["results"]['first "layer" & <more>/Conv2D'] == {"value": 6 * 6 * 4 * 36}
    assert [stop["stop"] for stop in data["gradient"]] == [0, 1]
    assert "gradient" not in json.loads(model_explorer_data(inspection, "operator"))


def test_csv_has_a_row_per_layer_with_the_costs_of_each_target(inspection: Inspection) -> None:
    every = list(csv.DictReader(io.StringIO(layers_csv(inspection))))
    for target in inspection.targets:  # conversions included, the columns add up
        latency = sum(float(r[f"{target.profile.name}:latency_s"] or 0) for r in every)
        assert target.cost is not None and latency == pytest.approx(sum(row.latency_s for row in target.cost.layers))
    rows = [r for r in every if r["operator"] != "conversion"]
    assert [r["layer"] for r in rows] == [layer.name for layer in inspection.layers]
    cost = inspection.targets[0].cost
    assert cost is not None
    known = {row.layer: row.latency_s for row in cost.layers}
    assert all(float(r[f"{MCU}:latency_s"]) == known[r["layer"]] for r in rows)


def test_nothing_is_written_when_one_view_is_refused(inspection: Inspection, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_views(inspection, {"csv": tmp_path / "a.csv", "svg": tmp_path / "a.svg"}, "nonsense")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_views_and_says_where(tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    model.write_bytes(residual())
    svg = tmp_path / "net.svg"
    done = CliRunner().invoke(app, ["inspect", str(model), "-p", MCU, "--svg", str(svg), "--colour", "energy"])
    assert done.exit_code == 0 and f"Written: {svg}" in done.output.replace("\n", "")
    assert f"energy:{MCU}" in svg.read_text()
