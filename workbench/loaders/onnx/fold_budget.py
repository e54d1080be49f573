"""What computing constants may cost over a whole file: bytes that are made and steps of work.

A small file must not ask for gigabytes or minutes, whether in one operator or in many. Both limits grow with the file, so that what
a large one does to its own weights (casts, transposes) always fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from workbench.graph.ir import Array

MAX_BYTES = 3 * 2**27
"""Most bytes of all folded constants of a file together, and of the graph's copies of them; and `BYTES_PER_BYTE` of each in it."""
BYTES_PER_BYTE = 16
MAX_STEPS = 2**31
"""Most work on constants in a file, in about nanoseconds; and `STEPS_PER_BYTE` for each byte of it."""
STEPS_PER_BYTE = 128
STEPS_PER_CALL = 2**16
"""Work of one call of ONNX's reference evaluator, whatever the operands."""
STEPS: dict[str, int] = {
    "GatherElements": 3000, "GatherND": 1500, "ScatterElements": 1000, "ScatterND": 1500, "ReverseSequence": 500, "Gelu": 400,
    "Erf": 400, "TopK": 200, "ReduceSum": 20, "NonZero": 100, "Pow": 50, "Div": 20, "Mod": 20, "CumSum": 20, "Softplus": 20,
    "Mish": 20, "LayerNormalization": 20, "BatchNormalization": 20, "Tan": 20, "Acosh": 20, "ArgMax": 20, "ArgMin": 20,
}  # fmt: skip
"""Work per element of the operands and results; others take `STEPS_PER_ELEMENT`."""
STEPS_PER_ELEMENT = 8


class CannotFold(ValueError):
    """The operator, or these operands, cannot be folded; the text says why."""


class Budget:
    """What is left for the constants of one file. size: of the file, in bytes."""

    def __init__(self, size: int = 0) -> None:
        self._bytes = MAX_BYTES + BYTES_PER_BYTE * size
        self._steps = MAX_STEPS + STEPS_PER_BYTE * size

    def work(self, op: str, args: Sequence[Array | None], calls: int = 0) -> None:
        """Take the work of an operator on these operands, before it is done."""
        elements = sum(a.size for a in args if a is not None)
        self.steps(elements * STEPS.get(op, STEPS_PER_ELEMENT) + calls * STEPS_PER_CALL)

    def steps(self, count: int) -> None:
        """Take steps of work."""
        self._steps -= count
        if self._steps < 0:
            _refuse()

    def held(self, made: Sequence[Array], operands: Sequence[Array | None] = ()) -> None:
        """Take the memory of arrays that are kept; views of operands have none of their own."""
        for array in made:
            if any(a is not None and np.may_share_memory(a, array) for a in operands):
                continue
            self._bytes -= array.nbytes
            if self._bytes < 0:
                _refuse()


def _refuse() -> NoReturn:
    raise CannotFold(
        "cannot be computed ahead: together the constants that this file makes take too much work or are too large.\n"
        "Fold them before export (onnxsim)"
    )
