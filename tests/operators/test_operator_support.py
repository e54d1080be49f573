"""What the cases prove is what `support` says: targets run the formats of their runtimes' cases, and refuse what these refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.loaders.tflite_writer import Net, Op, const
from tests.operators.case import LITERT, ORACLES, PROFILES, all_cases, load
from tests.operators.cases_blocks import _dilated_case
from tests.operators.moves_nets import port, whole
from tests.recurrent_nets import svdf
from workbench.cost.support import support
from workbench.errors import ModelError
from workbench.graph.ir import Graph
from workbench.hardware import load_profile
from workbench.loaders.tflite import load_tflite

TFLM = PROFILES["tflm"]


@pytest.mark.parametrize("oracle", ORACLES)
def test_what_a_runtime_runs_its_profile_has(oracle: str, tmp_path: Path) -> None:
    profile, missing = load_profile(PROFILES[oracle]), set()
    for case in all_cases():
        if oracle not in case.oracles:
            continue
        graph = load(case, case.model(), tmp_path)
        if graph.has_scales:
            missing |= {(u.op, u.format, u.reason) for u in support(graph, profile)}
    assert not missing


def reasons(graph: Graph, profile: str) -> str:
    return "\n".join(map(str, support(graph, load_profile(profile))))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_tflm_does_not_know_what_it_pads_split_batches_with(dtype: str) -> None:
    """The value that lies in its memory: neither alone nor around a convolution."""
    alone = split((2, 4, 4, 2), [[1, 1], [0, 2]], dtype)
    block = ((2, 2), ((2, 2), (2, 3)), ((0, 0), (0, 1)))
    merged = load_tflite("m.tflite", _dilated_case(False, dtype, *block).model())
    assert [n.op for n in merged.nodes] == ["pad", "conv2d", "strided_slice"]
    for graph in (alone, merged):
        assert "tflite-micro never sets the value" in reasons(graph, TFLM)
        assert not reasons(graph, PROFILES["litert_ref"])
    assert not reasons(split((2, 4, 4, 2), [[0, 0], [0, 0]], dtype), TFLM)


def split(shape: tuple[int, ...], pads: Any, dtype: str) -> Graph:
    out = (8, *(np.sum(pads, axis=1) + shape[1:3]) // 2, 2)
    tensors = [port(shape, dtype, "x"), whole([2, 2]), whole(pads), port(out, dtype, "y")]
    return load_tflite("m.tflite", Net(tensors, [Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3])]).bytes())


@pytest.mark.parametrize("oracle", LITERT)
def test_litert_refuses_an_integer_svdf_without_relu(oracle: str) -> None:
    def refused(dtype: Any, activation: int) -> bool:
        graph = load_tflite("m.tflite", svdf(dtype, activation=activation).bytes())
        return "states_relu is 0; 1 fits" in reasons(graph, PROFILES[oracle])

    assert refused(np.int8, 0)
    assert not refused(np.int8, 1) and not refused(np.float32, 0)


def test_a_list_of_no_sizes_is_no_number() -> None:
    tensors = [port((1, 3), "float32", "x"), const([], np.int32), port((1, 3), "float32", "y")]
    with pytest.raises(ModelError, match=r"ADD #0: tensor #1 '#1': shape \[0\] is empty; only a target shape may be"):
        load_tflite("m.tflite", Net(tensors, [Op("ADD", [0, 1], [2])]).bytes())


@pytest.mark.parametrize("op", ["div", "prelu", "compare", "neg", "cast"])
def test_a_format_of_files_is_given_to_no_float_network(op: str) -> None:
    profile = load_profile(PROFILES["litert_ref"])
    brought = profile.operators[op].files
    assert brought and all(profile.supports(op, f) and f not in profile.formats(op) for f in brought)
