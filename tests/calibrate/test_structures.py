"""Structures of networks: named architectures against layer lists and papers, rows that say less and less."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.calibrate import named, structures
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.work import KINDS, Layer, of_graph, of_layers
from workbench.cost.counts import layer_work
from workbench.loaders import load_model

FILES = {"kws": "kws_ref_int8", "vww": "vww_96_int8", "ic": "ic_resnet8_int8", "ad": "ad01_int8", "sww": "sww_int8"}


def row(table: str = "st_modelzoo_mcu.csv", **cells: str) -> Row:
    return Row(table, 2, {"model": "", "macs": "", "resolution": "", "notes": "", "precision": "int8", **cells})


def nothing(folder: Path) -> Tables:
    return Tables(folder)


@pytest.mark.parametrize("benchmark", list(structures.BENCHMARKS))
def test_benchmarks_are_their_published_layers(benchmark: str, ground_truth: Path) -> None:
    layers = [r for r in Tables(ground_truth).rows(structures.LAYER_TABLE) if r.text("model") == f"{benchmark}_int8"]
    made = of_layers(named.layers(*structures.BENCHMARKS[benchmark]) or [])
    weighted = [r for r in layers if r.number("macs") > 0]
    assert made.macs == sum(r.macs for r in weighted) and made.weights == sum(r.number("weights") for r in weighted)
    assert made.counts["output"] == sum(r.number("out_elems") for r in weighted)
    assert made.counts["depthwise"] == sum(r.macs for r in layers if r.text("type") == "dw")
    assert made.counts["fully_connected"] == sum(r.macs for r in layers if r.text("type") == "fc")


@pytest.mark.parametrize("benchmark", list(FILES))
def test_graphs_count_the_same_kinds(benchmark: str, models_dir: Path) -> None:
    """A profile prices a graph with the kinds that the published rows were fitted with."""
    graph = load_model(models_dir / "mlperf_tiny" / f"{FILES[benchmark]}.tflite")
    counted = of_graph([layer_work(graph, node) for node in graph.nodes])
    made = of_layers(named.layers(*structures.BENCHMARKS[benchmark]) or [])
    for kind in KINDS[:6]:
        assert counted.counts[kind] == made.counts[kind], kind


@pytest.mark.parametrize(
    ("family", "alpha", "side", "classes", "millions", "tolerance"),
    [
        ("mobilenetv1", 1.0, 224, 1000, 569, 0.001),  # arXiv 1704.04861, table 8
        ("mobilenetv1", 0.25, 224, 1000, 41, 0.01),  # the same, table 6
        ("mobilenetv2", 1.0, 224, 1000, 300, 0.01),  # arXiv 1801.04381, table 4
        ("fdmobilenet", 1.0, 224, 1000, 144, 0.01),  # arXiv 1802.03750, table 2
        ("fdmobilenet", 0.25, 224, 1000, 12, 0.03),  # the same
        ("tinyyolov2", 1.0, 416, 20, 3490, 0.01),  # pjreddie.com/darknet/yolov2: 6.97 Bn operations... of products half
    ],
)
def test_named_networks_have_the_products_of_their_papers(
    family: str, alpha: float, side: int, classes: int, millions: float, tolerance: float
) -> None:
    made = of_layers(named.layers(family, alpha, (side, side, 3), classes) or [])
    assert made.macs == pytest.approx(millions * 1e6, rel=tolerance)


def test_an_unknown_name_has_no_layers() -> None:
    assert named.layers("a network of the year 2040", 1.0, None) is None


def test_grey_images_cost_what_colours_cost() -> None:
    """Fewer than four channels are counted as four: ST's MobileNet on grey images is as slow as the one on colours."""
    grey, colour = (of_layers([Layer("convolution", 9.0 * c * 100, 100, 9 * c, c, 9)]) for c in (1, 3))
    assert grey.counts["shallow"] == colour.counts["shallow"] == 3600 and grey.macs == colour.macs / 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenet_v1_0.25_96_fft_int8.tflite", 0.25), ("mobilenetv1_a050_224", 0.5), ("proxyless-w0.3-r64", 0.3),
        ("mobilenetv2_0_5_s8_v1_p4", 0.5), ("ssd_mobilenet_v1_025_192_int8", 0.25), ("yolo11n_320_s8", 1.0), ("resnet50v2_224", 1.0),
        ("mobilenetv1_a100_224", 1.0),
    ],
)  # fmt: skip
def test_width_of_a_name(name: str, expected: float) -> None:
    assert structures.width(name) == expected


def test_releases_of_one_network_have_one_name() -> None:
    names = ("mobilenet_v1_0.25_96_int8.tflite", "mobilenet_v1_0.25_96_fft_int8.tflite", "mobilenetv1_a025_96_fft")
    assert {structures.canonical(row(model=n, resolution="96x96x3")) for n in names} == {"mobilenetv1 0.25 96x96x3"}
    assert structures.canonical(Row("mlperf_tiny.csv", 2, {"benchmark": "vww", "model": "x"})) == "mobilenetv1 0.25 96x96x3"


def test_a_row_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """Columns by operator, then the products alone, then the name alone, then nothing: less is known each time."""
    tables = nothing(tmp_path)
    columns = {"macs_conv": "1000", "macs_conv1x1": "500", "macs_dw": "0", "macs_fc": "20", "n_ops": "7", "out_elems": "90"}
    full = structures.of_row(row(model="ours", macs="1520", resolution="8x8x16", **columns), tables)
    some = structures.of_row(row(model="ours", macs="1520"), tables)
    name = structures.of_row(row(model="mobilenet_v2_1.0", resolution="224x224x3"), tables)
    assert full is not None and some is not None and name is not None
    assert full.counts["convolution"] == 1000 and full.counts["layer"] == 7 and full.macs == some.macs == 1520
    assert full.spread == 0 < name.spread < some.spread
    assert name.macs == pytest.approx(300e6, rel=0.01)
    assert structures.of_row(row(model="ours"), tables) is None
