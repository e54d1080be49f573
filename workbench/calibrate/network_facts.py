"""`facts`: what is known of a network by its name: multiply-accumulates by kind, parameters, activations, layers, all at a
resolution.

The table `network_facts.csv` beside this module is counted from public definitions of architectures (its column `source`). A
fact is structure, never a timing.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from math import nan, prod, sqrt
from pathlib import Path

TABLE = Path(__file__).with_suffix(".csv")

ALIASES: tuple[tuple[str, str], ...] = (
    (r"wide_?resnet_?(50|101).*", r"wideresnet\g<1>2"),
    (r"se_?-?resnet(50)?", "seresnet50"),
    (r"resnext_?(50|101)(_32x\d+d)?", r"resnext\g<1>"),
    (r"mmseg:(deeplabv3|deeplabv3\+|pspnet)", r"\g<1>resnet50d8"),
    (r"resnet[_-]?(?:v?[12][_-])?(18|34|50|101|152)([_ -]v\d)?(-\d)?", r"resnet\g<1>"),
    (r"resnet", "resnet50"),
    (r"mobilenet[_ -]?v?1? ssd|mobilenet[_-]ssd|ssd[_-]mobilenet(_v1)?", "ssdmobilenetv1"),
    (r"mobilenet ?v2 ssd|ssd[_-]mobilenet_?v2", "ssdmobilenetv2"),
    (r"mobilenet([_ -]?v1)?([_-]1[._]?0)?", "mobilenetv1100"),
    (r"mobilenet[_ -]?v2([_-]1[._]?0)?(-12)?", "mobilenetv2"),
    (r"mobilenet_?v2[_-]1[._]?4", "mobilenetv2140"),
    (r"mobilenet[_-]?v3([_-]large)?(_100)?", "mobilenetv3large"),
    (r"mobilenet[_-]?v3[_-]small", "mobilenetv3small"),
    (r"mnasnet(05|_?0_5)", "mnasnet05"),
    (r"mnasnet", "mnasnet10"),
    (r"shuffle-?net[_-]?v2([_-]x?1[_.]?0)?", "shufflenetv2x10"),
    (r"inception[_ -]?v1|googlenet", "googlenet"),
    (r"densenet", "densenet121"),
    (r"squeezenet([_-]v?1[._]0)?", "squeezenet10"),
    (r"squeezenet[_-]v?1[._]1", "squeezenet11"),
    (r"efficientnet[_-]?v2[_-]?s", "efficientnetv2s"),
    (r"efficientnet[_-](s|m|l)|efficientnet-?edge_?tpu-(s|m|l)", r"efficientnete\g<1>\g<2>"),
    (r"regnet_?([xy])[_-]?(\d+)mf|regnet([xy])_?(\d+)m", r"regnet\g<1>\g<3>\g<2>\g<4>mf"),
    (r"regnet_?([xy])[_-]?(\d)\.(\d)gf", r"regnet\g<1>\g<2>\g<3>gf"),
    (r"(vit|vision_transformer)(_b_?16|_base)?(_bn)?", "vitb16"),
    (r"(vit|deit)_(tiny|small)(_bn)?", r"\g<1>\g<2>patch16224"),
    (r"deit_base", "deitbasepatch16224"),
    (r"swin_(tiny|small|base)", r"swin\g<1>patch4window7224"),
    (r"beit", "beitbasepatch16224"),
    (r"levit", "levit128s"),
    (r"nasnet", "nasnetalarge"),
    (r"openai_clip|clip", "vitb16"),
    (r"depth_?anything.*", "vitsmallpatch14dinov2"),
    (r"mobile_?vit", "mobilevits"),
    (r"sequencer2d", "sequencer2ds"),
    (r"resnet_3d", "r3d18"),
    (r"resnet_2plus1d", "r2plus1d18"),
    (r"resnet_mixed", "mc318"),
    (r"fcn[_-]resnet(50|101)", r"fcnresnet\g<1>"),
    (r"efficientvit_(b\d|l\d)_cls", r"efficientvit\g<1>"),
    (r"yolov?11(_det|-det)?", "yolo11n"),
    (r"yolov?11_seg", "yolo11nseg"),
    (r"yolov?(8|10)(_det|-det)?", r"yolov\g<1>n"),
    (r"yolov?8_seg", "yolov8nseg"),
    (r"yolov?(11|12|26)([nsmlx])(-?(?:seg|pose|obb|cls))?", r"yolo\g<1>\g<2>\g<3>"),
    (r"fastsam_([sx])", r"yolov8\g<1>seg"),
    (r"yolov3_(gluon_)?416", "yolov3"),
    (r"tiny[_-]yolov?([34])|yolov?([34])[_-]tiny", r"yolov\g<1>\g<2>tiny"),
    (r"yolov5([nsmlx])-seg", r"yolov5\g<1>seg"),
    (r"yolov5([nsmlx])(?![a-z0-9]).*", r"yolov5\g<1>"),
    (r"yolov5", "yolov5m"),
    (r"yolox_?([nsmlx]|tiny|nano)(_leaky)?", r"yolox\g<1>"),
    (r"yolox", "yoloxs"),
    (r"vgg(11|13|16|19)(_bn)?", r"vgg\g<1>"),
)  # fmt: skip
"""Ways of writing a name -> the name in the table. The whole text must match, with or without the folder before its colon."""

SIZES = re.compile(r"\d+")
LARGEST_SIDE = 8192


@dataclass(frozen=True)
class Facts:
    """A network at a resolution. macs, params, activations (elements that convolutions and products write): NaN = not known.

    pointwise, depthwise, grouped, attention: shares of the multiply-accumulates. height, width: of the input.
    """

    name: str
    macs: float = nan
    params: float = nan
    activations: float = nan
    layers: float = nan
    pointwise: float = nan
    depthwise: float = nan
    grouped: float = nan
    attention: float = nan
    height: float = nan
    width: float = nan


def slug(name: str) -> str:
    """Return a name without folder, resolution, case and punctuation: 'mmpretrain:ResNet' -> 'resnet'."""
    return _plain(_bare(name))


def facts(name: str, height: float = nan, width: float = nan) -> Facts | None:
    """Return what is known of a network, scaled to a resolution (its usual one where none is given); None for an unknown name.

    Convolutions, activations and tokens grow with the number of pixels; parameters do not.
    """
    found = _known(name)
    if found is None:
        return None
    if not height * width > 0:
        return found
    pixels = height * width / (found.height * found.width)
    return replace(found, macs=found.macs * pixels, activations=found.activations * pixels, height=height, width=width)


def resolution(text: str) -> tuple[float, float]:
    """Return height and width of an input written as 224x224, 1x3x224x224, [1, 3, 640, 640] or 1x3x224; NaN for none.

    Of more than two numbers, the two neighbours with the largest product are the picture.
    """
    sizes = [float(n) for n in SIZES.findall(text)][:8]
    pairs = list(pairwise(sizes)) or [(size, size) for size in sizes]
    height, width = max(pairs, key=prod, default=(0.0, 0.0))
    if min(height, width) < 8:  # channels and a side: a square picture
        height = width = max(height, width)
    return (height, width) if 8 <= max(height, width) <= LARGEST_SIDE else (nan, nan)


def guessed_macs(params: float, height: float, width: float, per_pixel: bool = False) -> float:
    """Return multiply-accumulates guessed from parameters: each weight is used once per position of its feature map.

    Picture networks that shrink by 32 use a weight about 150 times at 224 x 224 (ResNet-50 160, YOLOv8n 168, MobileNetV2 86),
    those that keep the resolution (super-resolution) once per pixel.
    """
    side = sqrt(height * width) if height * width > 0 else 224.0
    return params * side**2 if per_pixel else 150.0 * params * (side / 224.0) ** 2


@cache
def _known(name: str) -> Facts | None:
    table, whole, bare = _table(), name.strip().lower(), _bare(name)
    for pattern, wanted in ALIASES:
        match = re.fullmatch(pattern, whole) or (None if slug(name) in table else re.fullmatch(pattern, bare))
        if match is not None and (entry := _plain(match.expand(wanted))) in table:
            return table[entry]
    return table.get(slug(name))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.replace("+", "plus"))


def _bare(name: str) -> str:
    text = name.strip().lower().rsplit(":", 1)[-1]
    text = re.sub(r"\(.*?\)|[_ -]?\d{3,4}x\d{3,4}", "", text)
    return re.sub(r"[_ -]?(int8|fp16|fp32|float|quantized|w8a8|w8a16)$", "", text.strip()).strip()


@cache
def _table() -> dict[str, Facts]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {row["name"]: _of(row) for row in rows}


def _of(row: dict[str, str]) -> Facts:
    def number(column: str, unit: float = 1.0) -> float:
        return float(row[column]) * unit if row[column] else nan

    return Facts(
        row["name"], number("macs_millions", 1e6), number("params_millions", 1e6), number("activations_millions", 1e6),
        number("layers"), number("pointwise"), number("depthwise"), number("grouped"), number("attention"),
        number("height"), number("width"),
    )  # fmt: skip
