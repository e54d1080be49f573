"""Sources: every kind gives the samples that were written; what is missing, broken or too many ends with one message."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.sources import PICTURE, VECTOR, pictures, read
from workbench.data import DataSource, Wanted
from workbench.errors import InputError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 12)


def test_an_npz_by_names_and_by_split(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", test_x=X, test_y=Y, other=X[:3])
    for keys in ({"inputs": "test_x", "labels": "test_y"}, {}):
        source = keys or DataSource.model_validate(f"{tmp_path / 'd.npz'}#test").model_dump(include={"inputs", "labels"})
        found = read(tmp_path / "d.npz", **source, first=2, count=5)
        np.testing.assert_array_equal(found.one_input, X[2:7])
        np.testing.assert_array_equal(found.labels, Y[2:7])


def test_an_npy_is_its_only_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    found = read(tmp_path / "a.npy")
    np.testing.assert_array_equal(found.one_input, X)
    assert found.labels is None and found.files is None


def test_several_inputs_come_from_a_mapping_or_by_their_names(tmp_path: Path) -> None:
    ids = RNG.integers(0, 9, (12, 5))
    wanted = (VECTOR, Wanted("ids", (5,), "int32", False, True))
    np.savez(tmp_path / "d.npz", x=X, ids=ids, mine=X + 1)
    by_name = read(tmp_path / "d.npz", *wanted)
    np.testing.assert_array_equal(by_name.arrays["ids"], ids)
    mapped = read(tmp_path / "d.npz", *wanted, inputs={"x": {"array": "mine", "preprocess": {"scale": 2.0}}, "ids": "ids"})
    np.testing.assert_array_equal(mapped.arrays["x"], (X + 1) * np.float32(2))
    taken = mapped.take(np.array([3, 1]), "two")
    np.testing.assert_array_equal(taken.arrays["ids"], ids[[3, 1]])
    assert len(taken) == 2 and taken.digest != mapped.digest != by_name.digest
    with pytest.raises(InputError, match="inputs are given for x, idds; the model has x, ids"):
        read(tmp_path / "d.npz", *wanted, inputs={"x": "x", "idds": "ids"})
    np.savez(tmp_path / "e.npz", a=X, b=ids)
    with pytest.raises(
        InputError, match=r"the model has 2 inputs; say where each comes from: inputs: \{x: ARRAY, ids: ARRAY\}"
    ):
        read(tmp_path / "e.npz", *wanted)


def test_a_folder_of_npy_files_is_sorted_by_name(tmp_path: Path) -> None:
    for i, row in enumerate(X):
        folder = tmp_path / "arrays" / "abc"[Y[i]]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{11 - i:02d}.npy", row)
    order = sorted(range(12), key=lambda i: (Y[i], 11 - i))
    found = read(tmp_path / "arrays", labels="folders")
    np.testing.assert_array_equal(found.one_input, X[order])
    np.testing.assert_array_equal(found.labels, Y[order])
    few = read(tmp_path / "arrays", first=1, count=3)
    np.testing.assert_array_equal(few.one_input, X[order][1:4])


def test_files_that_hold_windows_keep_together_and_share_their_label(tmp_path: Path) -> None:
    for name, part in (("b", X[:5]), ("a", X[5:6]), ("c", X[6:])):
        np.save(tmp_path / f"{name}.npy", part)
    (tmp_path / "labels.csv").write_text("file,label\nc.npy,1\na.npy,0\nb.npy,1\n")
    found = read(tmp_path, labels="labels.csv")
    assert found.files is not None and found.labels is not None
    np.testing.assert_array_equal(found.one_input, np.concatenate((X[5:6], X[:5], X[6:])))
    assert found.files.tolist() == [0, *[1] * 5, *[2] * 6]
    assert found.labels.tolist() == [0, *[1] * 11]


def test_pictures_with_classes_from_folders_or_a_csv(tmp_path: Path) -> None:
    x = pictures(tmp_path, ["dog/2.png", "cat/9.png", "dog/1.bmp"])
    keys = {"preprocess": {"scale": 1.0}}
    found = read(tmp_path, PICTURE, labels="folders", **keys)
    np.testing.assert_array_equal(found.one_input, x[[1, 2, 0]].astype(np.float32))
    assert found.labels is not None and found.labels.tolist() == [0, 1, 1]
    turned = read(tmp_path, PICTURE, labels="folders", classes=["dog", "cat"], **keys)
    assert turned.labels is not None and turned.labels.tolist() == [1, 0, 0]
    (tmp_path / "l.csv").write_text("label,file\n7,dog/2.png\n3,cat/9.png\n")
    some = read(tmp_path, PICTURE, labels="l.csv", **keys)
    assert some.labels is not None and some.labels.tolist() == [3, 7] and some.names is None, "numbers are no names"
    assert len(some) == 2, "pictures without a label are left out"


def test_numbers_in_a_csv_of_labels_are_not_sorted_as_text(tmp_path: Path) -> None:
    for i in range(12):
        np.save(tmp_path / f"{i:02d}.npy", X[i])
    (tmp_path / "l.csv").write_text("file,label\n" + "".join(f"{i:02d}.npy,{i}\n" for i in range(12)))
    assert read(tmp_path, labels="l.csv").labels.tolist() == list(range(12))  # type: ignore[union-attr]


@pytest.mark.parametrize(("names", "fits"), [(range(10), True), (range(11), False), ((3, 5), False)])
def test_folders_whose_numbers_are_not_their_places_are_refused(tmp_path: Path, names: list[int], fits: bool) -> None:
    for i in names:
        (tmp_path / str(i)).mkdir()
        np.save(tmp_path / f"{i}/a.npy", X[0])
    if fits:
        assert read(tmp_path, labels="folders").labels.tolist() == list(names)  # type: ignore[union-attr]
        return
    with pytest.raises(
        InputError, match=r"folders are numbers, and '\d+' is number \d+ of the sorted names: .*\n?.*Say classes"
    ):
        read(tmp_path, labels="folders")
    given = read(tmp_path, labels="folders", classes=[str(i) for i in names])
    assert given.labels is not None and given.labels.max() == len(list(names)) - 1


def test_a_csv_has_feature_columns_and_a_label(tmp_path: Path) -> None:
    rows = [f"{a:.9g},{b:.9g},{c:.9g},{d:.9g},{['no', 'yes', 'maybe'][y]}" for (a, b, c, d), y in zip(X, Y, strict=True)]
    (tmp_path / "t.csv").write_text("\ufeffa, b ,c,d,kind\n" + "\n".join(rows) + "\n\n", encoding="utf-8")
    found = read(tmp_path / "t.csv", labels="kind", classes=["no", "yes", "maybe"])
    np.testing.assert_array_equal(found.one_input, X)
    np.testing.assert_array_equal(found.labels, Y)
    two = Wanted("x", (2,), "float32", False, False)
    np.testing.assert_array_equal(read(tmp_path / "t.csv", two, inputs=["d", "b"]).one_input, X[:, [3, 1]])


def test_numbers_of_a_csv_are_no_raw_integers_but_tokens_stay_such(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,target\n1,2,0.5\n3,4,2\n")
    real = read(tmp_path / "t.csv", Wanted("x", (2,), "float32", False, False), labels="target")
    assert real.one_input.dtype == np.float32 and real.labels is not None and real.labels.tolist() == [0.5, 2.0]
    tokens = read(tmp_path / "t.csv", Wanted("x", (2,), "int32", False, True), labels="target")
    assert tokens.one_input.dtype == np.int64


def test_files_of_an_npz_are_numbered_as_they_come(tmp_path: Path) -> None:
    names = np.array(["z", "z", "a", "z", "b", "a"])
    np.savez(tmp_path / "d.npz", x=X[:6], name=names)
    found = read(tmp_path / "d.npz", inputs="x", files="name")
    assert found.files is not None and found.files.tolist() == [0, 0, 1, 0, 2, 1]


def bad(case: str, folder: Path) -> dict[str, object]:
    """Write something wrong; return the keys of its source."""
    if case.startswith("picture"):
        pictures(folder, ["a/1.png", "a/2.png"])
    if case == "picture cut off":
        (folder / "a/2.png").write_bytes((folder / "a/2.png").read_bytes()[:60])
    elif case == "picture that is none":
        (folder / "a/2.png").write_text("no picture")
    elif case == "picture of another size":
        pictures(folder, ["a/2.png"], (9, 6))
    elif case == "picture of 16 bits":
        Image.fromarray(np.zeros((8, 6), np.uint16)).save(folder / "a/2.png")
    elif case == "picture bomb":
        head = struct.pack(">IIBBBBB", 9_000, 9_000, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + head
        data = io.BytesIO(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)))
        (folder / "a/2.png").write_bytes(
            data.getvalue() + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
        )
    elif case == "picture in no folder":
        pictures(folder, ["3.png"])
        return {"labels": "folders"}
    elif case == "picture without its csv":
        return {"labels": "labels.csv"}
    elif case == "picture that the csv alone has":
        (folder / "l.csv").write_text("file,label\na/1.png,0\na/7.png,1\n")
        return {"labels": "l.csv"}
    elif case == "picture of no class":
        return {"labels": "folders", "classes": ["cat", "dog"]}
    elif case == "picture count":
        return {"first": 1, "count": 5}
    return {}


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("picture cut off", "2.png: not a readable picture"),
        ("picture that is none", "2.png: not a readable picture: its content is of no known kind"),
        ("picture of another size", r"2.png: 9 x 6 pixels; .*a/1.png has 8 x 6.\nSay preprocess: {resize: \[H, W\]}"),
        ("picture of 16 bits", "2.png: a picture of mode I;16"),
        ("picture bomb", "2.png: 9000 x 9000 pixels; at most"),
        ("picture in no folder", "labels are the folders' names, but 3.png lies in none"),
        ("picture without its csv", "labels are 'labels.csv': no such CSV"),
        ("picture that the csv alone has", "names 'a/7.png', not in"),
        ("picture of no class", "label 'a' is none of the classes cat, dog"),
        ("picture count", "files 1 to 5 are wanted; there are 2"),
        ("empty", "neither NPY files nor pictures"),
    ],
)
def test_what_is_wrong_with_pictures_is_said_once(tmp_path: Path, case: str, says: str) -> None:
    keys = bad(case, tmp_path)
    with pytest.raises(InputError, match=says):
        read(tmp_path, PICTURE, preprocess={"scale": 1.0}, **keys)


@pytest.mark.parametrize(
    ("text", "keys", "says"),
    [
        ("a,b,c,d\n1,2,x,4\n", {}, "row 1, column 'c': 'x' is not a finite number"),
        ("a,b,c,d\n1,2,nan,4\n", {}, "row 1, column 'c': 'nan' is not a finite number"),
        ("a,b,c,d\n1,2,,4\n", {}, "row 1, column 'c': '' is not a finite number"),
        ("a,b,c,d\n1,2,3\n", {}, "row 1 has 3 cells; the header has 4"),
        ("a,b,c,d\n", {}, "at least one of values"),
        ("a,b,a,d\n1,2,3,4\n", {}, "column 'a' is there twice"),
        ("a,b,c,d,y\n1,2,3,4,5\n", {"labels": "z"}, "has no column 'z'.*Columns: a, b, c, d, y"),
        ("a,b,c\n1,2,3\n", {}, r"input 'x' wants float32 \[N, 4\]; the samples are float32 \[1, 3\]"),
        ("a,b,c,d\n1,2,3,4\n", {"first": 1}, "has 1 samples; the first wanted is number 1"),
        ('a,b,c,d\n1,2,3,"4\n', {}, "not a readable CSV"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said_once(tmp_path: Path, text: str, keys: dict[str, object], says: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=f"(?s){says}"):
        read(tmp_path / "t.csv", **keys)


def test_what_is_wrong_with_arrays_is_said_once(tmp_path: Path) -> None:
    x = X.copy()
    x[[3, 7], 1] = np.nan
    np.savez(tmp_path / "d.npz", x=x, good=X, y=Y[:5], many=Y)
    with pytest.raises(InputError, match=r"NaN or infinite values \(2 of them, the first is number 3\)"):
        read(tmp_path / "d.npz", inputs="x")
    with pytest.raises(InputError, match=r"labels of shape \(5,\) for 12 samples"):
        read(tmp_path / "d.npz", inputs="good", labels="y")
    with pytest.raises(InputError, match="has 12 samples; 9 to 13 are wanted"):
        read(tmp_path / "d.npz", inputs="good", first=9, count=5)
    np.savez(tmp_path / "e.npz", a=X, b=X)
    with pytest.raises(InputError, match=r"which array\? Say inputs: NAME\. Arrays: a, b"):
        read(tmp_path / "e.npz")
    np.save(tmp_path / "1.npy", X[0])
    np.save(tmp_path / "2.npy", X[0, :3])
    (tmp_path / "d.npz").unlink()
    with pytest.raises(InputError, match=r"2.npy: shape \(3,\); the files before it have \(4,\)"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"preprocess": {"resize": [0, 3]}}, "sides are 1 to 8192"),
        ({"preprocess": {"range": [1, 0]}}, "low < high"),
        ({"preprocess": {"range": [0, 1], "scale": 2.0}}, "takes the place of scale"),
        ({"preprocess": {"std": [0.0]}}, "std must not be 0"),
        ({"preprocess": {"colour": "red"}}, "rgb"),
        ({"preprocess": {"scale": 1.0}, "scale": 2.0}, "scale and shift stand beside preprocess"),
        ({"inputs": {"x": "a"}, "scale": 2.0}, "preprocess stands with each"),
        ({"prepocess": {}}, "Extra inputs"),
    ],
)
def test_impossible_keys_are_refused(keys: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        DataSource.model_validate({"file": "d.npz", **keys})
