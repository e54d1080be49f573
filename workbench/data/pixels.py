"""Pictures as arrays, through Pillow: decoded, cropped, resized, in the colours that a model was trained with."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from workbench.data.spec import Colour, Preprocess
from workbench.errors import InputError

Array = npt.NDArray[Any]

MAX_PIXELS = 64 * 2**20
"""Most pixels of a picture before it is cropped or resized."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
MODES = ("1", "L", "P", "PA", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Modes of 8 bits: others (16 bits, floats) would be cut."""

METHODS = {
    "nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX,
}  # fmt: skip


def read_picture(path: Path, colour: Colour, p: Preprocess) -> npt.NDArray[np.uint8]:
    """Return a picture as uint8 [H, W, C], cropped and resized. What the file says of its orientation is not followed.

    Raises InputError for what is no picture, is cut off, has more than 8 bits a channel, or is too large.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{path}: {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} fit.")
            if image.mode not in MODES:
                raise InputError(f"{path}: a picture of mode {image.mode}; those with 8 bits a channel can be read.")
            plain = image.convert("L" if colour == "grey" else "RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as problem:
        raise InputError(f"{path}: not a readable picture: {_reason(problem)}.") from None
    pixels = np.asarray(_shaped(plain, p))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return np.asarray(pixels[..., ::-1] if colour == "bgr" else pixels, np.uint8)


def _reason(problem: BaseException) -> str:
    if isinstance(problem, UnidentifiedImageError):
        return "its content is of no known kind"
    return getattr(problem, "strerror", None) or str(problem).split("\n")[0].removesuffix(".") or type(problem).__name__


def reshape_pixels(x: Array, p: Preprocess) -> Array:
    """Return pictures [N, H, W, C] of an array cropped, resized and recoloured; integers of 8 bits stay such, others are float32."""
    if p.central is None and p.resize is None and p.crop is None:
        return recolour(x, p.colour)
    found = [np.stack([_channel(x[i, :, :, c], p) for c in range(x.shape[3])], axis=-1) for i in range(len(x))]
    return recolour(np.stack(found), p.colour)


def _channel(plane: Array, p: Preprocess) -> Array:
    image = Image.fromarray(np.ascontiguousarray(plane if plane.dtype == np.uint8 else plane.astype(np.float32)))
    return np.asarray(_shaped(image, p))


def recolour(x: Array, colour: Colour | None) -> Array:
    """Return arrays of 3 channels (RGB) as BGR or grey (ITU-R 601-2: (299 R + 587 G + 114 B) / 1000); others as they are."""
    if x.shape[-1] != 3 or colour in (None, "rgb"):
        return x
    if colour == "bgr":
        return np.asarray(x[..., ::-1])
    grey = (x.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))[..., None]
    return np.asarray(np.floor(grey + 0.5) if x.dtype.kind in "iu" else grey).astype(x.dtype)


def _shaped(image: Image.Image, p: Preprocess) -> Image.Image:
    width, height = image.size
    if p.central is not None:
        side = min(width, height)
        w, h = (side, side) if p.central == "square" else (max(1, round(width * p.central)), max(1, round(height * p.central)))
        image = _middle(image, w, h)
    if p.resize is not None:
        image = image.resize(_target(image.size, p.resize), METHODS[p.method])
    if p.crop is not None:
        h, w = p.crop
        if w > image.width or h > image.height:
            raise InputError(f"preprocess.crop is {[h, w]}, larger than a picture of {image.height} x {image.width} pixels.")
        image = _middle(image, w, h)
    return image


def _middle(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _target(size: tuple[int, int], resize: int | tuple[int, int]) -> tuple[int, int]:
    """Return (width, height): as said [H, W], or with the shorter side of this length."""
    if not isinstance(resize, int):
        return resize[1], resize[0]
    width, height = size
    factor = resize / min(width, height)
    if max(width, height) * factor > 8 * resize:
        raise InputError(f"a picture of {height} x {width} pixels is too long and thin for resize: {resize}; say [H, W].")
    return max(1, math.floor(width * factor + 0.5)), max(1, math.floor(height * factor + 0.5))
