"""Structures of networks: named architectures against layer lists and papers, rows that say less and less."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.calibrate import named, named_large, structures
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.work import KINDS, Layer, Work, of_graph, of_layers
from workbench.cost.counts import layer_work
from workbench.loaders import load_model

FILES = {"kws": "kws_ref_int8", "vww": "vww_96_int8", "ic": "ic_resnet8_int8", "ad": "ad01_int8", "sww": "sww_int8"}


def row(table: str = "st_modelzoo_mcu.csv", **cells: str) -> Row:
    return Row(table, 2, {"model": "", "macs": "", "resolution": "", "notes": "", "precision": "int8", **cells})


def made_of(model: str, shape: tuple[int, int, int]) -> Work:
    found = structures.described(row(model=model, resolution="x".join(map(str, shape))))
    assert found is not None
    return of_layers(named.layers(*found) or [])


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
        (
            "tinyyolov2",
            1.0,
            416,
            80,
            2705,
            0.01,
        ),  # pjreddie.com/darknet/yolo, YOLOv2 tiny for COCO: 5.41 Bn operations, half products
        ("stfdmobilenet", 1.0, 224, 5, 24.74, 0.02),  # ST model zoo, st_fdmobilenet_v1: operations beside products included
        ("stefficientnet", 1.0, 224, 5, 62.49, 0.04),  # the same, st_efficientnet_lc_v1
    ],
)
def test_named_networks_have_the_products_of_their_papers(
    family: str, alpha: float, side: int, classes: int, millions: float, tolerance: float
) -> None:
    made = of_layers(named.layers(family, alpha, (side, side, 3), classes) or [])
    assert made.macs == pytest.approx(millions * 1e6, rel=tolerance)


def test_small_networks_have_the_parameters_of_their_pages() -> None:
    """ST's hand postures: 2,752 parameters with biases; the convolution has no padding."""
    posture = named.layers("handposture", 1.0, (8, 8, 2), 8) or []
    assert of_layers(posture).weights + 8 + 32 + 8 == 2752
    assert [layer.outputs for layer in posture[:2]] == [6 * 6 * 8, 3 * 3 * 8] and posture[1].pools and not posture[0].pools


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [
        ("mcunet-in0", 6.4, 0.75),
        ("mcunet-in1", 12.8, 0.64),
        ("mcunet-in2", 67.3, 0.73),
        ("mcunet-in3", 81.8, 0.74),
        ("mcunet-in4", 125.9, 1.73),
    ],
)
def test_mcunets_have_the_figures_of_their_readme(name: str, macs: float, parameters: float) -> None:
    """Millions, as github.com/mit-han-lab/mcunet prints them (its parameters count biases and normalisation)."""
    found = named_large.find(name)
    assert found is not None and found.macs == pytest.approx(macs * 1e6, rel=0.01)
    assert sum(layer.weights for layer in found.layers) == pytest.approx(parameters * 1e6, rel=0.03)


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


@pytest.mark.parametrize(
    ("name", "shape", "macs"),
    [
        ("ign_wl_24_int8.tflite", (24, 3, 1), 13008),
        ("ign_wl_48_int8.tflite", (48, 3, 1), 47568),
        ("gmp_wl_24_int8.tflite", (24, 3, 1), 66304),
        ("st_mnist_v1_28_tfs_int8.tflite", (28, 28, 1), 1076384),
    ],
)
def test_networks_of_the_model_zoo_have_the_products_of_their_files(name: str, shape: tuple[int, int, int], macs: int) -> None:
    assert made_of(name, shape).macs == macs


@pytest.mark.parametrize(
    ("name", "shape", "millions"),
    [
        ("CNN2D_ST_HandPosture_8classes.h5", (8, 8, 2), 0.009),  # the tool counts activations as well
        ("ST FdMobileNet v1", (224, 224, 3), 24.74),
        ("ST EfficientNet LC v1 tfs", (128, 128, 3), 20.46),
    ],
)
def test_networks_of_the_model_zoo_have_about_what_its_pages_say(
    name: str, shape: tuple[int, int, int], millions: float
) -> None:
    assert made_of(name, shape).macs == pytest.approx(millions * 1e6, rel=structures.TOOLS_COUNT)


def test_a_network_of_the_zoo_with_other_products_is_not_the_one_of_that_name(tmp_path: Path) -> None:
    """Its own definition is believed as it is; a name with other products only says what it may look like."""
    known = {"model": "ign_wl_24_int8.tflite", "resolution": "24 x 3 x 1"}
    own, other = (structures.of_row(row(**known, macs=macs), nothing(tmp_path)) for macs in ("13008", "52000"))
    assert own is not None and (own.macs, own.spread) == (13008, 0)
    assert other is not None and other.macs == 52000 and other.spread > 0
