"""Which rules an operator reads: only those can make a difference at its place."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from workbench.errors import UnsupportedError
from workbench.execute import Step, Values
from workbench.numerics.arithmetic import Arithmetic
from workbench.ops.unsigned import prepare_site

FIELDS = tuple(f.name for f in fields(Arithmetic))


class _Watched(Arithmetic):
    """Rules that note which of them are read."""

    def __getattribute__(self, name: str) -> Any:
        if name in FIELDS:
            object.__getattribute__(self, "__dict__").setdefault("_read", set()).add(name)
        return object.__getattribute__(self, name)


def fields_read(step: Step, arithmetic: Arithmetic, values: Values) -> set[str]:
    """Return the fields that a step reads when it is prepared and run with some rules. values: of all activations."""
    watched = _Watched(**{f: getattr(arithmetic, f) for f in FIELDS})
    try:
        run = prepare_site(replace(step.site, arithmetic=watched))
        run([values[name] if name else constant for name, constant in step.sources])  # type: ignore[misc]
    except UnsupportedError:
        pass  # these rules do not go with the types and scales of the other side; what was read up to here counts
    return set(watched.__dict__.get("_read", ()))
