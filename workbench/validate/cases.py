"""A file of golden vectors with its list of cases: what belongs together, what is missing, what could not be compared.

Whatever keeps a listed case from being compared becomes a row that is not ok: a missing array, a refusal of the profile. A field of
the JSON that is missing, or arrays that do not fit it, is one error that names file, case and field. Families know none of this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.data import read_arrays
from workbench.errors import InputError, ProfileError, UnsupportedError, WorkbenchError
from workbench.graph.ir import Array
from workbench.validate.golden_base import Row

NAMED = 4
"""How many of the missing things a note names."""


class MissingArray(InputError):
    """A listed case without one of its arrays."""


class FieldError(InputError):
    """A case whose JSON lacks a field; the message is complete."""


class Fields(dict[str, Any]):
    """Fields of a case, by name, also in the mappings inside it. Asking for one that is missing says whose it is."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        super().__init__({k: Fields(v, f"{where}, {k}") if isinstance(v, dict) else v for k, v in values.items()})
        self.where = where

    def __missing__(self, name: str) -> Any:
        raise FieldError(f"{self.where}: field '{name}' is missing.")


class CaseArrays(dict[str, Array]):
    """Arrays of a case, by field. Asking for one that is missing says so."""

    def __init__(self, case: str) -> None:
        super().__init__()
        self.case = case

    def __missing__(self, name: str) -> Array:
        raise MissingArray(f"{self.case}/{name}")


class Problems:
    """What of a file could not be compared, by the reason."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: dict[str, list[str]] = {}

    def add(self, reason: str, *what: str) -> None:
        """Note things (cases, arrays) that were not compared."""
        if what:
            self.found.setdefault(reason, []).extend(what)

    def listed(self, listed: Sequence[str], present: Sequence[str], noun: str) -> None:
        """Compare a list with what is there, both ways; an empty list compares nothing."""
        if not listed:
            self.add("no case is listed", self.file)
        self.add("listed more than once", *sorted({name for name in listed if listed.count(name) > 1}))
        known = set(listed)
        self.add(f"{noun} of no listed case", *(name for name in dict.fromkeys(present) if name not in known))

    def rows(self) -> list[Row]:
        """Return one failed row for each reason."""
        return [failed(self.file, f"{reason}: {_some(what)}") for reason, what in self.found.items()]


class CaseFile(Problems):
    """A file of vectors, `<case>/<field>`, and the list of its cases in the .json beside it.

    cases: (fields of the JSON, arrays by field), in the order of the list. shared: arrays that belong to no single case.
    """

    def __init__(self, path: Path, key: str = "", name: str = "id", shared: Sequence[str] = ()) -> None:
        """Read both files. key: of the list in the JSON ('': the JSON is the list). name: the field that names a case."""
        super().__init__(path.stem)
        self.path = path
        self.index = path.with_suffix(".json")
        whole = read_json(self.index)
        entries = whole.get(key) if key and isinstance(whole, dict) else whole
        if not isinstance(entries, list):
            raise InputError(f"{self.index}: expected a list of cases{f' under the key {key!r}' if key else ''}.")
        stored: dict[str, CaseArrays] = {}
        self.shared: dict[str, Array] = CaseArrays(path.name)
        for array_name, array in read_arrays(path).items():
            case, _, field = array_name.partition("/")
            if array_name in shared:
                self.shared[array_name] = array
            else:
                stored.setdefault(case, CaseArrays(case))[field] = array
        self.cases = [(entry, stored.get(entry[name], CaseArrays(entry[name]))) for entry in self._entries(entries, name)]
        self.listed([entry[name] for entry, _ in self.cases], list(stored), "arrays")

    def _entries(self, entries: list[Any], name: str) -> Iterator[Fields]:
        for i, entry in enumerate(entries):
            if not isinstance(entry, dict) or not isinstance(entry.get(name), str):
                raise InputError(f"{self.index}: case {i} of the list: field '{name}' is missing or no text.")
            yield Fields(entry, f"{self.index}: case {entry[name]}")

    @contextmanager
    def attempt(self, case: str) -> Iterator[None]:
        """Run what compares a case: a missing array or a refusal is noted, anything else that does not fit is one InputError."""
        try:
            yield
        except MissingArray as missing:
            self.add("missing arrays", str(missing))
        except UnsupportedError as problem:
            self.add(f"refused ({str(problem).splitlines()[0]})", case)
        except (FieldError, ProfileError):
            raise
        except (WorkbenchError, ArithmeticError, LookupError, TypeError, ValueError) as problem:
            text = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise InputError(f"{self.path}: case {case}: its fields and arrays do not fit each other: {text}") from problem


def failed(file: str, note: str) -> Row:
    """Return the row of something that should have been compared and was not."""
    return Row(file, "-", "-", 0, 0, 0, 0, note, failed=True)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; InputError when it is none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(f"{path}: not readable JSON: {problem}.") from None


def _some(what: Sequence[str]) -> str:
    rest = len(what) - NAMED
    return ", ".join(what[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
