"""Ethos-U: what a profile says runs on the NPU is what the Vela compiler puts there, at both sides of every limit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.hardware.vela_cases import ACCELERATORS, TABLE, cases
from workbench.hardware import load_profile
from workbench.loaders import load_model
from workbench.placement import place


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_placement_is_that_of_vela(tmp_path: Path, accelerator: str) -> None:
    with TABLE.open(newline="") as file:
        want = {row["case"]: row["target"] for row in csv.DictReader(file) if row["accelerator"] == accelerator}
    profile = load_profile(accelerator)
    path, found = tmp_path / "m.tflite", {}
    for name, net in cases():
        path.write_bytes(net.bytes())
        graph = load_model(path)
        places = [place(node, graph.tensors, profile) for node in graph.nodes]
        found[name] = "NPU" if all(p.runner is profile for p in places) else "CPU"
        assert all(p.runner is profile or p.reason for p in places)
    assert found == want
