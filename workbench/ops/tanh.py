"""tanh: the sibling of logistic; both share `ops/logistic.py` (same tables, TANH_QUANT)."""

from __future__ import annotations

from workbench.ops.logistic import register_table, tanh_reference

TANH = register_table("tanh", tanh_reference, True, "hyperbolic tangent")
