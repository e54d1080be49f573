"""`litert_*`, `cmsis_*`: single operators, every producer's outputs, each under the profile that claims its bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.execute import prepare
from workbench.graph.ir import Array
from workbench.validate.cases import CaseFile, Fields, MissingArray, failed
from workbench.validate.golden_base import FAMILIES, PRODUCERS, Row, count, make_row, shipped_profile

CMSIS_BUILDS = ("dr", "sr")
"""Builds of CMSIS-NN as the JSON names them; a text in place of counts says why one did not run."""


def expected_outputs(case: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return producer -> output. A producer equal to the base output is not stored again (`equal_to_ref` says so).

    Raises: MissingArray when an output is neither stored nor equal to one that is.
    """
    stored = {k.removeprefix("y__"): v for k, v in arrays.items() if k.startswith("y__")}
    equal = case.get("equal_to_ref", {})
    base = "litert_ref" if "litert_ref" in {*equal, *stored} else "tflm"
    outputs = dict(stored)
    for producer, difference in equal.items():
        if producer not in stored:
            outputs[producer] = arrays[f"y__{base if difference['ndiff'] == 0 else producer}"]
    for build in CMSIS_BUILDS:
        if isinstance(case.get(build), dict):
            outputs[f"cmsis_{build}"] = arrays[f"y__cmsis_{build}"]
    if not outputs and not case.get("errors") and not any(build in case for build in CMSIS_BUILDS):
        raise MissingArray(f"{case['id']}/y__*")
    return outputs


def check_single_op_file(path: Path, skip: Callable[[Mapping[str, Any], str], str] | None = None) -> list[Row]:
    """Compare every case of a `litert_*` or `cmsis_*` file with every producer's outputs, each under its profile.

    skip: (case, producer) -> why the README of the vectors rules it out, or ''.
    """
    prefix, _, family = path.stem.partition("_")
    build = FAMILIES[family]
    source = path if prefix == "litert" else path.with_name(f"litert_{family}.npz")
    if not source.exists():
        return [failed(path.stem, f"missing: {source.name}, which holds the inputs of these outputs")]
    file = CaseFile(path)
    inputs = {c["id"]: (c, a) for c, a in (file if source == path else CaseFile(source)).cases}
    totals: dict[str, list[int]] = {}
    notes: dict[str, dict[str, int]] = {}
    for case, arrays in file.cases:
        if case["id"] not in inputs:
            file.add(f"cases that {source.stem} does not have", case["id"])
            continue
        own, data = inputs[case["id"]]
        with file.attempt(case["id"]):
            outputs = expected_outputs(case, arrays)
            graph, feed = build(own, data)
            for producer, want in outputs.items():
                if producer not in PRODUCERS:
                    file.add(f"no profile claims the bits of '{producer}'", case["id"])
                    continue
                total = totals.setdefault(producer, [0, 0, 0, 0])
                reason = skip(Fields({**own, **case}, case.where), producer) if skip else ""
                if reason:
                    said = notes.setdefault(producer, {})
                    said[reason] = said.get(reason, 0) + 1
                    continue
                with file.attempt(f"{case['id']} of {producer}"):
                    got = prepare(graph, shipped_profile(PRODUCERS[producer])).run(feed)[graph.outputs[0]]
                    count(total, got, want)
    return [
        make_row(
            path.stem,
            producer,
            PRODUCERS[producer],
            total,
            "; ".join(f"{n} cases: {r}" for r, n in notes.get(producer, {}).items()),
        )
        for producer, total in totals.items()
    ] + file.rows()
