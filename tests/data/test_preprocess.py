"""Preprocessing: each step against NumPy or Pillow used plainly; what contradicts the model's input is refused with the way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.sources import PICTURE, pictures, read
from tests.networks import small_cnn
from workbench.data import Wanted
from workbench.data.numbers import check_fit, preprocess
from workbench.data.spec import Preprocess
from workbench.errors import InputError
from workbench.files import find_data, find_inputs, wanted_inputs

X = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), np.uint8)


def done(x: np.ndarray, **keys: object) -> np.ndarray:
    return preprocess(x, Preprocess.model_validate(keys), False)


def test_numbers_are_scaled_then_centred_in_float32() -> None:
    mean, std = np.float32([0.5, 0.25, 0.125]), np.float32([2, 3, 4])
    want = (X.astype(np.float32) * np.float32(1 / 255) - mean) / std
    got = done(X, scale=1 / 255, mean=mean.tolist(), std=std.tolist())
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want)
    first = np.moveaxis(X, -1, 1)
    np.testing.assert_array_equal(
        done(first, scale=1 / 255, mean=mean.tolist(), std=std.tolist(), layout="NCHW"), np.moveaxis(want, -1, 1)
    )
    np.testing.assert_array_equal(done(X, mean=3), X.astype(np.float32) - np.float32(3))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16])
def test_a_range_is_that_of_the_whole_type(dtype: type) -> None:
    info = np.iinfo(dtype)
    ends = np.array([[info.min], [info.max]], dtype)
    np.testing.assert_array_equal(done(ends, range=[-1, 1]), np.float32([[-1], [1]]))
    with pytest.raises(InputError, match="range is for integers"):
        done(ends.astype(np.float32), range=[0, 1])


def test_layouts_are_turned_from_the_stored_one() -> None:
    first = np.moveaxis(X, -1, 1)
    np.testing.assert_array_equal(done(X, layout="nchw", stored_layout="nhwc"), first)
    np.testing.assert_array_equal(done(first, layout="NHWC", stored_layout="NCHW"), X)
    np.testing.assert_array_equal(done(first, layout="NCHW"), first)


def test_colours_are_turned_or_made_grey() -> None:
    np.testing.assert_array_equal(done(X, colour="bgr"), X[..., ::-1])
    np.testing.assert_array_equal(done(np.moveaxis(X, -1, 1), colour="bgr", layout="NCHW"), np.moveaxis(X[..., ::-1], -1, 1))
    grey = done(X, colour="grey")
    assert grey.shape == (5, 8, 6, 1) and grey.dtype == np.uint8
    by_hand = (X.astype(np.int64) @ np.array([299, 587, 114]) + 500) // 1000
    np.testing.assert_array_equal(grey[..., 0], by_hand)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "lanczos", "box"])
def test_pictures_are_resized_by_pillow(tmp_path: Path, method: str) -> None:
    x = pictures(tmp_path, ["1.png", "2.png"], (20, 31))
    found = read(tmp_path, PICTURE, preprocess={"resize": [8, 6], "method": method, "scale": 1.0})
    want = [np.asarray(Image.fromarray(p).resize((6, 8), Image.Resampling[method.upper()])) for p in x]
    np.testing.assert_array_equal(found.one_input, np.stack(want).astype(np.float32))
    np.testing.assert_array_equal(done(x, resize=[8, 6], method=method), np.stack(want))


def test_squares_shorter_sides_and_crops(tmp_path: Path) -> None:
    x = pictures(tmp_path, ["1.png"], (20, 31))
    want = Wanted("image", (8, 8, 3), "uint8", False, True)
    square = read(tmp_path, want, preprocess={"central": "square", "crop": [8, 8]}).one_input
    np.testing.assert_array_equal(square[0], x[0][:, 5:25][6:14, 6:14])
    shorter = read(tmp_path, want, preprocess={"resize": 10, "crop": [8, 8]}).one_input
    np.testing.assert_array_equal(
        shorter[0], np.asarray(Image.fromarray(x[0]).resize((16, 10), Image.Resampling.BILINEAR))[1:9, 4:12]
    )
    half = read(tmp_path, Wanted("image", (10, 16, 3), "uint8", False, True), preprocess={"central": 0.5}).one_input
    np.testing.assert_array_equal(half[0], x[0][5:15, 7:23])
    with pytest.raises(InputError, match=r"crop is \[30, 8\], larger than a picture of 20 x 31"):
        read(tmp_path, want, preprocess={"crop": [30, 8]})


def test_a_model_with_one_channel_gets_grey_pictures(tmp_path: Path) -> None:
    x = pictures(tmp_path, ["1.png"])
    grey = np.asarray(Image.fromarray(x[0]).convert("L"))
    for shape, layout in (((8, 6, 1), "NHWC"), ((1, 8, 6), "NCHW")):
        want = Wanted("image", shape, "float32", False, False)
        found = read(tmp_path, want, preprocess={"layout": layout, "scale": 1.0})
        np.testing.assert_array_equal(found.one_input.reshape(8, 6), grey)


def test_other_types_must_hold_the_numbers() -> None:
    np.testing.assert_array_equal(done(X, mean=128, dtype="int8"), (X.astype(int) - 128).astype(np.int8))
    with pytest.raises(InputError, match="dtype is int8, but the numbers go from"):
        done(X, dtype="int8")


FLOAT, INT8 = Wanted("in", (8, 6, 3), "float32", False, False), Wanted("in", (8, 6, 3), "int8", True, False)


@pytest.mark.parametrize(
    ("x", "want", "says"),
    [
        (
            X,
            FLOAT,
            r"input 'in' wants float32 \[N, 8, 6, 3\]; the samples are uint8 \[5, 8, 6, 3\].\nRaw integers may mean any",
        ),
        (X, INT8, "quantized: real numbers fit too; .*Integers of another type are no raw int8"),
        (np.moveaxis(X, -1, 1), FLOAT, r"Channels stand first in the samples.*layout: NHWC, stored_layout: NCHW"),
        (X, FLOAT._replace(shape=(3, 8, 6)), r"Channels stand last in the samples.*layout: NCHW, stored_layout: NHWC"),
        (X, FLOAT._replace(shape=(16, 16, 3)), r"Other size: add preprocess: {resize: \[16, 16\]}"),
        (X, FLOAT._replace(shape=(3, 16, 16)), r"Other size: add preprocess: {resize: \[16, 16\]}, and layout: NCHW"),
        (X, FLOAT._replace(shape=(8, 6, 1)), "The model has 1 channels, the samples 3: preprocess: {colour: grey}"),
        (X.astype(np.float32), FLOAT._replace(dtype="int32", plain=True), "takes integers as they are"),
        (X.reshape(5, -1), FLOAT, "The same numbers in another shape"),
    ],
)
def test_what_contradicts_the_input_is_refused_with_the_way_out(x: np.ndarray, want: Wanted, says: str) -> None:
    with pytest.raises(InputError, match=f"(?s){says}"):
        check_fit(x, want, False, "d.npz")


def test_stated_integers_and_real_numbers_fit() -> None:
    check_fit(X, FLOAT, True, "d")
    check_fit(X.astype(np.float64), INT8, False, "d")
    check_fit(X.astype(np.int8), INT8, False, "d")


def test_sides_of_one_may_be_left_out(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((4, 8, 6)).astype(np.float32)
    np.save(tmp_path / "a.npy", x)
    for shape in ((8, 6, 1), (1, 8, 6)):
        np.testing.assert_array_equal(read(tmp_path / "a.npy", FLOAT._replace(shape=shape)).one_input.reshape(x.shape), x)


def test_data_of_the_command_line_may_be_a_yaml_a_folder_or_a_csv(tmp_path: Path) -> None:
    graph = small_cnn()
    (want,) = wanted_inputs(graph)
    x = np.random.default_rng(2).standard_normal((3, *want.shape)).astype(np.float32)
    np.save(tmp_path / "all.npy", x * 2)
    (tmp_path / "rows.csv").write_text(
        ",".join(f"c{i}" for i in range(x[0].size))
        + "\n"
        + "\n".join(",".join(map(repr, row)) for row in x.reshape(3, -1).tolist())
    )
    (tmp_path / "parts").mkdir()
    for i, row in enumerate(x):
        np.save(tmp_path / "parts" / f"{i}.npy", row)
    (tmp_path / "d.yaml").write_text("file: all.npy\npreprocess: {scale: 0.5}\n")
    for name in ("rows.csv", "parts", "d.yaml"):
        np.testing.assert_array_equal(find_inputs(graph, tmp_path / name)[want.name], x)
    assert find_data(graph, tmp_path / "all.npy").labels is None
    (tmp_path / "e.yaml").write_text("file: none.npy\n")
    with pytest.raises(InputError, match=r"none.npy: no such file or folder"):
        find_inputs(graph, tmp_path / "e.yaml")
    (tmp_path / "f.yaml").write_text("file: all.npy\ninput: x\n")
    with pytest.raises(InputError, match=r"\$.input is not a known key. Did you mean 'inputs'"):
        find_inputs(graph, tmp_path / "f.yaml")
