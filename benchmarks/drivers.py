"""The compiled drivers below an operator: which were called with what, so that they can be timed by themselves and in parts."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import workbench.ops
from workbench.kernels import convolve

DRIVERS = tuple(
    name for name, found in vars(convolve).items()
    if hasattr(found, "py_func") and "product" in inspect.signature(found.py_func).parameters
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call of a driver, to be repeated. arguments: by name."""

    driver: Callable[..., Any]
    arguments: dict[str, Any]

    @property
    def product(self) -> Any:
        """What the driver knows of the matrix product."""
        return self.arguments["product"]

    def run(self, **changes: Any) -> Callable[[], None]:
        """Return the same call, with some arguments changed."""
        values = list((self.arguments | changes).values())
        return lambda: self.driver(*values)


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Collect the calls of drivers that operators make in the block."""
    calls: list[Call] = []
    replaced: list[tuple[Any, str, Any]] = []

    def watch(driver: Any) -> Callable[..., None]:
        names = list(inspect.signature(driver.py_func).parameters)

        def called(*values: Any) -> None:
            calls.append(Call(driver, dict(zip(names, values, strict=True))))
            driver(*values)

        return called

    for found in pkgutil.iter_modules(workbench.ops.__path__):
        module = importlib.import_module(f"workbench.ops.{found.name}")
        for name in DRIVERS:
            if getattr(module, name, None) is getattr(convolve, name):
                replaced.append((module, name, getattr(module, name)))
                setattr(module, name, watch(getattr(module, name)))
    try:
        yield calls
    finally:
        for module, name, driver in replaced:
            setattr(module, name, driver)


def executed_macs(call: Call, positions: int) -> int:
    """Return the products that the registers compute for that many output positions: padded columns and steps included."""
    product = call.product
    lanes = 16 * product.panels * product.groups
    return positions * lanes * product.steps * (4 // call.arguments["loaded"].itemsize)
