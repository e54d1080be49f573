"""Published integer programs of mixed precision (`hawq_v3_ilp.json`): our search solves them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import InputError
from workbench.search.program import additive
from workbench.search.solve import solve
from workbench.validate.cases import read_json
from workbench.validate.golden_base import OTHERS, Row


def check_hawq(path: Path) -> list[Row]:
    """Solve every published problem (4 or 8 bits a layer) with the search's program: within the limit, and no worse than published."""
    data = read_json(path)
    worse = better = equal = 0
    for name, published in data["published"].items():
        network, limit, share = name.removeprefix("bit_config_").split("_")
        instance = data["instances"][network]
        bits = choose_bits(instance, limit, float(share))
        (ours, amount), (theirs, _) = (loss_and_amount(instance, limit, b) for b in (bits, published["bits"]))
        worse += ours > theirs + 1e-9 or amount > float(share) + 1e-9
        better += ours < theirs - 1e-9
        equal += bits == published["bits"]
    n = len(data["published"])
    note = (
        f"optima of search/solve.py against the published choices: {equal} equal in every layer, {better} with a smaller loss"
    )
    return [Row(path.name, "HAWQ-V3 integer programs", "-", n, n, worse, 0, note)]


def _gain_and_amounts(instance: Mapping[str, Any], limit: str) -> tuple[Any, Any]:
    """Return what every layer adds to the loss, and to the limited amount as a share of the way to all 8 bits, when it has 8 bits."""
    a = {k: np.array(v, np.float64) for k, v in instance.items() if k != "ties"}
    gain = a["Hutchinson_trace"] * (a["delta_weights_8bit_square"] - a["delta_weights_4bit_square"])
    more = {
        "modelsize": a["parameters"] - a["parameters"] * 0.5,
        "bops": a["bops"] / 16.0 - a["bops"] / 64.0,
        "latency": a["latency_int8"] - a["latency_int4"],
    }[limit]
    return gain, more / more.sum()


def loss_and_amount(instance: Mapping[str, Any], limit: str, bits: Sequence[int]) -> tuple[float, float]:
    """Return the loss of a choice of bits and the share of the limited amount that it takes."""
    gain, more = _gain_and_amounts(instance, limit)
    eight = np.array(bits) == 8
    return float(gain[eight].sum()), float(more[eight].sum())


def choose_bits(instance: Mapping[str, Any], limit: str, share: float) -> list[int]:
    """Return 4 or 8 for every layer: the least sum of trace x (change of the weights) of 8-bit layers within a limit.

    limit: modelsize, bops or latency; it allows `share` of the way from all 4 bits to all 8. Layers tied together have equal bits.
    """
    gain, more = _gain_and_amounts(instance, limit)
    adds = {name: [np.array([0.0, value]) for value in values] for name, values in (("loss", gain), (limit, more))}
    found = solve(additive(adds, tuple(map(tuple, instance["ties"]))), {"loss": 1.0}, {limit: share})
    if found is None:
        raise InputError(f"no choice of bits is within {share:g} of the {limit}.")
    return [(4, 8)[k] for k in found.choice]


OTHERS.add("hawq_v3_ilp.json", check_hawq)
