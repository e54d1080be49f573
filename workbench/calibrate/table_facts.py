"""`table_facts`: what the model of the accelerators' tables knows of a row: engine, runtime, precision and structure of the
network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, isfinite, log, nan, sqrt

from workbench.calibrate.device_facts import Engine, engine
from workbench.calibrate.network_facts import Facts, facts, guessed_macs, resolution, slug
from workbench.calibrate.rows import Row
from workbench.calibrate.runtimes import runtime

FAMILIES: tuple[tuple[str, str], ...] = (
    (
        r"clip|siglip|vit(?!a)|deit|beit|swin|davit|dino|depth_?anything|video_?mae|sam\b|wavlm|whisper|bert|llama|gpt",
        "transformer",
    ),
    (r"transformer|segformer|detr|mlp", "transformer"),
    (r"convnext|fastvit|poolformer|efficientformer|nextvit|levit|efficientvit|mobilevit|cvt", "hybrid"),
    (
        r"yolo|nanodet|fastest|fastsam|rtmdet|centernet|ssd|fcos|fsaf|retina|rcnn|efficientdet|face_det|foot_track|gear_guard",
        "detector",
    ),
    (r"esr|sesr|srcnn|edsr|xlsr|quicksr|upscal|rrdb|unet|lama", "dense picture"),
    (r"deeplab|fcn|pspnet|bisenet|ffnet|ddrnet|pidnet|stdc|sinet|linknet|ppseg|segmentation|salsanext|hrnet_w", "segmentation"),
    (r"mobile|efficientnet|mnasnet|proxyless|ghost|shufflenet|blazeface|posenet|lite", "depthwise"),
    (
        r"resne|vgg|alexnet|googlenet|inception|densenet|squeezenet|regnet|repvgg|dla|darknet|hardnet|r3d|cavaface|midas",
        "classic",
    ),
)
"""Words of a name -> kind of network, the first that fits: networks of a kind use an accelerator alike."""
PRECISIONS = ((r"int8|i8|w8a8|u8|quanti", "int8"), (r"w\d+a16|int16", "int16"), (r"fp16|half|f16", "fp16"), (r"", "fp32"))
MILLION = 1e6
ON_CHIP_MILLIONS = (3.0, 10.0, 30.0)
"""Parameters that accelerators hold on chip, in millions: above, weights or parts of the network are loaded again and again."""
USUAL_LAYERS, USUAL_PARAMS, USUAL_ACTIVATIONS = 80.0, 1e7, 5e6
"""The network at which all features are about 0."""
USUAL_INTENSITY = 150.0
"""Multiply-accumulates per parameter at 224 x 224, where a network tells nothing (see `guessed_macs`)."""
ACTIVATIONS = (2.41, 0.589, -0.070, 0.411)
"""log activations = these times (1, log MACs, log parameters, log side): least squares over the counted networks of
`network_facts.csv` (656 of them, standard deviation 0.53)."""
SMOOTH = (
    r"yolov?(5|7|8|9|10|11|12|26)|yolox|ppyoloe|fastsam|efficientnet|mobilenet_?v3|vit|swin|deit|convnext|clip|bert|gpt|detr"
)
RECTIFIED = r"relu|leaky|yolov7.?tiny|lite\d|edgetpu"
"""Networks with SiLU, GELU or swish behind their convolutions, but for the variants that were trained with ReLU: the smooth
ones are an operator of their own on most accelerators (the papers of the architectures; names of the variants)."""


@dataclass(frozen=True)
class TableFacts:
    """A row for the model. precision: class of formats (int8, int16, fp16, fp32), with `mixed` behind it. macs: NaN = nothing
    to guess from. known: macs were not guessed from the parameters.

    features: structure of the network, each about 0 for a usual network and within a few units.
    """

    engine: Engine
    runtime: str
    target: str
    precision: str
    network: str
    family: str
    task: str
    macs: float
    params: float
    known: bool
    features: Mapping[str, float]


def table_facts(row: Row, size: str = "") -> TableFacts:
    """Return the facts of a row. size: text that holds the input's resolution."""
    precision = _precision(row)
    arithmetic = {"int16": "int8", "int8": "int8"}.get(precision.split()[0], precision.split()[0])
    place = engine(row, arithmetic)
    structure, known = _structure(row, size)
    family = runtime(row.runtime).family + (" throughput" if row.from_throughput else "")
    options = "".join(re.findall(r"threads\s*=\s*\d+", row.runtime))
    network = slug(row.network) or "unknown"
    return TableFacts(
        place, f"{family} {place.kind}", f"{_plain(row.device)}|{place.kind} {family} {options}".strip(), precision, network,
        next((name for pattern, name in FAMILIES if re.search(pattern, row.network.lower())), "other"),
        _plain(row.notes) if "layers" in row.cells else "", structure.macs, structure.params, known, _features(row, structure),
    )  # fmt: skip


def _plain(text: str) -> str:
    """Return a text that can be part of the name of an effect (`|` stands between the parts)."""
    return text.replace("|", "/").strip()


def _precision(row: Row) -> str:
    text = row.precision.lower()
    if "float" in text and row.core.lower().startswith("hexagon"):
        return "fp16"  # the NPU has no float32
    found = next(name for pattern, name in PRECISIONS if re.search(pattern, text))
    return f"{found} mixed" if "mixed" in text else found


def _structure(row: Row, size: str) -> tuple[Facts, bool]:
    """Return the network's structure: the row's own columns first, then its name, then a guess; and whether it was no guess."""
    height, width = resolution(size or " ".join(re.findall(r"\d+\s*x\s*\d+", row.network)))
    found = facts(row.network, height, width)
    params = _params(row)
    macs = row.macs
    if found is not None:
        if not isfinite(macs):
            ratio = params / found.params if params > 0 and found.params > 0 else 1.0
            macs = found.macs * (1.0 if 0.8 < ratio < 1.25 else ratio)  # the name stands for another size of the family
        params = params if params > 0 else found.params
        height, width = (height, width) if height > 0 else (found.height, found.width)
    known = isfinite(macs)
    if not known and params > 0:
        macs = guessed_macs(
            params,
            height,
            width,
            per_pixel=bool(re.search(r"esr|sesr|xlsr|quicksr|super", f"{row.network} {row.notes}".lower())),
        )
    base = found or Facts(slug(row.network))
    return Facts(
        base.name, macs, params, base.activations, base.layers, base.pointwise, base.depthwise, base.grouped, base.attention,
        height, width,
    ), known  # fmt: skip


def _features(row: Row, s: Facts) -> dict[str, float]:
    """Return the structure as numbers of about 1."""
    side = sqrt(s.height * s.width) if s.height * s.width > 0 else 224.0
    macs = s.macs if s.macs > 0 else 1e9
    params = s.params if s.params > 0 else macs / (USUAL_INTENSITY * (side / 224.0) ** 2)
    start, *slopes = ACTIVATIONS
    guess = start + sum(b * log(v) for b, v in zip(slopes, (macs, params, side), strict=True))
    activations = s.activations if s.activations > 0 else exp(guess)
    layers = row.number("layers") if row.text("layers") else s.layers
    name = row.network.lower()
    features = {
        "small": log(1 + 3e8 / macs),
        "large": log(1 + macs / 1e10),
        "params": log(params / USUAL_PARAMS),
        **{f"over {limit:g} M": 1 / (1 + (limit * MILLION / params) ** 3) for limit in ON_CHIP_MILLIONS},
        "activations": log(activations / USUAL_ACTIVATIONS),
        "side": log(side / 224.0),
        "layers": log(layers / USUAL_LAYERS) if layers > 0 else 0.0,
        "pointwise": s.pointwise if isfinite(s.pointwise) else 0.3,
        "depthwise": min(10 * s.depthwise, 3.0) if isfinite(s.depthwise) else 0.0,
        "grouped": s.grouped if isfinite(s.grouped) else 0.0,
        "smooth": float(bool(re.search(SMOOTH, name)) and not re.search(RECTIFIED, name)),
        "attention": min(5 * s.attention, 2.0) if isfinite(s.attention) else 0.0,
    }
    if row.text("npu_layers"):
        features["host layers"] = log(1 + max(0.0, layers - row.number("npu_layers")))
    return features


def _params(row: Row) -> float:
    """Return the column `params`: a number, or one with K, M or B (NaN when there is none, or it is not a number)."""
    found = re.fullmatch(r"([\d.]+)\s*([KMB]?)", row.text("params"), re.IGNORECASE)
    try:
        return float(found[1]) * {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}[found[2].upper()] if found else nan
    except ValueError:
        return nan
