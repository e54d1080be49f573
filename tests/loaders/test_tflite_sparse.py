"""Constants that are stored sparse: damaged and hostile descriptions are refused before anything large is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite

from tests.loaders.tflite_writer import Net, Op, T
from workbench.errors import ModelError
from workbench.loaders.tflite import load_tflite

DENSE = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4]], np.float32)
SEGMENTS, INDICES = [0, 2, 2, 4], [1, 3, 0, 3]
Sparsity = tuple[list[int], list[int], list[Any]]


def model(sparsity: Sparsity, values: Any = (1, 2, 3, 4), shape: tuple[int, ...] = (3, 4), dtype: Any = np.float32) -> bytes:
    stored = T(shape, dtype, "stored", data=np.asarray(values, dtype), sparsity=sparsity)
    tensors = [T((2, 4), name="x"), stored, T(shape, dtype, "w"), T((2, 3), name="y")]
    ops = [
        Op("DENSIFY", [1], [2], ("DensifyOptions", {})),
        Op("FULLY_CONNECTED", [0, 2, -1], [3], ("FullyConnectedOptions", {})),
    ]
    return Net(tensors, ops).bytes()


def csr(segments: list[int] | None = None, indices: list[int] | None = None, kind: Any = np.int32) -> Any:
    return np.array(SEGMENTS if segments is None else segments, kind), np.array(INDICES if indices is None else indices, kind)


@pytest.mark.parametrize("kind", [np.int32, np.uint16, np.uint8])
def test_rows_are_decoded(kind: Any) -> None:
    graph = load_tflite("m.tflite", model(([0, 1], [], [3, csr(kind=kind)])))
    np.testing.assert_array_equal(graph.tensors["w"].data, DENSE)


@pytest.mark.parametrize(
    ("sparsity", "values", "why"),
    [
        (([0, 0], [], [3, csr()]), (1, 2, 3, 4), "walks dimensions"),
        (([0, 5], [], [3, csr()]), (1, 2, 3, 4), "walks dimensions"),
        (([0], [], [3]), (1, 2, 3), "walks dimensions"),
        (([0, 1], [], [3]), (1, 2, 3), "walks dimensions"),
        (([0, 1, 2], [7], [3, csr(), 1]), (1, 2, 3, 4), "blocks in dimensions"),
        (([0, 1, 2], [-1], [3, csr(), 1]), (1, 2, 3, 4), "blocks in dimensions"),
        (([2, 0, 1], [1], [1, 3, csr()]), (1, 2, 3, 4), "blocks in dimensions"),
        (([0, 1, 2], [1], [3, csr(), 3]), (1, 2, 3, 4), "blocks of 3"),
        (([0, 1, 2], [1], [3, csr(), 0]), (1, 2, 3, 4), "blocks of 0"),
        (([0, 1], [], [4, csr()]), (1, 2, 3, 4), "dense dimension of 4"),
        (([0, 1], [], [2**31 - 1, csr()]), (1, 2, 3, 4), "dense dimension of"),
        (([0, 1], [], [3, csr([0, 2, 2])]), (1, 2, 3, 4), "walks 3 entries"),
        (([1, 0], [], [csr(), 3]), (1, 2, 3, 4), "4 segments of 4 indices for 1 entries"),
        (([0, 1], [], [3, csr([0, 2, 1, 4])]), (1, 2, 3, 4), "segments"),
        (([0, 1], [], [3, csr([1, 2, 2, 4])]), (1, 2, 3, 4), "segments"),
        (([0, 1], [], [3, csr([0, 2, 2, 9])]), (1, 2, 3, 4), "segments"),
        (([0, 1], [], [3, csr(indices=[1, 4, 0, 3])]), (1, 2, 3, 4), "do not ascend"),
        (([0, 1], [], [3, csr(indices=[1, -1, 0, 3])]), (1, 2, 3, 4), "do not ascend"),
        (([0, 1], [], [3, csr(indices=[1, 1, 0, 3])]), (1, 2, 3, 4), "do not ascend"),
        (([0, 1], [], [3, csr(indices=[3, 1, 0, 3])]), (1, 2, 3, 4), "do not ascend"),
        (([0, 1], [], [3, csr()]), (1, 2, 3), "states 4 values"),
        (([0, 1], [], [3, csr()]), (1, 2, 3, 4, 5), "states 4 values"),
        (([0, 1], [], [3, 4]), (1, 2, 3, 4), "walks 12 entries"),
    ],
)
def test_contradictions_are_refused(sparsity: Sparsity, values: tuple[int, ...], why: str) -> None:
    with pytest.raises(ModelError, match=why):
        load_tflite("m.tflite", model(sparsity, values))


def test_a_huge_shape_of_few_values_is_refused_at_once() -> None:
    shape = (2**14, 2**14)
    with pytest.raises(ModelError, match=r"out of proportion|needs"):
        load_tflite("m.tflite", model(([0, 1], [], [2**14, 2**14]), (1.0,), shape))


def test_other_types_are_refused() -> None:
    with pytest.raises(ModelError, match="stored sparse; expected float32, float16, int8"):
        load_tflite("m.tflite", model(([0, 1], [], [3, csr()]), dtype=np.int16))


def test_densify_of_a_dense_constant_is_refused() -> None:
    tensors = [T((2, 4), name="x"), T((3, 4), name="s", data=DENSE), T((3, 4), name="w"), T((2, 3), name="y")]
    ops = [
        Op("DENSIFY", [1], [2], ("DensifyOptions", {})),
        Op("FULLY_CONNECTED", [0, 2, -1], [3], ("FullyConnectedOptions", {})),
    ]
    with pytest.raises(ModelError, match="must be a constant that is stored sparse"):
        load_tflite("m.tflite", Net(tensors, ops).bytes())


def test_integer_weights_that_no_densify_makes_dense_are_refused() -> None:
    stored = T(
        (3, 4), np.int8, "w", data=np.array([1, 2, 3, 4], np.int8), sparsity=([0, 1], [], [3, csr()]), scale=[0.1], zero=[0]
    )
    net = Net(
        [T((2, 4), name="x"), stored, T((2, 3), name="y")],
        [Op("FULLY_CONNECTED", [0, 1, -1], [2], ("FullyConnectedOptions", {}))],
    )
    with pytest.raises(ModelError, match="Export with DENSIFY before the layer"):
        load_tflite("m.tflite", net.bytes())


@pytest.mark.parametrize("kind", [0, 4, 255])
def test_a_union_of_an_unknown_type_is_refused(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[flatbuffers.Builder, int], None] = tflite.DimensionMetadataAddArraySegmentsType
    monkeypatch.setattr(tflite, "DimensionMetadataAddArraySegmentsType", lambda b, _: real(b, kind))
    with pytest.raises(ModelError, match=f"a SparseIndexVector of type {kind}"):
        load_tflite("m.tflite", model(([0, 1], [], [3, csr()])))


def test_a_vector_that_is_wider_than_its_type_says_stays_inside_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """uint8 values read as int32 ones would end behind the file; the verifier knows their width by their type."""
    real: Callable[[flatbuffers.Builder, int], None] = tflite.DimensionMetadataAddArrayIndicesType
    monkeypatch.setattr(tflite, "DimensionMetadataAddArrayIndicesType", lambda b, _: real(b, 1))
    data = model(([0, 1], [], [3, csr(kind=np.uint8)]))
    with pytest.raises(ModelError, match=r"do not ascend|segments|outside"):
        load_tflite("m.tflite", data)


def test_every_cut_and_changed_byte_of_a_sparse_file_is_refused_or_read() -> None:
    data = model(([0, 1, 2], [1], [3, (np.array([0, 1, 1, 2], np.uint8), np.array([0, 1], np.uint8)), 2]))
    assert load_tflite("m.tflite", data).tensors["w"].shape == (3, 4)
    damaged = [data[:n] for n in range(0, len(data), 3)]
    for at in range(len(data)):
        for value in (0, 1, 0x7F, 0xFF):
            damaged.append(data[:at] + bytes([value]) + data[at + 1 :])
    for one in damaged:
        try:
            load_tflite("m.tflite", one)
        except ModelError:
            continue
