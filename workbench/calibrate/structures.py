"""The work of the network of a row: from its columns, else from its name, else from its multiply-accumulates."""

from __future__ import annotations

import re
from dataclasses import replace
from math import isfinite, nan, prod

from workbench.calibrate import named, named_zoo
from workbench.calibrate.network_facts import Facts, facts
from workbench.calibrate.rows import Row, Tables
from workbench.calibrate.work import KINDS, SHALLOW, Layer, Work, of_layers

LAYER_TABLE = "mlperf_tiny_model_layers.csv"
BENCHMARKS = {
    "kws": ("dscnn", 1.0, None, 12),
    "vww": ("mobilenetv1", 0.25, (96, 96, 3), 2),
    "ic": ("resnet8", 1.0, None, 10),
    "ad": ("autoencoder", 1.0, None, 0),
    "sww": ("streamingdscnn", 1.0, None, 3),
}
"""Benchmark of MLPerf Tiny -> (architecture, width, resolution, classes)."""
PERSON = ("mobilenetv1", 0.25, (96, 96, 1), 2)
"""The example network of TFLite Micro (`person_detection`): MobileNetV1 0.25 on grey images."""

NOISE = re.compile(
    r"(?<![a-z0-9])(st|tfs|fft|tl|int8|fp32|s8|s16|s3|p4|v\d|h5|tflite|onnx|per|channel|tensor|model|quant|8classes)(?![a-z0-9])"
)
"""Words of a model's name that say how it was trained, stored or packaged, not what it computes."""
FAMILIES = (
    (r"fd-?_?mobilenet", "fdmobilenet"),
    (r"ssd_?mobilenet|ssd.?mobilenet", "ssdmobilenet"),
    (r"mobilenet_?v?2|mobilenetv2|mbv2", "mobilenetv2"),
    (r"mobilenet_?v?3", "mobilenetv3"),
    (r"mobilenet", "mobilenetv1"),
    (r"efficientnet", "efficientnet"),
    (r"mcunet|proxyless", "mcunet"),
    (r"squeezenet", "squeezenet"),
    (r"st_hand_?posture", "handposture"),
    (r"tiny_?-?yolo_?-?v?2", "tinyyolov2"),
    (r"yolo\s?-?(v?\d+)", "yolo"),
    (r"espdet", "espdet"),
    (r"resnet[ _-]?(v\d_)?8(?!\d)", "resnet8"),
    (r"resnet", "resnet"),
    (r"svc", "svc"),
    (r"\bign|\bgmp", "har"),
)
SORTS = {
    "separable": ("fdmobilenet", "ssdmobilenet", "mobilenetv1"),
    "inverted": ("mobilenetv2", "mobilenetv3", "efficientnet", "mcunet"),
    "fully_connected": ("svc",),
}
"""Sort of network -> families of it; the others are convolutional."""
MIXES = {
    "separable": {"pointwise": 0.80, "depthwise": 0.12, "shallow": 0.08},
    "inverted": {"pointwise": 0.83, "depthwise": 0.12, "shallow": 0.05},
    "convolution": {"convolution": 0.90, "pointwise": 0.07, "shallow": 0.03},
    "fully_connected": {"fully_connected": 1.0},
}
"""Sort of network -> shares of the multiply-accumulates, as in MobileNetV1 of width 0.25 to 1, MobileNetV2 of width 0.5, ResNets."""
OUTPUTS = {"separable": 0.03, "inverted": 0.045, "convolution": 0.009, "fully_connected": 0.006}
"""Output elements per multiply-accumulate: of the same networks."""
LAYERS = {"separable": 30, "inverted": 65, "convolution": 25, "fully_connected": 6}
LARGEST_SIDE = 2**16
"""Of an image or of its channels; what is larger is no size."""
SAME_MACS = 0.05
"""Multiply-accumulates that agree within this are of the same network."""
TOOLS_COUNT = 0.2
"""What a tool may count besides products, of the multiply-accumulates that it reports: activations and biases of tiny networks (of the
STM32 model zoo's own, whose names are believed before any column)."""
GUESSED_NAME, GUESSED_MIX = 0.1, 0.15
"""Log standard deviations of cycles: the structure known by name alone, only the multiply-accumulates."""


def resolution(text: str) -> tuple[int, int, int] | None:
    """Return height, width, channels of `224x224x3`, `64 x 50 x 1` or `input 416 * 416 * 3`; None without three positive numbers."""
    found = re.search(r"(\d+)\s*\\?[x*×]\s*(\d+)\s*\\?[x*×]\s*(\d+)", text)
    shape = (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
    return shape if min(shape) > 0 and max(shape) <= LARGEST_SIDE else None


def family(name: str) -> str:
    """Return the family of architectures of a model's name, '' for an unknown one."""
    low = name.lower()
    return next((found for pattern, found in FAMILIES if re.search(pattern, low)), "")


def width(name: str) -> float:
    """Return the width multiplier in a name (0.25, a025, 0_5, 025, w0.3), 1 where there is none."""
    found = re.search(r"(?<![a-z\d.])[awx]?([01])[._]?(\d{1,2})(?![\dx.])", re.sub(r"v[123]", "", name.lower()))
    value = float(f"{found[1]}.{found[2]}") if found else 1.0
    return value if 0.05 <= value <= 1.5 else 1.0


def side(name: str) -> int | None:
    """Return the resolution in a name (`_224`, `r64`): the first number from 24 to 1280 that stands alone."""
    found = [int(n) for n in re.findall(r"(?<![\d.])r?(\d{2,4})(?![\d.])", name) if 24 <= int(n) <= 1280]
    return found[0] if found else None


def described(row: Row) -> tuple[str, float, tuple[int, int, int] | None, int | None] | None:
    """Return architecture, width, resolution and classes of a network that is known by its name."""
    name = row.network.lower()
    if row.table == "mlperf_tiny.csv" and name in BENCHMARKS:
        return BENCHMARKS[name]
    if "person_detect" in name:
        return PERSON
    if own := named_zoo.architecture(name):
        shape = shape_of(row)
        return own, 1.0, (shape[0], 3, 1) if shape and own in named_zoo.OF_ACCELERATIONS else shape, None
    kind = family(name)
    return (kind, width(name), shape_of(row), None) if kind in named.ARCHITECTURES else None


def canonical(row: Row) -> str:
    """Return one name for the same network under the names of several releases (`mobilenetv1 0.25 96x96x3`)."""
    found = described(row)
    if found is not None:
        return f"{found[0]} {found[1]:g} {'x'.join(map(str, found[2] or named.ARCHITECTURES[found[0]][1]))}"
    kind, shape = family(row.network), shape_of(row)
    wide = kind in ("ssdmobilenet", "efficientnet")
    words = f"{kind} {width(row.network):g}" if wide else " ".join(_words(row.network))
    return f"{words} {'x'.join(map(str, shape))}" if shape else words


def _words(name: str) -> list[str]:
    """Return the words of a model's name that say what it computes, without the folder before a colon."""
    stem = re.sub(r"\.(tflite|h5|onnx)$", "", name.lower().rsplit(":", 1)[-1])
    return [w for w in re.split(r"[^a-z0-9.]+", stem) if w and not NOISE.fullmatch(w)]


def shape_of(row: Row) -> tuple[int, int, int] | None:
    """Return the input of a row: its column, its remarks, else the numbers in the name."""
    shape = resolution(row.text("resolution")) or resolution(row.notes) or resolution(row.network)
    number = side(row.network)
    return shape or ((number, number, 1 if "gray" in row.network.lower() else 3) if number else None)


def of_row(row: Row, tables: Tables) -> Work | None:
    """Return the work of the network of a row, None where nothing is known of it.

    From the table of layers, the architecture of that name (when it has the multiply-accumulates that the row gives), the row's
    columns, those of another row of the same network; else from the multiply-accumulates and the family, else from the family.
    """
    from_name = _named(row)
    macs = row.macs
    if from_name is not None and named_zoo.architecture(row.network) and alike(from_name.macs, macs, TOOLS_COUNT):
        return from_name
    if row.table == "mlperf_tiny.csv":
        return _listed(row, tables) or from_name
    if from_name is not None and isfinite(macs) and alike(from_name.macs, macs):
        return from_name
    if isfinite(row.number("macs_conv")):
        return _columns(row)
    if from_name is not None and not isfinite(macs):
        return replace(from_name, spread=GUESSED_NAME)
    relative = _relative(row, tables)
    if relative is not None:
        return scaled(relative, macs / relative.macs if isfinite(macs) else 1.0)
    public = _public(row)
    if public is not None:
        return _of_facts(public, row)
    kind = family(row.network)
    if kind == "svc" and isfinite(row.number("weights_flash_kib")):
        return _kernel_machine(row.number("weights_flash_kib") * 1024 / 4, row)
    if isfinite(macs):
        sort = next((name for name, members in SORTS.items() if kind in members), "convolution")
        return _mixed(macs, sort, row, GUESSED_MIX)
    return None


def alike(counted: float, stated: float, within: float = SAME_MACS) -> bool:
    """Return whether a row's multiply-accumulates, where it gives any, are those of a definition."""
    return not isfinite(stated) or abs(counted / stated - 1) < within


def _public(row: Row) -> Facts | None:
    """Return the facts of a public network of that name, at the resolution of the row."""
    height, width, _ = shape_of(row) or (nan, nan, 0)
    name = "_".join(w for w in _words(row.network) if not (w.isdigit() and int(w) >= 24))
    return facts(name, height, width) or facts(re.sub(r"v\d$", "", name), height, width)


def _of_facts(known: Facts, row: Row) -> Work:
    """Return the work of a public network, scaled to the multiply-accumulates of the row where it gives them."""
    macs = row.macs if isfinite(row.macs) else known.macs
    first = min(_first_layer(row), macs * (1 - known.pointwise - known.depthwise))
    counts = dict.fromkeys(KINDS, 0.0)
    counts |= {"pointwise": macs * known.pointwise, "depthwise": macs * known.depthwise, "inference": 1.0}
    counts["convolution"] = macs - counts["pointwise"] - counts["depthwise"] - first
    counts["shallow"] = first * SHALLOW / (shape_of(row) or (0, 0, 3))[2]
    counts["output"] = (
        (known.activations if isfinite(known.activations) else known.macs * OUTPUTS["convolution"]) * macs / known.macs
    )
    counts["layer"] = known.layers if isfinite(known.layers) else LAYERS["convolution"]
    return Work(counts, macs, known.params, GUESSED_NAME)


def _relative(row: Row, tables: Tables) -> Work | None:
    """Return the work of the first row of the same table and the same network that gives its columns."""
    name = canonical(row)
    for other in tables.rows(row.table):
        if isfinite(other.number("macs_conv")) and canonical(other) == name:
            return _columns(other)
    return None


def scaled(work: Work, factor: float) -> Work:
    """Return the work with its multiply-accumulates, outputs and elements scaled."""
    fixed = ("layer", "inference")
    counts = {k: v if k in fixed else v * factor for k, v in work.counts.items()}
    return Work(counts, work.macs * factor, work.weights, work.spread)


def _listed(row: Row, tables: Tables) -> Work | None:
    """Return the work of a benchmark from the table of layers."""
    wanted = f"{row.network}_{'fp32' if row.precision == 'fp32' else 'int8'}"
    sorts = {"conv": "convolution", "conv1x1": "convolution", "dw": "depthwise", "fc": "fully_connected"}
    layers = []
    for r in tables.rows(LAYER_TABLE) if LAYER_TABLE in tables else ():
        if r.text("model") == wanted and r.text("op") != "RESHAPE":
            op = sorts.get(r.text("type"), "other")
            inputs, kernel = _dims(r.text("in_shape")), _dims(r.text("w_shape"))
            elements = max(prod(inputs), _given(r, "out_elems"))
            layers.append(Layer(
                op, _given(r, "macs"), _given(r, "out_elems"), _given(r, "weights"), inputs[-1] if inputs and op != "depthwise" else 1,
                prod(kernel[1:-1]) if kernel else 1, 0.0 if op != "other" else elements,
            ))  # fmt: skip
    return of_layers(layers) if layers else None


def _dims(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]


def _named(row: Row) -> Work | None:
    found = described(row)
    layers = named.layers(*found) if found is not None else None
    return of_layers(layers) if layers else None


def _columns(row: Row) -> Work:
    """Return the work of a row that gives its multiply-accumulates by type of operator, outputs and operators."""
    counts = dict.fromkeys(KINDS, 0.0)
    for kind, column in (("pointwise", "macs_conv1x1"), ("depthwise", "macs_dw"), ("fully_connected", "macs_fc")):
        counts[kind] = _given(row, column)
    convolutions = _given(row, "macs_conv")
    first, channels = min(convolutions, _first_layer(row)), (shape_of(row) or (0, 0, SHALLOW))[2]
    macs = sum(counts.values()) + convolutions
    counts["shallow"] = first * SHALLOW / max(channels, 1)
    counts["convolution"] = convolutions - first
    counts["output"], counts["layer"], counts["inference"] = _given(row, "out_elems"), _given(row, "n_ops"), 1.0
    return Work(counts, macs, _given(row, "const_bytes"))


def _given(row: Row, column: str) -> float:
    value = row.number(column)
    return value if isfinite(value) else 0.0


def _first_layer(row: Row) -> float:
    """Return the multiply-accumulates of a 3x3 convolution on an image of fewer than 4 channels, as the usual networks begin.

    Stride 2 from 64 pixels on; 32 x width filters with depthwise layers, else 16.
    """
    shape = shape_of(row)
    if shape is None or shape[2] >= SHALLOW:
        return 0.0
    stride = 2 if min(shape[:2]) >= 64 else 1
    filters = 32 * width(row.network) if _given(row, "macs_dw") else 16
    return shape[0] * shape[1] / stride**2 * 9 * shape[2] * filters


def _kernel_machine(parameters: float, row: Row) -> Work:
    """Return the work of a support vector machine in float32: every element of a support vector is subtracted from the input and
    its square summed, which counts as two products. (Tools give a number of operations that is none of products.)
    """
    counts = {"fully_connected": 2 * parameters, "layer": 1.0, "inference": 1.0}
    return Work(counts, row.macs, parameters, GUESSED_MIX)


def _mixed(macs: float, sort: str, row: Row, spread: float) -> Work:
    counts = {k: macs * share for k, share in MIXES[sort].items()}
    counts |= {"output": macs * OUTPUTS[sort], "layer": float(LAYERS[sort]), "inference": 1.0}
    weights = row.number("params")
    return Work(counts, macs, weights if isfinite(weights) else 0.0, spread)
