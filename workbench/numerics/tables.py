"""Numeric tables that are part of a target's definition: one that is data, and one kind that is a formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

# fmt: off
SIGMOID_UINT16 = np.array([
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794, 41432, 42064, 42688, 43304,
    43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443, 48964, 49475, 49975, 50464, 50942, 51409, 51865, 52311,
    52745, 53169, 53581, 53983, 54374, 54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433, 57724, 58007, 58280,
    58544, 58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110, 61279, 61441, 61599, 61750,
    61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990, 63090, 63186, 63279, 63368, 63454, 63536, 63615,
    63691, 63765, 63835, 63903, 63968, 64030, 64090, 64148, 64204, 64257, 64308, 64357, 64405, 64450, 64494, 64536, 64576,
    64614, 64652, 64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900, 64926, 64950, 64974, 64997, 65019, 65039, 65060,
    65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234, 65246, 65258, 65269, 65280, 65291, 65301,
    65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367, 65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420,
    65425, 65429, 65433, 65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476, 65479,
    65481, 65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498, 65500, 65501, 65503, 65504, 65505, 65507, 65508,
    65509, 65510, 65511, 65512, 65513, 65514, 65515, 65516, 65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522,
    65523, 65523, 65524, 65524, 65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529,
    65529, 65530, 65530, 65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533,
    65533, 65533, 65533, 65533, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534,
    65535,
], np.uint16)
"""logistic(i / 24) in Q0.16 for i = 0 .. 255, as int16 logistic and tanh of TFLite interpolate it.

Source: `sigmoid_table_uint16` of TensorFlow Lite, kernels/internal/common.h (Apache-2.0, The TensorFlow Authors).
It is data, not round(65536 * logistic(i / 24)): 44 entries are one higher (entry 255 too), for no rule that is stated there.
"""
# fmt: on
SIGMOID_UINT16.flags.writeable = False

Array = npt.NDArray[Any]
Function = Callable[[Array], Array]
"""float64 in, float64 out."""


def _round(value: Array) -> Array:
    return np.copysign(np.floor(np.abs(value) + 0.5), value)


def interpolation_table(
    function: Function, x_min: float, x_max: float, precision: type[np.floating], y_scale: float | None = None
) -> npt.NDArray[np.int16]:
    """Return the 513 entries of TFLite's int16 table of a function, in units of 1 / 65536 of the output range.

    512 equal steps over [x_min, x_max]. Each entry but the last is moved by half the error that linear interpolation has at the
    middle of its step. y_scale: of the int16 output; None: the range [-1, 1] * 32768 / 32767.5, as softmax scales it. precision:
    LiteRT evaluates softmax's tables in float64, TFLM in float32, which moves two entries of 1 / (1 + x) by one (found by comparing
    with tflite-micro); the tables of elementwise functions are float32 in both. Where values are infinite, the corrections are not a
    number and the entry is 0, as the conversion of x86 leaves it.
    Source: LUTPopulateInt16 (TFLite common.h).
    """
    t = precision
    low, high = t(x_min), t(x_max)
    step = (high - low) / t(512)
    out = t(2.0) / t(65535.0) if y_scale is None else t(y_scale)
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        unit = t(65536) / (out * t(32767) - out * t(-32768))
        x = low + np.arange(513).astype(t) * step
        values = function(x) * unit
        sample = _round(values[:-1])
        interpolated = _round((values[1:] + sample) / t(2))
        error = interpolated - _round(function(x[:-1] + step / t(2)) * unit)
        entries = np.append(sample - _round(error / t(2)), _round(function(np.array([high], t)) * unit))
    return np.asarray(np.nan_to_num(np.clip(entries, -32768, 32767), nan=0.0), np.int16)


def interpolated(table: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Return what a table of 513 entries gives for every int16 value, lowest first: 7 fraction bits, rounded half up.

    Differences of neighbours and the result wrap to int16. Source: LUTLookup (TFLite common.h).
    """
    base = table[:-1].astype(np.int64)[:, None]
    slope = np.diff(table.astype(np.int64)).astype(np.int16).astype(np.int64)[:, None]
    return (base + ((slope * np.arange(128) + 64) >> 7)).astype(np.int16).reshape(-1)
