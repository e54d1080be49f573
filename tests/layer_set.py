"""A small set of layers that together take every form, operand type, accumulator and rule of the integer kernels.

`python -m tests.layer_set NAMES [PATH]` prints what a process computes as JSON: name -> hash of all output bits. NAMES: with commas
between. PATH: compute as on another path, with the instructions of this machine.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

SHAPES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], int, dict[str, Any], str]] = {
    "lines": ("conv2d", (7, 18, 5), (3, 3), 21, {"pads": (1, 1, 1, 1)}, "bytes double"),
    "lines_strided": ("conv2d", (9, 31, 4), (3, 2), 40, {"stride": (2, 2), "pads": (0, 1, 1, 0)}, "bytes double_half_up_simd8"),
    "lines_dilated": ("conv2d", (9, 8, 6), (2, 3), 17, {"dilation": (3, 2), "pads": (2, 1, 0, 3)}, "bytes single"),
    "lines_grouped": ("conv2d", (6, 8, 6), (3, 3), 10, {"groups": 2, "pads": (1, 1, 1, 1)}, "bytes double"),
    "windows": ("conv2d", (9, 2, 7), (3, 2), 19, {"pads": (1, 0, 1, 1)}, "bytes double_half_up"),
    "windows_grouped": ("conv2d", (5, 3, 6), (3, 3), 9, {"groups": 3}, "bytes double"),
    "paired": ("conv2d", (6, 16, 3), (3, 3), 8, {"pads": (1, 1, 1, 1)}, "bytes double"),
    "turned": ("conv2d", (31, 1, 6), (4, 1), 18, {"stride": (2, 1), "pads": (3, 0, 0, 0)}, "bytes double"),
    "pixels": ("conv2d", (5, 7, 9), (1, 1), 35, {}, "bytes float64_half_away"),
    "lines_pixels": ("conv2d", (5, 8, 9), (1, 1), 20, {"stride": (2, 2)}, "bytes double"),
    "whole_image": ("conv2d", (3, 4, 5), (3, 4), 6, {}, "bytes double"),
    "lines_wide": ("conv2d", (6, 8, 5), (3, 3), 18, {"pads": (1, 1, 1, 1)}, "wide reduced_multiplier"),
    "windows_pairs": ("conv2d", (6, 9, 3), (3, 3), 18, {"pads": (1, 1, 1, 1)}, "pairs float32_half_even"),
    "lines_narrow": ("conv2d", (6, 8, 5), (3, 3), 18, {"pads": (1, 1, 1, 1)}, "saturate18 double"),
    "depthwise": ("depthwise_conv2d", (7, 9, 20), (3, 3), 20, {"pads": (1, 1, 1, 1)}, "bytes double"),
    "depthwise_few": ("depthwise_conv2d", (6, 8, 4), (3, 3), 4, {"pads": (1, 1, 1, 1)}, "bytes float32_half_even"),
    "depthwise_times_3": ("depthwise_conv2d", (8, 9, 7), (3, 5), 21, {"stride": (2, 2), "pads": (1, 2, 1, 2)}, "bytes double"),
    "depthwise_dilated": ("depthwise_conv2d", (9, 9, 16), (2, 3), 16, {"dilation": (2, 2)}, "bytes double_half_up"),
    "depthwise_wide": ("depthwise_conv2d", (7, 8, 18), (3, 3), 18, {"pads": (1, 1, 1, 1)}, "wide reduced_multiplier"),
    "depthwise_narrow": ("depthwise_conv2d", (7, 8, 18), (3, 3), 18, {"pads": (1, 1, 1, 1)}, "saturate14 double"),
    "rows": ("fully_connected", (130,), (), 70, {"activation": "relu"}, "bytes double"),
    "rows_float32": ("fully_connected", (61,), (), 49, {}, "bytes float32_half_even"),
    "rows_wrap": ("fully_connected", (66,), (), 33, {}, "wrap20 double"),
    "rows_int4": ("fully_connected", (75,), (), 20, {}, "int4 double"),
    "rows_int2": ("fully_connected", (75,), (), 20, {}, "int2 double_half_up"),
    "rows_narrow": ("fully_connected", (66,), (), 33, {}, "saturate16 double"),
    "rows_words": ("fully_connected", (66,), (), 50, {}, "words double"),
    "rows_wide": ("fully_connected", (600,), (), 20, {}, "wide float64_half_away"),
    "matrices": ("batch_matmul", (7, 30), (), 18, {}, "bytes double"),
    "matrices_wide": ("batch_matmul", (7, 30), (), 18, {}, "wide reduced_multiplier"),
    "lines_shift": (
        "conv2d",
        (7, 18, 5),
        (3, 3),
        21,
        {"pads": (1, 1, 1, 1), "activation": "relu"},
        "bytes power_of_two_half_up",
    ),
    "lines_shift_wide": ("conv2d", (6, 8, 5), (3, 3), 18, {"pads": (1, 1, 1, 1)}, "wide power_of_two_half_even"),
    "lines_icn": ("conv2d", (6, 8, 5), (3, 3), 18, {"pads": (1, 1, 1, 1)}, "a4 icn"),
    "lines_shift_narrow": ("conv2d", (6, 8, 5), (3, 3), 18, {"pads": (1, 1, 1, 1)}, "saturate18 power_of_two_half_up"),
    "depthwise_shift": ("depthwise_conv2d", (7, 9, 20), (3, 3), 20, {"pads": (1, 1, 1, 1)}, "bytes power_of_two_half_even"),
    "depthwise_floor": ("depthwise_conv2d", (7, 9, 20), (3, 3), 20, {"pads": (1, 1, 1, 1)}, "a2 multiplier_floor32"),
    "rows_floor": ("fully_connected", (66,), (), 33, {}, "a4 multiplier_floor"),
    "rows_rndnu": ("fully_connected", (61,), (), 49, {}, "bytes rndnu"),
    "rows_truncate": ("fully_connected", (61,), (), 49, {}, "bytes float32_truncate"),
    "matrices_shift": ("batch_matmul", (7, 30), (), 18, {}, "bytes power_of_two_half_even"),
}

"""Name -> (operator, x [H, W, C] or [K], kernel, outputs, attributes, "accumulator-and-bits rule")."""

SOME = ("lines", "depthwise_shift", "windows_pairs", "rows_wide", "rows_narrow", "rows_floor")
"""One of each driver, of each way to accumulate and of each family of rules; the first two take bytes."""


def layers() -> dict[str, Any]:
    """Return the layers, random but always the same; scales that spread the outputs over their range."""
    from tests.linear_layers import SX, SY, Layer, extremes, matrices
    from workbench.numerics.arithmetic import Arithmetic
    from workbench.ops import OPS
    from workbench.tensor import RANGES

    found = {}
    for seed, (name, (op, size, kernel, outputs, attrs, numbers)) in enumerate(SHAPES.items()):
        rng = np.random.default_rng(seed)
        kind, rule = numbers.split()
        bits = int("".join(c for c in kind if c.isdigit()) or 32) if kind[:3] == "sat" or kind[:4] == "wrap" else 32
        int16, wide = kind in ("words", "wide"), kind == "wide"
        weights = kind if kind[:3] == "int" else "int8"
        arithmetic = Arithmetic(
            requantize="double" if wide else rule.removesuffix("_floor32") + "_floor" * rule.endswith("_floor32"),  # type: ignore[arg-type]
            product_bits=32 if rule.endswith("_floor32") else 64,
            requantize_wide=rule if wide else "reduced_multiplier",  # type: ignore[arg-type]
            accumulator_bits=bits,
            overflow="saturate" if kind[:3] == "sat" else "saturate_int16_pairs" if kind == "pairs" else "wrap",
        )
        narrow = {"a4": "int4", "a2": "int2"}.get(kind, "")
        dtype, limits = ("int16", RANGES["int16"]) if int16 else ("int8", RANGES[narrow or "int8"])
        zero_points = (0, 0, 0) if int16 else (limits[0], 0, 0) if narrow else (-9, 14, 0)
        # Scales of a shifter are powers of two, and so are those that make them.
        shifts = rule.startswith("power_of_two")
        units = (np.float32(2.0**-6), np.float32(2.0**-4)) if shifts else (SX, SY)
        x = extremes(rng, *limits, (2, *size), dtype)
        depth = size[-1] if op != "depthwise_conv2d" else 1
        products = depth // attrs.get("groups", 1) * int(np.prod(kernel, dtype=int))
        scale = limits[1] / np.sqrt(products) / abs(limits[0]) / RANGES[weights][1]
        if op == "batch_matmul":
            y = extremes(rng, *limits, (2, outputs, size[-1]), dtype)
            scale = 2.0 ** np.floor(np.log2(scale)) if shifts else scale / 256 if int16 else scale
            made = matrices(x, y, scale, (*zero_points[:2], 0 if int16 else 93), arithmetic)
            found[name] = replace(made, units=units)
            continue
        shape = {
            "conv2d": (outputs, *kernel, depth // attrs.get("groups", 1)),
            "depthwise_conv2d": (1, *kernel, outputs),
            "fully_connected": (outputs, depth),
        }[op]
        w = extremes(rng, *RANGES[weights], shape, np.int8)
        bias = rng.integers(-9000, 9000, outputs).astype(np.int64 if wide else np.int32)
        spread = scale * 2.0 ** rng.uniform(-2, 1, outputs)
        spread = 2.0 ** np.floor(np.log2(spread)) if shifts else spread
        found[name] = Layer(op, OPS[op].attrs(**attrs), x, w, bias, spread, zero_points, arithmetic, weights, units, narrow)
    return found


def digest(array: Array) -> str:
    """Return a hash of type, shape and bits."""
    return hashlib.sha256(repr((array.dtype.str, array.shape)).encode() + array.tobytes()).hexdigest()


def compute_as(path: str) -> None:
    """Make this process compute as on a path: before any kernel is imported."""
    from workbench.numerics import cpu

    cpu.PATH, cpu.FORCED = cpu.PATHS[path], False
    if cpu.PATH.signed:
        from tests.micro_kernels import without_sdot
        from workbench.numerics import simd

        without_sdot(simd)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        compute_as(sys.argv[2])
    made = layers()
    json.dump({name: digest(made[name].run()) for name in sys.argv[1].split(",")}, sys.stdout)
