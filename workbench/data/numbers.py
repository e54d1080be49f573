"""Stored numbers made into those that a model was trained on, and the refusal of what contradicts its input."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.data.pixels import reshape_pixels
from workbench.data.spec import Preprocess
from workbench.errors import InputError

Array = npt.NDArray[Any]


class Wanted(NamedTuple):
    """One input of a model: shape without the batch, type as NumPy names it. quantized: integers with a scale, which real numbers
    become by themselves; plain: integers without one (tokens, indices). streams: the model keeps state, [streams, frames, ...] fits."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantized: bool
    plain: bool
    streams: bool = False

    def is_streams(self, x: Array) -> bool:
        """True for samples that are streams of frames of a model with state."""
        return self.streams and x.shape[2:] == self.shape and x.ndim == len(self.shape) + 2

    def __str__(self) -> str:
        more = ", quantized: real numbers fit too" if self.quantized else ""
        return f"input '{self.name}' wants {self.dtype} [{', '.join(('N', *map(str, self.shape)))}]{more}"


def preprocess(x: Array, p: Preprocess, pictures: bool) -> Array:
    """Return samples as a study writes them down (see `Preprocess`). pictures: x is uint8 [N, H, W, C], cropped and resized already."""
    if not pictures:
        x = _pixels(x, p)
    channels = _channel_axis(x, p, pictures)
    y = x
    if p.range is not None:
        if x.dtype.kind not in "iu":
            raise InputError(
                f"preprocess.range is for integers, whose whole range it maps; the samples are {x.dtype}. Use scale."
            )
        info = np.iinfo(x.dtype)
        low, high = p.range
        y = (x.astype(np.float64) - info.min) * ((high - low) / (float(info.max) - info.min)) + low
    elif p.scale is not None:
        y = x.astype(np.float32) * np.float32(p.scale)
    if p.mean is not None or p.std is not None:
        y = y.astype(np.float32)
        y = y - _per_channel(p.mean or (0.0,), y, channels, "mean")
        y = y / _per_channel(p.std or (1.0,), y, channels, "std")
    if y is not x:
        y = y.astype(np.float32)
    stored = p.stored_layout or ("NHWC" if pictures else p.layout)
    if p.layout is not None and stored != p.layout:
        if y.ndim != 4:
            raise InputError(
                f"preprocess.layout is {p.layout}; samples are {y.shape}, no pictures [N, H, W, C] or [N, C, H, W]."
            )
        y = np.moveaxis(y, -1, 1) if p.layout == "NCHW" else np.moveaxis(y, 1, -1)
    return np.ascontiguousarray(y if p.dtype is None else _cast(y, p.dtype))


def _pixels(x: Array, p: Preprocess) -> Array:
    """Return arrays of pictures cropped, resized, recoloured, in the layout in which they are stored."""
    if not p.moves_pixels:
        return x
    if x.ndim == 3:  # one channel that is not written down
        x = x[..., None] if (p.stored_layout or p.layout) != "NCHW" else x[:, None]
    if x.ndim != 4:
        raise InputError(
            f"preprocess: crop, resize and colour need pictures [N, H, W, C] or [N, C, H, W]; samples are {x.shape}."
        )
    first = (p.stored_layout or p.layout) == "NCHW"
    y = reshape_pixels(np.moveaxis(x, 1, -1) if first else x, p)
    return np.moveaxis(y, -1, 1) if first else y


def _channel_axis(x: Array, p: Preprocess, pictures: bool) -> int:
    return 1 if not pictures and (p.stored_layout or p.layout) == "NCHW" else -1


def _per_channel(values: tuple[float, ...], x: Array, axis: int, key: str) -> npt.NDArray[np.float32]:
    if len(values) > 1 and (x.ndim < 2 or x.shape[axis] != len(values)):
        raise InputError(f"preprocess.{key} has {len(values)} numbers; the samples {x.shape} have {x.shape[axis]} channels.")
    shape = [1] * x.ndim
    if len(values) > 1:
        shape[axis] = len(values)
    return np.array(values, np.float32).reshape(shape)


def _cast(x: Array, dtype: str) -> Array:
    """Return x in another type; integers must hold the values."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return x.astype(kind)
    info = np.iinfo(kind)
    rounded = np.rint(x) if x.dtype.kind == "f" else x
    if x.size and not info.min <= float(rounded.min()) <= float(rounded.max()) <= info.max:
        raise InputError(f"preprocess.dtype is {dtype}, but the numbers go from {x.min():g} to {x.max():g}.")
    return rounded.astype(kind)


def without_ones(x: Array, shape: tuple[int, ...]) -> Array:
    """Return samples in a shape that differs by sides of 1 alone (a single channel first, last or not written): the same bytes."""
    same = [n for n in x.shape[1:] if n != 1] == [n for n in shape if n != 1]
    return x.reshape(len(x), *shape) if same else x


def check_fit(x: Array, want: Wanted, stated: bool, where: str) -> None:
    """Raise InputError, with what the model wants, what came and the way out, unless samples fit an input.

    stated: it was said which real numbers stored integers mean.
    """
    way = _shape_problem(x, want) if x.shape[1:] != want.shape and not want.is_streams(x) else _type_problem(x, want, stated)
    if way:
        raise InputError(f"{where}: the model's {want}; the samples are {x.dtype} [{', '.join(map(str, x.shape))}].\n{way}")


def _shape_problem(x: Array, want: Wanted) -> str:
    came, fits = x.shape[1:], want.shape
    if len(came) == len(fits) == 3:
        if (came[2], came[0], came[1]) == fits:
            return "Channels stand last in the samples and first in the model: add preprocess: {layout: NCHW, stored_layout: NHWC}."
        if (came[1], came[2], came[0]) == fits:
            return "Channels stand first in the samples and last in the model: add preprocess: {layout: NHWC, stored_layout: NCHW}."
        first = fits[0] in (1, 3) and fits[2] not in (1, 3)
        size, channels = (fits[1:], fits[0]) if first else (fits[:2], fits[2])
        own = came[0] if came[0] in (1, 3) and came[2] not in (1, 3) else came[2]
        if channels != own:
            colour = "grey" if channels == 1 else "rgb"
            return f"The model has {channels} channels, the samples {own}: preprocess: {{colour: {colour}}} makes that of pictures."
        return f"Other size: add preprocess: {{resize: {list(size)}}}" + (", and layout: NCHW." if first else ".")
    if int(np.prod(came)) == int(np.prod(fits)):
        return "The same numbers in another shape: store them in the model's."
    return "Samples of this shape do not fit."


def _type_problem(x: Array, want: Wanted, stated: bool) -> str:
    if str(x.dtype) == want.dtype and (x.dtype.kind != "f" or not want.plain):
        return ""
    if want.plain:
        return "" if x.dtype.kind in "iub" else f"The input takes integers as they are; store them as {want.dtype}."
    if x.dtype.kind in "iub" and not want.quantized:
        if stated:
            return ""
        return (
            "Raw integers may mean any real numbers: say which. scale: 1 gives them as they are, "
            f"scale: {1 / 255:.9g} makes 0..255 to 0..1, preprocess: {{range: [-1, 1]}} the whole range of the type to -1..1."
        )
    if x.dtype.kind in "iub":
        return (
            f"Integers of another type are no raw {want.dtype}: give the real numbers they mean (scale, mean, std or range), "
            "which are quantized with the input's own scale."
        )
    return ""
