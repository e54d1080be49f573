"""Rows of single layers (layers.csv): what they did, in the kinds of `work`."""

from __future__ import annotations

import re
from math import isfinite, prod

from workbench.calibrate.cores import core_class
from workbench.calibrate.mcu_model import Facts
from workbench.calibrate.rows import Row
from workbench.calibrate.runtimes import runtime
from workbench.calibrate.work import Layer, of_layers

TABLE = "layers.csv"
MATRIX = ((r"^(dw|depthwise)", "depthwise"), (r"^conv", "convolution"), (r"^(fc|fully)", "fully_connected"))
"""Name of an operator -> sort of layer with products; the others work on elements."""


def facts_of(row: Row) -> Facts | str:
    """Return the facts of a row, or why it cannot be used."""
    clock = row.clock_hz
    if not isfinite(clock):
        return "no clock"
    op = re.sub(r"\s*\(fp32\)", "", row.text("op").lower())
    layer = _layer(row, op)
    if layer is None:
        return "no size of the layer"
    variant = row.text("kernel_variant")
    library = re.search(r"([\w.-]+)@(\w+)", row.text("source"))
    name = f"{library[1]} {variant}" if library and "esp-nn" in library[1] else variant
    ran = runtime(name)
    if layer.op == "depthwise" and not row.text("w_shape").startswith("1x"):
        op += " multiplier"  # kernels of their own: several outputs a channel
    stride = "" if row.text("stride").removesuffix(".0") == "1" else row.text("stride")
    shape = " ".join(t for t in (op, row.text("in_shape") or f"{layer.elements:g}", row.text("w_shape"), stride) if t)
    return Facts(
        core=core_class(row.core, "", row.device), runtime=ran, device=row.device, network=shape, kin=op,
        work=of_layers([layer], inferences=0.0), clock_hz=clock, floats="fp32" in row.text("dtype"),
        op=op, variant="two cores" if re.search(r"\b2 cores", variant) else "", commit=library[2] if library else "",
        external=layer.weights if "XIP" in row.text("memory") else 0.0,
    )  # fmt: skip


def seconds(row: Row) -> float:
    """Return the measured time (NaN when the row has none)."""
    cycles = row.number("cycles")
    return cycles / row.clock_hz if isfinite(cycles) else row.number("us") * 1e-6


def _sizes(text: str) -> list[int]:
    """Return the numbers of `24x24x32`, of `1x3x3x16 (mult x kh x kw x ch)`, of `8x3x3x1 (mult 8)`."""
    return [int(n) for n in re.findall(r"\d+", re.sub(r"\(.*", "", text))]


def _layer(row: Row, op: str) -> Layer | None:
    sort = next((found for pattern, found in MATRIX if re.search(pattern, op)), "other")
    inputs, kernel, outputs = (_sizes(row.text(c)) for c in ("in_shape", "w_shape", "out_shape"))
    macs = row.macs
    if sort == "other" or not isfinite(macs):
        elements = prod(inputs) if inputs else _noted(row.notes)
        return Layer("other", elements=elements, outputs=elements) if elements else None
    if sort == "fully_connected":
        read = prod(inputs) if inputs else 0
        return Layer(sort, macs, macs / read if read else 0.0, macs, inputs[-1] if inputs else 0)
    window = prod(kernel[1:3]) if len(kernel) == 4 else 1
    channels = 1 if sort == "depthwise" else inputs[-1] if inputs else 4
    return Layer(sort, macs, prod(outputs), prod(kernel), channels, window)


def _noted(notes: str) -> float:
    """Return the elements that the remarks speak of: `size = 1615`, `width: 256`, `h: 8, w: 32`, `input(16,16), filter (1x3x3x16)`."""
    if found := re.search(r"(?:size|width)\W+(\d+)", notes):
        return float(found[1])
    if found := re.search(r"h: (\d+), w: (\d+)", notes):
        return float(found[1]) * float(found[2])
    found = re.search(r"input\s?\((\d+),\s?(\d+)\).*filter\s?\((\d+)x(\d+)x(\d+)x(\d+)\)", notes)
    return float(prod(int(found[i]) for i in (1, 2, 6))) if found else 0.0
