"""Operators without weights: what one element costs, from the calls that its kernel makes for it.

Integers: requantizations; the fitted price of an element is that of an addition (most elements of the published networks are), other
operators have it in the ratio of their calls. Floats: additions, products, ... of `format_factors.Floats` and a loop around them.
"""

from __future__ import annotations

from workbench.calibrate.format_factors import COUNTS, Floats, assumed, loops
from workbench.hardware.costs import Constant

LOOP = {"cortex-m0plus": 14.0}
LOOP_ELSEWHERE = 8.0
"""Cycles of loading, indexing and storing one element (M0+: two cycles a load, no indexed addressing of bytes with offset)."""

REQUANTIZATIONS: dict[str, float] = {
    "add": 3, "sub": 3, "add_n": 3, "squared_difference": 4, "maximum": 2, "minimum": 2, "compare": 2, "div": 2, "mul": 1,
    "leaky_relu": 1, "prelu": 1, "quantize": 1, "sum": 1, "cumsum": 1, "rsqrt": 2, "l2_normalization": 2, "abs": 1,
    "resize_bilinear": 1, "avg_pool2d": 0.4, "mean": 0.4, "max_pool2d": 0.2,
}  # fmt: skip
"""Operator -> requantizations of one element in integers. Not named: none (copies, comparisons). Pooling: one division or clip an
output, shared by the elements of its window; 47 cycles an element on the RP2040 (layers.csv, 3 x 3)."""
TABLES = frozenset({"logistic", "tanh", "elu", "hard_swish", "exp", "gelu", "log"})
"""Operators that look each byte up."""
TABLE_CYCLES = 12.0
INTERPOLATION = 2
"""Look-ups and products, in requantizations, of an interpolated table of int16."""

CALLS: dict[str, dict[str, float]] = {
    "add": {"add": 1, "compare": 2}, "sub": {"add": 1, "compare": 2}, "add_n": {"add": 1}, "mul": {"multiply": 1, "compare": 2},
    "div": {"divide": 1, "compare": 2}, "squared_difference": {"add": 1, "multiply": 1}, "square": {"multiply": 1},
    "floor_div": {"divide": 1, "to_int": 1, "from_int": 1}, "floor_mod": {"divide": 1, "multiply": 1, "add": 1, "to_int": 1},
    "maximum": {"compare": 1}, "minimum": {"compare": 1}, "compare": {"compare": 1}, "relu": {"compare": 1},
    "reduce_max": {"compare": 1}, "reduce_min": {"compare": 1}, "arg_max": {"compare": 1}, "arg_min": {"compare": 1},
    "max_pool2d": {"compare": 1}, "top_k": {"compare": 2}, "leaky_relu": {"compare": 1, "multiply": 1},
    "prelu": {"compare": 1, "multiply": 1}, "avg_pool2d": {"add": 1}, "mean": {"add": 1}, "sum": {"add": 1}, "cumsum": {"add": 1},
    "reduce_prod": {"multiply": 1}, "logistic": {"exp": 1, "add": 1, "divide": 1}, "tanh": {"exp": 1, "add": 2, "divide": 1},
    "elu": {"exp": 1, "add": 1, "compare": 1}, "exp": {"exp": 1}, "log": {"exp": 1}, "gelu": {"exp": 1, "add": 2, "multiply": 4},
    "softmax": {"exp": 1, "add": 2, "compare": 1, "divide": 1}, "log_softmax": {"exp": 1, "add": 2, "compare": 1},
    "hard_swish": {"add": 1, "multiply": 2, "compare": 2}, "sin": {"exp": 1}, "cos": {"exp": 1}, "pow": {"exp": 2},
    "sqrt": {"divide": 1}, "rsqrt": {"divide": 2}, "l2_normalization": {"add": 1, "multiply": 2},
    "floor": {"to_int": 1, "from_int": 1}, "ceil": {"to_int": 1, "from_int": 1}, "round": {"to_int": 1, "from_int": 1},
    "cast": {"to_int": 1}, "quantize": {"divide": 1, "add": 1, "compare": 2, "to_int": 1},
    "dequantize": {"from_int": 1, "multiply": 1}, "resize_bilinear": {"add": 3, "multiply": 4},
    "local_response_normalization": {"add": 1, "multiply": 2, "exp": 1},
}  # fmt: skip
"""Operator -> float operations of one element. Not named: none (data movement)."""
SOFTMAX = {"cortex-m0plus": (6_000.0, 30_000.0)}
SOFTMAX_ELSEWHERE = (400.0, 6_000.0)
"""Cycles per element and per call of softmax in fixed point; the M0+ has no long multiplication."""


def integer_element(op: str, core: str, activation: str, fitted: Constant) -> dict[str, Constant]:
    """Return the terms of an operator on integers. fitted: price of an element of an addition. activation: a8, a16."""
    if op == "reshape":
        return {"element": assumed(0.0, 1.0, "no element is worked on; a copy is inside the price of a layer")}
    if op in ("softmax", "log_softmax"):
        element, fixed = SOFTMAX.get(core, SOFTMAX_ELSEWHERE)
        source = "exp in fixed point; layers.csv RP2040: 42250 cycles for 2 elements, the split is assumed"
        return {"element": assumed(element, 1.5, source), "fixed": assumed(fixed, 1.0, source)}
    if op == "add":
        return {"element": fitted}
    _, table = loops(core)
    loop = LOOP.get(core, LOOP_ELSEWHERE)
    if op in TABLES and activation == "a8":
        return {"element": assumed(TABLE_CYCLES, 1.0, "one table look-up an element; not measured")}
    calls = INTERPOLATION if op in TABLES else REQUANTIZATIONS.get(op, 0)
    ratio = (loop + calls * table.requantize) / (loop + REQUANTIZATIONS["add"] * table.requantize)
    made = (
        f"{calls:g} requantizations of {table.requantize:g} cycles where an addition makes 3" if calls else "no requantization"
    )
    source = f"price of an addition x {ratio:.2g}: {made} ({COUNTS} {table.row}), a loop of {loop:g}"
    return {"element": assumed(ratio * fitted.value, max(1.0, fitted.uncertainty), source)}


def float_element(op: str, core: str, operations: Floats) -> dict[str, Constant]:
    """Return the terms of an operator on float32 (conversions from and to integers included)."""
    if op == "reshape":
        return integer_element(op, core, "fp32", assumed(0.0, 1.0, "copy"))
    loop = LOOP.get(core, LOOP_ELSEWHERE)
    counts = CALLS.get(op, {})
    said = ", ".join(f"{count:g} {name.replace('_', ' ')}" for name, count in counts.items()) or "no float operation"
    source = f"a loop of {loop:g} and {said} an element: {operations.source}" if counts else f"a loop of {loop:g}; not measured"
    return {"element": assumed(loop + operations.calls(counts), max(operations.uncertainty, 0.5), source)}
