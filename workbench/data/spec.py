"""Where samples come from and what is done to them, as records: the same keys in a study and in a file for `--data`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Method = Literal["nearest", "bilinear", "bicubic", "lanczos", "box"]
Layout = Literal["NHWC", "NCHW"]
Colour = Literal["rgb", "bgr", "grey"]


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _list(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


Numbers = Annotated[tuple[float, ...], BeforeValidator(_list), Field(min_length=1)]


class Strict(BaseModel):
    """Base: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Preprocess(Strict):
    """What is done to a sample, in this order.

    central: the largest square in the middle ('square'), or this share of height and width. resize: [H, W], or the length of the
    shorter side; method: of Pillow, which averages what it makes smaller. crop: [H, W] from the middle. colour: of pictures, and of
    arrays with 3 channels where it turns them. Then numbers, in float32: range: integers' whole range becomes [low, high]; or
    x * scale; then (x - mean) / std, one number or one per channel. layout: what is handed to the model; stored_layout: of arrays in
    a file (default: the same). dtype: the type that is handed over.
    """

    central: float | Literal["square"] | None = None
    resize: int | tuple[int, int] | None = None
    method: Method = "bilinear"
    crop: tuple[int, int] | None = None
    colour: Colour | None = None
    range: tuple[float, float] | None = None
    scale: float | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    layout: Annotated[Layout, BeforeValidator(_upper)] | None = None
    stored_layout: Annotated[Layout, BeforeValidator(_upper)] | None = None
    dtype: Literal["float32", "float16", "uint8", "int8", "int16", "int32", "int64"] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Preprocess:
        sizes = [v for v in (self.resize, self.crop) if v is not None]
        if any(not 1 <= side <= MAX_SIDE for v in sizes for side in ((v,) if isinstance(v, int) else v)):
            raise ValueError(f"sides are 1 to {MAX_SIDE} pixels")
        if isinstance(self.central, float) and not 0.0 < self.central <= 1.0:
            raise ValueError("central is 'square' or a share above 0 and up to 1")
        if self.range is not None and (self.scale is not None or self.range[0] >= self.range[1]):
            raise ValueError("range is [low, high] with low < high, and takes the place of scale")
        if self.std is not None and 0.0 in self.std:
            raise ValueError("std must not be 0")
        if self.scale == 0.0:
            raise ValueError("scale must not be 0")
        return self

    @property
    def says_numbers(self) -> bool:
        """True when it is stated which real numbers stored integers mean."""
        return any(v is not None for v in (self.range, self.scale, self.mean, self.std, self.dtype))

    @property
    def moves_pixels(self) -> bool:
        """True when samples are handled as pictures."""
        return any(v is not None for v in (self.central, self.resize, self.crop, self.colour))


MAX_SIDE = 8192


class InputSource(Strict):
    """One input of several: its array (or columns of a CSV), and what is done to it."""

    array: str | tuple[str, ...]
    preprocess: Preprocess | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return value if isinstance(value, Mapping) else {"array": value}


class DataSource(Strict):
    """Samples of a file or folder: NPZ, NPY, CSV, a folder of NPY files or of pictures.

    In YAML also short: `file.npz#split` (arrays `split_x` and `split_y`), or the path of anything else. inputs: name of an array of
    an NPZ, columns of a CSV, or a mapping from the model's inputs to these. labels: an array, a column, a CSV with columns `file` and
    `label` for a folder, or `folders`: the names of its folders. classes: names of labels in the model's order (default: sorted).
    files: an array or column that says which file a window is of. first, count: which samples. scale, shift: x * scale + shift in
    float32. preprocess: more than that.
    """

    file: str
    inputs: str | tuple[str, ...] | dict[str, InputSource] | None = None
    labels: str | None = None
    classes: tuple[str, ...] | None = None
    files: str | None = None
    first: int = Field(default=0, ge=0)
    count: int | None = Field(default=None, ge=1)
    scale: float | None = None
    shift: float = 0.0
    preprocess: Preprocess | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        file, mark, split = value.partition("#")
        if file.endswith(".npz") and not (mark and split):
            raise ValueError(
                f"expected 'file.npz#split' (arrays split_x and split_y), found '{value}'; {{file: {file}}} takes its array x, or the "
                "only one"
            )
        return {"file": file, "inputs": f"{split}_x", "labels": f"{split}_y"} if mark else {"file": file}

    @field_validator("inputs", mode="before")
    @classmethod
    def _columns(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("classes", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return tuple(map(str, value)) if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _one_way(self) -> DataSource:
        if self.preprocess is not None and (self.scale is not None or self.shift):
            raise ValueError("scale and shift stand beside preprocess; write them in it (scale, mean)")
        if isinstance(self.inputs, dict) and (self.preprocess is not None or self.scale is not None or self.shift):
            raise ValueError("with several inputs, preprocess stands with each: inputs: {name: {array: x, preprocess: {...}}}")
        return self
